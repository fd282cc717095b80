//! The tool calls of an answer, as the planner sees them.

use crate::component::Digest;
use crate::event::RequestKind;
use crate::message::ToolCall;

/// A tool call that has no result yet.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedCall {
    /// Position in the answer that asked for it, from 0.
    pub index: usize,
    /// The call.
    pub call: ToolCall,
    /// Whether it may have been executed already.
    pub claimed: bool,
    /// What it waits for: somebody outside, who has been asked if `requested`.
    pub waits_for: Option<RequestKind>,
    /// Whether the request is in the log.
    pub requested: bool,
    /// Whether a person has refused all calls of its tool before.
    pub rejected: bool,
    /// The connection that it asked for last.
    pub connection: Option<String>,
    /// How often it asked for one.
    pub connection_requests: u32,
}

/// What the events say about a tool call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CallState {
    pub(super) call: ToolCall,
    pub(super) claimed: bool,
    pub(super) in_act: bool,
    pub(super) requested: Option<RequestKind>,
    pub(super) approved: bool,
    pub(super) connection: Option<String>,
    pub(super) connection_requests: u32,
    pub(super) success: Option<bool>,
    /// Of the call with its result.
    pub(super) digest: Option<Digest>,
}

impl CallState {
    pub(super) fn new(call: &ToolCall) -> Self {
        // What the vendor keeps with a call stays in the answer, for the vendor.
        let call = ToolCall { opaque: None, ..call.clone() };
        Self {
            call,
            claimed: false,
            in_act: false,
            requested: None,
            approved: false,
            connection: None,
            connection_requests: 0,
            success: None,
            digest: None,
        }
    }
}
