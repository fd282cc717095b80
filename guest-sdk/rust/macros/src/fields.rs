//! Reading `name: value` lists.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, Ident, Lit, Result, Token};

use crate::check::{self, Rule};

/// A text: a literal, which is checked here, or any expression that makes a `&str`.
pub(crate) struct Text {
    pub(crate) expr: Expr,
}

impl Text {
    pub(crate) fn parse(input: ParseStream<'_>, rule: Rule) -> Result<Self> {
        let expr: Expr = input.parse()?;
        match &expr {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => check::literal(text, rule)?,
            Expr::Lit(other) => return Err(Error::new_spanned(other, "expected a text")),
            _ => {}
        }
        Ok(Text { expr })
    }

    /// Reads `[a, b]`.
    pub(crate) fn parse_list(input: ParseStream<'_>, rule: Rule) -> Result<Vec<Self>> {
        list(input, |item| Text::parse(item, rule))
    }
}

/// Reads `[item, item]`.
pub(crate) fn list<T>(input: ParseStream<'_>, item: impl Fn(ParseStream<'_>) -> Result<T>) -> Result<Vec<T>> {
    let content;
    syn::bracketed!(content in input);
    let mut items = Vec::new();
    while !content.is_empty() {
        items.push(item(&content)?);
        if !content.is_empty() {
            content.parse::<Token![,]>()?;
        }
    }
    Ok(items)
}

/// Reads `[{ .. }, { .. }]`.
pub(crate) fn records<T: Parse>(input: ParseStream<'_>) -> Result<Vec<T>> {
    list(input, |item| {
        let content;
        syn::braced!(content in item);
        content.parse()
    })
}

/// Reads `name: value, ..` to the end of the input; `read` reads the value of one name.
pub(crate) fn fields(input: ParseStream<'_>, known: &[&str], mut read: impl FnMut(&str, ParseStream<'_>) -> Result<()>) -> Result<()> {
    let mut seen: Vec<String> = Vec::new();
    while !input.is_empty() {
        let name = input.call(Ident::parse_any)?;
        let text = name.to_string();
        if !known.contains(&text.as_str()) {
            let known = known.join("`, `");
            return Err(Error::new(name.span(), format!("unknown field `{text}`; there are: `{known}`")));
        }
        if seen.contains(&text) {
            return Err(Error::new(name.span(), format!("`{text}` is given twice")));
        }
        input.parse::<Token![:]>()?;
        read(&text, input)?;
        seen.push(text);
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(())
}

/// The value of a required field.
pub(crate) fn required<T>(value: Option<T>, span: Span, name: &str) -> Result<T> {
    value.ok_or_else(|| Error::new(span, format!("`{name}` is missing")))
}

/// Reads a comma-separated list of paths in brackets.
pub(crate) fn paths(input: ParseStream<'_>) -> Result<Vec<syn::Path>> {
    let content;
    syn::bracketed!(content in input);
    Ok(Punctuated::<_, Token![,]>::parse_terminated(&content)?.into_iter().collect())
}
