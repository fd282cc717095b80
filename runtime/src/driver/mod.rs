//! Model drivers: code that speaks one chat protocol.
//!
//! A driver translates; the host talks. What a vendor's protocol needs is a [`Codec`], which sees
//! requests and responses as values and has no way to the network; [`CodecDriver`] makes a
//! [`ChatDriver`] of it that sends, frames, times out and cancels the same way for native codecs
//! and for those of components. A driver can also be written by hand; its only way out is the
//! [`DriverContext`] that it is called with.

mod answer;
mod chat;
mod codec;
mod completion;
mod config;
mod context;
mod error;
mod id;
mod keeper;
pub mod llmsim;
pub mod profile;
mod redact;
mod registry;
mod settings;
mod source;

pub use answer::{Answer, MAX_ANSWER_BYTES, MAX_CALLS_PER_ANSWER};
pub use chat::{
    BoxedChatDriver, ChatDriver, ChatEvent, ChatRequest, ChatStream, Finish, OfferedTool, PromptCache, ResponseFormat, ToolChoice,
};
pub use codec::{Access, Codec, CodecRequest, Discovery, Frame, Framing, ModelInfo, Protocol, ResponseHead, TokenExchange};
pub use completion::{CodecDriver, ExchangeRecorder, MAX_FRAME_BYTES, RecordedExchange, Started, complete};
#[cfg(feature = "sandbox")]
pub(crate) use completion::{Framer, event_json};
pub use config::{DriverConfig, ProviderMetadata, ResolvedModel};
pub use context::{DriverContext, DriverHost, ReceiptSlot};
pub use error::{DriverError, DriverErrorKind};
pub use id::{BlankDriverId, DriverId};
pub use keeper::{StoredTokens, TokenKeeper};
pub use registry::{DriverRegistry, RegisterError};
pub use settings::{CompletionTimeouts, DriverSettings, ErrorDisclosure, RetryPolicy, UnknownDisclosure};
pub use source::{DriverSource, FoundDriver};
