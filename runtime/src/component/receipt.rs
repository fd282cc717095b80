//! Receipts: what a guest call used.

use serde::{Deserialize, Serialize};

use super::Digest;

/// What one guest call used, and who was called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// Capability id of the component.
    pub component: String,
    /// Version number within its org; none for a component that was never uploaded, as in
    /// `everwit call`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Digest of the component's bytes.
    pub digest: Digest,
    /// What it used, without the tools that it called.
    #[serde(flatten)]
    pub usage: CallUsage,
    /// Calls of other tools from within it, in the order in which they were made, each followed by those within it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<NestedCall>,
}

/// A call of another tool from within a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NestedCall {
    /// The tool, as `capability/tool`.
    pub tool: String,
    /// Version of its component; none if it is native, or was never uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Whether it returned a result.
    pub success: bool,
    /// Class of the failure, or the limit that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<String>,
    /// Fuel that it used itself; 0 if it is native.
    pub fuel: u64,
    /// How long it took, in microseconds, with what it called.
    pub micros: u64,
}

impl CallUsage {
    /// What two calls used together: everything added up, but memory, of which the larger peak counts.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            fuel: self.fuel.saturating_add(other.fuel),
            fuel_limit: self.fuel_limit.saturating_add(other.fuel_limit),
            peak_memory_bytes: self.peak_memory_bytes.max(other.peak_memory_bytes),
            guest_micros: self.guest_micros.saturating_add(other.guest_micros),
            host_micros: self.host_micros.saturating_add(other.host_micros),
            host_calls: self.host_calls.saturating_add(other.host_calls),
            bytes_in: self.bytes_in.saturating_add(other.bytes_in),
            bytes_out: self.bytes_out.saturating_add(other.bytes_out),
            http_requests: self.http_requests.saturating_add(other.http_requests),
        }
    }
}

/// What a call used. Exact for a call that returned; a call that was stopped is billed its
/// whole fuel budget, because the engine does not flush its count on every trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallUsage {
    /// Fuel: executed operators plus the charge for host work.
    pub fuel: u64,
    /// Fuel limit of the call.
    pub fuel_limit: u64,
    /// Largest sum of all linear memories and tables, in bytes.
    pub peak_memory_bytes: u64,
    /// Time spent in guest code, instantiation included, in microseconds.
    pub guest_micros: u64,
    /// Time spent in the host on the guest's behalf, waiting included, in microseconds.
    pub host_micros: u64,
    /// How many host functions were called.
    pub host_calls: u64,
    /// Bytes that crossed into the guest: arguments and what host functions returned.
    pub bytes_in: u64,
    /// Bytes that crossed out of the guest: results and what host functions were given.
    pub bytes_out: u64,
    /// HTTP requests that left.
    pub http_requests: u32,
}
