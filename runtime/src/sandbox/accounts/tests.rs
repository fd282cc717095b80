use super::*;
use crate::egress::{EgressRequest, Gateway, GatewayConfig};

/// THREAT[N11]: what no guest of the other tests tries.
#[test]
fn a_placeholder_in_a_body_or_in_the_name_of_a_field_is_misplaced() {
    let placeholder = format!("{PREFIX}{:032x}", 7);
    let (name, value, used) = ("key".to_owned(), "value".into(), Use::Value);
    let (host, place) = ("a.test:80".to_owned(), Place::Header("authorization".to_owned()));
    let opened = Opened { name, placeholder: placeholder.clone(), value, used, host: host.clone(), place };
    let permission = HttpPermission { host, methods: vec!["POST".to_owned()], path_prefix: None, reason: String::new() };
    let grant = Grant { http: vec![permission], ..Grant::default() };
    let gateway = Gateway::new(GatewayConfig::default()).expect("the defaults are valid");
    let put = |field: &str, value: &str, body: String| {
        let (method, url, headers) = ("POST".to_owned(), "http://a.test/".to_owned(), vec![(field.to_owned(), value.to_owned())]);
        let request = EgressRequest { method, url, headers, body: body.into(), ..EgressRequest::default() };
        let mut request = gateway.check("org", &grant, request).expect("it is granted");
        opened.put(&mut request, "http://a.test/", Timestamp::UNIX_EPOCH)
    };
    assert!(put("authorization", &placeholder, String::new()).is_ok());
    for (field, value, body) in [
        ("x", "y", placeholder.clone()),
        ("x", "y", format!("{{\"to\":\"{placeholder}\"}}")),
        ("authorization", placeholder.as_str(), placeholder.clone()),
        (placeholder.as_str(), "y", String::new()),
    ] {
        assert!(matches!(put(field, value, body), Err(Unsent::Misplaced { .. })), "{field}");
    }
}
