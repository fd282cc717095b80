//! Components that the tests use, built by `cargo xtask components`.

use std::path::{Path, PathBuf};

/// The bytes of a test guest or a shipped component, by its file name without `.wasm`.
///
/// # Panics
/// If it has not been built.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    let target = target();
    let places = ["test-guests", "components"].map(|folder| target.join(folder).join(name).with_extension("wasm"));
    let found = places.iter().find_map(|path| std::fs::read(path).ok());
    found.unwrap_or_else(|| panic!("there is no {name}.wasm in {}; build it with: cargo xtask components", target.display()))
}

/// The target directory: that of the binary which is tested.
fn target() -> PathBuf {
    let profile = Path::new(super::EVERWIT).parent().expect("a binary is in a directory");
    profile.parent().expect("a profile has a directory").to_owned()
}
