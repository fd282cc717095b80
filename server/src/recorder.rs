//! Writes exchanges with models as fixtures for driver components, for their authors.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use everwit_runtime::driver::{ExchangeRecorder, RecordedExchange};
use serde_json::json;

/// Files of one process; a server that somebody forgot must not fill the disk.
const MAX_FILES: u32 = 1_000;
const PRIVATE_DIR: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// Writes each exchange into a file of a directory: `<driver>-<process>-<number>.json`, in the form of
/// `everwit:exchanges`. They have no credentials, but everything that was said.
pub(crate) struct ExchangeFiles {
    dir: PathBuf,
    written: Arc<AtomicU32>,
}

impl ExchangeFiles {
    /// Makes the directory if it is missing.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn in_dir(dir: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(PRIVATE_DIR).create(dir)?;
        fs::read_dir(dir)?;
        Ok(Self { dir: dir.to_owned(), written: Arc::default() })
    }
}

impl ExchangeRecorder for ExchangeFiles {
    fn record(&self, exchange: RecordedExchange) {
        let number = self.written.fetch_add(1, Ordering::Relaxed) + 1;
        if number > MAX_FILES {
            if number == MAX_FILES + 1 {
                tracing::warn!("no further exchanges are recorded: {MAX_FILES} files are enough");
            }
            return;
        }
        let path = self.dir.join(format!("{}-{}-{number}.json", exchange.driver, std::process::id()));
        // Called where nothing may block.
        tokio::task::spawn_blocking(move || match write(&path, &exchange, number) {
            Ok(()) => tracing::info!(file = %path.display(), "an exchange was recorded"),
            Err(problem) => tracing::warn!(driver = exchange.driver, problem, "an exchange was not recorded"),
        });
    }
}

fn write(path: &Path, exchange: &RecordedExchange, number: u32) -> Result<(), String> {
    let fixture = exchange.to_fixture(&format!("recorded {number}"))?;
    let text = serde_json::to_string_pretty(&json!({ "exchanges": [fixture] })).map_err(|error| error.to_string())?;
    let file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use everwit_runtime::driver::ResponseHead;

    use super::*;

    fn exchange() -> RecordedExchange {
        let head = ResponseHead { status: 200, headers: Vec::new() };
        RecordedExchange { driver: "plain".to_owned(), head, is_complete: true, ..RecordedExchange::default() }
    }

    #[test]
    fn an_exchange_becomes_a_file_that_nobody_else_reads() {
        let folder = tempfile::tempdir().unwrap();
        let files = ExchangeFiles::in_dir(&folder.path().join("recordings")).unwrap();
        let path = files.dir.join("plain-1.json");
        write(&path, &exchange(), 1).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE_FILE);
        assert_eq!(fs::metadata(&files.dir).unwrap().permissions().mode() & 0o777, PRIVATE_DIR);
        let written: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(written["exchanges"][0]["name"], "recorded 1");
        assert!(write(&path, &exchange(), 1).unwrap_err().contains("plain-1.json"), "no file is overwritten");
        let cut = RecordedExchange { is_complete: false, ..exchange() };
        assert_eq!(write(&files.dir.join("cut.json"), &cut, 2), Err("there is no whole answer".to_owned()));
        assert_eq!(fs::read_dir(&files.dir).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(ExchangeFiles::in_dir(&file.path().join("recordings")).is_err());
    }
}
