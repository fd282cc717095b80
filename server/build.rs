//! Puts the guest SDKs and the templates of new projects into the binary, so that `everwit new`
//! needs neither network nor checkout. A build script and not one of the embedding macros, because those
//! take whole folders, and these hold installed dependencies beside the sources.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Files and folders of the repository that are embedded, with the names under which they are found.
const EMBEDDED: [(&str, &str); 37] = [
    ("wit", "wit"),
    ("components/Cargo.toml", "rust/workspace.toml"),
    ("components/Cargo.lock", "rust/Cargo.lock"),
    ("guest-sdk/rust/Cargo.toml", "rust/sdk/Cargo.toml"),
    ("guest-sdk/rust/README.md", "rust/sdk/README.md"),
    ("guest-sdk/rust/src", "rust/sdk/src"),
    ("guest-sdk/rust/macros", "rust/sdk/macros"),
    ("guest-sdk/rust/template", "rust/template"),
    ("guest-sdk/js/package.json", "js/sdk/package.json"),
    ("guest-sdk/js/README.md", "js/sdk/README.md"),
    ("guest-sdk/js/bin", "js/sdk/bin"),
    ("guest-sdk/js/build", "js/sdk/build"),
    ("guest-sdk/js/src", "js/sdk/src"),
    ("guest-sdk/js/testing", "js/sdk/testing"),
    ("guest-sdk/js/types", "js/sdk/types"),
    ("guest-sdk/js/template", "js/template"),
    ("guest-sdk/python/README.md", "python/sdk/README.md"),
    ("guest-sdk/python/everwit_guest", "python/sdk/everwit_guest"),
    ("guest-sdk/python/template", "python/template"),
    ("guest-sdk/c/README.md", "c/sdk/README.md"),
    ("guest-sdk/c/include", "c/sdk/include"),
    ("guest-sdk/c/src", "c/sdk/src"),
    ("guest-sdk/c/generated", "c/sdk/generated"),
    ("guest-sdk/c/template", "c/template"),
    ("guest-sdk/go/README.md", "go/sdk/README.md"),
    ("guest-sdk/go/go.mod", "go/sdk/go.mod"),
    ("guest-sdk/go/guest.go", "go/sdk/guest.go"),
    ("guest-sdk/go/call.go", "go/sdk/call.go"),
    ("guest-sdk/go/failure.go", "go/sdk/failure.go"),
    ("guest-sdk/go/log.go", "go/sdk/log.go"),
    ("guest-sdk/go/schema.go", "go/sdk/schema.go"),
    ("guest-sdk/go/tool.go", "go/sdk/tool.go"),
    ("guest-sdk/go/http", "go/sdk/http"),
    ("guest-sdk/go/kv", "go/sdk/kv"),
    ("guest-sdk/go/secrets", "go/sdk/secrets"),
    ("guest-sdk/go/internal", "go/sdk/internal"),
    ("guest-sdk/go/template", "go/template"),
];

fn main() -> io::Result<()> {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let root = package.parent().map(Path::to_owned).unwrap_or_default();
    let mut table = String::from("&[\n");
    for (place, name) in EMBEDDED {
        let place = root.join(place);
        println!("cargo::rerun-if-changed={}", place.display());
        embed(&place, name, &mut table)?;
    }
    table.push(']');
    let out = env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    fs::write(out.join("carried.rs"), table)
}

/// Adds a file, or all files of a folder, to the table.
fn embed(place: &Path, name: &str, table: &mut String) -> io::Result<()> {
    if !place.is_dir() {
        let _ = writeln!(table, "    ({name:?}, include_bytes!({place:?})),");
        return Ok(());
    }
    let mut entries = fs::read_dir(place)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let file = entry.file_name();
        if file == "__pycache__" {
            continue;
        }
        embed(&entry.path(), &format!("{name}/{}", file.to_string_lossy()), table)?;
    }
    Ok(())
}
