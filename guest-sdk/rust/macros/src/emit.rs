//! The code that the macros write. Every path in it is absolute.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::capability::{Declaration, Http, Permissions, Secret};
use crate::fields::Text;
use crate::tool::{self, Argument, Options};

pub(crate) fn capability(declaration: &Declaration) -> TokenStream {
    let Declaration { id, title, summary, tools, .. } = declaration;
    let [id, title, summary] = [id, title, summary].map(string);
    let version = match &declaration.version {
        Some(version) => string(version),
        None => quote!(::std::string::String::from(::core::env!("CARGO_PKG_VERSION"))),
    };
    let instructions = option(declaration.instructions.as_ref().map(string));
    let config_schema = option(declaration.config.as_ref().map(|config| quote!(::everwit_guest::__private::schema_of::<#config>())));
    let dependencies = strings(&declaration.dependencies);
    let features = strings(&declaration.features);
    let permissions = permissions(&declaration.permissions);
    quote! {
        /// The capability that this crate is.
        #[derive(::core::fmt::Debug, ::core::clone::Clone, ::core::marker::Copy)]
        pub struct ThisCapability;

        #[automatically_derived]
        impl ::everwit_guest::Capability for ThisCapability {
            const TOOLS: &'static [::everwit_guest::ToolEntry] = &[
                #(::everwit_guest::ToolEntry::of::<#tools>()),*
            ];

            fn describe() -> ::everwit_guest::Description {
                ::everwit_guest::Description {
                    id: #id,
                    title: #title,
                    version: #version,
                    summary: #summary,
                    instructions: #instructions,
                    config_schema: #config_schema,
                    tools: Self::TOOLS.iter().map(::core::convert::Into::into).collect(),
                    dependencies: #dependencies,
                    features: #features,
                    permissions: #permissions,
                }
            }
        }

        const _: () = ::everwit_guest::ToolEntry::assert_distinct(
            <ThisCapability as ::everwit_guest::Capability>::TOOLS,
        );

        #[cfg(target_family = "wasm")]
        ::everwit_guest::__private::export_capability!(
            ThisCapability with_types_in ::everwit_guest::__private::bindings
        );
    }
}

pub(crate) fn tool(tool: &tool::Declaration) -> TokenStream {
    let function = &tool.function;
    let (ident, vis) = (&function.sig.ident, &function.vis);
    let fields = tool.parameters.arguments.iter().map(|argument| {
        let Argument { name, owned, attributes, .. } = argument;
        quote!(#(#attributes)* #name: #owned)
    });
    let implementation = implementation(tool);
    quote! {
        // The parameters are the fields of one object: many are no burden to a caller, and what
        // was deserialised is handed over, whether or not the function consumes it.
        #[allow(clippy::needless_pass_by_value, clippy::too_many_arguments)]
        #function

        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        #vis enum #ident {}

        const _: () = {
            #[derive(
                ::everwit_guest::__private::serde::Deserialize,
                ::everwit_guest::__private::schemars::JsonSchema,
            )]
            #[serde(crate = "::everwit_guest::__private::serde")]
            #[serde(rename = "arguments", deny_unknown_fields)]
            #[schemars(crate = "::everwit_guest::__private::schemars")]
            #[allow(unreachable_pub, missing_docs)]
            pub struct __ToolArguments { #(#fields),* }

            #implementation
        };
    }
}

fn implementation(tool: &tool::Declaration) -> TokenStream {
    let tool::Declaration { function, name, title, description, parameters, returns, .. } = tool;
    let ident = &function.sig.ident;
    let Options { read_only, destructive, idempotent, open_world, output_schema, .. } = &tool.options;
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
    let output_schema = output_schema.then(|| {
        quote_spanned! {returns.span()=>
            fn output_schema() -> ::core::option::Option<::std::string::String> {
                ::core::option::Option::Some(
                    ::everwit_guest::__private::output_schema::<#returns>(),
                )
            }
        }
    });
    quote! {
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

            type Arguments = __ToolArguments;

            #output_schema

            #[allow(unused_variables)]
            fn call(
                context: &::everwit_guest::Context,
                arguments: __ToolArguments,
            ) -> ::everwit_guest::Result<::everwit_guest::Output> {
                #finish(#ident(#context #(#passed),*))
            }
        }
    }
}

fn permissions(permissions: &Permissions) -> TokenStream {
    let http = permissions.http.iter().map(http);
    let secrets = permissions.secrets.iter().map(secret);
    let files = match &permissions.files {
        Some(files) => string(files),
        None => quote!(::std::string::String::from("none")),
    };
    let kv = strings(&permissions.kv);
    let tools = strings(&permissions.tools);
    quote! {
        ::everwit_guest::Permissions {
            http: ::std::vec![#(#http),*],
            secrets: ::std::vec![#(#secrets),*],
            files: #files,
            kv: #kv,
            tools: #tools,
        }
    }
}

fn http(http: &Http) -> TokenStream {
    let host = string(&http.host);
    let methods = strings(&http.methods);
    let path_prefix = option(http.path_prefix.as_ref().map(string));
    let reason = string(&http.reason);
    quote! {
        ::everwit_guest::HttpPermission {
            host: #host,
            methods: #methods,
            path_prefix: #path_prefix,
            reason: #reason,
        }
    }
}

fn secret(secret: &Secret) -> TokenStream {
    let name = string(&secret.name);
    let title = string(secret.title.as_ref().unwrap_or(&secret.name));
    let host = string(&secret.host);
    let place = string(&secret.place);
    let required = secret.required;
    quote! {
        ::everwit_guest::SecretPermission {
            name: #name,
            title: #title,
            host: #host,
            place: #place,
            required: #required,
        }
    }
}

fn string(text: &Text) -> TokenStream {
    let expr = &text.expr;
    quote!(::std::string::String::from(#expr))
}

fn strings(texts: &[Text]) -> TokenStream {
    let strings = texts.iter().map(string);
    quote!(::std::vec![#(#strings),*])
}

fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}
