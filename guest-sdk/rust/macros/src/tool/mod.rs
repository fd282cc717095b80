//! The attribute `tool`: reading it. Writing its code is in `emit`.

mod parameters;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::parse::Parser;
use syn::{Error, Expr, ExprLit, Ident, ItemFn, Lit, LitStr, Meta, Result, ReturnType, Type};

use crate::check::{self, Faults};
pub(crate) use parameters::{Argument, Parameters};

/// What stands in the attribute.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) read_only: bool,
    pub(crate) destructive: bool,
    pub(crate) idempotent: bool,
    pub(crate) open_world: bool,
    pub(crate) output_schema: bool,
    name: Option<LitStr>,
    title: Option<LitStr>,
}

/// A tool as it was declared.
pub(crate) struct Declaration {
    /// The function, without the attributes that only its arguments object may have.
    pub(crate) function: ItemFn,
    pub(crate) options: Options,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) parameters: Parameters,
    pub(crate) returns: Box<Type>,
}

pub(crate) fn expand(options: TokenStream, function: TokenStream) -> Result<TokenStream> {
    let mut function: ItemFn = syn::parse2(function)?;
    let mut faults = Faults::default();
    let options = faults.keep(Options::parse(options)).unwrap_or_default();
    check_signature(&function, &mut faults);
    let description = faults.keep(description(&function));
    let name = faults.keep(name(&function, &options));
    let parameters = parameters::read(&mut function, &mut faults);
    let returns = faults.keep(returns(&function));
    faults.finish()?;
    let (Some(description), Some(name), Some(returns)) = (description, name, returns) else {
        unreachable!("whatever is missing was reported as a fault")
    };
    let title = match &options.title {
        Some(title) => title.value(),
        None => title(&name),
    };
    Ok(crate::emit::tool(&Declaration { function, options, name, title, description, parameters, returns }))
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

fn returns(function: &ItemFn) -> Result<Box<Type>> {
    let text = "a tool returns a `Result`, for example `-> Result<String>`";
    match &function.sig.output {
        ReturnType::Type(_, returns) if is_named(returns, "Result") => Ok(returns.clone()),
        ReturnType::Type(_, returns) => Err(Error::new_spanned(returns, text)),
        ReturnType::Default => Err(Error::new(function.sig.ident.span(), text)),
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
        let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &doc.value else {
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

fn is_named(ty: &Type, name: &str) -> bool {
    match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == name),
        _ => false,
    }
}
