//! Takes the values of secrets out of texts and streams, in whatever spelling they come, and
//! wherever a stream is cut.
//!
//! All spellings are one automaton. A [`Scrubbed`] stream keeps the automaton's state from piece to
//! piece and holds back only what may be the beginning of a spelling, so the cost of a byte does
//! not depend on how a stream was cut, and what is held is never longer than one spelling.

use std::ops::Range;
use std::sync::Arc;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};
use serde_json::Value;

use super::spelling::spellings;

/// What stands where a secret was. Without quotes and backslashes, so that JSON stays JSON.
pub(crate) const REDACTED: &str = "[redacted]";
/// Shortest text that is taken for a secret, in bytes; shorter ones would take ordinary words out
/// of texts.
pub(crate) const MIN_SECRET_BYTES: usize = 6;
/// Bytes that the end of a line must share with the beginning of a spelling to be taken for one. Of
/// a secret that is cut up into lines, one less can be seen.
const MIN_BEGINNING: usize = 4;

/// Finds secrets.
pub(crate) struct Scrubber {
    automaton: NFA,
    start: StateID,
    /// For each state, how many of the bytes read last are the beginning of a spelling.
    depths: Vec<u32>,
}

impl Scrubber {
    /// One for these secrets; none if there is nothing to hide.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let long = secrets.into_iter().filter(|secret| secret.len() >= MIN_SECRET_BYTES);
        let mut patterns: Vec<String> = long.flat_map(spellings).collect();
        patterns.sort();
        patterns.dedup();
        if patterns.is_empty() {
            return None;
        }
        let automaton = NFA::builder().match_kind(MatchKind::Standard).build(&patterns);
        let automaton = automaton.expect("an automaton has room for more states than the secrets of a call have bytes");
        let start = automaton.start_state(Anchored::No).expect("an automaton is built for searches that are not anchored");
        let mut depths = Vec::new();
        for pattern in &patterns {
            let mut state = start;
            for (depth, byte) in (1..).zip(pattern.bytes()) {
                state = automaton.next_state(Anchored::No, state, byte);
                if state.as_usize() >= depths.len() {
                    depths.resize(state.as_usize() + 1, 0);
                }
                depths[state.as_usize()] = depth;
            }
        }
        Some(Self { automaton, start, depths })
    }

    /// A whole text without secrets.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let mut stream = Run::new(self);
        stream.feed(self, text.as_bytes());
        text_of(stream.release(usize::MAX))
    }

    /// As [`Self::scrub`], for a text that may have been cut: an end that is the beginning of a
    /// secret goes too.
    pub(crate) fn scrub_line(&self, text: &str) -> String {
        let mut stream = Run::new(self);
        text_of(stream.line(self, text.as_bytes()))
    }

    /// As [`Self::scrub`], for any bytes.
    pub(crate) fn scrub_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = Run::new(self);
        stream.feed(self, bytes);
        stream.release(usize::MAX)
    }

    /// A JSON value without secrets in its texts, names and numbers.
    pub(crate) fn scrub_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.scrub(text),
            Value::Number(number) => {
                let text = number.to_string();
                let scrubbed = self.scrub(&text);
                if scrubbed != text {
                    *value = Value::String(scrubbed);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.scrub_json(item)),
            Value::Object(members) => {
                let scrubbed = std::mem::take(members).into_iter().map(|(name, mut member)| {
                    self.scrub_json(&mut member);
                    (self.scrub(&name), member)
                });
                *members = scrubbed.collect();
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn depth(&self, state: StateID) -> usize {
        self.depths.get(state.as_usize()).map_or(0, |&depth| depth as usize)
    }
}

/// A stream without secrets. It may begin before there are any, and learn of more while it runs.
#[derive(Default)]
pub(crate) struct Scrubbed {
    scrubber: Option<Arc<Scrubber>>,
    run: Option<Run>,
}

impl Scrubbed {
    /// What is to be hidden from now on; what is held back is looked through again.
    pub(crate) fn hide(&mut self, scrubber: &Arc<Scrubber>) {
        if self.scrubber.as_ref().is_some_and(|known| Arc::ptr_eq(known, scrubber)) {
            return;
        }
        let before = self.run.take().unwrap_or_else(|| Run::new(scrubber));
        self.run = Some(before.again(scrubber));
        self.scrubber = Some(scrubber.clone());
    }

    /// The next piece. What may be the beginning of a secret is held back until the next one, or
    /// until [`Self::finish`].
    pub(crate) fn piece(&mut self, piece: &[u8]) -> Vec<u8> {
        let (Some(scrubber), Some(run)) = (&self.scrubber, &mut self.run) else { return piece.to_vec() };
        run.feed(scrubber, piece);
        let undecided = scrubber.depth(run.state);
        run.release(run.held.len().saturating_sub(undecided))
    }

    /// As [`Self::piece`], for text.
    pub(crate) fn text(&mut self, piece: &str) -> String {
        text_of(self.piece(piece.as_bytes()))
    }

    /// A piece that stands for itself, such as a line, and cannot wait for the next. An end that is
    /// the beginning of a secret is hidden, and so is the rest of it in the lines that follow.
    pub(crate) fn line(&mut self, line: &[u8]) -> Vec<u8> {
        match (&self.scrubber, &mut self.run) {
            (Some(scrubber), Some(run)) => run.line(scrubber, line),
            _ => line.to_vec(),
        }
    }

    /// As [`Self::line`], for text.
    pub(crate) fn text_line(&mut self, line: &str) -> String {
        text_of(self.line(line.as_bytes()))
    }

    /// What was held back, when nothing follows it.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let (Some(scrubber), Some(run)) = (&self.scrubber, &mut self.run) else { return Vec::new() };
        run.state = scrubber.start;
        run.release(usize::MAX)
    }
}

/// Where a search stands.
struct Run {
    state: StateID,
    /// What has been read and not been passed on.
    held: Vec<u8>,
    /// What of it is hidden: ascending, apart from each other.
    hidden: Vec<Range<usize>>,
    /// Whether the byte passed on last was hidden, so that its mark stands already.
    in_hidden: bool,
}

impl Run {
    fn new(scrubber: &Scrubber) -> Self {
        Self { state: scrubber.start, held: Vec::new(), hidden: Vec::new(), in_hidden: false }
    }

    /// The same place in a search for other secrets.
    fn again(mut self, scrubber: &Scrubber) -> Self {
        let held = std::mem::take(&mut self.held);
        let hidden = std::mem::take(&mut self.hidden);
        let mut run = Self { state: scrubber.start, held: Vec::new(), hidden: Vec::new(), in_hidden: self.in_hidden };
        run.feed(scrubber, &held);
        hidden.into_iter().for_each(|range| run.hide(range));
        run
    }

    fn feed(&mut self, scrubber: &Scrubber, piece: &[u8]) {
        let automaton = &scrubber.automaton;
        self.held.reserve(piece.len());
        for &byte in piece {
            self.held.push(byte);
            self.state = automaton.next_state(Anchored::No, self.state, byte);
            if automaton.is_match(self.state) {
                let found = (0..automaton.match_len(self.state)).map(|at| automaton.match_pattern(self.state, at));
                let longest = found.map(|pattern| automaton.pattern_len(pattern)).max().unwrap_or(0);
                let end = self.held.len();
                self.hide(end.saturating_sub(longest)..end);
            }
        }
    }

    /// Hides a range, which may reach over those hidden last.
    fn hide(&mut self, mut range: Range<usize>) {
        while let Some(last) = self.hidden.pop_if(|last| last.end >= range.start) {
            range = last.start.min(range.start)..last.end.max(range.end);
        }
        self.hidden.push(range);
    }

    fn line(&mut self, scrubber: &Scrubber, line: &[u8]) -> Vec<u8> {
        self.feed(scrubber, line);
        let (begun, end) = (scrubber.depth(self.state), self.held.len());
        if begun >= MIN_BEGINNING && end > 0 {
            self.hide(end.saturating_sub(begun)..end);
        }
        let line = self.release(usize::MAX);
        // Each line that hides something says so.
        self.in_hidden = false;
        line
    }

    /// Passes on the first `count` bytes at most, with one mark for each run of hidden ones.
    fn release(&mut self, count: usize) -> Vec<u8> {
        let count = count.min(self.held.len());
        let mut released = Vec::with_capacity(count);
        let mut at = 0;
        let mut later = Vec::new();
        for range in self.hidden.drain(..) {
            if range.start >= count {
                later.push(range.start - count..range.end - count);
                continue;
            }
            if range.start > at {
                released.extend_from_slice(&self.held[at..range.start]);
                self.in_hidden = false;
            }
            if !std::mem::replace(&mut self.in_hidden, true) {
                released.extend_from_slice(REDACTED.as_bytes());
            }
            at = range.end.min(count);
            if range.end > count {
                later.push(0..range.end - count);
            }
        }
        if at < count {
            released.extend_from_slice(&self.held[at..count]);
            self.in_hidden = false;
        }
        self.hidden = later;
        self.held.drain(..count);
        released
    }
}

/// Spellings begin and end between characters, so that what is left of a text is one.
fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "sk-\"7+/ü?>~end";

    fn stream(secrets: &[&str]) -> Scrubbed {
        let mut stream = Scrubbed::default();
        stream.hide(&Arc::new(Scrubber::new(secrets.iter().copied()).expect("there is something to hide")));
        stream
    }

    fn joined(stream: &mut Scrubbed, pieces: &[&[u8]]) -> String {
        let mut bytes: Vec<u8> = pieces.iter().flat_map(|piece| stream.piece(piece)).collect();
        bytes.extend(stream.finish());
        String::from_utf8(bytes).expect("it is text")
    }

    #[test]
    fn every_spelling_is_hidden_wherever_the_stream_is_cut() {
        for spelling in spellings(SECRET) {
            let text = format!("before {spelling} after");
            for cut in 0..=text.len() {
                let (first, second) = text.as_bytes().split_at(cut);
                assert_eq!(joined(&mut stream(&[SECRET]), &[first, second]), "before [redacted] after", "{spelling} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_secret_within_another_leaves_no_rest_of_it() {
        let check = |text: &str, expected: &str| {
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(joined(&mut stream(&["sk-12345", "sk-12345-refresh"]), &bytes), expected);
        };
        check("sk-12345-refresh and sk-12345", "[redacted] and [redacted]");
        check("sk-12345sk-12345-refresh.", "[redacted].");
        check("sk-12345-refres", "[redacted]-refres");
        check("sk-sk-12345", "sk-[redacted]");
    }

    #[test]
    fn only_what_may_begin_a_secret_is_held_back() {
        let mut stream = stream(&["secret-value"]);
        assert_eq!(stream.text("plain"), "plain");
        assert_eq!(stream.text(" and secre"), " and ");
        assert_eq!(stream.text("cy"), "secrecy");
        assert_eq!(stream.text("se"), "");
        assert_eq!(stream.finish(), b"se");
    }

    #[test]
    fn of_a_secret_in_lines_its_first_bytes_can_be_seen_and_no_more() {
        let secret = "secret-value";
        for size in 1..=secret.len() {
            let mut stream = stream(&[secret]);
            let lines: Vec<String> = secret.as_bytes().chunks(size).map(|line| text_of(stream.line(line))).collect();
            let seen: String = lines.concat().replace(REDACTED, "");
            assert!(seen.len() < MIN_BEGINNING, "{lines:?}");
            assert_eq!(stream.text_line("then other text"), "then other text");
        }
    }

    #[test]
    fn secrets_that_become_known_later_are_found_in_what_is_held() {
        let mut stream = stream(&["first-value"]);
        assert_eq!(stream.text("x first-v"), "x ");
        stream.hide(&Arc::new(Scrubber::new(["first-value", "first-vault"]).expect("there is something to hide")));
        assert_eq!(stream.text("ault."), "[redacted].");
        let mut none = Scrubbed::default();
        assert_eq!(none.text("first-value"), "first-value");
    }

    #[test]
    fn json_stays_json() {
        let scrubber = Scrubber::new(["123456", "na\"me\\1"]).expect("there is something to hide");
        let mut value = serde_json::json!({"na\"me\\1": [12, 1234567, "a na\"me\\1", {"deep": "123456"}], "plain": true});
        scrubber.scrub_json(&mut value);
        assert_eq!(value, serde_json::json!({"[redacted]": [12, "[redacted]7", "a [redacted]", {"deep": "[redacted]"}], "plain": true}));
    }

    #[test]
    fn short_texts_are_no_secrets() {
        assert!(Scrubber::new(["", "12345"]).is_none());
    }

    proptest! {
        #[test]
        fn cuts_make_no_difference(text in "[ab]{0,40}", cuts in prop::collection::vec(0usize..40, 0..6)) {
            let secrets = ["ababab", "aabbaabb", "bbbbbb"];
            let whole = Scrubber::new(secrets).expect("there is something to hide").scrub(&text);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(joined(&mut stream(&secrets), &pieces), whole.clone());
            prop_assert!(secrets.iter().all(|secret| !whole.contains(secret)));
        }
    }
}
