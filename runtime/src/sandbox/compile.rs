//! Compiling in a process of its own, seen from the server.
//!
//! The engine gives no bound on what compiling costs, a compile cannot be cancelled, and a failed
//! allocation aborts the process. So the server only hands bytes to a child of the same binary
//! and reads an answer; whatever happens to the child becomes a finding about the upload.
//!
//! The answer's artifact is machine code that the server will run. It is only ever taken from
//! this pipe and from the cache that it is written to.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};

use super::cache::{ArtifactCache, PendingArtifact};
use super::child;
use super::engine::Compatibility;
use super::gate::{Finding, Inspection, quoted_up_to};
use crate::component::Digest;
use crate::error::Error;
use crate::mutation::off;

/// Argument with which [`compile_child`](super::compile_child) is asked to compile.
pub const CHILD_ARGUMENT: &str = "__compile";
/// The running binary itself, even if its file was replaced by an update meanwhile: another build
/// would make artifacts that this one refuses.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// Uploads up to this size use [`Lane::SMALL`]; compiled guests and QuickJS are below 2 MiB.
const SMALL_UPLOAD_BYTES: usize = 2 << 20;
/// Size of the JSON part of an answer, in bytes: a description of at most 1 MiB, escaped.
const MAX_ANSWER_BYTES: u32 = 8 << 20;
/// How much of the child's error output is kept for the log, in bytes.
const MAX_ERROR_OUTPUT_BYTES: usize = 4 << 10;
/// Size of the pieces in which an artifact is read, in bytes.
const PIECE_BYTES: usize = 256 << 10;

/// How to start the compiler's process: a program that calls
/// [`compile_child_main`](super::compile_child_main) and nothing else.
///
/// The default is this process's own binary with the argument [`CHILD_ARGUMENT`], for which its
/// `main` has to begin with [`compile_child`](super::compile_child).
#[derive(Debug, Clone)]
pub struct CompilerCommand {
    /// Program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

impl CompilerCommand {
    /// Whether the program can be started without starting this host once more.
    ///
    /// # Errors
    /// `Invalid`, with what to add, if it is this program and that does not answer.
    pub fn check(&self) -> Result<(), Error> {
        if self.program.as_os_str() != THIS_PROGRAM || child::answers() {
            return Ok(());
        }
        let fix = "begin `fn main` with `if let Some(code) = everwit_runtime::sandbox::compile_child() { return code; }`, \
                   before the async runtime starts, or name a program that only compiles";
        Err(Error::Invalid(format!("components are compiled in a process of this program, which does not answer to it; {fix}")))
    }
}

impl Default for CompilerCommand {
    fn default() -> Self {
        Self { program: PathBuf::from(THIS_PROGRAM), args: vec![CHILD_ARGUMENT.into()] }
    }
}

/// What one compile may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Processor time, in seconds.
    pub cpu_seconds: u64,
    /// Address space, in bytes.
    pub address_space: u64,
    /// Wall-clock time, in seconds; four times the processor's, for a busy machine.
    pub wall_seconds: u64,
    /// Size of the artifact, in bytes.
    pub artifact_bytes: u64,
}

impl Lane {
    /// Compiled guests and QuickJS: these take at most 3 s and 70 MB (optimized build).
    pub const SMALL: Self = Self { cpu_seconds: 15, address_space: 512 << 20, wall_seconds: 60, artifact_bytes: 64 << 20 };
    /// Language engines: SpiderMonkey and CPython take up to 21 s and 350 MB, Ruby 39 s and 740 MB.
    pub const LARGE: Self = Self { cpu_seconds: 120, address_space: 1_536 << 20, wall_seconds: 400, artifact_bytes: 256 << 20 };

    /// The lane of an upload.
    pub fn of(upload: &[u8]) -> Self {
        if upload.len() <= SMALL_UPLOAD_BYTES { Self::SMALL } else { Self::LARGE }
    }
}

/// What precedes the component on the child's standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) lane: Lane,
    /// Only honoured by builds with the feature `testing`.
    pub(super) skip_gate: bool,
    pub(super) upload_bytes: u64,
}

impl Request {
    pub(super) const BYTES: usize = 5 * 8;

    pub(super) fn encode(&self) -> [u8; Self::BYTES] {
        let Lane { cpu_seconds, address_space, wall_seconds: _, artifact_bytes } = self.lane;
        let fields = [cpu_seconds, address_space, artifact_bytes, u64::from(self.skip_gate), self.upload_bytes];
        let mut bytes = [0; Self::BYTES];
        for (at, field) in bytes.chunks_exact_mut(8).zip(fields) {
            at.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let mut fields = [0; 5];
        for (field, at) in fields.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *field = u64::from_le_bytes(*at);
        }
        let [cpu_seconds, address_space, artifact_bytes, skip_gate, upload_bytes] = fields;
        let lane = Lane { cpu_seconds, address_space, wall_seconds: 0, artifact_bytes };
        Self { lane, skip_gate: skip_gate == 1, upload_bytes }
    }
}

/// What the child says: its length as a little-endian `u32`, this as JSON, then the artifact.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) inspection: Inspection,
    pub(super) findings: Vec<Finding>,
    /// Settings with which the artifact was made.
    pub(super) compatibility: Option<Compatibility>,
    /// Size of the artifact; zero if there are findings.
    pub(super) artifact_bytes: u64,
}

/// How a compile ended.
#[derive(Debug)]
pub(super) enum Compilation {
    /// The artifact is complete and waits to be kept.
    Done(Inspection, Box<PendingArtifact>),
    /// The upload is refused.
    Refused(Inspection, Vec<Finding>),
}

/// One compile.
pub(super) struct Job<'a> {
    pub(super) command: &'a CompilerCommand,
    pub(super) cache: &'a ArtifactCache,
    pub(super) compatibility: Compatibility,
    pub(super) lane: Lane,
    pub(super) skip_gate: bool,
    pub(super) digest: Digest,
    pub(super) upload: &'a [u8],
}

impl Job<'_> {
    /// Runs the child. Dropping the future kills it.
    ///
    /// The child is also killed when the thread that starts it ends, so this must be polled by a
    /// runtime's worker and not in a pool of short-lived threads.
    ///
    /// # Errors
    /// A text for the log, when the failure is the host's and says nothing about the upload.
    pub(super) async fn run(&self) -> Result<Compilation, String> {
        self.command.check().map_err(|error| error.to_string())?;
        let mut command = Command::new(&self.command.program);
        if !off("compile.environment") {
            command.env_clear();
        }
        let mut child = command
            .args(&self.command.args)
            .current_dir("/")
            // Not in the terminal's group: an interrupt there is not the upload's fault.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("the compiler's process does not start: {error}"))?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return Err("the compiler's process has no pipes".to_owned());
        };
        let exchange = async {
            let ((), received, errors) = tokio::join!(self.send(stdin), self.receive(stdout), error_output(stderr));
            (child.wait().await, received, errors)
        };
        let wall_time = if off("compile.wall_time") { Duration::MAX } else { Duration::from_secs(self.lane.wall_seconds) };
        let ended = tokio::time::timeout(wall_time, exchange).await;
        let Ok((status, received, errors)) = ended else {
            // An error here means that it is gone already.
            let _ = child.kill().await;
            let detail = format!("compiling took more than {} s", self.lane.wall_seconds);
            return Ok(Compilation::Refused(Inspection::default(), vec![too_expensive(detail)]));
        };
        let status = status.map_err(|error| format!("the compiler's process cannot be waited for: {error}"))?;
        let received = match received {
            // The child ended early, and its status says why.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(error),
            // This side broke off, of which the child's end is only the consequence.
            Err(error) => return Err(format!("the compiler's answer: {error}")),
            received => received,
        };
        match judge_exit(status, self.lane) {
            Exit::Answered => received.map_err(|error| format!("the compiler's answer: {error}")),
            Exit::Refused(finding) => {
                tracing::warn!(digest = %self.digest, %status, errors, "the compiler did not finish");
                Ok(Compilation::Refused(Inspection::default(), vec![finding]))
            }
            Exit::Host => Err(format!("the compiler's process could not confine itself or talk to its parent ({status}): {errors}")),
        }
    }

    /// Sends the request. A child that does not read it to the end says why by its exit.
    async fn send(&self, mut stdin: ChildStdin) {
        let request = Request { lane: self.lane, skip_gate: self.skip_gate, upload_bytes: self.upload.len() as u64 };
        if stdin.write_all(&request.encode()).await.is_ok() {
            let _ = stdin.write_all(self.upload).await;
        }
    }

    async fn receive(&self, mut stdout: ChildStdout) -> io::Result<Compilation> {
        let length = stdout.read_u32_le().await?;
        if length > MAX_ANSWER_BYTES {
            return Err(io::Error::other(format!("{length} bytes of JSON")));
        }
        let mut json = vec![0; length as usize];
        stdout.read_exact(&mut json).await?;
        let answer: Answer = serde_json::from_slice(&json).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if !answer.findings.is_empty() {
            return Ok(Compilation::Refused(answer.inspection, answer.findings));
        }
        if answer.compatibility != Some(self.compatibility) {
            return Err(io::Error::other("an artifact of other settings; is the compiler another build than this host?"));
        }
        let most = if off("compile.artifact_bytes") { u64::MAX } else { self.lane.artifact_bytes };
        if answer.artifact_bytes == 0 || answer.artifact_bytes > most {
            return Err(io::Error::other(format!("an artifact of {} bytes", answer.artifact_bytes)));
        }
        let artifact = self.receive_artifact(&mut stdout, &answer).await?;
        Ok(Compilation::Done(answer.inspection, Box::new(artifact)))
    }

    /// Writes the artifact to the cache's directory as it comes, so that the server never holds it.
    async fn receive_artifact(&self, stdout: &mut ChildStdout, answer: &Answer) -> io::Result<PendingArtifact> {
        let mut artifact = self.cache.begin(&self.digest, self.compatibility, &answer.inspection)?;
        let mut rest = stdout.take(answer.artifact_bytes);
        let mut piece = vec![0; PIECE_BYTES];
        let mut left = answer.artifact_bytes;
        while left > 0 {
            let read = rest.read(&mut piece).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            artifact.write(&piece[..read]).await?;
            left -= read as u64;
        }
        Ok(artifact)
    }
}

/// The beginning of what the child writes to its standard error; the rest is read and dropped,
/// so that the child does not wait.
async fn error_output(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    let _ = (&mut stderr).take(MAX_ERROR_OUTPUT_BYTES as u64).read_to_end(&mut kept).await;
    drain(stderr).await;
    quoted_up_to(&String::from_utf8_lossy(&kept), MAX_ERROR_OUTPUT_BYTES)
}

async fn drain(mut source: impl AsyncRead + Unpin) {
    let mut piece = [0; 1 << 10];
    while matches!(source.read(&mut piece).await, Ok(1..)) {}
}

/// What the end of the child means.
#[derive(Debug, PartialEq, Eq)]
enum Exit {
    /// There is an answer.
    Answered,
    /// The upload is at fault.
    Refused(Finding),
    /// The host is at fault.
    Host,
}

/// Exit code of a child that could not confine itself; it has not looked at the upload.
pub(super) const EXIT_UNCONFINED: u8 = 70;
/// Exit code of a child that could not read the request or write the answer.
pub(super) const EXIT_PIPE: u8 = 74;

fn judge_exit(status: ExitStatus, lane: Lane) -> Exit {
    /// A shell or container runtime in between reports a signal as this plus its number.
    const SIGNAL_BASE: i32 = 128;

    let signal = status.signal().or_else(|| status.code().filter(|code| *code > SIGNAL_BASE).map(|code| code - SIGNAL_BASE));
    let signals = [Signal::XCPU, Signal::KILL, Signal::ABORT].map(Signal::as_raw);
    match (status.code(), signal) {
        (Some(0), _) => Exit::Answered,
        (Some(code), None) if code == i32::from(EXIT_UNCONFINED) || code == i32::from(EXIT_PIPE) => Exit::Host,
        (_, Some(signal)) if signals.contains(&signal) => {
            let Lane { cpu_seconds, address_space, .. } = lane;
            let detail = format!("compiling took more than {cpu_seconds} s of processor time or {} MiB of memory", address_space >> 20);
            Exit::Refused(too_expensive(detail))
        }
        _ => {
            let detail = format!("the compiler failed ({status})");
            let fix = "this is a defect of the compiler; another optimization level of your own compiler may avoid it";
            Exit::Refused(Finding::new("compiler_failed", None, detail, fix))
        }
    }
}

fn too_expensive(detail: String) -> Finding {
    let fix = "split large functions, optimize for size, or leave out what is not used";
    Finding::new("too_expensive_to_compile", None, detail, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(raw_status: i32) -> String {
        match judge_exit(ExitStatus::from_raw(raw_status), Lane::SMALL) {
            Exit::Refused(finding) => finding.code,
            other => format!("{other:?}"),
        }
    }

    /// THREAT[U03], THREAT[U04], THREAT[U06]: however the child ends, the upload gets an answer.
    #[test]
    fn every_end_of_the_child_has_a_meaning() {
        let exited = |status: i32| code(status << 8);
        assert_eq!(code(0), "Answered");
        for signal in [6, 9, 24] {
            assert_eq!(code(signal), "too_expensive_to_compile", "signal {signal}");
            assert_eq!(exited(128 + signal), "too_expensive_to_compile", "code {}", 128 + signal);
        }
        for signal in [11, 31, 4] {
            assert_eq!(code(signal), "compiler_failed", "signal {signal}");
        }
        assert_eq!(exited(101), "compiler_failed", "a panic");
        assert_eq!(exited(139), "compiler_failed");
        assert_eq!(exited(70), "Host");
        assert_eq!(exited(74), "Host");
    }

    #[test]
    fn requests_survive_the_pipe() {
        let lane = Lane { wall_seconds: 0, ..Lane::LARGE };
        let request = Request { lane, skip_gate: true, upload_bytes: 12_345 };
        assert_eq!(Request::decode(&request.encode()), request);
    }
}
