//! The planner against a world without I/O: a log, a model that follows a plan of tool calls,
//! tools that echo, and processes that die between any two events.

mod waiting;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::plan::MAX_FRUITLESS_ATTEMPTS;
use super::*;
use crate::event::{
    Event, EventContext, EventData, NewEvent, RecoveryMode, RequestKind, RequestedCall, TokenUsage, ToolCompleted, ToolStatus,
};
use crate::id::{EventId, HarnessId, MessageId, SessionId, TurnId};
use crate::message::{ContentPart, Message, Role, ToolCall};
use crate::store::TurnEnd;

fn turn(n: u128) -> TurnId {
    TurnId::from_uuid(Uuid::from_u128(n))
}

fn message(role: Role, content: Vec<ContentPart>) -> Message {
    let id = MessageId::from_uuid(Uuid::nil());
    Message { id, role, content, metadata: Default::default(), controls: None, created_at: Timestamp::UNIX_EPOCH }
}

fn input(text: &str) -> EventData {
    EventData::InputMessage { message: message(Role::User, vec![ContentPart::text(text)]) }
}

fn generation(usage: TokenUsage) -> EventData {
    EventData::LlmGeneration {
        turn_id: OWN,
        model: "m".to_owned(),
        provider: "p".to_owned(),
        messages_to_sequence: 0,
        tools: Vec::new(),
        success: true,
        error: None,
        finish_reason: None,
        response_id: None,
        retry: None,
        duration_ms: 0,
        time_to_first_token_ms: None,
        usage,
        receipt: None,
    }
}

fn answer(calls: Vec<ToolCall>) -> EventData {
    let mut content = vec![ContentPart::text("answer")];
    content.extend(calls.into_iter().map(ContentPart::ToolCall));
    EventData::OutputMessageCompleted { message: message(Role::Agent, content), usage: TokenUsage::default() }
}

fn result(call: &ToolCall, status: ToolStatus) -> EventData {
    let success = status == ToolStatus::Success;
    EventData::ToolCompleted(ToolCompleted {
        tool_call_id: call.id.clone(),
        tool_name: call.name.clone(),
        success,
        status,
        result: if success { vec![ContentPart::text(format!("result of {}", call.id))] } else { Vec::new() },
        structured: None,
        error: None,
        error_kind: None,
        duration_ms: 0,
        capability_id: None,
        receipt: None,
    })
}

const OWN: TurnId = TurnId::from_uuid(Uuid::from_u128(2));

/// What happens to the append of one step.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Stored,
    /// The process dies after so many events of the batch.
    Dies(usize),
    /// A later message arrives first.
    Overtaken,
}

struct World {
    log: Vec<Event>,
    calls_per_answer: Vec<usize>,
    repeatable: bool,
    max_iterations: u32,
}

impl World {
    fn new(calls_per_answer: Vec<usize>, repeatable: bool) -> Self {
        let mut world = Self { log: Vec::new(), calls_per_answer, repeatable, max_iterations: 100 };
        world.add(turn(1), vec![input("earlier")]);
        world.add(OWN, vec![input("own")]);
        world.add(turn(1), vec![answer(Vec::new())]);
        world
    }

    /// Adds events of a turn. The end of a turn that is merged is that turn's own.
    fn add(&mut self, turn: TurnId, batch: Vec<EventData>) {
        for data in batch {
            let sequence = self.log.len() as u64 + 1;
            let of = if let EventData::TurnMerged { turn_id, .. } = data { turn_id } else { turn };
            let context = EventContext { turn_id: Some(of), input_message_id: None };
            let new = NewEvent { id: EventId::from_uuid(Uuid::from_u128(sequence.into())), ts: Timestamp::UNIX_EPOCH, context, data };
            self.log.push(new.at(SessionId::from_uuid(Uuid::nil()), Some(sequence)));
        }
    }

    fn state(&self) -> TurnState {
        let mut state = TurnState::new(OWN);
        self.log.iter().for_each(|event| state.fold(event));
        state.set_max_iterations(self.max_iterations);
        state
    }

    fn activated() -> EventData {
        EventData::SessionActivated { turn_id: OWN, input_message_id: MessageId::from_uuid(Uuid::nil()) }
    }

    /// The events of a step, as one or more appends.
    fn perform(&self, step: &Step) -> Vec<Vec<EventData>> {
        match step {
            Step::Start => {
                let input_message_id = MessageId::from_uuid(Uuid::nil());
                vec![vec![
                    EventData::TurnStarted { turn_id: OWN, input_message_id, capabilities: Vec::new(), driver: None },
                    Self::activated(),
                ]]
            }
            Step::Reason { iteration, recovered } => vec![vec![self.opening(*iteration, *recovered)], self.closing(*iteration)],
            Step::Act { calls } => {
                let tool_calls: Vec<ToolCall> = calls.iter().map(|planned| planned.call.clone()).collect();
                let started = |call: &ToolCall| EventData::ToolStarted { tool_call: call.clone(), capability_id: None };
                let mut claim: Vec<EventData> = tool_calls.iter().map(started).collect();
                claim.insert(0, EventData::ActStarted { tool_calls });
                [vec![claim], self.settle(calls)].concat()
            }
            Step::Settle { calls } => self.settle(calls),
            Step::Request { calls } => {
                let request = |planned: &PlannedCall| RequestedCall {
                    tool_call: planned.call.clone(),
                    kind: planned.waits_for.expect("only calls that wait are requested"),
                    capability_id: None,
                    connection_required: None,
                };
                vec![vec![EventData::ToolCallRequested { turn_id: OWN, tool_calls: calls.iter().map(request).collect(), expires_at: None }]]
            }
            Step::Park => Vec::new(),
            Step::Merge { turn, .. } => vec![vec![EventData::TurnMerged { turn_id: *turn, into_turn_id: OWN }]],
            Step::Note { .. } | Step::Compact { .. } => panic!("there are no rules: {step:?}"),
            Step::Finish(finish) => vec![vec![Self::end(finish), EventData::SessionIdled { turn_id: OWN }]],
            Step::Done(_) => Vec::new(),
        }
    }

    fn opening(&self, iteration: u32, recovered: bool) -> EventData {
        if recovered {
            return EventData::ReasonRecovered { turn_id: OWN, mode: RecoveryMode::Restart };
        }
        EventData::ReasonStarted { harness_id: HarnessId::from_uuid(Uuid::nil()), agent_id: None, iteration }
    }

    fn closing(&self, iteration: u32) -> Vec<EventData> {
        let count = self.calls_per_answer.get(iteration as usize - 1).copied().unwrap_or(0);
        let call = |n| ToolCall::new(format!("call_{iteration}_{n}"), format!("tool_{n}"), json!({}));
        let usage = TokenUsage { input_tokens: 1, ..TokenUsage::default() };
        let completed = EventData::ReasonCompleted {
            success: true,
            text_preview: None,
            has_tool_calls: count > 0,
            tool_call_count: count as u32,
            error: None,
            duration_ms: 0,
            usage,
        };
        vec![generation(usage), answer((0..count).map(call).collect()), completed]
    }

    /// Each result is an append of its own, the last one with the end of the step.
    fn settle(&self, calls: &[PlannedCall]) -> Vec<Vec<EventData>> {
        let status = |planned: &PlannedCall| match planned.claimed && !self.repeatable {
            true => ToolStatus::Interrupted,
            false => ToolStatus::Success,
        };
        let mut appends: Vec<Vec<EventData>> = calls.iter().map(|planned| vec![result(&planned.call, status(planned))]).collect();
        if let Some(last) = appends.last_mut() {
            last.push(EventData::ActCompleted { success_count: 0, error_count: 0, duration_ms: 0 });
        }
        appends
    }

    fn end(finish: &Finish) -> EventData {
        let usage = TokenUsage::default();
        match finish {
            Finish::Stopped(Stop::Cancelled) => EventData::TurnCancelled { turn_id: OWN, usage },
            Finish::Stopped(Stop::Failed { error_code, error }) => {
                EventData::TurnFailed { turn_id: OWN, error: error.clone(), error_code: error_code.clone(), usage }
            }
            Finish::Stopped(Stop::Sealed { reason, detail }) => {
                EventData::TurnSealed { turn_id: OWN, reason: reason.as_str().to_owned(), detail: detail.clone() }
            }
            finish => EventData::TurnCompleted {
                turn_id: OWN,
                iterations: 0,
                tool_call_count: 0,
                reason: if *finish == Finish::Completed { "answered".to_owned() } else { "max_iterations".to_owned() },
                final_message_id: None,
                duration_ms: 0,
                usage,
            },
        }
    }

    /// Runs the turn to its end; `fates` say what happens to the appends, in order.
    fn run(&mut self, fates: &[Fate]) -> TurnState {
        let mut fates = fates.iter().copied();
        let mut state = self.state();
        for _ in 0..300 {
            let step = next(&state);
            if let Step::Done(_) = step {
                return state;
            }
            for batch in self.perform(&step) {
                let fate = fates.next().unwrap_or(Fate::Stored);
                if let Fate::Dies(after) = fate
                    && state.fruitless_activations() < MAX_FRUITLESS_ATTEMPTS
                {
                    let survives = after.min(batch.len());
                    self.add(OWN, batch.into_iter().take(survives).collect());
                    let started = self.state().started_at().is_some() && self.state().ended().is_none();
                    self.add(OWN, if started { vec![Self::activated()] } else { Vec::new() });
                    state = self.state();
                    break;
                }
                if let Fate::Overtaken = fate {
                    let (planned, unused) = (next(&state), 100 + self.log.len() as u128);
                    self.add(turn(unused), vec![input("later")]);
                    state = self.state();
                    // The append is refused, because the log goes on with something else by now.
                    if next(&state) != planned {
                        break;
                    }
                }
                self.add(OWN, batch);
                state = self.state();
            }
        }
        panic!("the turn does not end");
    }
}

fn contents(state: &TurnState) -> Vec<(Role, Vec<ContentPart>)> {
    state.messages().iter().map(|message| (message.role, message.content.clone())).collect()
}

/// The conversation without the messages that came while the turn ran.
fn undisturbed(state: &TurnState) -> Vec<(Role, Vec<ContentPart>)> {
    contents(state).into_iter().filter(|(_, content)| *content != [ContentPart::text("later")]).collect()
}

fn results(log: &[Event]) -> Vec<(String, ToolStatus)> {
    let completed = log.iter().filter_map(|event| match &event.data {
        EventData::ToolCompleted(completed) => Some((completed.tool_call_id.clone(), completed.status)),
        _ => None,
    });
    completed.collect()
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![3 => Just(Fate::Stored), 2 => (0usize..5).prop_map(Fate::Dies), 1 => Just(Fate::Overtaken)]
}

fn plans() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1usize..5, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_crashes_lead_to_the_same_conversation_with_repeatable_tools(plan in plans(), fates in prop::collection::vec(fate(), 0..60)) {
        let expected = contents(&World::new(plan.clone(), true).run(&[]));
        let mut world = World::new(plan, true);
        let state = world.run(&fates);
        prop_assert_eq!(undisturbed(&state), expected);
        prop_assert_eq!(state.ended(), Some(TurnEnd::Completed));
        let sequences: Vec<u64> = world.log.iter().filter_map(|event| event.sequence).collect();
        prop_assert_eq!(sequences, (1..=world.log.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn results_settle_once_and_in_call_order(plan in plans(), repeatable: bool, fates in prop::collection::vec(fate(), 0..60)) {
        let mut world = World::new(plan.clone(), repeatable);
        world.run(&fates);
        let settled: Vec<String> = results(&world.log).into_iter().map(|(id, _)| id).collect();
        let expected: Vec<String> =
            plan.iter().enumerate().flat_map(|(at, &count)| (0..count).map(move |n| format!("call_{}_{n}", at + 1))).collect();
        prop_assert_eq!(settled, expected);
    }

    #[test]
    fn a_message_that_comes_meanwhile_is_told_at_the_next_model_call_or_keeps_its_turn(
        plan in plans(),
        fates in prop::collection::vec(fate(), 0..60),
    ) {
        let mut world = World::new(plan, true);
        let state = world.run(&fates);
        let (mut waiting, mut told) = (Vec::new(), 0);
        for event in &world.log[3..] {
            match &event.data {
                EventData::InputMessage { .. } => waiting.extend(event.context.turn_id),
                EventData::TurnMerged { turn_id, into_turn_id } => {
                    prop_assert_eq!((*into_turn_id, waiting.remove(0)), (OWN, *turn_id), "in order");
                    told += 1;
                }
                EventData::ReasonStarted { .. } => prop_assert_eq!(&waiting, &[]),
                _ => {}
            }
        }
        let seen = contents(&state);
        prop_assert_eq!(seen.iter().filter(|(_, content)| *content == [ContentPart::text("later")]).count(), told);
        prop_assert_eq!(seen.len(), undisturbed(&state).len() + told, "what keeps its turn is not seen");
        // Results follow their calls at once, whatever came in between.
        let mut missing: Vec<&str> = Vec::new();
        for (role, content) in &seen {
            prop_assert_eq!(*role == Role::ToolResult, !missing.is_empty());
            for part in content {
                match part {
                    ContentPart::ToolCall(call) => missing.push(&call.id),
                    ContentPart::ToolResult { tool_call_id, .. } => prop_assert_eq!(missing.remove(0), tool_call_id),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn folding_is_prefix_stable_and_planning_deterministic(plan in plans(), fates in prop::collection::vec(fate(), 0..60)) {
        let mut world = World::new(plan, true);
        world.run(&fates);
        let whole = { let mut state = TurnState::new(OWN); world.log.iter().for_each(|event| state.fold(event)); state };
        let mut growing = TurnState::new(OWN);
        for (at, event) in world.log.iter().enumerate() {
            growing.fold(event);
            let mut again = TurnState::new(OWN);
            world.log[..=at].iter().for_each(|event| again.fold(event));
            prop_assert_eq!(&growing, &again);
            prop_assert_eq!(next(&growing), next(&again));
        }
        prop_assert_eq!(&growing, &whole);
        prop_assert_eq!(next(&whole), Step::Done(TurnEnd::Completed));
    }

    #[test]
    fn any_prefix_of_a_log_goes_on_to_the_same_conversation(plan in plans(), cut in 3usize..200) {
        let mut world = World::new(plan, true);
        let expected = contents(&world.run(&[]));
        world.log.truncate(cut);
        prop_assert_eq!(contents(&world.run(&[])), expected);
    }

    #[test]
    fn other_turns_do_not_disturb(plan in plans(), fates in prop::collection::vec(fate(), 0..30), places in prop::collection::vec(any::<prop::sample::Index>(), 1..10)) {
        let mut world = World::new(plan, true);
        world.run(&fates);
        let mut disturbed = world.log.clone();
        let mut foreign = World { log: Vec::new(), ..World::new(Vec::new(), true) };
        foreign.add(turn(9), vec![input("later"), World::activated(), answer(Vec::new())]);
        for place in places {
            let at = 3 + place.index(disturbed.len() - 2);
            disturbed.splice(at..at, foreign.log.iter().cloned());
        }
        let mut plain = TurnState::new(OWN);
        world.log.iter().for_each(|event| plain.fold(event));
        let mut state = TurnState::new(OWN);
        disturbed.iter().for_each(|event| state.fold(event));
        prop_assert_eq!(contents(&state), contents(&plain));
        prop_assert_eq!(next(&state), next(&plain));
    }
}

#[test]
fn the_conversation_is_grouped_by_turn() {
    let mut world = World::new(Vec::new(), true);
    let during_the_answer = [Fate::Stored, Fate::Stored, Fate::Overtaken];
    let texts: Vec<String> = world.run(&during_the_answer).messages().iter().map(|message| message.text()).collect();
    assert_eq!(texts, ["earlier", "answer", "own", "answer"]);
    assert!(matches!(&world.log[6].data, EventData::InputMessage { .. }), "{:?}", world.log[6]);
}

#[test]
fn claimed_calls_of_unrepeatable_tools_are_interrupted() {
    let mut world = World::new(vec![2], false);
    let fates = [Fate::Stored, Fate::Stored, Fate::Stored, Fate::Stored, Fate::Stored, Fate::Dies(0)];
    world.run(&fates);
    let expected = [("call_1_0".to_owned(), ToolStatus::Success), ("call_1_1".to_owned(), ToolStatus::Interrupted)];
    assert_eq!(results(&world.log), expected);
}

#[test]
fn a_turn_that_never_comes_further_is_sealed() {
    let mut world = World::new(Vec::new(), true);
    world.add(OWN, world.perform(&Step::Start).concat());
    world.add(OWN, vec![world.opening(1, false)]);
    for _ in 0..MAX_FRUITLESS_ATTEMPTS {
        world.add(OWN, vec![World::activated(), world.opening(1, true)]);
        assert_eq!(next(&world.state()), Step::Reason { iteration: 1, recovered: true });
    }
    world.add(OWN, vec![World::activated()]);
    assert!(matches!(next(&world.state()), Step::Finish(Finish::Stopped(Stop::Sealed { reason: SealReason::NoProgress, .. }))));
}

#[test]
fn iterations_end_the_turn_and_an_answer_comes_before_a_stop() {
    let mut world = World::new(vec![1; 10], true);
    world.max_iterations = 2;
    assert_eq!(world.run(&[]).iterations(), 2);
    assert!(world.log.iter().any(|event| matches!(&event.data, EventData::TurnCompleted { reason, .. } if reason == "max_iterations")));

    let mut world = World::new(Vec::new(), true);
    world.add(OWN, world.perform(&Step::Start).concat());
    let mut state = world.state();
    state.stop(Stop::Cancelled);
    assert_eq!(next(&state), Step::Finish(Finish::Stopped(Stop::Cancelled)));
    world.add(OWN, world.closing(1));
    let mut state = world.state();
    state.stop(Stop::Cancelled);
    assert_eq!(next(&state), Step::Finish(Finish::Completed));
}
