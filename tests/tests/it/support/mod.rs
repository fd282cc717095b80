//! What several tests need: built components, the real server as a child process, an HTTP
//! client, and a reader of event streams.

mod api;
pub(crate) mod cluster;
pub(crate) mod embedded;
pub(crate) mod guests;
pub(crate) mod interrupted;
pub(crate) mod mutation;
pub(crate) mod planted;
pub(crate) mod port;
pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod random;
pub(crate) mod s3;
mod server;
pub(crate) mod sqlite;
mod sse;
pub(crate) mod terminal;

use std::path::Path;

pub(crate) use api::{Answer, Api, send};
pub(crate) use guests::guest;
pub(crate) use server::{CANARY, EVERWIT, Server, ServerOptions, everwit, mode};
pub(crate) use sse::{EventStream, Frame};

/// The files below a directory that contain a text.
pub(crate) fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if std::fs::read(&path).expect("a file").windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}
