//! The reason step: one model call, its live output, and its record.

use std::time::Duration;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::context::TurnContext;
use super::executor::Run;
use super::journal::Halt;
use super::live::LiveAnswer;
use super::state::millis;
use super::stop::Stop;
use crate::driver::{
    Answer, ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverContext, DriverError, DriverErrorKind, DriverId, PromptCache, ReceiptSlot,
};
use crate::error::ErrorKind;
use crate::event::{EventData, RecoveryMode, Retries};
use crate::id::MessageId;
use crate::message::{Message, Role};

/// How often a model call is tried that fails before the first event of its answer.
const MAX_TRIES: u32 = 3;
/// Wait before the second try if the vendor names none; doubled for the third.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait that a vendor may ask for; a turn that had to wait longer fails instead.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Length of `reason.completed.text_preview`, in characters.
const PREVIEW_CHARACTERS: usize = 200;

/// How a model call ended.
enum Generation {
    Answered(Answer),
    Failed(Answer, DriverError),
    Stopped(Stop),
}

/// How one try of it ended.
enum Attempt {
    /// With an error before the first event; the next try costs nothing.
    Refused(DriverError),
    Ended(Generation),
}

/// One model call with its times.
struct ModelCall {
    message_id: MessageId,
    model: String,
    driver: DriverId,
    iteration: u32,
    retry: Option<Retries>,
    started: jiff::Timestamp,
    first_event_ms: Option<u64>,
    receipt: ReceiptSlot,
}

impl ModelCall {
    fn waited_ms(&self) -> u64 {
        self.retry.map_or(0, |retry| retry.total_wait_ms)
    }
}

impl Run<'_> {
    pub(super) async fn reason(&mut self, context: &TurnContext, iteration: u32, recovered: bool) -> Result<(), Halt> {
        let opening = if recovered {
            EventData::ReasonRecovered { turn_id: self.key.turn, mode: RecoveryMode::Restart }
        } else {
            let (harness_id, agent_id) = (context.session.harness_id, context.session.agent_id);
            EventData::ReasonStarted { harness_id, agent_id, iteration }
        };
        self.journal.append(vec![opening]).await?;
        let message_id = MessageId::from_uuid(self.platform.ids.next());
        let model = context.model_with_provider.model.clone();
        let driver = context.model_with_provider.provider_type.clone();
        let mut call = ModelCall {
            message_id,
            model,
            driver,
            iteration,
            retry: None,
            started: self.journal.now(),
            first_event_ms: None,
            receipt: ReceiptSlot::default(),
        };
        match self.call_model(context, &mut call).await {
            Generation::Answered(answer) => {
                let events = self.answered(context, &call, answer);
                self.journal.append(events).await
            }
            Generation::Failed(partial, error) => {
                let error = context.model_with_provider.redact_error(error);
                tracing::warn!(%error, kind = error.kind.as_str(), "a model call failed");
                let events = self.failed(context, &call, partial, &error);
                self.journal.append(events).await?;
                if error.kind == DriverErrorKind::ContextTooLong && self.journal.state_mut().note_overflow() {
                    return Ok(());
                }
                let stop = Stop::Failed { error_code: error.kind.as_str().to_owned(), error: error.message };
                self.journal.state_mut().stop(stop);
                Ok(())
            }
            Generation::Stopped(stop) => {
                self.journal.state_mut().stop(stop);
                Ok(())
            }
        }
    }

    /// Calls the model; tries again while nothing of an answer was seen and the error passes.
    async fn call_model(&self, context: &TurnContext, call: &mut ModelCall) -> Generation {
        let model = &context.model_with_provider;
        let Some(driver) = &context.driver else {
            let message = format!("no driver {} is registered", model.provider_type);
            return Generation::Failed(Answer::of(&model.provider_type), DriverError::new(DriverErrorKind::Configuration, message));
        };
        let driver = driver.create(&model.driver_config());
        let cancel = CancellationToken::new();
        let _cancel_on_return = cancel.clone().drop_guard();
        let host = self.platform.driver_host.clone();
        let driver_context =
            DriverContext { org: self.key.org, provider: context.resolved_provider_id, cancel, host, receipt: call.receipt.clone() };
        let request = self.chat_request(context);
        let mut tries = 1;
        loop {
            let error = match self.attempt(driver.as_ref(), request.clone(), driver_context.clone(), call).await {
                Attempt::Ended(generation) => return generation,
                Attempt::Refused(error) => error,
            };
            let Some(wait) = wait_before_next_try(&error, tries) else {
                return Generation::Failed(Answer::of(&model.provider_type), error);
            };
            call.retry = Some(Retries { attempts: tries + 1, total_wait_ms: call.waited_ms() + wait.as_millis() as u64 });
            tracing::info!(error = model.redact(&error.to_string()), ?wait, "a model call was refused; trying again");
            tokio::select! {
                stop = self.interrupted() => return Generation::Stopped(stop),
                () = tokio::time::sleep(wait) => tries += 1,
            }
        }
    }

    fn chat_request(&self, context: &TurnContext) -> ChatRequest {
        let model = &context.model_with_provider;
        let mut request = ChatRequest {
            model: model.model.clone(),
            system_prompt: context.runtime_agent.system_prompt.clone(),
            messages: self.journal.state().messages(),
            tools: context.runtime_agent.tools.clone(),
            prompt_cache: Some(PromptCache::of_session(self.key.session)),
            max_output_tokens: context.model_profile.limits.output,
            ..ChatRequest::default()
        };
        request.keep_opaque_of(&model.provider_type);
        request
    }

    async fn attempt(&self, driver: &dyn ChatDriver, request: ChatRequest, context: DriverContext, call: &mut ModelCall) -> Attempt {
        let begun = async {
            let mut stream = driver.complete(request, context).await?;
            let first = stream.next().await.unwrap_or_else(|| Err(broken_off()))?;
            Ok::<_, DriverError>((stream, first))
        };
        let (stream, first) = tokio::select! {
            biased;
            stop = self.interrupted() => return Attempt::Ended(Generation::Stopped(stop)),
            begun = begun => match begun {
                Ok(begun) => begun,
                Err(error) => return Attempt::Refused(error),
            },
        };
        call.first_event_ms = Some(millis(call.started, self.journal.now()));
        Attempt::Ended(self.listen(stream, first, call).await)
    }

    /// Collects an answer that has begun, and shows its text live.
    async fn listen(&self, mut stream: ChatStream, first: ChatEvent, call: &ModelCall) -> Generation {
        let mut live = LiveAnswer::start(self.journal.live(), self.key.turn, call.message_id, &call.model, call.iteration);
        let mut answer = Answer::of(&call.driver);
        let mut event = first;
        let interrupted = self.interrupted();
        tokio::pin!(interrupted);
        loop {
            live.note(&event);
            if let Err(error) = answer.push(event) {
                return Generation::Failed(answer, error);
            }
            if answer.finish().is_some() {
                live.end();
                return Generation::Answered(answer);
            }
            event = loop {
                tokio::select! {
                    biased;
                    stop = &mut interrupted => return Generation::Stopped(stop),
                    next = stream.next() => match next.unwrap_or_else(|| Err(broken_off())) {
                        Ok(event) => break event,
                        Err(error) => return Generation::Failed(answer, error),
                    },
                    () = live.due() => live.flush(),
                }
            };
        }
    }

    fn answered(&self, context: &TurnContext, call: &ModelCall, mut answer: Answer) -> Vec<EventData> {
        let fresh = || format!("call_{}", self.platform.ids.next().simple());
        answer.name_calls(|id| self.journal.state().knows_call(id), fresh);
        let generation = self.generation(context, call, &answer, None);
        let completed = EventData::ReasonCompleted {
            success: true,
            text_preview: answer.preview(PREVIEW_CHARACTERS),
            has_tool_calls: answer.calls() > 0,
            tool_call_count: u32::try_from(answer.calls()).unwrap_or(u32::MAX),
            error: None,
            duration_ms: millis(call.started, self.journal.now()),
            usage: answer.usage(),
        };
        let usage = answer.usage();
        let message = Message {
            id: call.message_id,
            role: Role::Agent,
            content: answer.into_content(),
            metadata: serde_json::Map::new(),
            controls: None,
            created_at: self.journal.now(),
        };
        vec![generation, EventData::OutputMessageCompleted { message, usage }, completed]
    }

    fn failed(&self, context: &TurnContext, call: &ModelCall, partial: Answer, error: &DriverError) -> Vec<EventData> {
        let completed = EventData::ReasonCompleted {
            success: false,
            text_preview: partial.preview(PREVIEW_CHARACTERS),
            has_tool_calls: false,
            tool_call_count: 0,
            error: Some(error.message.clone()),
            duration_ms: millis(call.started, self.journal.now()),
            usage: partial.usage(),
        };
        vec![self.generation(context, call, &partial, Some(error)), completed]
    }

    fn generation(&self, context: &TurnContext, call: &ModelCall, answer: &Answer, error: Option<&DriverError>) -> EventData {
        EventData::LlmGeneration {
            turn_id: self.key.turn,
            model: call.model.clone(),
            provider: context.model_with_provider.provider_type.to_string(),
            messages_to_sequence: self.journal.state().message_sequence(),
            tools: context.tools.names().map(str::to_owned).collect(),
            success: error.is_none(),
            error: error.map(|error| error.message.clone()),
            finish_reason: answer.finish().map(|finish| finish.reason.clone()),
            response_id: answer.finish().and_then(|finish| finish.response_id.clone()),
            retry: call.retry,
            duration_ms: millis(call.started, self.journal.now()),
            time_to_first_token_ms: call.first_event_ms,
            usage: answer.usage(),
            receipt: call.receipt.take(),
        }
    }
}

fn broken_off() -> DriverError {
    DriverError::new(DriverErrorKind::InvalidResponse, "the answer of the model broke off")
}

/// None if another try is pointless, not allowed any more, or would come too late.
pub(super) fn wait_before_next_try(error: &DriverError, tries: u32) -> Option<Duration> {
    if error.kind() != ErrorKind::Unavailable || tries >= MAX_TRIES {
        return None;
    }
    let wait = error.retry_after_ms.map_or(FIRST_WAIT * 2u32.pow(tries - 1), Duration::from_millis);
    (wait <= LONGEST_WAIT).then_some(wait)
}
