//! The structural gate: one linear pass over an upload, before anything validates or compiles it.
//!
//! It counts the shapes that make compiling explode (see [`rule`]) and checks imports and exports
//! against the contracts. It reports all that it finds. It never recurses on the input, skips
//! sections whose claims are over a limit, and keeps no more than the limits allow.
//!
//! Deliberately not here: whether the component is valid. The engine checks that, after the gate
//! has made it safe to try.

mod body;
mod finding;
mod module;
pub(crate) mod rule;
mod structure;
mod world;

use serde::{Deserialize, Serialize};
use wasmparser::{BinaryReader, CustomSectionReader, Encoding, KnownCustom, Parser, Payload, Result};

pub use finding::Finding;
#[cfg(feature = "testing")]
pub(crate) use finding::MAX_FINDINGS;
pub(crate) use finding::{quoted, quoted_up_to};

use finding::Findings;
use module::{ModuleShape, Modules};
use structure::{Flow, Structure};
use world::World;

use crate::component::ComponentKind;
use crate::limits::{MAX_COMPONENT_BYTES, MAX_JSON_BYTES};

/// Name of the custom section that holds a description as JSON.
pub(crate) const DESCRIPTION_SECTION: &str = "everwit:description";
/// Name of the custom section that holds a driver's recorded exchanges as JSON.
pub(crate) const EXCHANGES_SECTION: &str = "everwit:exchanges";
/// Producers that are kept; a toolchain names about five.
const MAX_PRODUCERS: usize = 16;

/// A tool that took part in making a component, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Producer {
    /// "language", "sdk" or "processed-by".
    pub role: String,
    /// Name, escaped.
    pub name: String,
    /// Version, escaped.
    pub version: String,
}

/// What can be known about a component without compiling or running it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Inspection {
    /// What it implements; none if that is among the findings.
    pub kind: Option<ComponentKind>,
    /// WIT names of its imports.
    pub imports: Vec<String>,
    /// WIT names of its exports.
    pub exports: Vec<String>,
    /// Who made it.
    pub producers: Vec<Producer>,
    /// The custom section `everwit:description`, if it has one: JSON text that nobody checked yet.
    pub description: Option<String>,
    /// The custom section `everwit:exchanges`, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchanges: Option<String>,
    /// Size of the largest memory at start, in bytes.
    pub min_memory_bytes: u64,
    /// Elements of the largest table at start.
    pub table_elements: u64,
}

/// Judges the first bytes alone: what is not a component by its magic number. Cheap and safe
/// anywhere; everything else of the gate belongs into the compiler's process.
pub(crate) fn judge_magic(upload: &[u8]) -> Option<Finding> {
    /// Magic number and version 13, layer 1.
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    /// Magic number and version 1, layer 0.
    const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
    /// Precompiled code is an ELF file.
    const ELF: &[u8] = b"\x7fELF";

    let (code, detail, fix) = if upload.len() > MAX_COMPONENT_BYTES {
        let detail = format!("{} bytes; at most {MAX_COMPONENT_BYTES} are allowed", upload.len());
        ("component_too_large", detail, "strip debug information (wasm-tools strip), optimize for size")
    } else if upload.starts_with(COMPONENT) {
        return None;
    } else if upload.starts_with(CORE_MODULE) {
        ("core_module", "this is a core module".to_owned(), "build a component (everwit build)")
    } else if upload.starts_with(ELF) {
        ("precompiled_artifact", "this is machine code, not WebAssembly".to_owned(), "upload the .wasm file; the host compiles it itself")
    } else {
        ("not_wasm", "this is not a WebAssembly component".to_owned(), "upload the binary .wasm file that `everwit build` makes")
    };
    Some(Finding::new(code, None, detail, fix))
}

/// Inspects an upload. It may be compiled only if there are no findings.
pub fn inspect(upload: &[u8]) -> (Inspection, Vec<Finding>) {
    if let Some(finding) = judge_magic(upload) {
        return (Inspection::default(), vec![finding]);
    }
    let mut gate = Gate::new();
    let mut findings = Findings::default();
    match gate.pass(upload) {
        // The world of a component that was not read to its end is not known.
        Ok(Flow::Stop) => {}
        Ok(Flow::Continue) => gate.inspection.kind = gate.world.check(&mut findings),
        Err(error) => {
            let detail = format!("not readable at byte {}: {}", error.offset(), quoted(error.message()));
            findings.add("malformed", None, detail, "build it again; the file may be cut off or damaged");
        }
    }
    gate.structure.report(&mut findings);
    gate.modules.report(&mut findings);
    gate.report_sections(&mut findings);
    (gate.into_inspection(), findings.into_vec())
}

/// Keeps a section of JSON. Linkers put sections into the core module or at the component's top;
/// either is read, and copies must agree.
fn keep(data: &[u8], kept: &mut Option<String>, fault: &mut Option<&'static str>) {
    let text = (data.len() <= MAX_JSON_BYTES).then(|| str::from_utf8(data).ok()).flatten();
    match (text, kept.as_ref()) {
        (None, _) => *fault = Some("is not UTF-8 text of at most 1 MiB"),
        (Some(text), Some(earlier)) if text != earlier => *fault = Some("appears twice with different content"),
        (Some(_), Some(_)) => {}
        (Some(text), None) => *kept = Some(text.to_owned()),
    }
}

/// The text of a section `everwit:description`, if these bytes are one such section and nothing else.
pub(crate) fn only_description(bytes: &[u8]) -> Option<&str> {
    /// Id of custom sections, in components as in modules.
    const CUSTOM: u8 = 0;

    let mut section = BinaryReader::new(bytes, 0);
    if section.read_u8().ok()? != CUSTOM {
        return None;
    }
    let size = section.read_var_u32().ok()?;
    let mut content = BinaryReader::new(section.read_bytes(size as usize).ok()?, 0);
    let named = section.eof() && content.read_string().ok()? == DESCRIPTION_SECTION;
    let text = str::from_utf8(content.read_bytes(content.bytes_remaining()).ok()?).ok()?;
    (named && text.len() <= MAX_JSON_BYTES).then_some(text)
}

/// State of the pass.
struct Gate {
    structure: Structure,
    modules: Modules,
    world: World,
    /// The core module that is being read.
    module: Option<ModuleShape>,
    inspection: Inspection,
    bad_description: Option<&'static str>,
    bad_exchanges: Option<&'static str>,
}

impl Gate {
    fn new() -> Self {
        Self {
            structure: Structure::new(),
            modules: Modules::new(),
            world: World::default(),
            module: None,
            inspection: Inspection::default(),
            bad_description: None,
            bad_exchanges: None,
        }
    }

    fn pass(&mut self, upload: &[u8]) -> Result<Flow> {
        for payload in Parser::new(0).parse_all(upload) {
            if self.payload(upload, payload?)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Continue)
    }

    fn payload(&mut self, upload: &[u8], payload: Payload<'_>) -> Result<Flow> {
        if let Payload::CustomSection(section) = &payload {
            self.custom(section);
            return Ok(Flow::Continue);
        }
        if let Some(shape) = &mut self.module {
            let end = matches!(payload, Payload::End(_));
            self.modules.section(shape, payload)?;
            if let Some(shape) = self.module.take_if(|_| end) {
                self.structure.leave_module(&shape);
            }
            return Ok(Flow::Continue);
        }
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } => Ok(Flow::Continue),
            Payload::ModuleSection { .. } => {
                self.module = Some(ModuleShape::default());
                Ok(self.structure.enter_module())
            }
            Payload::ComponentSection { .. } => Ok(self.structure.enter()),
            Payload::End(_) => {
                self.structure.leave();
                Ok(Flow::Continue)
            }
            Payload::ComponentImportSection(imports) => {
                if !self.modules.imports.add(imports.count().into()) {
                    return Ok(Flow::Stop);
                }
                if self.structure.at_root() {
                    for import in imports.clone() {
                        let import = import?;
                        self.world.import(import.name.name, matches!(import.ty, wasmparser::ComponentTypeRef::Instance(_)));
                    }
                }
                self.structure.section(upload, Payload::ComponentImportSection(imports))
            }
            Payload::ComponentExportSection(exports) => {
                if self.structure.at_root() {
                    for export in exports.clone() {
                        let export = export?;
                        self.world.export(export.name.name, export.kind == wasmparser::ComponentExternalKind::Instance);
                    }
                }
                self.structure.section(upload, Payload::ComponentExportSection(exports))
            }
            other => self.structure.section(upload, other),
        }
    }

    fn custom(&mut self, section: &CustomSectionReader<'_>) {
        if section.name() == DESCRIPTION_SECTION {
            keep(section.data(), &mut self.inspection.description, &mut self.bad_description);
        } else if section.name() == EXCHANGES_SECTION {
            keep(section.data(), &mut self.inspection.exchanges, &mut self.bad_exchanges);
        } else if let KnownCustom::Producers(fields) = section.as_known() {
            // Information only: what cannot be read is left out.
            for field in fields.into_iter().map_while(Result::ok) {
                for value in field.values.into_iter().map_while(Result::ok) {
                    let producer = Producer { role: field.name.to_owned(), name: quoted(value.name), version: quoted(value.version) };
                    let producers = &mut self.inspection.producers;
                    if producers.len() >= MAX_PRODUCERS {
                        return;
                    }
                    if !producers.contains(&producer) {
                        producers.push(producer);
                    }
                }
            }
        }
    }

    fn report_sections(&self, findings: &mut Findings) {
        let sections = [
            ("description_invalid", DESCRIPTION_SECTION, self.bad_description),
            ("exchanges_invalid", EXCHANGES_SECTION, self.bad_exchanges),
        ];
        for (code, name, fault) in sections {
            if let Some(fault) = fault {
                findings.add(code, None, format!("the custom section {name} {fault}"), "let the SDK write the section, once");
            }
        }
    }

    fn into_inspection(self) -> Inspection {
        Inspection {
            imports: self.world.import_names(),
            exports: self.world.export_names(),
            min_memory_bytes: self.modules.min_memory_bytes(),
            table_elements: self.modules.largest_table(),
            ..self.inspection
        }
    }
}
