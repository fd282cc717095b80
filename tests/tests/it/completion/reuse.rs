//! Connections that are used again: by whom, for how long, and what happens when they are closed.

use std::time::Duration;

use everwit_runtime::egress::{Gateway, GatewayConfig};
use futures::StreamExt;
use serde_json::json;

use super::vendor::*;
use crate::egress::support::{Names, OTHER_PUBLIC, PUBLIC, grant, quota, read};
use crate::egress::tls::ROOT;

#[tokio::test(start_paused = true)]
async fn completions_in_a_row_share_a_connection() {
    let vendor = Vendor::new((0..20).map(|_| saying("hello")));
    let rig = Rig::new(&vendor);
    for _ in 0..20 {
        assert_eq!(rig.text().await, "hello");
    }
    assert_eq!((vendor.requests().len(), vendor.dials(), rig.gateway.idle_connections()), (20, 1, 1));
    assert!(!vendor.requests()[0].contains("connection: close"));
}

#[tokio::test(start_paused = true)]
async fn completions_in_a_row_share_a_connection_over_tls() {
    let vendor = Vendor::over_tls((0..3).map(|_| saying("hello")));
    let config = GatewayConfig { extra_roots: Some(ROOT.to_owned()), ..GatewayConfig::default() };
    let gateway = Gateway::with_transport(config, Names::new(&[&[PUBLIC][..]; 4]), vendor.pipe.clone()).expect("the root is one");
    let mut rig = Rig::with_gateway(gateway);
    rig.model.base_url = Some("https://a.test/v1".to_owned());
    for _ in 0..3 {
        assert_eq!(rig.text().await, "hello");
    }
    assert_eq!((vendor.requests().len(), vendor.dials(), rig.gateway.idle_connections()), (3, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn completions_at_once_have_a_connection_each_and_few_of_them_stay() {
    let slow = || [saying("a")[..2].to_vec(), vec![Act::Wait(seconds(1))], saying("b")[2..].to_vec()].concat();
    let vendor = Vendor::new((0..12).map(|_| slow()));
    let rig = Rig::new(&vendor);
    futures::future::join_all((0..12).map(|_| rig.text())).await;
    assert_eq!((vendor.dials(), rig.gateway.idle_connections()), (12, 8));
}

#[tokio::test(start_paused = true)]
async fn nobody_uses_the_connection_of_somebody_else() {
    let changes: [fn(&mut Rig); 5] = [
        |rig| rig.org = 2,
        |rig| rig.model.api_key = Some("another-key-0123456789".into()),
        |rig| rig.model.base_url = Some("http://plain.test/v2".to_owned()),
        |rig| rig.model.base_url = Some("http://plain.test:8080/v1/".to_owned()),
        |rig| {
            rig.model.provider_metadata =
                Some(everwit_runtime::driver::ProviderMetadata { account_id: Some("b".into()), ..Default::default() });
        },
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let vendor = Vendor::new((0..3).map(|_| saying("hello")));
        let first = Rig::new(&vendor);
        first.text().await;
        let mut other = Rig { gateway: first.gateway.clone(), host: first.host.clone(), model: first.model.clone(), ..Rig::new(&vendor) };
        change(&mut other);
        other.text().await;
        assert_eq!(vendor.dials(), 2, "change {at}");
        first.text().await;
        assert_eq!(vendor.dials(), 2, "its own is still there");
    }
}

#[tokio::test(start_paused = true)]
async fn a_guest_meets_no_connection_of_a_driver() {
    let vendor = Vendor::new([saying("hello"), status(200, "", "guest"), saying("again")]);
    let rig = Rig::new(&vendor);
    rig.text().await;
    let request = crate::egress::support::get("http://plain.test/v1/chat");
    let scope = rig.context().org.to_string();
    let mut response = rig.gateway.send(&scope, &grant(&["plain.test:80"]), request, &mut quota()).await.unwrap();
    assert_eq!(read(&mut response).await.unwrap(), b"guest");
    assert!(vendor.requests()[1].contains("connection: close"), "{}", vendor.requests()[1]);
    rig.text().await;
    assert_eq!((vendor.dials(), rig.gateway.idle_connections()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_closed_in_between_is_replaced() {
    let closing = [saying("one"), vec![Act::Close]].concat();
    let vendor = Vendor::new([closing, saying("two")]);
    let rig = Rig::new(&vendor);
    assert_eq!((rig.text().await, rig.text().await), ("one".to_owned(), "two".to_owned()));
    assert_eq!((vendor.dials(), vendor.requests().len()), (2, 2));

    let announcing = vec![send(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 51\r\n\r\ndata: {\"text\":\"one\"}\n\ndata: {\"finish\":\"stop\"}    \n\n",
    )];
    let vendor = Vendor::new([announcing, saying("two")]);
    let rig = Rig::new(&vendor);
    assert_eq!((rig.text().await, rig.gateway.idle_connections()), ("one".to_owned(), 0));
    assert_eq!((rig.text().await, vendor.dials()), ("two".to_owned(), 2));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_closed_over_the_request_is_replaced_once() {
    let vendor = Vendor::new([saying("one"), vec![Act::Close], saying("two")]);
    let rig = Rig::new(&vendor).once();
    assert_eq!((rig.text().await, rig.text().await), ("one".to_owned(), "two".to_owned()));
    assert_eq!((vendor.dials(), vendor.requests().len()), (2, 3));

    let vendor = Vendor::new([saying("one"), vec![Act::Close], vec![Act::Close]]);
    let rig = Rig::new(&vendor).once();
    rig.text().await;
    rig.error().await;
    assert_eq!((vendor.dials(), vendor.requests().len()), (2, 3), "a new connection that is closed is an error");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asked_for_spoils_a_connection() {
    let smuggling = [saying("one"), vec![send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")]].concat();
    let vendor = Vendor::new([smuggling, saying("two")]);
    let rig = Rig::new(&vendor);
    assert_eq!((rig.text().await, rig.text().await), ("one".to_owned(), "two".to_owned()));
    assert_eq!(vendor.dials(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_not_read_to_its_end_leaves_nothing_behind() {
    let vendor = Vendor::new([vec![head(), event(&json!({"text": "a"}))], saying("two")]);
    let rig = Rig::new(&vendor);
    let mut stream = rig.stream().await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    assert_eq!((rig.gateway.idle_connections(), rig.text().await, vendor.dials()), (0, "two".to_owned(), 2));
}

#[tokio::test(start_paused = true)]
async fn idle_connections_have_their_time() {
    for (pause, dials) in [(Duration::from_secs(44), 1), (Duration::from_secs(45), 2)] {
        let vendor = Vendor::new([saying("one"), saying("two")]);
        let rig = Rig::new(&vendor);
        rig.text().await;
        tokio::time::sleep(pause).await;
        rig.text().await;
        assert_eq!(vendor.dials(), dials, "{pause:?}");
    }
    let vendor = Vendor::new((0..22).map(|_| saying("hello")));
    let rig = Rig::new(&vendor);
    for _ in 0..22 {
        rig.text().await;
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    assert_eq!(vendor.dials(), 2, "none is used for longer than ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_connection_leads_to_an_address_that_was_judged_for_the_request() {
    let vendor = Vendor::new((0..3).map(|_| saying("hello")));
    let names = Names::new(&[&[PUBLIC], &[OTHER_PUBLIC], &[OTHER_PUBLIC, PUBLIC], &[PUBLIC, "127.0.0.1"]]);
    let gateway = Gateway::with_transport(GatewayConfig::default(), names.clone(), vendor.pipe.clone()).unwrap();
    let rig = Rig::with_gateway(gateway).once();
    rig.text().await;
    rig.text().await;
    assert_eq!(vendor.dials(), 2, "the name leads elsewhere now");
    rig.text().await;
    assert_eq!(vendor.dials(), 2, "both are fine");
    let error = rig.error().await;
    assert_eq!(error.kind, everwit_runtime::driver::DriverErrorKind::Configuration, "an idle connection is no way around: {error}");
    assert_eq!((names.asked().len(), vendor.requests().len()), (4, 3));
}
