//! Bytes of components in an S3 bucket: what a store promises, on both databases, and what servers do.

use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use everwit_runtime::clock::SystemClock;
use everwit_runtime::component::{ComponentDescription, Digest};
use everwit_runtime::id::{ComponentId, IdSource as _, OrgId, RandomIds};
use everwit_runtime::store::sqlite::SqliteStore;
use everwit_runtime::store::{BlobStore, NewVersion, RuntimeBackends, S3Bucket, StoreError, StoreResult, contract};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::s3::S3;
use crate::support::sqlite::texts_of;
use crate::support::{Server, ServerOptions, everwit, guest, postgres, send};

/// A database, and how it is read beside its store.
enum Place {
    Sqlite(TempDir),
    Postgres(String),
}

impl Place {
    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().expect("a directory"))
    }

    async fn postgres() -> Self {
        Self::Postgres(postgres::new_database().await)
    }

    /// All stores, with bytes in a bucket.
    async fn stores(&self, blobs: Arc<dyn BlobStore>) -> RuntimeBackends {
        match self {
            Self::Sqlite(dir) => {
                let store = SqliteStore::open(&dir.path().join("everwit.db")).await.expect("a database");
                RuntimeBackends::from_store(Arc::new(store.with_blobs(blobs)))
            }
            Self::Postgres(database) => RuntimeBackends::from_store(Arc::new(postgres::open(database).await.with_blobs(blobs))),
        }
    }

    /// Moves the bytes of a digest that are in the database to a bucket, so many minutes after the beginning.
    async fn move_out(&self, blobs: Arc<dyn BlobStore>, digest: Digest, minutes: i64) -> StoreResult<bool> {
        let (unique, now) = (RandomIds::new(Arc::new(SystemClock)).next(), after(minutes));
        match self {
            Self::Sqlite(dir) => {
                let store = SqliteStore::open(&dir.path().join("everwit.db")).await.expect("a database");
                store.with_blobs(blobs).move_blob(digest, unique, now).await
            }
            Self::Postgres(database) => postgres::open(database).await.with_blobs(blobs).move_blob(digest, unique, now).await,
        }
    }

    /// All stores, with bytes in the database.
    async fn stores_inside(&self) -> RuntimeBackends {
        match self {
            Self::Sqlite(dir) => {
                RuntimeBackends::from_store(Arc::new(SqliteStore::open(&dir.path().join("everwit.db")).await.expect("a database")))
            }
            Self::Postgres(database) => RuntimeBackends::from_store(Arc::new(postgres::open(database).await)),
        }
    }

    /// The first column of a query, which is text.
    async fn read(&self, query: &str) -> Vec<String> {
        match self {
            Self::Sqlite(dir) => texts_of(&dir.path().join("everwit.db"), query).await,
            Self::Postgres(database) => everwit_runtime::store::postgres::testing::query(database, query).await,
        }
    }

    /// Every object is named by a row and every name has its object; no row has bytes.
    async fn assert_named(&self, s3: &mut S3) {
        let named = self.read("SELECT 'of-tests/' || object FROM blobs WHERE object IS NOT NULL ORDER BY object").await;
        assert_eq!(named, s3.list().await);
        assert_eq!(self.read("SELECT object FROM loose_objects").await, Vec::<String>::new());
        assert_eq!(self.read("SELECT digest FROM blobs WHERE length(bytes) > 0").await, Vec::<String>::new());
    }
}

/// A bucket whose answer to a write comes late, or not at all.
struct Slow {
    bucket: S3Bucket,
    /// Who uploads something else two hours later, and before the answer; without, there is no answer.
    others: Option<RuntimeBackends>,
}

#[async_trait]
impl BlobStore for Slow {
    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        self.bucket.put(key, bytes).await?;
        let Some(others) = &self.others else { return Err(StoreError::Unavailable("nobody hears of it".to_owned())) };
        upload(others, b"in the meantime", 120).await.map(drop)
    }

    async fn get(&self, key: &str) -> StoreResult<Option<Bytes>> {
        self.bucket.get(key).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.bucket.delete(key).await
    }

    async fn check(&self) -> StoreResult<()> {
        self.bucket.check().await
    }
}

/// A bucket that keeps something else than it was given.
struct Forgetful(S3Bucket);

#[async_trait]
impl BlobStore for Forgetful {
    async fn put(&self, key: &str, _: Bytes) -> StoreResult<()> {
        self.0.put(key, Bytes::from_static(b"something else")).await
    }

    async fn get(&self, key: &str) -> StoreResult<Option<Bytes>> {
        self.0.get(key).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.0.delete(key).await
    }

    async fn check(&self) -> StoreResult<()> {
        self.0.check().await
    }
}

fn bucket(s3: &S3) -> S3Bucket {
    S3Bucket::new(&s3.config()).expect("a bucket")
}

fn org() -> OrgId {
    OrgId::from_uuid(uuid::Uuid::from_u128(1))
}

/// A time so many minutes after the beginning.
fn after(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time") + SignedDuration::from_mins(minutes)
}

/// Uploads bytes, so many minutes after the beginning.
async fn upload(stores: &RuntimeBackends, wasm: &[u8], minutes: i64) -> StoreResult<Digest> {
    let description = json!({
        "id": "lens", "title": "Lens", "version": "1.0.0", "summary": "", "config_schema": {}, "tools": [], "permissions": {},
    });
    let new = NewVersion {
        component_id: ComponentId::from_uuid(RandomIds::new(Arc::new(SystemClock)).next()),
        digest: Digest::of(wasm),
        wasm: wasm.to_vec(),
        description: serde_json::from_value::<ComponentDescription>(description).expect("a description"),
        imports: Vec::new(),
        signature: None,
        now: after(minutes),
        quota_bytes: 1 << 20,
        quota_components: 1 << 10,
    };
    stores.component_store.add_version(org(), new).await.map(|stored| stored.version.digest)
}

async fn read(stores: &RuntimeBackends, digest: Digest) -> StoreResult<Option<Vec<u8>>> {
    stores.component_store.read_wasm(org(), digest).await
}

async fn holds_the_contract(place: Place) {
    let mut s3 = S3::start().await;
    let stores = place.stores(Arc::new(bucket(&s3))).await;
    let cases = contract::CASES.iter().filter(|case| case.starts_with("components::") || case.starts_with("versions::"));
    let cases: Vec<&&str> = cases.collect();
    assert!(cases.len() > 10, "{cases:?}");
    for case in cases {
        contract::run(case, &stores).await;
    }
    assert!(!s3.list().await.is_empty());
    place.assert_named(&mut s3).await;
}

/// Nobody answered one upload, so that its object is nobody's; it goes once nobody can be about to name it.
async fn deletes_what_nobody_names(place: Place) {
    let mut s3 = S3::start().await;
    let stores = place.stores(Arc::new(bucket(&s3))).await;
    let unheard = place.stores(Arc::new(Slow { bucket: bucket(&s3), others: None })).await;
    let refused = upload(&unheard, b"unheard", 0).await.expect_err("nobody knows of it");
    assert!(refused.to_string().contains("nobody hears of it"), "{refused}");
    upload(&stores, b"a", 30).await.expect("an upload");
    assert_eq!(s3.list().await.len(), 2, "somebody may be about to name it");
    upload(&stores, b"b", 90).await.expect("an upload");
    assert_eq!(s3.list().await.len(), 2);
    place.assert_named(&mut s3).await;
}

/// An upload that took so long that its object was deleted does not name it.
async fn refuses_to_name_what_was_deleted(place: Place) {
    let mut s3 = S3::start().await;
    let others = place.stores(Arc::new(bucket(&s3))).await;
    let slow = place.stores(Arc::new(Slow { bucket: bucket(&s3), others: Some(others) })).await;
    let refused = upload(&slow, b"slow", 0).await.expect_err("it is too late");
    assert!(refused.to_string().contains("took longer than 1h"), "{refused}");
    assert_eq!(s3.list().await.len(), 1);
    place.assert_named(&mut s3).await;
}

/// What somebody else made of an object is not believed, and an upload mends it.
async fn believes_no_object(place: Place) {
    let mut s3 = S3::start().await;
    let stores = place.stores(Arc::new(bucket(&s3))).await;
    let digest = upload(&stores, b"bytes", 0).await.expect("an upload");
    let key = s3.list().await.remove(0);
    assert!(key.starts_with(&format!("of-tests/{}/", digest.hex())), "{key}");
    s3.change(&key).await;
    let refused = read(&stores, digest).await.expect_err("these are not the bytes");
    assert!(matches!(&refused, StoreError::Corrupt(text) if text.contains("does not have this digest")), "{refused}");
    s3.delete(&key).await;
    let refused = read(&stores, digest).await.expect_err("there are no bytes");
    assert!(matches!(&refused, StoreError::Corrupt(text) if text.contains("upload the component again")), "{refused}");
    for minutes in [1, 2] {
        upload(&stores, b"bytes", minutes).await.expect("an upload");
        assert_eq!(read(&stores, digest).await.expect("bytes").as_deref(), Some(&b"bytes"[..]));
    }
    place.assert_named(&mut s3).await;
    // What is in the database stays there, and is found beside what is in the bucket.
    let inside = place.stores_inside().await;
    let refused = read(&inside, digest).await.expect_err("there is no bucket");
    assert!(refused.to_string().contains("none is configured"), "{refused}");
    let second = upload(&inside, b"inside", 3).await.expect("an upload");
    assert_eq!(upload(&stores, b"inside", 4).await.expect("an upload"), second);
    assert_eq!((read(&stores, second).await.expect("bytes").as_deref(), s3.list().await.len()), (Some(&b"inside"[..]), 1));
}

/// The database keeps its bytes until the bucket is known to have them.
async fn moves_what_a_database_has(place: Place) {
    let mut s3 = S3::start().await;
    let inside = place.stores_inside().await;
    let digest = upload(&inside, b"bytes", 0).await.expect("an upload");
    let unheard = Arc::new(Slow { bucket: bucket(&s3), others: None });
    let refused = place.move_out(unheard, digest, 1).await.expect_err("nobody knows of it");
    assert!(refused.to_string().contains("nobody hears of it"), "{refused}");
    let refused = place.move_out(Arc::new(Forgetful(bucket(&s3))), digest, 2).await.expect_err("these are not the bytes");
    assert!(matches!(&refused, StoreError::Unavailable(text) if text.contains("does not have the bytes")), "{refused}");
    assert_eq!(s3.list().await.len(), 1, "what is wrong is deleted, and what nobody heard of may be about to be named");
    assert_eq!(read(&inside, digest).await.expect("bytes").as_deref(), Some(&b"bytes"[..]));

    assert!(place.move_out(Arc::new(bucket(&s3)), digest, 90).await.expect("a move"));
    place.assert_named(&mut s3).await;
    let stores = place.stores(Arc::new(bucket(&s3))).await;
    assert_eq!(read(&stores, digest).await.expect("bytes").as_deref(), Some(&b"bytes"[..]));
    assert!(!place.move_out(Arc::new(bucket(&s3)), digest, 91).await.expect("nothing is left"));
    place.assert_named(&mut s3).await;
}

macro_rules! on_both {
    ($($name:ident: $check:ident;)*) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$check(super::Place::sqlite()).await;
            })*
        }
        mod postgres_too {
            $(#[tokio::test]
            async fn $name() {
                super::$check(super::Place::postgres().await).await;
            })*
        }
    };
}

on_both! {
    a_bucket_holds_the_contract_of_components: holds_the_contract;
    an_object_that_nobody_names_is_deleted: deletes_what_nobody_names;
    an_upload_that_takes_too_long_is_refused: refuses_to_name_what_was_deleted;
    a_lost_or_changed_object_is_refused_and_mended: believes_no_object;
    bytes_are_moved_only_once_the_bucket_has_them: moves_what_a_database_has;
}

/// What a command says that cannot start.
async fn refusal(server: &Server, args: &[String]) -> (Option<i32>, String) {
    let mut command = everwit();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(server.data_dir()).args(args);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.expect("the command runs");
    (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// Forgets what was compiled, so that bytes are needed.
fn empty_cache(server: &Server) {
    for entry in std::fs::read_dir(server.data_dir().join("cache")).expect("the cache") {
        std::fs::remove_file(entry.expect("an entry").path()).expect("a file is removed");
    }
}

async fn call(server: &Server) -> (u16, Value) {
    let body = json!({ "tool": "echo", "arguments": { "value": 1 } });
    let answer = send(server.api().request(Method::POST, "/v1/components/echo/call").json(&body)).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn a_server_loads_components_from_the_bucket() {
    let mut s3 = S3::start().await;
    let secret = s3.args().pop().expect("the secret");
    let server = Server::start_with(ServerOptions { args: s3.args(), ..ServerOptions::default() }).await;
    server.api().upload("", guest("echo")).await.expect(201);
    let key = s3.list().await.remove(0);
    let ready = server.api().get("/readyz").await.expect(200);
    assert!(ready["checks"].as_array().expect("a list").contains(&json!({ "name": "bucket", "ok": true })), "{ready}");

    let server = server.kill_and_restart().await;
    empty_cache(&server);
    assert_eq!(call(&server).await.0, 200);

    s3.change(&key).await;
    let mut server = server.kill_and_restart().await;
    empty_cache(&server);
    let (status, answer) = call(&server).await;
    assert!(status == 500 && !answer.to_string().contains(&key), "{answer}");
    assert!(server.log().contains("does not have this digest"), "{}", server.log());
    server.api().upload("", guest("echo")).await.expect(200);
    assert_eq!(call(&server).await.0, 200);
    assert!(!server.log().contains(&secret));
    server.terminate();
    assert!(server.ended().await);

    let (code, said) = refusal(&server, &[]).await;
    assert!(code == Some(1) && said.contains("set EVERWIT_S3_BUCKET"), "{said}");
    let (code, said) = refusal(&server, &["--check".to_owned()]).await;
    assert!(code == Some(1) && said.contains("set EVERWIT_S3_BUCKET"), "{said}");
    let check = |args: Vec<String>| [vec!["--check".to_owned()], args].concat();
    assert_eq!(refusal(&server, &check(s3.args())).await.0, Some(0));
    for (flag, wrong, expected) in [
        ("--s3-secret-access-key", "canary-secret", "SignatureDoesNotMatch"),
        ("--s3-bucket", "another", "AccessDenied"),
        ("--s3-endpoint", "http://127.0.0.1:9", "connect"),
    ] {
        let at = s3.args().iter().position(|arg| arg == flag).expect("the flag") + 1;
        let mut args = s3.args();
        args[at] = wrong.to_owned();
        for args in [check(args.clone()), args] {
            let (code, said) = refusal(&server, &args).await;
            assert!(code == Some(1) && said.contains(expected) && said.contains("--s3-region"), "{wrong}: {said}");
            assert!(!said.contains("canary-secret") && !said.contains(&secret), "{said}");
        }
    }
}

#[tokio::test]
async fn what_a_database_has_is_moved_to_a_bucket_by_a_command() {
    let mut s3 = S3::start().await;
    let mut server = Server::start().await;
    server.api().upload("", guest("echo")).await.expect(201);
    server.terminate();
    assert!(server.ended().await);
    let move_components = async |more: &[&str]| {
        let mut command = everwit();
        command.args(["db", "move-components", "--json", "--data-dir"]).arg(server.data_dir()).args(s3.args()).args(more);
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.expect("the command runs");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let size = guest("echo").len();
    assert_eq!(move_components(&["--dry-run"]).await, json!({ "moved": 0, "left": 1, "left_bytes": size }));
    for moved in [1, 0] {
        assert_eq!(move_components(&[]).await, json!({ "moved": moved, "left": 0, "left_bytes": 0 }));
    }
    assert_eq!(s3.list().await.len(), 1);
    let (code, said) = refusal(&server, &[]).await;
    assert!(code == Some(1) && said.contains("set EVERWIT_S3_BUCKET"), "{said}");
    empty_cache(&server);
    let server = server.restart_with(s3.args()).await;
    assert_eq!(call(&server).await.0, 200);
}

#[tokio::test]
async fn a_bucket_is_configured_completely_or_not_at_all() {
    let server = Server::start().await;
    let args = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (code, said) = refusal(&server, &args(&["--s3-bucket", "components"])).await;
    assert_eq!(code, Some(2));
    for expected in ["--s3-region", "--s3-access-key-id", "EVERWIT_S3_SECRET_ACCESS_KEY"] {
        assert!(said.contains(expected), "{said}");
    }
    let complete = ["--s3-region", "eu", "--s3-access-key-id", "a", "--s3-secret-access-key", "canary", "--s3-bucket"];
    let in_the_clear = [&complete[..], &["components", "--s3-endpoint", "http://store.internal:9000"]].concat();
    let (code, said) = refusal(&server, &args(&in_the_clear)).await;
    assert!(code == Some(2) && said.contains("--allow-private-target store.internal:9000") && !said.contains("canary"), "{said}");
    let (code, said) = refusal(&server, &args(&[&complete[..], &["A Bucket"]].concat())).await;
    assert!(code == Some(2) && said.contains("--s3-bucket") && !said.contains("canary"), "{said}");
}
