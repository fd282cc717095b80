use serde_json::json;

use super::*;
use crate::component::{Effects, FileAccess, SecretPermission};

fn tool(name: &str) -> ToolDescription {
    ToolDescription {
        name: name.to_owned(),
        title: String::new(),
        description: "Does it.".to_owned(),
        input_schema: json!({ "type": "object" }),
        output_schema: None,
        effects: Effects::default(),
        extra: Vec::new(),
    }
}

fn http() -> HttpPermission {
    HttpPermission { host: "api.example.com".to_owned(), methods: Vec::new(), path_prefix: None, reason: String::new() }
}

fn secret() -> SecretPermission {
    let (name, host, place) = ("key".to_owned(), "api.example.com".to_owned(), "header:authorization".to_owned());
    SecretPermission { name, title: String::new(), host, place, required: true }
}

fn plain() -> ComponentDescription {
    ComponentDescription {
        id: "plain".to_owned(),
        title: "Plain".to_owned(),
        version: "1.0.0".to_owned(),
        summary: "Nothing special.".to_owned(),
        instructions: None,
        config_schema: json!({}),
        tools: vec![tool("go")],
        driver: None,
        connection: None,
        dependencies: Vec::new(),
        features: Vec::new(),
        permissions: Permissions { files: FileAccess::None, ..Permissions::default() },
        extra: Vec::new(),
    }
}

/// What is said about a plain description after a change.
pub(super) fn findings(change: impl FnOnce(&mut ComponentDescription)) -> Vec<(String, String)> {
    let mut changed = plain();
    change(&mut changed);
    let place = |finding: &Finding| finding.pointer.clone().unwrap_or_default().trim_start_matches("/description").to_owned();
    description(&changed).iter().map(|finding| (finding.code.clone(), place(finding))).collect()
}

type Change = fn(&mut ComponentDescription, usize);

/// Texts and lists as long as allowed, and one longer.
#[test]
fn every_length_has_its_limit() {
    let x = |length: usize| "x".repeat(length);
    assert_eq!(findings(|_| ()), []);
    let limits: &[(&str, &str, usize, Change)] = &[
        ("invalid_id", "/id", 64, |it, n| {
            it.id = "x".repeat(n);
            it.tools.clear();
        }),
        ("invalid_length", "/title", 128, |it, n| it.title = "x".repeat(n)),
        ("invalid_length", "/summary", 1 << 10, |it, n| it.summary = "x".repeat(n)),
        ("invalid_length", "/instructions", 16 << 10, |it, n| it.instructions = Some("x".repeat(n))),
        ("invalid_version", "/version", 64, |it, n| it.version = format!("1.0.0-{}", "x".repeat(n - 6))),
        ("schema_too_large", "/config_schema", 16 << 10, |it, n| it.config_schema = json!({ "title": "x".repeat(n - 12) })),
        ("too_many_tools", "/tools", 128, |it, n| it.tools = (0..n).map(|at| tool(&format!("t{at}"))).collect()),
        ("tool_name_too_long", "/tools/0/name", 64, |it, n| it.tools[0].name = "x".repeat(n - 7)),
        ("invalid_length", "/tools/0/title", 128, |it, n| it.tools[0].title = "x".repeat(n)),
        ("invalid_length", "/tools/0/description", 4 << 10, |it, n| it.tools[0].description = "x".repeat(n)),
        ("schema_too_large", "/tools/0/output_schema", 16 << 10, |it, n| {
            it.tools[0].output_schema = Some(json!({ "title": "x".repeat(n - 12) }));
        }),
        ("too_many_entries", "/tools/0/extra", 16, |it, n| it.tools[0].extra = vec![("k".to_owned(), String::new()); n]),
        ("too_many_entries", "/dependencies", 64, |it, n| it.dependencies = vec!["other".to_owned(); n]),
        ("too_many_entries", "/features", 64, |it, n| it.features = vec!["new".to_owned(); n]),
        ("invalid_length", "/features/0", 64, |it, n| it.features = vec!["x".repeat(n)]),
        ("too_many_entries", "/permissions/http", 64, |it, n| it.permissions.http = vec![http(); n]),
        ("too_many_entries", "/permissions/secrets", 64, |it, n| it.permissions.secrets = vec![secret(); n]),
        ("too_many_entries", "/permissions/kv", 64, |it, n| it.permissions.kv = vec!["bucket".to_owned(); n]),
        ("too_many_entries", "/permissions/tools", 64, |it, n| it.permissions.tools = vec!["a/b".to_owned(); n]),
        ("invalid_bucket", "/permissions/kv/0", 64, |it, n| it.permissions.kv = vec!["x".repeat(n)]),
        ("invalid_secret", "/permissions/secrets/0/name", 64, |it, n| {
            it.permissions.secrets = vec![SecretPermission { name: "x".repeat(n), ..secret() }];
        }),
        ("invalid_length", "/permissions/secrets/0/title", 128, |it, n| {
            it.permissions.secrets = vec![SecretPermission { title: "x".repeat(n), ..secret() }];
        }),
        ("invalid_length", "/permissions/secrets/0/place", 512, |it, n| {
            it.permissions.secrets = vec![SecretPermission { place: format!("query:{}", "x".repeat(n - 6)), ..secret() }];
        }),
        ("invalid_length", "/permissions/http/0/reason", 512, |it, n| {
            it.permissions.http = vec![HttpPermission { reason: "x".repeat(n), ..http() }];
        }),
        ("invalid_length", "/permissions/http/0/path_prefix", 512, |it, n| {
            it.permissions.http = vec![HttpPermission { path_prefix: Some("x".repeat(n)), ..http() }];
        }),
        ("invalid_method", "/permissions/http/0/methods", 16, |it, n| {
            it.permissions.http = vec![HttpPermission { methods: vec!["GET".to_owned(); n], ..http() }];
        }),
        ("invalid_tool", "/permissions/tools/0", 64, |it, n| it.permissions.tools = vec![format!("a/{}", "x".repeat(n))]),
        ("too_many_entries", "/permissions/extra", 16, |it, n| it.permissions.extra = vec![("k".to_owned(), String::new()); n]),
        ("too_many_entries", "/extra", 16, |it, n| it.extra = vec![("k".to_owned(), String::new()); n]),
        ("invalid_length", "/extra/0/1", 512, |it, n| it.extra = vec![("k".to_owned(), "x".repeat(n))]),
    ];
    for (code, pointer, most, change) in limits {
        assert_eq!(findings(|it| change(it, *most)), [], "{pointer} of {most}");
        assert_eq!(findings(|it| change(it, most + 1)), [((*code).to_owned(), (*pointer).to_owned())], "{pointer} of one more");
    }
    assert_eq!(findings(|it| it.title = x(0)), [("invalid_length".to_owned(), "/title".to_owned())], "a title is needed");
}

#[test]
fn what_misleads_is_refused() {
    let check = |code: &str, pointer: &str, change: fn(&mut ComponentDescription)| {
        assert_eq!(findings(change), [(code.to_owned(), pointer.to_owned())]);
    };
    check("invisible_text", "/summary", |it| it.summary = "safe\u{202e}".to_owned());
    check("invisible_text", "/permissions/http/0/reason", |it| {
        it.permissions.http = vec![HttpPermission { reason: "\u{1b}[2K".to_owned(), ..http() }];
    });
    check("invalid_host", "/permissions/http/0/host", |it| {
        it.permissions.http = vec![HttpPermission { host: "user@api.example.com".to_owned(), ..http() }];
    });
    for place in ["headers:x", "header:", "header:a b", "query:", "path", "Body", "bodies", "header:x\r\ny: z"] {
        let secrets = vec![SecretPermission { place: place.to_owned(), ..secret() }];
        let found = findings(|it| it.permissions.secrets = secrets);
        assert!(found.contains(&("invalid_place".to_owned(), "/permissions/secrets/0/place".to_owned())), "{place:?}: {found:?}");
    }
    check("invalid_host", "/permissions/secrets/0/host", |it| {
        it.permissions.secrets = vec![SecretPermission { host: "API.example.com".to_owned(), ..secret() }];
    });
    check("duplicate_tool", "/tools/1/name", |it| it.tools.push(tool("go")));
    check("invalid_tool_name", "/tools/0/name", |it| it.tools[0].name = "Go".to_owned());
    check("arguments_not_an_object", "/tools/0/input_schema", |it| it.tools[0].input_schema = json!({ "type": "string" }));
    check("invalid_schema", "/config_schema", |it| it.config_schema = json!({ "type": 7 }));
    check("invalid_id", "/dependencies/0", |it| it.dependencies = vec!["No Id".to_owned()]);
}
