//! `docs/contract.md`: the contracts as a page, made of the comments in `wit/`.

use std::fmt::Write as _;
use std::fs;

use wit_parser::{Docs, Function, FunctionKind, Handle, Interface, Resolve, Type, TypeDef, TypeDefKind, World, WorldItem};

use crate::tidy;

const PAGE: &str = "docs/contract.md";

const HEAD: &str = "\
# The contracts

Made from the comments in `wit/` by `cargo xtask bless contract_document`; do not edit. How an author uses them is in [authoring.md](authoring.md).
";

/// The page says what the contracts say.
#[test]
fn the_page_is_made_of_the_comments() {
    let mut resolve = Resolve::default();
    resolve.push_dir(tidy::root().join("wit")).expect("the contracts parse");
    let page = page(&resolve);
    let file = tidy::root().join(PAGE);
    if std::env::var_os("EVERWIT_BLESS").is_some() {
        fs::write(&file, &page).expect("the checkout is writable");
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page, "{PAGE} differs from the contracts: `cargo xtask bless contract_document` writes it anew");
}

#[test]
fn a_page_shows_names_types_and_comments() {
    let mut resolve = Resolve::default();
    let wit = "/// All of it.\npackage a:b@1.0.0;\n/// Things.\ninterface i {\n  /// A record.\n  record r {\n    /// Its field\n    /// of lists.\n    f: list<tuple<u8, option<string>>>,\n  }\n\
               \n  /// Does.\n  do: func(r: r) -> result<_, string>;\n}\n";
    resolve.push_str("b.wit", wit).expect("it parses");
    let page = page(&resolve);
    for part in [
        "## a:b@1.0.0\n\nAll of it.\n",
        "### a:b/i@1.0.0\n\nThings.\n",
        "**record `r`**: A record.\n\n| field | type | |\n|---|---|---|\n| `f` | `list<tuple<u8, option<string>>>` | Its field of lists. |\n",
        "**`do(r: r) -> result<_, string>`**: Does.\n",
    ] {
        assert!(page.contains(part), "{part}\nis not in\n{page}");
    }
}

fn page(resolve: &Resolve) -> String {
    let mut page = HEAD.to_owned();
    let mut packages: Vec<_> = resolve.packages.iter().map(|(_, package)| package).collect();
    packages.sort_by_key(|package| package.name.to_string());
    for package in packages {
        let _ = write!(page, "\n## {}\n\n{}\n", package.name, text(&package.docs));
        for &id in package.worlds.values() {
            world(&mut page, resolve, &resolve.worlds[id]);
        }
        for &id in package.interfaces.values() {
            let name = resolve.id_of(id).unwrap_or_default();
            interface(&mut page, resolve, &name, &resolve.interfaces[id]);
        }
    }
    page
}

fn world(page: &mut String, resolve: &Resolve, world: &World) {
    let _ = write!(page, "\n### world {}\n\n{}\n\n", world.name, text(&world.docs));
    for (what, items) in [("imports", &world.imports), ("exports", &world.exports)] {
        let named = items.values().filter_map(|item| match item {
            WorldItem::Interface { id, .. } => resolve.id_of(*id),
            _ => None,
        });
        // Types come along with what uses them.
        let names: Vec<String> = named.filter(|name| !name.starts_with("everwit:types/")).map(|name| format!("`{name}`")).collect();
        let _ = writeln!(page, "- {what} {}", names.join(", "));
    }
}

fn interface(page: &mut String, resolve: &Resolve, name: &str, interface: &Interface) {
    let _ = write!(page, "\n### {name}\n\n{}\n", text(&interface.docs));
    for (name, &id) in &interface.types {
        definition(page, resolve, name, &resolve.types[id]);
        let methods = interface.functions.values().filter(|function| resource_of(function) == Some(id));
        methods.for_each(|method| function(page, resolve, method));
    }
    for free in interface.functions.values().filter(|function| resource_of(function).is_none()) {
        function(page, resolve, free);
    }
}

/// The resource that a function is a method of.
fn resource_of(function: &Function) -> Option<wit_parser::TypeId> {
    match function.kind {
        FunctionKind::Method(id) | FunctionKind::Static(id) | FunctionKind::Constructor(id) => Some(id),
        _ => None,
    }
}

fn function(page: &mut String, resolve: &Resolve, function: &Function) {
    let parameters = function.params.iter().filter(|param| param.name != "self");
    let parameters: Vec<String> = parameters.map(|param| format!("{}: {}", param.name, kind(resolve, &param.ty))).collect();
    let result = function.result.as_ref().map(|result| format!(" -> {}", kind(resolve, result))).unwrap_or_default();
    let name = function.name.rsplit(']').next().unwrap_or_default();
    let _ = write!(page, "\n**`{name}({}){result}`**: {}\n", parameters.join(", "), text(&function.docs));
}

/// A type that the interface defines; one that it only uses is shown where it is defined.
fn definition(page: &mut String, resolve: &Resolve, name: &str, def: &TypeDef) {
    let mut table = |what: &str, column: &str, rows: Vec<(String, Option<String>, &Docs)>| {
        let typed = rows.iter().any(|(_, kind, _)| kind.is_some());
        let (head, line) = if typed { ("| type ", "|---") } else { ("", "") };
        let _ = write!(page, "\n**{what} `{name}`**: {}\n\n| {column} {head}| |\n|---{line}|---|\n", text(&def.docs));
        for (name, kind, docs) in rows {
            let kind = if typed { format!("| {} ", kind.map(|kind| format!("`{kind}`")).unwrap_or_default()) } else { String::new() };
            let _ = writeln!(page, "| `{name}` {kind}| {} |", text(docs).replace('|', "\\|"));
        }
    };
    match &def.kind {
        TypeDefKind::Record(record) => {
            let row = |field: &wit_parser::Field| (field.name.clone(), Some(kind(resolve, &field.ty)));
            table("record", "field", record.fields.iter().map(|field| (row(field).0, row(field).1, &field.docs)).collect());
        }
        TypeDefKind::Variant(variant) => {
            let payload = |case: &wit_parser::Case| case.ty.as_ref().map(|ty| kind(resolve, ty));
            table("variant", "case", variant.cases.iter().map(|case| (case.name.clone(), payload(case), &case.docs)).collect());
        }
        TypeDefKind::Enum(cases) => table("enum", "case", cases.cases.iter().map(|case| (case.name.clone(), None, &case.docs)).collect()),
        TypeDefKind::Flags(flags) => table("flags", "flag", flags.flags.iter().map(|flag| (flag.name.clone(), None, &flag.docs)).collect()),
        TypeDefKind::Resource => {
            let _ = write!(page, "\n**resource `{name}`**: {}\n", text(&def.docs));
        }
        TypeDefKind::Type(Type::Id(_)) if def.docs.is_empty() => {}
        other => {
            let _ = write!(page, "\n**type `{name}`** = `{}`: {}\n", structure(resolve, other), text(&def.docs));
        }
    }
}

/// A type as the contract writes it.
fn kind(resolve: &Resolve, ty: &Type) -> String {
    match ty {
        Type::Bool => "bool".into(),
        Type::U8 => "u8".into(),
        Type::U16 => "u16".into(),
        Type::U32 => "u32".into(),
        Type::U64 => "u64".into(),
        Type::S8 => "s8".into(),
        Type::S16 => "s16".into(),
        Type::S32 => "s32".into(),
        Type::S64 => "s64".into(),
        Type::F32 => "f32".into(),
        Type::F64 => "f64".into(),
        Type::Char => "char".into(),
        Type::String => "string".into(),
        Type::ErrorContext => "error-context".into(),
        Type::Id(id) => {
            let def = &resolve.types[*id];
            def.name.clone().unwrap_or_else(|| structure(resolve, &def.kind))
        }
    }
}

fn structure(resolve: &Resolve, def: &TypeDefKind) -> String {
    let or_nothing = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), |ty| kind(resolve, ty));
    match def {
        TypeDefKind::Type(ty) => kind(resolve, ty),
        TypeDefKind::Option(ty) => format!("option<{}>", kind(resolve, ty)),
        TypeDefKind::List(ty) => format!("list<{}>", kind(resolve, ty)),
        TypeDefKind::Tuple(tuple) => {
            let types: Vec<String> = tuple.types.iter().map(|ty| kind(resolve, ty)).collect();
            format!("tuple<{}>", types.join(", "))
        }
        TypeDefKind::Result(result) => match (&result.ok, &result.err) {
            (None, None) => "result".to_owned(),
            (ok, None) => format!("result<{}>", or_nothing(ok)),
            (ok, err) => format!("result<{}, {}>", or_nothing(ok), or_nothing(err)),
        },
        TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", resolve.types[*id].name.as_deref().unwrap_or("?")),
        TypeDefKind::Handle(Handle::Own(id)) => resolve.types[*id].name.clone().unwrap_or_default(),
        other => panic!("the contracts use {}, which the page cannot show yet", other.as_str()),
    }
}

/// A comment as one paragraph; lists keep their lines.
fn text(docs: &Docs) -> String {
    let contents = docs.contents.as_deref().unwrap_or_default().trim();
    let mut text = String::new();
    for line in contents.lines() {
        match (text.is_empty(), line.is_empty() || line.starts_with("- ")) {
            (true, _) => {}
            (false, true) => text.push('\n'),
            (false, false) => text.push(if text.ends_with('\n') { '\n' } else { ' ' }),
        }
        text.push_str(line.trim());
    }
    text
}
