//! Compiling in a process of its own, seen from the child: confine, read, judge, compile, answer.
//!
//! The child holds no secret and can open nothing: it begins by taking from itself everything but
//! its three pipes. It uses no `unsafe` code, so the limits are set here, by the child, before it
//! reads the first byte of an upload, instead of between fork and exec.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use rlimit::Resource;
use rustix::process::Signal;
use rustix::thread::{CapabilitySet, CapabilitySets};
use wasmtime::Engine;

use super::compile::{Answer, CHILD_ARGUMENT, EXIT_PIPE, EXIT_UNCONFINED, Lane, Request};
use super::engine::{self, EngineClass, Purpose};
use super::gate::{self, Finding, Inspection, quoted_up_to};
use crate::limits::MAX_COMPONENT_BYTES;
use crate::mutation::off;

/// Added to the nice value: whoever waits for an answer of the server comes first.
const NICE: i32 = 10;
/// Seconds between the signal that says that the processor time is used up, and the kill.
const CPU_GRACE_SECONDS: u64 = 1;
/// Characters of an engine's message in a finding; validation errors name the place in one sentence.
const MAX_MESSAGE_CHARS: usize = 600;

/// Whether this program answers to [`CHILD_ARGUMENT`]. Starting one that does not would start the
/// whole host again, which would start itself again.
static ANSWERS: AtomicBool = AtomicBool::new(false);

/// To be called first in the `main` of every host with components, before threads and async
/// runtimes: components are compiled in a process of this same program, started with the argument
/// [`CHILD_ARGUMENT`]. In that process it compiles and returns the code to exit with; in all others
/// it returns `None` at once. Without this call, components are refused.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     if let Some(code) = everwit_runtime::sandbox::compile_child() {
///         return code;
///     }
///     // … the host's own start …
///     ExitCode::SUCCESS
/// }
/// ```
pub fn compile_child() -> Option<ExitCode> {
    ANSWERS.store(true, Ordering::Relaxed);
    let asked = std::env::args_os().nth(1).is_some_and(|argument| argument == CHILD_ARGUMENT);
    asked.then(compile_child_main)
}

/// Whether [`compile_child`] was called in this process.
pub(super) fn answers() -> bool {
    ANSWERS.load(Ordering::Relaxed)
}

/// Body of the compiler's process: reads one component from standard input, checks and compiles
/// it, writes the answer to standard output. For programs that do nothing else; hosts call
/// [`compile_child`].
///
/// Not for people: without a parent that speaks its protocol it only fails.
pub fn compile_child_main() -> ExitCode {
    if let Err(error) = confine() {
        return fail(EXIT_UNCONFINED, &error);
    }
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(EXIT_PIPE, &error),
    }
}

fn fail(code: u8, error: &io::Error) -> ExitCode {
    // Nobody is left to tell if this fails.
    let _ = writeln!(io::stderr(), "{error}");
    ExitCode::from(code)
}

/// Gives up everything that compiling does not need, and checks that it is gone.
fn confine() -> io::Result<()> {
    /// Standard input, output and error, which are open, and no other number.
    const OPEN_FILES: u64 = 3;

    alone()?;
    limit("compile.open_files", Resource::NOFILE, OPEN_FILES)?;
    limit("compile.processes", Resource::NPROC, 0)?;
    limit("compile.core", Resource::CORE, 0)?;
    limit("compile.file_bytes", Resource::FSIZE, 0)?;
    tighten(Lane::LARGE)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if !off("compile.privileges") {
        rustix::thread::set_no_new_privs(true)?;
        let none = CapabilitySet::empty();
        rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    }
    rustix::process::nice(NICE)?;
    // A limit that is set but does not hold would go unnoticed until it is needed.
    match File::open("/dev/null") {
        Ok(_) if !off("compile.open_files") => Err(io::Error::other("files can still be opened")),
        _ => Ok(()),
    }
}

/// What a thread gives up, others keep: there must be none.
fn alone() -> io::Result<()> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads == 1 {
        return Ok(());
    }
    let fix = "call compile_child first in a plain `fn main`, before the async runtime starts";
    Err(io::Error::other(format!("the compiler's process has {threads} threads; {fix}")))
}

/// Lowers the limits that depend on the upload; raising them again is not possible.
fn tighten(lane: Lane) -> io::Result<()> {
    if !off("compile.cpu") {
        rlimit::setrlimit(Resource::CPU, lane.cpu_seconds, lane.cpu_seconds.saturating_add(CPU_GRACE_SECONDS))?;
    }
    limit("compile.address_space", Resource::AS, lane.address_space)
}

fn limit(control: &'static str, resource: Resource, value: u64) -> io::Result<()> {
    if off(control) { Ok(()) } else { rlimit::setrlimit(resource, value, value) }
}

/// Answers one request.
fn serve() -> io::Result<()> {
    let mut stdin = io::stdin().lock();
    let mut header = [0; Request::BYTES];
    stdin.read_exact(&mut header)?;
    let request = Request::decode(&header);
    tighten(request.lane)?;
    if request.upload_bytes > MAX_COMPONENT_BYTES as u64 {
        return Err(io::Error::other("the upload is larger than any component may be"));
    }
    let mut upload = vec![0; request.upload_bytes as usize];
    stdin.read_exact(&mut upload)?;

    let (inspection, findings) = judge(&upload, &request);
    if !findings.is_empty() {
        return answer(&Answer { inspection, findings, compatibility: None, artifact_bytes: 0 }, &[]);
    }
    match compile(&upload, &request) {
        Ok((compatibility, artifact)) => {
            let artifact_bytes = artifact.len() as u64;
            answer(&Answer { inspection, findings, compatibility: Some(compatibility), artifact_bytes }, &artifact)
        }
        Err(finding) => answer(&Answer { inspection, findings: vec![finding], compatibility: None, artifact_bytes: 0 }, &[]),
    }
}

fn judge(upload: &[u8], request: &Request) -> (Inspection, Vec<Finding>) {
    if cfg!(feature = "testing") && request.skip_gate {
        return (Inspection::default(), Vec::new());
    }
    gate::inspect(upload)
}

fn compile(upload: &[u8], request: &Request) -> Result<(engine::Compatibility, Vec<u8>), Finding> {
    let failed = |error: wasmtime::Error| {
        let detail = quoted_up_to(&format!("{error:#}"), MAX_MESSAGE_CHARS);
        let fix = "build it again with a current toolchain; 64-bit memories, threads, exceptions, garbage collection and \
                   asynchronous functions are not supported";
        Finding::new("component_invalid", None, detail, fix)
    };
    let engine = Engine::new(&engine::config(EngineClass::Small, Purpose::Compile)).map_err(failed)?;
    let artifact = engine.precompile_component(upload).map_err(failed)?;
    if artifact.len() as u64 > request.lane.artifact_bytes && !off("compile.artifact_bytes") {
        let detail = format!("{} bytes of machine code; at most {} are allowed", artifact.len(), request.lane.artifact_bytes);
        return Err(Finding::new("artifact_too_large", None, detail, "optimize for size, or leave out what is not used"));
    }
    Ok((engine::compatibility(&engine), artifact))
}

fn answer(answer: &Answer, artifact: &[u8]) -> io::Result<()> {
    let json = serde_json::to_vec(answer)?;
    let length = u32::try_from(json.len()).map_err(io::Error::other)?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(&length.to_le_bytes())?;
    stdout.write_all(&json)?;
    stdout.write_all(artifact)?;
    stdout.flush()
}
