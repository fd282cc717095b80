//! `everwit serve --check`: whether the server could start, and what keeps it from that. Changes nothing.

use std::path::Path;

use everwit_runtime::store::SchemaStatus;
use serde::Serialize;

use super::output::{Failure, Style, harmless, print};
use crate::app::require_keys;
use crate::bucket::{Bucket, NEEDS_BUCKET};
use crate::components::start_gateway;
use crate::config::ServerConfig;
use crate::data_dir::DataDir;
use crate::database::{COMMAND_CONNECTIONS, Database, DatabaseConfig};
use crate::encryption::MasterKeys;

/// What was looked at, and what was found.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    /// What is there; or what is wrong, with the fix.
    detail: String,
}

/// Checks a configuration that is valid by itself.
pub(crate) async fn run(config: &ServerConfig, json: bool) -> Result<(), Failure> {
    let checks = checks(config).await;
    if json {
        print(&serde_json::json!({ "ok": checks.iter().all(|check| check.ok), "checks": checks }).to_string())?;
    } else {
        let style = Style::stdout();
        let line = |check: &Check| {
            let word = if check.ok { "ok    ".to_owned() } else { style.red("failed") };
            format!("{word}  {:<14}  {}", check.name, harmless(&check.detail).replace('\n', "\n                        "))
        };
        print(&checks.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    }
    if checks.iter().all(|check| check.ok) { Ok(()) } else { Err(Failure::silent()) }
}

async fn checks(config: &ServerConfig) -> Vec<Check> {
    let mut checks = vec![check("configuration", config.check().map(|()| "every option has a value that it can have".to_owned()))];
    let (dir, found) = data_dir(&config.data_dir);
    checks.push(check("data directory", found));
    let schema = schema(config).await;
    // A database that nobody has used yet is as good as none.
    let used = schema.as_ref().ok().copied().flatten().filter(|schema| schema.applied > 0);
    let is_readable = schema.is_ok();
    checks.push(check("database", schema.map(|schema| told(&config.database, schema))));
    checks.push(check("master key", master_key(config, dir.as_ref(), used.is_some())));
    match (used, &dir) {
        (None, _) if is_readable => checks.push(check("API keys", reachable(config, false))),
        // Opening a database whose schema is the newest changes nothing.
        (Some(schema), Some(dir)) if schema.applied == schema.known => checks.push(check("API keys", api_keys(config, dir).await)),
        _ => {}
    }
    checks.push(check("components", components(config, dir.as_ref(), used).await));
    checks.push(check("compiled code", cache(dir.as_ref())));
    let roots = start_gateway(config.private_targets.clone()).map(|_| "certificates of other servers can be judged".to_owned());
    checks.push(check("requests", roots));
    checks
}

fn check(name: &'static str, found: Result<String, impl std::fmt::Display>) -> Check {
    match found {
        Ok(detail) => Check { name, ok: true, detail },
        Err(error) => Check { name, ok: false, detail: format!("{error:#}") },
    }
}

/// The data directory if it is there, and what is to be said of it.
fn data_dir(path: &Path) -> (Option<DataDir>, anyhow::Result<String>) {
    let shown = path.display();
    if path.exists() {
        return match DataDir::open(path) {
            Ok(dir) => {
                let writable = tempfile::tempfile_in(dir.path()).map(|_| format!("{shown} is private and can be written to"));
                (Some(dir), writable.map_err(|error| anyhow::anyhow!("cannot write to the data directory {shown}: {error}")))
            }
            Err(error) => (None, Err(error)),
        };
    }
    let parent = path.ancestors().skip(1).find(|parent| parent.as_os_str().is_empty() || parent.exists()).unwrap_or(Path::new("."));
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let can = tempfile::tempfile_in(parent).map(|_| format!("{shown} does not exist; the server makes it"));
    let fix = "name another one with --data-dir";
    (
        None,
        can.map_err(|error| {
            anyhow::anyhow!("the data directory {shown} cannot be made in {}: {error}\nto fix it: {fix}", parent.display())
        }),
    )
}

/// How far the schema is; none if there is no database yet.
async fn schema(config: &ServerConfig) -> anyhow::Result<Option<SchemaStatus>> {
    if matches!(config.database, DatabaseConfig::Sqlite) && !DataDir::database_in(&config.data_dir).exists() {
        return Ok(None);
    }
    Ok(Some(config.database.schema(&config.data_dir).await?))
}

fn told(database: &DatabaseConfig, schema: Option<SchemaStatus>) -> String {
    match schema {
        None => format!("{database}: there is none yet; the server makes it"),
        Some(SchemaStatus { applied, known }) if applied == known => format!("{database}: reached, schema {applied} of {known}"),
        Some(SchemaStatus { applied, known }) => {
            format!(
                "{database}: reached, schema {applied} of {known}; the server brings it up to date, for which there is no way back but a backup"
            )
        }
    }
}

fn master_key(config: &ServerConfig, dir: Option<&DataDir>, has_database: bool) -> anyhow::Result<String> {
    if !MasterKeys::exist(&config.encryption, &config.data_dir) {
        anyhow::ensure!(
            !has_database,
            "there is a database and no master key: what was encrypted with the key of before cannot be read\n\
             to fix it: set EVERWIT_ENCRYPTION_KEY, or put master.key back into the data directory; if there never was one, start the server once"
        );
        return Ok("there is none yet; the server makes it".to_owned());
    }
    let Some(dir) = dir else { return Ok("it is configured".to_owned()) };
    MasterKeys::load(&config.encryption, dir)?.cipher()?;
    Ok("it can be used".to_owned())
}

async fn api_keys(config: &ServerConfig, dir: &DataDir) -> anyhow::Result<String> {
    let database = Database::open(dir, &config.database, COMMAND_CONNECTIONS).await?;
    let has_keys = database.backends().org_store.has_keys().await;
    database.close().await?;
    reachable(config, has_keys?)
}

fn reachable(config: &ServerConfig, has_keys: bool) -> anyhow::Result<String> {
    require_keys(config.listen, has_keys, &config.data_dir)?;
    Ok(if has_keys { "there are some".to_owned() } else { format!("there is none, and others cannot reach {}", config.listen) })
}

async fn components(config: &ServerConfig, dir: Option<&DataDir>, schema: Option<SchemaStatus>) -> anyhow::Result<String> {
    if let Some(bucket) = &config.component_bucket {
        Bucket::open(bucket).await?;
        return Ok(format!("their bytes are in {bucket}, which can be listed"));
    }
    // An older schema knows of no bucket.
    if let (Some(dir), Some(SchemaStatus { applied, known })) = (dir, schema)
        && applied == known
    {
        let database = Database::open(dir, &config.database, COMMAND_CONNECTIONS).await?;
        let needs_bucket = database.needs_bucket().await;
        database.close().await?;
        anyhow::ensure!(!needs_bucket?, NEEDS_BUCKET);
    }
    Ok("their bytes are in the database".to_owned())
}

fn cache(dir: Option<&DataDir>) -> anyhow::Result<String> {
    let Some(path) = dir.map(|dir| dir.path().join("cache")).filter(|path| path.exists()) else {
        return Ok("there is none yet; components are compiled when they are used".to_owned());
    };
    let shown = path.display();
    match tempfile::tempfile_in(&path) {
        Ok(_) => Ok(format!("{shown} can be written to")),
        Err(error) => Err(anyhow::anyhow!("cannot write to {shown}: {error}\nto fix it: remove it; what is in it is made again")),
    }
}
