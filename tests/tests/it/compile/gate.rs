//! The structural gate: each counter with an input at its limit and one just above.

use std::collections::BTreeSet;

use everwit_runtime::component::ComponentKind;
use everwit_runtime::sandbox::{RULES, inspect};

use super::inputs::{capability, doubling, functions_with_locals, leb, loops_and_locals, module, push_section, wide_blocks, wide_calls};

fn codes(upload: &[u8]) -> Vec<String> {
    crate::support::mutation::apply();
    inspect(upload).1.into_iter().map(|finding| finding.code).collect()
}

/// What is counted, and an upload of which the count is the given number.
fn counted(code: &str) -> fn(usize) -> Vec<u8> {
    match code {
        "too_many_functions" => |n| module(&"(func)".repeat(n)),
        "too_many_types" => |n| module(&"(type (func))".repeat(n)),
        "too_many_imports" => |n| module(&r#"(import "" "" (table 0 funcref))"#.repeat(n)),
        "too_many_exports" => |n| {
            let exports: String = (0..n).map(|name| format!("(export \"{name}\" (func 0))")).collect();
            module(&format!("(func) {exports}"))
        },
        "too_many_globals" => |n| module(&"(global i32 (i32.const 0))".repeat(n)),
        "too_many_data_segments" => |n| module(&format!("(memory 1) {}", "(data (i32.const 0) \"\")".repeat(n))),
        "memory_too_large" => |n| module(&format!("(memory {n})")),
        "table_too_large" => |n| module(&format!("(table {n} funcref)")),
        "too_many_parameters" => |n| module(&format!("(type (func (param {})))", "i32 ".repeat(n))),
        "too_many_locals" => |n| module(&format!("(func (local {}))", "i32 ".repeat(n))),
        "too_many_locals_total" => |n| {
            let full = format!("(func (local {}))", "i32 ".repeat(2_000)).repeat(n / 2_000);
            module(&format!("{full} (func (local {}))", "i32 ".repeat(n % 2_000)))
        },
        "loops_times_locals" => |n| module(&loops(n.div_ceil(1_000), 1_000)),
        "loops_times_locals_total" => |n| module(&format!("{} {}", loops(100, 1_000).repeat(n / 100_000), loops(n % 100_000, 1))),
        "too_many_branch_targets" => |n| module(&branches(n)),
        "too_many_branch_targets_total" => |n| {
            let rest = if n % 20_000 == 0 { String::new() } else { branches(n % 20_000) };
            module(&format!("{} {rest}", branches(20_000).repeat(n / 20_000)))
        },
        "block_arity" => |n| {
            let blocks = "block (type 0) unreachable end ".repeat(n.div_ceil(20));
            module(&format!("(type (func (result {}))) (func {blocks})", "i32 ".repeat(20)))
        },
        "call_traffic" => |n| {
            let calls = "call 0 ".repeat(n.div_ceil(25));
            module(&format!("(func (param {})) (func {calls})", "i32 ".repeat(25)))
        },
        "too_many_blocks" => |n| module(&format!("(func {})", "block end ".repeat(n))),
        "nesting_too_deep" => |n| module(&format!("(func {} {})", "block ".repeat(n), "end ".repeat(n))),
        // The count of local declarations and the final `end` take a byte each.
        "function_too_large" => |n| module(&format!("(func {})", "nop ".repeat(n - 2))),
        "too_many_instances" => |n| instantiated("(func)", n),
        "too_many_memories" => |n| instantiated("(memory 1)", n),
        "too_many_tables" => |n| instantiated("(table 1 funcref)", n),
        // The world itself has three.
        "too_many_definitions" => |n| capability(&"(instance)".repeat(n - 3)),
        "too_many_parts" => |n| capability(&"(core module)".repeat(n)),
        "components_too_deep" => |n| capability(&format!("{} {}", "(component ".repeat(n - 1), ")".repeat(n - 1))),
        "too_many_component_types" => |n| capability(&"(type u8)".repeat(n)),
        "types_too_deep" => |n| capability(&format!("{} {}", "(type (component ".repeat(n), "))".repeat(n))),
        other => panic!("no input for {other}"),
    }
}

fn loops(loops: usize, locals: usize) -> String {
    format!("(func (local {}) {})", "i32 ".repeat(locals), "loop end ".repeat(loops))
}

fn branches(targets: usize) -> String {
    format!("(func block (br_table {} (i32.const 0)) end)", "0 ".repeat(targets))
}

fn instantiated(fields: &str, times: usize) -> Vec<u8> {
    capability(&format!("(core module $m {fields}) {}", "(core instance (instantiate $m))".repeat(times)))
}

/// THREAT[U03], THREAT[U04], THREAT[U05], THREAT[U07], THREAT[U08]
#[test]
fn each_counter_refuses_what_is_above_its_limit_and_nothing_below() {
    for rule in RULES {
        let (make, most) = (counted(rule.code), rule.most as usize);
        assert_eq!(codes(&make(most)), Vec::<String>::new(), "{} of {most}", rule.code);
        assert_eq!(codes(&make(most + 1)), [rule.code], "{} of {}", rule.code, most + 1);
    }
}

#[test]
fn rules_have_codes_of_their_own() {
    let codes: BTreeSet<&str> = RULES.iter().map(|rule| rule.code).collect();
    assert_eq!(codes.len(), RULES.len());
}

#[test]
fn counts_multiply_through_nested_components() {
    assert_eq!(codes(&doubling(5)), ["components_too_deep"; 0], "2^5 core and 2^6 component instances");
    assert!(codes(&doubling(7)).contains(&"too_many_instances".to_owned()));
    assert!(codes(&doubling(30)).contains(&"too_many_instances".to_owned()));
    assert!(codes(&doubling(200)).contains(&"too_many_instances".to_owned()), "counts saturate");
}

#[test]
fn known_bombs_are_refused() {
    assert!(codes(&wide_blocks(1_000, 1_000)).contains(&"too_many_parameters".to_owned()));
    assert!(codes(&wide_blocks(32, 1_000)).contains(&"block_arity".to_owned()));
    assert!(codes(&wide_calls(1_000, 3_000)).contains(&"call_traffic".to_owned()));
    assert!(codes(&loops_and_locals(1_000, 1_000)).contains(&"loops_times_locals".to_owned()));
    assert!(codes(&functions_with_locals(2_000, 50_000)).contains(&"too_many_locals".to_owned()));
}

/// The depth of these is what a recursive reader would need as stack.
#[test]
fn the_gate_does_not_recurse_on_its_input() {
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        let mut outer = b"\0asm\x0d\0\x01\0".to_vec();
        if !nested.is_empty() {
            push_section(&mut outer, 4, &nested);
        }
        nested = outer;
    }
    assert_eq!(codes(&nested), ["components_too_deep"]);

    let mut types = b"\0asm\x0d\0\x01\0".to_vec();
    let mut content = leb(1);
    content.extend([0x41, 1, 1].repeat(1_000_000));
    push_section(&mut types, 7, &content);
    assert_eq!(codes(&types), ["types_too_deep"]);
}

/// THREAT[U07]: a claim is refused as such, before the time to read what is claimed.
#[test]
fn sections_over_a_limit_are_not_read() {
    for (section, code) in [(1, "too_many_types"), (3, "too_many_functions"), (6, "too_many_globals"), (7, "too_many_exports")] {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        let mut claim = leb(4_000_000_000);
        claim.push(0xff);
        push_section(&mut module, section, &claim);
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        push_section(&mut component, 1, &module);
        assert!(codes(&component).contains(&code.to_owned()), "{code}");
    }
}

#[test]
fn shapes_that_no_toolchain_makes_are_refused() {
    assert_eq!(codes(&module("(memory 1) (memory 1)")), ["multi_memory"]);
    assert_eq!(codes(&module(r#"(import "" "" (memory 1)) (memory 1)"#)), ["multi_memory"]);
    assert_eq!(codes(&capability(r#"(import "m" (core module))"#)), ["import_not_an_interface", "higher_order_component"]);
    assert_eq!(codes(&capability(r#"(component (import "c" (component)))"#)), ["higher_order_component"]);
    assert_eq!(
        codes(&capability(r#"(core module $m) (component (export "m" (core module 0)) (core module))"#)),
        ["higher_order_component"]
    );
    // THREAT[U16]
    let mut start = capability("");
    push_section(&mut start, 9, &[0, 0, 0]);
    assert_eq!(codes(&start), ["component_start"]);
}

/// THREAT[U09]: by the first bytes alone.
#[test]
fn what_is_no_component_is_said_to_be_what_it_is() {
    let core_module = wat::parse_str("(module)").expect("valid");
    let (_, findings) = inspect(&core_module);
    assert_eq!((findings[0].code.as_str(), findings[0].fix.as_str()), ("core_module", "build a component (everwit build)"));
    assert_eq!(codes(b"\x7fELF\x02\x01\x01"), ["precompiled_artifact"]);
    for garbage in [&b""[..], b"\0", b"\0asm", b"\0asm\x0d\0\x01", b"(component)", b"\0asm\x0d\0\x02\0", b"PK\x03\x04", &[0xff; 1_000]] {
        assert_eq!(codes(garbage), ["not_wasm"], "{garbage:?}");
    }
    // THREAT[U01]
    assert_eq!(codes(&vec![0; (32 << 20) + 1]), ["component_too_large"]);
}

#[test]
fn truncated_components_are_malformed_wherever_they_end() {
    let whole = super::inputs::working(1);
    assert_eq!(codes(&whole), Vec::<String>::new());
    for length in 8..whole.len() {
        let findings = codes(&whole[..length]);
        assert!(!findings.is_empty(), "{length} of {} bytes pass", whole.len());
    }
}

#[test]
fn all_findings_come_at_once() {
    let body = r#"
        (import "wasi:http/outgoing-handler@0.2.3" (instance))
        (import "everwit:host/log@1.0.0" (instance))
        (import "everwit:host/log@2.0.0" (instance))
        (import "run" (func))
        (core module (memory 1) (memory 2000))
    "#;
    let upload = wat::parse_str(format!("(component {body})")).expect("valid");
    let (inspection, findings) = inspect(&upload);
    let found: Vec<(&str, &str)> =
        findings.iter().map(|finding| (finding.code.as_str(), finding.pointer.as_deref().unwrap_or(""))).collect();
    let expected = [
        ("import_unknown", "/imports/0"),
        ("contract_unsupported", "/imports/2"),
        ("import_not_an_interface", "/imports/3"),
        ("export_missing", ""),
        ("export_missing", ""),
        ("memory_too_large", "/modules/0/memories/1"),
        ("multi_memory", "/modules/0"),
    ];
    assert_eq!(found, expected);
    assert_eq!(inspection.imports[1], "everwit:host/log@1.0.0");
    assert!(findings.iter().all(|finding| !finding.fix.is_empty() && !finding.detail.is_empty()));
}

/// The table of what may be imported follows wit/: everything there but what components export.
#[test]
fn every_interface_of_the_contracts_may_be_imported() {
    let mut resolve = wit_parser::Resolve::default();
    resolve.push_dir(crate::tidy::root().join("wit")).expect("valid contracts");
    let offered =
        resolve.packages.iter().filter(|(_, package)| !["capability", "driver", "connection"].contains(&package.name.name.as_str()));
    let mut seen = 0;
    for (_, package) in offered {
        for interface in package.interfaces.keys() {
            let name = package.name.interface_id(interface);
            assert_eq!(codes(&capability(&format!("(import \"{name}\" (instance))"))), Vec::<String>::new(), "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen} interfaces");
}

#[test]
fn an_inspection_says_what_a_component_is() {
    let upload = capability(
        r#"(core module (memory 3) (table 5 funcref) (@custom "everwit:description" "{\"id\":\"a\"}")
             (@producers (language "Rust" "1.95") (processed-by "a\1b[31m" "1")))
           (@custom "everwit:description" "{\"id\":\"a\"}")"#,
    );
    let (inspection, findings) = inspect(&upload);
    assert_eq!(findings, []);
    assert_eq!(inspection.kind, Some(ComponentKind::Capability));
    assert_eq!(inspection.description.as_deref(), Some(r#"{"id":"a"}"#));
    assert_eq!((inspection.min_memory_bytes, inspection.table_elements), (3 << 16, 5));
    let producers: Vec<(&str, &str)> =
        inspection.producers.iter().map(|producer| (producer.name.as_str(), producer.version.as_str())).collect();
    assert_eq!(producers, [("Rust", "1.95"), ("a\\u{1b}[31m", "1")]);
}

#[test]
fn a_description_that_is_not_one_is_refused() {
    let twice = r#"(@custom "everwit:description" "a") (@custom "everwit:description" "b")"#;
    assert_eq!(codes(&capability(twice)), ["description_invalid"]);
    assert_eq!(codes(&capability(r#"(@custom "everwit:description" "\ff")"#)), ["description_invalid"]);
    let large = format!(r#"(@custom "everwit:description" "{}")"#, "a".repeat((1 << 20) + 1));
    assert_eq!(codes(&capability(&large)), ["description_invalid"]);
}
