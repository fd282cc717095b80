//! Decisions that every store of this crate takes the same way: what fits, who may write, and
//! what is stale. Pure; the stores add where the values come from.

use jiff::Timestamp;

use super::{Fence, KvScope, Page, ParkedFor, Role, StoreError, StoreResult};
use crate::component::Digest;
use crate::event::NewEvent;
use crate::id::{MemberId, SessionId, TurnId};
use crate::limits::{
    EVENT_OVERHEAD_BYTES, MAX_AUTHORIZATIONS, MAX_BUDGETS_PER_SUBJECT, MAX_CONNECTIONS, MAX_EVENTS_PER_PAGE, MAX_KEYS, MAX_KV_BUCKET_BYTES,
    MAX_KV_KEY_BYTES, MAX_KV_KEYS, MAX_KV_VALUE_BYTES, MAX_MEMBERS, MAX_ORG_SECRETS, MAX_PAGE, MAX_QUEUED_TURNS, MAX_SESSION_SECRETS,
};
use crate::mutation::off;
use crate::session::SessionStatus;
use crate::usage::{Balance, Charge, MAX_BUDGET_AMOUNT, Reserved};

/// Name of the org that an installation has from the start.
pub(super) const DEFAULT_ORG_NAME: &str = "default";

/// Events of one append: as many as one read returns.
const MAX_EVENTS_PER_APPEND: usize = MAX_EVENTS_PER_PAGE;

/// A time as it is stored: whole microseconds, so that what a method returns is what the next
/// read returns.
pub(super) fn whole_micros(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).expect("a time without its nanoseconds stays in range")
}

/// Whether an org with so many members takes one more.
pub(super) fn check_members(known: usize) -> StoreResult<()> {
    if known >= MAX_MEMBERS && !off("store.members") {
        return Err(StoreError::Limit(format!("the org has {known} members; at most {MAX_MEMBERS} are allowed")));
    }
    Ok(())
}

/// Whether somebody who has so many keys gets one more.
pub(super) fn check_keys(known: usize) -> StoreResult<()> {
    if known >= MAX_KEYS && !off("store.keys") {
        return Err(StoreError::Limit(format!(
            "there are {known} keys already; at most {MAX_KEYS} are allowed to one member, and to the services of an org"
        )));
    }
    Ok(())
}

/// Whether an org that has an owner would have none without this one.
pub(super) fn check_owners(member: MemberId, was: Role, becomes: Option<Role>, owners: usize) -> StoreResult<()> {
    if was == Role::Owner && becomes != Some(Role::Owner) && owners <= 1 && !off("members.last_owner") {
        return Err(StoreError::LastOwner { id: member.to_string() });
    }
    Ok(())
}

/// The limit of a page, capped.
pub(super) fn page_limit(page: Page) -> u32 {
    if off("store.page") { page.limit } else { page.limit.min(MAX_PAGE) }
}

/// How many events one read returns at most.
pub(super) fn events_limit(limit: usize) -> usize {
    if off("store.events_page") { limit } else { limit.min(MAX_EVENTS_PER_PAGE) }
}

/// Whether events can be appended at all.
pub(super) fn check_events(events: &[NewEvent]) -> StoreResult<()> {
    if events.len() > MAX_EVENTS_PER_APPEND && !off("store.append_events") {
        return Err(StoreError::Limit(format!("{} events in one append; at most {MAX_EVENTS_PER_APPEND} are allowed", events.len())));
    }
    match events.iter().find(|event| event.data.is_live_only()) {
        Some(event) => Err(StoreError::Limit(format!("{} events are live-only; the log does not take them", event.data.name()))),
        None => Ok(()),
    }
}

/// What events count, in bytes, see [`LogUsage::event_bytes`](super::LogUsage::event_bytes).
pub(super) fn event_bytes(events: &[NewEvent]) -> StoreResult<u64> {
    let of = |event: &NewEvent| {
        let data = serde_json::to_vec(&event.data).map_err(|error| StoreError::Invalid(format!("an event cannot be written: {error}")))?;
        Ok(data.len() as u64 + EVENT_OVERHEAD_BYTES)
    };
    events.iter().map(of).sum()
}

/// Whether a writer may append. The fence comes first: to a writer that lost its session, where
/// the log ends is of no interest.
pub(super) fn check_writer(given: Fence, actual: Fence, expected_sequence: u64, last_sequence: u64) -> StoreResult<()> {
    if given != actual {
        return Err(StoreError::Fenced { given: given.0, actual: actual.0 });
    }
    check_end(expected_sequence, last_sequence)
}

/// Whether a claim is newer than the last one.
pub(super) fn check_claim(given: Fence, actual: Fence) -> StoreResult<()> {
    if given > actual { Ok(()) } else { Err(StoreError::Fenced { given: given.0, actual: actual.0 }) }
}

/// Whether the log ends where the writer thinks.
pub(super) fn check_end(expected: u64, actual: u64) -> StoreResult<()> {
    if expected == actual { Ok(()) } else { Err(StoreError::SequenceConflict { expected, actual }) }
}

/// Whether a user can have so many connections.
pub(super) fn check_connections(count: usize) -> StoreResult<()> {
    if count > MAX_CONNECTIONS && !off("store.connections") {
        return Err(StoreError::Limit(format!("a user has at most {MAX_CONNECTIONS} connections; disconnect one first")));
    }
    Ok(())
}

/// How many authorizations of one user are kept.
pub(super) fn kept_authorizations() -> usize {
    if off("store.authorizations") { usize::from(u16::MAX) } else { MAX_AUTHORIZATIONS }
}

/// Whether a session can have so many secrets.
pub(super) fn check_session_secrets(count: usize) -> StoreResult<()> {
    if count > MAX_SESSION_SECRETS && !off("store.session_secrets") {
        return Err(StoreError::Limit(format!("a session has at most {MAX_SESSION_SECRETS} secrets; remove some first")));
    }
    Ok(())
}

/// Whether an org with so many secrets takes one more.
pub(super) fn check_org_secrets(known: usize) -> StoreResult<()> {
    if known >= MAX_ORG_SECRETS && !off("store.org_secrets") {
        return Err(StoreError::Limit(format!("an org has at most {MAX_ORG_SECRETS} secrets; delete one that nothing uses")));
    }
    Ok(())
}

/// Whether a subject with so many budgets gets one more.
pub(super) fn check_budgets(known: u64) -> StoreResult<()> {
    if known >= MAX_BUDGETS_PER_SUBJECT && !off("store.budgets") {
        let most = MAX_BUDGETS_PER_SUBJECT;
        return Err(StoreError::Limit(format!("a session, agent or org has at most {most} budgets; change or delete one of them")));
    }
    Ok(())
}

/// Whether a budget that was topped up may be so again.
pub(super) fn check_top_up(limit: u64, granted: u64, amount: u64) -> StoreResult<()> {
    let whole = limit.saturating_add(granted).saturating_add(amount);
    if whole > MAX_BUDGET_AMOUNT {
        return Err(StoreError::Limit(format!(
            "the budget would come to {whole} tokens or billionths of a dollar; at most {MAX_BUDGET_AMOUNT} are allowed: add less"
        )));
    }
    Ok(())
}

/// The refusal of amounts that do not fit the charges of a reservation.
pub(super) fn wrong_amounts(given: usize, charges: usize) -> StoreError {
    StoreError::Invalid(format!("{given} amounts for a reservation of {charges} charges"))
}

/// Whether all charges of a reservation are within their limits: the first that is not, otherwise.
pub(super) fn check_charges(charges: &[Charge], balances: &[Balance]) -> Reserved {
    let lefts = charges.iter().zip(balances).map(|(charge, balance)| (charge.amount, balance.left(charge.limit)));
    match lefts.enumerate().find(|(_, (amount, left))| amount > left) {
        Some((charge, (_, left))) => Reserved::Refused { charge, left },
        None => Reserved::Held,
    }
}

/// The refusal of an answer to a turn that waits for none.
pub(super) fn not_parked(turn: TurnId) -> StoreError {
    StoreError::NotFound { what: "waiting turn", id: turn.to_string() }
}

/// The refusal to merge a turn that was claimed, is to be cancelled, or is not open.
pub(super) fn not_queued(turn: TurnId) -> StoreError {
    StoreError::NotFound { what: "queued turn", id: turn.to_string() }
}

/// Whether one more turn may wait behind `open` others.
pub(super) fn check_queue(open: u64) -> StoreResult<()> {
    let most = MAX_QUEUED_TURNS as u64;
    if open >= most && !off("store.queued_turns") {
        return Err(StoreError::Limit(format!("the session has {open} open turns; at most {most} are allowed")));
    }
    Ok(())
}

/// Status of a session after its turns changed; `parked` tells of the oldest open turn. A session
/// that never had a turn stays started.
pub(super) fn status_after(before: SessionStatus, open_turns: u64, parked: Option<ParkedFor>) -> SessionStatus {
    match (before, parked) {
        (_, Some(ParkedFor::Answer)) if open_turns > 0 => SessionStatus::WaitingForToolResults,
        (_, Some(ParkedFor::Resume)) if open_turns > 0 => SessionStatus::Paused,
        _ if open_turns > 0 => SessionStatus::Active,
        (SessionStatus::Started, _) => SessionStatus::Started,
        _ => SessionStatus::Idle,
    }
}

/// Whether `given` is the successor of the `stored` version.
pub(super) fn follows(stored: u64, given: u64) -> bool {
    stored.checked_add(1) == Some(given)
}

/// Whether a key can be used.
pub(super) fn check_kv_key(key: &str) -> StoreResult<()> {
    if key.len() > MAX_KV_KEY_BYTES && !off("store.kv_sizes") {
        return Err(StoreError::Limit(format!("the key has {} bytes; at most {MAX_KV_KEY_BYTES} are allowed", key.len())));
    }
    Ok(())
}

/// Whether a value can be stored.
pub(super) fn check_kv_value(value: &[u8]) -> StoreResult<()> {
    if value.len() > MAX_KV_VALUE_BYTES && !off("store.kv_sizes") {
        return Err(StoreError::Limit(format!("the value has {} bytes; at most {MAX_KV_VALUE_BYTES} are allowed", value.len())));
    }
    Ok(())
}

/// Whether a bucket can have this many keys and bytes.
pub(super) fn check_kv_bucket(scope: &KvScope, keys: u64, bytes: u64) -> StoreResult<()> {
    let bucket = &scope.bucket;
    if keys > MAX_KV_KEYS && !off("store.kv_keys") {
        return Err(StoreError::Limit(format!("the bucket {bucket:?} would have {keys} keys; at most {MAX_KV_KEYS} are allowed")));
    }
    if bytes > MAX_KV_BUCKET_BYTES && !off("store.kv_bytes") {
        return Err(StoreError::Limit(format!(
            "the bucket {bucket:?} would have {bytes} bytes; at most {MAX_KV_BUCKET_BYTES} are allowed"
        )));
    }
    Ok(())
}

/// Whether a session can be deleted.
pub(super) fn check_deletion(id: SessionId, expected: Option<u64>, version: u64, open_turns: u64) -> StoreResult<()> {
    if expected.is_some_and(|expected| expected != version) {
        return Err(StoreError::Stale { what: "session", id: id.to_string() });
    }
    if open_turns > 0 {
        return Err(StoreError::TurnOpen { id: id.to_string() });
    }
    Ok(())
}

/// Whether the version of a key, 0 if absent, is the expected one.
pub(super) fn check_kv_version(key: &str, expected: Option<u64>, actual: u64) -> StoreResult<()> {
    match expected {
        Some(expected) if expected != actual => Err(StoreError::Stale { what: "key", id: key.to_owned() }),
        _ => Ok(()),
    }
}

/// The version of a key's next value. A key that was removed and comes back begins above every
/// version that a removed key of its bucket had, so that who expects a version of the earlier
/// life is refused.
pub(super) fn next_kv_version(current: u64, floor: u64) -> u64 {
    if current == 0 { floor + 1 } else { current + 1 }
}

/// Whether bytes are those of a digest. Bytes are shared between orgs by digest, so one org's
/// mistake must not become another's component.
pub(super) fn check_digest(bytes: &[u8], digest: Digest) -> StoreResult<()> {
    if Digest::of(bytes) != digest {
        return Err(StoreError::Corrupt(format!("{} bytes were given as {digest}, which they are not", bytes.len())));
    }
    Ok(())
}
