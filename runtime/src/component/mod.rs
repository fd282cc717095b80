//! Components as data: what one says about itself, what it asks for, what it is granted, and
//! what a call of it used. No engine here; see [`crate::sandbox`].

mod description;
mod diff;
mod digest;
mod exchange;
mod grant;
mod receipt;
mod signature;
mod version;

pub use description::{
    CREDENTIALS, ComponentDescription, ComponentKind, ConnectionDescription, ConnectionMethodDescription, CredentialPlace,
    DriverDescription, DriverModel, Effects, FileAccess, HttpPermission, OAuthDescription, Permissions, SecretPermission, ToolDescription,
};
pub use diff::{Change, Difference, VersionDiff, changed_text};
pub use digest::Digest;
pub use exchange::{
    MAX_EXCHANGES, MAX_RECORDED_BODY_BYTES, RecordedChunk, RecordedConfig, RecordedExchange, RecordedExchanges, RecordedFormat,
    RecordedHttp, RecordedMessage, RecordedRequest, RecordedResponse, RecordedTool, ReplayedExchange,
};
pub use grant::{Grant, GrantError, HttpRequestParts};
pub use receipt::{CallUsage, NestedCall, Receipt};
pub use signature::{Judgement, MAX_TRUSTED_KEYS, SignaturePolicy, SignatureSettings, SigningKey, TrustedKey, Unsigned, is_signature};
pub use version::{Component, ComponentVersion};
