//! Access tokens: exchanged once, replaced in time, and never seen.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use everwit_runtime::Error;
use everwit_runtime::driver::{DriverErrorKind, DriverId, ProviderMetadata, StoredTokens, TokenKeeper};
use everwit_runtime::id::{OrgId, ProviderId};
use everwit_runtime::provider::{Credentials, Provider, ProviderStatus};
use everwit_runtime::store::RuntimeBackends;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use super::vendor::*;

fn token(value: Value) -> Vec<Act> {
    status(200, "", &value.to_string())
}

fn rig(vendor: &Vendor) -> Rig {
    let mut rig = Rig::new(vendor);
    rig.protocol = Arc::new(Plain { exchanges_tokens: true, ..Plain::default() });
    rig.model.api_key = None;
    rig.model.provider_metadata = Some(ProviderMetadata { refresh_token: Some("refresh-token-1".into()), account_id: None, extra: None });
    rig
}

/// What each request was: the token that it brought, or the refresh token that it exchanged.
fn said(vendor: &Vendor) -> Vec<String> {
    let bearer = |request: &String| request.lines().find_map(|line| line.strip_prefix("authorization: ").map(str::to_owned));
    let body = |request: &String| request.split_once("\r\n\r\n").map(|(_, body)| format!("exchange {body}"));
    vendor.requests().iter().filter_map(|request| bearer(request).or_else(|| body(request))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_token_is_exchanged_once_for_everybody_and_again_in_time() {
    let slow = [vec![Act::Wait(seconds(2))], token(json!({"token": "access-1", "expires_in": 600}))].concat();
    let vendor =
        Vendor::new([vec![slow], vec![saying("a"); 5], vec![token(json!({"token": "access-2", "expires_in": 600})), saying("b")]].concat());
    let rig = rig(&vendor);
    futures::future::join_all((0..4).map(|_| rig.text())).await;
    tokio::time::sleep(seconds(530)).await;
    rig.text().await;
    assert_eq!(
        said(&vendor),
        ["exchange refresh-token-1", "Bearer access-1", "Bearer access-1", "Bearer access-1", "Bearer access-1", "Bearer access-1"]
    );
    // The last minute of a token is not relied on.
    tokio::time::sleep(seconds(10)).await;
    rig.text().await;
    assert_eq!(said(&vendor)[6..], ["exchange refresh-token-1", "Bearer access-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_void_is_replaced_once() {
    let vendor = Vendor::new([
        token(json!({"token": "access-1"})),
        saying("a"),
        status(401, "", "expired"),
        token(json!({"token": "access-2"})),
        saying("b"),
        status(401, "", "expired"),
        token(json!({"token": "access-3"})),
        status(401, "", "who are you, access-3 of refresh-token-1?"),
    ]);
    let rig = rig(&vendor);
    assert_eq!((rig.text().await, rig.text().await), ("a".to_owned(), "b".to_owned()));
    let error = rig.error().await;
    assert_eq!(error.kind, DriverErrorKind::Authentication);
    assert_eq!(error.vendor_message.as_deref(), Some("who are you, [redacted] of [redacted]?"), "the token is nobody's business either");
    assert_eq!(vendor.left(), 0);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_exchanged_where_the_operator_says() {
    let vendor = Vendor::new([token(json!({"token": "access-1"})), saying("a")]);
    let rig = rig(&vendor).with_extra(json!({"token_url": "http://login.test/oauth/token"}));
    rig.text().await;
    assert!(vendor.requests()[0].starts_with("POST /oauth/token") && vendor.requests()[0].contains("host: login.test"));
    let refused = self::rig(&Vendor::new([status(400, "", "bad refresh-token-1")])).error().await;
    assert_eq!((refused.kind, refused.vendor_message.as_deref()), (DriverErrorKind::InvalidRequest, Some("bad [redacted]")));
}

#[derive(Default)]
struct Kept(Mutex<Vec<(String, String)>>);

#[async_trait]
impl TokenKeeper for Kept {
    async fn replace(&self, _: OrgId, _: ProviderId, old: &SecretString, new: &SecretString) -> Result<(), Error> {
        lock(&self.0).push((old.expose_secret().to_owned(), new.expose_secret().to_owned()));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_the_vendor_replaces_is_kept_and_used() {
    let replaced =
        |n: u32| token(json!({"token": format!("access-{n}"), "expires_in": 61, "refresh_token": format!("refresh-token-{}", n + 1)}));
    let vendor = Vendor::new([replaced(1), saying("a"), replaced(2), saying("b")]);
    let kept = Arc::new(Kept::default());
    let rig = rig(&vendor).hosted(|host| host.with_keeper(kept.clone()));
    for _ in 0..2 {
        let driver = everwit_runtime::driver::CodecDriver::new(rig.protocol.clone(), rig.model.driver_config());
        let mut context = rig.context();
        context.provider = Some(ProviderId::from_uuid(Uuid::nil()));
        let started = everwit_runtime::driver::complete(&driver, &rig.model, Default::default(), &context).await;
        drain(started.stream.unwrap()).await;
        tokio::time::sleep(seconds(60)).await;
    }
    let pair = |old: &str, new: &str| (old.to_owned(), new.to_owned());
    assert_eq!(*kept.0.lock().unwrap(), [pair("refresh-token-1", "refresh-token-2"), pair("refresh-token-2", "refresh-token-3")]);
    assert_eq!(said(&vendor)[2], "exchange refresh-token-2");
}

#[tokio::test]
async fn kept_tokens_are_sealed_where_the_provider_is_and_newer_ones_win() {
    let backends = RuntimeBackends::in_memory();
    let (org, id) = (OrgId::from_uuid(Uuid::from_u128(1)), ProviderId::from_uuid(Uuid::from_u128(2)));
    backends.org_store.add_org(org, "tests", Timestamp::UNIX_EPOCH).await.unwrap();
    let mut provider = Provider {
        id,
        name: "codex".to_owned(),
        provider_type: DriverId::External("plain".to_owned()),
        base_url: None,
        status: ProviderStatus::Active,
        api_key: None,
        provider_metadata: None,
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    };
    let metadata = ProviderMetadata { refresh_token: Some("one".into()), account_id: Some("acct".into()), extra: None };
    provider.set_metadata(&backends.cipher, org, Some(&metadata)).await.unwrap();
    backends.provider_store.add_provider(org, provider).await.unwrap();

    let keeper = StoredTokens::new(&backends);
    let stored = async || {
        let provider = backends.provider_store.get_provider(org, id).await.unwrap().unwrap();
        assert!(!format!("{provider:?}").contains("two"), "it is sealed");
        let metadata = Credentials::open(&backends.cipher, org, &provider).await.unwrap().metadata.unwrap();
        (metadata.refresh_token.unwrap().expose_secret().to_owned(), metadata.account_id, provider.version)
    };
    keeper.replace(org, id, &"one".into(), &"two".into()).await.unwrap();
    assert_eq!(stored().await, ("two".to_owned(), Some("acct".to_owned()), 2));
    keeper.replace(org, id, &"one".into(), &"late".into()).await.unwrap();
    assert_eq!(stored().await.0, "two", "somebody was faster");
    keeper.replace(org, ProviderId::from_uuid(Uuid::nil()), &"one".into(), &"two".into()).await.unwrap();
}
