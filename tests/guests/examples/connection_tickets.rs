//! A connection provider: an API key and a workspace, tried out at `/user`.

use everwit_guest::{Result, connection, connection::*, driver::get};

/// Stands for the third party of a test, which puts its own port there.
const ORIGIN: &str = "http://127.0.0.1:65535";

struct Tickets;

impl ConnectionProvider for Tickets {
    fn describe() -> Description {
        Description::form("tickets", "Tickets", "1.0.0", "The team's tickets.", ORIGIN)
            .field(Field::text("workspace", "Workspace"))
            .place("token", "header:authorization")
    }

    fn begin(credential: &Credential) -> Result<HttpRequest> {
        let url = format!("{ORIGIN}/user?workspace={}", credential.field("workspace").unwrap_or("main"));
        Ok(get(url).header("authorization", format!("Bearer {}", credential.token)))
    }

    fn decode(status: u16, body: &[u8]) -> Result<Account> {
        let answer = json_of("Tickets", status, body)?;
        Ok(Account::named(answer["login"].as_str().unwrap_or_default()))
    }
}

connection! { Tickets }
