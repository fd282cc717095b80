//! The path of a completion: request → codec → gateway → frames → codec → events. The same for
//! native codecs and for those of components.

mod discovery;
mod exchange;
mod framer;

pub use exchange::CodecDriver;
pub(crate) use framer::Framer;
