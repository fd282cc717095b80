//! The egress gateway. No test here opens a connection beyond the loopback interface: most run over
//! pipes inside this process, and where nothing may be dialled, dialling fails the test.

mod hostile;
mod limits;
pub(crate) mod support;
pub(crate) mod tls;
mod wire;

use everwit_runtime::egress::{EgressErrorKind, GatewayConfig};
use support::*;

const DENIED: EgressErrorKind = EgressErrorKind::Denied;

/// Every host that the spellings below can turn into, so that no refusal is the grant's.
const OWN_HOSTS: [&str; 20] = [
    "127.0.0.1:80",
    "127.0.0.53:80",
    "0.0.0.0:80",
    "10.0.0.1:80",
    "192.168.1.1:80",
    "169.254.169.254:80",
    "168.63.129.16:80",
    "255.255.255.255:80",
    "[::]:80",
    "[::1]:80",
    "[::7f00:1]:80",
    "[::ffff:7f00:1]:80",
    "[::ffff:a9fe:a9fe]:80",
    "[64:ff9b::7f00:1]:80",
    "[2002:7f00:1::]:80",
    "[fd00:ec2::254]:80",
    "[fe80::1]:80",
    "localhost:80",
    "localhost.:80",
    "evil.test:80",
];

#[tokio::test]
async fn every_spelling_of_an_own_host_is_refused_without_dialling() {
    let literals = [
        "127.0.0.1",
        "127.0.0.53",
        "2130706433",
        "0x7f000001",
        "0x7F.1",
        "0x7f.0.0.0x1",
        "0177.0.0.1",
        "017700000001",
        "0177.0.0.0x1",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "0",
        "0x0",
        "１２７.０.０.１",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "127．0．0．1",
        "127｡0｡0｡1",
        "%31%32%37.0.0.1",
        "167772161",
        "10.1",
        "192.168.257",
        "2852039166",
        "0xA9FEA9FE",
        "0251.0376.0251.0376",
        "168.63.33040",
        "4294967295",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[0000::0001]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::FFFF:7f00:1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "[fd00:ec2::254]",
        "[fe80::1]",
    ];
    let names = ["localhost", "LOCALHOST.", "ⓛocalhost", "local\u{ad}host", "evil.test"];
    for (host, is_name) in literals.map(|host| (host, false)).into_iter().chain(names.map(|host| (host, true))) {
        let resolver = Names::new(&[&["127.0.0.1"]]);
        let gateway = gateway(resolver.clone(), std::sync::Arc::new(NeverDial));
        let error = refusal(&gateway, &OWN_HOSTS, &format!("http://{host}/")).await;
        assert_fault(&error, DENIED, false);
        assert!(error.message.contains("not reachable from here"), "{host} is refused for its address: {error}");
        assert_eq!(resolver.asked().len(), usize::from(is_name), "{host}");
    }
}

#[tokio::test]
async fn a_spelling_that_hides_the_host_is_invalid() {
    for url in [
        "http://a@127.0.0.1/",
        "http://evil.test:80@127.0.0.1/",
        "http://[fe80::1%25lo]/",
        "http://[::1/",
        "http://127.0.0.1\t/",
        "http://256.0.0.1/",
    ] {
        let resolver = Names::new(&[]);
        let gateway = gateway(resolver.clone(), std::sync::Arc::new(NeverDial));
        assert_fault(&refusal(&gateway, &OWN_HOSTS, url).await, EgressErrorKind::Invalid, false);
        assert_eq!(resolver.asked(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_is_not_granted_is_neither_resolved_nor_dialled() {
    let names = Names::new(&[]);
    let gateway = gateway(names.clone(), std::sync::Arc::new(NeverDial));
    for (url, wanted) in [
        ("https://b.test/x?key=canary", r#"{"http":[{"host":"b.test","methods":["GET"]}]}"#),
        ("https://a.test:8443/", r#"{"http":[{"host":"a.test:8443","methods":["GET"]}]}"#),
        ("http://a.test/", r#"{"http":[{"host":"a.test:80","methods":["GET"]}]}"#),
    ] {
        let error = refusal(&gateway, &["a.test"], url).await;
        assert_fault(&error, DENIED, false);
        assert!(error.message.contains(wanted), "{error}");
        assert!(!error.message.contains("canary"), "{error}");
    }
    assert_eq!(names.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_name_with_one_refused_address_is_refused() {
    for answer in [
        &["127.0.0.1"][..],
        &["169.254.169.254"],
        &["fd00:ec2::254"],
        &["::ffff:93.184.215.14"],
        &[PUBLIC, "10.0.0.1"],
        &["10.0.0.1", PUBLIC],
        &[PUBLIC, OTHER_PUBLIC, PUBLIC, OTHER_PUBLIC, PUBLIC, "::1"],
    ] {
        let names = Names::new(&[answer]);
        let gateway = gateway(names.clone(), std::sync::Arc::new(NeverDial));
        let error = refusal(&gateway, &["a.test:80"], "http://a.test/").await;
        assert_fault(&error, DENIED, false);
        for address in answer {
            assert!(!error.message.contains(address), "the own network is not mapped: {error}");
        }
        assert_eq!(names.asked(), ["a.test"]);
    }
}

#[tokio::test]
async fn the_dialled_address_is_the_judged_one() {
    let names = Names::new(&[&[PUBLIC], &["127.0.0.1"]]);
    let pipe = Pipe::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let gateway = gateway(names.clone(), pipe.clone());
    assert_eq!(fetch(&gateway).await.unwrap().status(), 200);
    assert_eq!(names.asked(), ["a.test"]);
    assert_eq!(pipe.dialled(), ["93.184.215.14:80"]);
    assert_fault(&fetch(&gateway).await.unwrap_err(), DENIED, false);
    assert_eq!(pipe.dialled().len(), 1, "the answer for the second request is refused");
}

#[tokio::test]
async fn the_next_address_is_tried_if_one_refuses() {
    let pipe = Pipe::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").without(OTHER_PUBLIC);
    let names = Names::new(&[&[OTHER_PUBLIC, PUBLIC], &[OTHER_PUBLIC]]);
    let gateway = gateway(names.clone(), pipe.clone());
    assert_eq!(fetch(&gateway).await.unwrap().status(), 200);
    assert_eq!(pipe.dialled(), ["[2606:2800:21f:cb07::1]:80", "93.184.215.14:80"]);
    let error = fetch(&gateway).await.unwrap_err();
    assert_fault(&error, EgressErrorKind::Connect, false);
    assert_eq!(error.message, "no connection to a.test:80: connection refused");
    assert_fault(&fetch(&gateway).await.unwrap_err(), EgressErrorKind::Dns, false);
}

#[tokio::test]
async fn a_redirect_is_a_response_and_following_it_is_judged_again() {
    let target = "http://127.0.0.1:9/latest/meta-data";
    let pipe = Pipe::answering(format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n"));
    let gateway = public(pipe.clone());
    let response = fetch(&gateway).await.unwrap();
    assert_eq!(response.status(), 302);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(location, target);
    assert_fault(&refusal(&gateway, &["a.test:80"], &location).await, DENIED, false);
    assert_fault(&refusal(&gateway, &["127.0.0.1:9"], &location).await, DENIED, false);
    assert_eq!(pipe.dialled(), ["93.184.215.14:80"]);
}

#[tokio::test]
async fn an_operator_opens_single_private_targets() {
    let targets = ["10.0.0.0/24:80", "models.test:80", "169.254.0.0/16:80", "0.0.0.0/0:81", "[fd00::/8]:80"];
    const NOT_ASKED: &str = "::";
    let check = async |url: &str, answer: &str, expect: bool| {
        let config = GatewayConfig { private_targets: targets.map(|target| target.parse().unwrap()).to_vec(), ..GatewayConfig::default() };
        let pipe = Pipe::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let gateway = configured(config, Names::new(&[&[answer]]), pipe.clone());
        let hosts = ["10.0.0.7:80", "10.0.0.7:8080", "10.0.1.7:80", "a.test:80", "a.test:81", "models.test:80", "169.254.169.254:80"];
        let outcome = gateway.send("org", &grant(&hosts), get(url), &mut quota()).await;
        assert_eq!(outcome.is_ok(), expect, "{url} {answer}");
        assert_eq!(pipe.dialled().len(), usize::from(expect), "{url} {answer}");
        assert!(outcome.err().is_none_or(|error| error.kind == DENIED));
    };
    check("http://10.0.0.7/", NOT_ASKED, true).await;
    check("http://10.0.0.7:8080/", NOT_ASKED, false).await;
    check("http://10.0.1.7/", NOT_ASKED, false).await;
    check("http://a.test/", "10.0.0.7", true).await;
    check("http://a.test/", "127.0.0.1", false).await;
    check("http://a.test:81/", "127.0.0.1", true).await;
    check("http://a.test:81/", "169.254.169.254", false).await;
    check("http://a.test:81/", "100.100.100.200", false).await;
    check("http://a.test:81/", "::ffff:10.0.0.7", false).await;
    check("http://a.test/", "fd12::1", true).await;
    check("http://a.test/", "fd00:ec2::254", false).await;
    check("http://models.test/", "192.168.0.1", true).await;
    check("http://models.test/", "168.63.129.16", false).await;
    check("http://169.254.169.254/", NOT_ASKED, false).await;
}
