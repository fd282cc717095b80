//! Budgets, and the ledger of what is used.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryStore;
use crate::id::{AgentId, BudgetId, OrgId, ReservationId, SessionId, TurnId};
use crate::store::rules::{check_budgets, check_charges, check_top_up, page_limit, whole_micros, wrong_amounts};
use crate::store::{Listing, Page, StoreError, StoreResult, UsageStore};
use crate::usage::{Account, Balance, BudgetSubject, Charge, Entry, Posting, Reservation, Reserved, TopUp, UsageBudget};

/// The budgets and the ledger of one org.
#[derive(Default)]
pub(super) struct Usage {
    /// In order of creation.
    budgets: Vec<UsageBudget>,
    accounts: HashMap<Account, Balance>,
    open: HashMap<ReservationId, Reservation>,
    /// In the order in which they were made.
    postings: Vec<(String, Posting)>,
}

impl Usage {
    fn at_version(&self, id: BudgetId, expected: u64) -> StoreResult<usize> {
        let found = self.budgets.iter().position(|budget| budget.id == id);
        match found {
            Some(place) if self.budgets[place].version == expected => Ok(place),
            Some(_) => Err(StoreError::Stale { what: "budget", id: id.to_string() }),
            None => Err(StoreError::NotFound { what: "budget", id: id.to_string() }),
        }
    }

    fn balance(&self, account: &Account) -> Balance {
        self.accounts.get(account).copied().unwrap_or_default()
    }

    fn hold(&mut self, reservation: Reservation) -> Reserved {
        let balances: Vec<Balance> = reservation.charges.iter().map(|charge| self.balance(&charge.account)).collect();
        let outcome = check_charges(&reservation.charges, &balances);
        if outcome == Reserved::Held {
            for Charge { account, amount, .. } in &reservation.charges {
                let later = |other: &Account| other.key != account.key || other.opens >= account.opens;
                self.accounts.retain(|other, balance| later(other) || balance.reserved > 0);
                self.accounts.entry(account.clone()).or_default().reserved += amount;
            }
            self.open.insert(reservation.id, reservation);
        }
        outcome
    }

    fn end(&mut self, reservation: &Reservation, spent: &[u64], at: Timestamp) -> Vec<Balance> {
        self.open.remove(&reservation.id);
        let mut balances = Vec::with_capacity(spent.len());
        for (Charge { account, amount: held, .. }, &amount) in reservation.charges.iter().zip(spent) {
            let Some(balance) = self.accounts.get_mut(account) else {
                balances.push(Balance::default());
                continue;
            };
            balance.reserved = balance.reserved.saturating_sub(*held);
            balance.spent = balance.spent.saturating_add(amount);
            balances.push(*balance);
            if amount > 0 && account.has_ledger() {
                let Reservation { id, session, turn, .. } = *reservation;
                let entry = Entry::Use { reservation: id, session, turn };
                self.postings.push((account.key.clone(), Posting { entry, amount, at: whole_micros(at) }));
            }
        }
        balances
    }
}

#[async_trait]
impl UsageStore for MemoryStore {
    async fn add_budget(&self, org: OrgId, budget: UsageBudget) -> StoreResult<()> {
        let mut state = self.lock();
        state.orgs.check(org)?;
        let usage = &mut state.tenants.entry(org).or_default().usage;
        if usage.budgets.iter().any(|other| other.id == budget.id) {
            return Err(StoreError::Duplicate { what: "budget", id: budget.id.to_string() });
        }
        check_budgets(usage.budgets.iter().filter(|other| other.subject == budget.subject).count() as u64)?;
        let (created_at, updated_at) = (whole_micros(budget.created_at), whole_micros(budget.updated_at));
        usage.budgets.push(UsageBudget { created_at, updated_at, ..budget });
        Ok(())
    }

    async fn get_budget(&self, org: OrgId, id: BudgetId) -> StoreResult<Option<UsageBudget>> {
        Ok(self.read(org, |tenant| tenant.usage.budgets.iter().find(|budget| budget.id == id).cloned()))
    }

    async fn list_budgets(&self, org: OrgId, page: Page) -> StoreResult<Listing<UsageBudget>> {
        Ok(self.read(org, |tenant| {
            let budgets = &tenant.usage.budgets;
            let items = budgets.iter().skip(page.offset as usize).take(page_limit(page) as usize).cloned().collect();
            Listing { items, total: budgets.len() as u64 }
        }))
    }

    async fn budgets_of(&self, org: OrgId, session: SessionId, agent: Option<AgentId>) -> StoreResult<Vec<UsageBudget>> {
        let concerned = |budget: &&UsageBudget| match budget.subject {
            BudgetSubject::Session(id) => id == session,
            BudgetSubject::Agent(id) => Some(id) == agent,
            BudgetSubject::Org(id) => id == org,
        };
        Ok(self.read(org, |tenant| tenant.usage.budgets.iter().filter(concerned).cloned().collect()))
    }

    async fn update_budget(&self, org: OrgId, budget: UsageBudget) -> StoreResult<()> {
        self.write(org, |tenant| {
            let place = tenant.usage.at_version(budget.id, budget.version.saturating_sub(1))?;
            let kept = &mut tenant.usage.budgets[place];
            let UsageBudget { limit, soft_limit, status, version, .. } = budget;
            (kept.limit, kept.soft_limit, kept.status) = (limit, soft_limit, status);
            (kept.version, kept.updated_at) = (version, whole_micros(budget.updated_at));
            Ok(())
        })
    }

    async fn remove_budget(&self, org: OrgId, id: BudgetId, expected: u64) -> StoreResult<()> {
        self.write(org, |tenant| {
            let usage = &mut tenant.usage;
            usage.budgets.remove(usage.at_version(id, expected)?);
            let key = id.to_string();
            usage.accounts.retain(|account, _| account.key != key);
            usage.postings.retain(|(of, _)| *of != key);
            Ok(())
        })
    }

    async fn read_balance(&self, org: OrgId, account: &Account) -> StoreResult<Balance> {
        Ok(self.read(org, |tenant| tenant.usage.balance(account)))
    }

    async fn reserve(&self, org: OrgId, reservation: Reservation) -> StoreResult<Reserved> {
        let mut state = self.lock();
        state.orgs.check(org)?;
        let usage = &mut state.tenants.entry(org).or_default().usage;
        if usage.open.contains_key(&reservation.id) {
            return Err(StoreError::Duplicate { what: "reservation", id: reservation.id.to_string() });
        }
        Ok(usage.hold(reservation))
    }

    async fn settle(&self, org: OrgId, id: ReservationId, spent: Vec<u64>, at: Timestamp) -> StoreResult<Option<Vec<Balance>>> {
        self.write(org, |tenant| {
            let Some(reservation) = tenant.usage.open.get(&id).cloned() else { return Ok(None) };
            if reservation.charges.len() != spent.len() {
                return Err(wrong_amounts(spent.len(), reservation.charges.len()));
            }
            Ok(Some(tenant.usage.end(&reservation, &spent, at)))
        })
    }

    async fn settle_turn(&self, org: OrgId, session: SessionId, turn: TurnId, at: Timestamp) -> StoreResult<u64> {
        self.write(org, |tenant| {
            let of_turn = |open: &&Reservation| (open.session, open.turn) == (session, turn);
            let mut open: Vec<Reservation> = tenant.usage.open.values().filter(of_turn).cloned().collect();
            open.sort_by_key(|reservation| reservation.id);
            for reservation in &open {
                let spent: Vec<u64> = reservation.charges.iter().map(|charge| charge.amount).collect();
                tenant.usage.end(reservation, &spent, at);
            }
            Ok(open.len() as u64)
        })
    }

    async fn top_up(&self, org: OrgId, id: BudgetId, TopUp { id: top_up, amount, at }: TopUp) -> StoreResult<bool> {
        self.write(org, |tenant| {
            let usage = &mut tenant.usage;
            let budget = usage.budgets.iter().find(|budget| budget.id == id);
            let budget = budget.ok_or_else(|| StoreError::NotFound { what: "budget", id: id.to_string() })?;
            let (account, entry) = (budget.account(at), Entry::TopUp(top_up));
            if usage.postings.iter().any(|(_, posting)| posting.entry == entry) {
                return Ok(false);
            }
            check_top_up(budget.limit, usage.balance(&account).granted, amount)?;
            usage.postings.push((account.key.clone(), Posting { entry, amount, at: whole_micros(at) }));
            usage.accounts.entry(account).or_default().granted += amount;
            Ok(true)
        })
    }

    async fn list_postings(&self, org: OrgId, key: &str, page: Page) -> StoreResult<Listing<Posting>> {
        Ok(self.read(org, |tenant| {
            let own = || tenant.usage.postings.iter().rev().filter(|(of, _)| of == key).map(|(_, posting)| *posting);
            let items = own().skip(page.offset as usize).take(page_limit(page) as usize).collect();
            Listing { items, total: own().count() as u64 }
        }))
    }
}
