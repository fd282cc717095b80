//! The parameters of a tool's function.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Error, FnArg, Ident, ItemFn, Pat, Result, Type, TypeReference};

use super::is_named;
use crate::check::Faults;

/// One argument of the tool.
pub(crate) struct Argument {
    pub(crate) name: Ident,
    /// Its type in the arguments object.
    pub(crate) owned: Type,
    /// Whether the function takes a reference to it.
    pub(crate) by_reference: bool,
    /// Attributes that belong to the arguments object: doc, serde, schemars.
    pub(crate) attributes: Vec<Attribute>,
}

/// What a function's parameters say.
pub(crate) struct Parameters {
    pub(crate) takes_context: bool,
    pub(crate) arguments: Vec<Argument>,
}

/// Reads the parameters, and takes from them the attributes that only the arguments object
/// may have.
pub(super) fn read(function: &mut ItemFn, faults: &mut Faults) -> Parameters {
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
        let is_argument = |attribute: &Attribute| ["doc", "serde", "schemars"].iter().any(|name| attribute.path().is_ident(name));
        let all = core::mem::take(&mut parameter.attrs);
        let (attributes, rest) = all.into_iter().partition(is_argument);
        parameter.attrs = rest;
        let name = match &*parameter.pat {
            Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => pattern.ident.clone(),
            other => {
                let text = "an argument needs a name, which is its name for the model too";
                faults.add(Error::new_spanned(other, text));
                continue;
            }
        };
        if let Some((owned, by_reference)) = faults.keep(owned(&parameter.ty)) {
            arguments.push(Argument { name, owned, by_reference, attributes });
        }
    }
    Parameters { takes_context, arguments }
}

/// The type that a parameter has in the arguments object, and whether it is passed on by
/// reference.
fn owned(parameter: &Type) -> Result<(Type, bool)> {
    let (ty, by_reference) = match parameter {
        Type::Reference(TypeReference { mutability: Some(token), .. }) => {
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
