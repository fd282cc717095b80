//! A driver that takes pieces as they arrive, and takes each for a whole line: its recorded exchange
//! holds only as long as nothing is cut.

use everwit_guest::{Result, driver, driver::*};

#[derive(Default)]
struct Pieces;

impl Driver for Pieces {
    fn describe() -> Description {
        Description::new("driver-pieces", "Pieces", "1.0.0", "Trusts the network to keep lines together.")
    }
    fn begin(&mut self, config: &Config, _: &Request) -> Result<HttpRequest> {
        Ok(driver::get(config.url("/")?))
    }
    fn on_head(&mut self, _: &Head) -> Result<Framing> {
        Ok(Framing::Bytes)
    }
    fn on_bytes(&mut self, piece: &[u8]) -> Result<Vec<Event>> {
        Ok(vec![Event::Text(String::from_utf8_lossy(piece).trim_end().to_owned())])
    }
    fn on_end(&mut self) -> Result<Vec<Event>> {
        Ok(vec![driver::finish("stop")])
    }
}

driver! {
    Pieces,
    exchanges: br#"{"exchanges": [{"name": "a line", "config": {"base_url": "https://a.example"},
        "request": {"model": "m"}, "http": {"method": "GET", "url": "https://a.example/"},
        "response": {"status": 200, "chunks": ["one two\n"]}, "events": [{"text": "one two"}, {"finish": {"reason": "stop"}}]}]}"#,
}
