//! Values on their way into the database and out of it. Nothing that is read is trusted: a
//! value that does not parse is `Corrupt` and names its table, column and row.

use std::fmt::Display;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{Decode, Row, Type};
use uuid::Uuid;

pub(super) use super::dialect::key;
use super::dialect::{Flag, Key, truth, uuid};
use super::{Database, DbRow};
use crate::capability::RiskLevel;
use crate::component::ComponentKind;
use crate::harness::ResourceStatus;
use crate::provider::{ModelSource, ProviderStatus};
use crate::session::SessionStatus;
use crate::store::{Role, Scope, StoreError, StoreResult, TurnEnd};

/// A count or version as it is stored.
pub(super) fn integer(value: u64) -> StoreResult<i64> {
    i64::try_from(value).map_err(|_| StoreError::Limit(format!("{value} is more than the database can count to ({})", i64::MAX)))
}

/// JSON text of a value.
pub(super) fn json(value: &impl Serialize) -> StoreResult<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(format!("a value cannot be written as JSON: {error}")))
}

/// An enum that is stored as a word.
pub(super) trait Word: Sized + 'static {
    /// All values.
    const ALL: &'static [Self];

    /// The word of a value.
    fn word(&self) -> &'static str;
}

impl Word for ResourceStatus {
    const ALL: &'static [Self] = &[Self::Active, Self::Archived];

    fn word(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Archived => "archived",
        }
    }
}

impl Word for SessionStatus {
    const ALL: &'static [Self] = &[Self::Started, Self::Active, Self::WaitingForToolResults, Self::Paused, Self::Idle];

    fn word(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Active => "active",
            Self::WaitingForToolResults => "waiting_for_tool_results",
            Self::Paused => "paused",
            Self::Idle => "idle",
        }
    }
}

impl Word for ComponentKind {
    const ALL: &'static [Self] = &[Self::Capability, Self::Driver, Self::ConnectionProvider];

    fn word(&self) -> &'static str {
        self.as_str()
    }
}

impl Word for ProviderStatus {
    const ALL: &'static [Self] = &[Self::Active, Self::Disabled];

    fn word(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

impl Word for ModelSource {
    const ALL: &'static [Self] = &[Self::Manual, Self::Discovered, Self::Predefined];

    fn word(&self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Discovered => "discovered",
            Self::Predefined => "predefined",
        }
    }
}

impl Word for RiskLevel {
    const ALL: &'static [Self] = &[Self::Low, Self::Medium, Self::High];

    fn word(&self) -> &'static str {
        self.as_str()
    }
}

impl Word for Role {
    const ALL: &'static [Self] = &[Self::Member, Self::Admin, Self::Owner];

    fn word(&self) -> &'static str {
        self.as_str()
    }
}

impl Word for Scope {
    const ALL: &'static [Self] = &[Self::Read, Self::Write, Self::Admin, Self::Operator];

    fn word(&self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Operator => "operator",
        }
    }
}

impl Word for TurnEnd {
    const ALL: &'static [Self] = &[Self::Completed, Self::Failed, Self::Cancelled, Self::Sealed, Self::Merged];

    fn word(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Sealed => "sealed",
            Self::Merged => "merged",
        }
    }
}

/// A row that was read, with what is needed to say where it is.
pub(super) struct Stored<'r> {
    row: &'r DbRow,
    table: &'static str,
    keys: &'static [&'static str],
}

impl<'r> Stored<'r> {
    /// A row of `table` that the selected columns `keys` identify within its org.
    pub(super) fn new(row: &'r DbRow, table: &'static str, keys: &'static [&'static str]) -> Self {
        Self { row, table, keys }
    }

    /// A value that may be null.
    pub(super) fn optional<T>(&self, column: &'static str) -> StoreResult<Option<T>>
    where
        T: Decode<'r, Database> + Type<Database>,
    {
        self.row.try_get(column).map_err(|error| self.corrupt(column, error))
    }

    /// A value. A null is refused here, because the driver reads it as zero or empty.
    pub(super) fn required<T>(&self, column: &'static str) -> StoreResult<T>
    where
        T: Decode<'r, Database> + Type<Database>,
    {
        self.optional(column)?.ok_or_else(|| self.corrupt(column, "it is null"))
    }

    /// An id, for example with [`crate::id::SessionId::from_uuid`].
    pub(super) fn id<T>(&self, column: &'static str, from: fn(Uuid) -> T) -> StoreResult<T> {
        self.optional_id(column, from)?.ok_or_else(|| self.corrupt(column, "it is null"))
    }

    /// An id or null.
    pub(super) fn optional_id<T>(&self, column: &'static str, from: fn(Uuid) -> T) -> StoreResult<Option<T>> {
        let Some(key) = self.optional::<Key>(column)? else { return Ok(None) };
        uuid(key).map(|uuid| Some(from(uuid))).map_err(|error| self.corrupt(column, error))
    }

    /// A time.
    pub(super) fn time(&self, column: &'static str) -> StoreResult<Timestamp> {
        self.optional_time(column)?.ok_or_else(|| self.corrupt(column, "it is null"))
    }

    /// A time or null.
    pub(super) fn optional_time(&self, column: &'static str) -> StoreResult<Option<Timestamp>> {
        let Some(micros) = self.optional::<i64>(column)? else { return Ok(None) };
        Timestamp::from_microsecond(micros).map(Some).map_err(|error| self.corrupt(column, error))
    }

    /// A number that is never negative and fits `T`.
    pub(super) fn number<T: TryFrom<i64, Error: Display>>(&self, column: &'static str) -> StoreResult<T> {
        self.optional_number(column)?.ok_or_else(|| self.corrupt(column, "it is null"))
    }

    /// Such a number or null.
    pub(super) fn optional_number<T: TryFrom<i64, Error: Display>>(&self, column: &'static str) -> StoreResult<Option<T>> {
        let Some(number) = self.optional::<i64>(column)? else { return Ok(None) };
        T::try_from(number).map(Some).map_err(|error| self.corrupt(column, format!("{number}: {error}")))
    }

    /// True or false.
    pub(super) fn flag(&self, column: &'static str) -> StoreResult<bool> {
        truth(self.required::<Flag>(column)?).map_err(|error| self.corrupt(column, error))
    }

    /// JSON.
    pub(super) fn json<T: DeserializeOwned>(&self, column: &'static str) -> StoreResult<T> {
        serde_json::from_str(self.required::<&str>(column)?).map_err(|error| self.corrupt(column, error))
    }

    /// JSON or null.
    pub(super) fn optional_json<T: DeserializeOwned>(&self, column: &'static str) -> StoreResult<Option<T>> {
        let Some(text) = self.optional::<&str>(column)? else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|error| self.corrupt(column, error))
    }

    /// An enum.
    pub(super) fn word<T: Word + Copy>(&self, column: &'static str) -> StoreResult<T> {
        let stored = self.required::<&str>(column)?;
        let known = T::ALL.iter().find(|value| value.word() == stored);
        known.copied().ok_or_else(|| self.corrupt(column, format!("{stored:?} is not a known value")))
    }

    /// Text that parses.
    pub(super) fn parsed<T: std::str::FromStr<Err: Display>>(&self, column: &'static str) -> StoreResult<T> {
        self.required::<&str>(column)?.parse().map_err(|error| self.corrupt(column, error))
    }

    /// Says that a column of this row cannot be read. `reason` must not quote the value of a
    /// secret or of a payload.
    pub(super) fn corrupt(&self, column: &str, reason: impl Display) -> StoreError {
        let row: Vec<String> = self.keys.iter().map(|key| format!("{key} {}", self.key_text(key))).collect();
        StoreError::Corrupt(format!("{}.{column} in the row with {}: {reason}", self.table, row.join(", ")))
    }

    /// A key column as it can be typed into a query, whatever its type is.
    fn key_text(&self, column: &str) -> String {
        if let Ok(number) = self.row.try_get::<i64, _>(column) {
            return number.to_string();
        }
        if let Ok(text) = self.row.try_get::<&str, _>(column) {
            return format!("{text:?}");
        }
        if let Ok(Ok(id)) = self.row.try_get::<Key, _>(column).map(uuid) {
            return id.simple().to_string();
        }
        match self.row.try_get::<&[u8], _>(column) {
            Ok(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            Err(_) => "unreadable".to_owned(),
        }
    }
}
