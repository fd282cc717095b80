//! The macro `capability!`: reading it. Writing its code is in `emit`.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::{Error, LitBool, Path, Result, Type};

use crate::check::{self, Faults};
use crate::fields::{Text, fields, paths, records, required};

/// Most tools that the contract allows.
const TOOLS: usize = 128;

/// What stands in the macro.
pub(crate) struct Declaration {
    pub(crate) id: Text,
    pub(crate) title: Text,
    pub(crate) summary: Text,
    pub(crate) version: Option<Text>,
    pub(crate) instructions: Option<Text>,
    pub(crate) tools: Vec<Path>,
    pub(crate) config: Option<Type>,
    pub(crate) dependencies: Vec<Text>,
    pub(crate) features: Vec<Text>,
    pub(crate) permissions: Permissions,
}

#[derive(Default)]
pub(crate) struct Permissions {
    pub(crate) http: Vec<Http>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) files: Option<Text>,
    pub(crate) kv: Vec<Text>,
    pub(crate) tools: Vec<Text>,
}

pub(crate) struct Http {
    pub(crate) host: Text,
    pub(crate) methods: Vec<Text>,
    pub(crate) path_prefix: Option<Text>,
    pub(crate) reason: Text,
}

pub(crate) struct Secret {
    pub(crate) name: Text,
    pub(crate) title: Option<Text>,
    pub(crate) host: Text,
    pub(crate) place: Text,
    pub(crate) required: bool,
}

pub(crate) fn expand(input: TokenStream) -> Result<TokenStream> {
    let declaration: Declaration = syn::parse2(input)?;
    let mut faults = Faults::default();
    if declaration.tools.len() > TOOLS {
        let text = format!("a capability has at most {TOOLS} tools");
        faults.add(Error::new_spanned(&declaration.tools[TOOLS], text));
    }
    let mut seen = Vec::new();
    for path in &declaration.tools {
        let text = path.to_token_stream().to_string();
        if seen.contains(&text) {
            faults.add(Error::new_spanned(path, "this tool is listed twice"));
        }
        seen.push(text);
    }
    faults.finish()?;
    Ok(crate::emit::capability(&declaration))
}

impl Parse for Declaration {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        const KNOWN: [&str; 10] =
            ["id", "title", "summary", "version", "instructions", "tools", "config", "dependencies", "features", "permissions"];
        let (mut id, mut title, mut summary, mut version) = (None, None, None, None);
        let (mut instructions, mut tools, mut config) = (None, None, None);
        let (mut dependencies, mut features) = (Vec::new(), Vec::new());
        let mut permissions = Permissions::default();
        fields(input, &KNOWN, |name, value| {
            match name {
                "id" => id = Some(Text::parse(value, check::id)?),
                "title" => title = Some(Text::parse(value, check::title)?),
                "summary" => summary = Some(Text::parse(value, check::summary)?),
                "version" => version = Some(Text::parse(value, check::version)?),
                "instructions" => {
                    instructions = Some(Text::parse(value, check::instructions)?);
                }
                "tools" => tools = Some(paths(value)?),
                "config" => config = Some(value.parse()?),
                "dependencies" => dependencies = Text::parse_list(value, check::id)?,
                "features" => features = Text::parse_list(value, check::filled)?,
                _ => {
                    let content;
                    syn::braced!(content in value);
                    permissions = content.parse()?;
                }
            }
            Ok(())
        })?;
        let here = Span::call_site();
        Ok(Declaration {
            id: required(id, here, "id")?,
            title: required(title, here, "title")?,
            summary: required(summary, here, "summary")?,
            tools: required(tools, here, "tools")?,
            version,
            instructions,
            config,
            dependencies,
            features,
            permissions,
        })
    }
}

impl Parse for Permissions {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut permissions = Permissions::default();
        let known = ["http", "secrets", "files", "kv", "tools"];
        fields(input, &known, |name, value| {
            match name {
                "http" => permissions.http = records(value)?,
                "secrets" => permissions.secrets = records(value)?,
                "files" => permissions.files = Some(Text::parse(value, check::files)?),
                "kv" => permissions.kv = Text::parse_list(value, check::kebab)?,
                _ => permissions.tools = Text::parse_list(value, check::foreign_tool)?,
            }
            Ok(())
        })?;
        Ok(permissions)
    }
}

impl Parse for Http {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let here = input.span();
        let (mut host, mut methods, mut path_prefix, mut reason) = (None, Vec::new(), None, None);
        let known = ["host", "methods", "path_prefix", "reason"];
        fields(input, &known, |name, value| {
            match name {
                "host" => host = Some(Text::parse(value, check::host)?),
                "methods" => methods = Text::parse_list(value, check::method)?,
                "path_prefix" => path_prefix = Some(Text::parse(value, check::path_prefix)?),
                _ => reason = Some(Text::parse(value, check::filled)?),
            }
            Ok(())
        })?;
        Ok(Http { host: required(host, here, "host")?, reason: required(reason, here, "reason")?, methods, path_prefix })
    }
}

impl Parse for Secret {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let here = input.span();
        let (mut secret_name, mut title, mut host, mut place) = (None, None, None, None);
        let mut is_required = true;
        let known = ["name", "title", "host", "place", "required"];
        fields(input, &known, |name, value| {
            match name {
                "name" => secret_name = Some(Text::parse(value, check::kebab)?),
                "title" => title = Some(Text::parse(value, check::title)?),
                "host" => host = Some(Text::parse(value, check::host)?),
                "place" => place = Some(Text::parse(value, check::place)?),
                _ => is_required = value.parse::<LitBool>()?.value,
            }
            Ok(())
        })?;
        Ok(Secret {
            name: required(secret_name, here, "name")?,
            host: required(host, here, "host")?,
            place: required(place, here, "place")?,
            required: is_required,
            title,
        })
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    fn check(input: TokenStream, fault: &str) {
        let error = expand(input).expect_err(fault);
        assert_eq!(error.to_string(), fault);
    }

    #[test]
    fn faults_are_named() {
        let rest = quote!(title: "T", summary: "S.", tools: []);
        check(quote!(#rest), "`id` is missing");
        check(quote!(id: "a", id: "b", #rest), "`id` is given twice");
        check(quote!(id: 1, #rest), "expected a text");
        check(
            quote!(id: "a", tittle: "T"),
            "unknown field `tittle`; there are: `id`, `title`, `summary`, `version`, \
             `instructions`, `tools`, `config`, `dependencies`, `features`, `permissions`",
        );
        check(quote!(id: "a", title: "T", summary: "S.", tools: [x, y, x]), "this tool is listed twice");
        check(quote!(id: "a", #rest, permissions: { http: [{ host: "a.com" }] }), "`reason` is missing");
        check(
            quote!(id: "a", #rest, permissions: { http: [{ host: "a.com", methods: ["get"] }] }),
            "a method is in upper case, for example \"POST\"",
        );
    }

    #[test]
    fn everything_optional_is_optional() {
        let least = quote!(id: "a", title: "T", summary: concat!("S", "."), tools: [x::y,],);
        expand(least).expect("is complete");
    }
}
