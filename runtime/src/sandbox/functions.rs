//! Compiled functions of earlier components. Who edits a component and builds it again has mostly the functions that were
//! compiled the last time, in a language engine all but none others; they are found by what they are compiled from.
//!
//! On the pipe and in the cache they are one after the other: the lengths of key and code, each a little-endian `u32`, key,
//! code.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::{Buf as _, Bytes};
use wasmtime::CacheStore;

/// What is kept of all components together, in bytes: CPython has 31 MB, QuickJS 3 MB.
pub(super) const MAX_FUNCTIONS_BYTES: usize = 64 << 20;
/// Components below this size, in bytes, are compiled sooner than the functions of others are read.
pub(super) const MIN_UPLOAD_BYTES: usize = 256 << 10;
/// Length of the two lengths, in bytes.
const LENGTHS_BYTES: usize = 8;

/// The functions that one compile finds and adds.
#[derive(Debug, Default)]
pub(super) struct Functions {
    known: HashMap<Bytes, Known>,
    added: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
}

#[derive(Debug)]
struct Known {
    code: Bytes,
    /// Whether this compile asked for it: what no compile asks for makes room.
    is_used: AtomicBool,
}

impl Functions {
    /// Those of earlier compiles.
    ///
    /// # Errors
    /// `InvalidData` if lengths do not fit the bytes.
    pub(super) fn read(mut bytes: Bytes) -> io::Result<Self> {
        let mut known = HashMap::new();
        while bytes.has_remaining() {
            let lengths = (bytes.remaining() >= LENGTHS_BYTES).then(|| (bytes.get_u32_le() as usize, bytes.get_u32_le() as usize));
            let fitting = lengths.filter(|(key, code)| key.checked_add(*code).is_some_and(|both| both <= bytes.remaining()));
            let (key, code) = fitting.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "lengths of functions beyond their end"))?;
            let (key, code) = (bytes.split_to(key), bytes.split_to(code));
            known.insert(key, Known { code, is_used: AtomicBool::new(false) });
        }
        Ok(Self { known, added: Mutex::default() })
    }

    /// What is kept for the next compile, in the order of its worth: used by this one, then whatever fits beside.
    /// At most [`MAX_FUNCTIONS_BYTES`] together.
    fn kept<'a>(&'a self, added: &'a HashMap<Vec<u8>, Vec<u8>>) -> Vec<(&'a [u8], &'a [u8])> {
        let known = |used: bool| {
            let alike = self.known.iter().filter(move |(_, known)| known.is_used.load(Ordering::Relaxed) == used);
            alike.map(|(key, known)| (key.as_ref(), known.code.as_ref()))
        };
        let added = added.iter().map(|(key, code)| (key.as_slice(), code.as_slice()));
        let mut left = MAX_FUNCTIONS_BYTES;
        let fits = |(key, code): &(&[u8], &[u8])| {
            let rest = left.checked_sub(LENGTHS_BYTES + key.len() + code.len());
            left = rest.unwrap_or(left);
            rest.is_some()
        };
        known(true).chain(added).chain(known(false)).filter(fits).collect()
    }

    /// Writes what is kept, and before it how many bytes that is, as a little-endian `u64`.
    ///
    /// # Errors
    /// Those of the writer.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.kept(&added);
        let bytes: usize = kept.iter().map(|(key, code)| LENGTHS_BYTES + key.len() + code.len()).sum();
        out.write_all(&(bytes as u64).to_le_bytes())?;
        for (key, code) in kept {
            for part in [key, code] {
                let length = u32::try_from(part.len()).map_err(io::Error::other)?;
                out.write_all(&length.to_le_bytes())?;
            }
            out.write_all(key)?;
            out.write_all(code)?;
        }
        Ok(())
    }
}

impl CacheStore for Functions {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        if let Some(known) = self.known.get(key) {
            known.is_used.store(true, Ordering::Relaxed);
            return Some(Cow::Borrowed(&known.code));
        }
        let added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        added.get(key).map(|code| Cow::Owned(code.clone()))
    }

    fn insert(&self, key: &[u8], code: Vec<u8>) -> bool {
        self.added.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_vec(), code);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wasmtime::Engine;

    use super::super::engine::{EngineClass, Purpose, config};
    use super::*;

    /// A component of two functions and a word of data.
    fn component(data: &str, second: &str) -> Vec<u8> {
        let text = format!(
            r#"(component (core module
                (memory 1) (data (i32.const 0) "{data}")
                (func (export "a") (result i32) i32.const 7)
                (func (export "b") (param i32) (result i32) {second})))"#
        );
        wat::parse_str(text).expect("a component")
    }

    fn compile(wasm: &[u8], functions: Option<&Arc<Functions>>) -> Vec<u8> {
        let mut config = config(EngineClass::Small, Purpose::Compile);
        if let Some(functions) = functions {
            config.enable_incremental_compilation(functions.clone()).expect("a compiler");
        }
        Engine::new(&config).expect("an engine").precompile_component(wasm).expect("compiled")
    }

    /// As the next compile gets them.
    fn next(functions: &Functions) -> Arc<Functions> {
        let mut written = Vec::new();
        functions.write(&mut written).expect("written");
        Arc::new(Functions::read(Bytes::from(written).slice(8..)).expect("read"))
    }

    fn added(functions: &Functions) -> usize {
        functions.added.lock().expect("no panic").len()
    }

    #[test]
    fn only_what_was_changed_is_compiled_and_the_code_is_the_same() {
        let first = Arc::new(Functions::default());
        compile(&component("one", "local.get 0"), Some(&first));
        let all = added(&first);
        assert!(all >= 2, "{all}");
        let other_data = component("two", "local.get 0");
        let second = next(&first);
        assert_eq!(compile(&other_data, Some(&second)), compile(&other_data, None));
        assert_eq!(added(&second), 0);
        let other_code = component("two", "local.get 0 i32.const 1 i32.add");
        let third = next(&second);
        assert_eq!(compile(&other_code, Some(&third)), compile(&other_code, None));
        assert_eq!(added(&third), 1);
        assert_eq!(next(&third).known.len(), all + 1);
    }

    #[test]
    fn what_nobody_asks_for_makes_room() {
        let half = MAX_FUNCTIONS_BYTES / 2;
        let first = Functions::default();
        assert!(first.insert(b"asked for", vec![1; half]) && first.insert(b"not", vec![2; half - 64]));
        let second = next(&first);
        assert!(second.get(b"asked for").is_some() && second.insert(b"new", vec![3; 64]));
        let third = next(&second);
        assert!(third.get(b"asked for").is_some() && third.get(b"new").is_some() && third.get(b"not").is_none());
    }

    #[test]
    fn lengths_beyond_the_end_are_an_error() {
        let functions = Functions::default();
        functions.insert(b"key", vec![1, 2, 3]);
        let mut written = Vec::new();
        functions.write(&mut written).expect("written");
        for end in 9..written.len() {
            assert!(Functions::read(Bytes::copy_from_slice(&written[8..end])).is_err(), "{end}");
        }
        assert!(Functions::read(Bytes::from_static(&[255; 8])).is_err());
    }
}
