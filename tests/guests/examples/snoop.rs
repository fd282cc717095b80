//! Tries what a sandbox must not give, and reports what it got.
#![expect(clippy::disallowed_methods, reason = "reading the environment is what it tries")]

use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::{collections::BTreeMap, env, fs, process, thread};

use everwit_guest::prelude::*;

const NAMES: [&str; 6] = ["PATH", "HOME", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "DATABASE_URL"];

/// Tries everything that fails quietly; each value begins with "got" or "refused".
#[tool(read_only)]
fn snoop() -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut note = |what: &str, got: Option<String>| {
        found.insert(what.to_owned(), got.map_or("refused".into(), |got| format!("got {got}")));
    };
    for name in NAMES {
        note(name, env::var(name).ok());
    }
    note("args", env::args().next());
    note("directory", env::current_dir().ok().map(|path| path.display().to_string()));
    note("read", fs::read_to_string("/etc/passwd").ok());
    note("list", fs::read_dir("/").ok().map(|entries| entries.count().to_string()));
    note("write", fs::write("/tmp/snoop", "x").ok().map(|()| "a file".into()));
    note("resolve", ("localhost", 80).to_socket_addrs().ok().map(|addresses| addresses.count().to_string()));
    note("connect", TcpStream::connect("127.0.0.1:80").ok().map(|_| "a connection".into()));
    note("bind", UdpSocket::bind("127.0.0.1:0").ok().map(|_| "a socket".into()));
    note("spawn", process::Command::new("sh").spawn().ok().map(|_| "a process".into()));
    note("thread", thread::Builder::new().spawn(|| ()).ok().map(|_| "a thread".into()));
    Ok(found)
}

/// Lists the environment, which panics where there is none.
#[tool(read_only)]
fn vars() -> Result<Vec<(String, String)>> {
    Ok(env::vars().collect())
}

capability! { id: "snoop", title: "Snoop", summary: "Looks around.", tools: [snoop, vars] }
