//! A connection provider that asks the user itself: OAuth 2 with PKCE, as a public client.

use everwit_guest::{Result, connection, connection::*, driver::get};

/// Stands for the third party of a test, which puts its own port there.
const ORIGIN: &str = "http://127.0.0.1:65535";

struct Board;

impl ConnectionProvider for Board {
    fn describe() -> Description {
        let client =
            Oauth::client("everwit-public", "http://127.0.0.1:65535/authorize", "http://127.0.0.1:65535/token");
        let oauth = Oauth { scopes: vec!["read".into(), "write".into()], ..client };
        Description::oauth("board", "Board", "1.0.0", "The team's board.", ORIGIN, oauth)
            .place("token", "header:authorization")
    }

    fn begin(credential: &Credential) -> Result<HttpRequest> {
        Ok(get(format!("{ORIGIN}/user")).header("authorization", format!("Bearer {}", credential.token)))
    }

    fn decode(status: u16, body: &[u8]) -> Result<Account> {
        Ok(Account::named(json_of("Board", status, body)?["login"].as_str().unwrap_or_default()))
    }
}

connection! { Board }
