//! The engine as servers and workers have it: a client of Temporal, and the store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use everwit_runtime::Error;
use everwit_runtime::engine::{DistributedEngine, Engine, EngineConnector, StepHandler, TurnKey, TurnStatus, WorkEnd, Working};
use everwit_runtime::id::{OrgId, SessionId};
use everwit_runtime::limits::MAX_TURN_SECONDS;
use everwit_runtime::store::SessionLog;
use temporalio_client::errors::WorkflowInteractionError;
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, WorkflowDescribeOptions, WorkflowExecutionStatus, WorkflowFetchHistoryOptions,
    WorkflowStartOptions,
};
use temporalio_common::UntypedWorkflow;
use temporalio_common::protos::temporal::api::enums::v1::PendingActivityState;
use temporalio_sdk::WorkerOptions;
use temporalio_sdk::runtime::worker_tuner::{FixedSizeSlotSupplier, SlotSupplier, TunerHolder};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::payload::{PumpInput, Told, millis};
use crate::pump::SessionPump;
use crate::steps::{HEARTBEAT, Steps};
use crate::worker::{STICKY, run, sessions_queue, steps_queue};

/// How long a connection to Temporal may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// After how long a workflow task is given to another server; one takes milliseconds.
const TASK_LIMIT: Duration = Duration::from_secs(3);
/// Workflows that a server has in its memory.
const CACHED_SESSIONS: usize = 1_000;
/// How long the SDK lets a worker's activities run that drains; they end by themselves, or are told to stop.
const LONGEST_DRAIN: Duration = Duration::from_secs(MAX_TURN_SECONDS);
/// Places for what this crate has none of; the SDK wants at least one.
const UNUSED_SLOTS: usize = 1;
/// Workflow tasks at once: they take no time.
const PUMP_SLOTS: usize = 100;

/// How to reach Temporal.
#[derive(Debug, Clone)]
pub struct TemporalOptions {
    /// The frontend, for example `http://127.0.0.1:7233`.
    pub target: Url,
    /// The namespace; it must exist.
    pub namespace: String,
    /// What tells this installation from others in the namespace: part of the names of workflows and task queues.
    pub installation: String,
    /// For how long a worker may be silent before another one takes its turns over. 10 to 15 seconds suit;
    /// at least one.
    pub lease: Duration,
}

/// See the crate. Cloning shares the connection.
#[derive(Clone)]
pub struct TemporalEngine {
    client: Client,
    log: Arc<dyn SessionLog>,
    installation: String,
    lease: Duration,
}

impl TemporalEngine {
    /// Connects. The store is that of all servers and workers.
    ///
    /// # Errors
    /// `Invalid` for a lease that is too short, `Unavailable` if Temporal does not answer.
    pub async fn connect(options: TemporalOptions, log: Arc<dyn SessionLog>) -> Result<Self, Error> {
        let TemporalOptions { target, namespace, installation, lease } = options;
        if lease < Duration::from_secs(1) {
            return Err(Error::Invalid(format!("a lease of {lease:?} is too short; give at least 1 s")));
        }
        let connection = ConnectionOptions::new(target.clone()).identity("everwit".to_owned()).connect_timeout(CONNECT_LIMIT).build();
        let unreachable = |error: &dyn std::fmt::Display| Error::Unavailable(format!("Temporal does not answer at {target}: {error}"));
        let connection = Connection::connect(connection).await.map_err(|error| unreachable(&error))?;
        let client = Client::new(connection, ClientOptions::new(namespace).build()).map_err(|error| unreachable(&error))?;
        Ok(Self { client, log, installation, lease })
    }

    /// Runs the sessions' workflows in this process until `shutdown`; to be called by servers.
    ///
    /// # Errors
    /// If the worker cannot be started.
    pub fn pump(&self, shutdown: CancellationToken) -> Result<Working, Error> {
        let options = WorkerOptions::new(sessions_queue(&self.installation))
            .sticky_queue_schedule_to_start_timeout(STICKY)
            .max_cached_workflows(CACHED_SESSIONS)
            .tuner(tuner(PUMP_SLOTS, UNUSED_SLOTS))
            .register_workflow::<SessionPump>()
            .map_err(|error| Error::Internal(format!("the workflow of sessions: {error}")))?
            .build();
        run(self.client.clone(), options, shutdown)
    }

    fn workflow_id(&self, org: OrgId, session: SessionId) -> String {
        format!("{}/{org}/{session}", self.installation)
    }

    /// What has happened in a session's workflow, as JSON: for people, and for tests that replay it.
    ///
    /// # Errors
    /// `Unavailable` if Temporal does not tell.
    pub async fn history(&self, org: OrgId, session: SessionId) -> Result<Vec<u8>, Error> {
        let handle = self.client.get_workflow_handle::<UntypedWorkflow>(self.workflow_id(org, session));
        let history = handle.fetch_history(WorkflowFetchHistoryOptions::default()).to_json().await;
        history.map_err(|error| Error::Unavailable(format!("Temporal does not tell the history of {session}: {error}")))
    }

    /// Tells a session's workflow of a turn, and starts it if there is none.
    async fn tell(&self, key: TurnKey, cancel: bool) -> Result<(), Error> {
        let TurnKey { org, session, turn } = key;
        let input = PumpInput { org, session, lease_ms: millis(self.lease), claims: 0, turn: None, more: false };
        let options =
            WorkflowStartOptions::new(sessions_queue(&self.installation), self.workflow_id(org, session)).task_timeout(TASK_LIMIT).build();
        let told = Told { turn, cancel };
        let started = self.client.signal_with_start_workflow(SessionPump::run, input, SessionPump::tell, told, options).await;
        started.map(drop).map_err(|error| Error::Unavailable(format!("Temporal did not take {turn}: {error}")))
    }
}

#[async_trait]
impl Engine for TemporalEngine {
    async fn submit(&self, turn: TurnKey) -> Result<(), Error> {
        self.tell(turn, false).await
    }

    async fn signal(&self, turn: TurnKey) -> Result<(), Error> {
        self.tell(turn, false).await
    }

    async fn cancel(&self, turn: TurnKey) -> Result<bool, Error> {
        if !self.log.request_cancel(turn.org, turn.session, turn.turn).await? {
            return Ok(false);
        }
        self.tell(turn, true).await?;
        Ok(true)
    }

    /// That of the session: whether its workflow is under way, and has an activity that a worker has taken.
    async fn status(&self, turn: TurnKey) -> Result<TurnStatus, Error> {
        let handle = self.client.get_workflow_handle::<UntypedWorkflow>(self.workflow_id(turn.org, turn.session));
        let described = match handle.describe(WorkflowDescribeOptions::default()).await {
            Ok(described) => described,
            Err(WorkflowInteractionError::NotFound(_)) => return Ok(TurnStatus::Unknown),
            Err(error) => return Err(Error::Unavailable(format!("Temporal does not tell what it knows of {}: {error}", turn.turn))),
        };
        if described.status() != WorkflowExecutionStatus::Running {
            return Ok(TurnStatus::Unknown);
        }
        let started = |state: i32| state == PendingActivityState::Started as i32;
        let runs = described.raw().pending_activities.iter().any(|activity| started(activity.state));
        Ok(if runs { TurnStatus::Running } else { TurnStatus::Waiting })
    }

    async fn work(&self, handler: Arc<dyn StepHandler>, slots: usize, end: WorkEnd) -> Result<Working, Error> {
        let drain = end.drain.clone();
        let steps = Steps { handler, log: self.log.clone(), end };
        let options = WorkerOptions::new(steps_queue(&sessions_queue(&self.installation)))
            .tuner(tuner(UNUSED_SLOTS, slots.max(1)))
            .max_heartbeat_throttle_interval(HEARTBEAT)
            .default_heartbeat_throttle_interval(HEARTBEAT)
            .graceful_shutdown_period(LONGEST_DRAIN)
            .register_activities(steps)
            .build();
        run(self.client.clone(), options, drain)
    }
}

impl DistributedEngine for TemporalEngine {
    fn coordinate(&self, shutdown: CancellationToken) -> Result<Working, Error> {
        self.pump(shutdown)
    }
}

#[async_trait]
impl EngineConnector for TemporalOptions {
    async fn connect(&self, log: Arc<dyn SessionLog>) -> Result<Arc<dyn DistributedEngine>, Error> {
        Ok(Arc::new(TemporalEngine::connect(self.clone(), log).await?))
    }
}

fn tuner(workflows: usize, activities: usize) -> TunerHolder {
    let fixed = |count| SlotSupplier::FixedSize(FixedSizeSlotSupplier::new(count));
    TunerHolder::builder()
        .workflow_task_slot_supplier(fixed(workflows))
        .activity_task_slot_supplier(fixed(activities))
        .local_activity_task_slot_supplier(fixed(UNUSED_SLOTS))
        .nexus_task_slot_supplier(fixed(UNUSED_SLOTS))
        .build()
}
