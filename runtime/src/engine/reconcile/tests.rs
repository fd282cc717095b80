use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::*;
use crate::engine::{StepHandler, WorkEnd, Working};
use crate::store::RuntimeBackends;
use crate::store::contract::open_turns;

/// An engine that knows what it was told, and fails to answer for a while.
#[derive(Default)]
struct Deaf {
    knows: Mutex<HashSet<TurnKey>>,
    /// Questions that it does not answer yet.
    deaf_for: Mutex<usize>,
    asked: Mutex<usize>,
}

#[async_trait]
impl Engine for Deaf {
    async fn submit(&self, turn: TurnKey) -> Result<(), Error> {
        self.knows.lock().unwrap().insert(turn);
        Ok(())
    }

    async fn signal(&self, turn: TurnKey) -> Result<(), Error> {
        self.submit(turn).await
    }

    async fn cancel(&self, _turn: TurnKey) -> Result<bool, Error> {
        unreachable!("nothing is cancelled")
    }

    async fn status(&self, turn: TurnKey) -> Result<TurnStatus, Error> {
        *self.asked.lock().unwrap() += 1;
        let mut deaf_for = self.deaf_for.lock().unwrap();
        if *deaf_for > 0 {
            *deaf_for -= 1;
            return Err(Error::Unavailable("it does not answer".to_owned()));
        }
        Ok(if self.knows.lock().unwrap().contains(&turn) { TurnStatus::Running } else { TurnStatus::Unknown })
    }

    async fn work(&self, _handler: Arc<dyn StepHandler>, _slots: usize, _end: WorkEnd) -> Result<Working, Error> {
        unreachable!("nobody works")
    }
}

#[tokio::test]
async fn a_round_is_bounded_and_the_next_one_goes_on_where_it_ended() {
    let (stores, engine) = (RuntimeBackends::in_memory(), Deaf::default());
    open_turns(&stores, 5).await;
    let log = &*stores.log;
    let first = round(log, &engine, None, 2).await.unwrap();
    assert_eq!((first.told, *engine.asked.lock().unwrap()), (2, 2));
    let second = round(log, &engine, first.reached, 2).await.unwrap();
    assert_eq!(second.told, 2, "the first two are not asked for again");
    let last = round(log, &engine, second.reached, 2).await.unwrap();
    assert_eq!(last, Reconciled { told: 1, reached: None });
    assert_eq!(round(log, &engine, last.reached, 2).await.unwrap().told, 0, "it begins anew, and all is known");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_answer_is_asked_again_so_often() {
    let (stores, engine) = (RuntimeBackends::in_memory(), Deaf::default());
    open_turns(&stores, 1).await;
    *engine.deaf_for.lock().unwrap() = TRIES - 1;
    assert_eq!(reconcile(&*stores.log, &engine, None).await.unwrap().told, 1);
    *engine.deaf_for.lock().unwrap() = TRIES;
    let error = reconcile(&*stores.log, &engine, None).await.unwrap_err();
    assert_eq!((error.kind(), *engine.asked.lock().unwrap()), (ErrorKind::Unavailable, 2 * TRIES));
}
