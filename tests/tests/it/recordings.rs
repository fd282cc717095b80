//! `everwit test --record`: HTTP that left once is answered from a file afterwards.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::api_components::patched;
use crate::support::everwit;
use crate::support::guests::target;

/// A server on this machine that counts its requests.
struct Origin {
    port: u16,
    asked: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
}

impl Origin {
    async fn start() -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let (listener, port) = loop {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("it is bound").port();
            // The component has room for five digits.
            if port >= 10_000 {
                break (listener, port);
            }
        };
        let counter = asked.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::spawn(answer(stream, number));
            }
        });
        Self { port, asked, serving }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Answers with the number of the request in pieces, or with bytes that are no text, and credentials.
async fn answer(mut stream: TcpStream, number: usize) {
    let mut head = vec![0; 4096];
    let size = stream.read(&mut head).await.unwrap_or(0);
    let head = &head[..size];
    let mut response = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=canary\r\nX-Access-Token: canary\r\n".to_vec();
    match head.starts_with(b"GET /binary") {
        true => response.extend_from_slice(b"content-length: 3\r\n\r\n\xff\x00\xfe"),
        false => response.extend_from_slice(format!("transfer-encoding: chunked\r\n\r\n1\r\n{number}\r\n0\r\n\r\n").as_bytes()),
    }
    // What the client does not read it has closed before.
    let _ = stream.write_all(&response).await;
}

fn project(origin: &Origin) -> TempDir {
    let home = tempfile::tempdir().expect("a temporary directory");
    let wasm = patched("fetcher-local", "localhost:65535", &format!("localhost:{}", origin.port));
    fs::write(home.path().join("it.wasm"), wasm).expect("it is written");
    fs::create_dir(home.path().join("cases")).expect("it is made");
    write_cases(home.path(), origin, "/a");
    home
}

fn write_cases(home: &Path, origin: &Origin, path: &str) {
    let base = format!("http://localhost:{}", origin.port);
    let case = |name: &str, arguments: String, cookie: bool, bytes: &str| {
        format!(
            "[[case]]\nname = \"{name}\"\ntool = \"exchange\"\nallow_http = [\"localhost:{}\"]\narguments = {{ {arguments} }}\nresult = {{ status = 200, cookie = {cookie}, bytes = {bytes} }}\n",
            origin.port
        )
    };
    // The numbers of the requests as they were recorded.
    let cookie = !home.join("cases/all.http.json").exists();
    let cases = [
        case("gets", format!("url = \"{base}{path}?q=1&token=canary\""), cookie, "[49]"),
        case("posts", format!("url = \"{base}/b\", text = \"größe\""), cookie, "[50]"),
        case("binary", format!("url = \"{base}/binary\""), cookie, "[255, 0, 254]"),
    ];
    fs::write(home.join("cases/all.toml"), cases.concat()).expect("it is written");
}

async fn test(home: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let mut command = everwit();
    command.args(["test", "--json"]).args(args).current_dir(home).env("XDG_CACHE_HOME", target().join("test-artifacts/authors"));
    let Output { status, stdout, stderr } = command.output().await.expect("the command runs");
    let said = serde_json::from_slice(&stdout).unwrap_or_else(|_| json!(String::from_utf8_lossy(&stderr)));
    (status.code(), said)
}

#[tokio::test]
async fn what_was_recorded_needs_no_network() {
    let origin = Origin::start().await;
    let home = project(&origin);
    let private = format!("localhost:{}", origin.port);
    let (code, said) = test(home.path(), &["--record", "--allow-private-target", &private]).await;
    assert_eq!((code, origin.asked()), (Some(0), 3), "{said:#}");
    let file = home.path().join("cases/all.http.json");
    let recorded = fs::read_to_string(&file).expect("it was written");
    assert!(
        recorded.contains("?q=1&token=redacted\"") && recorded.contains("response_base64") && !recorded.contains("canary"),
        "{recorded}"
    );

    origin.serving.abort();
    write_cases(home.path(), &origin, "/a");
    let (code, said) = test(home.path(), &[]).await;
    assert_eq!((code, &said["passed"], origin.asked()), (Some(0), &json!(3), 3), "{said:#}");

    // What was not recorded fails, although it might leave.
    write_cases(home.path(), &origin, "/other");
    let (code, said) = test(home.path(), &["--allow-private-target", &private]).await;
    let problem = said["cases"][0]["problems"][0].as_str().unwrap_or_default();
    assert_eq!((code, &said["passed"], origin.asked()), (Some(1), &json!(2), 3), "{said:#}");
    assert!(problem.contains("/other?q=1&token=redacted is not recorded") && problem.contains("--record"), "{said:#}");
    fs::write(&file, "[]").expect("it is written");
    let (code, said) = test(home.path(), &[]).await;
    assert!(code == Some(2) && said.as_str().is_some_and(|said| said.contains("all.http.json")), "{said:#}");
}
