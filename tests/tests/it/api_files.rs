//! Session files over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Server, send};

/// The files of one session.
struct Files {
    api: Api,
    session: String,
}

impl Files {
    async fn new(server: &Server) -> Self {
        let api = server.api();
        let session = api.session().await;
        Self { api, session }
    }

    fn at(&self, path: &str) -> String {
        format!("/v1/sessions/{}/fs{path}", self.session)
    }

    async fn create(&self, path: &str, body: Value) -> Answer {
        self.api.post(&self.at(path), &body).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        send(self.api.request(Method::PUT, &self.at(path)).json(&body)).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.api.get(&self.at(path)).await
    }

    async fn paths(&self, path: &str) -> Vec<String> {
        let list = self.get(path).await.expect(200);
        let paths = list["data"].as_array().expect("a list").iter().map(|file| file["path"].as_str().expect("a path").to_owned());
        let paths: Vec<String> = paths.collect();
        assert_eq!(list["total"], paths.len());
        paths
    }
}

#[tokio::test]
async fn files_are_created_read_changed_and_deleted() {
    let server = Server::start().await;
    let files = Files::new(&server).await;
    let made = files.create("/notes/ä b.txt", json!({ "content": "one" })).await.expect(201);
    assert_eq!((&made["path"], &made["name"], &made["size_bytes"]), (&json!("/notes/ä b.txt"), &json!("ä b.txt"), &json!(3)));
    assert_eq!(made["session_id"], files.session.as_str());
    assert_eq!(files.create("/notes/ä b.txt", json!({})).await.expect(409)["code"], "duplicate");
    let read = files.get("/notes/%C3%A4%20b.txt").await.expect(200);
    assert_eq!((&read["content"], &read["encoding"]), (&json!("one"), &json!("text")));
    files.put("/notes/ä b.txt", json!({ "content": "AP8=", "encoding": "base64", "is_readonly": true })).await.expect(200);
    let read = files.get("/notes/ä b.txt").await.expect(200);
    assert_eq!((&read["content"], &read["encoding"], &read["is_readonly"]), (&json!("AP8="), &json!("base64"), &json!(true)));
    let flag = files.put("/notes/ä b.txt", json!({ "is_readonly": false })).await.expect(200);
    assert_eq!((&flag["is_readonly"], &flag["size_bytes"]), (&json!(false), &json!(2)));
    let download = files.get("/_/download/notes/ä b.txt").await;
    assert_eq!((download.status, download.bytes.as_slice()), (200, &[0, 255][..]));
    assert_eq!(download.header("content-type"), "application/octet-stream");
    assert_eq!(download.header("content-disposition"), "attachment; filename*=UTF-8''%C3%A4%20b.txt");
    files.create("/empty", json!({ "is_directory": true })).await.expect(201);
    assert_eq!(files.paths("").await, ["/empty", "/notes"]);
    assert_eq!(files.paths("?recursive=true").await, ["/empty", "/notes", "/notes/ä b.txt"]);
    assert_eq!(files.paths("/notes").await, ["/notes/ä b.txt"]);
    assert_eq!(files.api.delete(&files.at("/notes")).await.expect(409)["code"], "not_possible");
    assert_eq!(files.api.delete(&files.at("/notes?recursive=true")).await.expect(200)["deleted"], 2);
    assert_eq!(files.get("/notes").await.expect(404)["code"], "not_found");
}

#[tokio::test]
async fn files_are_found_copied_and_moved() {
    let server = Server::start().await;
    let files = Files::new(&server).await;
    files.create("/src/a.rs", json!({ "content": "fn a() {}\nfn b() {}" })).await.expect(201);
    files.create("/b.md", json!({ "content": "fn c" })).await.expect(201);
    let found = files.create("/_/grep", json!({ "pattern": "fn [bc]", "path_pattern": "*.rs" })).await.expect(200);
    assert_eq!(found["data"], json!([{ "path": "/src/a.rs", "line_number": 2, "line": "fn b() {}" }]));
    assert_eq!((&found["total"], &found["truncated"]), (&json!(1), &json!(false)));
    assert_eq!(files.create("/_/grep", json!({ "pattern": "(" })).await.expect(422)["code"], "invalid");
    assert_eq!(files.create("/_/stat", json!({ "path": "/workspace/src" })).await.expect(200)["is_directory"], true);
    files.create("/_/stat", json!({ "path": "/absent" })).await.expect(404);
    let paths = |from: &str, to: &str| json!({ "src_path": from, "dst_path": to });
    files.create("/_/copy", paths("/b.md", "/copy/c.md")).await.expect(201);
    files.create("/_/copy", paths("/b.md", "/copy/c.md")).await.expect(409);
    files.create("/_/copy", paths("/src", "/dst")).await.expect(409);
    assert_eq!(files.create("/_/move", paths("/src", "/lib/src")).await.expect(200)["path"], "/lib/src");
    files.create("/_/move", paths("/lib", "/lib/src/x")).await.expect(409);
    let all = ["/b.md", "/copy", "/copy/c.md", "/lib", "/lib/src", "/lib/src/a.rs"];
    assert_eq!(files.paths("?recursive=true").await, all);
}

#[tokio::test]
async fn wrong_requests_are_refused_and_other_sessions_are_apart() {
    let server = Server::start().await;
    let files = Files::new(&server).await;
    assert_eq!(files.create("/a/%2e%2e%2fb", json!({})).await.expect(400)["code"], "invalid_path");
    assert_eq!(files.create("/a%00", json!({})).await.expect(400)["code"], "invalid_path");
    assert_eq!(files.create("/a", json!({ "content": "?", "encoding": "base64" })).await.expect(422)["errors"][0]["pointer"], "/content");
    files.create("/a", json!({ "is_directory": true, "content": "x" })).await.expect(422);
    files.create("/_/stat", json!({ "path": "../x" })).await.expect(422);
    files.put("/absent", json!({ "is_readonly": true })).await.expect(404);
    files.create("/a", json!({ "content": "x" })).await.expect(201);
    assert_eq!(files.create("/a/b", json!({})).await.expect(409)["code"], "not_possible");
    let other = Files::new(&server).await;
    other.get("/a").await.expect(404);
    assert!(other.paths("").await.is_empty());
    let nowhere = Files { api: server.api(), session: files.session.replace(|digit: char| digit.is_ascii_digit(), "0") };
    nowhere.get("").await.expect(404);
    let keys = files.api.get(&format!("/v1/sessions/{}/storage/keys", files.session)).await.expect(200);
    assert_eq!(keys, json!({ "data": [], "total": 0 }));
}

#[tokio::test]
async fn a_session_starts_with_the_files_of_all_layers() {
    let server = Server::start().await;
    let api = server.api();
    let file = |path: &str, content: &str| json!({ "path": path, "content": content });
    let root = json!({ "name": "root", "initial_files": [file("/a", "root"), file("/kept/b", "root")] });
    api.post("/v1/harnesses", &root).await.expect(201);
    let leaf = json!({ "name": "leaf", "parent_harness_id": "root", "initial_files": [file("/workspace/a", "leaf")] });
    api.post("/v1/harnesses", &leaf).await.expect(201);
    let binary = json!({ "path": "c", "content": "AP8=", "encoding": "base64", "is_readonly": true });
    let agent = json!({ "name": "clerk", "system_prompt": "", "harness_id": "leaf", "initial_files": [binary, file("/d", "agent")] });
    let agent = api.post("/v1/agents", &agent).await.expect(201);
    assert_eq!(agent["initial_files"][0]["path"], "/c");
    let session = api.session_with(&json!({ "agent": "clerk", "initial_files": [file("/d", "session")] })).await;
    let files = Files { api: api.clone(), session };
    assert_eq!(files.paths("?recursive=true").await, ["/a", "/c", "/d", "/kept", "/kept/b"]);
    for (path, content) in [("/a", "leaf"), ("/kept/b", "root"), ("/c", "AP8="), ("/d", "session")] {
        assert_eq!(files.get(path).await.expect(200)["content"], content, "{path}");
    }
    assert_eq!(files.get("/c").await.expect(200)["is_readonly"], true);

    // A later change of a layer is for later sessions.
    api.patch("/v1/agents/clerk", &json!({ "initial_files": [] })).await.expect(200);
    assert_eq!(files.get("/d").await.expect(200)["content"], "session");
    let later = Files { session: api.session_with(&json!({ "agent": "clerk" })).await, api: api.clone() };
    assert_eq!(later.paths("?recursive=true").await, ["/a", "/kept", "/kept/b"]);

    let refused = json!({ "initial_files": [file("/x", ""), file("/x/y", ""), file("/", ""), { "path": "/z", "content": "?", "encoding": "base64" }] });
    let problem = api.post("/v1/sessions", &refused).await.expect(422);
    let pointers: Vec<&str> =
        problem["errors"].as_array().expect("findings").iter().filter_map(|error| error["pointer"].as_str()).collect();
    assert_eq!(pointers, ["/initial_files/0/path", "/initial_files/2/path", "/initial_files/3/content"]);
    api.post("/v1/sessions", &json!({ "initial_files": [file("../x", "")] })).await.expect(422);
    let clash = json!({ "agent": "clerk", "initial_files": [file("/kept", "")] });
    assert_eq!(api.post("/v1/sessions", &clash).await.expect(409)["code"], "conflict");
}
