//! Turns that wait for somebody outside.

use std::collections::BTreeMap;

use super::*;

/// A world whose first answer asks for two calls, of which those named wait for somebody.
fn waiting(outside: &[(&str, RequestKind)]) -> (World, impl Fn(&World) -> TurnState) {
    let mut world = World::new(vec![2], true);
    world.add(OWN, world.perform(&Step::Start).concat());
    let answer: Vec<EventData> = world.closing(1);
    let calls: Vec<String> = answer
        .iter()
        .flat_map(|data| {
            if let EventData::OutputMessageCompleted { message, .. } = data {
                message.tool_calls().map(|call| call.name.clone()).collect()
            } else {
                Vec::new()
            }
        })
        .collect();
    assert_eq!(calls.len(), 2);
    let outside: BTreeMap<String, RequestKind> = outside.iter().map(|&(name, kind)| (name.to_owned(), kind)).collect();
    world.add(OWN, answer);
    (world, move |world: &World| {
        let mut state = world.state();
        state.set_outside(outside.clone());
        state
    })
}

fn ids(calls: &[PlannedCall]) -> Vec<&str> {
    calls.iter().map(|planned| planned.call.id.as_str()).collect()
}

#[test]
fn the_platforms_calls_run_before_anybody_is_asked_and_the_turn_parks_until_all_is_settled() {
    let (mut world, state) = waiting(&[("tool_1", RequestKind::ClientSide)]);
    let step = next(&state(&world));
    assert!(matches!(&step, Step::Act { calls } if ids(calls) == ["call_1_0"]), "{step:?}");
    world.perform(&step).into_iter().for_each(|batch| world.add(OWN, batch));
    let step = next(&state(&world));
    assert!(matches!(&step, Step::Request { calls } if ids(calls) == ["call_1_1"]), "{step:?}");
    world.perform(&step).into_iter().for_each(|batch| world.add(OWN, batch));
    assert_eq!(next(&state(&world)), Step::Park);
    // Neither a restart nor changed tools make the platform execute what a client was asked for.
    world.add(OWN, vec![World::activated()]);
    assert_eq!(next(&world.state()), Step::Park);
    let call = state(&world).unsettled_calls().remove(0).call;
    world.add(OWN, vec![result(&call, ToolStatus::Success)]);
    assert_eq!(next(&state(&world)), Step::Reason { iteration: 2, recovered: false });
}

#[test]
fn an_approved_call_is_executed_without_another_model_call_and_a_rejected_one_is_not() {
    let (mut world, state) = waiting(&[("tool_0", RequestKind::Approval), ("tool_1", RequestKind::Approval)]);
    let step = next(&state(&world));
    assert!(matches!(&step, Step::Request { calls } if ids(calls) == ["call_1_0", "call_1_1"]), "{step:?}");
    world.perform(&step).into_iter().for_each(|batch| world.add(OWN, batch));
    let decided = |id: &str, approved| EventData::ToolApprovalDecided {
        tool_call_id: id.to_owned(),
        tool_name: "tool".to_owned(),
        approved,
        always: false,
        reason: None,
    };
    world.add(OWN, vec![decided("call_1_0", true)]);
    assert_eq!(next(&state(&world)), Step::Park, "the other call is still open");
    let rejected = state(&world).unsettled_calls().remove(1).call;
    world.add(OWN, vec![decided("call_1_1", false), result(&rejected, ToolStatus::Error)]);
    let step = next(&state(&world));
    assert!(matches!(&step, Step::Act { calls } if ids(calls) == ["call_1_0"]), "{step:?}");
}

#[test]
fn a_message_that_comes_while_the_turn_waits_ends_it() {
    let (mut world, state) = waiting(&[("tool_0", RequestKind::Question), ("tool_1", RequestKind::Question)]);
    let step = next(&state(&world));
    world.perform(&step).into_iter().for_each(|batch| world.add(OWN, batch));
    world.add(turn(3), vec![input("later")]);
    assert_eq!(next(&state(&world)), Step::Finish(Finish::Stopped(Stop::Superseded)));
}

#[test]
fn time_in_which_the_turn_waits_is_not_work() {
    let (mut world, state) = waiting(&[("tool_0", RequestKind::ClientSide), ("tool_1", RequestKind::ClientSide)]);
    let step = next(&state(&world));
    world.perform(&step).into_iter().for_each(|batch| world.add(OWN, batch));
    let before = state(&world).worked_millis();
    let call = state(&world).unsettled_calls().remove(0).call;
    world.add(OWN, vec![took(result(&call, ToolStatus::Success), 86_400_000)]);
    world.add(OWN, vec![World::activated()]);
    assert_eq!(state(&world).worked_millis(), before);
}

/// A result that came after so many milliseconds.
fn took(result: EventData, duration_ms: u64) -> EventData {
    let EventData::ToolCompleted(result) = result else { panic!("{result:?} is no result") };
    EventData::ToolCompleted(ToolCompleted { duration_ms, ..result })
}

#[test]
fn work_is_what_models_and_tools_took_and_not_what_clocks_say() {
    let mut world = World::new(vec![2], true);
    world.add(OWN, world.perform(&Step::Start).concat());
    let mut answer = world.closing(1);
    for event in &mut answer {
        if let EventData::ReasonCompleted { duration_ms, .. } = event {
            *duration_ms = 5_000;
        }
    }
    world.add(OWN, answer);
    world.log.last_mut().expect("an event").ts = Timestamp::from_second(86_400).expect("a time");
    let calls = world.state().unsettled_calls();
    world.add(OWN, vec![EventData::ActStarted { tool_calls: calls.iter().map(|planned| planned.call.clone()).collect() }]);
    // Both began at the same time; the process died behind the first, and the other one began again.
    world.add(OWN, vec![took(result(&calls[0].call, ToolStatus::Success), 3_000)]);
    assert_eq!(world.state().worked_millis(), 8_000);
    world.add(OWN, vec![World::activated()]);
    world.add(OWN, vec![took(result(&calls[1].call, ToolStatus::Success), 2_000)]);
    assert_eq!(world.state().worked_millis(), 10_000);
}
