//! Files of the session, for guests.

use everwit_runtime::capability::{Failure, ToolCallContext};
use everwit_runtime::component::FileAccess;
use everwit_runtime::file::{FilePath, FileWrite, InitialFile};
use everwit_runtime::id::{OrgId, SessionId};
use everwit_runtime::limits::MAX_SESSION_FILES;

use super::*;

/// Enough to write large files.
const LARGE: Budget = Budget { fuel: 1_000_000_000, ..SMALL };

/// A guest in a session.
struct Filer {
    capability: ComponentCapability,
    call: ToolCallContext,
}

impl Filer {
    async fn new(access: FileAccess, budget: Budget) -> Self {
        let grant = Grant { files: access, ..Grant::default() };
        Self { capability: open_with("filer", budget, grant).await, call: call_context() }
    }

    /// The same guest in the session of this call.
    fn with(self, call: ToolCallContext) -> Self {
        Self { call, ..self }
    }

    async fn outcome(&self, tool: &str, arguments: Value) -> ToolOutcome {
        self.capability.call_tool(&self.call, tool, arguments).await
    }

    async fn ok(&self, tool: &str, arguments: Value) -> Value {
        let output = self.outcome(tool, arguments.clone()).await.result;
        output.unwrap_or_else(|error| panic!("{tool} {arguments}: {error}")).structured.expect("structured")
    }

    async fn failure(&self, tool: &str, arguments: Value) -> Failure {
        match self.outcome(tool, arguments).await.result {
            Err(CallError::Failed(failure)) => failure,
            other => panic!("expected the tool's failure, got {other:?}"),
        }
    }

    /// What is in the store, whoever wrote it.
    async fn stored(&self, path: &str) -> Option<Vec<u8>> {
        let path = FilePath::parse(path).expect("a path");
        let store = &self.call.services.backends.file_store;
        store.read_file(self.call.org_id, self.call.session_id, &path).await.expect("an answer").map(|file| file.content)
    }

    async fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        let path = FilePath::parse(path).expect("a path");
        let write = FileWrite::new(content, self.call.services.clock.now());
        self.call
            .services
            .backends
            .file_store
            .write_file(self.call.org_id, self.call.session_id, &path, write)
            .await
            .expect("it is written");
    }
}

#[tokio::test]
async fn filer_reads_and_writes_what_the_session_has() {
    let filer = Filer::new(FileAccess::Write, SMALL).await;
    filer.put("/notes/a.txt", "written by somebody else").await;
    let read = filer.ok("read", json!({ "path": "notes/a.txt" })).await;
    assert_eq!((&read["text"], &read["size"]), (&json!("written by somebody else"), &json!(24)));
    let piece = filer.ok("read", json!({ "path": "/workspace/notes/a.txt", "offset": 8, "length": 2 })).await;
    assert_eq!((&piece["text"], &piece["size"], &piece["revision"]), (&json!("by"), &json!(24), &read["revision"]));
    let beyond = filer.ok("read", json!({ "path": "notes/a.txt", "offset": u64::MAX, "length": u64::MAX })).await;
    assert_eq!(beyond["text"], "");

    let revision = filer.ok("write", json!({ "path": "notes/b.txt", "text": "one", "expected": "" })).await;
    assert_eq!(filer.stored("/notes/b.txt").await.expect("it is there"), b"one");
    let at = filer.ok("stat", json!({ "path": "notes/b.txt" })).await;
    let expected =
        json!({ "path": "/notes/b.txt", "directory": false, "read_only": false, "size": 3, "revision": revision, "modified": true });
    assert_eq!(at, expected);
    let listed = filer.ok("list", json!({ "directory": "/", "recursive": true })).await;
    let paths: Vec<&Value> = listed.as_array().expect("a list").iter().map(|entry| &entry["path"]).collect();
    assert_eq!(paths, ["/notes", "/notes/a.txt", "/notes/b.txt"]);
    let directory = &filer.ok("list", json!({ "directory": "" })).await[0];
    assert_eq!((&directory["directory"], &directory["revision"]), (&json!(true), &Value::Null));
    assert_eq!(filer.ok("remove", json!({ "path": "notes/b.txt" })).await, true);
    assert_eq!(filer.ok("remove", json!({ "path": "notes/b.txt" })).await, false);
    assert_eq!(filer.stored("/notes/b.txt").await, None);
}

#[tokio::test]
async fn a_write_notices_that_a_file_is_not_as_expected() {
    let filer = Filer::new(FileAccess::Write, SMALL).await;
    let first = filer.ok("write", json!({ "path": "a", "text": "one", "expected": "" })).await;
    filer.put("/a", "two").await;
    for expected in [json!(""), first, json!("sha256:none of ours")] {
        let refused = filer.failure("write", json!({ "path": "a", "text": "three", "expected": expected })).await;
        assert_eq!((refused.kind.as_str(), refused.code.as_str()), ("conflict", "file_conflict"), "{expected}");
    }
    assert_eq!(filer.stored("/a").await.expect("it is there"), b"two");
}

/// THREAT[G24]
#[tokio::test]
async fn files_need_a_grant_and_reading_is_not_writing() {
    let none = Filer::new(FileAccess::None, SMALL).await;
    none.put("/a", "private").await;
    for (tool, arguments) in [
        ("read", json!({ "path": "a" })),
        ("stat", json!({ "path": "a" })),
        ("list", json!({ "directory": "/" })),
        ("write", json!({ "path": "a", "text": "" })),
        ("remove", json!({ "path": "a" })),
    ] {
        let denied = none.failure(tool, arguments).await;
        assert_eq!(denied.code, "files_denied", "{tool}");
        assert!(denied.message.contains(r#"{"files":"#), "it says what to grant: {denied:?}");
    }
    let call = none.call.clone();
    let read = Filer::new(FileAccess::Read, SMALL).await.with(call);
    assert_eq!(read.ok("read", json!({ "path": "a" })).await["text"], "private");
    for (tool, arguments) in [("write", json!({ "path": "a", "text": "" })), ("remove", json!({ "path": "a" }))] {
        let denied = read.failure(tool, arguments).await;
        assert!(denied.message.contains(r#"{"files":"write"}"#), "{denied:?}");
    }
    assert_eq!(read.stored("/a").await.expect("it is there"), b"private");
}

#[tokio::test]
async fn a_tool_that_says_it_is_read_only_writes_nothing() {
    let filer = Filer::new(FileAccess::Write, SMALL).await;
    let denied = filer.failure("pretend", json!({ "path": "a" })).await;
    assert!(denied.code == "files_denied" && denied.message.contains("declared read-only"), "{denied:?}");
    assert_eq!(filer.stored("/a").await, None);
}

#[tokio::test]
async fn paths_that_climb_or_hide_something_are_refused() {
    let filer = Filer::new(FileAccess::Write, SMALL).await;
    let (deep, long) = ("a/".repeat(33), "a".repeat(1_025));
    for path in ["..", "/a/../../etc/passwd", "/workspace/../x", "a\\b", "a\u{0}b", "a\nb", &deep, &long] {
        for (tool, arguments) in [("read", json!({ "path": path })), ("write", json!({ "path": path, "text": "x" }))] {
            assert_eq!(filer.failure(tool, arguments).await.code, "invalid_path", "{tool} {path:?}");
        }
    }
    assert_eq!(filer.failure("read", json!({ "path": "/etc/passwd" })).await.code, "file_not_found");
    assert_eq!(filer.ok("list", json!({ "directory": "/", "recursive": true })).await, json!([]));
}

#[tokio::test]
async fn what_cannot_be_done_with_a_file_is_a_fault_of_its_own() {
    let filer = Filer::new(FileAccess::Write, SMALL).await;
    filer.put("/d/a", "x").await;
    let (store, call) = (&filer.call.services.backends.file_store, &filer.call);
    let kept = InitialFile { is_readonly: true, ..InitialFile::text(FilePath::parse("/kept").expect("a path"), "kept") };
    store.seed_initial_file(call.org_id, call.session_id, &kept, call.services.clock.now()).await.expect("it is written");
    for (tool, arguments, says) in [
        ("read", json!({ "path": "d" }), "it is a directory"),
        ("list", json!({ "directory": "d/a" }), "it is a file"),
        ("write", json!({ "path": "d", "text": "" }), "it is a directory"),
        ("write", json!({ "path": "d/a/b", "text": "" }), "it is a file"),
        ("write", json!({ "path": "kept", "text": "" }), "it is read-only"),
        ("remove", json!({ "path": "kept" }), "it is read-only"),
        ("remove", json!({ "path": "d" }), "not empty"),
    ] {
        let unfit = filer.failure(tool, arguments.clone()).await;
        assert!(unfit.code == "file_unfit" && unfit.message.contains(says), "{tool} {arguments}: {unfit:?}");
    }
    assert_eq!(filer.stored("/kept").await.expect("it is there"), b"kept");
}

#[tokio::test]
async fn a_call_reads_and_writes_so_many_bytes_of_files() {
    let filer = Filer::new(FileAccess::Write, LARGE).await;
    filer.put("/large", vec![b'x'; 16 << 20]).await;
    let piece = |times: u32| json!({ "path": "large", "offset": 5, "length": 1, "times": times });
    let within = filer.outcome("read", piece(4)).await;
    assert!(within.result.is_ok(), "{:?}", within.result);
    let usage = within.receipt.expect("a receipt").usage;
    assert!(usage.fuel > 4 * (16 << 20) / 8, "the host's work on whole files costs fuel: {usage:?}");
    assert!(usage.bytes_in < 10_000, "a piece is what is handed on: {usage:?}");
    let beyond = filer.failure("read", piece(5)).await;
    assert!(beyond.code == "files_quota" && beyond.message.contains(&(64 << 20).to_string()), "{beyond:?}");
    let whole = filer.failure("read", json!({ "path": "large" })).await;
    assert!(whole.code == "file_too_large" && whole.message.contains("in pieces"), "{whole:?}");
}

#[tokio::test]
async fn a_call_makes_so_many_requests_about_files() {
    let filer = Filer::new(FileAccess::Write, SMALL).await;
    filer.put("/a", "x").await;
    filer.ok("read", json!({ "path": "a", "times": 1_000 })).await;
    let beyond = filer.failure("read", json!({ "path": "a", "times": 1_001 })).await;
    assert!(beyond.code == "files_quota" && beyond.message.contains("1000 requests"), "{beyond:?}");
}

#[tokio::test]
async fn a_listing_comes_in_pages_of_so_many_entries_and_bytes() {
    let filer = Filer::new(FileAccess::Read, SMALL).await;
    for index in 0..600 {
        filer.put(&format!("/d/{index:03}"), "").await;
    }
    for host_call_bytes in [SMALL.host_call_bytes, 4_000] {
        let filer = Filer::new(FileAccess::Read, Budget { host_call_bytes, ..SMALL }).await.with(filer.call.clone());
        let listed = filer.ok("list", json!({ "directory": "/d" })).await;
        let listed = listed.as_array().expect("a list");
        assert_eq!((listed.len(), &listed[0]["path"], &listed[599]["path"]), (600, &json!("/d/000"), &json!("/d/599")));
    }
    let grant = Grant { files: FileAccess::Read, ..Grant::default() };
    let greedy = open_with("greedy", SMALL, grant).await;
    for (limit, refused) in [(0, true), (1, false), (1_000, false), (1_001, true)] {
        let listed = call(&greedy, "entries", json!({ "limit": limit })).await;
        assert_eq!(format!("{:?}", listed.result).contains("must be between 1 and 1000"), refused, "{limit}: {:?}", listed.result);
    }
}

#[tokio::test]
async fn a_session_has_so_many_files_also_for_guests() {
    let filer = Filer::new(FileAccess::Write, SMALL).await;
    for index in 0..MAX_SESSION_FILES {
        filer.put(&index.to_string(), "").await;
    }
    let full = filer.failure("write", json!({ "path": "more", "text": "" })).await;
    assert!(full.code == "files_quota" && full.message.contains("at most 10000"), "{full:?}");
}

/// THREAT[T01]: a guest has no word for another session or org.
#[tokio::test]
async fn files_of_another_session_or_org_do_not_exist() {
    let filer = Filer::new(FileAccess::Write, SMALL).await;
    filer.put("/a", "private").await;
    let (session, org) = (SessionId::from_uuid(uuid::Uuid::from_u128(7)), OrgId::from_uuid(uuid::Uuid::from_u128(7)));
    let call = filer.call.clone();
    for call in [ToolCallContext { session_id: session, ..call.clone() }, ToolCallContext { org_id: org, ..call }] {
        let other = Filer::new(FileAccess::Write, SMALL).await.with(call);
        assert_eq!(other.failure("read", json!({ "path": "a" })).await.code, "file_not_found");
        other.ok("write", json!({ "path": "a", "text": "other" })).await;
    }
    assert_eq!(filer.stored("/a").await.expect("it is there"), b"private");
}

#[tokio::test]
async fn a_call_outside_of_a_session_keeps_no_files() {
    let filer = Filer::new(FileAccess::Write, SMALL).await;
    let call = ToolCallContext { has_session: false, ..filer.call.clone() };
    let outside = Filer::new(FileAccess::Write, SMALL).await.with(call);
    let refused = outside.failure("write", json!({ "path": "a", "text": "x" })).await;
    assert!(refused.message.contains("belongs to no session"), "{refused:?}");
    assert_eq!(filer.stored("/a").await, None);
}
