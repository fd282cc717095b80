//! As little as a guest can do: the contract's bindings by hand, no SDK but its allocator.

#![expect(missing_docs, unsafe_code, reason = "generated bindings")]

use everwit_guest as _;

wit_bindgen::generate!({ path: "../../wit", world: "everwit:capability/pure-capability", generate_all });

use everwit::types::content::Part;
use everwit::types::tools::{CallOutput, Effects, Tool};
use exports::everwit::capability::describe::{Description, Guest as Describe, Permissions};
use exports::everwit::capability::tools::{Context, Failure, Guest as Tools};

struct Raw;

impl Describe for Raw {
    fn describe() -> Description {
        let (input_schema, effects) = (r#"{"type":"object"}"#.into(), Effects::READ_ONLY);
        let (title, description) = (String::new(), "Adds two numbers.".into());
        let add =
            Tool { name: "add".into(), title, description, input_schema, output_schema: None, effects, extra: vec![] };
        let (http, secrets, files, kv) = (vec![], vec![], "none".into(), vec![]);
        let permissions = Permissions { http, secrets, files, kv, tools: vec![], extra: vec![] };
        let (id, title, version, summary) = ("raw".into(), "Raw".into(), "1.0.0".into(), "Adds numbers.".into());
        let (instructions, config_schema, tools) = (None, "{}".into(), vec![add]);
        let (dependencies, features, extra) = (vec![], vec![], vec![]);
        Description {
            id,
            title,
            version,
            summary,
            instructions,
            config_schema,
            tools,
            dependencies,
            features,
            permissions,
            extra,
        }
    }
}

impl Tools for Raw {
    fn call(_context: Context, _name: String, arguments: String) -> Result<CallOutput, Failure> {
        let number = |text: &str| text.split([',', '}']).next().and_then(|text| text.trim().parse::<f64>().ok());
        let sum: f64 = arguments.split(':').skip(1).filter_map(number).sum();
        Ok(CallOutput { parts: vec![Part::Data(sum.to_string())], structured: Some(sum.to_string()), extra: vec![] })
    }
}

export!(Raw);
