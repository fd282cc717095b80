//! The act step: claims tool calls, runs them at the same time, and settles them in call order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::call::PlannedCall;
use super::connect::asks;
use super::context::TurnContext;
use super::executor::Run;
use super::history::MESSAGE_OVERHEAD_BYTES;
use super::journal::{Halt, LiveEvents, halt};
use super::nested::NestedCalls;
use super::record::{crashed, settled};
use super::risk::{allowed_risk, require_risk};
use super::settle::{abandoned, interrupted, unsuccessful};
use super::stop::Stop;
use super::toolset::{BoundTool, cut};
use crate::capability::{RiskLevel, ToolCallContext, ToolOutcome, ToolSink};
use crate::event::{EventData, RequestedCall, ToolCompleted, ToolStatus};
use crate::fail_point::fail_point;
use crate::limits::{MAX_TOOL_CALLS_PER_STEP, MAX_TOOL_RESULT_BYTES};
use crate::message::{ContentPart, ToolCall};
use crate::mutation::off;
use crate::tokens::IMAGE_BYTES;

/// How long a running tool may take to return after its call was cancelled, before it is dropped.
const CANCEL_GRACE: Duration = Duration::from_millis(500);

/// What is done about one call.
pub(super) enum Decision<'a> {
    Run(&'a BoundTool),
    /// Boxed because it is much larger than the other case.
    Settle(Box<ToolCompleted>),
}

/// What became of one call.
enum Settled {
    Done(ToolCompleted),
    /// It has done nothing, and asks its user.
    Asks(RequestedCall),
}

/// Calls of one step on their way to their results.
struct Batch {
    calls: Vec<PlannedCall>,
    results: Vec<Option<Settled>>,
    appended: usize,
    /// Calls that turned out to need a connection.
    asks: Vec<RequestedCall>,
    tasks: JoinSet<ToolOutcome>,
    positions: HashMap<Id, usize>,
    cancel: CancellationToken,
    /// A moment of the steady clock.
    started: Duration,
}

impl Run<'_> {
    /// Settles all calls, which are the open ones of the latest answer in call order.
    pub(super) async fn act(&mut self, context: &TurnContext, calls: Vec<PlannedCall>) -> Result<(), Halt> {
        if self.journal.state().open_act().is_none() {
            self.journal.append(claim(context, &calls)).await?;
        }
        self.execute(context, calls).await
    }

    /// Executes and settles calls that are claimed.
    pub(super) async fn execute(&mut self, context: &TurnContext, calls: Vec<PlannedCall>) -> Result<(), Halt> {
        let allowed = self.allowed(context, &calls).await?;
        let mut batch = self.launch(context, calls, allowed);
        let stopped = loop {
            self.append_ready(context, &mut batch).await?;
            if batch.appended == batch.calls.len() {
                return Ok(());
            }
            tokio::select! {
                biased;
                done = batch.tasks.join_next_with_id() => self.note(context, &mut batch, done),
                stop = self.interrupted() => break stop,
            }
        };
        self.wind_down(context, &mut batch, &stopped).await;
        self.append_ready(context, &mut batch).await?;
        self.journal.state_mut().stop(stopped);
        Ok(())
    }

    /// The risk that the org allows now to the capabilities of these calls.
    pub(super) async fn allowed(&self, context: &TurnContext, calls: &[PlannedCall]) -> Result<RiskLevel, Halt> {
        let tools = calls.iter().filter_map(|planned| context.tools.get(&planned.call.name));
        let levels = tools.map(|tool| tool.capability.risk_level());
        allowed_risk(&*self.platform.backends.setup_store, self.key.org, levels).await.map_err(halt)
    }

    /// Starts the calls that are to be executed; the others have their results at once. `calls`
    /// are as they were before this step claimed them: `claimed` means by a process that died.
    fn launch(&self, context: &TurnContext, calls: Vec<PlannedCall>, allowed: RiskLevel) -> Batch {
        let mut batch = Batch {
            results: calls.iter().map(|_| None).collect(),
            calls,
            appended: 0,
            asks: Vec::new(),
            tasks: JoinSet::new(),
            positions: HashMap::new(),
            cancel: CancellationToken::new(),
            started: self.journal.steady(),
        };
        for (position, planned) in batch.calls.iter().enumerate() {
            match decide(context, planned, allowed) {
                Decision::Settle(completed) => batch.results[position] = Some(Settled::Done(*completed)),
                Decision::Run(tool) => {
                    let call = self.tool_call_context(context, tool, &planned.call, &batch.cancel);
                    let (capability, name) = (tool.capability.clone(), tool.definition.name.clone());
                    let arguments = planned.call.arguments.clone();
                    let task = async move {
                        let outcome = capability.call_tool(&call, &name, arguments).await;
                        fail_point!(ToolReturned);
                        outcome
                    };
                    let handle = batch.tasks.spawn(task);
                    batch.positions.insert(handle.id(), position);
                }
            }
        }
        batch
    }

    fn tool_call_context(&self, context: &TurnContext, tool: &BoundTool, call: &ToolCall, cancel: &CancellationToken) -> ToolCallContext {
        ToolCallContext {
            org_id: self.key.org,
            session_id: self.key.session,
            has_session: true,
            turn_id: self.key.turn,
            idempotency_key: call.id.clone(),
            config: tool.config.clone(),
            locale: context.resolved_locale.clone(),
            cancel: cancel.child_token(),
            sink: Arc::new(LiveSink { events: self.journal.live(), tool_call_id: call.id.clone(), tool_name: call.name.clone() }),
            services: self.services.clone(),
            nested: Some(NestedCalls::new(context.tools.clone())),
        }
    }

    fn note(&self, context: &TurnContext, batch: &mut Batch, done: Option<Result<(Id, ToolOutcome), JoinError>>) {
        let Some(done) = done else { return };
        let (id, outcome) = match done {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => (error.id(), crashed(error)),
        };
        let Some(&position) = batch.positions.get(&id) else { return };
        let duration_ms = self.journal.millis_of(batch.started);
        let planned = &batch.calls[position];
        batch.results[position] = Some(match asks(planned, &outcome, capability_id(context, &planned.call.name)) {
            Some(request) => Settled::Asks(request),
            None => Settled::Done(settled(context, &planned.call, outcome, duration_ms)),
        });
    }

    /// Appends the results that have no unsettled call before them, and the end of the step
    /// together with the last one. Calls that ask for a connection have no result; they are
    /// requested then, and the planner parks the turn.
    async fn append_ready(&mut self, context: &TurnContext, batch: &mut Batch) -> Result<(), Halt> {
        let ready: Vec<Settled> = batch.results[batch.appended..].iter_mut().map_while(Option::take).collect();
        if ready.is_empty() {
            return Ok(());
        }
        batch.appended += ready.len();
        let (mut successes, mut failures, mut events) = (0, 0, Vec::with_capacity(ready.len() + 2));
        let mut goes_on = false;
        for settled in ready {
            match settled {
                Settled::Done(completed) => {
                    *(if completed.success { &mut successes } else { &mut failures }) += 1;
                    let capability_id = capability_id(context, &completed.tool_name);
                    events.push(EventData::ToolCompleted(ToolCompleted { capability_id, ..completed }));
                }
                Settled::Asks(request) => batch.asks.push(request),
            }
        }
        if batch.appended == batch.calls.len() {
            let (success_count, error_count) = self.journal.state().call_counts();
            let since_claim = self.journal.state().open_act().map(|claim| self.journal.millis_since(claim));
            events.push(EventData::ActCompleted {
                success_count: success_count + count(successes),
                error_count: error_count + count(failures),
                duration_ms: since_claim.unwrap_or_else(|| self.journal.millis_of(batch.started)),
            });
            let tool_calls = std::mem::take(&mut batch.asks);
            if tool_calls.is_empty() {
                goes_on = self.journal.state().reasons_after(count_results(&events), result_bytes(&events));
            } else {
                events.push(self.requested(tool_calls, self.platform.wait_limit));
            }
        }
        match events.is_empty() {
            true => Ok(()),
            false if goes_on => self.append_and_open(context, events).await,
            false => self.journal.append(events).await,
        }
    }

    /// Gives running tools a moment to return after their cancel; the rest is dropped.
    async fn wind_down(&self, context: &TurnContext, batch: &mut Batch, stop: &Stop) {
        batch.cancel.cancel();
        let grace = tokio::time::sleep(CANCEL_GRACE);
        tokio::pin!(grace);
        while !batch.tasks.is_empty() {
            tokio::select! {
                biased;
                done = batch.tasks.join_next_with_id() => self.note(context, batch, done),
                () = &mut grace => break,
            }
        }
        batch.tasks.abort_all();
        let duration_ms = self.journal.millis_of(batch.started);
        // Nobody is asked any more; the end of the turn settles these.
        batch.asks.clear();
        for (position, result) in batch.results.iter_mut().enumerate().skip(batch.appended) {
            let call = match result {
                Some(Settled::Done(_)) => continue,
                Some(Settled::Asks(_)) => PlannedCall { claimed: false, ..batch.calls[position].clone() },
                None => PlannedCall { claimed: true, ..batch.calls[position].clone() },
            };
            *result = Some(Settled::Done(ToolCompleted { duration_ms, ..abandoned(&call, stop) }));
        }
    }
}

/// The events that claim calls: from then on they may have been executed.
pub(super) fn claim(context: &TurnContext, calls: &[PlannedCall]) -> Vec<EventData> {
    let tool_calls: Vec<ToolCall> = calls.iter().map(|planned| planned.call.clone()).collect();
    let started = calls.iter().map(|planned| EventData::ToolStarted {
        capability_id: capability_id(context, &planned.call.name),
        tool_call: planned.call.clone(),
    });
    [EventData::ActStarted { tool_calls }].into_iter().chain(started).collect()
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

fn count_results(events: &[EventData]) -> usize {
    events.iter().filter(|event| matches!(event, EventData::ToolCompleted(_))).count()
}

/// At least as many bytes as the results add to a conversation.
fn result_bytes(events: &[EventData]) -> usize {
    let bytes = |part: &ContentPart| serde_json::to_string(part).map_or(0, |text| text.len()).max(IMAGE_BYTES);
    let of = |event: &EventData| match event {
        EventData::ToolCompleted(done) => {
            let texts = done.tool_call_id.len() + done.error.as_ref().map_or(0, String::len);
            texts + done.result.iter().map(bytes).sum::<usize>() + MESSAGE_OVERHEAD_BYTES
        }
        _ => 0,
    };
    events.iter().map(of).sum()
}

pub(super) fn capability_id(context: &TurnContext, tool: &str) -> Option<String> {
    context.tools.get(tool).map(|tool| tool.capability.id().to_owned())
}

/// What the rules of the platform say about a call, before the tool has a say.
pub(super) fn decide<'a>(context: &'a TurnContext, planned: &PlannedCall, allowed: RiskLevel) -> Decision<'a> {
    let refuse = |kind: &str, error: String| Decision::Settle(Box::new(unsuccessful(planned, ToolStatus::Error, kind, error)));
    if planned.index >= MAX_TOOL_CALLS_PER_STEP && !off("turn.tool_calls") {
        let error = format!("refused: at most {MAX_TOOL_CALLS_PER_STEP} tool calls of one answer are executed; the tool was not called");
        return refuse("too-many-calls", error);
    }
    let Some(tool) = context.tools.get(&planned.call.name) else {
        let names: Vec<&str> = context.tools.names().collect();
        let available = if names.is_empty() { "there are none".to_owned() } else { names.join(", ") };
        let error = format!("there is no tool {:?}; available tools: {available}", planned.call.name);
        return refuse("unknown-tool", cut(&error, MAX_TOOL_RESULT_BYTES).to_owned());
    };
    if let Err(beyond) = require_risk(&*tool.capability, allowed)
        && !off("risk.call")
    {
        return refuse("denied", format!("{beyond}; the tool was not called"));
    }
    if let Some(raw) = planned.call.arguments.as_str() {
        let error = malformed(raw);
        return refuse("invalid-arguments", format!("the arguments are not a JSON object: {error}; the tool was not called"));
    }
    if let Err(problems) = tool.check(&planned.call.arguments) {
        return refuse(
            "invalid-arguments",
            format!("the arguments do not match the tool's input schema: {problems}; the tool was not called"),
        );
    }
    if planned.rejected {
        return refuse("rejected", "a person refuses all calls of this tool in this session; the tool was not called".to_owned());
    }
    if planned.claimed && !tool.definition.effects.repeatable() {
        return Decision::Settle(Box::new(interrupted(planned)));
    }
    Decision::Run(tool)
}

/// What is wrong with a text that should be a JSON object.
fn malformed(raw: &str) -> String {
    match serde_json::from_str::<Value>(raw) {
        Ok(Value::Object(_)) => "they were cut off".to_owned(),
        Ok(_) => "they are another JSON value".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Shows listeners what a running tool says.
struct LiveSink {
    events: LiveEvents,
    tool_call_id: String,
    tool_name: String,
}

impl ToolSink for LiveSink {
    fn progress(&self, done: u64, total: Option<u64>, note: &str) {
        let (tool_call_id, tool_name) = (self.tool_call_id.clone(), self.tool_name.clone());
        self.events.publish(EventData::ToolProgress { tool_call_id, tool_name, done, total, message: note.to_owned() });
    }

    fn emit(&self, parts: &[ContentPart]) {
        let (tool_call_id, tool_name) = (self.tool_call_id.clone(), self.tool_name.clone());
        self.events.publish(EventData::ToolOutputDelta { tool_call_id, tool_name, parts: parts.to_vec() });
    }
}
