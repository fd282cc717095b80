//! The sandbox as commands use it: compiled components are kept in the author's cache, what guests
//! store goes with the process.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use everwit_runtime::capability::{Capability, NoSink, ToolCallContext, ToolServices};
use everwit_runtime::component::{ComponentDescription, ComponentKind, Digest, FileAccess, Grant, HttpPermission, Permissions};
use everwit_runtime::egress::{Gateway, GatewayConfig, PrivateTarget, Tape};
use everwit_runtime::file::{FilePath, FileWrite};
use everwit_runtime::id::{OrgId, SessionId, TurnId};
use everwit_runtime::limits::{Budget, MAX_COMPONENT_BYTES, MAX_FILE_BYTES};
use everwit_runtime::sandbox::Sandbox;
use everwit_runtime::store::RuntimeBackends;
use everwit_runtime::turn::Toolset;
use everwit_runtime::usage::OrgAllowance;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::author_cache::AuthorCache;
use super::output::{Failure, Style, harmless, note};
use crate::components::{Admission, AdmitError, CompilerCommand, Rejection, SandboxConfig, Terms, start_gateway};
use crate::moments::Moments;
use crate::random;

/// Time after which somebody who waits for a component to be compiled is told about it.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a command lets the component have of what it asks for; without options, nothing.
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// Allow requests to a host that the component asks for. Repeatable.
    #[arg(long, value_name = "HOST")]
    allow_http: Vec<String>,
    /// Allow a key-value bucket that the component asks for; it begins empty and goes with the command. Repeatable.
    #[arg(long, value_name = "BUCKET")]
    allow_kv: Vec<String>,
    /// Allow calls of a tool that the component asks for, of its own or of a component that --with names. Repeatable.
    #[arg(long, value_name = "CAPABILITY/TOOL")]
    allow_tool: Vec<String>,
    /// A component whose tools are there beside, with nothing granted. Repeatable.
    #[arg(long, value_name = "FILE.wasm")]
    with: Vec<PathBuf>,
    /// Allow the session's files, which begin empty and go with the command: to read, or to write as well.
    #[arg(long, value_name = "read|write", value_parser = file_access)]
    allow_files: Option<FileAccess>,
    /// Put a copy of a file into the session's files, under its own name. Repeatable.
    #[arg(long = "file", value_name = "FILE")]
    session_file: Vec<PathBuf>,
    /// Private address or name that requests may go to although it is private. Repeatable.
    #[arg(long, value_name = "HOST:PORT")]
    allow_private_target: Vec<PrivateTarget>,
}

/// A component in a sandbox of its own, with what was granted to it.
pub(crate) struct Opened {
    pub(crate) bench: Workbench,
    pub(crate) capability: Arc<dyn Capability>,
    pub(crate) description: ComponentDescription,
    /// What it can call.
    pub(crate) tools: Arc<Toolset>,
}

/// Opens the capability in a file. Why it is rejected is told on stderr.
pub(crate) async fn open(file: &Path, args: &GrantArgs, config: &Map<String, Value>) -> Result<Opened, Failure> {
    let wasm = read_wasm(file)?;
    let bench = Workbench::start(args.allow_private_target.clone())?;
    let admission = bench.accept(file, wasm.clone()).await?;
    let files = args.allow_files.unwrap_or_default();
    let asked = &admission.description.permissions;
    let mut grant = grant(asked, &args.allow_http, &args.allow_kv, files).map_err(|error| Failure::usage(format!("--allow-{error}")))?;
    if let Some(tool) = args.allow_tool.iter().find(|tool| !asked.tools.contains(tool)) {
        let tools = list(asked.tools.iter().map(String::as_str));
        return Err(Failure::usage(format!("--allow-tool {tool}: the component does not ask for it; it asks for {tools}")));
    }
    grant.tools.clone_from(&args.allow_tool);
    let capability = bench.capability(wasm, &admission, grant, Budget::TOOL_CALL).await?;
    let mut beside = vec![(capability.clone(), Value::Object(config.clone()))];
    for file in &args.with {
        let wasm = read_wasm(file)?;
        let admission = bench.accept(file, wasm.clone()).await?;
        beside.push((bench.capability(wasm, &admission, Grant::default(), Budget::TOOL_CALL).await?, json!({})));
    }
    let tools = Toolset::of(beside).map_err(|error| Failure::usage(format!("--with: {error}")))?;
    Ok(Opened { bench, capability, description: admission.description, tools: Arc::new(tools) })
}

/// A sandbox for one command.
pub(crate) struct Workbench {
    pub(crate) sandbox: Sandbox,
    pub(crate) moments: Moments,
    pub(crate) services: Arc<ToolServices>,
    _cache: AuthorCache,
}

/// A component that was examined: accepted, or rejected.
pub(crate) type Examined<T> = Result<T, Arc<Rejection>>;

impl Workbench {
    /// Starts a sandbox.
    pub(crate) fn start(private_targets: Vec<PrivateTarget>) -> Result<Self, Failure> {
        Self::over(start_gateway(private_targets)?)
    }

    /// Starts a sandbox whose requests are kept, or answered from what was kept.
    pub(crate) fn taped(private_targets: Vec<PrivateTarget>, tape: Arc<dyn Tape>) -> Result<Self, Failure> {
        let gateway = Gateway::new(GatewayConfig { private_targets, ..GatewayConfig::default() })?;
        Self::over(Arc::new(gateway.with_tape(tape)))
    }

    /// Starts a sandbox from which everything leaves through a gateway.
    pub(crate) fn over(egress: Arc<Gateway>) -> Result<Self, Failure> {
        let cache = AuthorCache::open()?;
        let moments = Moments::system();
        let settings = SandboxConfig {
            cache_dir: cache.dir.clone(),
            cache_key: cache.key,
            id_salt: random::secret_bytes()?,
            compiler: CompilerCommand::default(),
            keep_functions: true,
            max_concurrent_calls: 1,
        };
        let backends = RuntimeBackends::in_memory();
        let sandbox = Sandbox::new(settings, egress.clone(), backends.kv.clone(), moments.clock.clone())?;
        let (clock, ids) = (moments.clock.clone(), moments.ids.clone());
        let services = ToolServices { backends, egress, clock, ids, allowance: OrgAllowance::default() };
        Ok(Self { sandbox, moments, services: Arc::new(services), _cache: cache })
    }

    /// Has the sandbox judge a component, and says so if that takes long.
    pub(crate) async fn examine(&self, wasm: Vec<u8>) -> Result<Examined<Admission>, Failure> {
        let size = wasm.len();
        let mut examining = pin!(self.sandbox.admit(wasm));
        match tokio::time::timeout(PATIENCE, examining.as_mut()).await {
            Ok(outcome) => judged(outcome),
            Err(_) => {
                note(&format!("compiling {} KiB of WebAssembly …", size.div_ceil(1024)));
                judged(examining.await)
            }
        }
    }

    /// Has the sandbox judge a component that the command cannot do without: why it is rejected is told on stderr.
    pub(crate) async fn accept(&self, file: &Path, wasm: Vec<u8>) -> Result<Admission, Failure> {
        self.examine(wasm).await?.map_err(|rejection| {
            tell_rejection(file, &rejection);
            Failure::silent()
        })
    }

    /// A capability that was examined, under a grant and a budget. Nothing is compiled again.
    pub(crate) async fn capability(
        &self,
        wasm: Vec<u8>,
        admission: &Admission,
        grant: Grant,
        budget: Budget,
    ) -> Result<Arc<dyn Capability>, Failure> {
        let (digest, description): (Digest, _) = (admission.digest, admission.description.clone());
        match description.kind() {
            ComponentKind::Capability => {}
            ComponentKind::Driver => {
                return Err(Failure::usage("this is a model driver, which has no tools; `everwit inspect` replays its recorded exchanges"));
            }
            ComponentKind::ConnectionProvider => {
                return Err(Failure::usage("this is a connection provider, which has no tools; users connect with it once it is uploaded"));
            }
        }
        let terms = Terms { version: None, grant, budget };
        Ok(Arc::new(self.sandbox.component(digest, description, terms, || async { Ok(wasm) }).await?))
    }

    /// Puts a file into the session of a call.
    ///
    /// # Errors
    /// It has no such path, or is too large.
    pub(crate) async fn put_file(&self, context: &ToolCallContext, path: &str, content: Vec<u8>) -> Result<(), String> {
        let path = FilePath::parse(path).map_err(|error| error.to_string())?;
        let write = FileWrite::new(content, self.moments.clock.now());
        let put = self.services.backends.file_store.write_file(context.org_id, context.session_id, &path, write).await;
        put.map(drop).map_err(|error| error.to_string())
    }

    /// Circumstances of one call, in an org and a session of its own.
    pub(crate) fn context(&self, config: Map<String, Value>, locale: Option<String>) -> ToolCallContext {
        ToolCallContext {
            org_id: OrgId::from_uuid(self.moments.uuid()),
            session_id: SessionId::from_uuid(self.moments.uuid()),
            has_session: true,
            turn_id: TurnId::from_uuid(self.moments.uuid()),
            idempotency_key: format!("call_{}", self.moments.uuid().simple()),
            config: Value::Object(config),
            locale,
            cancel: CancellationToken::new(),
            sink: Arc::new(NoSink),
            services: self.services.clone(),
            nested: None,
        }
    }
}

impl GrantArgs {
    /// Copies the named files into the session of a call.
    pub(crate) async fn put_files(&self, bench: &Workbench, context: &ToolCallContext) -> Result<(), Failure> {
        for file in &self.session_file {
            let failed = |problem: String| Failure::usage(format!("--file {}: {problem}", file.display()));
            let content = read_up_to(file, MAX_FILE_BYTES).map_err(|error| failed(error.to_string()))?;
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            bench.put_file(context, &name, content).await.map_err(failed)?;
        }
        Ok(())
    }
}

fn file_access(text: &str) -> Result<FileAccess, String> {
    match text {
        "read" => Ok(FileAccess::Read),
        "write" => Ok(FileAccess::Write),
        _ => Err("it is read or write".to_owned()),
    }
}

/// What is granted of what a component asks for.
///
/// # Errors
/// A host, a bucket or an access to files that it does not ask for, with what it does.
pub(crate) fn grant(asked: &Permissions, hosts: &[String], buckets: &[String], files: FileAccess) -> Result<Grant, String> {
    if files > asked.files {
        let (wanted, asked) = (json!(files), json!(asked.files));
        return Err(format!("files {wanted}: the component does not ask for it; it asks for {asked}"));
    }
    let mut grant = Grant { files, ..Grant::default() };
    for host in hosts {
        let permissions: Vec<HttpPermission> = asked.http.iter().filter(|permission| permission.host == *host).cloned().collect();
        if permissions.is_empty() {
            let hosts = list(asked.http.iter().map(|permission| permission.host.as_str()));
            return Err(format!("http {host}: the component does not ask for it; it asks for {hosts}"));
        }
        grant.http.extend(permissions);
    }
    for bucket in buckets {
        if !asked.kv.contains(bucket) {
            let buckets = list(asked.kv.iter().map(String::as_str));
            return Err(format!("kv {bucket}: the component does not ask for it; it asks for {buckets}"));
        }
        grant.kv.push(bucket.clone());
    }
    Ok(grant)
}

/// Names in a sentence.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "nothing".to_owned() } else { harmless(&names.join(", ")) }
}

/// What is wrong with a call before it is made: there is no such tool, or its schema or that of the
/// configuration says no; none if it can be made.
pub(crate) fn objection(
    capability: &dyn Capability,
    tool: &str,
    arguments: &Map<String, Value>,
    config: &Map<String, Value>,
) -> Option<String> {
    let Some(found) = capability.tools().iter().find(|candidate| candidate.name == tool) else {
        let names = list(capability.tools().iter().map(|tool| tool.name.as_str()));
        return Some(format!("there is no tool {tool:?}; there is {names}"));
    };
    let judged = judge("the arguments", &found.input_schema, arguments);
    judged.or_else(|| judge("the configuration", capability.config_schema()?, config))
}

fn judge(what: &str, schema: &Value, value: &Map<String, Value>) -> Option<String> {
    let findings = crate::schema::violations(schema, &Value::Object(value.clone()));
    let place = |pointer: &str| if pointer.is_empty() { String::new() } else { format!("{pointer}: ") };
    let lines: Vec<String> = findings.iter().map(|finding| format!("\n  {}{}", place(&finding.pointer), finding.detail)).collect();
    let fix = "everwit inspect FILE.wasm shows the schema";
    (!lines.is_empty()).then(|| format!("{what} do not match the schema:{}\nto fix it: {fix}", harmless(&lines.concat())))
}

/// The component that a command means which names none: the only one in the current directory.
///
/// # Errors
/// There is none, or more than one.
pub(crate) fn only_component() -> Result<PathBuf, Failure> {
    let entries = std::fs::read_dir(".").map_err(|error| Failure::failed(format!("cannot read the current directory: {error}")))?;
    let mut found: Vec<PathBuf> =
        entries.filter_map(|entry| Some(PathBuf::from(entry.ok()?.file_name()))).filter(|path| is_wasm(path)).collect();
    found.sort();
    match (found.len(), found.pop()) {
        (1, Some(only)) => Ok(only),
        (0, _) => {
            Err(Failure::usage("there is no .wasm file in the current directory\nto fix it: make one with everwit build, or name one"))
        }
        (count, last) => {
            let last = last.unwrap_or_default();
            let shown = found.iter().chain([&last]).map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
            Err(Failure::usage(format!("there are {count} .wasm files in the current directory: {shown}\nto fix it: name one")))
        }
    }
}

/// Whether a path is that of a component, by its name.
pub(crate) fn is_wasm(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm")
}

/// Sets apart what is the component's fault from what is not.
pub(crate) fn judged<T>(outcome: Result<T, AdmitError>) -> Result<Examined<T>, Failure> {
    match outcome {
        Ok(accepted) => Ok(Ok(accepted)),
        Err(AdmitError::Rejected(rejection)) => Ok(Err(rejection)),
        Err(error) => Err(Failure::failed(error.to_string())),
    }
}

/// Reads a component, within the limit of uploads.
pub(crate) fn read_wasm(path: &Path) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    if path.is_dir() {
        return Err(Failure::failed(format!(
            "{shown} is a directory\nto fix it: everwit build {shown} -o component.wasm, and name that file"
        )));
    }
    let wasm = read_up_to(path, MAX_COMPONENT_BYTES).map_err(|error| {
        let fix = if error.kind() == ErrorKind::NotFound { "\nto fix it: make one with everwit build" } else { "" };
        Failure::failed(format!("cannot read {shown}: {error}{fix}"))
    })?;
    if wasm.len() > MAX_COMPONENT_BYTES {
        let fix = "leave out debug information and data that a tool can be given as an argument";
        return Err(Failure::failed(format!("{shown} is larger than the {MAX_COMPONENT_BYTES} bytes of a component\nto fix it: {fix}")));
    }
    Ok(wasm)
}

/// Reads a file. It can be endless, so no more is read than tells that it has more than `most` bytes.
fn read_up_to(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Tells on stderr why a component is rejected.
pub(crate) fn tell_rejection(path: &Path, rejection: &Rejection) {
    let style = Style::stderr();
    let count = rejection.findings.len();
    let problems = if count == 1 { "problem" } else { "problems" };
    note(&format!("{} {} is no acceptable component: {count} {problems}", style.red("rejected:"), path.display()));
    for finding in &rejection.findings {
        let place = finding.pointer.as_deref().map(|pointer| format!(" at {}", harmless(pointer))).unwrap_or_default();
        note(&format!("  {}{place}: {}", style.bold(&finding.code), harmless(&finding.detail)));
        note(&format!("    fix: {}", harmless(&finding.fix)));
    }
}
