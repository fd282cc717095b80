//! For languages whose own tools know nothing of components: the SDK with the contracts, and the contract in the core module.

use std::fs;
use std::path::{Path, PathBuf};

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::cli::new::{Language, unpack_sdk, vendored_sdk};
use crate::cli::output::Failure;

/// World that capabilities are written for.
const WORLD: &str = "capability";

/// The SDK that the project carries, or else this program's own, below the folder of its results.
pub(super) fn sdk(language: Language, dir: &Path, out: &Path) -> Result<PathBuf, Failure> {
    let vendored = dir.join(vendored_sdk(language));
    if vendored.is_dir() {
        return Ok(vendored);
    }
    let place = out.join("everwit-guest");
    unpack_sdk(language, &place)?;
    Ok(place)
}

/// Writes into a core module which contract of the SDK it keeps.
pub(super) fn embed(core: &Path, sdk: &Path) -> Result<(), Failure> {
    let failed = |error: String| Failure::failed(format!("{} cannot be given its contract: {error}", core.display()));
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(sdk.join("wit")).map_err(|error| failed(format!("{error:#}")))?;
    let world = resolve.select_world(&[package], Some(WORLD)).map_err(|error| failed(format!("{error:#}")))?;
    let mut wasm = fs::read(core).map_err(|error| failed(error.to_string()))?;
    embed_component_metadata(&mut wasm, &resolve, world, StringEncoding::UTF8).map_err(|error| failed(format!("{error:#}")))?;
    fs::write(core, wasm).map_err(|error| failed(error.to_string()))
}
