//! The HTTP API by curl, one process a request.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::process::{Error, Result, line, not_started, read};

/// Longest request, and longest turn, in seconds.
const MAX_SECONDS: &str = "60";

/// A server and the key to it.
pub(crate) struct Api {
    url: String,
    key: String,
}

impl Api {
    pub(crate) fn new(url: &str, key: &str) -> Self {
        Self { url: url.to_owned(), key: key.to_owned() }
    }

    /// What every request has. `--noproxy`, because it goes to this machine.
    fn curl(&self, path: &str) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail-with-body", "--noproxy", "*", "--max-time", MAX_SECONDS]);
        curl.args(["--header", &format!("authorization: Bearer {}", self.key), &format!("{}{path}", self.url)]);
        curl
    }

    /// POST with a JSON body; returns the answer.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let mut curl = self.curl(path);
        curl.args(["--header", "content-type: application/json", "--data-binary", "@-"]);
        curl.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = curl.spawn().map_err(|error| not_started(&curl, &error))?;
        let written = child.stdin.take().map(|mut stdin| stdin.write_all(body.to_string().as_bytes()));
        let output = child.wait_with_output().map_err(|error| not_started(&curl, &error))?;
        let answer = String::from_utf8_lossy(&output.stdout);
        match written {
            Some(Ok(())) if output.status.success() => parse(&answer, &curl),
            _ => Err(Error::new(format!("{}: {} <<< '{body}'\n{answer}", output.status, line(&curl)))),
        }
    }

    /// POST of a component; returns the answer.
    pub(crate) fn upload(&self, path: &str, file: &Path) -> Result<Value> {
        let mut curl = self.curl(path);
        curl.args(["--header", "content-type: application/wasm", "--data-binary", &format!("@{}", file.display())]);
        let answer = read(&mut curl)?;
        parse(&answer, &curl)
    }

    /// The events of a session from its first, as they happen.
    pub(crate) fn events(&self, session: &str) -> Result<Events> {
        let mut curl = self.curl(&format!("/v1/sessions/{session}/sse?after_sequence=0"));
        let mut child = curl.arg("--no-buffer").stdout(Stdio::piped()).spawn().map_err(|error| not_started(&curl, &error))?;
        let stdout = child.stdout.take().ok_or_else(|| Error::new("curl has no output"))?;
        Ok(Events { lines: BufReader::new(stdout).lines(), child })
    }

    /// What to try next, ready to be copied.
    pub(crate) fn invitation(&self, session: &str) -> String {
        let Self { url, key } = self;
        format!(
            "server  {url}\nkey     {key}\n\ntry:\n\
             curl -s {url}/v1/components -H 'authorization: Bearer {key}'\n\
             curl -s {url}/v1/sessions/{session}/messages -H 'authorization: Bearer {key}'\n\
             curl -sN '{url}/v1/sessions/{session}/sse?after_sequence=0' -H 'authorization: Bearer {key}'"
        )
    }
}

fn parse(answer: &str, curl: &Command) -> Result<Value> {
    serde_json::from_str(answer).map_err(|error| Error::new(format!("the answer is no JSON ({error}): {}\n{answer}", line(curl))))
}

/// A stream of events. Dropping it closes the connection.
pub(crate) struct Events {
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    child: Child,
}

impl Iterator for Events {
    type Item = Result<Value>;

    /// The next event; frames of the stream itself, like `connected`, have no type.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.lines.next()? {
                Ok(line) => line,
                Err(error) => return Some(Err(Error::new(format!("the event stream broke: {error}")))),
            };
            let Some(data) = line.strip_prefix("data:") else { continue };
            match serde_json::from_str::<Value>(data) {
                Ok(event) if event["type"].is_string() => return Some(Ok(event)),
                Ok(_) => {}
                Err(error) => return Some(Err(Error::new(format!("an event is no JSON ({error}): {data}")))),
            }
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // Both fail only if it has ended, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
