//! Recorded HTTP of test cases: what left once is answered from a file afterwards, without a network.
//!
//! The file lies beside the cases, `NAME.http.json` for `NAME.toml`, and is made for reading and reviewing: for each case its exchanges in order.

mod scrub;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use everwit_runtime::egress::{ByteStream, CheckedRequest, Tape};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};

use self::scrub::Scrub;
use super::cases::Case;
use super::output::Failure;

/// Bytes of one file of recordings.
const MAX_FILE_BYTES: u64 = 32 << 20;
/// Bytes of one response that are recorded.
const MAX_RESPONSE_BYTES: usize = 4 << 20;
/// Bytes of a played request's head.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Exchanges of a case, in the order in which they began.
type Exchanges = Vec<Exchange>;

/// One request and its response.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    method: String,
    url: String,
    /// SHA-256 of the request's body, in hexadecimal; none if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_sha256: Option<String>,
    /// The response as it came, head and body.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<String>,
    /// The same in base64, if it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    response_base64: Option<String>,
}

impl Exchange {
    fn of(request: &CheckedRequest, scrub: &Scrub) -> Self {
        let scheme = if request.is_https() { "https" } else { "http" };
        let query = request.query().map(|query| format!("?{query}")).unwrap_or_default();
        let digest = || Sha256::digest(request.body()).iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            method: request.method().to_string(),
            url: scrub.url(&format!("{scheme}://{}{}{query}", request.authority(), request.path())),
            body_sha256: (!request.body().is_empty()).then(digest),
            response: None,
            response_base64: None,
        }
    }

    /// A URL that was written by hand may have what is never recorded.
    fn is_answer_to(&self, request: &Self, scrub: &Scrub) -> bool {
        (&self.method, scrub.url(&self.url), &self.body_sha256) == (&request.method, request.url.clone(), &request.body_sha256)
    }

    fn content(&self) -> Result<Vec<u8>, String> {
        match (&self.response, &self.response_base64) {
            (Some(text), None) => Ok(text.clone().into_bytes()),
            (None, Some(text)) => STANDARD.decode(text).map_err(|error| format!("the recorded response is no base64: {error}")),
            _ => Err("the recorded exchange must have one of `response` and `response_base64`".to_owned()),
        }
    }
}

/// The recordings of all cases in one place.
pub(super) struct Recordings {
    folder: PathBuf,
    recording: bool,
    /// Exchanges by file of cases and case.
    files: HashMap<String, BTreeMap<String, Exchanges>>,
    deck: Deck,
}

impl Recordings {
    /// Those beside the cases in a file or folder; with `recording` they are made anew.
    pub(super) fn beside(cases: &Path, recording: bool) -> Self {
        let folder = if cases.is_dir() { cases.to_owned() } else { cases.parent().unwrap_or(Path::new("")).to_owned() };
        Self { folder, recording, files: HashMap::new(), deck: Deck::default() }
    }

    /// What a gateway is to keep and to play.
    pub(super) fn tape(&self) -> Arc<dyn Tape> {
        Arc::new(self.deck.clone())
    }

    /// Begins a case: its requests are recorded, or answered from its recording; without one they leave. The schema tells the
    /// secrets of its configuration.
    pub(super) fn begin(&mut self, file: &str, case: &Case, config_schema: &Value) -> Result<(), Failure> {
        let mut state = self.deck.state();
        *state = State { scrub: Scrub::of(config_schema, &case.config), ..State::default() };
        if self.recording {
            state.recording = true;
            return Ok(());
        }
        if !self.files.contains_key(file) {
            self.files.insert(file.to_owned(), read(&self.path(file))?);
        }
        state.left = self.files[file].get(&case.name).cloned();
        Ok(())
    }

    /// Ends it.
    pub(super) fn end(&mut self, file: &str, case: &str) -> Result<(), Failure> {
        let State { recording, recorded, scrub, .. } = std::mem::take(&mut *self.deck.state());
        if !recording || recorded.is_empty() {
            return Ok(());
        }
        let exchanges = recorded.into_iter().map(|(mut exchange, response)| {
            if response.len() > MAX_RESPONSE_BYTES {
                return Err(Failure::failed(format!(
                    "case {case:?}: the response to {} {} is larger than the {MAX_RESPONSE_BYTES} bytes that are recorded\nto fix it: ask for less",
                    exchange.method, exchange.url
                )));
            }
            match String::from_utf8(scrub.response(&response)) {
                Ok(text) => exchange.response = Some(text),
                Err(error) => exchange.response_base64 = Some(STANDARD.encode(error.into_bytes())),
            }
            Ok(exchange)
        });
        let exchanges = exchanges.collect::<Result<_, _>>()?;
        self.files.entry(file.to_owned()).or_default().insert(case.to_owned(), exchanges);
        Ok(())
    }

    /// Writes what was recorded, and removes the files of cases that have sent nothing.
    pub(super) fn save(&self, files: impl Iterator<Item = String>) -> Result<(), Failure> {
        for file in files.filter(|_| self.recording) {
            let path = self.path(&file);
            let written = match self.files.get(&file) {
                Some(cases) => {
                    let json = serde_json::to_string_pretty(cases).map_err(|error| Failure::failed(error.to_string()))?;
                    fs::write(&path, json + "\n")
                }
                None => match fs::remove_file(&path) {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                    other => other,
                },
            };
            written.map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))?;
        }
        Ok(())
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file).with_extension("http.json")
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, Exchanges>, Failure> {
    let cannot = |error: &dyn std::fmt::Display| Failure::usage(format!("cannot read {}: {error}", path.display()));
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(cannot(&error)),
        Ok(found) if found.len() > MAX_FILE_BYTES => return Err(cannot(&format!("it has more than {MAX_FILE_BYTES} bytes"))),
        Ok(_) => {}
    }
    let text = fs::read_to_string(path).map_err(|error| cannot(&error))?;
    serde_json::from_str(&text).map_err(|error| cannot(&error))
}

/// What the running case has sent, and what it may be answered.
#[derive(Default)]
struct State {
    recording: bool,
    /// What is not recorded.
    scrub: Scrub,
    /// Requests with what has come of their responses.
    recorded: Vec<(Exchange, Vec<u8>)>,
    /// Recorded exchanges that were not asked for yet; none without a recording.
    left: Option<Exchanges>,
}

/// Records and plays the exchanges of the running case.
#[derive(Default, Clone)]
struct Deck {
    state: Arc<Mutex<State>>,
}

impl Deck {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tape for Deck {
    fn play(&self, request: &CheckedRequest) -> Result<Option<Box<dyn ByteStream>>, String> {
        let mut state = self.state();
        let State { left: Some(left), scrub, .. } = &mut *state else { return Ok(None) };
        let asked = Exchange::of(request, scrub);
        let Some(found) = left.iter().position(|exchange| exchange.is_answer_to(&asked, scrub)) else {
            return Err(format!("{} {} is not recorded, or not so often; everwit test --record records it", asked.method, asked.url));
        };
        let response = left.remove(found).content()?;
        let (near, far) = tokio::io::duplex(MAX_HEAD_BYTES);
        // Ends with the connection: the gateway drops its side.
        tokio::spawn(answer(far, response));
        Ok(Some(Box::new(near)))
    }

    fn record(&self, request: &CheckedRequest, connection: Box<dyn ByteStream>) -> Box<dyn ByteStream> {
        let mut state = self.state();
        if !state.recording {
            return connection;
        }
        let exchange = Exchange::of(request, &state.scrub);
        state.recorded.push((exchange, Vec::new()));
        Box::new(Recorded { connection, index: state.recorded.len() - 1, deck: self.clone() })
    }
}

/// Reads the head of a request, and answers it.
async fn answer(mut stream: DuplexStream, response: Vec<u8>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") && head.len() < MAX_HEAD_BYTES {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(&response).await?;
    stream.shutdown().await
}

/// A connection whose incoming bytes are kept.
struct Recorded {
    connection: Box<dyn ByteStream>,
    index: usize,
    deck: Deck,
}

impl AsyncRead for Recorded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.connection).poll_read(context, into);
        let mut state = self.deck.state();
        if let Some((_, response)) = state.recorded.get_mut(self.index)
            // One byte more tells that it is too large.
            && response.len() <= MAX_RESPONSE_BYTES
        {
            let came = &into.filled()[before..];
            response.extend_from_slice(&came[..came.len().min(MAX_RESPONSE_BYTES + 1 - response.len())]);
        }
        polled
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}
