//! An S3 service on the loopback interface, with one bucket; it checks signatures.

use std::process::Stdio;

use everwit_runtime::store::S3Config;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::guests::{root, target};

/// A running service; it ends when it is dropped.
pub(crate) struct S3 {
    /// What is needed to use it.
    access: Value,
    input: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl S3 {
    /// Starts one with an empty bucket.
    pub(crate) async fn start() -> Self {
        let python = target().join("s3-server/venv/bin/python");
        assert!(python.exists(), "the S3 service of the tests is not installed; run `cargo xtask s3-server`");
        let mut command = Command::new(python);
        command.arg("-I").arg(root().join("tests/s3-server/server.py"));
        // Requests stay on this machine whatever proxies it has.
        command.env_clear().env("NO_PROXY", "*").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the service starts");
        let input = child.stdin.take().expect("stdin is piped");
        let mut answers = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let access = answers.next_line().await.expect("it tells where it is").expect("it runs");
        Self { access: serde_json::from_str(&access).expect("JSON"), input, answers, _child: child }
    }

    fn of_access(&self, name: &str) -> String {
        self.access[name].as_str().expect("a text").to_owned()
    }

    /// The way in.
    pub(crate) fn config(&self) -> S3Config {
        S3Config {
            bucket: self.of_access("bucket"),
            prefix: "of-tests".to_owned(),
            endpoint: self.of_access("endpoint").parse().expect("a URL"),
            region: self.of_access("region"),
            access_key_id: self.of_access("access_key_id"),
            secret_access_key: self.of_access("secret_access_key").into(),
        }
    }

    /// The same as variables of a server.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("EVERWIT_S3_BUCKET", self.of_access("bucket")),
            ("EVERWIT_S3_PREFIX", "of-tests".to_owned()),
            ("EVERWIT_S3_ENDPOINT", self.of_access("endpoint")),
            ("EVERWIT_S3_REGION", self.of_access("region")),
            ("EVERWIT_S3_ACCESS_KEY_ID", self.of_access("access_key_id")),
            ("EVERWIT_S3_SECRET_ACCESS_KEY", self.of_access("secret_access_key")),
        ]
    }

    /// The same as flags.
    pub(crate) fn args(&self) -> Vec<String> {
        let flag = |name: &str| format!("--{}", name.trim_start_matches("EVERWIT_").replace('_', "-").to_lowercase());
        self.settings().into_iter().flat_map(|(name, value)| [flag(name), value]).collect()
    }

    /// The keys of all objects, in order.
    pub(crate) async fn list(&mut self) -> Vec<String> {
        serde_json::from_value(self.ask("list").await).expect("a list")
    }

    /// Overwrites an object with something else.
    pub(crate) async fn change(&mut self, key: &str) {
        self.ask(&format!("put {key}")).await;
    }

    /// Deletes an object.
    pub(crate) async fn delete(&mut self, key: &str) {
        self.ask(&format!("delete {key}")).await;
    }

    async fn ask(&mut self, what: &str) -> Value {
        self.input.write_all(format!("{what}\n").as_bytes()).await.expect("the service listens");
        let answer = self.answers.next_line().await.expect("it answers").expect("it runs");
        serde_json::from_str(&answer).expect("JSON")
    }
}
