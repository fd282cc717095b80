//! Building a C project: its sources and the SDK's, with the C compiler that zig brings along with a C library for WebAssembly.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::contract::{embed, sdk};
use super::python::{environment, run};
use crate::cli::new::Language;
use crate::cli::output::Failure;

/// The manifest of a C project.
pub(super) const MANIFEST: &str = "everwit.toml";
/// Where a build leaves its results in the project.
const DIST: &str = "dist";
/// Bytes of the guest's stack. zig's linker puts it below everything else, so that an overflow is a trap.
const STACK_BYTES: u32 = 256 << 10;
/// Bytes of memory from the start: enough for a normal call, which then need not grow it.
const MEMORY_BYTES: u32 = 2 << 20;

/// A failed assertion goes to the SDK.
const ASSERT: &str = "-D__assert_fail=ew_assert_failed";

/// `everwit.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    #[serde(default)]
    c: C,
}

/// What is compiled, and how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct C {
    /// Files, and folders whose `.c` files are compiled.
    sources: Vec<PathBuf>,
    /// Folders of headers beside the SDK's.
    include: Vec<PathBuf>,
    /// Flags of the compiler beside its own.
    flags: Vec<String>,
}

impl Default for C {
    fn default() -> Self {
        Self { sources: vec!["src".into()], include: Vec::new(), flags: Vec::new() }
    }
}

/// Builds the project and gives its core module.
pub(super) fn build(dir: &Path) -> Result<PathBuf, Failure> {
    let failed = |what: &str, error: std::io::Error| Failure::failed(format!("cannot {what}: {error}"));
    let dir = dir.canonicalize().map_err(|error| failed(&format!("read {}", dir.display()), error))?;
    let manifest = manifest(&dir)?;
    let environment = environment(&dir, Language::C)?;
    let out = dir.join(DIST);
    fs::create_dir_all(&out).map_err(|error| failed(&format!("write into {}", out.display()), error))?;
    let sdk = sdk(Language::C, &dir, &out)?;
    let core = out.join("core.wasm");
    let mut compile = Command::new(environment.join("bin/python"));
    compile.args(["-m", "ziglang", "cc"]).current_dir(&dir).args(flags(&dir, &sdk, &manifest.c)).arg("-o").arg(&core);
    for source in manifest.c.sources.iter().chain([&sdk.join("src"), &sdk.join("generated")]) {
        compile.args(sources(&dir, source)?);
    }
    run(&mut compile, "zig cc", Language::C)?;
    embed(&core, &sdk)?;
    Ok(core)
}

fn manifest(dir: &Path) -> Result<Manifest, Failure> {
    let path = dir.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(|error| Failure::failed(format!("cannot read {}: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

fn flags(dir: &Path, sdk: &Path, project: &C) -> Vec<OsString> {
    // zig leaves assertions out of optimised builds; here they tell what went wrong, and where.
    let mut flags: Vec<OsString> =
        ["-target", "wasm32-wasi", "-std=gnu17", "-Os", "-mexec-model=reactor", "-s", "-UNDEBUG", ASSERT].map(Into::into).into();
    flags.push(format!("-Wl,-z,stack-size={STACK_BYTES}").into());
    flags.push(format!("-Wl,--initial-memory={MEMORY_BYTES}").into());
    // Of several prefixes that fit the last one counts.
    for (folder, name) in [(dir, "."), (sdk, "everwit-guest")] {
        flags.push(format!("-ffile-prefix-map={}={name}", folder.display()).into());
    }
    for include in [sdk.join("include"), sdk.join("generated")].iter().chain(&project.include) {
        flags.extend(["-I".into(), include.into()]);
    }
    flags.extend(project.flags.iter().map(Into::into));
    flags
}

/// The sources that a path of the manifest stands for, sorted.
fn sources(dir: &Path, path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let place = dir.join(path);
    if place.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(&place).map_err(|error| Failure::failed(format!("sources in {}: {error}", place.display())))?;
    let names =
        entries.filter_map(|entry| Some(entry.ok()?.file_name())).filter(|name| Path::new(name).extension().is_some_and(|end| end == "c"));
    let mut found: Vec<PathBuf> = names.map(|name| path.join(name)).collect();
    found.sort();
    match found.is_empty() {
        true => Err(Failure::failed(format!("there are no .c files in {}", place.display()))),
        false => Ok(found),
    }
}
