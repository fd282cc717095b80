//! What an org's settings make of a component's signature.

use axum::http::HeaderMap;
use everwit_runtime::component::{Digest, Judgement, SignatureSettings, Unsigned, is_signature};
use everwit_runtime::id::OrgId;

use crate::api::App;
use crate::components::{Check, CheckOutcome, CheckResult, ComponentFinding};
use crate::problem::Problem;

/// The header of an upload that has its signature. It is a header because the body is what is signed, in
/// whichever form it is sent, and because addresses end up in logs.
const SIGNATURE: &str = "component-signature";

/// The signature that came with an upload, if one did.
///
/// # Errors
/// 400 for a header that is no signature, whatever the org's policy: it would be kept with the version.
pub(super) fn sent(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(SIGNATURE) else { return Ok(None) };
    match value.to_str().map(str::trim) {
        Ok(text) if is_signature(text) => Ok(Some(text.to_owned())),
        _ => Err(Problem::bad_request("invalid_header", "Component-Signature must be 64 bytes in base64; everwit push --sign makes it")),
    }
}

/// What the org says about signatures.
pub(super) async fn settings(app: &App, org: OrgId) -> Result<SignatureSettings, Problem> {
    Ok(app.stores.setup_store.get_org(org).await?.map(|org| org.signatures).unwrap_or_default())
}

/// The check of an upload.
pub(super) fn check(settings: &SignatureSettings, digest: Digest, signature: Option<&str>) -> CheckResult {
    let (outcome, findings) = match settings.judge(digest, signature) {
        Judgement::NotAsked => (CheckOutcome::NotApplicable, Vec::new()),
        Judgement::Signed(_) => (CheckOutcome::Passed, Vec::new()),
        Judgement::Warned(unsigned) => (CheckOutcome::Passed, vec![finding(unsigned)]),
        Judgement::Refused(unsigned) => (CheckOutcome::Failed, vec![finding(unsigned)]),
    };
    CheckResult { check: Check::Signature, outcome, findings }
}

/// Refuses to use a version that no trusted key has signed, where the org requires that.
///
/// # Errors
/// 409.
pub(super) async fn require(app: &App, org: OrgId, digest: Digest, signature: Option<&str>) -> Result<(), Problem> {
    if let Judgement::Refused(unsigned) = settings(app, org).await?.judge(digest, signature) {
        let detail =
            format!("{unsigned}, and the org requires a signature; upload the same bytes again with one: everwit push --sign KEYFILE");
        return Err(Problem::conflict("unsigned", detail));
    }
    Ok(())
}

fn finding(unsigned: Unsigned) -> ComponentFinding {
    let code = match unsigned {
        Unsigned::Absent => "unsigned",
        Unsigned::Malformed => "signature_malformed",
        Unsigned::Untrusted => "signature_untrusted",
    };
    ComponentFinding {
        code: code.to_owned(),
        pointer: None,
        detail: unsigned.to_string(),
        fix: "sign it with a key that the org trusts: everwit push --sign KEYFILE; PATCH /v1/orgs/{org} names the keys".to_owned(),
    }
}
