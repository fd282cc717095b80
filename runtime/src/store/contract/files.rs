//! Files of sessions.

use super::case::{Case, assert_none, assert_refused, assert_same, ok, refusal, some, time};
use crate::component::Digest;
use crate::file::{Deletion, Expected, FileEncoding, FilePath, FileStat, FileWrite, GrepQuery, InitialFile};
use crate::id::SessionId;
use crate::limits::{
    MAX_FILE_BYTES, MAX_FILE_PATH_BYTES, MAX_GREP_BYTES, MAX_GREP_FILE_BYTES, MAX_GREP_MATCHES, MAX_SESSION_FILE_BYTES, MAX_SESSION_FILES,
};
use crate::store::{FileProblem, RuntimeFileStore, StoreError, StoreResult};

/// How everything goes, read-only files included.
const ALL: Deletion = Deletion { recursive: true, over_readonly: true };
const RECURSIVE: Deletion = Deletion { recursive: true, over_readonly: false };

pub(super) fn path(text: &str) -> FilePath {
    FilePath::parse(text).expect("a path")
}

/// The files of one new session.
struct Bench<'a> {
    case: &'a Case,
    session: SessionId,
}

impl<'a> Bench<'a> {
    fn new(case: &'a Case) -> Self {
        Self { case, session: case.id(SessionId::from_uuid) }
    }

    fn store(&self) -> &dyn RuntimeFileStore {
        self.case.stores.file_store.as_ref()
    }

    async fn write(&self, at: &str, write: FileWrite) -> StoreResult<FileStat> {
        self.store().write_file(self.case.org, self.session, &path(at), write).await
    }

    async fn put(&self, at: &str, content: &str) -> FileStat {
        ok(self.write(at, FileWrite::new(content, time(1))).await)
    }

    async fn put_readonly(&self, at: &str) {
        ok(self.write(at, FileWrite { is_readonly: Some(true), ..FileWrite::new("kept", time(1)) }).await);
    }

    async fn text(&self, at: &str) -> String {
        let file = some(self.store().read_file(self.case.org, self.session, &path(at)).await);
        String::from_utf8(file.content).expect("text")
    }

    async fn stat(&self, at: &str) -> Option<FileStat> {
        ok(self.store().stat_file(self.case.org, self.session, &path(at)).await)
    }

    async fn list(&self, at: &str, recursive: bool) -> StoreResult<Vec<String>> {
        let list = self.store().list_directory(self.case.org, self.session, &path(at), recursive).await?;
        Ok(list.into_iter().map(|stat| format!("{}{}", stat.path, if stat.is_directory { "/" } else { "" })).collect())
    }

    async fn assert_tree(&self, expected: &[&str]) {
        let expected: Vec<String> = expected.iter().map(|&path| path.to_owned()).collect();
        assert_same(&ok(self.list("/", true).await), &expected);
    }

    async fn delete(&self, at: &str, how: Deletion) -> StoreResult<u64> {
        self.store().delete_file(self.case.org, self.session, &path(at), how).await
    }

    async fn rename(&self, from: &str, to: &str) -> StoreResult<FileStat> {
        self.store().move_file(self.case.org, self.session, &path(from), &path(to), time(9)).await
    }
}

pub(super) async fn reads_what_was_written(case: &Case) {
    let bench = Bench::new(case);
    assert_none(bench.store().read_file(case.org, bench.session, &path("/a")).await);
    for (second, content) in (1..).zip([b"\0\xff".to_vec(), Vec::new(), vec![7; MAX_FILE_BYTES], b"text".to_vec()]) {
        let stat = ok(bench.write("/a", FileWrite::new(content.clone(), time(second))).await);
        let file = some(bench.store().read_file(case.org, bench.session, &path("/a")).await);
        assert!(file.content == content, "{} bytes came back as {}", content.len(), file.content.len());
        assert_eq!(file.stat, stat);
        let expected = FileStat {
            path: path("/a"),
            is_directory: false,
            is_readonly: false,
            size_bytes: content.len() as u64,
            content_hash: Some(Digest::of(&content)),
            created_at: Some(time(1)),
            updated_at: Some(time(second)),
        };
        assert_eq!(bench.stat("/a").await, Some(expected));
    }
}

pub(super) async fn directories_come_with_files_and_stay(case: &Case) {
    let bench = Bench::new(case);
    bench.put("/a/b/c.txt", "x").await;
    bench.assert_tree(&["/a/", "/a/b/", "/a/b/c.txt"]).await;
    assert_eq!(ok(bench.delete("/a/b/c.txt", Deletion::default()).await), 1);
    bench.assert_tree(&["/a/", "/a/b/"]).await;
    let made = ok(bench.store().create_directory(case.org, bench.session, &path("/d/e"), time(3)).await);
    assert_eq!((made.is_directory, made.created_at, made.content_hash), (true, Some(time(3)), None));
    assert_eq!(ok(bench.store().create_directory(case.org, bench.session, &path("/d/e"), time(4)).await), made);
    assert!(ok(bench.store().create_directory(case.org, bench.session, &FilePath::root(), time(4)).await).path.is_root());
    bench.assert_tree(&["/a/", "/a/b/", "/d/", "/d/e/"]).await;
}

pub(super) async fn lists_children_or_all_in_order_of_paths(case: &Case) {
    let bench = Bench::new(case);
    assert_same(&ok(bench.list("/", false).await), &[]);
    for at in ["/b", "/a/x", "/a/y/z", "/a.txt", "/a0", "/a-b/c", "/ä/ü%_*", "/A"] {
        bench.put(at, "x").await;
    }
    assert_same(&ok(bench.list("/", false).await), &["/A", "/a/", "/a-b/", "/a.txt", "/a0", "/b", "/ä/"].map(str::to_owned));
    assert_same(&ok(bench.list("/a", false).await), &["/a/x", "/a/y/"].map(str::to_owned));
    assert_same(&ok(bench.list("/a", true).await), &["/a/x", "/a/y/", "/a/y/z"].map(str::to_owned));
    assert_same(&ok(bench.list("/ä", false).await), &["/ä/ü%_*".to_owned()]);
    assert_refused!(bench.list("/absent", false).await, StoreError::NotFound { .. });
    assert_refused!(bench.list("/b", false).await, StoreError::File { problem: FileProblem::NotADirectory, .. });
}

pub(super) async fn a_file_is_no_directory_and_a_directory_no_file(case: &Case) {
    let bench = Bench::new(case);
    bench.put("/a/b", "x").await;
    for at in ["/", "/a"] {
        let read = bench.store().read_file(case.org, bench.session, &path(at)).await;
        assert_refused!(read, StoreError::File { problem: FileProblem::IsDirectory, .. });
        assert_refused!(bench.write(at, FileWrite::new("x", time(1))).await, StoreError::File { problem: FileProblem::IsDirectory, .. });
    }
    for at in ["/a/b/c", "/a/b/c/d"] {
        let error = refusal(bench.write(at, FileWrite::new("x", time(1))).await);
        assert!(matches!(&error, StoreError::File { path: at, problem: FileProblem::NotADirectory } if at.as_str() == "/a/b"), "{error:?}");
    }
    let made = bench.store().create_directory(case.org, bench.session, &path("/a/b"), time(1)).await;
    assert_refused!(made, StoreError::File { problem: FileProblem::NotADirectory, .. });
    bench.assert_tree(&["/a/", "/a/b"]).await;
}

pub(super) async fn a_write_over_another_content_is_stale(case: &Case) {
    let bench = Bench::new(case);
    let over = async |expected: &str, content: &str| {
        let (hash, write) = (Digest::of(expected.as_bytes()), FileWrite::new(content, time(2)));
        bench.store().write_file_if_content_matches(case.org, bench.session, &path("/a"), hash, write).await
    };
    assert_refused!(over("", "early").await, StoreError::Stale { .. });
    bench.put("/a", "one").await;
    assert_refused!(over("other", "two").await, StoreError::Stale { .. });
    assert_eq!(bench.text("/a").await, "one");
    ok(over("one", "two").await);
    assert_refused!(over("one", "three").await, StoreError::Stale { .. });
    let new = FileWrite { expected: Expected::Absent, ..FileWrite::new("four", time(3)) };
    assert_refused!(bench.write("/a", new.clone()).await, StoreError::Duplicate { .. });
    assert_eq!(bench.text("/a").await, "two");
    ok(bench.write("/b", new).await);
}

pub(super) async fn a_readonly_file_is_changed_by_its_owner_only(case: &Case) {
    let bench = Bench::new(case);
    bench.put_readonly("/a/kept").await;
    let write = FileWrite::new("changed", time(2));
    let readonly = |error: StoreError| matches!(error, StoreError::File { problem: FileProblem::ReadOnly, .. });
    assert!(readonly(refusal(bench.write("/a/kept", write.clone()).await)));
    for how in [Deletion::default(), RECURSIVE] {
        assert!(readonly(refusal(bench.delete("/a/kept", how).await)));
    }
    assert!(readonly(refusal(bench.delete("/a", RECURSIVE).await)));
    assert!(readonly(refusal(bench.rename("/a/kept", "/b").await)));
    assert!(readonly(refusal(bench.rename("/a", "/b").await)));
    assert_eq!(bench.text("/a/kept").await, "kept");
    let stat = ok(bench.write("/a/kept", FileWrite { over_readonly: true, ..write.clone() }).await);
    assert!(stat.is_readonly, "a write keeps the flag unless it says otherwise");
    ok(bench.write("/a/kept", FileWrite { over_readonly: true, is_readonly: Some(false), ..write.clone() }).await);
    ok(bench.write("/a/kept", write).await);
    bench.put_readonly("/a/kept").await;
    assert_eq!(ok(bench.delete("/a", ALL).await), 2);
}

pub(super) async fn deletes_what_is_below_only_when_told(case: &Case) {
    let bench = Bench::new(case);
    for at in ["/a/b/c", "/a/d", "/a.txt", "/a0"] {
        bench.put(at, "x").await;
    }
    assert_eq!(ok(bench.delete("/absent", RECURSIVE).await), 0);
    assert_refused!(bench.delete("/a", Deletion::default()).await, StoreError::File { problem: FileProblem::NotEmpty, .. });
    bench.assert_tree(&["/a/", "/a.txt", "/a/b/", "/a/b/c", "/a/d", "/a0"]).await;
    assert_eq!(ok(bench.delete("/a", RECURSIVE).await), 4);
    bench.assert_tree(&["/a.txt", "/a0"]).await;
    assert_eq!(ok(bench.delete("/", RECURSIVE).await), 2);
    assert_eq!(ok(bench.delete("/", Deletion::default()).await), 0);
    assert!(bench.stat("/").await.is_some_and(|root| root.is_directory));
}

pub(super) async fn moves_files_and_whole_directories(case: &Case) {
    let bench = Bench::new(case);
    bench.put("/ä/b/c", "one").await;
    bench.put("/ä0", "two").await;
    let moved = ok(bench.rename("/ä/b", "/x/y").await);
    assert_eq!((moved.path.as_str(), moved.created_at, moved.updated_at), ("/x/y", Some(time(1)), Some(time(9))));
    bench.assert_tree(&["/x/", "/x/y/", "/x/y/c", "/ä/", "/ä0"]).await;
    assert_eq!(bench.text("/x/y/c").await, "one");
    assert_refused!(bench.rename("/absent", "/z").await, StoreError::NotFound { .. });
    for (from, to) in [("/ä0", "/x"), ("/ä0", "/x/y/c"), ("/ä0", "/ä0"), ("/ä0", "/")] {
        assert_refused!(bench.rename(from, to).await, StoreError::Duplicate { .. });
    }
    for (from, to) in [("/x", "/x/z"), ("/x", "/x/y/z"), ("/", "/z")] {
        assert_refused!(bench.rename(from, to).await, StoreError::File { problem: FileProblem::IntoItself, .. });
    }
    assert_refused!(bench.rename("/x", "/ä0/x").await, StoreError::File { problem: FileProblem::NotADirectory, .. });
    let long = "/z".repeat(8) + &"/zz".repeat(8) + "/" + &"z".repeat(MAX_FILE_PATH_BYTES - 43);
    assert_refused!(bench.rename("/x", &long).await, StoreError::Invalid(_));
    bench.assert_tree(&["/x/", "/x/y/", "/x/y/c", "/ä/", "/ä0"]).await;
}

pub(super) async fn sessions_never_meet(case: &Case) {
    let (one, two) = (Bench::new(case), Bench::new(case));
    one.put("/a", "one").await;
    two.assert_tree(&[]).await;
    assert_eq!(two.stat("/a").await, None);
    two.put("/a", "two").await;
    assert_eq!(ok(two.delete("/", ALL).await), 1);
    assert_eq!(one.text("/a").await, "one");
}

pub(super) async fn large_files_and_too_many_bytes_are_refused(case: &Case) {
    let bench = Bench::new(case);
    let write = async |at: &str, size: usize| bench.write(at, FileWrite::new(vec![7; size], time(1))).await;
    assert_refused!(write("/a", MAX_FILE_BYTES + 1).await, StoreError::Limit(_));
    let full = MAX_SESSION_FILE_BYTES / MAX_FILE_BYTES as u64;
    for number in 0..full {
        ok(write(&format!("/{number}"), MAX_FILE_BYTES).await);
    }
    assert_refused!(write("/more", 1).await, StoreError::Limit(_));
    // A write over a file counts the difference only.
    ok(write("/0", MAX_FILE_BYTES).await);
    ok(write("/0", MAX_FILE_BYTES - 1).await);
    ok(write("/more", 1).await);
    assert_refused!(write("/more", 2).await, StoreError::Limit(_));
}

pub(super) async fn a_session_has_so_many_files(case: &Case) {
    let bench = Bench::new(case);
    for number in 0..MAX_SESSION_FILES / 2 {
        bench.put(&format!("/{number}/x"), "").await;
    }
    assert_refused!(bench.write("/more", FileWrite::new("", time(1))).await, StoreError::Limit(_));
    let made = bench.store().create_directory(case.org, bench.session, &path("/more"), time(1)).await;
    assert_refused!(made, StoreError::Limit(_));
    bench.put("/0/x", "over one that is there").await;
    assert_eq!(ok(bench.delete("/0/x", Deletion::default()).await), 1);
    assert_refused!(bench.write("/more/x", FileWrite::new("", time(1))).await, StoreError::Limit(_));
    bench.put("/more", "").await;
    assert_refused!(bench.rename("/more", "/new/more").await, StoreError::Limit(_));
}

pub(super) async fn finds_lines_of_text_files(case: &Case) {
    let bench = Bench::new(case);
    bench.put("/a.txt", "first\nError: one\r\nlast").await;
    bench.put("/src/b.rs", "let error = 2;\n\nerror").await;
    ok(bench.write("/c.bin", FileWrite::new(b"error\0".to_vec(), time(1))).await);
    bench.put("/large", &"error\n".repeat(usize::try_from(MAX_GREP_FILE_BYTES).expect("it fits") / 6 + 1)).await;
    let grep = async |pattern: &str, names: Option<&str>, ignore_case| {
        let query = GrepQuery { pattern: pattern.to_owned(), path_pattern: names.map(str::to_owned), ignore_case, ..GrepQuery::default() };
        let report = bench.store().grep_files(case.org, bench.session, &query).await?;
        let found = report.matches.iter().map(|found| format!("{}:{}:{}", found.path, found.line_number, found.line)).collect::<Vec<_>>();
        Ok::<_, StoreError>((found, report.skipped.iter().map(ToString::to_string).collect::<Vec<_>>()))
    };
    let skipped = vec!["/c.bin".to_owned(), "/large".to_owned()];
    let lines = ["/a.txt:2:Error: one", "/src/b.rs:1:let error = 2;", "/src/b.rs:3:error"].map(str::to_owned);
    assert_eq!(ok(grep("error", None, true).await), (lines.to_vec(), skipped.clone()));
    assert_eq!(ok(grep("^error$", None, false).await), (lines[2..].to_vec(), skipped));
    assert_eq!(ok(grep("error", Some("*.rs"), false).await), (lines[1..].to_vec(), Vec::new()));
    assert_eq!(ok(grep("error", Some("*.md"), false).await), (Vec::new(), Vec::new()));
    let under = async |place: &str| {
        let query = GrepQuery { pattern: "error".to_owned(), under: path(place), ..GrepQuery::default() };
        bench.store().grep_files(case.org, bench.session, &query).await.map(|report| report.matches.len())
    };
    assert_eq!((ok(under("/src").await), ok(under("/src/b.rs").await), ok(under("/a.txt").await)), (2, 2, 0));
    assert_refused!(under("/absent").await, StoreError::NotFound { .. });
    for (pattern, names) in [("(", None), ("a", Some("["))] {
        assert_refused!(grep(pattern, names, false).await, StoreError::Invalid(_));
    }
}

pub(super) async fn a_search_ends_at_so_many_matches(case: &Case) {
    let bench = Bench::new(case);
    let lines = |count| "x\n".repeat(count);
    bench.put("/a", &lines(MAX_GREP_MATCHES - 1)).await;
    bench.put("/b", "x").await;
    let query = GrepQuery { pattern: "x".to_owned(), ..GrepQuery::default() };
    let report = ok(bench.store().grep_files(case.org, bench.session, &query).await);
    assert_eq!((report.matches.len(), report.cut), (MAX_GREP_MATCHES, false));
    bench.put("/c", "x").await;
    let report = ok(bench.store().grep_files(case.org, bench.session, &query).await);
    assert_eq!((report.matches.len(), report.cut), (MAX_GREP_MATCHES, true));
}

pub(super) async fn a_search_reads_so_many_bytes(case: &Case) {
    let bench = Bench::new(case);
    let file = "y\n".repeat(usize::try_from(MAX_GREP_FILE_BYTES).expect("it fits") / 2);
    let files = MAX_GREP_BYTES / MAX_GREP_FILE_BYTES;
    for number in 0..=files {
        bench.put(&format!("/{number:02}"), &file).await;
    }
    let query = GrepQuery { pattern: "x".to_owned(), ..GrepQuery::default() };
    let report = ok(bench.store().grep_files(case.org, bench.session, &query).await);
    assert!(report.matches.is_empty() && report.skipped.is_empty() && report.cut, "{report:?}");
    assert_eq!(ok(bench.delete("/00", Deletion::default()).await), 1);
    assert!(!ok(bench.store().grep_files(case.org, bench.session, &query).await).cut);
}

pub(super) async fn a_starter_file_never_replaces_another(case: &Case) {
    let bench = Bench::new(case);
    let seed = async |file: InitialFile| bench.store().seed_initial_file(case.org, bench.session, &file, time(1)).await;
    let binary =
        |content: &str| InitialFile { path: path("/b"), content: content.to_owned(), encoding: FileEncoding::Base64, is_readonly: true };
    ok(seed(InitialFile::text(path("/a/b"), "first")).await);
    ok(seed(InitialFile::text(path("/a/b"), "second")).await);
    assert_eq!(bench.text("/a/b").await, "first");
    assert_refused!(seed(binary("?")).await, StoreError::Invalid(_));
    ok(seed(binary("AP8=")).await);
    let file = some(bench.store().read_file(case.org, bench.session, &path("/b")).await);
    assert_eq!((file.content, file.stat.is_readonly), (vec![0, 255], true));
}
