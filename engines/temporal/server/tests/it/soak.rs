//! Turns on one control plane and two workers, each of which is killed again and again at random moments: the form of the
//! soak for many machines. `cargo xtask soak --site temporal` runs as many turns as wanted.

#[path = "../../../../../tests/tests/it/soak/effects.rs"]
mod effects;
#[path = "../../../../../tests/tests/it/soak/judge.rs"]
mod judge;
#[path = "../../../../../tests/tests/it/soak/run.rs"]
mod run;
#[path = "../../../../../tests/tests/it/soak/site.rs"]
mod site;

use self::effects::Effects;
use self::run::{Plan, soak};
use self::site::Site;
use crate::site::{SHORT_LEASE, WORKER_TOKEN, free_port, new_database, shared_temporal};
use crate::support::guest;
use crate::support::port::with_port;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_survive_random_kills_on_temporal() {
    let (effects, home) = (Effects::listen().await, tempfile::tempdir().expect("a directory"));
    let (name, database) = new_database().await;
    let (address, temporal) = (format!("127.0.0.1:{}", free_port()), shared_temporal());
    let member = |role: &'static str, command: &[&str]| {
        let options = [
            ("--data-dir", home.path().join(role).display().to_string()),
            ("--database", database.clone()),
            ("--worker-token", WORKER_TOKEN.to_owned()),
            ("--temporal", temporal.clone()),
            ("--installation", name.clone()),
            ("--lease-seconds", SHORT_LEASE.as_secs().to_string()),
            ("--allow-private-target", format!("127.0.0.1:{}", effects.port)),
        ];
        let options = options.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
        let args = command.iter().map(|arg| (*arg).to_owned()).chain(options).chain(["--json".to_owned()]);
        (role, args.collect())
    };
    let serve = ["serve", "--role", "control-plane", "--listen", &address, "--org-turns-per-minute", "1000000"];
    let url = format!("http://{address}");
    let work = ["worker", "--control-plane", &url];
    let members = vec![member("server", &serve), member("one", &work), member("two", &work)];
    let site = Site::start(home, env!("CARGO_BIN_EXE_everwit"), members).await;
    let fetcher = with_port(guest("fetcher"), effects.port);
    soak("Temporal and PostgreSQL, a control plane and two workers", Plan::read(), effects, site, fetcher).await;
}
