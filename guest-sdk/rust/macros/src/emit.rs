//! The code that the macros write. Every path in it is absolute.

use proc_macro2::TokenStream;
use quote::quote;

use crate::capability::{Declaration, Http, Permissions, Secret};
use crate::fields::Text;

pub(crate) fn capability(declaration: &Declaration) -> TokenStream {
    let Declaration {
        id,
        title,
        summary,
        tools,
        ..
    } = declaration;
    let [id, title, summary] = [id, title, summary].map(string);
    let version = match &declaration.version {
        Some(version) => string(version),
        None => quote!(::std::string::String::from(::core::env!(
            "CARGO_PKG_VERSION"
        ))),
    };
    let instructions = option(declaration.instructions.as_ref().map(string));
    let config_schema = option(
        declaration
            .config
            .as_ref()
            .map(|config| quote!(::everwit_guest::__private::schema_of::<#config>())),
    );
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
