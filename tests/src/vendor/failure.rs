//! What vendors answer when they do not answer.

/// A refusal or outage, worded by each [`super::Wire`] as its vendor does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The credential is wrong.
    Unauthorized,
    /// The credential is right and may not do this.
    Forbidden,
    /// There is no such model.
    UnknownModel,
    /// Too many requests; try again after so many seconds, if the vendor says.
    RateLimited(Option<u32>),
    /// The account has no quota or credit left.
    QuotaExhausted,
    /// The conversation does not fit the model.
    ContextTooLong,
    /// The request is wrong, with the reason.
    Invalid(String),
    /// The vendor has a defect.
    ServerError,
    /// The vendor has too much to do.
    Overloaded,
}
