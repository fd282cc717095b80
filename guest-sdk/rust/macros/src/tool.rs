//! The attribute `tool`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Error, Expr, ExprLit, FnArg, Ident, ItemFn, Lit, LitStr, Meta, Pat, Result,
    ReturnType, Type, TypeReference,
};

use crate::check::{self, Faults};

/// What stands in the attribute.
#[derive(Default)]
struct Options {
    read_only: bool,
    destructive: bool,
    idempotent: bool,
    open_world: bool,
    output_schema: bool,
    name: Option<LitStr>,
    title: Option<LitStr>,
}

/// One argument of the tool.
struct Argument {
    name: Ident,
    /// Its type in the arguments object.
    owned: Type,
    /// Whether the function takes a reference to it.
    by_reference: bool,
    /// Attributes that belong to the arguments object: doc, serde, schemars.
    attributes: Vec<Attribute>,
}

/// What a function's parameters say.
struct Parameters {
    takes_context: bool,
    arguments: Vec<Argument>,
}

pub(crate) fn expand(options: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let mut function: ItemFn = syn::parse2(function)?;
    let mut faults = Faults::default();
    let options = faults.keep(Options::parse(options)).unwrap_or_default();
    check_signature(&function, &mut faults);
    let description = faults.keep(description(&function));
    let name = faults.keep(name(&function, &options));
    let parameters = parameters(&mut function, &mut faults);
    let returns = match &function.sig.output {
        ReturnType::Type(_, returns) if is_named(returns, "Result") => Some(returns.clone()),
        other => {
            let text = "a tool returns a `Result`, for example `-> Result<String>`";
            match other {
                ReturnType::Type(_, returns) => faults.add(Error::new_spanned(returns, text)),
                ReturnType::Default => faults.add(Error::new(function.sig.ident.span(), text)),
            }
            None
        }
    };
    faults.finish()?;
    let (Some(description), Some(name), Some(returns)) = (description, name, returns) else {
        unreachable!("whatever is missing was reported as a fault")
    };
    Ok(emit(
        &function,
        &options,
        &Facts {
            name,
            description,
            parameters,
            returns,
        },
    ))
}

/// What the code is made from, beside the function itself.
struct Facts {
    name: String,
    description: String,
    parameters: Parameters,
    returns: Box<Type>,
}

fn emit(function: &ItemFn, options: &Options, facts: &Facts) -> TokenStream {
    let Facts {
        name,
        description,
        parameters,
        returns,
    } = facts;
    let (ident, vis) = (&function.sig.ident, &function.vis);
    let title = match &options.title {
        Some(title) => title.value(),
        None => title(name),
    };
    let Options {
        read_only,
        destructive,
        idempotent,
        open_world,
        ..
    } = options;
    let fields = parameters.arguments.iter().map(|argument| {
        let Argument {
            name,
            owned,
            attributes,
            ..
        } = argument;
        quote!(#(#attributes)* #name: #owned)
    });
    let context = parameters.takes_context.then(|| quote!(context,));
    let passed = parameters.arguments.iter().map(|argument| {
        let name = &argument.name;
        let by_reference = argument.by_reference.then(|| quote!(&));
        quote!(#by_reference arguments.#name)
    });
    // With the return type's span, a type that does not serialise is marked where it stands.
    let finish = quote_spanned! {returns.span()=>
        ::everwit_guest::__private::finish::<#returns>
    };
    let output_schema = options.output_schema.then(|| {
        quote_spanned! {returns.span()=>
            fn output_schema() -> ::core::option::Option<::std::string::String> {
                ::core::option::Option::Some(
                    ::everwit_guest::__private::output_schema::<#returns>(),
                )
            }
        }
    });
    quote! {
        // What was deserialised is handed over, whether or not the function consumes it.
        #[allow(clippy::needless_pass_by_value)]
        #function

        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        #vis enum #ident {}

        const _: () = {
            #[derive(
                ::everwit_guest::__private::serde::Deserialize,
                ::everwit_guest::__private::schemars::JsonSchema,
            )]
            #[serde(crate = "::everwit_guest::__private::serde", deny_unknown_fields)]
            #[schemars(crate = "::everwit_guest::__private::schemars")]
            #[allow(unreachable_pub, missing_docs)]
            pub struct Arguments { #(#fields),* }

            #[automatically_derived]
            impl ::everwit_guest::Tool for #ident {
                const NAME: &'static str = #name;
                const TITLE: &'static str = #title;
                const DESCRIPTION: &'static str = #description;
                const EFFECTS: ::everwit_guest::Effects = ::everwit_guest::Effects {
                    read_only: #read_only,
                    destructive: #destructive,
                    idempotent: #idempotent,
                    open_world: #open_world,
                };

                type Arguments = Arguments;

                #output_schema

                #[allow(unused_variables)]
                fn call(
                    context: &::everwit_guest::Context,
                    arguments: Arguments,
                ) -> ::everwit_guest::Result<::everwit_guest::Output> {
                    #finish(#ident(#context #(#passed),*))
                }
            }
        };
    }
}

impl Options {
    fn parse(input: TokenStream) -> Result<Self> {
        let mut options = Options::default();
        let mut seen: Vec<Ident> = Vec::new();
        let parser = syn::meta::parser(|meta| {
            let name = meta.path.require_ident()?.clone();
            if seen.contains(&name) {
                return Err(meta.error("given twice"));
            }
            match name.to_string().as_str() {
                "read_only" => options.read_only = true,
                "destructive" => options.destructive = true,
                "idempotent" => options.idempotent = true,
                "open_world" => options.open_world = true,
                "output_schema" => options.output_schema = true,
                "name" => {
                    let text: LitStr = meta.value()?.parse()?;
                    check::literal(&text, check::tool_name)?;
                    options.name = Some(text);
                }
                "title" => {
                    let text: LitStr = meta.value()?.parse()?;
                    check::literal(&text, check::title)?;
                    options.title = Some(text);
                }
                _ => {
                    return Err(meta.error(
                        "unknown option; there are: read_only, destructive, idempotent, \
                         open_world, output_schema, name = \"..\", title = \"..\"",
                    ));
                }
            }
            if options.read_only && options.destructive {
                return Err(meta.error("what is read_only destroys nothing"));
            }
            seen.push(name);
            Ok(())
        });
        parser.parse2(input)?;
        Ok(options)
    }
}

fn check_signature(function: &ItemFn, faults: &mut Faults) {
    let signature = &function.sig;
    if let Some(token) = &signature.asyncness {
        let text = "a tool is not async: calls to the host wait by themselves";
        faults.add(Error::new_spanned(token, text));
    }
    if let Some(token) = &signature.unsafety {
        faults.add(Error::new_spanned(token, "a tool is a safe function"));
    }
    if let Some(abi) = &signature.abi {
        faults.add(Error::new_spanned(abi, "a tool is a plain Rust function"));
    }
    if !signature.generics.params.is_empty() || signature.generics.where_clause.is_some() {
        let text = "a tool has no generic parameters: its schema must be known";
        faults.add(Error::new_spanned(&signature.generics, text));
    }
}

fn name(function: &ItemFn, options: &Options) -> Result<String> {
    if let Some(name) = &options.name {
        return Ok(name.value());
    }
    let name = function.sig.ident.unraw().to_string();
    check::tool_name(&name).map_err(|fault| Error::new(function.sig.ident.span(), fault))?;
    Ok(name)
}

/// "find_rows" becomes "Find rows".
fn title(name: &str) -> String {
    let mut title = name.replace('_', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

/// The function's doc comment.
fn description(function: &ItemFn) -> Result<String> {
    let mut lines = Vec::new();
    for attribute in &function.attrs {
        let Meta::NameValue(doc) = &attribute.meta else {
            continue;
        };
        if !doc.path.is_ident("doc") {
            continue;
        }
        let Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) = &doc.value
        else {
            let text = "a tool's description is written out in its doc comment";
            return Err(Error::new_spanned(&doc.value, text));
        };
        for line in text.value().split('\n') {
            lines.push(line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned());
        }
    }
    let text = lines.join("\n").trim().to_owned();
    let span = function.sig.ident.span();
    if text.is_empty() {
        let text = "a tool needs a doc comment: it is the description that the model reads";
        return Err(Error::new(span, text));
    }
    check::description(&text).map_err(|fault| Error::new(span, fault))?;
    Ok(text)
}

/// Reads the parameters, and takes from them the attributes that only the arguments object
/// may have.
fn parameters(function: &mut ItemFn, faults: &mut Faults) -> Parameters {
    let mut takes_context = false;
    let mut arguments = Vec::new();
    for (index, input) in function.sig.inputs.iter_mut().enumerate() {
        let FnArg::Typed(parameter) = input else {
            faults.add(Error::new_spanned(input, "a tool is a free function"));
            continue;
        };
        if is_context(&parameter.ty) {
            if index == 0 {
                takes_context = true;
            } else {
                let text = "the context comes first";
                faults.add(Error::new_spanned(&parameter.ty, text));
            }
            continue;
        }
        let is_argument = |attribute: &Attribute| {
            ["doc", "serde", "schemars"]
                .iter()
                .any(|name| attribute.path().is_ident(name))
        };
        let all = core::mem::take(&mut parameter.attrs);
        let (attributes, rest) = all.into_iter().partition(is_argument);
        parameter.attrs = rest;
        let name = match &*parameter.pat {
            Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
                pattern.ident.clone()
            }
            other => {
                let text = "an argument needs a name, which is its name for the model too";
                faults.add(Error::new_spanned(other, text));
                continue;
            }
        };
        if let Some((owned, by_reference)) = faults.keep(owned(&parameter.ty)) {
            arguments.push(Argument {
                name,
                owned,
                by_reference,
                attributes,
            });
        }
    }
    Parameters {
        takes_context,
        arguments,
    }
}

/// The type that a parameter has in the arguments object, and whether it is passed on by
/// reference.
fn owned(parameter: &Type) -> Result<(Type, bool)> {
    let (ty, by_reference) = match parameter {
        Type::Reference(TypeReference {
            mutability: Some(token),
            ..
        }) => {
            let text = "an argument cannot be changed in place; take it by value";
            return Err(Error::new_spanned(token, text));
        }
        Type::Reference(reference) => (&*reference.elem, true),
        other => (other, false),
    };
    let mut search = FindBorrowed(None);
    search.visit_type(ty);
    if let Some(fault) = search.0 {
        return Err(fault);
    }
    let owned = match ty {
        Type::Path(path) if path.path.is_ident("str") => {
            syn::parse_quote_spanned!(ty.span()=> ::std::string::String)
        }
        Type::Slice(slice) => {
            let element = &slice.elem;
            syn::parse_quote_spanned!(ty.span()=> ::std::vec::Vec<#element>)
        }
        other => other.clone(),
    };
    Ok((owned, by_reference))
}

/// Looks for types that an arguments object cannot own.
struct FindBorrowed(Option<Error>);

impl<'a> Visit<'a> for FindBorrowed {
    fn visit_type(&mut self, ty: &'a Type) {
        match ty {
            Type::Reference(_) => {
                let text = "a reference works only as the whole type of an argument; \
                            use an owned type here, such as `String`";
                self.0 = Some(Error::new_spanned(ty, text));
            }
            Type::ImplTrait(_) => {
                let text = "an argument has a concrete type: its schema must be known";
                self.0 = Some(Error::new_spanned(ty, text));
            }
            other => visit::visit_type(self, other),
        }
    }
}

fn is_context(ty: &Type) -> bool {
    matches!(ty, Type::Reference(reference) if is_named(&reference.elem, "Context"))
}

fn is_named(ty: &Type, name: &str) -> bool {
    match ty {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        check(
            quote!(read_only, read_only),
            function.clone(),
            "given twice",
        );
        check(
            quote!(destructive, read_only),
            function,
            "what is read_only destroys nothing",
        );
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
}
