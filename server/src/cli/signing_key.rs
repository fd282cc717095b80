//! `everwit signing-key`: a key to sign components with, and the public key that an org is told.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use everwit_runtime::component::SigningKey;
use serde_json::json;
use zeroize::Zeroizing;

use super::output::{Failure, note, print};

/// Only its owner reads it.
const PRIVATE_FILE: u32 = 0o600;
/// Bytes of a file with a private key.
const MAX_KEY_BYTES: u64 = 4_096;

const HELP: &str = "\
An admin tells the org to trust it:
  PATCH /v1/orgs/{org} {\"component_signatures\": {\"policy\": \"require\", \"keys\": [{\"name\": \"ci\", \"public_key\": \"...\"}]}}
and the author signs with: everwit push --sign FILE";

/// Options of `everwit signing-key`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct SigningKeyArgs {
    /// The file with the private key; made if there is none. Keys of OpenSSL are read as well.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &SigningKeyArgs) -> Result<(), Failure> {
    let key = if args.file.exists() { read_key(&args.file)? } else { make_key(&args.file)? };
    let public_key = key.public_key();
    print(&if args.json { json!({ "public_key": public_key }).to_string() } else { public_key })
}

/// The private key in a file.
pub(super) fn read_key(file: &Path) -> Result<SigningKey, Failure> {
    let cannot = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    if std::fs::metadata(file).map_err(|error| cannot(&error))?.len() > MAX_KEY_BYTES {
        return Err(cannot(&format!("it has more than {MAX_KEY_BYTES} bytes, which is no key")));
    }
    let text = Zeroizing::new(std::fs::read_to_string(file).map_err(|error| cannot(&error))?);
    SigningKey::from_pem(&text).map_err(|error| cannot(&error))
}

/// Writes a new key, and never over anything.
fn make_key(file: &Path) -> Result<SigningKey, Failure> {
    let cannot = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", file.display()));
    let key = SigningKey::generate().map_err(|error| cannot(&error))?;
    let pem = key.to_pem().map_err(|error| cannot(&error))?;
    let opened = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(file);
    let written = opened.and_then(|mut opened| opened.write_all(pem.as_bytes()).and_then(|()| opened.sync_all()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => cannot(&"somebody has just made it; try again"),
        _ => cannot(&error),
    })?;
    note(&format!("a new private key is in {}", file.display()));
    Ok(key)
}
