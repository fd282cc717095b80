//! What seeding did.

use everwit_runtime::id::OrgId;
use everwit_runtime::store::SeedKind;

/// What seeding did with a template or with what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeedAction {
    /// The org got it.
    Created,
    /// It was brought up to date with its template.
    Updated,
    /// It was as its template is.
    Unchanged,
    /// The org changed or archived it; it was left alone.
    Kept,
    /// The org has something else of this name; it was left alone.
    NameTaken,
    /// Its template is gone and nothing needs it: it was archived.
    Archived,
    /// Its template is gone, but something needs it or the org changed it: it was left alone.
    LeftBehind,
    /// The platform lacks what it needs; it was not made.
    Skipped,
    /// It became the org's default harness, or ceased to be.
    DefaultChanged,
}

/// One thing that seeding did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedEntry {
    /// Kind of the resource.
    pub kind: SeedKind,
    /// Key of the template.
    pub key: String,
    /// What was done.
    pub action: SeedAction,
    /// Why, for people; may be empty.
    pub detail: String,
}

/// Everything that seeding did in one org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedReport {
    /// The org.
    pub org: OrgId,
    /// In the order in which it was done.
    pub entries: Vec<SeedEntry>,
}

impl SeedReport {
    /// Writes what changed or is remarkable to the log.
    pub(crate) fn log(&self) {
        for SeedEntry { kind, key, action, detail } in &self.entries {
            match action {
                SeedAction::Unchanged => tracing::debug!(org = %self.org, ?kind, key, "seeding changed nothing"),
                SeedAction::NameTaken | SeedAction::LeftBehind | SeedAction::Skipped => {
                    tracing::warn!(org = %self.org, ?kind, key, ?action, detail, "seeding");
                }
                _ => tracing::info!(org = %self.org, ?kind, key, ?action, detail, "seeding"),
            }
        }
    }
}
