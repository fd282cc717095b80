//! The conformance run: the exchanges that a driver carries are replayed at upload, with the answer
//! cut into pieces in many ways. Nothing leaves; the answers are the recorded ones.
//!
//! Framing is the host's, so that all ways of cutting give the same frames unless the driver asks
//! for the pieces as they arrive; the guest runs once for each sequence of frames that there is.

mod compare;
mod cut;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;

use self::compare::{Outcome, check_http};
use self::cut::ways;
use super::ComponentDriver;
use crate::clock::Clock;
use crate::component::{MAX_EXCHANGES, MAX_RECORDED_BODY_BYTES, RecordedChunk, RecordedExchange, RecordedExchanges, ReplayedExchange};
use crate::driver::{
    ChatRequest, Codec, DriverConfig, DriverError, Frame, Framer, Framing, OfferedTool, PromptCache, Protocol, ProviderMetadata,
    ResponseFormat, ResponseHead, ToolChoice, event_json,
};
use crate::id::MessageId;
use crate::limits::Budget;
use crate::message::Message;
use crate::sandbox::gate::{Finding, quoted};
use crate::sandbox::state::Services;

/// Fuel of all replays of one upload together: some tens of seconds of the slowest code measured.
const MAX_FUEL: u64 = 20_000_000_000;
/// Fuel of one replay.
const RUN_FUEL: u64 = 2_000_000_000;
/// Time of one step of a replay, in milliseconds.
const STEP_MS: u64 = 2_000;

/// What time it is during a replay, so that it is the same in each: 2026-01-01T00:00:00Z.
struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        /// In seconds since the epoch.
        const THEN: i64 = 1_767_225_600;
        Timestamp::constant(THEN, 0)
    }
}

/// Replays what the section says.
///
/// # Errors
/// All differences, and what is wrong with the section.
pub(in crate::sandbox) async fn replay(driver: &ComponentDriver, section: &str) -> Result<Vec<ReplayedExchange>, Vec<Finding>> {
    let recorded: RecordedExchanges = serde_json::from_str(section).map_err(|error| vec![unreadable(&error.to_string())])?;
    if recorded.exchanges.len() > MAX_EXCHANGES {
        let detail = format!("there are {} exchanges; {MAX_EXCHANGES} are the most", recorded.exchanges.len());
        return Err(vec![Finding::new("too_many_exchanges", Some("/exchanges".to_owned()), detail, "keep those that differ in kind")]);
    }
    let services = &driver.inner.services;
    let services = Arc::new(Services { clock: Arc::new(FixedClock), gateway: services.gateway.clone(), kv: services.kv.clone() });
    let mut bench = Bench { driver, services, fuel: MAX_FUEL };
    let (mut replayed, mut findings) = (Vec::new(), Vec::new());
    for (at, exchange) in recorded.exchanges.iter().enumerate() {
        match bench.exchange(exchange).await {
            Ok(report) => replayed.push(report),
            Err((place, detail)) => {
                let pointer = format!("/exchanges/{at}{place}");
                let detail = format!("exchange {:?}: {detail}", quoted(&exchange.name));
                findings.push(Finding::new("exchange_differs", Some(pointer), detail, "correct the driver, or record the exchange anew"));
            }
        }
    }
    if findings.is_empty() { Ok(replayed) } else { Err(findings) }
}

fn unreadable(error: &str) -> Finding {
    let detail = format!("the custom section everwit:exchanges cannot be read: {}", quoted(error));
    Finding::new("exchanges_invalid", Some("/exchanges".to_owned()), detail, "write it as docs/drivers.md says")
}

/// Place and detail of a difference.
type Difference = (String, String);

struct Bench<'a> {
    driver: &'a ComponentDriver,
    services: Arc<Services>,
    fuel: u64,
}

impl Bench<'_> {
    async fn exchange(&mut self, exchange: &RecordedExchange) -> Result<ReplayedExchange, Difference> {
        let body = body(exchange).map_err(|problem| ("/response/chunks".to_owned(), problem))?;
        let expected = Outcome::recorded(exchange);
        let ways = ways(&body, self.driver.digest());
        // The first run tells the framing, and so which sequences of frames there are.
        let mut framing = None;
        let mut distinct: Vec<Vec<Frame>> = Vec::new();
        let mut runs = 0;
        for pieces in &ways {
            let frames = match framing {
                None => None,
                Some(framing) => {
                    let frames = frames(framing, pieces).map_err(|error| ("/response".to_owned(), error.to_string()))?;
                    if distinct.contains(&frames) {
                        continue;
                    }
                    Some(frames)
                }
            };
            let run = self.run(exchange, pieces, frames).await?;
            runs += 1;
            if run.outcome != expected {
                let how = if pieces.len() <= 1 { "at once".to_owned() } else { format!("in {} pieces", pieces.len()) };
                return Err((format!("/{}", run.outcome.first_difference(&expected)), run.outcome.explain(&expected, &how)));
            }
            framing = run.framing.or(framing);
            distinct.extend(run.frames);
            if framing.is_none() {
                // It fails before the body, however that arrives.
                break;
            }
        }
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(ReplayedExchange { name: exchange.name.clone(), cuts: count(ways.len()), runs })
    }

    async fn run(&mut self, exchange: &RecordedExchange, pieces: &[Bytes], known: Option<Vec<Frame>>) -> Result<Run, Difference> {
        if self.fuel == 0 {
            return Err((
                String::new(),
                format!("all replays together used up their {MAX_FUEL} units of fuel; record fewer or shorter ones"),
            ));
        }
        let budget = Budget { fuel: RUN_FUEL.min(self.fuel), wall_ms: STEP_MS, ..Budget::COMPLETION };
        let driver = self.driver.with(self.services.clone(), budget);
        let mut codec = driver.codec().await.map_err(|error| (String::new(), error.to_string()))?;
        let run = Run::of((&driver.description().id, codec.as_mut()), exchange, pieces, known).await;
        self.fuel -= codec.receipt().map_or(budget.fuel, |receipt| receipt.usage.fuel).min(self.fuel);
        run
    }
}

/// What one replay came to.
struct Run {
    outcome: Outcome,
    framing: Option<Framing>,
    frames: Option<Vec<Frame>>,
}

impl Run {
    async fn of(
        (driver, codec): (&str, &mut dyn Codec),
        exchange: &RecordedExchange,
        pieces: &[Bytes],
        known: Option<Vec<Frame>>,
    ) -> Result<Self, Difference> {
        let ended = |outcome| Ok(Self { outcome, framing: None, frames: None });
        let mut events = Vec::new();
        match codec.begin(&config(exchange), &request(exchange, driver)).await {
            Ok(sent) => check_http(&exchange.http, &sent)?,
            Err(error) => return ended(Outcome::new(events, Some(&error))),
        }
        let headers = exchange.response.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let framing = match codec.on_head(&ResponseHead { status: exchange.response.status, headers }).await {
            Ok(framing) => framing,
            Err(error) => return ended(Outcome::new(events, Some(&error))),
        };
        let frames = match known {
            Some(frames) => frames,
            None => frames(framing, pieces).map_err(|error| ("/response".to_owned(), error.to_string()))?,
        };
        let mut error = None;
        for frame in &frames {
            match codec.on_frame(frame.clone()).await {
                Ok(more) => events.extend(more.iter().map(event_json)),
                Err(failed) => {
                    error = Some(failed);
                    break;
                }
            }
        }
        if error.is_none() {
            match codec.on_end().await {
                Ok(more) => events.extend(more.iter().map(event_json)),
                Err(failed) => error = Some(failed),
            }
        }
        Ok(Self { outcome: Outcome::new(events, error.as_ref()), framing: Some(framing), frames: Some(frames) })
    }
}

/// The frames of a body that arrives in these pieces.
fn frames(framing: Framing, pieces: &[Bytes]) -> Result<Vec<Frame>, DriverError> {
    let mut framer = Framer::new(framing);
    let mut frames = Vec::new();
    for piece in pieces {
        framer.push(piece.clone());
        while let Some(frame) = framer.next()? {
            frames.push(frame);
        }
    }
    frames.extend(framer.end());
    Ok(frames)
}

fn body(exchange: &RecordedExchange) -> Result<Bytes, String> {
    let mut body = Vec::new();
    for chunk in &exchange.response.chunks {
        match chunk {
            RecordedChunk::Text(text) => body.extend_from_slice(text.as_bytes()),
            RecordedChunk::Binary { base64 } => {
                body.extend(STANDARD.decode(base64).map_err(|error| format!("a chunk is not base64: {error}"))?);
            }
        }
    }
    if body.len() > MAX_RECORDED_BODY_BYTES {
        return Err(format!("the answer has {} bytes; {MAX_RECORDED_BODY_BYTES} are the most", body.len()));
    }
    Ok(body.into())
}

fn config(exchange: &RecordedExchange) -> DriverConfig {
    let config = &exchange.config;
    let metadata = ProviderMetadata {
        refresh_token: config.refresh_token.clone().map(Into::into),
        account_id: config.account_id.clone(),
        extra: config.extra.clone(),
    };
    let has_metadata = config.refresh_token.is_some() || config.account_id.is_some() || config.extra.is_some();
    DriverConfig {
        api_key: config.api_key.clone().map(Into::into),
        base_url: config.base_url.clone(),
        metadata: has_metadata.then_some(metadata),
    }
}

fn request(exchange: &RecordedExchange, driver: &str) -> ChatRequest {
    let from = &exchange.request;
    let message = |from: &crate::component::RecordedMessage| {
        Arc::new(Message {
            id: MessageId::from_uuid(uuid::Uuid::nil()),
            role: from.role,
            content: from.content.clone(),
            metadata: serde_json::Map::new(),
            controls: None,
            created_at: FixedClock.now(),
        })
    };
    let tool = |from: &crate::component::RecordedTool| OfferedTool {
        name: from.name.clone(),
        description: from.description.clone(),
        input_schema: from.input_schema.clone(),
    };
    ChatRequest {
        model: from.model.clone(),
        system_prompt: from.system_prompt.clone(),
        messages: from.messages.iter().map(message).collect(),
        tools: from.tools.iter().map(tool).collect(),
        tool_choice: match (from.tool_choice.as_str(), from.tool_choice.strip_prefix("tool:")) {
            (_, Some(name)) => ToolChoice::Tool(name.to_owned()),
            ("none", _) => ToolChoice::None,
            ("required", _) => ToolChoice::Required,
            _ => ToolChoice::Auto,
        },
        temperature: from.temperature,
        max_output_tokens: from.max_output_tokens,
        stop: from.stop.clone(),
        reasoning_effort: from.reasoning_effort.clone(),
        response_format: from.response_format.as_ref().map(|format| ResponseFormat {
            name: format.name.clone(),
            schema: format.schema.clone(),
            strict: format.strict,
        }),
        prompt_cache: from.prompt_cache.clone().map(|key| PromptCache { key }),
        driver_options: from.options.iter().map(|(name, value)| (format!("{driver}/{name}"), value.clone())).collect(),
        ..ChatRequest::default()
    }
}
