//! The artifact cache: nothing but what this host compiled is ever loaded.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use everwit_runtime::component::Digest;
use everwit_runtime::sandbox::{ArtifactCache, Compiler};

use super::inputs::{KEY, child, compiler, refusal, working};

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == extension)).collect();
    files.sort();
    files
}

async fn admitted(directory: &Path, answer: u32) -> (Compiler, Digest) {
    let compiler = compiler(child(), directory);
    let compiled = compiler.admit(working(answer).into()).await.expect("admitted");
    assert!(compiler.loads(&compiled.digest).expect("readable"));
    (compiler, compiled.digest)
}

/// Changes the one file with this extension, and expects that it is noticed, removed and made again.
async fn is_compiled_again_after(extension: &str, change: impl Fn(&mut Vec<u8>)) {
    let directory = tempfile::tempdir().expect("a directory");
    let (compiler, digest) = admitted(directory.path(), 42).await;
    let path = files(directory.path(), extension).remove(0);
    let whole = fs::read(&path).expect("readable");
    let mut changed = whole.clone();
    change(&mut changed);
    fs::write(&path, changed).expect("writable");

    assert!(!compiler.loads(&digest).expect("readable"), "it is not loaded");
    assert_eq!(files(directory.path(), "cwasm"), Vec::<PathBuf>::new(), "it is removed");
    compiler.admit(working(42).into()).await.expect("admitted");
    assert!(compiler.loads(&digest).expect("readable"));
    assert_eq!(fs::read(&path).expect("readable"), whole, "compiling is deterministic");
}

/// THREAT[U09]
#[tokio::test]
async fn an_artifact_with_a_flipped_bit_is_compiled_again_and_never_run() {
    for at in [0, 100, usize::MAX] {
        is_compiled_again_after("cwasm", move |bytes| {
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 1;
        })
        .await;
    }
}

/// THREAT[U09]
#[tokio::test]
async fn a_changed_mac_or_inspection_is_noticed() {
    for at in [0, 31, 40] {
        is_compiled_again_after("mac", move |bytes| bytes[at] ^= 1).await;
    }
    is_compiled_again_after("mac", Vec::clear).await;
    is_compiled_again_after("mac", |bytes| bytes.truncate(32)).await;
}

/// THREAT[U09]
#[tokio::test]
async fn an_artifact_that_was_cut_off_or_extended_is_noticed() {
    is_compiled_again_after("cwasm", |bytes| bytes.truncate(bytes.len() / 2)).await;
    is_compiled_again_after("cwasm", |bytes| bytes.push(0)).await;
    is_compiled_again_after("cwasm", Vec::clear).await;
}

/// THREAT[U09]: authentic, but another component's.
#[tokio::test]
async fn an_artifact_is_bound_to_its_component() {
    let directory = tempfile::tempdir().expect("a directory");
    let (compiler, first) = admitted(directory.path(), 1).await;
    let second = compiler.admit(working(2).into()).await.expect("admitted").digest;
    let of = |digest: &Digest, extension: &str| {
        let paths = files(directory.path(), extension);
        paths.into_iter().find(|path| path.to_string_lossy().contains(&digest.hex())).expect("a file")
    };
    for extension in ["cwasm", "mac"] {
        fs::copy(of(&first, extension), of(&second, extension)).expect("copied");
    }
    assert!(!compiler.loads(&second).expect("readable"));
    assert!(compiler.loads(&first).expect("readable"));
}

/// THREAT[U09]: a directory that was filled by somebody without the key.
#[tokio::test]
async fn an_artifact_of_another_key_is_not_loaded() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, digest) = admitted(directory.path(), 42).await;
    let other = ArtifactCache::open(directory.path(), [8; 32]).expect("a directory");
    let other = Compiler::new(child(), other, false).expect("valid settings");
    assert!(!other.loads(&digest).expect("readable"));
}

/// THREAT[U09]
#[tokio::test]
async fn an_artifact_as_an_upload_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let (compiler, _) = admitted(directory.path(), 42).await;
    let artifact = fs::read(files(directory.path(), "cwasm").remove(0)).expect("readable");
    assert_eq!(refusal(&compiler, artifact).await, ["precompiled_artifact"]);
}

#[tokio::test]
async fn artifacts_survive_a_restart_and_leftovers_do_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, digest) = admitted(directory.path(), 42).await;
    let (abandoned, in_use) = (directory.path().join("tmp-abandoned"), directory.path().join("tmp-in-use"));
    fs::write(&abandoned, "half").expect("writable");
    let lock = fs::File::create(&in_use).expect("writable");
    lock.try_lock().expect("free");

    let again = compiler(child(), directory.path());
    assert!(again.loads(&digest).expect("readable"));
    assert!(!abandoned.exists());
    assert!(in_use.exists(), "another process still writes it");
}

#[test]
fn the_directory_is_private() {
    let parent = tempfile::tempdir().expect("a directory");
    let directory = parent.path().join("a/cache");
    let mode = |path: &Path| fs::metadata(path).expect("a directory").permissions().mode() & 0o777;
    ArtifactCache::open(&directory, KEY).expect("made");
    assert_eq!(mode(&directory), 0o700);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("ours");
    ArtifactCache::open(&directory, KEY).expect("ours");
    assert_eq!(mode(&directory), 0o700);
    let link = parent.path().join("link");
    symlink(&directory, &link).expect("linked");
    ArtifactCache::open(&link, KEY).expect_err("a link can be pointed elsewhere");
    let cache = ArtifactCache::open(&directory, KEY).expect("ours");
    assert!(!format!("{cache:?}").contains("7, 7"), "the key does not show");
}
