//! Turns on processes that are killed again and again at random moments: none is lost, doubled or stuck, and no
//! tool that must not be repeated is. `cargo xtask soak --turns N --kill-every S` runs as many as wanted. The form with
//! workers of their own is beside the engine for many machines.

pub(crate) mod effects;
mod judge;
pub(crate) mod run;
mod site;

use self::effects::Effects;
use self::run::{Plan, soak};
use self::site::Site;
use crate::support::guests::at_port;
use crate::support::postgres::new_database;
use crate::support::{Api, EVERWIT};

/// One process that does everything, on a SQLite file or on a PostgreSQL database.
async fn soak_embedded(what: &str, database: Option<String>) {
    let (effects, home) = (Effects::listen().await, tempfile::tempdir().expect("a directory"));
    let (data, target) = (home.path().join("data").display().to_string(), format!("127.0.0.1:{}", effects.port));
    let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--json", "--org-turns-per-minute", "1000000"];
    args.extend(["--data-dir", &data, "--allow-private-target", &target]);
    args.extend(database.iter().flat_map(|url| ["--database", url]));
    let server = ("server", args.into_iter().map(str::to_owned).collect());
    let site = Site::start(home, EVERWIT, vec![server]).await;
    let fetcher = at_port("fetcher", effects.port);
    soak(what, Plan::read(), effects, site, fetcher).await;
}

/// The component whose tool acts on the world at a port, with the right to do so.
pub(crate) async fn activate(api: &Api, port: u16) {
    run::activate(api, at_port("fetcher", port)).await;
}

#[tokio::test]
async fn turns_survive_random_kills_on_sqlite() {
    soak_embedded("SQLite, one process", None).await;
}

#[tokio::test]
async fn turns_survive_random_kills_on_postgres() {
    soak_embedded("PostgreSQL, one process", Some(new_database().await)).await;
}
