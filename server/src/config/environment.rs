//! What the environment says besides the configuration of servers.

use std::ffi::OsString;
use std::path::PathBuf;

/// Whether the caller of a command wants no colours.
pub(crate) fn wants_no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// What the environment says about the author's Rust installation.
pub(crate) struct RustEnvironment {
    /// Where cargo keeps the sources of dependencies.
    pub(crate) cargo_home: Option<PathBuf>,
    /// Where rustup keeps toolchains.
    pub(crate) rustup_home: Option<PathBuf>,
    /// Compiler flags, which take the place of those in cargo's configuration.
    pub(crate) flags: Option<Vec<OsString>>,
}

impl RustEnvironment {
    pub(crate) fn read() -> Self {
        let home = |variable: &str, default: &str| {
            let set = std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
            set.or_else(|| std::env::home_dir().map(|home| home.join(default)))
        };
        let split = |variable: &str, separator: char| {
            let flags = std::env::var_os(variable)?;
            let flags = flags.to_string_lossy();
            Some(flags.split(separator).filter(|flag| !flag.is_empty()).map(OsString::from).collect::<Vec<_>>())
        };
        let flags = split("CARGO_ENCODED_RUSTFLAGS", '\u{1f}').or_else(|| split("RUSTFLAGS", ' '));
        Self { cargo_home: home("CARGO_HOME", ".cargo"), rustup_home: home("RUSTUP_HOME", ".rustup"), flags }
    }
}

/// Where authors' compiled components are kept between commands: `$XDG_CACHE_HOME/everwit`, or `.cache/everwit` in the home
/// directory; none without either.
pub(crate) fn author_cache() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").filter(|home| !home.is_empty()).map(|home| PathBuf::from(home).join(".cache"));
    set.or_else(home).map(|cache| cache.join("everwit"))
}

/// The virtual environment of Python that is active, if one is.
pub(crate) fn virtual_environment() -> Option<PathBuf> {
    std::env::var_os("VIRTUAL_ENV").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Where else Python looks for modules.
pub(crate) fn python_path() -> Option<OsString> {
    std::env::var_os("PYTHONPATH").filter(|value| !value.is_empty())
}
