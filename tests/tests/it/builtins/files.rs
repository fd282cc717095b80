//! `session_file_system`.

use everwit_runtime::SessionFileSystemCapability;
use everwit_runtime::capability::Capability;
use everwit_runtime::file::{FilePath, FileWrite};
use everwit_runtime::limits::MAX_TOOL_RESULT_BYTES;
use everwit_runtime::message::ContentPart;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Bench;

type Files = Bench<SessionFileSystemCapability>;

fn files() -> Files {
    Bench::new(SessionFileSystemCapability)
}

async fn put(files: &Files, path: &str, content: &str) -> Value {
    files.ok("write_file", json!({ "path": path, "content": content })).await
}

async fn read(files: &Files, path: &str) -> Value {
    files.ok("read_file", json!({ "path": path })).await["content"].clone()
}

/// Writes as the session's owner does.
async fn put_raw(files: &Files, path: &str, write: FileWrite) {
    let (store, path) = (&files.call.services.backends.file_store, FilePath::parse(path).expect("a path"));
    store.write_file(files.call.org_id, files.call.session_id, &path, write).await.expect("a write");
}

#[tokio::test]
async fn the_tools_have_their_names() {
    let mut names: Vec<String> = files().capability.tools().iter().map(|tool| tool.name.clone()).collect();
    names.sort_unstable();
    let expected = [
        "delete_file",
        "edit_file",
        "glob",
        "grep",
        "grep_files",
        "list_directory",
        "read_file",
        "read_many_files",
        "stat_file",
        "write_file",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn what_is_written_is_read_with_its_hash() {
    let files = files();
    let written = put(&files, "notes/a.txt", "one\ntwo\nthree").await;
    assert_eq!((&written["path"], &written["size_bytes"]), (&json!("/workspace/notes/a.txt"), &json!(13)));
    let read = files.ok("read_file", json!({ "path": "/workspace/notes/a.txt", "offset": 1, "limit": 1 })).await;
    assert_eq!(read["content"], "two\n");
    assert_eq!(read["lines_shown"], json!({ "start": 2, "end": 2 }));
    assert_eq!((&read["total_lines"], &read["truncated"], &read["content_hash"]), (&json!(3), &json!(true), &written["content_hash"]));
    assert_eq!(read["note"], "call read_file with offset=2 for the lines from 3 on");
    let info = files.ok("stat_file", json!({ "path": "/notes/a.txt" })).await;
    assert_eq!((&info["exists"], &info["content_hash"]), (&json!(true), &written["content_hash"]));
    assert_eq!(files.ok("stat_file", json!({ "path": "/no" })).await, json!({ "path": "/workspace/no", "exists": false }));
}

#[tokio::test]
async fn a_large_file_is_read_in_parts_that_make_up_all_of_it() {
    let files = files();
    let text: String = (0..20_000).map(|number| format!("line \"{number}\"\n")).collect();
    put(&files, "big", &text).await;
    let (mut whole, mut offset, mut parts) = (String::new(), 0, 0);
    while offset < 20_000 {
        let output = files.outcome("read_file", json!({ "path": "big", "offset": offset, "limit": 20_000 })).await.expect("a part");
        let ContentPart::Text { text } = &output.parts[0] else { panic!("the result is text") };
        assert!(text.len() <= MAX_TOOL_RESULT_BYTES, "{} bytes would be cut", text.len());
        let part: Value = serde_json::from_str(text).expect("the result is JSON");
        whole.push_str(part["content"].as_str().expect("text"));
        offset = part["lines_shown"]["end"].as_u64().expect("a number");
        parts += 1;
    }
    assert!(whole == text, "{} bytes in {parts} parts are not the {} that were written", whole.len(), text.len());
    assert!(parts > 1);
    put(&files, "long", &"x".repeat(100_000)).await;
    let long = files.ok("read_file", json!({ "path": "long" })).await;
    assert_eq!(long["truncated"], true);
    assert!(long["note"].as_str().is_some_and(|note| note.contains("line 1 is too long")), "{long}");
}

#[tokio::test]
async fn pictures_are_shown_and_other_binary_data_is_not() {
    let files = files();
    put_raw(&files, "/a.png", FileWrite::new(*b"\x89PNG\r\n\x1a\n...", Timestamp::UNIX_EPOCH)).await;
    let output = files.outcome("read_file", json!({ "path": "a.png" })).await.expect("a picture");
    let ContentPart::Image { base64: Some(base64), media_type: Some(media_type), .. } = &output.parts[1] else { panic!("{output:?}") };
    assert_eq!((base64.as_str(), media_type.as_str()), ("iVBORw0KGgouLi4=", "image/png"));
    files.ok("write_file", json!({ "path": "b", "content": "AP8=", "encoding": "base64" })).await;
    files.refuses("read_file", json!({ "path": "b" }), "not_text", &["2 bytes"]).await;
    files.refuses("write_file", json!({ "path": "c", "content": "?", "encoding": "base64" }), "not_base64", &["padding"]).await;
}

#[tokio::test]
async fn several_files_are_read_with_their_errors_beside_them() {
    let files = files();
    put(&files, "a", "one").await;
    let read = files.ok("read_many_files", json!({ "paths": ["a", "absent", "../x", "/"] })).await;
    assert_eq!(read["files"][0]["content"], "one");
    for (at, word) in [(1, "there is no file"), (2, "\"..\""), (3, "is a directory")] {
        assert!(read["files"][at]["error"].as_str().is_some_and(|error| error.contains(word)), "{read}");
    }
    for number in 0..20 {
        put(&files, &format!("big/{number}"), &"x\n".repeat(20_000)).await;
    }
    let paths: Vec<String> = (0..20).map(|number| format!("big/{number}")).collect();
    let all = files.ok("read_many_files", json!({ "paths": paths })).await;
    assert!(all.to_string().len() <= MAX_TOOL_RESULT_BYTES);
    assert!(all["files"].as_array().expect("a list").iter().all(|file| file["content"] != "" && file["truncated"] == true));
}

#[tokio::test]
async fn an_edit_replaces_what_occurs_once() {
    let files = files();
    let before = put(&files, "a", "let x = 1;\nlet y = 1;\n").await["content_hash"].clone();
    let edit = |old: &str, new: &str| json!({ "old_text": old, "new_text": new });
    let edits = json!([edit("y = 1", "y = 2"), edit("x = 1", "x = y")]);
    let done = files.ok("edit_file", json!({ "path": "a", "expected_hash": before, "edits": edits })).await;
    assert_eq!((&done["applied_edits"], &done["previous_content_hash"]), (&json!(2), &before));
    assert_eq!(read(&files, "a").await, "let x = y;\nlet y = 2;\n");
    let one = |old: &str| json!({ "path": "a", "edits": [edit(old, "new")] });
    files.refuses("edit_file", one("let "), "ambiguous_match", &["more than once"]).await;
    files.refuses("edit_file", one("z"), "no_match", &["has no \"z\"", "read the file"]).await;
    let stale = json!({ "path": "a", "expected_hash": before, "edits": [edit("x", "z")] });
    files.refuses("edit_file", stale, "changed", &["read it again"]).await;
    let overlapping = json!({ "path": "a", "edits": [edit("let x", "1"), edit("x = y", "2")] });
    files.refuses("edit_file", overlapping, "overlapping_edits", &["overlap"]).await;
    assert_eq!(read(&files, "a").await, "let x = y;\nlet y = 2;\n");
    put(&files, "dos", "a\r\nb\r\nc").await;
    files.ok("edit_file", json!({ "path": "dos", "edits": [edit("a\nb", "1\n2")] })).await;
    assert_eq!(read(&files, "dos").await, "1\r\n2\r\nc");
}

#[tokio::test]
async fn edits_at_the_same_time_are_all_made() {
    let files = files();
    put(&files, "a", "one two").await;
    let edit = |old: &str, new: &str| files.ok("edit_file", json!({ "path": "a", "edits": [{ "old_text": old, "new_text": new }] }));
    tokio::join!(edit("one", "1"), edit("two", "2"));
    assert_eq!(read(&files, "a").await, "1 2");
}

#[tokio::test]
async fn readonly_files_and_wrong_paths_are_refused_with_advice() {
    let files = files();
    put_raw(&files, "/kept", FileWrite { is_readonly: Some(true), ..FileWrite::new("x", Timestamp::UNIX_EPOCH) }).await;
    put(&files, "dir/a", "x").await;
    files.refuses("write_file", json!({ "path": "kept", "content": "y" }), "read_only", &["/workspace/kept", "another path"]).await;
    files.refuses("edit_file", json!({ "path": "kept", "edits": [{ "old_text": "x", "new_text": "y" }] }), "read_only", &[]).await;
    files.refuses("delete_file", json!({ "path": "/", "recursive": true }), "read_only", &["/workspace/kept"]).await;
    files.refuses("delete_file", json!({ "path": "dir" }), "not_empty", &["recursive=true"]).await;
    files.refuses("delete_file", json!({ "path": "absent" }), "file_not_found", &["list_directory"]).await;
    files.refuses("read_file", json!({ "path": "dir" }), "is_directory", &["list_directory"]).await;
    files.refuses("list_directory", json!({ "path": "dir/a" }), "not_a_directory", &[]).await;
    files.refuses("list_directory", json!({ "path": "absent" }), "file_not_found", &[]).await;
    files.refuses("write_file", json!({ "path": "dir/a/b", "content": "" }), "not_a_directory", &["/workspace/dir/a"]).await;
    files.refuses("read_file", json!({ "path": "../../etc/passwd" }), "invalid_path", &["\"..\""]).await;
    assert_eq!(files.ok("delete_file", json!({ "path": "dir", "recursive": true })).await["deleted_count"], 2);
}

#[tokio::test]
async fn directories_are_listed_in_parts() {
    let files = files();
    for number in 0..5 {
        put(&files, &format!("d/{number}"), "x").await;
    }
    put(&files, "d/sub/x", "x").await;
    let list = files.ok("list_directory", json!({ "path": "d", "offset": 1, "limit": 2 })).await;
    let paths: Vec<&str> = list["entries"].as_array().expect("a list").iter().filter_map(|entry| entry["path"].as_str()).collect();
    assert_eq!((paths, &list["total_count"]), (vec!["/workspace/d/1", "/workspace/d/2"], &json!(6)));
    assert_eq!(list["note"], "there are 6 in all; call list_directory with offset=3 for the rest");
    let root = files.ok("list_directory", json!({})).await;
    assert_eq!(
        (&root["entries"][0]["name"], &root["entries"][0]["is_directory"], &root["note"]),
        (&json!("d"), &json!(true), &Value::Null)
    );
}

#[tokio::test]
async fn files_are_found_by_name_and_by_content() {
    let files = files();
    for (path, content) in [("src/main.rs", "fn main() {}\n// NOTE"), ("src/a/lib.rs", "note"), ("readme.md", "NOTE\nNOTE")] {
        put(&files, path, content).await;
    }
    let glob = async |arguments| files.ok("glob", arguments).await["paths"].clone();
    assert_eq!(glob(json!({ "pattern": "*.rs" })).await, json!(["/workspace/src/a/lib.rs", "/workspace/src/main.rs"]));
    assert_eq!(glob(json!({ "pattern": "a/*.rs", "path": "src" })).await, json!(["/workspace/src/a/lib.rs"]));
    files.refuses("glob", json!({ "pattern": "[" }), "invalid_pattern", &["glob"]).await;
    files.refuses("glob", json!({ "pattern": "*", "path": "absent" }), "file_not_found", &[]).await;

    let found = files.ok("grep", json!({ "pattern": "note$", "ignore_case": true, "path": "src" })).await;
    assert_eq!(
        found["matches"],
        json!([
            { "path": "/workspace/src/a/lib.rs", "line_number": 1, "line": "note" },
            { "path": "/workspace/src/main.rs", "line_number": 2, "line": "// NOTE" },
        ])
    );
    let counts = files.ok("grep", json!({ "pattern": "NOTE", "output_mode": "count" })).await;
    assert_eq!(counts["counts"], json!([{ "path": "/workspace/readme.md", "count": 2 }, { "path": "/workspace/src/main.rs", "count": 1 }]));
    let names = files.ok("grep", json!({ "pattern": "NOTE", "output_mode": "files_with_matches", "glob": "*.md" })).await;
    assert_eq!(names["paths"], json!(["/workspace/readme.md"]));
    let part = files.ok("grep_files", json!({ "pattern": "NOTE", "path_pattern": "*.md", "limit": 1 })).await;
    assert_eq!((&part["match_count"], &part["total_matches"]), (&json!(1), &json!(2)));
    assert!(part["note"].as_str().is_some_and(|note| note.contains("grep_files with offset=1")), "{part}");
    files.refuses("grep", json!({ "pattern": "(?=x)" }), "invalid", &["regular expression"]).await;
    put_raw(&files, "/bin", FileWrite::new(*b"NOTE\0", Timestamp::UNIX_EPOCH)).await;
    let incomplete = files.ok("grep_files", json!({ "pattern": "nowhere" })).await["incomplete"].clone();
    assert!(incomplete.as_str().is_some_and(|text| text.contains("/workspace/bin")), "{incomplete}");
}

#[tokio::test]
async fn a_long_list_fits_into_a_result_and_goes_on() {
    let files = files();
    for number in 0..1_000 {
        put(&files, &format!("d/{number:04}{}", "x".repeat(100)), "").await;
    }
    let (mut offset, mut parts) = (0, 0);
    while offset < 1_000 {
        let list = files.ok("list_directory", json!({ "path": "d", "offset": offset, "limit": 1_000 })).await;
        let bytes = list.to_string().len();
        assert!(bytes <= MAX_TOOL_RESULT_BYTES, "{bytes} bytes would be cut");
        let first = list["entries"][0]["name"].as_str().expect("a name");
        assert!(first.starts_with(&format!("{offset:04}")), "the part at {offset} begins with {first}");
        offset += list["count"].as_u64().expect("a number");
        parts += 1;
    }
    assert!(parts > 1);
}
