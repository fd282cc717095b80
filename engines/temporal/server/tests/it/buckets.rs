//! Bytes of components in an S3 bucket: the control plane puts them there, and workers get them from there.

use everwit_runtime::store::postgres::testing::query;
use serde_json::json;

use crate::site::{LEASE, Site, shared_temporal};
use crate::support::guest;
use crate::support::s3::S3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_runs_a_component_whose_bytes_are_in_a_bucket() {
    let call = json!({ "tool_calls": [{ "name": "echo__echo", "arguments": { "value": 4711 } }] });
    let site = Site::new(&json!({ "response": { "scripted": { "turns": [call, { "assistant": "Done." }] } } }), LEASE).await;
    let (mut s3, temporal) = (S3::start().await, shared_temporal());
    let settings = s3.settings();
    let bucket: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let _server = site.start_with("server", "server", &temporal, &bucket).await;
    let api = site.api();
    api.upload("", guest("echo")).await.expect(201);
    let objects = s3.list().await;
    assert_eq!(objects.len(), 1, "{objects:?}");
    assert_eq!(query(&site.database, "SELECT 'of-tests/' || object FROM blobs WHERE length(bytes) = 0").await, objects);
    assert_eq!(query(&site.database, "SELECT digest::text FROM blobs WHERE object IS NULL OR length(bytes) > 0").await, [""; 0]);

    let log = site.refused("worker", "other", &temporal, &[]).await;
    assert!(log.contains("set EVERWIT_S3_BUCKET"), "{log}");

    let _worker = site.start_with("worker", "worker", &temporal, &bucket).await;
    let cache = site.file("data-worker/cache");
    assert_eq!(std::fs::read_dir(&cache).map_or(0, Iterator::count), 0, "it has compiled nothing");
    let session = api.session_with(&json!({ "capabilities": [{ "ref": "echo" }] })).await;
    api.say(&session, "go").await;
    let frames = api.stream(&session, "?after_sequence=0").await.until("session.idled").await;
    let called = frames.iter().find(|frame| frame.event == "tool.completed").expect("the component is called");
    assert!(called.data["data"]["success"] == true && called.data["data"]["result"].to_string().contains("4711"), "{called:?}");
    assert_ne!(std::fs::read_dir(&cache).map_or(0, Iterator::count), 0, "the worker has compiled it for itself");
    let (_, secret) = bucket.iter().find(|(name, _)| name.ends_with("SECRET_ACCESS_KEY")).expect("the secret");
    assert!(["server", "worker"].iter().all(|name| !site.log(name).contains(secret)));
}
