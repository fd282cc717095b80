//! Where a database is, who asks, and how the way there is protected.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use crate::store::{StoreError, StoreResult};

/// Where PostgreSQL listens by default.
const DEFAULT_PORT: u16 = 5432;

/// The address of a database, `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. Its `Debug` form has
/// no password.
///
/// Host, user and database must be named: what PostgreSQL's own clients take from variables and
/// files of the user is not read. Special characters are written as `%XX`; a host that begins with
/// a slash, as in `%2Frun%2Fpostgresql`, is the directory of a socket. Parameters:
///
/// - `sslmode`: `disable`, `prefer`, `require`, `verify-ca` or `verify-full`. Default: the
///   connection to another machine is encrypted, to a certificate in its name (`verify-full`); that
///   within this machine is encrypted if the server can (`prefer`).
/// - `sslrootcert=FILE`: authorities that vouch for the certificate, in place of the public ones.
/// - `sslcert=FILE`, `sslkey=FILE`: the client's own certificate and key.
#[derive(Clone)]
pub struct PostgresUrl(PgConnectOptions);

impl PostgresUrl {
    pub(super) fn options(&self) -> PgConnectOptions {
        self.0.clone()
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresUrl(")?;
        fmt::Display::fmt(self, f)?;
        f.write_str(")")
    }
}

/// Without the password.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(options) = self;
        let database = options.get_database().unwrap_or_default();
        match options.get_socket() {
            Some(socket) => write!(f, "the database {database} of {} behind {}", options.get_username(), socket.display()),
            None => write!(f, "postgres://{}@{}:{}/{database}", options.get_username(), options.get_host(), options.get_port()),
        }
    }
}

impl FromStr for PostgresUrl {
    type Err = StoreError;

    /// # Errors
    /// `Invalid` with what is missing or wrong. The text is not quoted: it has a password in it.
    fn from_str(text: &str) -> StoreResult<Self> {
        parse(text).map(Self).map_err(|problem| {
            StoreError::Invalid(format!("the database URL {problem}; its form is postgres://USER:PASSWORD@HOST:PORT/DATABASE"))
        })
    }
}

fn parse(text: &str) -> Result<PgConnectOptions, String> {
    let url = Url::parse(text).map_err(|error| format!("cannot be read: {error}"))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(format!("begins with {:?}", url.scheme()));
    }
    let named = |what: &str, text: &str| {
        let text = decoded(text).ok_or_else(|| format!("has a {what} that is not UTF-8"))?;
        if text.is_empty() { Err(format!("names no {what}")) } else { Ok(text) }
    };
    let user = named("user", url.username())?;
    let database = named("database", url.path().trim_start_matches('/'))?;
    // An empty password takes the place of one that the environment may have.
    let password = decoded(url.password().unwrap_or_default()).ok_or("has a password that is not UTF-8")?;
    let mut options = PgConnectOptions::new_without_pgpass()
        .username(&user)
        .password(&password)
        .database(&database)
        .port(url.port().unwrap_or(DEFAULT_PORT));
    // An IPv6 address has brackets in a URL only.
    let host = named("host", url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']'))?;
    let mut mode = None;
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "sslmode" => mode = Some(value.parse().map_err(|_| format!("has no sslmode {value:?}"))?),
            "sslrootcert" => options = options.ssl_root_cert(value.as_ref()),
            "sslcert" => options = options.ssl_client_cert(value.as_ref()),
            "sslkey" => options = options.ssl_client_key(value.as_ref()),
            _ => {
                return Err(format!("has the parameter {name:?}, which is none of sslmode, sslrootcert, sslcert, sslkey"));
            }
        }
    }
    let default = if is_this_machine(&host) { PgSslMode::Prefer } else { PgSslMode::VerifyFull };
    let options = options.ssl_mode(mode.unwrap_or(default));
    Ok(if host.starts_with('/') { options.socket(host) } else { options.host(&host) })
}

/// What a part of a URL stands for; none if that is not UTF-8.
fn decoded(part: &str) -> Option<String> {
    percent_decode_str(part).decode_utf8().ok().map(|text| text.into_owned())
}

/// Whether a connection to the host never leaves the machine.
fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.starts_with('/') || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> PgConnectOptions {
        PostgresUrl::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}")).0
    }

    #[test]
    fn names_everything_itself() {
        let options = parsed("postgres://j%40ne:s%2Bcr+t%25@db.example:6543/ever%20wit");
        assert_eq!((options.get_username(), options.get_host(), options.get_port()), ("j@ne", "db.example", 6543));
        assert_eq!(options.get_database(), Some("ever wit"));
        assert_eq!(parsed("postgresql://u@h/d").get_port(), 5432);
        assert_eq!(parsed("postgres://u@%2Frun%2Fpostgresql/d").get_socket(), Some(&"/run/postgresql".into()));
    }

    #[test]
    fn what_leaves_the_machine_is_verified_unless_the_url_says_otherwise() {
        let mode = |text: &str| format!("{:?}", parsed(text).get_ssl_mode());
        for here in ["localhost", "127.0.0.1", "[::1]"] {
            assert_eq!(mode(&format!("postgres://u@{here}/d")), "Prefer", "{here}");
        }
        assert_eq!(mode("postgres://u@%2Frun/d"), "Prefer");
        for there in ["10.0.0.1", "db.example", "localhost.example"] {
            assert_eq!(mode(&format!("postgres://u@{there}/d")), "VerifyFull", "{there}");
        }
        assert_eq!(mode("postgres://u@db.example/d?sslmode=require"), "Require");
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_never_the_password() {
        for (text, expected) in [
            ("mysql://u:secret@h/d", "begins with \"mysql\""),
            ("postgres://:secret@h/d", "names no user"),
            ("postgres://u:secret@h", "names no database"),
            ("postgres://u:secret@/d", "empty host"),
            ("postgres://u:secret@h/d?sslmode=maybe", "no sslmode \"maybe\""),
            ("postgres://u:secret@h/d?passfile=x", "the parameter \"passfile\""),
            ("postgres://u:secret@h:port/d", "cannot be read"),
            ("secret", "cannot be read"),
        ] {
            let error = PostgresUrl::from_str(text).expect_err(text).to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
        }
        let url = PostgresUrl::from_str("postgres://u:secret@h/d").expect("a URL");
        assert_eq!(format!("{url:?} {url}"), "PostgresUrl(postgres://u@h:5432/d) postgres://u@h:5432/d");
    }
}
