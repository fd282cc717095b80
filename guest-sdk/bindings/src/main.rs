//! Makes the bindings of the SDKs for C and Go from the contracts: `cargo run --package everwit-guest-bindings` in `components/`,
//! after a change of `wit/`. They are checked in, so that an author needs no generator.

use std::fs;
use std::path::{Path, PathBuf};

use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator};

/// World that capabilities are written for.
const WORLD: &str = "capability";
/// The Go module of the SDK.
const GO_MODULE: &str = "everwit.dev/guest";

fn main() {
    for (path, content) in bindings() {
        let folder = path.parent().expect("a file lies in a folder");
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, content));
        written.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }
}

/// The files with their contents.
fn bindings() -> Vec<(PathBuf, String)> {
    let sdks = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    // What the component's type is, `everwit build` writes into it.
    let c = wit_bindgen_c::Opts { no_object_file: true, ..Default::default() }.build();
    let go = wit_bindgen_go::Opts { format: wit_bindgen_go::Format::False, ..Default::default() }.build();
    let mut all: Vec<(PathBuf, String)> =
        generate(&sdks, c).into_iter().map(|(name, content)| (sdks.join("c/generated").join(name), content)).collect();
    for (name, content) in generate(&sdks, go) {
        let place = match name.as_str() {
            "go.mod" => continue,
            "wit_exports.go" => "exports/wit_exports.go".to_owned(),
            package => format!("bindings/{package}"),
        };
        all.push((sdks.join("go/internal").join(place), as_part_of_the_sdk(&content)));
    }
    all
}

fn generate(sdks: &Path, mut generator: Box<dyn WorldGenerator>) -> Vec<(String, String)> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(sdks.join("../wit")).expect("the contracts parse");
    let world = resolve.select_world(&[package], Some(WORLD)).expect("the contracts have the world");
    let mut files = Files::default();
    generator.generate(&mut resolve, world, &mut files).expect("the contracts have bindings");
    let text = |content: &[u8]| String::from_utf8(content.to_vec()).expect("sources are text");
    files.iter().map(|(name, content)| (name.to_owned(), text(content))).collect()
}

/// The generator writes a program; an SDK has the same packages inside of its module.
fn as_part_of_the_sdk(source: &str) -> String {
    let source = source.replace("\"wit_component/", &format!("\"{GO_MODULE}/internal/bindings/"));
    let source = source.replace("\"go.bytecodealliance.org/pkg/wit/", &format!("\"{GO_MODULE}/internal/wit/"));
    let package = "// Package exports holds the component's exports.\npackage exports\n";
    source.replace("package main\n", package).replace("\nfunc main() {}\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bindings_are_those_of_the_contracts() {
        for (path, content) in bindings() {
            let kept = fs::read_to_string(&path).unwrap_or_default();
            assert!(kept == content, "{} is out of date: `cargo run --package everwit-guest-bindings` in components/", path.display());
        }
    }
}
