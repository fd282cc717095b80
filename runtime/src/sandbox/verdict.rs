//! The verdict on an upload: what became of each check, in the order in which a reviewer asks, not
//! in the order in which the host has to run them.

use serde::Serialize;

use super::gate::rule::RULES;
use super::{Admission, Finding, Rejection};
use crate::component::ComponentKind;

/// Where a description says what a component wants to use, and where credentials go.
const POWERS: [&str; 4] = [
    "/description/permissions",
    "/description/driver/credentials",
    "/description/connection/credentials",
    "/description/connection/origin",
];

/// One check of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = UploadCheck))]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// It is not too large.
    Size,
    /// Its digest is known, and is the one that the sender gave, if it gave one.
    Digest,
    /// It is a component that can be read to its end.
    Format,
    /// Nothing in it is of a number or a shape that makes compiling explode.
    Structure,
    /// It implements a contract in a version that this host serves.
    Contract,
    /// It imports nothing but what this host offers.
    Imports,
    /// What it asks for is well formed, and may be asked for.
    Powers,
    /// It says what it is, within tiny limits, and as its custom section says.
    Describe,
    /// Its JSON Schemas are valid and small.
    Schemas,
    /// Its id, its version and the names of its tools are well formed and free.
    Names,
    /// What models and people read of it is short, and visible.
    Text,
    /// It compiles within the limits of the compiler's process.
    Compile,
    /// A driver repeats its recorded exchanges, however their answers are cut.
    Conformance,
    /// It is signed with a key that the org trusts, if the org asks for that.
    Signature,
    /// Whatever belongs to none of the others.
    Other,
}

/// What became of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = UploadCheckOutcome))]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// Nothing is wrong; findings are advice.
    Passed,
    /// The findings say what is wrong.
    Failed,
    /// An earlier check failed, so that it could not be made.
    NotRun,
    /// There is nothing to check, as of a capability's exchanges.
    NotApplicable,
}

/// A check with what became of it.
///
/// ```json
/// {"check": "size", "outcome": "passed"}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = UploadCheckResult))]
pub struct CheckResult {
    /// Which check.
    pub check: Check,
    /// What became of it.
    pub outcome: CheckOutcome,
    /// What was found, each with what to do about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

impl Check {
    /// In the order of a report.
    const ALL: [Self; 15] = [
        Self::Size,
        Self::Digest,
        Self::Format,
        Self::Structure,
        Self::Contract,
        Self::Imports,
        Self::Powers,
        Self::Describe,
        Self::Schemas,
        Self::Names,
        Self::Text,
        Self::Compile,
        Self::Conformance,
        Self::Signature,
        Self::Other,
    ];

    /// The check that a finding is of.
    fn of(finding: &Finding) -> Self {
        let about = |place: &str| finding.pointer.as_deref().is_some_and(|pointer| pointer.starts_with(place));
        match finding.code.as_str() {
            "component_too_large" => Self::Size,
            "core_module" | "precompiled_artifact" | "not_wasm" | "malformed" => Self::Format,
            "contract_unsupported" | "export_missing" | "export_incomplete" => Self::Contract,
            "import_unknown" | "import_not_an_interface" | "too_many_imports" => Self::Imports,
            "import_not_for_drivers" | "import_not_for_connection_providers" => Self::Imports,
            "component_invalid" | "compiler_failed" | "too_expensive_to_compile" | "artifact_too_large" => Self::Compile,
            "exchanges_invalid" | "exchange_differs" | "too_many_exchanges" | "no_exchanges" => Self::Conformance,
            "higher_order_component" | "component_start" | "multi_memory" => Self::Structure,
            _ if POWERS.iter().any(|place| about(place)) => Self::Powers,
            "describe_failed" | "invalid_description" | "description_differs" | "description_invalid" | "memory_grows" => Self::Describe,
            "invalid_schema" | "schema_too_large" | "arguments_not_an_object" => Self::Schemas,
            "invalid_length" | "invisible_text" => Self::Text,
            _ if about("/description") => Self::Names,
            code if RULES.iter().any(|rule| rule.code == code) => Self::Structure,
            _ => Self::Other,
        }
    }

    /// The step of an examination that makes it. Steps 3 and 4 are made together; otherwise a step
    /// that fails is the last one.
    fn step(self) -> u8 {
        match self {
            Self::Size | Self::Digest => 0,
            Self::Format | Self::Structure | Self::Contract | Self::Imports => 1,
            Self::Compile => 2,
            Self::Describe => 3,
            Self::Powers | Self::Schemas | Self::Names | Self::Text => 4,
            Self::Conformance => 5,
            Self::Signature => 6,
            Self::Other => 7,
        }
    }
}

impl Admission {
    /// All checks; none of them failed.
    pub fn checks(&self) -> Vec<CheckResult> {
        // Signatures are judged by whoever knows the org.
        let applies = |check| match check {
            Check::Conformance => self.description.kind() == ComponentKind::Driver,
            Check::Signature => false,
            _ => true,
        };
        let outcome = |check| if applies(check) { CheckOutcome::Passed } else { CheckOutcome::NotApplicable };
        report(&self.warnings, outcome)
    }
}

impl Rejection {
    /// All checks, with those that failed and those that could not be made.
    pub fn checks(&self) -> Vec<CheckResult> {
        let failed: Vec<Check> = self.findings.iter().map(Check::of).collect();
        let last = failed.iter().map(|check| check.step()).max().unwrap_or_default();
        report(&self.findings, |check| match check {
            check if failed.contains(&check) => CheckOutcome::Failed,
            check if check.step() > last => CheckOutcome::NotRun,
            _ => CheckOutcome::Passed,
        })
    }
}

fn report(findings: &[Finding], outcome: impl Fn(Check) -> CheckOutcome) -> Vec<CheckResult> {
    let result = |check| {
        let findings: Vec<Finding> = findings.iter().filter(|finding| Check::of(finding) == check).cloned().collect();
        CheckResult { check, outcome: outcome(check), findings }
    };
    let said = |result: &CheckResult| result.check != Check::Other || !result.findings.is_empty();
    Check::ALL.into_iter().map(result).filter(said).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::Digest;

    fn rejected(findings: &[(&str, Option<&str>)]) -> Vec<(Check, CheckOutcome)> {
        let finding = |&(code, pointer): &(&str, Option<&str>)| Finding::new(code, pointer.map(str::to_owned), "", "");
        let findings = findings.iter().map(finding).collect();
        let rejection = Rejection { digest: Digest::of(b""), size: 0, producers: Vec::new(), findings };
        rejection.checks().into_iter().map(|result| (result.check, result.outcome)).collect()
    }

    #[test]
    fn what_comes_after_a_failed_step_was_not_run() {
        use CheckOutcome::{Failed, NotRun, Passed};
        let checks = rejected(&[("too_many_functions", None), ("import_unknown", Some("/imports/3"))]);
        let expected = [
            (Check::Size, Passed),
            (Check::Digest, Passed),
            (Check::Format, Passed),
            (Check::Structure, Failed),
            (Check::Contract, Passed),
            (Check::Imports, Failed),
            (Check::Powers, NotRun),
            (Check::Describe, NotRun),
            (Check::Schemas, NotRun),
            (Check::Names, NotRun),
            (Check::Text, NotRun),
            (Check::Compile, NotRun),
            (Check::Conformance, NotRun),
            (Check::Signature, NotRun),
        ];
        assert_eq!(checks, expected);
    }

    #[test]
    fn findings_of_a_description_are_told_apart_by_code_and_place() {
        let failed = |code, pointer| {
            let checks = rejected(&[(code, Some(pointer))]);
            let failed: Vec<Check> =
                checks.iter().filter(|(_, outcome)| *outcome == CheckOutcome::Failed).map(|(check, _)| *check).collect();
            failed
        };
        assert_eq!(failed("invisible_text", "/description/tools/0/description"), [Check::Text]);
        assert_eq!(failed("invalid_length", "/description/permissions/http/0/reason"), [Check::Powers]);
        assert_eq!(failed("invalid_place", "/description/driver/credentials/0/place"), [Check::Powers]);
        assert_eq!(failed("invalid_origin", "/description/connection/origin"), [Check::Powers]);
        assert_eq!(failed("invalid_place", "/description/connection/credentials/0/place"), [Check::Powers]);
        assert_eq!(failed("import_not_for_drivers", "/imports/0"), [Check::Imports]);
        assert_eq!(failed("import_not_for_connection_providers", "/imports/0"), [Check::Imports]);
        assert_eq!(failed("invalid_schema", "/description/config_schema"), [Check::Schemas]);
        assert_eq!(failed("duplicate_tool", "/description/tools/1/name"), [Check::Names]);
        assert_eq!(failed("what_nobody_knows", "/elsewhere"), [Check::Other]);
    }

    #[test]
    fn every_rule_of_the_gate_belongs_to_a_check() {
        for rule in RULES {
            let check = Check::of(&Finding::new(rule.code, None, "", ""));
            assert!(matches!(check, Check::Structure | Check::Imports), "{}: {check:?}", rule.code);
        }
    }
}
