//! `everwit wrap`: components of people who have never heard of us.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use everwit_runtime::capability::Capability as _;
use everwit_runtime::component::{Digest, Grant};
use everwit_runtime::limits::Budget;
use everwit_runtime::sandbox::Terms;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::mcp::talk_to;
use crate::support::guests::{call_context, root, sandbox, target};
use crate::support::{Server, everwit, guest};
use crate::tidy::files_below;

/// A folder with a component in it, and the capability that became of it.
struct Wrapped {
    home: TempDir,
    stderr: String,
}

impl Wrapped {
    async fn of(component: &[u8], args: &[&str]) -> Self {
        let (home, output) = wrap(component, args).await;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        Self { home, stderr }
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("wrapped.wasm")
    }

    async fn run(&self, args: &[&str]) -> Output {
        let mut command = everwit();
        command.arg(args[0]).arg(self.file()).args(&args[1..]).env("XDG_CACHE_HOME", target().join("test-artifacts/authors"));
        command.output().await.expect("the command runs")
    }

    /// What a call answers, as `everwit call --json` prints it.
    async fn call(&self, tool: &str, arguments: &Value) -> Value {
        let output = self.run(&["call", "--json", tool, &arguments.to_string()]).await;
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// The description of its tools, by `everwit inspect`.
    async fn tools(&self) -> Vec<Value> {
        let sheet: Value = serde_json::from_slice(&self.run(&["inspect", "--json"]).await.stdout).expect("it prints JSON");
        sheet["description"]["tools"].as_array().unwrap_or_else(|| panic!("{sheet:#}")).clone()
    }
}

async fn wrap(component: &[u8], args: &[&str]) -> (TempDir, Output) {
    let home = tempfile::tempdir().expect("a temporary directory");
    fs::write(home.path().join("My Plain_thing.wasm"), component).expect("it is written");
    let mut command = everwit();
    command.args(["wrap", "My Plain_thing.wasm", "-o", "wrapped.wasm"]).args(args).current_dir(home.path());
    let output = command.env("XDG_CACHE_HOME", target().join("test-artifacts/authors")).output().await.expect("the command runs");
    (home, output)
}

fn wit() -> String {
    root().join("tests/guests/wit-plain/plain.wit").to_string_lossy().into_owned()
}

fn everything() -> Value {
    json!({
        "a": true, "b": 255, "c": 65_535, "d": 4_294_967_295_u32, "e": u64::MAX, "f": -128, "g": -32_768, "h": i32::MIN, "i": i64::MIN,
        "j": 0.1, "k": 1e300, "l": "ß", "m": "größe\u{0}🙂", "n": "AP9/", "o": [[1, "eins"], [2, ""]], "p": { "some": null },
        "q": { "err": "inch" }, "r": ["bold", "under_lined"], "s": { "poly_line": [{ "x": 1.5, "y": -2.0, "label": null }] }, "t": "metre",
        "u": "ok",
    })
}

#[tokio::test]
async fn every_type_comes_back_as_it_was_given() {
    let it = Wrapped::of(&guest("plain"), &[]).await;
    let mut value = everything();
    assert_eq!(it.call("mirror", &json!({ "value": value })).await["result"]["structured"], value);
    for (field, other) in [
        ("p", json!(null)),
        ("p", json!({ "some": 7 })),
        ("q", json!({ "ok": 1 })),
        ("r", json!([])),
        ("s", json!({ "circle": 2.5 })),
        ("s", json!("dot")),
        ("u", json!("err")),
        ("o", json!([])),
        ("n", json!("")),
    ] {
        value[field] = other;
        let answer = it.call("mirror", &json!({ "value": value })).await;
        assert_eq!(answer["result"]["structured"], value, "{field}: {answer:#}");
    }
}

#[tokio::test]
async fn values_are_passed_one_by_one_and_all_together() {
    let it = Wrapped::of(&guest("plain"), &[]).await;
    let text = |answer: Value| answer["result"]["parts"][0]["text"].clone();
    let numbers = json!({ "a": 1, "b": -1, "c": 2, "d": -2, "e": 3, "f": -3, "g": 4, "h": -4, "i": 0.5, "j": -0.25, "k": true, "l": "z" });
    let strings = json!(["1", "-1", "2", "-2", "3", "-3", "4", "-4", "0.5", "-0.25", "true", "z"]);
    assert_eq!(it.call("numbers", &numbers).await["result"]["structured"], strings);
    let letters = json!({ "a": "1", "b": "", "c": "3", "d": "4", "e": "5", "f": "6", "g": "7", "h": "8", "i": "ü" });
    assert_eq!(text(it.call("join", &letters).await), "1++3+4+5+6+7+8+ü");
    for (tool, arguments, result) in [
        ("half", json!({ "of": -3 }), json!(-1.5)),
        ("negated", json!({ "of": 9_007_199_254_740_993_i64 }), json!(-9_007_199_254_740_993_i64)),
        ("next_letter", json!({ "after": "ä" }), json!("å")),
        ("divide", json!({ "by": 0 }), json!("Infinity")),
        ("divide", json!({ "by": -4 }), json!(-0.25)),
        ("longest", json!({ "figures": [{ "circle": 1 }, "dot", { "circle": 3 }] }), json!({ "circle": 3.0 })),
    ] {
        assert_eq!(it.call(tool, &arguments).await["result"]["structured"], result, "{tool}");
    }
    let circle = json!({ "figure": { "circle": 0.5 }, "unit": "inch", "marks": ["italic"], "scale": 2 });
    assert_eq!(text(it.call("figures_describe", &circle).await), "3.1 UnitKind::Inch Marks(ITALIC) Some(2.0)");
    assert_eq!(text(it.call("texts_describe", &json!({ "text": "größe" })).await), "5 letters");
    for (tool, arguments, said) in
        [("edition", json!({}), "second"), ("nothing", json!({}), "done"), ("check", json!({ "figure": { "circle": 1 } }), "done")]
    {
        assert_eq!(text(it.call(tool, &arguments).await), said, "{tool}");
    }
    // Nothing is left of an earlier call.
    for _ in 0..2 {
        assert_eq!(it.call("count", &json!({})).await["result"]["structured"], 1);
    }
}

#[tokio::test]
async fn errors_of_functions_are_failures_of_tools() {
    let it = Wrapped::of(&guest("plain"), &[]).await;
    for (tool, arguments, code, message) in [
        ("longest", json!({ "figures": [] }), "failed", "none_given"),
        ("longest", json!({ "figures": [{ "poly_line": [] }] }), "too_few_points", "too_few_points: a line of 0 points"),
        ("check", json!({ "figure": "dot" }), "failed", "a dot is no figure"),
    ] {
        let error = it.call(tool, &arguments).await["error"].clone();
        assert_eq!((&error["kind"], &error["code"]), (&json!("upstream"), &json!(code)), "{tool}: {error}");
        assert!(error["message"].as_str().is_some_and(|found| found.contains(message)), "{error}");
    }
    let output = it.run(&["call", "mirror", &json!({ "value": { "a": 1 } }).to_string()]).await;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && stderr.contains("do not match the schema"), "{stderr}");
}

#[tokio::test]
async fn tools_are_described_from_types_and_comments() {
    let it = Wrapped::of(&guest("plain"), &["--wit", &wit(), "--only", "figures_describe", "--only", "mirror"]).await;
    for (name, reason) in [("figures#[constructor]pen", "resource"), ("figures@1.2.0#best-pen", "resource")] {
        assert!(
            it.stderr.lines().any(|line| line.contains("left out")
                && line.contains(reason)
                && line.contains(name.split('#').next_back().unwrap_or(name))),
            "{name}: {}",
            it.stderr
        );
    }
    let tools = it.tools().await;
    let names: Vec<&Value> = tools.iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["figures_describe", "mirror"]);
    let describe = &tools[0];
    assert_eq!(describe["description"], "Says what a figure is.");
    assert_eq!(describe["output_schema"], Value::Null, "a text is shown as it is");
    assert!(describe["effects"].to_string().contains("idempotent"), "it reaches nothing: {describe:#}");
    let schema = &describe["input_schema"];
    assert_eq!(schema["required"], json!(["figure", "unit", "marks"]));
    let point = &schema["properties"]["figure"]["anyOf"][2]["properties"]["poly_line"]["items"];
    assert_eq!(point["description"], "A place.");
    assert_eq!((&point["required"], &point["properties"]["x"]["description"]), (&json!(["x", "y"]), &json!("To the right.")));
    assert_eq!(schema["properties"]["figure"]["anyOf"][0], json!({ "const": "dot", "description": "Nothing but a place of no extent." }));
}

/// In process, on a server and for an MCP client.
#[tokio::test]
async fn a_wrapped_component_is_an_ordinary_capability() {
    let it =
        Wrapped::of(&guest("plain"), &["--id", "figures", "--title", "Figures", "--summary", "Of the plane.", "--set-version", "3.0.0"])
            .await;
    let (tool, arguments) = ("longest", json!({ "figures": ["dot", { "circle": 2 }] }));
    let wasm = fs::read(it.file()).expect("it was written");
    let terms = Terms { version: None, grant: Grant::default(), budget: Budget::TOOL_CALL };
    let capability = sandbox().open(wasm.clone(), terms).await.expect("it is admitted");
    let in_process = json!(capability.call_tool(&call_context(), tool, arguments.clone()).await.result.expect("it returns"));
    assert_eq!(in_process["structured"], json!({ "circle": 2.0 }));
    assert_eq!(it.call(tool, &arguments).await["result"], in_process);
    let server = Server::start().await;
    let stored = server.api().upload("", wasm).await.expect(201);
    assert!(stored.to_string().contains(r#""version":"3.0.0""#), "{stored:#}");
    let served = server.api().post("/v1/components/figures/call", &json!({ "tool": tool, "arguments": arguments })).await.expect(200);
    assert_eq!(served["result"], in_process);
    let offered = talk_to(&it.file(), &[], json!([[tool, arguments]])).await;
    assert_eq!(offered[0]["serverInfo"]["name"], "figures", "{offered:#?}");
    assert_eq!(offered[2]["structuredContent"], in_process["structured"]);
}

/// Another toolchain's, which imports WASI; built from a WIT, with none of our packages.
#[tokio::test]
async fn a_component_of_another_toolchain_runs() {
    const WIT: &str = "package shop:prices@0.4.1;
        interface prices {
          record item { name: string, cents: u32 }
          total: func(items: list<item>, discount: option<f64>) -> result<u64, string>;
        }
        world shop { export prices; }";
    const SOURCE: &str = "export const prices = {
        total(items, discount) {
            if (items.length === 0) throw 'nothing was bought';
            const sum = items.reduce((sum, item) => sum + item.cents, 0);
            return Math.round(sum * (1 - (discount ?? 0)));
        },
    };";
    let home = tempfile::tempdir().expect("a temporary directory");
    fs::write(home.path().join("shop.wit"), WIT).and_then(|()| fs::write(home.path().join("shop.js"), SOURCE)).expect("they are written");
    let program = root().join("guest-sdk/js/node_modules/.bin/componentize-qjs");
    let mut build = Command::new(program);
    build.args(["--wit", "shop.wit", "--js", "shop.js", "-n", "shop", "--sync", "-o", "shop.wasm"]).current_dir(home.path());
    let built = build.output().await.expect("`cargo xtask components` installs it");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let it = Wrapped::of(&fs::read(home.path().join("shop.wasm")).expect("it was written"), &[]).await;
    assert!(it.stderr.contains("left out: init: build tools leave") && it.tools().await.len() == 1, "{}", it.stderr);
    let items = json!([{ "name": "tea", "cents": 420 }, { "name": "cake", "cents": 580 }]);
    assert_eq!(it.call("total", &json!({ "items": items })).await["result"]["structured"], 1000);
    assert_eq!(it.call("total", &json!({ "items": items, "discount": 0.5 })).await["result"]["structured"], 500);
    assert_eq!(it.call("total", &json!({ "items": [] })).await["error"]["message"], "nothing was bought");
}

#[tokio::test]
async fn what_cannot_be_wrapped_is_refused_with_the_reason() {
    for (component, args, code, says) in [
        (guest("minimal"), &[][..], 1, "is an Everwit component already"),
        (b"\0asm\x01\0\0\0".to_vec(), &[][..], 1, "is no component"),
        (b"\0asm\x0d\0\x01\0".to_vec(), &[][..], 1, "exports no function that can become a tool"),
        (guest("plain"), &["--only", "absent"][..], 2, "there is check, count"),
        (guest("plain"), &["--id", "No Id"][..], 2, "use lower-case letters"),
        (guest("plain"), &["--wit", "absent.wit"][..], 2, "--wit absent.wit"),
    ] {
        let (_home, output) = wrap(&component, args).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && stderr.contains(says), "{says}: {stderr}");
    }
}

/// The compiled adapter is checked in, because the command needs no compiler. It is made of the SDK and the contracts, too.
#[test]
fn the_adapter_is_that_of_its_source() {
    let mut sources = String::new();
    let folders = ["guest-sdk/wrap", "guest-sdk/rust/src", "guest-sdk/rust/macros/src", "wit"];
    for file in folders.iter().flat_map(|folder| files_below(&root().join(folder))) {
        let digest = Digest::of(&fs::read(&file).expect("a file of the checkout"));
        sources += &format!("{digest} {}\n", file.strip_prefix(root()).expect("it was found there").display());
    }
    let recorded = root().join("server/src/cli/wrap/adapter.sources");
    if std::env::var_os("EVERWIT_BLESS").is_some() {
        fs::write(&recorded, &sources).expect("a folder of the checkout");
    }
    assert_eq!(
        fs::read_to_string(&recorded).unwrap_or_default(),
        sources,
        "`cargo xtask wrap-adapter` compiles it again, `cargo xtask bless wrap::the_adapter` records of what"
    );
}
