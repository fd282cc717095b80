//! Admission through a real child process.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use everwit_runtime::component::ComponentKind;
use everwit_runtime::component::Digest;
use everwit_runtime::sandbox::AdmitError;
use futures::future::join_all;

use super::inputs::{child, compiler, module, refusal, rejection, script, working};

#[tokio::test]
async fn a_valid_component_is_compiled_and_loads() {
    let directory = tempfile::tempdir().expect("a directory");
    let compiler = compiler(child(), directory.path());
    let upload = working(42);
    let compiled = compiler.admit(upload.clone().into()).await.expect("admitted");
    assert_eq!(compiled.digest, Digest::of(&upload));
    assert_eq!(compiled.size, upload.len() as u64);
    assert_eq!(compiled.inspection.kind, Some(ComponentKind::Capability));
    assert_eq!(compiled.inspection.exports.len(), 2);
    assert!(compiler.loads(&compiled.digest).expect("readable"));
    assert!(!compiler.loads(&Digest::of(b"another")).expect("readable"));
}

/// THREAT[U17]
#[tokio::test]
async fn equal_uploads_at_the_same_time_are_compiled_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let count = directory.path().join("count");
    let compiler = compiler(script(&format!("echo x >> {}; exec $0", count.display())), &directory.path().join("cache"));
    let upload = Bytes::from(working(42));
    let outcomes = join_all((0..10).map(|_| compiler.admit(upload.clone()))).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    compiler.admit(upload).await.expect("from the cache");
    assert_eq!(fs::read_to_string(count).expect("a count"), "x\n");
}

/// THREAT[U17]
#[tokio::test]
async fn too_many_waiting_uploads_are_turned_away_and_leave_no_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let pids = directory.path().join("pids");
    let compiler = compiler(script(&format!("echo $$ >> {}; exec sleep 1000", pids.display())), &directory.path().join("cache"));
    let mut waiting: Vec<_> = (0..9).map(|n| Box::pin(compiler.admit(working(n).into()))).collect();
    let all = join_all(waiting.iter_mut());
    tokio::time::timeout(Duration::from_secs(1), all).await.expect_err("nobody gets an answer");
    let turned_away = tokio::time::timeout(Duration::from_secs(20), compiler.admit(working(9).into())).await.expect("it does not wait");
    assert!(matches!(turned_away, Err(AdmitError::Busy)), "{turned_away:?}");

    drop(waiting);
    let pids = fs::read_to_string(pids).expect("pids");
    assert_eq!(pids.lines().count(), 1, "one compile at a time");
    let process = format!("/proc/{}/stat", pids.trim());
    let gone = || fs::read_to_string(&process).map_or(true, |stat| stat.contains(") Z "));
    for _ in 0..500 {
        if gone() {
            break;
        }
        tokio::time::timeout(Duration::from_millis(10), std::future::pending::<()>()).await.expect_err("never ready");
    }
    assert!(gone(), "the compile outlives those who waited for it");
    let free = compiler.admit(b"".as_slice().into()).await;
    assert!(matches!(free, Err(AdmitError::Rejected(_))), "{free:?}");
}

#[tokio::test]
async fn refusals_of_the_gate_come_through_the_child_with_all_findings() {
    let directory = tempfile::tempdir().expect("a directory");
    let compiler = compiler(child(), directory.path());
    let upload =
        wat::parse_str(r#"(component (import "wasi:http/types@0.2.0" (instance)) (core module (memory 1) (memory 1)))"#).expect("valid");
    let rejection = rejection(&compiler, upload.clone()).await;
    let codes: Vec<&str> = rejection.findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, ["import_unknown", "export_missing", "export_missing", "multi_memory"]);
    assert_eq!((rejection.digest, rejection.size), (Digest::of(&upload), upload.len() as u64));
}

/// THREAT[G18]: what passes the gate but not the engine's settings.
#[tokio::test]
async fn invalid_components_and_proposals_that_are_off_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let compiler = compiler(child(), directory.path());
    let cases = [
        "(func (result i32))",
        "(memory i64 1)",
        "(memory 1 1 shared)",
        "(tag)",
        "(type (struct))",
        "(func (param externref))",
        "(func (param v128) (result v128) local.get 0 local.get 0 local.get 0 f32x4.relaxed_madd)",
    ];
    for fields in cases {
        assert_eq!(refusal(&compiler, module(fields)).await, ["component_invalid"], "{fields}");
    }
    assert_eq!(refusal(&compiler, b"\0asm\x01\0\0\0".to_vec()).await, ["core_module"]);
    assert_eq!(refusal(&compiler, b"\0asm\x0d\0\x01\0\x01".to_vec()).await[0], "malformed");
}

/// THREAT[U06]
#[tokio::test]
async fn a_compiler_that_fails_is_a_finding_and_one_that_cannot_start_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    for (text, code) in [
        ("exit 101", "compiler_failed"),
        ("kill -SEGV $$", "compiler_failed"),
        ("kill -KILL $$", "too_expensive_to_compile"),
        ("exit 137", "too_expensive_to_compile"),
    ] {
        assert_eq!(refusal(&compiler(script(text), directory.path()), working(1)).await, [code], "{text}");
    }
    let broken = ["exit 70", "exit 74", "exit 0", "printf '\\377\\377\\377\\377'", "printf '\\2\\0\\0\\0{}'", "head -c 10000000 /dev/zero"];
    for text in broken {
        let outcome = compiler(script(text), directory.path()).admit(working(1).into()).await;
        assert!(matches!(outcome, Err(AdmitError::Internal(_))), "{text}: {outcome:?}");
    }
    let missing = everwit_runtime::sandbox::CompilerCommand { program: "/nonexistent".into(), args: vec![] };
    let outcome = compiler(missing, directory.path()).admit(working(1).into()).await;
    assert!(matches!(outcome, Err(AdmitError::Internal(_))), "{outcome:?}");
}

#[tokio::test]
async fn the_child_gets_no_environment_and_starts_in_the_root() {
    let directory = tempfile::tempdir().expect("a directory");
    let seen = directory.path().join("seen");
    let text = format!("cat /proc/$$/environ > {0}; readlink /proc/$$/cwd >> {0}; exec $0", seen.display());
    compiler(script(&text), &directory.path().join("cache")).admit(working(1).into()).await.expect("admitted");
    assert_eq!(fs::read_to_string(seen).expect("written"), "/\n");
}

/// The limits are looked at from outside, while the child waits for its request.
#[tokio::test]
async fn the_child_confines_itself_before_it_reads() {
    let child = child();
    let mut command = tokio::process::Command::new(child.program);
    command.args(child.args).stdin(std::process::Stdio::piped()).kill_on_drop(true);
    let waiting = command.spawn().expect("starts");
    let pid = waiting.id().expect("running");
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).expect("readable");
    let confined = || read("status").lines().any(|line| line == "NoNewPrivs:\t1") && read("stat").contains(") S ");
    for _ in 0..500 {
        if confined() {
            break;
        }
        tokio::time::timeout(Duration::from_millis(10), std::future::pending::<()>()).await.expect_err("never ready");
    }
    let limits = read("limits");
    let hard = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).expect("a limit");
        line[name.len()..].split_whitespace().nth(1).expect("a hard limit").to_owned()
    };
    let expected = [
        ("Max open files", "3"),
        ("Max processes", "0"),
        ("Max core file size", "0"),
        ("Max file size", "0"),
        ("Max cpu time", "121"),
        ("Max address space", "1610612736"),
    ];
    for (name, value) in expected {
        assert_eq!(hard(name), value, "{name}");
    }
    let status = read("status");
    for line in ["NoNewPrivs:\t1", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000"] {
        assert!(status.lines().any(|it| it == line), "{line} in {status}");
    }
}
