//! A driver whose frames misbehave, each as the model's name says.

use everwit_guest::{Result, driver, driver::*};

#[derive(Default)]
struct Frames(String);

impl Driver for Frames {
    fn describe() -> Description {
        Description::new("driver-frames", "Frames", "1.0.0", "Misbehaves.")
    }
    fn begin(&mut self, config: &Config, request: &Request) -> Result<HttpRequest> {
        self.0.clone_from(&request.model);
        Ok(driver::get(config.url("/")?))
    }
    fn on_head(&mut self, _: &Head) -> Result<Framing> {
        Ok(Framing::Whole)
    }
    fn on_bytes(&mut self, _: &[u8]) -> Result<Vec<Event>> {
        let text = |bytes: usize| Event::Text("x".repeat(bytes));
        Ok(match self.0.as_str() {
            "loop" => std::iter::repeat_with(|| text(0)).filter(|_| false).collect(),
            "panic" => panic!("the reason"),
            "grow" => vec![text(std::hint::black_box(200) << 20)],
            "endless" => (0..20_000).map(|_| text(0)).collect(),
            "huge" => vec![text(20 << 20)],
            "after-finish" => vec![driver::finish("stop"), text(1)],
            "finish-twice" => vec![driver::finish("stop"), driver::finish("stop")],
            "unknown" => vec![Event::Other(Extension { kind: "audio".into(), body: "{}".into() })],
            "bad-index" => vec![Event::ToolCallEnd(ToolCallEnd { index: 7, opaque: None })],
            "absurd-usage" => vec![Event::Usage(driver::usage(u64::MAX, u64::MAX))],
            _ => vec![text(1)],
        })
    }
    fn on_end(&mut self) -> Result<Vec<Event>> {
        Ok(vec![driver::finish("stop")])
    }
}

driver! { Frames }
