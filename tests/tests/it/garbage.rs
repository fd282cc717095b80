//! What nobody needs any more goes by itself.

use std::path::Path;
use std::time::Duration;

use everwit_runtime::component::Digest;
use everwit_server::ServerAppBuilder;

use crate::support::embedded::{Home, client};
use crate::support::guest;
use crate::support::sqlite::{number_of, run_sql_of};

/// How long it may take until something is gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than code has to be old for.
const TWO_DAYS: Duration = Duration::from_secs(2 * 24 * 3_600);
/// More than what is archived is kept for, in microseconds.
const EIGHT_DAYS: u64 = 8 * 24 * 3_600 * 1_000_000;

/// Files of the compiled code of a guest.
fn code_of(cache: &Path, name: &str) -> usize {
    let hex = Digest::of(&guest(name)).hex();
    let entries = std::fs::read_dir(cache).expect("the cache");
    entries.filter(|entry| entry.as_ref().expect("an entry").file_name().to_string_lossy().starts_with(&hex)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_archived_versions_and_code_that_nobody_has_go_without_an_upload() {
    let home = Home::new();
    let mut config = home.config();
    config.collect_every = Duration::from_millis(20);
    let (database, cache) = (config.data_dir.join("everwit.db"), config.data_dir.join("cache"));
    let server = ServerAppBuilder::new(config).start().await.expect("it starts");
    let api = client(&server);
    for kept in ["echo", "minimal"] {
        api.upload("?activate=true", guest(kept)).await.expect(201);
    }
    api.upload("?dry_run=true", guest("panics")).await.expect(200);
    api.delete("/v1/components/minimal").await.expect(204);
    assert_eq!(["echo", "minimal", "panics"].map(|name| code_of(&cache, name)), [2, 2, 2]);

    for column in ["component_versions SET stored_at = stored_at", "components SET archived_at = archived_at"] {
        run_sql_of(&database, &format!("UPDATE {column} - {EIGHT_DAYS}")).await;
    }
    let without = "SELECT count(*) FROM component_versions WHERE stored_at IS NULL";
    let gone = async { while number_of(&database, without).await == 0 {} };
    tokio::time::timeout(PATIENCE, gone).await.expect("the bytes go");
    assert_eq!(number_of(&database, without).await, 1, "those of what is not archived stay");
    assert_eq!(["echo", "minimal", "panics"].map(|name| code_of(&cache, name)), [2, 2, 2], "what is young stays");

    for entry in std::fs::read_dir(&cache).expect("the cache") {
        let file = std::fs::File::options().write(true).open(entry.expect("an entry").path()).expect("a file");
        let made = file.metadata().and_then(|metadata| metadata.modified()).expect("its time");
        file.set_modified(made - TWO_DAYS).expect("it takes another time");
    }
    let gone = async {
        while code_of(&cache, "minimal") + code_of(&cache, "panics") > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the code goes");
    assert_eq!(code_of(&cache, "echo"), 2, "code of what is stored stays");
    server.shutdown().await.expect("it ends");
}
