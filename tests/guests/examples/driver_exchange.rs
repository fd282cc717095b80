//! A driver that tells what its exchange of tokens is answered, or gives a token that is none, and
//! lists more models than any vendor has.

use everwit_guest::{Failure, Result, driver, driver::*, log};

#[derive(Default)]
struct Exchange;

impl Driver for Exchange {
    fn describe() -> Description {
        Description::new("driver-exchange", "Exchange", "1.0.0", "Tells tokens.")
    }
    fn begin(&mut self, config: &Config, _: &Request) -> Result<HttpRequest> {
        Ok(driver::get(config.url("/")?))
    }
    fn on_head(&mut self, _: &Head) -> Result<Framing> {
        Ok(Framing::Sse)
    }
    fn on_end(&mut self) -> Result<Vec<Event>> {
        Err(driver::incomplete())
    }
}

impl ExchangeToken for Exchange {
    fn token_request(config: &Config) -> Result<HttpRequest> {
        Ok(driver::get(config.url("/token")?))
    }
    fn token(_: u16, body: &[u8]) -> Result<Access> {
        let text = String::from_utf8_lossy(body);
        log::warn(format_args!("the answer is {text}"));
        match &*text {
            "long" => Ok(Access { token: "x".repeat(20_000), expires_in_ms: None, refresh_token: None }),
            "empty" => Ok(Access { token: String::new(), expires_in_ms: None, refresh_token: None }),
            _ => Err(Failure::denied("authentication", format!("no use for {text}"))),
        }
    }
}

impl Discover for Exchange {
    fn models_request(config: &Config) -> Result<HttpRequest> {
        Ok(driver::get(config.url("/models")?))
    }
    fn models(_: u16, _: &[u8]) -> Result<Vec<ModelInfo>> {
        let model = |id: u32| ModelInfo {
            id: id.to_string(),
            title: String::new(),
            context_tokens: None,
            output_tokens: None,
            features: Vec::new(),
            extra: Vec::new(),
        };
        Ok((0..10_001).map(model).collect())
    }
}

driver! { Exchange, discovery, token_exchange }
