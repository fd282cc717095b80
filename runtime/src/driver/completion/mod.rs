//! The path of a completion: request → codec → gateway → frames → codec → events, the same for
//! native codecs and for those of components; and around it, for all drivers, what decides over
//! another try and holds an answer against the rules.

mod discovery;
mod exchange;
mod fixture;
mod framer;
mod guard;
mod line;
mod record;
mod retry;
mod token;

pub use exchange::CodecDriver;
#[cfg(feature = "sandbox")]
pub(crate) use fixture::event_json;
#[cfg(feature = "sandbox")]
pub(crate) use framer::Framer;
pub use framer::MAX_FRAME_BYTES;
pub(super) use line::Line;
pub use record::{ExchangeRecorder, RecordedExchange};
pub use retry::{Started, complete};
pub(super) use token::Tokens;
