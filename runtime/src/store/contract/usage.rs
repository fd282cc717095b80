//! Budgets, and the ledger of what is used.

use super::case::{Case, FIRST_PAGE, assert_none, assert_refused, assert_same, ok, some, time};
use crate::id::{AgentId, BudgetId, OrgId, ReservationId, SessionId, TopUpId, TurnId};
use crate::limits::MAX_BUDGETS_PER_SUBJECT;
use crate::store::{Page, StoreError};
use crate::usage::{
    Account, Balance, BudgetStatus, BudgetSubject, Charge, Currency, Entry, MAX_BUDGET_AMOUNT, Period, Posting, Reservation, Reserved,
    TopUp, UsageBudget,
};

/// A budget of a hundred tokens.
pub(super) fn budget(case: &Case, subject: BudgetSubject) -> UsageBudget {
    UsageBudget {
        id: case.id(BudgetId::from_uuid),
        subject,
        currency: Currency::Tokens,
        limit: 100,
        soft_limit: None,
        period: None,
        status: BudgetStatus::Active,
        version: 1,
        created_at: time(1),
        updated_at: time(2),
    }
}

/// The account of a name in the period that began at a second.
pub(super) fn account(name: &str, opens: i64) -> Account {
    Account { key: name.to_owned(), opens }
}

/// Sets amounts of accounts aside, of which each may have a hundred.
pub(super) fn reservation(case: &Case, amounts: &[(Account, u64)]) -> Reservation {
    let charges = amounts.iter().map(|(account, amount)| Charge { account: account.clone(), limit: 100, amount: *amount }).collect();
    let (session, turn) = (case.id(SessionId::from_uuid), case.id(TurnId::from_uuid));
    Reservation { id: case.id(ReservationId::from_uuid), session, turn, charges, at: time(3) }
}

async fn reserve(case: &Case, amounts: &[(Account, u64)]) -> (Reservation, Reserved) {
    let reservation = reservation(case, amounts);
    let outcome = ok(case.stores.usage_store.reserve(case.org, reservation.clone()).await);
    (reservation, outcome)
}

async fn balance(case: &Case, account: &Account) -> (u64, u64) {
    let Balance { spent, reserved, .. } = ok(case.stores.usage_store.read_balance(case.org, account).await);
    (spent, reserved)
}

async fn settle(case: &Case, reservation: &Reservation, spent: &[u64]) -> bool {
    ok(case.stores.usage_store.settle(case.org, reservation.id, spent.to_vec(), time(4)).await).is_some()
}

pub(super) async fn budgets_are_read_back_and_listed_in_order(case: &Case) {
    let store = &case.stores.usage_store;
    let budgets = [
        budget(case, BudgetSubject::Session(case.id(SessionId::from_uuid))),
        UsageBudget { currency: Currency::Usd, period: Some(Period::Day), ..budget(case, BudgetSubject::Org(case.org)) },
        UsageBudget {
            status: BudgetStatus::Disabled,
            period: Some(Period::Month),
            limit: i64::MAX.unsigned_abs(),
            soft_limit: Some(7),
            ..budget(case, BudgetSubject::Agent(case.id(AgentId::from_uuid)))
        },
    ];
    for budget in &budgets {
        assert_none(store.get_budget(case.org, budget.id).await);
        ok(store.add_budget(case.org, budget.clone()).await);
        assert_eq!(&some(store.get_budget(case.org, budget.id).await), budget);
    }
    let listing = ok(store.list_budgets(case.org, FIRST_PAGE).await);
    assert_same(&listing.items, &budgets);
    let part = ok(store.list_budgets(case.org, Page { offset: 1, limit: 1 }).await);
    assert_eq!((part.items.as_slice(), part.total), (&budgets[1..2], 3));
    assert_refused!(store.add_budget(case.org, budgets[0].clone()).await, StoreError::Duplicate { what: "budget", .. });
    let nobody = case.id(OrgId::from_uuid);
    assert_refused!(store.add_budget(nobody, budget(case, BudgetSubject::Org(nobody))).await, StoreError::NotFound { what: "org", .. });
}

pub(super) async fn the_budgets_of_a_session_are_its_own_and_those_above_it(case: &Case) {
    let store = &case.stores.usage_store;
    let (session, agent) = (case.id(SessionId::from_uuid), case.id(AgentId::from_uuid));
    let budgets =
        [BudgetSubject::Session(session), BudgetSubject::Agent(agent), BudgetSubject::Org(case.org)].map(|subject| budget(case, subject));
    for budget in &budgets {
        ok(store.add_budget(case.org, budget.clone()).await);
    }
    ok(store.add_budget(case.org, budget(case, BudgetSubject::Session(case.id(SessionId::from_uuid)))).await);
    ok(store.add_budget(case.org, budget(case, BudgetSubject::Agent(case.id(AgentId::from_uuid)))).await);
    assert_same(&ok(store.budgets_of(case.org, session, Some(agent)).await), &budgets);
    let without_agent = ok(store.budgets_of(case.org, session, None).await);
    assert_same(&without_agent, &[budgets[0].clone(), budgets[2].clone()]);
}

pub(super) async fn a_subject_has_so_many_budgets(case: &Case) {
    let store = &case.stores.usage_store;
    let subject = BudgetSubject::Org(case.org);
    for _ in 0..MAX_BUDGETS_PER_SUBJECT {
        ok(store.add_budget(case.org, budget(case, subject)).await);
    }
    assert_refused!(store.add_budget(case.org, budget(case, subject)).await, StoreError::Limit(_));
    ok(store.add_budget(case.org, budget(case, BudgetSubject::Agent(case.id(AgentId::from_uuid)))).await);
}

pub(super) async fn a_budget_changes_and_goes_by_version(case: &Case) {
    let store = &case.stores.usage_store;
    let first = budget(case, BudgetSubject::Org(case.org));
    let missing = store.update_budget(case.org, UsageBudget { version: 2, ..first.clone() }).await;
    assert_refused!(missing, StoreError::NotFound { what: "budget", .. });
    ok(store.add_budget(case.org, first.clone()).await);
    let changed =
        UsageBudget { limit: 7, soft_limit: Some(5), status: BudgetStatus::Disabled, version: 2, updated_at: time(9), ..first.clone() };
    ok(store.update_budget(case.org, changed.clone()).await);
    assert_eq!(some(store.get_budget(case.org, first.id).await), changed);
    assert_refused!(store.update_budget(case.org, changed.clone()).await, StoreError::Stale { what: "budget", .. });
    let of = first.account(time(0));
    let (held, _) = reserve(case, &[(of.clone(), 5)]).await;
    assert_refused!(store.remove_budget(case.org, first.id, 1).await, StoreError::Stale { what: "budget", .. });
    ok(store.remove_budget(case.org, first.id, 2).await);
    assert_refused!(store.remove_budget(case.org, first.id, 2).await, StoreError::NotFound { what: "budget", .. });
    assert_none(store.get_budget(case.org, first.id).await);
    assert!(settle(case, &held, &[5]).await, "what was reserved can be settled");
    assert_eq!(balance(case, &of).await, (0, 0), "without a trace");
    assert_eq!(ok(store.list_postings(case.org, &of.key, FIRST_PAGE).await).total, 0);
}

pub(super) async fn what_is_reserved_is_not_left_for_others(case: &Case) {
    let (a, b) = (account("a", 0), account("b", 0));
    let (first, outcome) = reserve(case, &[(a.clone(), 60), (b.clone(), 10)]).await;
    assert_eq!(outcome, Reserved::Held);
    assert_eq!((balance(case, &a).await, balance(case, &b).await), ((0, 60), (0, 10)));
    let (_, refused) = reserve(case, &[(b.clone(), 10), (a.clone(), 41)]).await;
    assert_eq!(refused, Reserved::Refused { charge: 1, left: 40 });
    assert_eq!((balance(case, &a).await, balance(case, &b).await), ((0, 60), (0, 10)), "all or nothing");
    let (_, fits) = reserve(case, &[(a.clone(), 40)]).await;
    assert_eq!(fits, Reserved::Held);
    let again = Reservation { charges: reservation(case, &[(account("c", 0), 1)]).charges, ..first };
    let again = case.stores.usage_store.reserve(case.org, again).await;
    assert_refused!(again, StoreError::Duplicate { what: "reservation", .. });
    let nowhere = case.stores.usage_store.reserve(case.id(OrgId::from_uuid), reservation(case, &[(a, 1)])).await;
    assert_refused!(nowhere, StoreError::NotFound { what: "org", .. });
}

pub(super) async fn what_was_used_takes_the_place_of_what_was_reserved(case: &Case) {
    let store = &case.stores.usage_store;
    let (a, b) = (account("a", 0), account("b", 0));
    let (first, _) = reserve(case, &[(a.clone(), 60), (b.clone(), 10)]).await;
    let short = store.settle(case.org, first.id, vec![1], time(4)).await;
    assert_refused!(short, StoreError::Invalid(_));
    assert!(settle(case, &first, &[25, 0]).await);
    assert!(!settle(case, &first, &[25, 0]).await, "once");
    assert_eq!((balance(case, &a).await, balance(case, &b).await), ((25, 0), (0, 0)));
    let (second, _) = reserve(case, &[(a.clone(), 75)]).await;
    assert!(settle(case, &second, &[80]).await, "what was used is told as it was");
    assert_eq!(balance(case, &a).await, (105, 0));
    let (_, refused) = reserve(case, &[(a.clone(), 1)]).await;
    assert_eq!(refused, Reserved::Refused { charge: 0, left: 0 });
    let posting = |of: &Reservation, amount| {
        let entry = Entry::Use { reservation: of.id, session: of.session, turn: of.turn };
        Posting { entry, amount, at: time(4) }
    };
    let postings = ok(store.list_postings(case.org, "a", FIRST_PAGE).await);
    assert_eq!((postings.items, postings.total), (vec![posting(&second, 80), posting(&first, 25)], 2), "newest first");
    let part = ok(store.list_postings(case.org, "a", Page { offset: 1, limit: 1 }).await);
    assert_eq!((part.items, part.total), (vec![posting(&first, 25)], 2));
    assert_eq!(ok(store.list_postings(case.org, "b", FIRST_PAGE).await).total, 0, "nothing is no use");
}

pub(super) async fn what_a_dead_turn_reserved_counts_as_used(case: &Case) {
    let store = &case.stores.usage_store;
    let a = account("a", 0);
    let (first, _) = reserve(case, &[(a.clone(), 30)]).await;
    let second = Reservation { session: first.session, turn: first.turn, ..reservation(case, &[(a.clone(), 20)]) };
    ok(store.reserve(case.org, second).await);
    let (others, _) = reserve(case, &[(a.clone(), 5)]).await;
    let settled = async |session, turn| ok(store.settle_turn(case.org, session, turn, time(5)).await);
    assert_eq!(settled(others.session, first.turn).await, 0);
    assert_eq!(settled(first.session, first.turn).await, 2);
    assert_eq!(settled(first.session, first.turn).await, 0);
    assert_eq!(balance(case, &a).await, (50, 5));
    assert!(!settle(case, &first, &[1]).await, "whoever comes back changes nothing");
    assert_eq!(balance(case, &a).await, (50, 5));
}

pub(super) async fn a_new_period_begins_with_nothing(case: &Case) {
    let (old, new) = (account("a", 86_400), account("a", 172_800));
    let (first, _) = reserve(case, &[(old.clone(), 90)]).await;
    let (second, outcome) = reserve(case, &[(new.clone(), 90)]).await;
    assert_eq!(outcome, Reserved::Held);
    assert_eq!(balance(case, &old).await, (0, 90), "what is reserved keeps its account");
    assert!(settle(case, &first, &[90]).await && settle(case, &second, &[20]).await);
    assert_eq!(balance(case, &old).await, (90, 0));
    reserve(case, &[(new.clone(), 1)]).await;
    assert_eq!((balance(case, &old).await, balance(case, &new).await), ((0, 0), (20, 1)), "an old account is forgotten");
}

pub(super) async fn parallel_reservations_never_exceed_the_limit(case: &Case) {
    let a = account("a", 0);
    let outcomes = futures::future::join_all((0..16).map(|_| async { reserve(case, &[(a.clone(), 15)]).await.1 })).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Reserved::Held).count(), 6);
    assert_eq!(balance(case, &a).await, (0, 90));
}

/// Adds to what a budget has.
pub(super) fn top_up(case: &Case, amount: u64) -> TopUp {
    TopUp { id: case.id(TopUpId::from_uuid), amount, at: time(6) }
}

pub(super) async fn settling_tells_what_the_accounts_say(case: &Case) {
    let (a, b) = (account("a", 0), account("b", 0));
    let (first, _) = reserve(case, &[(a.clone(), 60), (b.clone(), 10)]).await;
    let (_, others) = reserve(case, &[(a.clone(), 5)]).await;
    assert_eq!(others, Reserved::Held);
    let balances = ok(case.stores.usage_store.settle(case.org, first.id, vec![25, 0], time(4)).await);
    let expected = [Balance { spent: 25, reserved: 5, granted: 0 }, Balance::default()];
    assert_eq!(balances.as_deref(), Some(&expected[..]));
    assert_eq!(ok(case.stores.usage_store.settle(case.org, first.id, vec![25, 0], time(4)).await), None, "once");
}

pub(super) async fn a_top_up_adds_to_a_budget_once(case: &Case) {
    let store = &case.stores.usage_store;
    let first = budget(case, BudgetSubject::Org(case.org));
    let top = top_up(case, 40);
    assert_refused!(store.top_up(case.org, first.id, top).await, StoreError::NotFound { what: "budget", .. });
    ok(store.add_budget(case.org, first.clone()).await);
    let of = first.account(time(0));
    let (held, _) = reserve(case, &[(of.clone(), 100)]).await;
    assert_eq!(reserve(case, &[(of.clone(), 1)]).await.1, Reserved::Refused { charge: 0, left: 0 });
    assert!(ok(store.top_up(case.org, first.id, top).await));
    assert!(!ok(store.top_up(case.org, first.id, TopUp { at: time(7), ..top }).await), "once");
    assert_eq!(reserve(case, &[(of.clone(), 41)]).await.1, Reserved::Refused { charge: 0, left: 40 });
    assert_eq!(reserve(case, &[(of.clone(), 40)]).await.1, Reserved::Held);
    assert_eq!(ok(store.read_balance(case.org, &of).await), Balance { spent: 0, reserved: 140, granted: 40 });
    assert!(settle(case, &held, &[90]).await);
    let used = Entry::Use { reservation: held.id, session: held.session, turn: held.turn };
    let postings = [Posting { entry: used, amount: 90, at: time(4) }, Posting { entry: Entry::TopUp(top.id), amount: 40, at: time(6) }];
    let ledger = ok(store.list_postings(case.org, &of.key, FIRST_PAGE).await);
    assert_eq!((ledger.items.as_slice(), ledger.total), (&postings[..], 2));
    assert_eq!(some(store.get_budget(case.org, first.id).await), first, "its limit stays what it is");
    ok(store.remove_budget(case.org, first.id, 1).await);
    assert_eq!(ok(store.list_postings(case.org, &of.key, FIRST_PAGE).await).total, 0);
}

pub(super) async fn a_top_up_is_of_its_period_and_has_a_limit(case: &Case) {
    let store = &case.stores.usage_store;
    let daily = UsageBudget { period: Some(Period::Day), ..budget(case, BudgetSubject::Org(case.org)) };
    ok(store.add_budget(case.org, daily.clone()).await);
    assert!(ok(store.top_up(case.org, daily.id, top_up(case, 40)).await));
    let (today, tomorrow) = (daily.account(time(6)), daily.account(Period::Day.ends(time(6))));
    let granted = async |account| ok(store.read_balance(case.org, account).await).granted;
    assert_eq!((granted(&today).await, granted(&tomorrow).await), (40, 0));
    assert!(ok(store.top_up(case.org, daily.id, top_up(case, 2)).await), "there can be several");
    assert_refused!(store.top_up(case.org, daily.id, top_up(case, MAX_BUDGET_AMOUNT - 141)).await, StoreError::Limit(_));
    assert_eq!((granted(&today).await, ok(store.list_postings(case.org, &today.key, FIRST_PAGE).await).total), (42, 2), "all or nothing");
    assert!(ok(store.top_up(case.org, daily.id, top_up(case, MAX_BUDGET_AMOUNT - 142)).await));
}

pub(super) async fn parallel_top_ups_of_an_id_are_one(case: &Case) {
    let store = &case.stores.usage_store;
    let first = budget(case, BudgetSubject::Org(case.org));
    ok(store.add_budget(case.org, first.clone()).await);
    let top = top_up(case, 40);
    let done = futures::future::join_all((0..8).map(|_| store.top_up(case.org, first.id, top))).await;
    assert_eq!(done.into_iter().map(ok).filter(|added| *added).count(), 1);
    assert_eq!(ok(store.read_balance(case.org, &first.account(time(0))).await).granted, 40);
}
