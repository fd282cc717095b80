//! The custom section `everwit:description` of a component: what the component says about
//! itself, readable without running it.
//!
//! Its content is the canonical JSON of the [`ComponentDescription`]: UTF-8 without white space
//! between tokens, fields in the order in which the type declares them, absent fields left out,
//! free-form values (schemas) with their members sorted by name. The same description is the
//! same bytes.

use everwit_runtime::component::ComponentDescription;
use wasmparser::BinaryReader;

/// Name of the section.
const NAME: &str = "everwit:description";
/// Magic and version of a component.
const HEADER_BYTES: usize = 8;
const CUSTOM_SECTION: u8 = 0;

/// Appends the section.
pub(super) fn with_description(mut component: Vec<u8>, description: &ComponentDescription) -> Vec<u8> {
    let json = serde_json::to_vec(description).expect("a description has only string keys");
    let mut content = Vec::with_capacity(json.len() + NAME.len() + 5);
    push_leb(&mut content, NAME.len());
    content.extend_from_slice(NAME.as_bytes());
    content.extend_from_slice(&json);
    component.push(CUSTOM_SECTION);
    push_leb(&mut component, content.len());
    component.extend_from_slice(&content);
    component
}

/// Takes the section out, if it is there.
///
/// # Errors
/// If the bytes are not made of sections.
pub(super) fn without_description(component: &[u8]) -> Result<Vec<u8>, String> {
    let broken = |error: wasmparser::BinaryReaderError| format!("not a WebAssembly component: {error}");
    if component.len() < HEADER_BYTES {
        return Err("not a WebAssembly component: too short".to_owned());
    }
    let mut kept = component[..HEADER_BYTES].to_vec();
    let mut reader = BinaryReader::new(&component[HEADER_BYTES..], HEADER_BYTES);
    while !reader.eof() {
        let start = reader.original_position();
        let id = reader.read_u8().map_err(broken)?;
        let size = reader.read_var_u32().map_err(broken)?;
        let content = reader.read_bytes(size as usize).map_err(broken)?;
        let named = id == CUSTOM_SECTION && BinaryReader::new(content, 0).read_string().is_ok_and(|name| name == NAME);
        if !named {
            kept.extend_from_slice(&component[start..reader.original_position()]);
        }
    }
    Ok(kept)
}

fn push_leb(bytes: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn description() -> ComponentDescription {
        let json = serde_json::json!({
            "id": "calc", "title": "Calc", "version": "1.0.0", "summary": "x".repeat(300), "config_schema": {}, "tools": [],
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_section_is_found_where_it_was_put_and_taken_out_again() {
        let with = with_description(EMPTY.to_vec(), &description());
        let found = wasmparser::Parser::new(0).parse_all(&with).find_map(|payload| match payload.unwrap() {
            wasmparser::Payload::CustomSection(section) if section.name() == NAME => Some(section.data().to_vec()),
            _ => None,
        });
        assert_eq!(serde_json::from_slice::<ComponentDescription>(&found.unwrap()).unwrap(), description());
        assert_eq!(without_description(&with).unwrap(), EMPTY);
    }

    #[test]
    fn other_sections_stay_and_broken_ones_are_refused() {
        let mut other = EMPTY.to_vec();
        other.extend_from_slice(&[0, 5, 4, b'n', b'a', b'm', b'e']);
        assert_eq!(without_description(&with_description(other.clone(), &description())).unwrap(), other);
        other.extend_from_slice(&[0, 99]);
        assert!(without_description(&other).is_err());
    }
}
