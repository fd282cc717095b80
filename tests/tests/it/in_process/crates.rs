//! What an embedder has to build: the runtime alone, without anything of a server.

use std::process::Command;

use crate::tidy;

/// Crates that belong to servers, databases, command lines, the sandbox and OAuth.
const NOT_OF_THE_RUNTIME: [&str; 10] =
    ["axum", "sqlx", "sqlx-core", "clap", "tower-http", "utoipa", "wasmtime", "everwit-server", "libsqlite3-sys", "oauth2"];

fn tree(arguments: &[&str]) -> String {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["tree", "--package", "everwit-runtime", "--no-default-features", "--offline", "--locked", "--prefix", "none"]);
    let output = cargo.args(arguments).current_dir(tidy::root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_runtime_alone_has_nothing_of_a_server() {
    let tree = tree(&["--edges", "normal"]);
    let crates: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(crates.contains(&"tokio") && crates.contains(&"hyper"), "the tree is read: {tree}");
    let found: Vec<&&str> = crates.iter().filter(|name| NOT_OF_THE_RUNTIME.contains(name)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn its_http_is_a_client() {
    let tree = tree(&["--edges", "normal,features"]);
    let has = |feature: &str| tree.lines().any(|line| line.starts_with(feature));
    for servers in ["hyper feature \"server", "hyper-util feature \"server"] {
        assert!(!has(servers), "{servers} is on: {tree}");
    }
    assert!(has("hyper feature \"client\"") && has("hyper-util feature \"tokio\""), "features are listed: {tree}");
}
