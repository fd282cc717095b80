use super::*;
use crate::driver::ProviderMetadata;

const KEY: &str = "key with \"quotes\" & signs";

fn config() -> DriverConfig {
    DriverConfig {
        api_key: Some(KEY.into()),
        base_url: Some("https://vendor.example/v1/".to_owned()),
        metadata: Some(ProviderMetadata { account_id: Some("account-77".to_owned()), ..ProviderMetadata::default() }),
    }
}

fn place(name: &str, place: &str) -> CredentialPlace {
    CredentialPlace { name: name.to_owned(), title: String::new(), place: place.to_owned(), required: true }
}

fn given(places: &[(&str, &str)]) -> (Credentials, wit::DriverConfig) {
    let credentials = places.iter().map(|&(name, at)| place(name, at)).collect();
    Credentials::new(&DriverDescription { credentials, ..DriverDescription::default() }, &config()).expect("nothing is missing")
}

fn request(url: String, headers: &[(&str, String)], body: &str) -> CodecRequest {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    CodecRequest { method: "POST".to_owned(), url, headers, body: body.to_owned().into() }
}

#[test]
fn what_is_named_is_a_placeholder_and_the_rest_is_as_it_is() {
    let (_, config) = given(&[("api-key", "header:x-key")]);
    assert!(config.api_key.as_ref().is_some_and(|key| key.starts_with("everwit_api_key_") && key.len() == 48), "{:?}", config.api_key);
    assert_eq!(config.base_url.as_deref(), Some("https://vendor.example/v1"));
    assert_eq!(config.metadata.and_then(|metadata| metadata.account_id).as_deref(), Some("account-77"));
    let (_, other) = given(&[("api-key", "header:x-key")]);
    assert_ne!(config.api_key, other.api_key, "each completion has its own");
}

#[test]
fn values_are_written_as_their_place_wants_them() {
    let (credentials, config) = given(&[("api-key", "query:key"), ("api-key", "body"), ("api-key", "header:x-key")]);
    let key = config.api_key.expect("there is one");
    let url = format!("https://vendor.example/v1?a=b&key={key}#f");
    let json = [("Content-Type", "application/json; charset=utf-8".to_owned()), ("X-Key", format!("<{key}>"))];
    let sent = credentials.complete(request(url.clone(), &json, &format!("{{\"k\":\"{key}\"}}"))).expect("all are places");
    let parsed = Url::parse(&sent.url).expect("a URL");
    assert_eq!(parsed.query_pairs().find(|(name, _)| name == "key").expect("the parameter").1, KEY);
    assert_eq!(sent.headers[1].1, format!("<{KEY}>"));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&sent.body).expect("JSON")["k"], KEY);
    let form = [("content-type", "application/x-www-form-urlencoded".to_owned())];
    let sent = credentials.complete(request(url.clone(), &form, &format!("a=b&k={key}"))).expect("all are places");
    let pairs: Vec<_> = url::form_urlencoded::parse(&sent.body).collect();
    assert_eq!(pairs[1].1, KEY);
    let plain = [("content-type", "text/plain".to_owned())];
    assert!(credentials.complete(request(url, &plain, &key)).is_err(), "nobody knows how to write it there");
}

#[test]
fn another_place_is_refused() {
    let (credentials, config) = given(&[("api-key", "header:x-key")]);
    let key = config.api_key.expect("there is one");
    let good = "https://vendor.example/v1".to_owned();
    for (what, request) in [
        ("path", request(format!("{good}/{key}"), &[], "")),
        ("path before a query", request(format!("{good}/{key}?a"), &[], "")),
        ("query", request(format!("{good}?key={key}"), &[], "")),
        ("fragment", request(format!("{good}?a#{key}"), &[], "")),
        ("body", request(good.clone(), &[("content-type", "application/json".to_owned())], &format!("\"{key}\""))),
        ("other header", request(good.clone(), &[("x-other", key.clone())], "")),
        ("header name", request(good.clone(), &[(&*key, "a".to_owned())], "")),
        ("method", CodecRequest { method: key.clone(), ..request(good.clone(), &[], "") }),
        ("other host", request("https://evil.example/".to_owned(), &[("x-key", key.clone())], "")),
        ("other scheme", request("http://vendor.example/v1".to_owned(), &[("x-key", key.clone())], "")),
        ("user information", request(format!("https://{key}@vendor.example/v1"), &[], "")),
    ] {
        let error = credentials.complete(request).expect_err(what);
        assert_eq!(error.kind, DriverErrorKind::Internal, "{what}: {error:?}");
        assert!(!error.to_string().contains("key with"), "{what}: {error}");
    }
}

#[test]
fn texts_lose_values_and_placeholders() {
    let (credentials, config) = given(&[("api-key", "header:x-key")]);
    let key = config.api_key.expect("there is one");
    assert_eq!(credentials.scrub(&format!("{KEY} {key} account-77")), "[redacted] [placeholder] [redacted]");
}
