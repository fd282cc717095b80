//! What a model call may use: set aside before it, and settled with what it took. A call of which less
//! is left than it needs does not happen; one of which less is left than it could need gets a shorter
//! answer. The event that opens a step is in the log by then: it says what was about to happen, and the
//! end of the turn says why it did not.

use super::context::TurnContext;
use super::executor::Run;
use super::journal::{Halt, halt, insist};
use super::stop::{SealReason, Stop};
use crate::driver::{Answer, ChatRequest};
use crate::event::TokenUsage;
use crate::id::ReservationId;
use crate::limits::STORAGE_CHECK_CALLS;
use crate::mutation::off;
use crate::tokens::{estimate_tokens, message_bytes, part_bytes, tool_bytes};
use crate::usage::{
    Account, BudgetStatus, BudgetSubject, Charge, Currency, LEAST_OUTPUT_TOKENS, Meter, NANOS_PER_USD, Reservation, Reserved, UsageBudget,
};

/// Tokens that an answer may have if nothing is known of its model.
const UNKNOWN_OUTPUT_TOKENS: u64 = 8_192;
/// What is added to the estimate of the input, in percent: it is a third off at worst.
const INPUT_MARGIN_PERCENT: u64 = 34;
/// How often a call looks again at what others have left it.
const MAX_TRIES: u32 = 4;

/// What is set aside for one call.
pub(super) struct Held {
    /// None if nothing limits the call.
    reservation: Option<ReservationId>,
    meters: Vec<Meter>,
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
}

impl Run<'_> {
    /// Sets aside the most that a call can use, and lets its answer be as long as that pays for.
    /// Otherwise why the turn ends.
    pub(super) async fn hold(&self, context: &TurnContext, request: &mut ChatRequest) -> Result<Result<Held, Stop>, Halt> {
        if let Some(stop) = self.no_room().await? {
            return Ok(Err(stop));
        }
        let limits = match self.limits(context).await? {
            Ok(limits) => limits,
            Err(stop) => return Ok(Err(stop)),
        };
        let meters = limits.iter().map(|limit| limit.meter.clone()).collect();
        if limits.is_empty() || off("usage.limit") {
            return Ok(Ok(Held { reservation: None, meters: Vec::new(), input: 0 }));
        }
        let input = input_of(request);
        let wanted = request.max_output_tokens.unwrap_or(UNKNOWN_OUTPUT_TOKENS);
        for _ in 0..MAX_TRIES {
            let mut output = wanted;
            for limit in &limits {
                let balance = insist(|| self.platform.backends.usage_store.read_balance(self.key.org, &limit.account)).await;
                let left = balance.map_err(halt)?.left(limit.amount);
                output = limit.meter.affordable(left, input, output);
                if output < LEAST_OUTPUT_TOKENS.min(wanted) {
                    return Ok(Err(exhausted(limit, left, input)));
                }
            }
            if let Some(reservation) = self.reserve(&limits, input, output).await? {
                request.max_output_tokens = Some(output);
                return Ok(Ok(Held { reservation: Some(reservation), meters, input }));
            }
        }
        let detail = "other calls use what is left of a budget at the same time; try again".to_owned();
        Ok(Err(Stop::Sealed { reason: SealReason::BudgetExhausted, detail }))
    }

    /// Counts what a call took. `began` tells whether a vendor worked on it even if there is no answer.
    pub(super) async fn settle(&self, held: Held, answer: &Answer, began: bool) -> Result<(), Halt> {
        let Some(reservation) = held.reservation else { return Ok(()) };
        let used = used(answer, held.input, began);
        let spent: Vec<u64> = held.meters.iter().map(|meter| meter.amount(&used)).collect();
        let (store, now) = (&self.platform.backends.usage_store, self.journal.now());
        insist(|| store.settle(self.key.org, reservation, spent.clone(), now)).await.map_err(halt)?;
        Ok(())
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
            let fix = if budget.period.is_some() { "raise the budget, or wait until its period ends" } else { "raise the budget" };
            limits.push(Limit { name: name_of(budget), fix, account: budget.account(now), amount: budget.limit, meter });
        }
        if let Some((account, amount)) = self.platform.allowance.tokens(now) {
            let (name, fix) = ("the org's allowance for a day".to_owned(), "wait until the day (UTC) ends, or have the operator raise it");
            limits.push(Limit { name, fix, account, amount, meter: Meter::Tokens });
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

fn exhausted(limit: &Limit, left: u64, input: u64) -> Stop {
    let least = limit.meter.most(input, LEAST_OUTPUT_TOKENS);
    let shown = |amount| shown(&limit.meter, amount);
    let detail = format!(
        "{} has {} of {} left, and the next model call needs {} at least; {}",
        limit.name,
        shown(left),
        shown(limit.amount),
        shown(least),
        limit.fix,
    );
    Stop::Sealed { reason: SealReason::BudgetExhausted, detail }
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
fn shown(meter: &Meter, amount: u64) -> String {
    match meter {
        Meter::Tokens => format!("{amount} tokens"),
        Meter::Money(_) => format!("${:.6}", amount as f64 / NANOS_PER_USD as f64),
    }
}
