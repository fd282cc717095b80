//! The target that Rust guests are compiled for.
//!
//! rustup delivers it where its download server can be reached. Where only Debian's mirror and
//! the crate registry can, the same toolchain is put together from Debian's `rustc-web` and
//! `rust-web-src`, a matched pair of compiler and standard library sources, and the linker that
//! every rustup toolchain carries; rustup then knows it as the toolchain `wasm`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Error, Result, at, read, run};
use crate::tools::{apt_install, version};

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler, whatever stands before it in PATH.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src/rust/library/Cargo.lock";
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// Which toolchain compiles guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The one that compiles the host too: `cargo build`.
    Default,
    /// The one of [`from_debian`]: `cargo +wasm build`.
    Wasm,
}

impl Toolchain {
    /// What stands between `cargo` and its subcommand.
    pub(crate) fn argument(self) -> Option<&'static str> {
        match self {
            Self::Default => None,
            Self::Wasm => Some("+wasm"),
        }
    }
}

/// Finds a toolchain with the target, adding it if there is none.
pub(crate) fn ensure() -> Result<Toolchain> {
    if default_has_target() {
        return Ok(Toolchain::Default);
    }
    let debian = Debian::find()?;
    if debian.is_complete() {
        return debian.link();
    }
    eprintln!("adding the Rust target {TARGET}");
    if run(Command::new("rustup").args(["target", "add", TARGET])).is_ok() && default_has_target() {
        return Ok(Toolchain::Default);
    }
    eprintln!("rustup cannot add it here, so it is built from Debian's {}", DEBIAN_PACKAGES.join(" and "));
    debian.make()
}

/// Makes the toolchain `wasm` even if the default one has the target.
pub(crate) fn from_debian() -> Result<Toolchain> {
    let debian = Debian::find()?;
    if debian.is_complete() { debian.link() } else { debian.make() }
}

fn default_has_target() -> bool {
    let printed = read(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]));
    let entries = printed.ok().and_then(|folder| fs::read_dir(folder.trim()).ok());
    entries.is_some_and(|mut entries| {
        entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libcore-")))
    })
}

/// The toolchain that is put together from Debian's packages.
struct Debian {
    /// Its sysroot, outside of the checkout because rustup refers to it.
    place: PathBuf,
    /// Sysroot of the default toolchain, for cargo and the linker.
    default: PathBuf,
    /// Target triple of this machine.
    host: String,
}

impl Debian {
    fn find() -> Result<Self> {
        let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
        let home = || std::env::home_dir().map(|home| home.join(".local/share"));
        let data = data.or_else(home).ok_or_else(|| Error::new("there is no home directory").fix("set XDG_DATA_HOME"))?;
        let default = read(Command::new("rustc").args(["--print", "sysroot"]))?;
        let verbose = read(Command::new("rustc").arg("-vV"))?;
        let host = verbose.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.ok_or_else(|| Error::new("`rustc -vV` names no host"))?;
        Ok(Self { place: data.join("everwit/rust-wasm"), default: default.trim().into(), host: host.to_owned() })
    }

    /// Written last: the compiler that the standard library was built with.
    fn stamp(&self) -> PathBuf {
        self.place.join("built-with")
    }

    fn is_complete(&self) -> bool {
        let built_with = fs::read_to_string(self.stamp());
        let installed = read(Command::new(DEBIAN_RUSTC).arg("--version"));
        matches!((built_with, installed), (Ok(built_with), Ok(installed)) if built_with == installed)
    }

    fn make(&self) -> Result<Toolchain> {
        if !packages_are_installed() {
            apt_install(&DEBIAN_PACKAGES)?;
        }
        if !packages_are_installed() {
            let what = format!("Debian's {} is older than Rust {}, which guests need", DEBIAN_PACKAGES[0], env!("CARGO_PKG_RUST_VERSION"));
            return Err(Error::new(what).fix(format!("`rustup target add {TARGET}` where rustup's server can be reached")));
        }
        let installed = read(Command::new(DEBIAN_RUSTC).arg("--version"))?;
        self.lay_out()?;
        eprintln!("building the standard library for {TARGET} with {}", installed.trim());
        self.build_std()?;
        at(&self.stamp(), fs::write(self.stamp(), installed))?;
        self.link()
    }

    fn link(&self) -> Result<Toolchain> {
        run(Command::new("rustup").args(["toolchain", "link", "wasm"]).arg(&self.place))?;
        Ok(Toolchain::Wasm)
    }

    /// A sysroot whose host half is Debian's own and whose linker and cargo are rustup's.
    fn lay_out(&self) -> Result<()> {
        if self.place.exists() {
            at(&self.place, fs::remove_dir_all(&self.place))?;
        }
        let (lib, bin) = (self.place.join("lib/rustlib"), self.place.join("bin"));
        let tools = lib.join(&self.host).join("bin");
        for folder in [&bin, &tools, &self.target_lib()] {
            at(folder, fs::create_dir_all(folder))?;
        }
        let rustup_tools = self.default.join("lib/rustlib").join(&self.host).join("bin");
        let links = [
            (Path::new("/usr/lib/rustlib").join(&self.host).join("lib"), lib.join(&self.host).join("lib")),
            (PathBuf::from("/usr/lib/rustlib/src"), lib.join("src")),
            (rustup_tools.join("rust-lld"), tools.join("rust-lld")),
            (rustup_tools.join("gcc-ld"), tools.join("gcc-ld")),
            (self.default.join("bin/cargo"), bin.join("cargo")),
        ];
        for (original, link) in &links {
            at(link, symlink(original, link))?;
        }
        let rustc = bin.join("rustc");
        let script = format!("#!/bin/sh\nexec {DEBIAN_RUSTC} --sysroot='{}' \"$@\"\n", self.place.display());
        at(&rustc, fs::write(&rustc, script))?;
        at(&rustc, fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)))
    }

    fn target_lib(&self) -> PathBuf {
        self.place.join("lib/rustlib").join(TARGET).join("lib")
    }

    /// Compiles the standard library as a dependency of an empty crate and keeps the results.
    fn build_std(&self) -> Result<()> {
        let scratch = self.place.join("std");
        at(&scratch, fs::create_dir_all(scratch.join("src")))?;
        at(&scratch, fs::write(scratch.join("src/lib.rs"), "#![no_std]\n"))?;
        let manifest = "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n\
                        [profile.release]\npanic = \"abort\"\nopt-level = \"s\"\ncodegen-units = 1\n";
        at(&scratch, fs::write(scratch.join("Cargo.toml"), manifest))?;
        let mut build = Command::new(self.default.join("bin/cargo"));
        build.current_dir(&scratch).args(["build", "--quiet", "--release", "--target", TARGET]);
        build.args(["-Z", "build-std=std,panic_abort"]).env("RUSTC", self.place.join("bin/rustc"));
        // `-Z build-std` is a switch of nightly compilers. Bitcode, beside machine code, is what
        // guests with link-time optimisation are linked from.
        build.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-C embed-bitcode=yes").env("CARGO_TARGET_DIR", scratch.join("target"));
        run(&mut build)?;
        let compiled = scratch.join("target").join(TARGET).join("release/deps");
        for entry in at(&compiled, fs::read_dir(&compiled))? {
            let file = at(&compiled, entry)?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".rlib") && !name.starts_with("libempty") {
                at(&file, fs::copy(&file, self.target_lib().join(name)))?;
            }
        }
        at(&scratch, fs::remove_dir_all(&scratch))
    }
}

/// Whether compiler and sources are there and new enough. Debian's other Rust packages, which are
/// older, put theirs in the same places.
fn packages_are_installed() -> bool {
    let installed = read(Command::new(DEBIAN_RUSTC).arg("--version"));
    let least = version(concat!(env!("CARGO_PKG_RUST_VERSION"), ".0"));
    Path::new(DEBIAN_SOURCES).exists() && installed.is_ok_and(|installed| version(&installed) >= least)
}
