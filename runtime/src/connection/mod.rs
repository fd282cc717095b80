//! Connection providers: how a user's account at a third party is connected.

mod registry;

pub use registry::ConnectionProviderRegistry;

/// Says how users connect their accounts at one third party.
pub trait ConnectionProvider: Send + Sync {
    /// Id: `[a-z0-9]+([-_][a-z0-9]+)*`, lower case.
    fn id(&self) -> &str;

    /// Name for people.
    fn name(&self) -> &str;
}
