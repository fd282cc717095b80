//! Uploads as text, and the compiler under test.

use std::path::Path;

use everwit_runtime::sandbox::{AdmitError, ArtifactCache, Compiler, CompilerCommand, Rejection};

/// The two exports of a capability, as empty instances: all that the gate asks for.
const WORLD: &str = r#"
    (instance $world)
    (export "everwit:capability/describe@1.0.0" (instance $world))
    (export "everwit:capability/tools@1.0.0" (instance $world))
"#;

/// A component with the exports of a capability and `body`.
pub(crate) fn capability(body: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {body} {WORLD})")).expect("valid text")
}

/// A capability with one core module, which is not instantiated.
pub(crate) fn module(fields: &str) -> Vec<u8> {
    capability(&format!("(core module {fields})"))
}

/// A capability that computes something, so that there is code. Without identifiers, which would
/// add an optional name section.
pub(crate) fn working(answer: u32) -> Vec<u8> {
    let wat = format!(
        r#"(component
            (core module
                (memory (export "memory") 1)
                (func (export "answer") (result i32) i32.const {answer}))
            (core instance (instantiate 0))
            (alias core export 0 "answer" (core func))
            (type (func (result u32)))
            (func (type 0) (canon lift (core func 0)))
            (instance (export "answer" (func 0)))
            (export "everwit:capability/describe@1.0.0" (instance 0))
            (export "everwit:capability/tools@1.0.0" (instance 0)))"#
    );
    wat::parse_str(wat).expect("valid text")
}

/// A component that instantiates a core module two to the power of `levels` times.
pub(crate) fn doubling(levels: usize) -> Vec<u8> {
    let mut wat = String::from(
        r#"(component $c0
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func (export "f") (canon lift (core func $i "f"))))"#,
    );
    for level in 1..=levels {
        let inner = level - 1;
        wat.push_str(&format!(
            "(component $c{level} (alias outer 1 $c{inner} (component $c)) (instance (instantiate $c)) (instance (instantiate $c)))"
        ));
    }
    capability(&format!("{wat} (instance (instantiate $c{levels}))"))
}

/// `count` loops inside each other, through each of which `width` values go.
pub(crate) fn wide_blocks(width: usize, count: usize) -> Vec<u8> {
    let values = "i32 ".repeat(width);
    let constants = "i32.const 1 ".repeat(width);
    let (open, close) = ("loop (type 0) ".repeat(count), "end ".repeat(count));
    module(&format!("(type (func (param {values}) (result {values}))) (func {constants} {open} {close} unreachable)"))
}

/// `count` calls in a row, each of which takes and gives `width` values.
pub(crate) fn wide_calls(width: usize, count: usize) -> Vec<u8> {
    let values = "i32 ".repeat(width);
    let (constants, calls) = ("i32.const 1 ".repeat(width), "call 0 ".repeat(count));
    module(&format!("(func (param {values}) (result {values}) {constants} {calls})"))
}

/// `loops` loops inside each other, each of which changes one of `locals` locals.
pub(crate) fn loops_and_locals(loops: usize, locals: usize) -> Vec<u8> {
    let declared = "i32 ".repeat(locals);
    let mut body = String::new();
    for n in 0..loops {
        let local = n % locals;
        body.push_str(&format!("loop local.get {local} i32.const 1 i32.add local.tee {local} br_if 0 "));
    }
    body.push_str(&"end ".repeat(loops));
    for n in 0..locals {
        body.push_str(&format!("local.get {n} drop "));
    }
    module(&format!("(func (local {declared}) {body})"))
}

/// `functions` functions with `locals` locals of a kind that is used.
pub(crate) fn functions_with_locals(functions: usize, locals: usize) -> Vec<u8> {
    let declared = "i64 ".repeat(locals);
    // The text format would hold each declaration; the binary one holds one pair a function.
    let one = module(&format!("(func (local {declared}))"));
    repeat_only_function(&one, functions)
}

/// Rewrites a capability with one module of one function so that the module has `count` of them.
fn repeat_only_function(component: &[u8], count: usize) -> Vec<u8> {
    let body = {
        let mut body = None;
        for payload in wasmparser::Parser::new(0).parse_all(component) {
            if let wasmparser::Payload::CodeSectionEntry(entry) = payload.expect("valid") {
                body = Some(component[entry.range()].to_vec());
            }
        }
        body.expect("a function")
    };
    let mut module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0".to_vec();
    let mut functions = leb(count);
    functions.extend(std::iter::repeat_n(0, count));
    push_section(&mut module, 3, &functions);
    let mut code = leb(count);
    for _ in 0..count {
        code.extend(leb(body.len()));
        code.extend(&body);
    }
    push_section(&mut module, 10, &code);
    // Everything after the component's preamble and its only core module stays.
    let after = 8 + 1 + leb_len(&component[9..]) + leb_value(&component[9..]);
    let mut rewritten = component[..8].to_vec();
    push_section(&mut rewritten, 1, &module);
    rewritten.extend(&component[after..]);
    rewritten
}

/// Appends a section.
pub(crate) fn push_section(wasm: &mut Vec<u8>, id: u8, content: &[u8]) {
    wasm.push(id);
    wasm.extend(leb(content.len()));
    wasm.extend(content);
}

/// An unsigned number as LEB128.
pub(crate) fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn leb_len(bytes: &[u8]) -> usize {
    1 + bytes.iter().take_while(|byte| **byte & 0x80 != 0).count()
}

fn leb_value(bytes: &[u8]) -> usize {
    bytes[..leb_len(bytes)].iter().rev().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f))
}

/// The compiler's process of the tests. It starts without the environment of this one, and is told by its own which
/// control is switched off.
pub(crate) fn child() -> CompilerCommand {
    let program = env!("CARGO_BIN_EXE_compile-child");
    match crate::support::mutation::environment() {
        Some((name, control)) => {
            CompilerCommand { program: "/usr/bin/env".into(), args: vec![format!("{name}={control}").into(), program.into()] }
        }
        None => CompilerCommand { program: program.into(), args: vec![] },
    }
}

/// A shell script in place of the compiler's process; `$0` in it is the real one.
pub(crate) fn script(text: &str) -> CompilerCommand {
    let real = env!("CARGO_BIN_EXE_compile-child");
    CompilerCommand { program: "/bin/sh".into(), args: vec!["-c".into(), text.into(), real.into()] }
}

/// Key of the cache in tests.
pub(crate) const KEY: [u8; 32] = [7; 32];

/// A compiler with a cache in `directory`.
pub(crate) fn compiler(command: CompilerCommand, directory: &Path) -> Compiler {
    crate::support::mutation::apply();
    Compiler::new(command, ArtifactCache::open(directory, KEY).expect("a directory")).expect("valid settings")
}

/// Codes of the findings of a refused upload.
pub(crate) async fn refusal(compiler: &Compiler, upload: Vec<u8>) -> Vec<String> {
    codes(&rejection(compiler, upload).await)
}

/// The rejection of a refused upload.
pub(crate) async fn rejection(compiler: &Compiler, upload: Vec<u8>) -> Rejection {
    match compiler.admit(upload.into()).await {
        Err(AdmitError::Rejected(rejection)) => (*rejection).clone(),
        other => panic!("not refused: {other:?}"),
    }
}

fn codes(rejection: &Rejection) -> Vec<String> {
    rejection.findings.iter().map(|finding| finding.code.clone()).collect()
}
