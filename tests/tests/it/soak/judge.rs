//! What must hold whatever was killed, judged by what anybody can read over the API.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What a turn does, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// It calls a tool that must not be repeated.
    Charge,
    /// It calls one that may be.
    Look,
    /// It calls none.
    Talk,
}

impl Work {
    pub(crate) fn of(number: u64) -> Self {
        [Self::Charge, Self::Look, Self::Talk][(number % 3) as usize]
    }
}

/// What came of all turns.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Turns with an answer.
    pub(crate) completed: u64,
    /// Turns that somebody took up again.
    pub(crate) recovered: u64,
    /// Calls of the tool that must not be repeated whose outcome the model was told to be uncertain.
    pub(crate) uncertain: u64,
    /// Everything that must not be, in words.
    pub(crate) wrong: Vec<String>,
}

/// Judges the logs of all sessions of `turns` turns, numbered from 0.
pub(crate) fn judge(turns: u64, logs: &[Vec<Value>], effects: &BTreeMap<u64, u64>) -> Verdict {
    let mut verdict = Verdict::default();
    let mut found = BTreeSet::new();
    for (session, log) in logs.iter().enumerate() {
        if let Some(gap) = log.iter().zip(1_u64..).find(|(event, sequence)| event["sequence"] != *sequence) {
            verdict.wrong.push(format!("session {session}: in place of event {} there is {}", gap.1, gap.0));
        }
        let mut by_turn: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for event in log {
            if let Some(turn) = event["context"]["turn_id"].as_str() {
                by_turn.entry(turn).or_default().push(event);
            }
        }
        for (id, events) in by_turn {
            match number(&events) {
                Some(number) if number < turns && found.insert(number) => {
                    verdict.add(number, &events, effects.get(&number).copied().unwrap_or(0));
                }
                Some(number) => verdict.wrong.push(format!("turn {number} is doubled: {id}")),
                None => verdict.wrong.push(format!("{id} answers no message")),
            }
        }
    }
    verdict.wrong.extend((0..turns).filter(|number| !found.contains(number)).map(|number| format!("turn {number} is lost")));
    let charged = effects.keys().filter(|number| Work::of(**number) != Work::Charge);
    verdict.wrong.extend(charged.map(|number| format!("turn {number} was charged, and has not asked for it")));
    verdict
}

/// Which turn this is, by its message.
fn number(events: &[&Value]) -> Option<u64> {
    let input = events.iter().find(|event| event["type"] == "input.message")?;
    input["data"]["message"]["metadata"]["number"].as_u64()
}

impl Verdict {
    fn add(&mut self, number: u64, events: &[&Value], charged: u64) {
        let count = |name: &str| events.iter().filter(|event| event["type"] == name).count();
        for once in ["input.message", "turn.started", "turn.completed", "session.idled"] {
            if count(once) != 1 {
                let types: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
                let why = events.iter().find(|event| event["type"] == "turn.sealed" || event["type"] == "turn.failed");
                let why = why.map_or(Value::Null, |event| event["data"].clone());
                self.wrong.push(format!("turn {number} has {} × {once}: {types:?} {why}", count(once)));
            }
        }
        self.completed += u64::from(count("turn.completed") == 1);
        self.recovered += u64::from(count("session.activated") > 1);
        let calls = if Work::of(number) == Work::Talk { 0 } else { 1 };
        if (count("output.message.completed"), count("tool.completed")) != (calls + 1, calls) {
            self.wrong.push(format!(
                "turn {number} has {} answers and {} results",
                count("output.message.completed"),
                count("tool.completed")
            ));
        }
        let is_sure = events.iter().any(|event| event["type"] == "tool.completed" && event["data"]["success"] == true);
        if Work::of(number) == Work::Look && !is_sure {
            self.wrong.push(format!("turn {number}: a tool that may be repeated has no result"));
        }
        if Work::of(number) == Work::Charge {
            self.uncertain += u64::from(!is_sure);
            if charged > 1 || (is_sure && charged != 1) {
                self.wrong.push(format!("turn {number} was charged {charged} times; sure: {is_sure}"));
            }
        }
    }
}

#[test]
fn a_judge_sees_what_is_lost_doubled_and_charged_twice() {
    let event = |sequence: u64, turn: &str, kind: &str, data: Value| serde_json::json!({ "sequence": sequence, "context": { "turn_id": turn }, "type": kind, "data": data });
    let input = |number: u64| serde_json::json!({ "message": { "metadata": { "number": number } } });
    let turn = |first: u64, id: &str, number: u64| {
        let kinds = ["input.message", "turn.started", "session.activated", "output.message.completed", "turn.completed", "session.idled"];
        (first..).zip(kinds).map(|(sequence, kind)| event(sequence, id, kind, input(number))).collect::<Vec<_>>()
    };
    let talk = (0..).find(|number| Work::of(*number) == Work::Talk).expect("some turns just talk");
    let log = turn(1, "a", talk);
    let judged = |logs: &[Vec<Value>], effects: &[(u64, u64)]| judge(talk + 1, logs, &effects.iter().copied().collect());
    let others: Vec<String> = (0..talk).map(|number| format!("turn {number} is lost")).collect();
    let whole = judged(std::slice::from_ref(&log), &[]);
    assert_eq!((whole.completed, whole.wrong), (1, others.clone()));
    let wrong = |logs: &[Vec<Value>], effects: &[(u64, u64)]| {
        let wrong = judged(logs, effects).wrong.into_iter().filter(|wrong| !others.contains(wrong));
        wrong.collect::<Vec<_>>().join("\n")
    };
    assert!(wrong(&[], &[]).contains(&format!("turn {talk} is lost")));
    assert!(wrong(&[[log.clone(), turn(7, "b", talk)].concat()], &[]).contains("is doubled"));
    assert!(wrong(&[log[..5].to_vec()], &[]).contains("0 × session.idled"));
    assert!(wrong(&[log[1..].to_vec()], &[]).contains("in place of event 1"));
    assert!(wrong(&[log], &[(talk, 1)]).contains("has not asked for it"));
}
