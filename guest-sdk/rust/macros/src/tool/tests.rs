//! What the attribute refuses, and with which words.

use proc_macro2::TokenStream;
use quote::quote;

use super::{expand, title};

fn check(options: TokenStream, function: TokenStream, fault: &str) {
    let error = expand(options, function).expect_err(fault);
    assert_eq!(error.to_string(), fault);
}

#[test]
fn faults_of_the_function_are_named() {
    let none = TokenStream::new;
    check(
        none(),
        quote!(
            fn f() -> Result<u8> {
                Ok(1)
            }
        ),
        "a tool needs a doc comment: it is the description that the model reads",
    );
    check(
        none(),
        quote!(
            #[doc = " F."]
            fn f() -> u8 {
                1
            }
        ),
        "a tool returns a `Result`, for example `-> Result<String>`",
    );
    check(
        none(),
        quote!(
            #[doc = " F."]
            async fn f() -> Result<u8> {
                Ok(1)
            }
        ),
        "a tool is not async: calls to the host wait by themselves",
    );
    check(
        none(),
        quote!(
            #[doc = " F."]
            fn f<T>(a: T) -> Result<T> {
                Ok(a)
            }
        ),
        "a tool has no generic parameters: its schema must be known",
    );
}

#[test]
fn faults_of_the_parameters_are_named() {
    let none = TokenStream::new;
    check(
        none(),
        quote!(
            #[doc = " F."]
            fn f((a, b): (u8, u8)) -> Result<u8> {
                Ok(a + b)
            }
        ),
        "an argument needs a name, which is its name for the model too",
    );
    check(
        none(),
        quote!(
            #[doc = " F."]
            fn f(a: Option<&str>) -> Result<u8> {
                Ok(1)
            }
        ),
        "a reference works only as the whole type of an argument; use an owned type here, \
         such as `String`",
    );
    check(
        none(),
        quote!(
            #[doc = " F."]
            fn f(a: u8, ctx: &Context) -> Result<u8> {
                Ok(1)
            }
        ),
        "the context comes first",
    );
    check(
        none(),
        quote!(
            #[doc = " F."]
            fn fY() -> Result<u8> {
                Ok(1)
            }
        ),
        "a tool's name is snake_case in ASCII, begins with a letter, and has at most 64 bytes",
    );
}

#[test]
fn faults_of_the_options_are_named() {
    let function = quote!(
        #[doc = " F."]
        fn f() -> Result<u8> {
            Ok(1)
        }
    );
    check(
        quote!(readonly),
        function.clone(),
        "unknown option; there are: read_only, destructive, idempotent, open_world, \
         output_schema, name = \"..\", title = \"..\"",
    );
    check(quote!(read_only, read_only), function.clone(), "given twice");
    check(quote!(destructive, read_only), function, "what is read_only destroys nothing");
}

#[test]
fn all_faults_are_reported_at_once() {
    let function = quote!(
        async fn f(a: &mut u8) {}
    );
    let error = expand(TokenStream::new(), function).expect_err("has four faults");
    assert_eq!(error.into_iter().count(), 4);
}

#[test]
fn titles_are_made_from_names() {
    assert_eq!(title("find_rows"), "Find rows");
}
