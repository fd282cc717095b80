//! The reason step: one model call, its live output, and its record.

use std::time::Duration;

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::context::TurnContext;
use super::executor::Run;
use super::journal::Halt;
use super::live::LiveAnswer;
use super::model::controls_of;
use super::spend::Hold;
use super::stop::Stop;
use super::tools::claim;
use crate::driver::{
    Answer, ChatRequest, ChatStream, DriverContext, DriverError, DriverErrorKind, DriverId, ErrorDisclosure, PromptCache, ReceiptSlot,
    complete,
};
use crate::event::{EventData, RecoveryMode, Retries};
use crate::id::MessageId;
use crate::message::{Message, Role};
use crate::store::TurnEnd;

/// Length of `reason.completed.text_preview`, in characters.
const PREVIEW_CHARACTERS: usize = 200;

/// How a model call ended.
enum Generation {
    Answered(Answer),
    Failed(Answer, DriverError),
    Stopped(Answer, Stop),
}

/// One model call with its times.
struct ModelCall {
    message_id: MessageId,
    model: String,
    driver: DriverId,
    iteration: u32,
    retry: Option<Retries>,
    /// A moment of the steady clock.
    started: Duration,
    first_event_ms: Option<u64>,
    receipt: ReceiptSlot,
}

impl Run<'_> {
    pub(super) async fn reason(&mut self, context: &TurnContext, iteration: u32, recovered: bool) -> Result<(), Halt> {
        if !std::mem::take(&mut self.opened) {
            let recovery = EventData::ReasonRecovered { turn_id: self.key.turn, mode: RecoveryMode::Restart };
            let opening = if recovered { recovery } else { self.opening(context, iteration) };
            self.journal.append(vec![opening]).await?;
        }
        let message_id = MessageId::from_uuid(self.platform.ids.next());
        let model = context.model_with_provider.model.clone();
        let driver = context.model_with_provider.provider_type.clone();
        let (started, receipt) = (self.journal.steady(), ReceiptSlot::default());
        let mut call = ModelCall { message_id, model, driver, iteration, retry: None, started, first_event_ms: None, receipt };
        let mut request = self.chat_request(context);
        let held = match self.hold(context, &mut request).await? {
            Hold::Held(held) => held,
            Hold::Paused(pauses) => return self.pause(pauses).await,
            Hold::Stopped(stop, exhausted) => {
                self.end_before_call(stop, exhausted);
                return Ok(());
            }
        };
        let generation = self.call_model(context, request, &mut call).await;
        let warnings = match &generation {
            Generation::Answered(answer) | Generation::Stopped(answer, _) => self.settle(held, answer, true).await?,
            Generation::Failed(answer, _) => self.settle(held, answer, false).await?,
        };
        match generation {
            Generation::Answered(answer) => self.settle_answer(context, &call, answer, warnings).await,
            Generation::Failed(partial, error) => {
                let error = context.model_with_provider.redact_error(error);
                tracing::warn!(%error, kind = error.kind.as_str(), "a model call failed");
                let told = self.disclosure().text_of(&error);
                let mut events = self.failed(context, &call, partial, &told);
                events.extend(warnings);
                self.journal.append(events).await?;
                if error.kind == DriverErrorKind::ContextTooLong && self.journal.state_mut().note_overflow() {
                    return Ok(());
                }
                let stop = Stop::Failed { error_code: error.kind.as_str().to_owned(), error: told };
                self.journal.state_mut().stop(stop);
                Ok(())
            }
            Generation::Stopped(_, stop) => {
                self.journal.state_mut().stop(stop);
                Ok(())
            }
        }
    }

    /// Appends an answer together with what follows from it, which saves a transaction: the end of the
    /// turn, or the claim of the calls that it asks for.
    async fn settle_answer(
        &mut self,
        context: &TurnContext,
        call: &ModelCall,
        answer: Answer,
        warnings: Vec<EventData>,
    ) -> Result<(), Halt> {
        let (mut events, message) = self.answered(context, call, answer);
        events.extend(warnings);
        let mut calls = self.journal.state().calls_of(&message);
        if calls.is_empty() {
            events.extend(self.ending_with(&events));
            return self.journal.append_end(events, TurnEnd::Completed).await;
        }
        calls.retain(|planned| planned.waits_for.is_none());
        if calls.is_empty() || self.is_to_rest() {
            return self.journal.append(events).await;
        }
        events.extend(claim(context, &calls));
        self.journal.append(events).await?;
        self.execute(context, calls).await
    }

    /// The event that opens a model call.
    pub(super) fn opening(&self, context: &TurnContext, iteration: u32) -> EventData {
        let (harness_id, agent_id) = (context.session.harness_id, context.session.agent_id);
        EventData::ReasonStarted { harness_id, agent_id, iteration }
    }

    /// Calls the model, until an answer is complete.
    async fn call_model(&self, context: &TurnContext, request: ChatRequest, call: &mut ModelCall) -> Generation {
        let model = &context.model_with_provider;
        let Some(driver) = &context.driver else {
            let message = format!("no driver {} is registered", model.provider_type);
            return Generation::Failed(Answer::of(&model.provider_type), DriverError::new(DriverErrorKind::Configuration, message));
        };
        let driver = driver.create(&model.driver_config());
        let cancel = CancellationToken::new();
        let _cancel_on_return = cancel.clone().drop_guard();
        let driver_context = DriverContext {
            provider: context.resolved_provider_id,
            cancel,
            receipt: call.receipt.clone(),
            ..DriverContext::new(self.key.org, self.platform.driver_host.clone())
        };
        let started = tokio::select! {
            biased;
            stop = self.interrupted() => return Generation::Stopped(Answer::of(&model.provider_type), stop),
            started = complete(driver.as_ref(), model, request, &driver_context) => started,
        };
        call.retry = started.retries;
        match started.stream {
            Ok(stream) => self.listen(stream, call).await,
            Err(error) => Generation::Failed(Answer::of(&model.provider_type), error),
        }
    }

    /// What the platform tells of errors, or less if the user's message says so.
    fn disclosure(&self) -> ErrorDisclosure {
        let platform = self.platform.driver_host.settings.error_disclosure;
        let wanted = controls_of(&self.journal.state().messages()).and_then(|controls| controls.error_disclosure);
        wanted.map_or(platform, |wanted| wanted.min(platform))
    }

    fn chat_request(&self, context: &TurnContext) -> ChatRequest {
        let model = &context.model_with_provider;
        ChatRequest {
            model: model.model.clone(),
            system_prompt: context.runtime_agent.system_prompt.clone(),
            messages: self.journal.state().messages(),
            tools: context.runtime_agent.tools.clone(),
            prompt_cache: Some(PromptCache::of_session(self.key.session)),
            max_output_tokens: context.model_profile.limits.output,
            ..ChatRequest::default()
        }
    }

    /// Collects an answer that has begun, and shows its text live.
    async fn listen(&self, mut stream: ChatStream, call: &mut ModelCall) -> Generation {
        call.first_event_ms = Some(self.journal.millis_of(call.started));
        let mut live = LiveAnswer::start(self.journal.live(), self.key.turn, call.message_id, &call.model, call.iteration);
        let mut answer = Answer::of(&call.driver);
        let interrupted = self.interrupted();
        tokio::pin!(interrupted);
        loop {
            let event = tokio::select! {
                biased;
                stop = &mut interrupted => return Generation::Stopped(answer, stop),
                event = stream.next() => event,
                () = live.due() => {
                    live.flush();
                    continue;
                }
            };
            let taken = match event {
                Some(Ok(event)) => {
                    live.note(&event);
                    answer.push(event)
                }
                Some(Err(error)) => Err(error),
                None => Err(DriverError::new(DriverErrorKind::InvalidResponse, "the answer of the model has no end")),
            };
            if let Err(error) = taken {
                return Generation::Failed(answer, error);
            }
            if answer.finish().is_some() {
                live.end();
                return Generation::Answered(answer);
            }
        }
    }

    fn answered(&self, context: &TurnContext, call: &ModelCall, mut answer: Answer) -> (Vec<EventData>, Message) {
        let fresh = || format!("call_{}", self.platform.ids.next().simple());
        answer.name_calls(|id| self.journal.state().knows_call(id), fresh);
        let generation = self.generation(context, call, &answer, None);
        let completed = EventData::ReasonCompleted {
            success: true,
            text_preview: answer.preview(PREVIEW_CHARACTERS),
            has_tool_calls: answer.calls() > 0,
            tool_call_count: u32::try_from(answer.calls()).unwrap_or(u32::MAX),
            error: None,
            duration_ms: self.journal.millis_of(call.started),
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
        (vec![generation, EventData::OutputMessageCompleted { message: message.clone(), usage }, completed], message)
    }

    fn failed(&self, context: &TurnContext, call: &ModelCall, partial: Answer, error: &str) -> Vec<EventData> {
        let completed = EventData::ReasonCompleted {
            success: false,
            text_preview: partial.preview(PREVIEW_CHARACTERS),
            has_tool_calls: false,
            tool_call_count: 0,
            error: Some(error.to_owned()),
            duration_ms: self.journal.millis_of(call.started),
            usage: partial.usage(),
        };
        vec![self.generation(context, call, &partial, Some(error)), completed]
    }

    fn generation(&self, context: &TurnContext, call: &ModelCall, answer: &Answer, error: Option<&str>) -> EventData {
        EventData::LlmGeneration {
            turn_id: self.key.turn,
            model: call.model.clone(),
            provider: context.model_with_provider.provider_type.to_string(),
            messages_to_sequence: self.journal.state().message_sequence(),
            tools: context.tools.names().map(str::to_owned).collect(),
            success: error.is_none(),
            error: error.map(str::to_owned),
            finish_reason: answer.finish().map(|finish| finish.reason.clone()),
            response_id: answer.finish().and_then(|finish| finish.response_id.clone()),
            retry: call.retry,
            duration_ms: self.journal.millis_of(call.started),
            time_to_first_token_ms: call.first_event_ms,
            usage: answer.usage(),
            receipt: call.receipt.take(),
        }
    }
}
