//! Every limit of the runtime, with its unit, its default and the reason for the number.

use serde::{Deserialize, Serialize};

use crate::component::ComponentKind;

/// Largest component that can be uploaded, in bytes. CPython components are 18 MB.
pub const MAX_COMPONENT_BYTES: usize = 32 << 20;
/// Largest JSON value that crosses into or out of a guest, in bytes.
pub const MAX_JSON_BYTES: usize = 1 << 20;
/// Deepest nesting of such a value, in levels; keeps recursive code within the host's stack.
pub const MAX_JSON_DEPTH: usize = 64;
/// Largest tool result that is shown to the model, in bytes; the rest is cut with a note.
pub const MAX_TOOL_RESULT_BYTES: usize = 64 << 10;
/// Tool calls that are executed of one model answer; the others are settled as refused.
pub const MAX_TOOL_CALLS_PER_STEP: usize = 16;
/// Model calls of one turn, if neither agent nor session says otherwise.
pub const DEFAULT_MAX_ITERATIONS: u32 = 100;
/// After how many model calls a turn that runs is asked again whether its org has room for more events. What a turn adds
/// until then is the most that an org has beyond its limit, for each turn that was open when it reached it.
pub const STORAGE_CHECK_CALLS: u32 = 8;
/// What an event counts beside its data, in bytes: its row and its keys.
pub const EVENT_OVERHEAD_BYTES: u64 = 128;
/// Wall-clock time of one turn, in seconds.
pub const MAX_TURN_SECONDS: u64 = 1_800;
/// How long a turn waits for somebody outside (an answer, an approval, a client's tool, a connection) if
/// nobody says otherwise, in seconds: a week, so that a question asked before a weekend is still there
/// after it.
pub const DEFAULT_WAIT_SECONDS: u64 = 7 * 24 * 3_600;
/// Text of one user message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Messages that wait for a running turn of the same session.
pub const MAX_QUEUED_TURNS: usize = 100;
/// System prompt of one harness, agent or session, in bytes.
pub const MAX_SYSTEM_PROMPT_BYTES: usize = 1 << 20;
/// What one capability adds to a system prompt, in bytes; the rest is cut with a note.
pub const MAX_PROMPT_CONTRIBUTION_BYTES: usize = 128 << 10;
/// Capabilities of one harness, agent or session.
pub const MAX_CAPABILITIES: usize = 250;
/// Members of one org.
pub const MAX_MEMBERS: usize = 100;
/// API keys of one member, and of all services of an org together.
pub const MAX_KEYS: usize = 100;
/// Length of names, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Length of display names and of the titles of sessions, in bytes.
pub const MAX_TITLE_BYTES: usize = 256;
/// Length of descriptions, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 10 << 10;
/// Longest harness parent chain.
pub const MAX_HARNESS_DEPTH: usize = 16;
/// Events in one read of the log.
pub const MAX_EVENTS_PER_PAGE: usize = 1_000;
/// Processes that run turns of one installation.
pub const MAX_WORKERS: usize = 1_000;
/// Items in one page of a list.
pub const MAX_PAGE: u32 = 100;
/// Items in a page if the caller does not say.
pub const DEFAULT_PAGE: u32 = 20;

/// Connections of one user.
pub const MAX_CONNECTIONS: usize = 100;
/// Authorizations of one user that a third party has not answered yet; older ones are forgotten.
pub const MAX_AUTHORIZATIONS: usize = 16;
/// Secrets of one session.
pub const MAX_SESSION_SECRETS: usize = 64;
/// Secrets that an org stores for its components.
pub const MAX_ORG_SECRETS: usize = 500;
/// Budgets of one session, agent or org. A model call is held against those of all three.
pub const MAX_BUDGETS_PER_SUBJECT: u64 = 8;
/// Value of a session secret, in bytes.
pub const MAX_SESSION_SECRET_BYTES: usize = 16 << 10;
/// How often one tool call may ask for a connection; a tool that asks on has a defect.
pub const MAX_CONNECTION_REQUESTS: u32 = 3;

/// Key-value keys, in bytes.
pub const MAX_KV_KEY_BYTES: usize = 512;
/// Key-value values, in bytes.
pub const MAX_KV_VALUE_BYTES: usize = 256 << 10;
/// Keys of one bucket.
pub const MAX_KV_KEYS: u64 = 1_024;
/// Bytes of one bucket, keys included.
pub const MAX_KV_BUCKET_BYTES: u64 = 16 << 20;

/// One session file, in bytes. A file passes through memory as a whole, on its way in and out.
pub const MAX_FILE_BYTES: usize = 16 << 20;
/// Files and directories of one session.
pub const MAX_SESSION_FILES: u64 = 10_000;
/// All files of one session together, in bytes.
pub const MAX_SESSION_FILE_BYTES: u64 = 256 << 20;
/// Path of a session file, in bytes.
pub const MAX_FILE_PATH_BYTES: usize = 1_024;
/// Directories of a path, its last segment included.
pub const MAX_FILE_DEPTH: usize = 32;
/// Starter files of one harness, agent or session.
pub const MAX_INITIAL_FILES: usize = 100;
/// Contents of the starter files of one harness, agent or session together, in bytes as they are
/// written in JSON.
pub const MAX_INITIAL_FILE_BYTES: usize = 1 << 20;
/// Length of a regular expression or of a file name pattern, in characters.
pub const MAX_PATTERN_CHARS: usize = 1_000;
/// Largest file that is searched for a pattern, in bytes.
pub const MAX_GREP_FILE_BYTES: u64 = 512 << 10;
/// Bytes that one search reads.
pub const MAX_GREP_BYTES: u64 = 5 << 20;
/// Matches that one search finds.
pub const MAX_GREP_MATCHES: usize = 1_000;

/// Everything that one guest call may use. There is no unlimited: each value has a floor of
/// one and the ceiling of [`Budget::CEILING`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = CallLimits))]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Fuel: one per executed operator, plus the charge for host work.
    pub fuel: u64,
    /// Sum of all linear memories and tables, in bytes.
    pub memory_bytes: u64,
    /// Core instances, of this component and of those nested in it.
    pub instances: u32,
    /// Live resource handles.
    pub handles: u32,
    /// Wall-clock time, waiting included, in milliseconds.
    pub wall_ms: u64,
    /// Bytes that one host call may copy between guest and host.
    pub host_call_bytes: u64,
    /// Bytes of the result, partial output included.
    pub output_bytes: u64,
    /// Bytes of log text that are kept; what is beyond is counted and dropped.
    pub log_bytes: u64,
    /// HTTP requests.
    pub http_requests: u32,
    /// Bytes of HTTP request and response bodies together.
    pub http_bytes: u64,
}

impl Budget {
    /// What an operator can allow at most.
    pub const CEILING: Self = Self {
        fuel: 1_000_000_000_000,
        memory_bytes: 1 << 30,
        instances: 128,
        handles: 10_000,
        wall_ms: 600_000,
        host_call_bytes: 64 << 20,
        output_bytes: 16 << 20,
        log_bytes: 1 << 20,
        http_requests: 1_000,
        http_bytes: 256 << 20,
    };

    /// What a tool call gets unless its component was activated with other limits. A billion
    /// units of fuel are between one and a few seconds of computing; 64 MiB hold every compiled
    /// guest and QuickJS.
    pub const TOOL_CALL: Self = Self {
        fuel: 1_000_000_000,
        memory_bytes: 64 << 20,
        instances: 64,
        handles: 1_000,
        wall_ms: 30_000,
        host_call_bytes: 4 << 20,
        output_bytes: 1 << 20,
        log_bytes: 64 << 10,
        http_requests: 50,
        http_bytes: 8 << 20,
    };

    /// What a completion through a driver component gets unless its version was activated with other
    /// limits. Fuel is that of all its frames together; wall time, bytes of a host call and output
    /// are those of one frame. Waiting for the vendor is not the guest's time.
    pub const COMPLETION: Self = Self {
        fuel: 20_000_000_000,
        wall_ms: 10_000,
        host_call_bytes: 16 << 20,
        output_bytes: 16 << 20,
        http_requests: 0,
        http_bytes: 0,
        ..Self::TOOL_CALL
    };

    /// What a connection provider gets for one credential. Wall time is that of one step; waiting for
    /// the third party is not the guest's time.
    pub const VALIDATION: Self = Self { wall_ms: 2_000, http_requests: 0, http_bytes: 0, ..Self::TOOL_CALL };

    /// The default of a kind of component.
    pub const fn of(kind: ComponentKind) -> Self {
        match kind {
            ComponentKind::Capability => Self::TOOL_CALL,
            ComponentKind::Driver => Self::COMPLETION,
            ComponentKind::ConnectionProvider => Self::VALIDATION,
        }
    }

    /// What `describe` gets at upload: enough for an interpreter to start, and no network.
    pub const DESCRIBE: Self = Self { fuel: 200_000_000, wall_ms: 2_000, http_requests: 0, http_bytes: 0, ..Self::TOOL_CALL };

    /// The limits that a call gets: these, unless a test has switched one of them off.
    #[cfg(feature = "sandbox")]
    pub(crate) fn in_force(&self) -> Self {
        use crate::mutation::off;
        let ceiling = Self::CEILING;
        let mut budget = *self;
        let fields = [
            ("budget.fuel", &mut budget.fuel, ceiling.fuel),
            ("budget.memory", &mut budget.memory_bytes, ceiling.memory_bytes),
            ("budget.deadline", &mut budget.wall_ms, ceiling.wall_ms),
            ("budget.host_call_bytes", &mut budget.host_call_bytes, ceiling.host_call_bytes),
            ("budget.output_bytes", &mut budget.output_bytes, ceiling.output_bytes),
            ("budget.log_bytes", &mut budget.log_bytes, ceiling.log_bytes),
            ("budget.http_bytes", &mut budget.http_bytes, ceiling.http_bytes),
        ];
        fields.into_iter().filter(|(control, ..)| off(control)).for_each(|(_, field, most)| *field = most);
        let counts = [
            ("budget.instances", &mut budget.instances, ceiling.instances),
            ("budget.handles", &mut budget.handles, ceiling.handles),
            ("budget.http_requests", &mut budget.http_requests, ceiling.http_requests),
        ];
        counts.into_iter().filter(|(control, ..)| off(control)).for_each(|(_, field, most)| *field = most);
        budget
    }

    /// What is wrong with it, one sentence a finding; empty if it can be used.
    pub fn problems(&self) -> Vec<String> {
        let ceiling = Self::CEILING;
        let fields = [
            ("fuel", self.fuel, ceiling.fuel, 1),
            ("memory_bytes", self.memory_bytes, ceiling.memory_bytes, 1),
            ("instances", self.instances.into(), ceiling.instances.into(), 1),
            ("handles", self.handles.into(), ceiling.handles.into(), 1),
            ("wall_ms", self.wall_ms, ceiling.wall_ms, 1),
            ("host_call_bytes", self.host_call_bytes, ceiling.host_call_bytes, 1),
            ("output_bytes", self.output_bytes, ceiling.output_bytes, 1),
            ("log_bytes", self.log_bytes, ceiling.log_bytes, 0),
            ("http_requests", self.http_requests.into(), ceiling.http_requests.into(), 0),
            ("http_bytes", self.http_bytes, ceiling.http_bytes, 0),
        ];
        fields
            .into_iter()
            .filter(|&(_, value, most, least)| value < least || value > most)
            .map(|(name, value, most, least)| format!("{name} is {value}; it must be between {least} and {most}"))
            .collect()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::TOOL_CALL
    }
}
