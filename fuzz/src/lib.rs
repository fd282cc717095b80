//! The fuzz targets of the runtime, for a fuzzer that is guided by what it covers. They are the same
//! functions that the project's tests run over seeded mutations, so that what is found here is kept in
//! `tests/corpus` and tried in every test run from then on.

/// Hands bytes to a target.
///
/// # Panics
/// If there is no such target, or a promise of it is broken.
pub fn run(name: &str, bytes: &[u8]) {
    let target = everwit_runtime::sandbox::fuzz::TARGETS.into_iter().find(|(known, _)| *known == name);
    let (_, target) = target.unwrap_or_else(|| panic!("there is no target {name:?}"));
    target(bytes);
}
