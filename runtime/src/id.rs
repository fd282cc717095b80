//! Typed ids: a prefix and the 32 hex digits of a UUIDv7, so that ids sort by creation time
//! and say what they identify.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::{ContextV7, Timestamp, Uuid};

use crate::clock::{Clock, SystemClock};

/// Text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {expected} id: expected \"{expected}_\" and 32 lower-case hex digits")]
pub struct ParseIdError {
    /// The prefix that the id should have, without the underscore.
    pub expected: &'static str,
    /// What was given, cut to 80 characters.
    pub text: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Prefix of the text form, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps a UUID; it should be version 7 so that ids sort by time.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse(text, $prefix).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some(concat!("^", $prefix, "_[0-9a-f]{32}$")))
                    .build()
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}
    )*};
}

ids! {
    /// A tenant.
    OrgId = "org";
    /// An API key (not its secret).
    KeyId = "key";
    /// Id of a member of an org.
    MemberId = "member";
    /// A process that runs turns, from its start to its end.
    WorkerId = "worker";
    /// An entry of an audit log.
    AuditEntryId = "audit";
    /// A budget.
    BudgetId = "budget";
    /// An amount of a budget that is set aside.
    ReservationId = "reservation";
    /// An amount that a budget was topped up by.
    TopUpId = "topup";
    /// A harness.
    HarnessId = "harness";
    /// An agent.
    AgentId = "agent";
    /// A session.
    SessionId = "session";
    /// A turn.
    TurnId = "turn";
    /// A message.
    MessageId = "message";
    /// An event.
    EventId = "event";
    /// An uploaded component.
    ComponentId = "component";
    /// A configured account at a model vendor.
    ProviderId = "provider";
    /// A model at a provider.
    ModelId = "model";
}

fn parse(text: &str, expected: &'static str) -> Result<Uuid, ParseIdError> {
    let refused = || ParseIdError { expected, text: text.chars().take(80).collect() };
    let digits = text.strip_prefix(expected).and_then(|rest| rest.strip_prefix('_')).ok_or_else(refused)?;
    let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != 32 || !digits.bytes().all(lower_hex) {
        return Err(refused());
    }
    Uuid::try_parse(digits).map_err(|_| refused())
}

/// Source of new ids; injected so that tests can make them predictable.
pub trait IdSource: Send + Sync {
    /// A new UUID, version 7, greater than all earlier ones of this process.
    fn next(&self) -> Uuid;
}

/// UUIDv7 from a clock and the system's randomness. Within one millisecond a counter orders them.
pub struct RandomIds {
    clock: Arc<dyn Clock>,
    counter: Mutex<ContextV7>,
}

impl RandomIds {
    /// Takes the time of the ids from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, counter: Mutex::new(ContextV7::new()) }
    }
}

impl IdSource for RandomIds {
    fn next(&self) -> Uuid {
        let now = self.clock.now();
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        let counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(Timestamp::from_unix(&*counter, seconds, nanos))
    }
}

/// An id for a value that is made outside of any runtime, and so without one's source of ids.
pub(crate) fn fresh() -> Uuid {
    static IDS: LazyLock<RandomIds> = LazyLock::new(|| RandomIds::new(Arc::new(SystemClock)));
    IDS.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_round_trips_through_its_text() {
        let id = SessionId::from_uuid(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001));
        assert_eq!(id.to_string(), "session_01920000000070008000000000000001");
        assert_eq!(id.to_string().parse::<SessionId>(), Ok(id));
    }

    #[test]
    fn ids_of_one_moment_are_in_order() {
        struct Stopped;
        impl Clock for Stopped {
            fn now(&self) -> jiff::Timestamp {
                jiff::Timestamp::UNIX_EPOCH
            }
        }
        let ids = RandomIds::new(Arc::new(Stopped));
        let made: Vec<Uuid> = (0..1_000).map(|_| ids.next()).collect();
        assert!(made.is_sorted_by(|earlier, later| earlier < later));
    }

    #[test]
    fn another_kind_upper_case_or_a_short_id_is_refused() {
        for text in [
            "agent_01920000000070008000000000000001",
            "session_0192000000007000800000000000000A",
            "session_0192",
            "session01920000000070008000000000000001",
            "",
        ] {
            assert!(text.parse::<SessionId>().is_err(), "{text}");
        }
    }
}
