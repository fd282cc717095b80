//! Orgs, their API keys and the secrets of the installation.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use super::MemoryStore;
use crate::capability::RiskLevel;
use crate::component::SignatureSettings;
use crate::id::{KeyId, MemberId, OrgId};
use crate::store::rules::{DEFAULT_ORG_NAME, check_keys, check_members, check_owners, page_limit, whole_micros};
use crate::store::{ApiKey, AuditEntry, FoundKey, Listing, Member, MemberStore, Org, OrgStore, Page, Role, StoreError, StoreResult};

/// What belongs to the installation rather than to one org.
#[derive(Default)]
pub(super) struct Orgs {
    /// In order of creation.
    orgs: Vec<Org>,
    /// In order of creation.
    keys: Vec<ApiKey>,
    /// In order of their addition.
    members: Vec<(OrgId, Member)>,
    secrets: HashMap<String, SecretString>,
    /// In the order in which they were added.
    audit: Vec<(OrgId, AuditEntry)>,
}

impl Orgs {
    fn find(&self, name: &str) -> Option<OrgId> {
        self.orgs.iter().find(|org| org.name == name).map(|org| org.id)
    }

    pub(super) fn list(&self) -> &[Org] {
        &self.orgs
    }

    pub(super) fn get(&self, id: OrgId) -> Option<&Org> {
        self.orgs.iter().find(|org| org.id == id)
    }

    pub(super) fn get_mut(&mut self, id: OrgId) -> Option<&mut Org> {
        self.orgs.iter_mut().find(|org| org.id == id)
    }

    /// `NotFound` if there is no such org.
    pub(super) fn check(&self, id: OrgId) -> StoreResult<()> {
        self.get(id).map(|_| ()).ok_or_else(|| StoreError::NotFound { what: "org", id: id.to_string() })
    }

    fn member(&self, org: OrgId, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|(owner, member)| (*owner, member.id) == (org, id)).map(|(_, member)| member)
    }

    fn owners(&self, org: OrgId) -> usize {
        self.members.iter().filter(|(owner, member)| *owner == org && member.role == Role::Owner).count()
    }

    fn add(&mut self, id: OrgId, name: &str, now: Timestamp) -> StoreResult<()> {
        if self.get(id).is_some() {
            return Err(StoreError::Duplicate { what: "org", id: id.to_string() });
        }
        if self.find(name).is_some() {
            return Err(StoreError::Duplicate { what: "org", id: name.to_owned() });
        }
        let now = whole_micros(now);
        self.orgs.push(Org {
            id,
            name: name.to_owned(),
            base_harness_id: None,
            default_harness_id: None,
            default_is_seeded: false,
            signatures: SignatureSettings::default(),
            max_risk: RiskLevel::High,
            version: 1,
            created_at: now,
            updated_at: now,
        });
        Ok(())
    }
}

#[async_trait]
impl OrgStore for MemoryStore {
    async fn default_org(&self, id: OrgId, now: Timestamp) -> StoreResult<OrgId> {
        let orgs = &mut self.lock().orgs;
        if let Some(known) = orgs.find(DEFAULT_ORG_NAME) {
            return Ok(known);
        }
        orgs.add(id, DEFAULT_ORG_NAME, now)?;
        Ok(id)
    }

    async fn add_org(&self, id: OrgId, name: &str, now: Timestamp) -> StoreResult<()> {
        self.lock().orgs.add(id, name, now)
    }

    async fn add_key(&self, key: ApiKey) -> StoreResult<()> {
        let orgs = &mut self.lock().orgs;
        orgs.check(key.org)?;
        let taken = |other: &ApiKey| other.secret_hash == key.secret_hash || (other.org, other.id) == (key.org, key.id);
        if orgs.keys.iter().any(taken) {
            return Err(StoreError::Duplicate { what: "API key", id: key.id.to_string() });
        }
        if let Some(member) = key.member {
            orgs.member(key.org, member).ok_or_else(|| StoreError::NotFound { what: "member", id: member.to_string() })?;
        }
        check_keys(orgs.keys.iter().filter(|other| (other.org, other.member) == (key.org, key.member)).count())?;
        orgs.keys.push(ApiKey { created_at: whole_micros(key.created_at), ..key });
        Ok(())
    }

    async fn find_key(&self, secret_hash: &[u8; 32]) -> StoreResult<Option<FoundKey>> {
        let orgs = &self.lock().orgs;
        let found = orgs.keys.iter().find(|key| &key.secret_hash == secret_hash).cloned();
        Ok(found.map(|key| FoundKey { role: key.member.and_then(|member| orgs.member(key.org, member)).map(|member| member.role), key }))
    }

    async fn has_keys(&self) -> StoreResult<bool> {
        Ok(!self.lock().orgs.keys.is_empty())
    }

    async fn list_keys(&self, org: OrgId) -> StoreResult<Vec<ApiKey>> {
        Ok(self.lock().orgs.keys.iter().filter(|key| key.org == org).cloned().collect())
    }

    async fn remove_key(&self, org: OrgId, id: KeyId) -> StoreResult<bool> {
        let keys = &mut self.lock().orgs.keys;
        let before = keys.len();
        keys.retain(|key| (key.org, key.id) != (org, id));
        Ok(keys.len() < before)
    }

    async fn add_audit_entry(&self, org: OrgId, entry: AuditEntry) -> StoreResult<()> {
        let orgs = &mut self.lock().orgs;
        orgs.check(org)?;
        if orgs.audit.iter().any(|(owner, other)| (*owner, other.id) == (org, entry.id)) {
            return Err(StoreError::Duplicate { what: "audit entry", id: entry.id.to_string() });
        }
        orgs.audit.push((org, AuditEntry { at: whole_micros(entry.at), ..entry }));
        Ok(())
    }

    async fn list_audit_entries(&self, org: OrgId, page: Page) -> StoreResult<Listing<AuditEntry>> {
        let orgs = &self.lock().orgs;
        let own = || orgs.audit.iter().rev().filter(|(owner, _)| *owner == org).map(|(_, entry)| entry);
        let items = own().skip(page.offset as usize).take(page_limit(page) as usize).cloned().collect();
        Ok(Listing { items, total: own().count() as u64 })
    }

    async fn installation_secret(&self, name: &str, value: SecretString) -> StoreResult<SecretString> {
        Ok(self.lock().orgs.secrets.entry(name.to_owned()).or_insert(value).clone())
    }
}

#[async_trait]
impl MemberStore for MemoryStore {
    async fn add_member(&self, org: OrgId, member: Member) -> StoreResult<()> {
        let orgs = &mut self.lock().orgs;
        orgs.check(org)?;
        if orgs.member(org, member.id).is_some() {
            return Err(StoreError::Duplicate { what: "member", id: member.id.to_string() });
        }
        check_members(orgs.members.iter().filter(|(owner, _)| *owner == org).count())?;
        let (created_at, updated_at) = (whole_micros(member.created_at), whole_micros(member.updated_at));
        orgs.members.push((org, Member { created_at, updated_at, ..member }));
        Ok(())
    }

    async fn get_member(&self, org: OrgId, id: MemberId) -> StoreResult<Option<Member>> {
        Ok(self.lock().orgs.member(org, id).cloned())
    }

    async fn list_members(&self, org: OrgId, page: Page) -> StoreResult<Listing<Member>> {
        let orgs = &self.lock().orgs;
        let own = || orgs.members.iter().filter(|(owner, _)| *owner == org).map(|(_, member)| member);
        let items = own().skip(page.offset as usize).take(page_limit(page) as usize).cloned().collect();
        Ok(Listing { items, total: own().count() as u64 })
    }

    async fn update_member(&self, org: OrgId, changed: Member) -> StoreResult<()> {
        let orgs = &mut self.lock().orgs;
        let owners = orgs.owners(org);
        let stored = orgs.members.iter_mut().find(|(owner, member)| (*owner, member.id) == (org, changed.id));
        let (_, stored) = stored.ok_or_else(|| StoreError::NotFound { what: "member", id: changed.id.to_string() })?;
        if stored.version + 1 != changed.version {
            return Err(StoreError::Stale { what: "member", id: changed.id.to_string() });
        }
        check_owners(changed.id, stored.role, Some(changed.role), owners)?;
        *stored = Member { created_at: stored.created_at, updated_at: whole_micros(changed.updated_at), ..changed };
        Ok(())
    }

    async fn remove_member(&self, org: OrgId, id: MemberId) -> StoreResult<bool> {
        let orgs = &mut self.lock().orgs;
        let Some(role) = orgs.member(org, id).map(|member| member.role) else { return Ok(false) };
        check_owners(id, role, None, orgs.owners(org))?;
        orgs.members.retain(|(owner, member)| (*owner, member.id) != (org, id));
        orgs.keys.retain(|key| (key.org, key.member) != (org, Some(id)));
        Ok(true)
    }
}
