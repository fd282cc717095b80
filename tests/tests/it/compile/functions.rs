//! Functions that are kept from one compile to the next, for who edits a component.

use std::fs;
use std::path::{Path, PathBuf};

use super::inputs::{child, compiler_that_keeps_functions};
use crate::support::guests::guest;

/// The one file with this extension.
fn file(directory: &Path, extension: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut files = entries.filter(|path| path.extension().is_some_and(|it| it == extension));
    let file = files.next();
    assert!(files.next().is_none(), "more than one");
    file
}

fn artifact(directory: &Path) -> Vec<u8> {
    fs::read(file(directory, "cwasm").expect("an artifact")).expect("readable")
}

/// The same component with another word in its data: what an edit of a script does to a language engine.
fn edited(component: &[u8]) -> Vec<u8> {
    let mut edited = component.to_vec();
    let at = component.windows(17).position(|bytes| bytes == b"capacity overflow").expect("it has a text of that");
    edited[at] = b'C';
    edited
}

/// The same component with a section behind it that is no code, large enough for what is kept to be read.
fn padded(mut component: Vec<u8>) -> Vec<u8> {
    // A custom section of 0x80000 bytes, named x.
    component.extend_from_slice(&[0, 0x80, 0x80, 0x20, 1, b'x']);
    component.resize(component.len() + (0x80000 - 2), 0);
    component
}

async fn compiled(keeps: bool, directory: &Path, wasm: Vec<u8>) {
    // Only what the compile at hand makes is looked at.
    if let Some(path) = file(directory, "cwasm") {
        fs::remove_file(path).expect("removed");
    }
    compiler_that_keeps_functions(keeps, child(), directory).admit(wasm.into()).await.expect("admitted");
}

#[tokio::test]
async fn code_of_kept_functions_is_what_a_server_compiles() {
    let (author, server) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let kept = || fs::metadata(file(author.path(), "kept").expect("kept")).expect("readable").len();
    let script = guest("data-lens");
    compiled(true, author.path(), script.clone()).await;
    let of_one = kept();
    compiled(true, author.path(), edited(&script)).await;
    compiled(false, server.path(), edited(&script)).await;
    assert_eq!(artifact(author.path()), artifact(server.path()));
    assert_eq!(file(server.path(), "kept"), None, "a server keeps none");
    let of_both = kept();
    // The compiler does not find a few functions again.
    assert!(of_both < of_one + of_one / 4, "data is no code: {of_one}, {of_both} bytes");
    compiled(true, author.path(), padded(guest("conformance-c"))).await;
    assert!(kept() > of_both, "those of the other component have room beside");
}

/// THREAT[U09]
#[tokio::test]
async fn kept_functions_that_were_changed_are_not_used() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = guest("data-lens");
    compiled(true, directory.path(), script.clone()).await;
    let path = file(directory.path(), "kept").expect("kept");
    let whole = artifact(directory.path());
    // A bit of the MAC, then bits here and there of what it covers.
    let in_mac = |_: usize| vec![0_usize];
    let in_code = |size: usize| (1..64_usize).map(|part| size / 64 * part).collect::<Vec<_>>();
    for places in [&in_mac as &dyn Fn(usize) -> Vec<usize>, &in_code] {
        let mut functions = fs::read(&path).expect("readable");
        for at in places(functions.len()) {
            functions[at] ^= 1;
        }
        fs::write(&path, functions).expect("writable");
        compiled(true, directory.path(), script.clone()).await;
        assert_eq!(artifact(directory.path()), whole);
    }
    fs::write(&path, "short").expect("writable");
    compiled(true, directory.path(), script).await;
    assert_eq!(artifact(directory.path()), whole);
}
