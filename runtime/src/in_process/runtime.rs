//! The runtime.

use std::collections::VecDeque;
use std::sync::Arc;

use super::builder::{InProcessRuntimeBuilder, TurnLimits};
use super::input::InputMessage;
use super::lock::{ConcurrentTurns, SessionGuard, SessionLocks};
use super::seed::{Ground, RoleHarnesses, add_session};
use super::subscription::{EventStream, Subscription};
use super::turn::{self, TurnResult};
use crate::engine::{Executor, TurnKey};
use crate::error::Error;
use crate::event::{Event, EventContext, EventData, NewEvent};
use crate::file::{FilePath, SessionFile};
use crate::id::{EventId, HarnessId, MessageId, OrgId, SessionId, TurnId};
use crate::message::{Controls, Message, Role};
use crate::platform::BuiltInHarnessRole;
use crate::session::{Session, SessionStatus};
use crate::store::RuntimeBackends;
use crate::turn::{
    Accepted, ClientToolResult, ContextError, ToolApproval, TurnContext, TurnPlatform, inspect_turn_context, session_messages,
};

/// Runs agents in this process. Cloning shares it.
#[derive(Clone)]
pub struct InProcessRuntime {
    inner: Arc<Inner>,
}

struct Inner {
    platform: TurnPlatform,
    engine: Executor,
    org: OrgId,
    default_session: Option<SessionId>,
    roles: RoleHarnesses,
    same_session: ConcurrentTurns,
    locks: SessionLocks,
    /// Goes with the runtime.
    #[cfg(feature = "sandbox")]
    _cache: Option<tempfile::TempDir>,
}

/// What a runtime is put together from.
pub(super) struct Parts {
    pub(super) platform: TurnPlatform,
    pub(super) org: OrgId,
    pub(super) default_session: Option<SessionId>,
    pub(super) roles: RoleHarnesses,
    pub(super) turns: TurnLimits,
    #[cfg(feature = "sandbox")]
    pub(super) cache: Option<tempfile::TempDir>,
}

impl InProcessRuntime {
    /// Builds a runtime.
    pub fn builder() -> InProcessRuntimeBuilder {
        InProcessRuntimeBuilder::new()
    }

    pub(super) fn new(parts: Parts) -> Self {
        let engine = Executor::new(parts.platform.clone(), parts.turns.concurrent);
        let inner = Inner {
            platform: parts.platform,
            engine,
            org: parts.org,
            default_session: parts.default_session,
            roles: parts.roles,
            same_session: parts.turns.same_session,
            locks: SessionLocks::default(),
            #[cfg(feature = "sandbox")]
            _cache: parts.cache,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The session of [`InProcessRuntimeBuilder::single_session`].
    pub fn default_session_id(&self) -> Option<SessionId> {
        self.inner.default_session
    }

    /// The org that everything belongs to.
    pub fn org_id(&self) -> OrgId {
        self.inner.org
    }

    /// The stores, for what this type has no method for. Everything in them is the org's.
    pub fn backends(&self) -> &RuntimeBackends {
        &self.inner.platform.backends
    }

    /// The harness that the platform definition has for a role.
    pub fn harness_for_role(&self, role: BuiltInHarnessRole) -> Option<HarnessId> {
        self.inner.roles.iter().find(|(known, _)| *known == role).map(|(_, id)| *id)
    }

    /// Adds a session.
    ///
    /// # Errors
    /// `NotFound` if its harness or agent does not exist; those of the stores.
    pub async fn add_session(&self, session: Session) -> Result<SessionId, Error> {
        let Inner { platform, org, .. } = &*self.inner;
        if platform.backends.harness_store.get_harness(*org, session.harness_id).await?.is_none() {
            return Err(Error::NotFound { what: "harness", id: session.harness_id.to_string() });
        }
        if let Some(agent) = session.agent_id
            && platform.backends.agent_store.get_agent(*org, agent).await?.is_none()
        {
            return Err(Error::NotFound { what: "agent", id: agent.to_string() });
        }
        let id = session.id;
        let ground = Ground { backends: &platform.backends, org: *org, clock: &*platform.clock, ids: &*platform.ids };
        add_session(&ground, session).await?;
        Ok(id)
    }

    /// Says something to the agent of a session and waits until it has answered, or until it waits
    /// for results of client-side tools: see [`Self::submit_tool_results`]. A turn that fails is a
    /// result too. A message to a turn that waits ends that turn. Dropping the future does not end the turn: see [`Self::cancel`].
    ///
    /// # Errors
    /// `Invalid` or `Limit` for a message that cannot be said; `NotFound` for an unknown session;
    /// `Conflict` if the session has a turn and [`ConcurrentTurns::Refuse`] is set; `Unavailable`
    /// if the turn was left open; those of the stores.
    pub async fn run_turn(&self, session: SessionId, message: impl Into<InputMessage>) -> Result<TurnResult, Error> {
        let message = message.into();
        message.check()?;
        Box::pin(self.run_checked(session, message)).await
    }

    /// As [`Self::run_turn`], with a text.
    ///
    /// # Errors
    /// As for [`Self::run_turn`].
    pub async fn run_text_turn(&self, session: SessionId, text: impl Into<String>) -> Result<TurnResult, Error> {
        self.run_turn(session, InputMessage::text(text)).await
    }

    /// Says something to the agent of a session and does not wait for the answer. A turn that runs is
    /// told it before its next model call ("turn.merged"); if it makes none, or the message has other
    /// [`InputMessage::controls`] than the one that it answers, the message gets a turn of its own behind
    /// it. Returns the id of the message's own turn.
    ///
    /// # Errors
    /// As for [`Self::run_turn`], without `Conflict`; `Limit` if too many messages wait.
    pub async fn submit_message(&self, session: SessionId, message: impl Into<InputMessage>) -> Result<TurnId, Error> {
        let message = message.into();
        message.check()?;
        Ok(self.submit(session, message).await?.0.turn)
    }

    /// Sends results of client-side tools and answers to questions to the turn that waits for them,
    /// and waits until it has ended or waits again. Results of some calls leave it waiting for the
    /// others.
    ///
    /// # Errors
    /// `Conflict` if the session waits for no results; `Invalid` for results of other calls, and
    /// `Limit` for long ones, of which none is stored then; otherwise as for [`Self::run_turn`].
    pub async fn submit_tool_results(&self, session: SessionId, results: &[ClientToolResult]) -> Result<TurnResult, Error> {
        let _guard = self.inner.locks.wait(session).await;
        let accepted = self.inner.platform.outside_desk().settle(self.inner.org, session, results).await?;
        self.go_on(session, accepted).await
    }

    /// Allows or refuses tool calls that wait for an approval, and waits until their turn has ended or
    /// waits again. Allowed calls are executed as they were requested, without another model call.
    ///
    /// # Errors
    /// As for [`Self::submit_tool_results`].
    pub async fn submit_tool_approvals(&self, session: SessionId, approvals: &[ToolApproval]) -> Result<TurnResult, Error> {
        let _guard = self.inner.locks.wait(session).await;
        let accepted = self.inner.platform.outside_desk().decide(self.inner.org, session, approvals).await?;
        self.go_on(session, accepted).await
    }

    /// Lets tool calls go on that wait for a connection which the resolver of the stores has by now,
    /// and waits until their turn has ended or waits again; none if there are no such calls.
    ///
    /// # Errors
    /// As for [`Self::run_turn`].
    pub async fn resume_connections(&self, session: SessionId) -> Result<Option<TurnResult>, Error> {
        let _guard = self.inner.locks.wait(session).await;
        match self.inner.platform.outside_desk().connect(self.inner.org, session).await? {
            Some(accepted) => self.go_on(session, accepted).await.map(Some),
            None => Ok(None),
        }
    }

    /// Lets a session go on that waits at the soft limit of a budget, and waits until its turn has ended or waits again.
    ///
    /// # Errors
    /// `Conflict` if the session is not paused; otherwise as for [`Self::run_turn`].
    pub async fn resume_paused(&self, session: SessionId) -> Result<TurnResult, Error> {
        let _guard = self.inner.locks.wait(session).await;
        let accepted = self.inner.platform.outside_desk().resume(self.inner.org, session).await?;
        self.go_on(session, accepted).await
    }

    async fn go_on(&self, session: SessionId, accepted: Accepted) -> Result<TurnResult, Error> {
        let Inner { platform: TurnPlatform { backends, .. }, engine, org, .. } = &*self.inner;
        let key = TurnKey { org: *org, session, turn: accepted.turn_id };
        if accepted.wakes_turn {
            engine.submit(key)?;
            engine.settled(*org, session).await;
        }
        turn::result(backends, key, accepted.input_sequence).await
    }

    async fn run_checked(&self, session: SessionId, message: InputMessage) -> Result<TurnResult, Error> {
        let Inner { platform, engine, org, .. } = &*self.inner;
        let _guard = self.take(session).await?;
        let (key, sequence) = self.submit(session, message).await?;
        engine.settled(*org, session).await;
        turn::result(&platform.backends, key, sequence).await
    }

    /// Returns the turn of the message, and the sequence of its input.
    async fn submit(&self, session: SessionId, message: InputMessage) -> Result<(TurnKey, u64), Error> {
        let Inner { platform, engine, org, .. } = &*self.inner;
        let turn = TurnId::from_uuid(platform.ids.next());
        let key = TurnKey { org: *org, session, turn };
        let input = platform.backends.log.submit_turn(*org, session, turn, self.input(turn, message)).await?.event;
        let sequence = input.sequence.ok_or_else(|| Error::Internal(format!("the input of {turn} has no sequence")))?;
        platform.backends.event_bus.emit(input);
        engine.submit(key)?;
        Ok((key, sequence))
    }

    /// Takes the session for a turn. One that a caller has given up waiting for still has it.
    async fn take(&self, session: SessionId) -> Result<SessionGuard<'_>, Error> {
        let Inner { platform, org, locks, same_session, .. } = &*self.inner;
        if *same_session == ConcurrentTurns::Wait {
            return Ok(locks.wait(session).await);
        }
        let refused = || Error::Conflict(format!("{session} has a turn that has not ended; wait for it or cancel it"));
        let guard = locks.try_take(session).ok_or_else(refused)?;
        let found = platform.backends.session_store.get_session(*org, session).await?;
        // Nobody works on a turn that waits; what is said ends it.
        let waits = found.is_some_and(|session| matches!(session.status, SessionStatus::WaitingForToolResults | SessionStatus::Paused));
        let open = platform.backends.log.open_turns(*org, session).await?;
        if waits || open.is_empty() { Ok(guard) } else { Err(refused()) }
    }

    fn input(&self, turn: TurnId, input: InputMessage) -> NewEvent {
        let TurnPlatform { clock, ids, .. } = &self.inner.platform;
        let (now, id) = (clock.now(), MessageId::from_uuid(ids.next()));
        let controls = (input.controls != Controls::default()).then_some(input.controls);
        let message = Message { id, role: Role::User, content: input.content, metadata: input.metadata, controls, created_at: now };
        NewEvent {
            id: EventId::from_uuid(ids.next()),
            ts: now,
            context: EventContext { turn_id: Some(turn), input_message_id: Some(id) },
            data: EventData::InputMessage { message },
        }
    }

    /// Cancels all turns of a session that have not ended; false if there is none. Their
    /// [`Self::run_turn`] returns with [`super::TurnStopReason::Cancelled`]. A turn that waits for
    /// the session has not begun and is not cancelled.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn cancel(&self, session: SessionId) -> Result<bool, Error> {
        let Inner { platform, engine, org, .. } = &*self.inner;
        let mut cancelled = false;
        for turn in platform.backends.log.open_turns(*org, session).await? {
            cancelled |= engine.cancel(TurnKey { org: *org, session, turn }).await?;
        }
        Ok(cancelled)
    }

    /// The conversation of a session, oldest first; empty for an unknown session.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn messages(&self, session: SessionId) -> Result<Vec<Arc<Message>>, Error> {
        Ok(session_messages(self.backends(), self.inner.org, session).await?)
    }

    /// A file of a session; none if absent.
    ///
    /// # Errors
    /// `Invalid` for what is no path; those of the stores.
    pub async fn read_file(&self, session: SessionId, path: &str) -> Result<Option<SessionFile>, Error> {
        let path = FilePath::parse(path).map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(self.backends().file_store.read_file(self.inner.org, session, &path).await?)
    }

    /// The context that the next turn of a session would have; works before the first message.
    ///
    /// # Errors
    /// What the turn would fail with.
    pub async fn load_context(&self, session: SessionId) -> Result<TurnContext, ContextError> {
        inspect_turn_context(self.inner.platform.sources(), self.inner.org, session).await
    }

    /// The events that the event bus has kept, of all sessions, oldest first; none if it is a bus
    /// for production.
    pub fn events(&self) -> Vec<Event> {
        self.backends().event_bus.collected_events()
    }

    /// Listens to a session from now on, without gaps.
    ///
    /// # Errors
    /// `NotFound` for an unknown session; those of the stores.
    pub async fn subscribe(&self, session: SessionId) -> Result<EventStream, Error> {
        let (backends, org) = (self.backends(), self.inner.org);
        let live = backends.event_bus.subscribe(session);
        if backends.session_store.get_session(org, session).await?.is_none() {
            return Err(Error::NotFound { what: "session", id: session.to_string() });
        }
        let seen = backends.log.last_sequence(org, session).await?;
        Ok(Subscription { log: backends.log.clone(), org, session, live, seen, ready: VecDeque::new(), failed: false }.stream())
    }

    /// Takes up the turns that an earlier process has left open in a durable store; returns how many
    /// sessions have such. To be called once, at the start.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn recover(&self) -> Result<usize, Error> {
        self.inner.engine.recover().await
    }

    /// Lets running steps end and begins no others; turns that are open then stay in the store.
    pub async fn shutdown(&self) {
        self.inner.engine.drain().await;
    }
}
