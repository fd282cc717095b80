use super::*;

fn import(name: &str) -> Vec<(String, String)> {
    let mut findings = Findings::default();
    check_import(&Item { name: name.to_owned(), is_instance: true }, "/imports/0".to_owned(), &mut findings);
    findings.into_vec().into_iter().map(|finding| (finding.code, finding.fix)).collect()
}

/// THREAT[U10]: an import is served, of another version, or unknown, and nothing else.
#[test]
fn imports_are_judged_by_package_interface_and_version() {
    let served = [
        "everwit:host/log@1.0.0",
        "everwit:host/log@1.0.7",
        "everwit:types/common@1.0.0",
        "everwit:secrets/reveal@1.0.0",
        "wasi:cli/environment@0.2.0",
        "wasi:sockets/tcp@0.2.12",
        "wasi:io/streams@0.2.6",
    ];
    for name in served {
        assert_eq!(import(name), [], "{name}");
    }
    let cases = [
        ("everwit:host/log@1.1.0", "contract_unsupported"),
        ("everwit:host/log@2.0.0", "contract_unsupported"),
        ("everwit:host/log@0.1.0", "contract_unsupported"),
        ("wasi:io/streams@0.3.0", "contract_unsupported"),
        ("wasi:io/streams@1.0.0", "contract_unsupported"),
        ("everwit:host/shell@1.0.0", "import_unknown"),
        ("wasi:http/outgoing-handler@0.2.3", "import_unknown"),
        ("wasi:keyvalue/store@0.2.0", "import_unknown"),
        ("everwit:capability/tools@1.0.0", "import_unknown"),
        ("everwit:host/log@1.0.0-rc.1", "import_not_an_interface"),
        ("everwit:host/log@1.0", "import_not_an_interface"),
        ("everwit:host/log", "import_not_an_interface"),
        ("log", "import_not_an_interface"),
        ("url=<https://example.com/a@1.0.0>", "import_not_an_interface"),
        ("", "import_not_an_interface"),
    ];
    for (name, code) in cases {
        assert_eq!(import(name).into_iter().map(|(code, _)| code).collect::<Vec<_>>(), [code], "{name}");
    }
    assert!(import("wasi:http/outgoing-handler@0.2.3")[0].1.contains("everwit:http/client"));
}

#[test]
fn bare_imports_are_no_interfaces() {
    let mut findings = Findings::default();
    check_import(&Item { name: "everwit:host/log@1.0.0".to_owned(), is_instance: false }, String::new(), &mut findings);
    assert_eq!(findings.into_vec()[0].code, "import_not_an_interface");
}

fn exports(names: &[&str]) -> (Option<ComponentKind>, Vec<String>) {
    let mut world = World::default();
    names.iter().for_each(|name| world.export(name, true));
    let mut findings = Findings::default();
    let kind = world.check(&mut findings);
    (kind, findings.into_vec().into_iter().map(|finding| finding.code).collect())
}

#[test]
fn the_kind_follows_from_the_exports() {
    let capability = ["everwit:capability/describe@1.0.0", "everwit:capability/tools@1.0.3", "everwit:capability/health@1.0.0"];
    assert_eq!(exports(&capability), (Some(ComponentKind::Capability), vec![]));
    assert_eq!(exports(&["everwit:driver/meta@1.0.0", "everwit:driver/codec@1.0.0"]), (Some(ComponentKind::Driver), vec![]));
    let connection = ["everwit:connection/meta@1.0.0", "everwit:connection/validation@1.0.0"];
    assert_eq!(exports(&connection), (Some(ComponentKind::ConnectionProvider), vec![]));
    assert_eq!(exports(&connection[..1]), (None, vec!["export_missing".to_owned()]));
    assert_eq!(exports(&["everwit:driver/meta@1.0.0"]), (None, vec!["export_missing".to_owned()]));
    assert_eq!(exports(&capability[..1]), (None, vec!["export_missing".to_owned()]));
    assert_eq!(exports(&["wasi:cli/run@0.2.0"]), (None, vec!["export_missing".to_owned(); 2]));
    let newer = ["everwit:capability/describe@1.1.0", "everwit:capability/tools@2.0.0"];
    assert_eq!(exports(&newer), (None, vec!["contract_unsupported".to_owned(); 2]));
}

#[test]
fn what_translates_imports_no_powers() {
    for (exports, code) in [
        (["everwit:driver/meta@1.0.0", "everwit:driver/codec@1.0.0"], "import_not_for_drivers"),
        (["everwit:connection/meta@1.0.0", "everwit:connection/validation@1.0.0"], "import_not_for_connection_providers"),
    ] {
        for (import, expected) in [
            ("everwit:host/log@1.0.0", None),
            ("everwit:http/types@1.0.0", None),
            ("everwit:http/client@1.0.0", Some(code)),
            ("everwit:kv/store@1.0.0", Some(code)),
            ("everwit:secrets/store@1.0.0", Some(code)),
            ("everwit:host/call@1.0.0", Some(code)),
        ] {
            let mut world = World::default();
            exports.iter().for_each(|name| world.export(name, true));
            world.import(import, true);
            let mut findings = Findings::default();
            world.check(&mut findings);
            let found: Vec<String> = findings.into_vec().into_iter().map(|finding| finding.code).collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{import}");
        }
    }
}

#[test]
fn more_names_than_any_world_has_are_refused_and_not_kept() {
    let mut world = World::default();
    (0..10_000).for_each(|n| world.import(&format!("a:b/c{n}@1.0.0"), true));
    assert_eq!(world.import_names().len(), MAX_NAMES);
    let mut world_of_long_names = World::default();
    (0..200).for_each(|_| world_of_long_names.import(&"everwit:host/log@1.0.0".repeat(10_000), true));
    let mut findings = Findings::default();
    world_of_long_names.check(&mut findings);
    assert!(findings.into_vec().iter().all(|finding| finding.detail.len() < 1_000));
    let mut world_of_known_names = World::default();
    (0..=MAX_NAMES).for_each(|_| world_of_known_names.import("everwit:host/log@1.0.0", true));
    let mut findings = Findings::default();
    world_of_known_names.check(&mut findings);
    assert_eq!(findings.into_vec()[0].code, "too_many_imports", "what is not looked at is not let through");
}
