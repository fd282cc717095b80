//! What a model call may use: set aside before it, and settled with what it took. A call of which less
//! is left than it needs does not happen; one of which less is left than it could need gets a shorter
//! answer. The event that opens a step is in the log by then: it says what was about to happen, and the
//! end of the turn says why it did not.

use jiff::Timestamp;

use super::context::TurnContext;
use super::executor::Run;
use super::journal::{Halt, halt, insist};
use super::stop::{SealReason, Stop};
use crate::driver::{Answer, ChatRequest};
use crate::event::{BudgetNotice, EventData, TokenUsage};
use crate::id::ReservationId;
use crate::limits::STORAGE_CHECK_CALLS;
use crate::mutation::off;
use crate::store::ParkedFor;
use crate::tokens::{estimate_tokens, message_bytes, part_bytes, tool_bytes};
use crate::usage::{
    Account, Balance, BudgetStatus, BudgetSubject, Charge, Currency, LEAST_OUTPUT_TOKENS, Meter, Reservation, Reserved, UsageBudget,
};

/// Tokens that an answer may have if nothing is known of its model.
const UNKNOWN_OUTPUT_TOKENS: u64 = 8_192;
/// What is added to the estimate of the input, in percent: it is a third off at worst.
const INPUT_MARGIN_PERCENT: u64 = 34;
/// How often a call looks again at what others have left it.
const MAX_TRIES: u32 = 4;

/// What became of the wish to call a model.
pub(super) enum Hold {
    /// It can be called.
    Held(Held),
    /// The turn waits before the call at the soft limits of these budgets.
    Paused(Vec<BudgetNotice>),
    /// The turn ends before the call, because of this budget if it is one.
    Stopped(Stop, Option<BudgetNotice>),
}

/// What is set aside for one call.
pub(super) struct Held {
    /// None if nothing limits the call.
    reservation: Option<ReservationId>,
    limits: Vec<Limit>,
    /// Estimate of its input, in tokens.
    input: u64,
}

/// Something that limits a call.
struct Limit {
    /// What it is called in a refusal.
    name: String,
    /// What helps once it is used up.
    fix: &'static str,
    account: Account,
    amount: u64,
    meter: Meter,
    /// None for a limit of every org.
    budget: Option<UsageBudget>,
}

impl Run<'_> {
    /// Sets aside the most that a call can use, and lets its answer be as long as that pays for.
    pub(super) async fn hold(&self, context: &TurnContext, request: &mut ChatRequest) -> Result<Hold, Halt> {
        if let Some(stop) = self.no_room().await? {
            return Ok(Hold::Stopped(stop, None));
        }
        let limits = match self.limits(context).await? {
            Ok(limits) => limits,
            Err(stop) => return Ok(Hold::Stopped(stop, None)),
        };
        if limits.is_empty() || off("usage.limit") {
            return Ok(Hold::Held(Held { reservation: None, limits: Vec::new(), input: 0 }));
        }
        let input = input_of(request);
        let wanted = request.max_output_tokens.unwrap_or(UNKNOWN_OUTPUT_TOKENS);
        for _ in 0..MAX_TRIES {
            let mut output = wanted;
            let mut pauses = Vec::new();
            for limit in &limits {
                let balance =
                    insist(|| self.platform.backends.usage_store.read_balance(self.key.org, &limit.account)).await.map_err(halt)?;
                let left = balance.left(limit.amount);
                output = limit.meter.affordable(left, input, output);
                if output < LEAST_OUTPUT_TOKENS.min(wanted) {
                    return Ok(exhausted(limit, balance, input, self.journal.now()));
                }
                let reached = limit.budget.as_ref().and_then(|budget| pause_at(budget, balance, self.journal.now()));
                pauses.extend(reached.filter(|notice| !self.journal.state().budgets().is_resumed(notice)));
            }
            if !pauses.is_empty() && !off("usage.soft_limit") {
                return Ok(Hold::Paused(pauses));
            }
            if let Some(reservation) = self.reserve(&limits, input, output).await? {
                request.max_output_tokens = Some(output);
                return Ok(Hold::Held(Held { reservation: Some(reservation), limits, input }));
            }
        }
        let detail = "other calls use what is left of a budget at the same time; try again".to_owned();
        Ok(Hold::Stopped(Stop::Sealed { reason: SealReason::BudgetExhausted, detail }, None))
    }

    /// Parks the turn before a model call, whose opening is closed in the same append.
    pub(super) async fn pause(&mut self, pauses: Vec<BudgetNotice>) -> Result<(), Halt> {
        let closing = self.closing_reason("the session is paused at the soft limit of a budget; the model was not called");
        let events = closing.into_iter().chain(pauses.into_iter().map(EventData::BudgetPaused)).collect();
        self.journal.append_park(events, ParkedFor::Resume).await
    }

    /// Ends the turn before a model call.
    pub(super) fn end_before_call(&mut self, stop: Stop, exhausted: Option<BudgetNotice>) {
        self.exhausted = exhausted;
        self.journal.state_mut().stop(stop);
    }

    /// Counts what a call took. `began` tells whether a vendor worked on it even if there is no answer. Returns the
    /// warnings that follow from it, which are to be stored with the answer.
    pub(super) async fn settle(&self, held: Held, answer: &Answer, began: bool) -> Result<Vec<EventData>, Halt> {
        let Some(reservation) = held.reservation else { return Ok(Vec::new()) };
        let used = used(answer, held.input, began);
        let spent: Vec<u64> = held.limits.iter().map(|limit| limit.meter.amount(&used)).collect();
        let (store, now) = (&self.platform.backends.usage_store, self.journal.now());
        let balances = insist(|| store.settle(self.key.org, reservation, spent.clone(), now)).await.map_err(halt)?;
        let budgets = held.limits.iter().zip(balances.unwrap_or_default());
        let low = budgets.filter_map(|(limit, balance)| warning(limit, balance, now));
        Ok(low.filter(|notice| !self.journal.state().budgets().is_warned(notice)).map(EventData::BudgetWarning).collect())
    }

    /// Counts what a run of this turn that died had set aside: what it used is not known.
    pub(super) async fn settle_dead(&self) -> Result<(), Halt> {
        if off("usage.recovery") {
            return Ok(());
        }
        let (store, now) = (&self.platform.backends.usage_store, self.journal.now());
        let settled = insist(|| store.settle_turn(self.key.org, self.key.session, self.key.turn, now)).await.map_err(halt)?;
        if settled > 0 {
            tracing::warn!(settled, "model calls of a run that died count with all that was set aside for them");
        }
        Ok(())
    }

    async fn reserve(&self, limits: &[Limit], input: u64, output: u64) -> Result<Option<ReservationId>, Halt> {
        let charge = |limit: &Limit| Charge {
            account: limit.account.clone(),
            limit: limit.amount,
            amount: if off("usage.reservation") { 0 } else { limit.meter.most(input, output) },
        };
        let id = ReservationId::from_uuid(self.platform.ids.next());
        let (session, turn) = (self.key.session, self.key.turn);
        let reservation = Reservation { id, session, turn, charges: limits.iter().map(charge).collect(), at: self.journal.now() };
        let reserved = insist(|| self.platform.backends.usage_store.reserve(self.key.org, reservation.clone())).await;
        Ok((reserved.map_err(halt)? == Reserved::Held).then_some(id))
    }

    /// Why the turn ends if its org has no room for more events. Asked seldom: what begins a turn has asked already.
    async fn no_room(&self) -> Result<Option<Stop>, Halt> {
        let Some(most) = self.platform.allowance.event_bytes else { return Ok(None) };
        let calls = self.journal.state().iterations();
        if calls == 0 || !calls.is_multiple_of(STORAGE_CHECK_CALLS) || off("usage.events") {
            return Ok(None);
        }
        let (log, now) = (&self.platform.backends.log, self.journal.now());
        let stored = insist(|| log.log_usage(self.key.org, now)).await.map_err(halt)?.event_bytes;
        Ok((stored >= most).then(|| {
            let detail = format!(
                "the sessions of the org have {stored} bytes of events, of {most} that they may have; delete sessions that nobody needs, or \
                 have the operator raise the limit"
            );
            Stop::Sealed { reason: SealReason::StorageExhausted, detail }
        }))
    }

    /// Everything that limits a call of the turn's model.
    async fn limits(&self, context: &TurnContext) -> Result<Result<Vec<Limit>, Stop>, Halt> {
        let (store, now) = (&self.platform.backends.usage_store, self.journal.now());
        let agent = context.session.agent_id;
        let budgets = insist(|| store.budgets_of(self.key.org, self.key.session, agent)).await.map_err(halt)?;
        let mut limits = Vec::new();
        for budget in budgets.iter().filter(|budget| budget.status == BudgetStatus::Active) {
            let meter = match (budget.currency, &context.model_profile.cost) {
                (Currency::Tokens, _) => Meter::Tokens,
                (Currency::Usd, Some(cost)) => Meter::Money(cost.clone()),
                (Currency::Usd, None) => return Ok(Err(unpriced(&context.model_with_provider.model, budget))),
            };
            let fix = if budget.period.is_some() {
                "top the budget up, raise it, or wait until its period ends"
            } else {
                "top the budget up, or raise it"
            };
            let (name, account) = (name_of(budget), budget.account(now));
            limits.push(Limit { name, fix, account, amount: budget.limit, meter, budget: Some(budget.clone()) });
        }
        if let Some((account, amount)) = self.platform.allowance.tokens(now) {
            let (name, fix) = ("the org's allowance for a day".to_owned(), "wait until the day (UTC) ends, or have the operator raise it");
            limits.push(Limit { name, fix, account, amount, meter: Meter::Tokens, budget: None });
        }
        Ok(Ok(limits))
    }
}

/// Estimate of what a request has as input, in tokens: never too small.
fn input_of(request: &ChatRequest) -> u64 {
    let messages: usize = request.messages.iter().map(|message| message_bytes(message)).sum();
    let tools: usize = request.tools.iter().map(tool_bytes).sum();
    let tokens = estimate_tokens(request.system_prompt.len() + messages + tools);
    tokens + (tokens * INPUT_MARGIN_PERCENT).div_ceil(100)
}

/// What a call used: what its vendor says, or an estimate where it says nothing. A call that failed
/// before anything came is free.
fn used(answer: &Answer, input: u64, began: bool) -> TokenUsage {
    let mut used = answer.usage();
    if (answer.finish().is_some() && used.total() > 0) || (!began && used.total() == 0 && answer.content().is_empty()) {
        return used;
    }
    let received = estimate_tokens(answer.content().iter().map(part_bytes).sum());
    used.output_tokens = used.output_tokens.max(received);
    if used.total() == used.output_tokens {
        used.input_tokens = input;
    }
    used
}

fn exhausted(limit: &Limit, balance: Balance, input: u64, now: Timestamp) -> Hold {
    let least = limit.meter.most(input, LEAST_OUTPUT_TOKENS);
    let shown = |amount| shown(limit.meter.currency(), amount);
    let detail = format!(
        "{} has {} of {} left, and the next model call needs {} at least; {}",
        limit.name,
        shown(balance.left(limit.amount)),
        shown(balance.whole(limit.amount)),
        shown(least),
        limit.fix,
    );
    let notice = limit.budget.as_ref().map(|budget| budget.notice(balance, now, detail.clone()));
    Hold::Stopped(Stop::Sealed { reason: SealReason::BudgetExhausted, detail }, notice)
}

/// That the soft limit of a budget is reached.
pub(super) fn pause_at(budget: &UsageBudget, balance: Balance, now: Timestamp) -> Option<BudgetNotice> {
    let soft = budget.soft_limit.filter(|_| budget.reaches_soft_limit(balance))?;
    let shown = |amount| shown(budget.currency, amount);
    let message = format!(
        "{} of {} are used, which reaches the soft limit of {} of {}; resume the session, top the budget up, or raise its soft limit",
        shown(balance.spent),
        shown(balance.whole(budget.limit)),
        shown(balance.whole(soft)),
        name_of(budget),
    );
    Some(budget.notice(balance, now, message))
}

/// That little is left of a budget.
fn warning(limit: &Limit, balance: Balance, now: Timestamp) -> Option<BudgetNotice> {
    let budget = limit.budget.as_ref().filter(|budget| budget.runs_low(balance))?;
    let (spent, whole) = (shown(budget.currency, balance.spent), shown(budget.currency, balance.whole(budget.limit)));
    let message = format!("{spent} of {whole} of {} are used; sessions stop when nothing is left: {}", name_of(budget), limit.fix);
    Some(budget.notice(balance, now, message))
}

fn unpriced(model: &str, budget: &UsageBudget) -> Stop {
    let detail = format!(
        "{} counts money, and the model {model:?} has no price; write `cost` into the profile of the model, or count tokens",
        name_of(budget)
    );
    Stop::Sealed { reason: SealReason::BudgetExhausted, detail }
}

fn name_of(budget: &UsageBudget) -> String {
    let of = match budget.subject {
        BudgetSubject::Session(_) => "the session",
        BudgetSubject::Agent(_) => "the agent",
        BudgetSubject::Org(_) => "the org",
    };
    format!("the budget {} of {of}", budget.id)
}

/// An amount as people write it.
fn shown(currency: Currency, amount: u64) -> String {
    match currency {
        Currency::Tokens => format!("{amount} tokens"),
        Currency::Usd => format!("${:.6}", currency.told(amount)),
    }
}
