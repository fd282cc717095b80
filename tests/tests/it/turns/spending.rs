//! Budgets: what model calls may use is set aside before them and counted after them.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use everwit_runtime::driver::{ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverContext, DriverError, DriverErrorKind, DriverId};
use everwit_runtime::engine::TurnKey;
use everwit_runtime::event::{EventData, TokenUsage};
use everwit_runtime::id::{BudgetId, IdSource, ModelId, ProviderId, SessionId};
use everwit_runtime::limits::STORAGE_CHECK_CALLS;
use everwit_runtime::provider::{Model, ModelSource, Provider, ProviderStatus};
use everwit_runtime::store::{Page, TurnEnd};
use everwit_runtime::turn::{TurnPlatform, TurnRun, TurnSignals};
use everwit_runtime::usage::{BudgetStatus, BudgetSubject, Currency, OrgAllowance, UsageBudget};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use super::rig::Rig;

/// Answers when it is let, and says what that took.
#[derive(Clone)]
pub(super) struct Metered {
    usage: TokenUsage,
    error: Option<DriverErrorKind>,
    requests: Arc<Mutex<Vec<ChatRequest>>>,
    asked: mpsc::UnboundedSender<()>,
    pub(super) gate: Arc<Semaphore>,
}

#[async_trait]
impl ChatDriver for Metered {
    async fn complete(&self, request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
        self.requests.lock().unwrap().push(request);
        self.asked.send(()).unwrap();
        self.gate.acquire().await.unwrap().forget();
        if let Some(kind) = self.error {
            return Err(DriverError::new(kind, "no"));
        }
        let events = [ChatEvent::Text("four byte".to_owned()), ChatEvent::Usage(self.usage), ChatEvent::finish("stop")];
        Ok(stream::iter(events.map(Ok)).boxed())
    }
}

/// A rig whose model calls take so many tokens, the first `open` of them at once.
pub(super) struct Bench {
    pub(super) rig: Rig,
    pub(super) driver: Metered,
    asked: mpsc::UnboundedReceiver<()>,
}

impl Bench {
    pub(super) async fn new(input_tokens: u64, output_tokens: u64, open: usize) -> Self {
        crate::support::mutation::apply();
        let (sender, asked) = mpsc::unbounded_channel();
        let usage = TokenUsage { input_tokens, output_tokens, ..TokenUsage::default() };
        let gate = Arc::new(Semaphore::new(open));
        let driver = Metered { usage, error: None, requests: Arc::default(), asked: sender, gate };
        Self { rig: Rig::with_driver(driver.clone()).await, driver, asked }
    }

    /// The same with another model, which the driver of this one has no part in.
    pub(super) fn with_rig(self, rig: Rig) -> Self {
        Self { rig, ..self }
    }

    pub(super) async fn budget(&self, subject: BudgetSubject, currency: Currency, limit: u64) -> UsageBudget {
        let id = BudgetId::from_uuid(self.rig.ids.next());
        let (created_at, status) = (Timestamp::UNIX_EPOCH, BudgetStatus::Active);
        let budget = UsageBudget {
            id,
            subject,
            currency,
            limit,
            soft_limit: None,
            period: None,
            status,
            version: 1,
            created_at,
            updated_at: created_at,
        };
        self.rig.platform.backends.usage_store.add_budget(self.rig.org, budget.clone()).await.unwrap();
        budget
    }

    pub(super) async fn tokens_of_session(&self, limit: u64) -> UsageBudget {
        self.budget(BudgetSubject::Session(self.rig.session), Currency::Tokens, limit).await
    }

    /// What is spent and reserved.
    pub(super) async fn balance(&self, budget: &UsageBudget) -> (u64, u64) {
        let account = budget.account(Timestamp::UNIX_EPOCH);
        let balance = self.rig.platform.backends.usage_store.read_balance(self.rig.org, &account).await.unwrap();
        (balance.spent, balance.reserved)
    }

    pub(super) fn calls(&self) -> usize {
        self.driver.requests.lock().unwrap().len()
    }

    fn last_output_limit(&self) -> u64 {
        self.driver.requests.lock().unwrap().last().unwrap().max_output_tokens.unwrap()
    }

    /// Runs a turn of a session beside the test, until its model is asked.
    pub(super) async fn begin(&mut self, session: SessionId, signals: TurnSignals) -> tokio::task::JoinHandle<TurnRun> {
        let key = self.rig.submit_to(session, "go").await;
        let running = tokio::spawn(run(self.rig.platform.clone(), key, signals));
        self.asked.recv().await.unwrap();
        running
    }

    async fn sealed(&self) -> String {
        match self.rig.end().await {
            EventData::TurnSealed { reason, detail, .. } if reason == "budget_exhausted" => detail,
            other => panic!("the turn ended otherwise: {other:?}"),
        }
    }
}

pub(super) async fn run(platform: TurnPlatform, key: TurnKey, signals: TurnSignals) -> TurnRun {
    let claim = platform.backends.log.claim_turn(key.org, key.session).await.unwrap().unwrap();
    platform.run_turn(key, claim, signals).await.unwrap()
}

#[tokio::test]
async fn a_turn_whose_call_does_not_fit_ends_before_it() {
    let bench = Bench::new(100, 3_900, 9).await;
    let budget = bench.tokens_of_session(9_000).await;
    assert_eq!(bench.rig.ask("first").await, TurnRun::Ended(TurnEnd::Completed));
    assert_eq!(bench.balance(&budget).await, (4_000, 0));
    assert_eq!(bench.last_output_limit(), 8_192, "as much as there is of an unknown model");
    bench.rig.ask("second").await;
    assert!(bench.last_output_limit() < 5_000, "no more than what is left: {}", bench.last_output_limit());
    assert_eq!(bench.balance(&budget).await, (8_000, 0));
    bench.rig.ask("third").await;
    assert_eq!(bench.balance(&budget).await, (12_000, 0), "a model that does not keep to it is counted as it was");
    assert_eq!(bench.rig.ask("fourth").await, TurnRun::Ended(TurnEnd::Sealed));
    assert_eq!(bench.calls(), 3);
    let detail = bench.sealed().await;
    assert!(detail.contains(&budget.id.to_string()) && detail.contains("0 tokens of 9000 tokens left"), "{detail}");
    let store = &bench.rig.platform.backends.usage_store;
    let postings = store.list_postings(bench.rig.org, &budget.id.to_string(), Page { offset: 0, limit: 100 }).await.unwrap();
    assert_eq!(postings.items.iter().map(|posting| posting.amount).collect::<Vec<_>>(), [4_000; 3]);
}

#[tokio::test]
async fn calls_at_the_same_time_do_not_exceed_a_budget_together() {
    let mut bench = Bench::new(10, 90, 0).await;
    let budget = bench.budget(BudgetSubject::Org(bench.rig.org), Currency::Tokens, 8_400).await;
    let harness = bench.rig.platform.backends.session_store.get_session(bench.rig.org, bench.rig.session).await.unwrap().unwrap();
    let other = bench.rig.add_session(harness.harness_id, |_| {}).await;
    let first = bench.begin(other, TurnSignals::default()).await;
    let (spent, reserved) = bench.balance(&budget).await;
    assert!(spent == 0 && reserved > 8_192, "{reserved}");
    assert_eq!(bench.rig.ask("go").await, TurnRun::Ended(TurnEnd::Sealed));
    bench.driver.gate.add_permits(2);
    assert_eq!(first.await.unwrap(), TurnRun::Ended(TurnEnd::Completed));
    assert_eq!(bench.balance(&budget).await, (100, 0));
    assert_eq!(bench.rig.ask("go").await, TurnRun::Ended(TurnEnd::Completed), "what was not used is there for others");
}

#[tokio::test]
async fn what_a_run_that_died_had_reserved_counts_as_used() {
    let mut bench = Bench::new(10, 90, 0).await;
    let budget = bench.tokens_of_session(100_000).await;
    let dying = bench.begin(bench.rig.session, TurnSignals::default()).await;
    dying.abort();
    assert!(dying.await.unwrap_err().is_cancelled());
    let (_, reserved) = bench.balance(&budget).await;
    assert!(reserved > 8_192, "{reserved}");
    bench.driver.gate.add_permits(1);
    bench.rig.recover().await;
    assert_eq!(bench.balance(&budget).await, (reserved + 100, 0));
}

#[tokio::test]
async fn a_call_that_is_cancelled_counts_with_what_it_was_asked() {
    let mut bench = Bench::new(10, 90, 0).await;
    let budget = bench.tokens_of_session(100_000).await;
    let signals = TurnSignals::default();
    let running = bench.begin(bench.rig.session, signals.clone()).await;
    signals.cancel.cancel();
    assert_eq!(running.await.unwrap(), TurnRun::Ended(TurnEnd::Cancelled));
    let (spent, reserved) = bench.balance(&budget).await;
    assert!(spent > 0 && spent < 1_000 && reserved == 0, "{spent} {reserved}");
}

#[tokio::test]
async fn a_call_that_fails_before_its_answer_costs_nothing() {
    let (sender, _asked) = mpsc::unbounded_channel();
    let error = Some(DriverErrorKind::InvalidRequest);
    let gate = Arc::new(Semaphore::new(9));
    let driver = Metered { usage: TokenUsage::default(), error, requests: Arc::default(), asked: sender, gate };
    let bench = Bench { rig: Rig::with_driver(driver.clone()).await, driver, asked: mpsc::unbounded_channel().1 };
    let budget = bench.tokens_of_session(100_000).await;
    assert_eq!(bench.rig.ask("go").await, TurnRun::Ended(TurnEnd::Failed));
    assert_eq!(bench.balance(&budget).await, (0, 0));
}

#[tokio::test]
async fn an_answer_whose_driver_counts_nothing_is_estimated() {
    let bench = Bench::new(0, 0, 9).await;
    let budget = bench.tokens_of_session(100_000).await;
    bench.rig.ask("go").await;
    let (spent, reserved) = bench.balance(&budget).await;
    assert!(spent > 3 && reserved == 0, "{spent} {reserved}: nine bytes are three tokens, and there was an input");
}

/// Makes the model of the org one with this profile.
async fn profiled(bench: &Bench, profile: serde_json::Value) {
    let (store, org, now) = (&bench.rig.platform.backends.provider_store, bench.rig.org, Timestamp::UNIX_EPOCH);
    let provider = Provider {
        id: ProviderId::from_uuid(bench.rig.ids.next()),
        name: "sim".to_owned(),
        provider_type: DriverId::LlmSim,
        base_url: None,
        status: ProviderStatus::Active,
        api_key: None,
        provider_metadata: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let model = Model {
        id: ModelId::from_uuid(bench.rig.ids.next()),
        provider_id: provider.id,
        model_id: "priced".to_owned(),
        display_name: "priced".to_owned(),
        capabilities: Vec::new(),
        profile: profile.as_object().unwrap().clone(),
        enabled: true,
        is_favorite: false,
        is_default: true,
        source: ModelSource::Manual,
        stale: false,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    store.add_provider(org, provider).await.unwrap();
    store.add_model(org, model).await.unwrap();
}

#[tokio::test]
async fn money_is_counted_by_the_price_of_the_model() {
    let bench = Bench::new(1_000, 200, 9).await;
    // Five cents; the answer that costs them has fewer tokens than the model could write.
    let budget = bench.budget(BudgetSubject::Org(bench.rig.org), Currency::Usd, 50_000_000).await;
    profiled(&bench, json!({ "cost": { "input": 3.0, "output": 15.0 }, "limits": { "output": 64_000 } })).await;
    assert_eq!(bench.rig.ask("go").await, TurnRun::Ended(TurnEnd::Completed));
    assert_eq!(bench.balance(&budget).await, (3_000_000 + 3_000_000, 0));
    assert!((3_000..3_334).contains(&bench.last_output_limit()), "{}", bench.last_output_limit());
}

#[tokio::test]
async fn a_budget_of_money_needs_a_model_with_a_price() {
    let bench = Bench::new(10, 90, 9).await;
    bench.budget(BudgetSubject::Org(bench.rig.org), Currency::Usd, 50_000_000).await;
    assert_eq!(bench.rig.ask("go").await, TurnRun::Ended(TurnEnd::Sealed));
    assert!(bench.sealed().await.contains("has no price"));
    assert_eq!(bench.calls(), 0);
}

#[tokio::test]
async fn every_org_has_so_many_tokens_a_day() {
    let mut bench = Bench::new(100, 8_000, 9).await;
    bench.rig.platform.allowance = OrgAllowance { tokens_per_day: Some(9_000), ..OrgAllowance::default() };
    bench.rig.ask("first").await;
    bench.rig.ask("second").await;
    assert_eq!(bench.rig.ask("third").await, TurnRun::Ended(TurnEnd::Sealed));
    let detail = bench.sealed().await;
    assert!(detail.contains("allowance for a day"), "{detail}");
    assert_eq!(bench.calls(), 2);
}

#[tokio::test]
async fn a_turn_that_goes_on_beyond_its_orgs_room_for_events_ends() {
    crate::support::mutation::apply();
    let call = |n: u32| json!({ "tool_calls": [{ "name": "get_current_time", "arguments": { "n": n } }] });
    let script = json!({ "response": { "scripted": { "turns": (0..40).map(call).collect::<Vec<_>>() } } });
    let mut rig = Rig::new(serde_json::from_value(script).expect("a script")).await;
    rig.platform.allowance = OrgAllowance { event_bytes: Some(1), ..OrgAllowance::default() };
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Sealed));
    let events = rig.events().await;
    let calls = events.iter().filter(|event| event.data.name() == "tool.completed").count();
    assert_eq!(calls, STORAGE_CHECK_CALLS as usize, "what is short ends as it would");
    let reasons: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.data {
            EventData::TurnSealed { reason, detail, .. } => Some((reason.as_str(), detail.contains("delete sessions"))),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, [("storage_exhausted", true)]);
}
