//! `everwit wrap`: a component with plain functions becomes a capability with one tool a function.
//!
//! The wrapped component stays as it is, inside of the result. Before it stands an adapter, itself a component: the compiled crate
//! `guest-sdk/wrap`, which interprets signatures, linked to a module that calls the functions. Hosts see an ordinary capability.

mod adapter;
mod compose;
mod docs;
mod reflect;
mod shape;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use wit_component::DecodedWasm;
use wit_parser::{Resolve, WorldId, WorldKey};

use super::block_on;
use super::build;
use super::new::name;
use super::output::{Failure, harmless, note, print};
use super::workbench::read_wasm;
use reflect::Function;

const HELP: &str = "\
Each exported function becomes a tool: its arguments are an object of its parameters, its JSON Schema comes from their types. Words of WIT's
names are joined with _. An option may be left out or null, list<u8> is base64, a variant is the name of its case or an object of that
name and the case's value, flags are an array of names, and a result's error is a failure of the tool.

Functions with resources, streams or futures are left out and named: nothing that such a handle stands for outlives a call.
Each call runs in an instance of its own, so that a function finds nothing that an earlier call has left in memory.

Components rarely carry the comments of their WIT. --wit reads them from its source, for the descriptions that models choose tools by.

Exit codes: 0 done, 1 failed, 2 wrong usage.";

/// Most tools of a capability.
const MAX_TOOLS: usize = 128;

/// Exports by which componentize-qjs and componentize-py start the engine while they build, and which nobody calls later.
const LEFTOVERS: [&str; 2] = ["init", "exports"];

/// Options of `everwit wrap`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct WrapArgs {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Where the capability goes.
    #[arg(short, long, value_name = "OUT.wasm")]
    output: PathBuf,
    /// Id of the capability; made of the file's name if absent.
    #[arg(long, value_parser = name)]
    id: Option<String>,
    /// Human-readable name; made of the id if absent.
    #[arg(long)]
    title: Option<String>,
    /// What it is for, in one or two sentences.
    #[arg(long)]
    summary: Option<String>,
    /// Semantic version; that of the functions' package if absent, or else 0.1.0.
    #[arg(long, value_name = "VERSION")]
    set_version: Option<String>,
    /// Take only this tool. Repeatable.
    #[arg(long, value_name = "TOOL")]
    only: Vec<String>,
    /// WIT file, or folder of a WIT package, with the functions' comments.
    #[arg(long, value_name = "PATH")]
    wit: Option<PathBuf>,
}

pub(crate) fn run(args: &WrapArgs) -> Result<(), Failure> {
    let foreign = read_wasm(&args.file)?;
    let (mut resolve, world) = decode(&args.file, &foreign)?;
    if let Some(source) = &args.wit {
        docs::add(&mut resolve, world, source)?;
    }
    let functions = chosen(args, &resolve, world)?;
    let description = describe(args, &resolve, world, &functions)?;
    let wrapped = wrap(resolve, world, &foreign, &functions, &description)
        .map_err(|error| Failure::failed(format!("{} cannot be wrapped: {error:#}", args.file.display())))?;
    let Some(build::Described { wasm, .. }) = block_on(build::describe(&args.output, wrapped))? else {
        return Err(Failure::silent());
    };
    build::write(&args.output, &wasm)?;
    note(&format!("tools: {}", functions.iter().map(|function| function.tool.as_str()).collect::<Vec<_>>().join(", ")));
    print(&args.output.display().to_string())
}

/// The types of a component and the world that it keeps.
fn decode(path: &Path, wasm: &[u8]) -> Result<(Resolve, WorldId), Failure> {
    let cannot = |what: &str, fix: &str| Failure::failed(format!("{} {what}\nto fix it: {fix}", path.display()));
    if !wasmparser::Parser::is_component(wasm) {
        let fix = "make a component of it with everwit componentize, if it has its WIT embedded, or with its language's own tool";
        return Err(cannot("is no component", fix));
    }
    let decoded = wit_component::decode(wasm).map_err(|error| Failure::failed(format!("{} cannot be read: {error:#}", path.display())))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(cannot("holds WIT and no code", "name the component that was built from it"));
    };
    let exports = resolve.worlds[world].exports.keys().map(|key| resolve.name_world_key(key));
    if exports.into_iter().any(|name| name.starts_with("everwit:")) {
        return Err(cannot("is an Everwit component already", "use it as it is; everwit inspect says what it is"));
    }
    Ok((resolve, world))
}

/// The functions that become tools. What is left out is told.
fn chosen(args: &WrapArgs, resolve: &Resolve, world: WorldId) -> Result<Vec<Function>, Failure> {
    let (mut functions, mut left_out) = reflect::functions(resolve, world);
    functions.retain(|function| {
        let leftover =
            matches!(&function.key, WorldKey::Name(name) if LEFTOVERS.contains(&name.as_str())) && !args.only.contains(&function.tool);
        if leftover {
            let reason =
                format!("build tools leave such an export in components that hold a language's engine; --only {} takes it", function.tool);
            left_out.push((function.function.name.clone(), reason));
        }
        !leftover
    });
    for (name, reason) in &left_out {
        note(&format!("left out: {}: {}", harmless(name), harmless(reason)));
    }
    let file = args.file.display();
    let tools: BTreeSet<&String> = functions.iter().map(|function| &function.tool).collect();
    if let Some(unknown) = args.only.iter().find(|only| !tools.contains(only)) {
        let names = tools.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(format!("--only {unknown}: {file} has no such function that can become a tool; there is {names}")));
    }
    if !args.only.is_empty() {
        functions.retain(|function| args.only.contains(&function.tool));
    }
    match functions.len() {
        0 => {
            let fix = "export functions whose parameters and results are data: numbers, strings, lists, records and the like";
            Err(Failure::failed(format!("{file} exports no function that can become a tool\nto fix it: {fix}")))
        }
        1..=MAX_TOOLS => Ok(functions),
        many => {
            let fix = "choose with --only";
            Err(Failure::failed(format!(
                "{file} exports {many} functions, more than the {MAX_TOOLS} tools of a capability\nto fix it: {fix}"
            )))
        }
    }
}

/// The description in the form in which the adapter reads it.
fn describe(args: &WrapArgs, resolve: &Resolve, world: WorldId, functions: &[Function]) -> Result<Value, Failure> {
    let id = match &args.id {
        Some(id) => id.clone(),
        None => {
            let stem = args.file.file_stem().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            let words: Vec<&str> = stem.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
            name(&words.join("-"))
                .map_err(|error| Failure::usage(format!("the file's name makes no id: {error}\nto fix it: give one with --id")))?
        }
    };
    let interfaces = functions.iter().filter_map(|function| match function.key {
        WorldKey::Interface(id) => Some(id),
        WorldKey::Name(_) => None,
    });
    let interfaces: BTreeSet<_> = interfaces.collect();
    let version = interfaces.iter().find_map(|id| resolve.packages[resolve.interfaces[*id].package?].name.version.as_ref());
    let version = args.set_version.clone().or_else(|| version.map(ToString::to_string));
    let comments = interfaces.iter().find_map(|id| resolve.interfaces[*id].docs.contents.clone());
    let names = || interfaces.iter().filter_map(|id| resolve.id_of(*id)).collect::<Vec<_>>().join(", ");
    let functions_of = || if interfaces.is_empty() { "Functions of a component.".to_owned() } else { format!("Functions of {}.", names()) };
    Ok(json!({
        "title": args.title.clone().unwrap_or_else(|| reflect::title(&id)),
        "id": id,
        "version": version.unwrap_or_else(|| "0.1.0".to_owned()),
        "summary": args.summary.clone().or(comments).unwrap_or_else(functions_of),
        "pure": is_pure(resolve, world),
        "tools": functions.iter().map(|function| function.description.clone()).collect::<Vec<_>>(),
    }))
}

/// Whether a component reaches nothing outside of a call: hosts answer WASI's interfaces with nothing but time, randomness and the log.
fn is_pure(resolve: &Resolve, world: WorldId) -> bool {
    let mut names = resolve.worlds[world].imports.keys().map(|key| resolve.name_world_key(key));
    names
        .all(|name| ["wasi:", "everwit:host/log@", "everwit:host/clock@", "everwit:host/random@"].iter().any(|free| name.starts_with(free)))
}

/// The capability.
fn wrap(mut resolve: Resolve, world: WorldId, foreign: &[u8], functions: &[Function], description: &Value) -> anyhow::Result<Vec<u8>> {
    let mut texts = vec![description.to_string()];
    texts.extend(functions.iter().flat_map(|function| [function.tool.clone(), function.signature.to_string()]));
    let main = adapter::with_texts(&texts)?;
    let contracts = adapter::contracts()?;
    // What the component imports stays, beside what the adapter imports.
    let mut outer = resolve.clone();
    outer.merge(contracts)?;
    resolve.importize(world, None)?;
    let adapter = adapter::component(&resolve, world, functions, &main)?;
    compose::compose(outer, world, foreign, &adapter)
}
