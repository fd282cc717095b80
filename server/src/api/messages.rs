//! Messages: what users say, what agents answer, what tools return. A projection of the events.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::driver::ErrorDisclosure;
use everwit_runtime::engine::TurnKey;
use everwit_runtime::error::ErrorKind;
use everwit_runtime::event::{Event, EventContext, EventData, NewEvent};
use everwit_runtime::id::{EventId, MessageId, OrgId, SessionId, TurnId};
use everwit_runtime::limits::{MAX_EVENTS_PER_PAGE, MAX_MESSAGE_BYTES};
use everwit_runtime::message::{ContentPart, Controls, Message, Role};
use everwit_runtime::mutation::off;
use everwit_runtime::store::Submitted;
use everwit_runtime::turn::message_of;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::check::{Checks, Unsupported};
use super::extract::{FromParams, MAX_INTEGER, Params, Query};
use super::idempotency::{Once, Replayed};
use super::page::List;
use super::{App, budgets, resolve, to_its_end};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};

/// Largest `metadata` of a message, as JSON, in bytes.
const MAX_METADATA_BYTES: usize = 16 << 10;
/// Most parts of one message.
const MAX_PARTS: usize = 100;
/// Messages in one answer.
const MAX_MESSAGES: u64 = 1_000;

/// A message to the agent.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CreateMessageRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateMessage {
    /// The message.
    message: MessageInput,
    /// Free-form values, kept with the message.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    #[serde(default)]
    #[schema(ignore)]
    addressed_participant_id: Unsupported,
    /// What the sender wants of the turn that answers it.
    #[serde(default)]
    controls: Option<ControlsInput>,
    #[serde(default)]
    #[schema(ignore)]
    external_actor: Unsupported,
    #[serde(default)]
    #[schema(ignore)]
    tags: Unsupported,
}

/// What the sender wants of the turn that answers a message.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = ControlsRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct ControlsInput {
    /// Id of the model; wins over those of session, agent and harness.
    #[schema(pattern = "^model_[0-9a-f]{32}$")]
    model_id: Option<String>,
    /// The user's language, as a BCP 47 tag; wins over the session's.
    locale: Option<String>,
    #[serde(default)]
    #[schema(ignore)]
    reasoning: Unsupported,
    #[serde(default)]
    #[schema(ignore)]
    hints: Unsupported,
    /// How much is told of a model's failure; at most what the server discloses.
    #[schema(value_type = Option<ErrorDisclosure>)]
    error_disclosure: Option<String>,
}

/// Role and content of a message to the agent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageInput {
    /// Who speaks: only `user`.
    #[serde(default = "user")]
    role: Role,
    /// Text and images, in order.
    content: Vec<ContentPart>,
}

fn user() -> Role {
    Role::User
}

/// A message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub(crate) struct MessageBody {
    /// Id.
    id: MessageId,
    /// The session that it belongs to.
    session_id: SessionId,
    /// Sequence of the event that it is.
    sequence: u64,
    /// The turn that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    turn_id: Option<TurnId>,
    /// Who speaks.
    role: Role,
    /// Content in order.
    content: Vec<ContentPart>,
    /// Free-form values of the sender.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    /// What the sender wants of the turn that answers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    controls: Option<Controls>,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl MessageBody {
    /// The message that an event is, if it is one.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let message = message_of(event)?;
        Some(Self {
            id: message.id,
            session_id: event.session_id,
            sequence: event.sequence?,
            turn_id: event.context.turn_id,
            role: message.role,
            content: message.content,
            metadata: message.metadata,
            controls: message.controls,
            created_at: message.created_at,
        })
    }
}

/// Which messages.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessageParams {
    /// Messages to skip.
    #[param(default = 0)]
    offset: Option<u64>,
    /// Messages to return.
    #[param(default = 1000, minimum = 1, maximum = 1000)]
    limit: Option<u64>,
}

impl FromParams for MessageParams {
    fn from_params(params: &mut Params) -> Self {
        Self { offset: params.number("offset", 0, MAX_INTEGER), limit: params.number("limit", 1, MAX_MESSAGES) }
    }
}

/// Send a message
///
/// The answer comes at once; what the agent says comes as events. A turn that runs is told the
/// message before its next model call, and `turn.merged` says so; if it makes none, or the message has
/// other controls than the one that it answers, the message gets a turn of its own behind it. A turn
/// that waits for somebody ends.
#[utoipa::path(
    post,
    path = "/sessions/{session_id}/messages",
    tag = "messages",
    params(
        ("session_id" = String, Path, description = "Id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Name of the request; a repetition within a day has no second effect"),
    ),
    request_body = CreateMessage,
    responses(
        (status = 201, body = MessageBody),
        (status = 409, description = "The session is paused at the soft limit of a budget, which is named with what helps"),
        (status = 429, description = "The org has too many turns that have not ended, or begins too many in a minute; `retry_after_seconds` says when to try again"),
        (status = 507, description = "The org's sessions have as many bytes of events as they may have"),
    ),
)]
pub(crate) async fn create_message(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Once { body, key }: Once<CreateMessage>,
) -> Result<(StatusCode, Replayed<Json<MessageBody>>), Problem> {
    let session = resolve::session(&app, caller.org, &reference).await?;
    let controls = body.check(&app, caller.org).await?;
    budgets::check_left(&app, caller.org, &session).await?;
    let session = session.id;
    // Before the key is remembered, so that a refused request has no effect at all.
    let reserved = app.quotas.reserve_turn(caller.org, &*app.stores.log, app.moments.now()).await?;
    let claimed = key.claim(&app, caller.org).await?;
    let key = TurnKey { org: caller.org, session, turn: TurnId::from_uuid(claimed.id) };
    let said = Said { content: body.message.content, metadata: body.metadata.unwrap_or_default(), controls };
    let Submitted { event, created } = submit(&app, key, said).await?;
    if created {
        reserved.keep();
    }
    let message = MessageBody::of(&event).ok_or_else(|| Problem::internal("a stored input is not a message"))?;
    Ok((StatusCode::CREATED, Replayed(claimed.repeated, Json(message))))
}

/// List messages
///
/// Oldest first.
#[utoipa::path(
    get,
    path = "/sessions/{session_id}/messages",
    tag = "messages",
    params(("session_id" = String, Path, description = "Id"), MessageParams),
    responses((status = 200, body = List<MessageBody>)),
)]
pub(crate) async fn list_messages(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Query(params): Query<MessageParams>,
) -> Result<Json<List<MessageBody>>, Problem> {
    let session = resolve::session(&app, caller.org, &reference).await?.id;
    let (offset, limit) = (params.offset.unwrap_or(0), params.limit.unwrap_or(MAX_MESSAGES));
    let (data, total) = read(&app, caller.org, session, offset, limit).await?;
    Ok(Json(List { data, total, offset, limit }))
}

impl CreateMessage {
    /// Checks everything; returns the controls as they are kept.
    async fn check(&self, app: &App, org: OrgId) -> Result<Option<Controls>, Problem> {
        let mut checks = Checks::default();
        checks.unsupported(&[
            ("/addressed_participant_id", &self.addressed_participant_id),
            ("/external_actor", &self.external_actor),
            ("/tags", &self.tags),
        ]);
        if self.message.role != Role::User {
            checks.add(Finding::at("/message/role", "invalid_role", "only messages of role user can be sent"));
        }
        check_content(&mut checks, &self.message.content);
        let metadata = self.metadata.as_ref().map(|metadata| serde_json::to_string(metadata).unwrap_or_default());
        checks.text("/metadata", metadata.as_deref(), MAX_METADATA_BYTES);
        let mut wanted = Controls::default();
        if let Some(controls) = &self.controls {
            checks.unsupported(&[("/controls/reasoning", &controls.reasoning), ("/controls/hints", &controls.hints)]);
            checks.locale("/controls/locale", controls.locale.as_deref());
            let model_id = checks.model(app, org, "/controls/model_id", controls.model_id.as_deref()).await?;
            let error_disclosure = disclosure(&mut checks, controls.error_disclosure.as_deref());
            wanted = Controls { model_id, locale: controls.locale.clone(), error_disclosure };
        }
        checks.finish()?;
        Ok((wanted != Controls::default()).then_some(wanted))
    }
}

fn disclosure(checks: &mut Checks, text: Option<&str>) -> Option<ErrorDisclosure> {
    let parsed = text?.parse();
    if parsed.is_err() {
        let finding = Finding::at("/controls/error_disclosure", "invalid_disclosure", "no such level of disclosure");
        checks.add(finding.fix("one of generic, standard, detailed"));
    }
    parsed.ok()
}

fn check_content(checks: &mut Checks, content: &[ContentPart]) {
    if content.is_empty() || content.len() > MAX_PARTS && !off("server.message_parts") {
        let detail = format!("{} parts; a message has 1 to {MAX_PARTS}", content.len());
        checks.add(Finding::at("/message/content", "wrong_count", detail));
    }
    let mut text_bytes = 0;
    for (at, part) in content.iter().enumerate().take(MAX_PARTS) {
        let pointer = format!("/message/content/{at}");
        match part {
            ContentPart::Text { text } => text_bytes += text.len(),
            ContentPart::Image { url: Some(_), base64: None, .. }
            | ContentPart::Image { url: None, base64: Some(_), media_type: Some(_) } => {}
            ContentPart::Image { .. } => {
                let finding = Finding::at(pointer, "invalid_image", "an image has either a url, or base64 and media_type");
                checks.add(finding);
            }
            ContentPart::Reasoning { .. } | ContentPart::ToolCall(_) | ContentPart::ToolResult { .. } => {
                checks.add(Finding::at(pointer, "invalid_part", "a user's message has parts of type text and image only"));
            }
        }
    }
    if text_bytes > MAX_MESSAGE_BYTES && !off("server.message_bytes") {
        let detail = format!("{text_bytes} bytes of text; at most {MAX_MESSAGE_BYTES} are allowed");
        checks.add(Finding::at("/message/content", "too_long", detail));
    }
}

/// What a user says.
pub(super) struct Said {
    pub(super) content: Vec<ContentPart>,
    pub(super) metadata: Map<String, Value>,
    pub(super) controls: Option<Controls>,
}

/// Stores the message, tells the listeners, and has its turn run. Once it is stored, the turn
/// runs even if this process dies now.
pub(super) async fn submit(app: &App, key: TurnKey, said: Said) -> Result<Submitted, Problem> {
    let app = app.clone();
    to_its_end(async move { submit_at_once(&app, key, said).await }).await?
}

async fn submit_at_once(app: &App, key: TurnKey, said: Said) -> Result<Submitted, Problem> {
    let now = app.moments.now();
    let Said { content, metadata, controls } = said;
    let id = MessageId::from_uuid(app.moments.uuid());
    let message = Message { id, role: Role::User, content, metadata, controls, created_at: now };
    let input = NewEvent {
        id: EventId::from_uuid(app.moments.uuid()),
        ts: now,
        context: EventContext { turn_id: Some(key.turn), input_message_id: Some(message.id) },
        data: EventData::InputMessage { message },
    };
    let submitted = app.stores.log.submit_turn(key.org, key.session, key.turn, input).await;
    if let Ok(Submitted { event, created: true }) = &submitted {
        app.stores.event_bus.emit(event.clone());
    }
    // What a database did not confirm may be stored all the same. The engine finds out.
    if submitted.as_ref().map_or_else(|error| error.kind() == ErrorKind::Unavailable, |_| true)
        && let Err(error) = app.engine.submit(key).await
    {
        tracing::warn!(%error, turn = %key.turn, "the turn waits until the engine is told again, at the next start of a server at the latest");
    }
    Ok(submitted?)
}

async fn read(app: &App, org: OrgId, session: SessionId, offset: u64, limit: u64) -> Result<(Vec<MessageBody>, u64), Problem> {
    let (mut data, mut total, mut after) = (Vec::new(), 0, 0);
    loop {
        let events = app.stores.log.read_events(org, session, after, MAX_EVENTS_PER_PAGE).await?;
        let Some(last) = events.last().and_then(|event| event.sequence) else { return Ok((data, total)) };
        for message in events.iter().filter_map(MessageBody::of) {
            if (offset..offset.saturating_add(limit)).contains(&total) {
                data.push(message);
            }
            total += 1;
        }
        after = last;
    }
}
