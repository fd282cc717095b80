//! What a capability costs in each language: the project that `everwit new` makes, built, uploaded and called, all in one run.
//!
//! `cargo xtask bench languages` writes the table of `docs/languages.md`. With `--test` one language goes the same way once, and the
//! table is only compared with the page.

mod author;
mod calls;
mod report;
mod server;

use std::time::Duration;

/// A language, and what its fresh-instance call may take.
pub(crate) struct Language {
    /// As `everwit new --lang` takes it.
    name: &'static str,
    title: &'static str,
    /// What the new project's author writes.
    source: &'static str,
    /// A line that changes nothing in it.
    comment: &'static str,
    /// Longest median of a call.
    goal: Duration,
    /// Longest time from an edit to its result in `everwit dev`, where one was set.
    edit_goal: Option<Duration>,
}

const LANGUAGES: [Language; 5] = [
    Language {
        name: "rust",
        title: "Rust",
        source: "src/lib.rs",
        comment: "// again",
        goal: Duration::from_micros(50),
        edit_goal: Some(Duration::from_secs(2)),
    },
    Language {
        name: "js",
        title: "JavaScript",
        source: "src/index.js",
        comment: "// again",
        goal: Duration::from_micros(300),
        edit_goal: Some(Duration::from_secs(3)),
    },
    Language {
        name: "python",
        title: "Python",
        source: "src/hello_python.py",
        comment: "# again",
        goal: Duration::from_micros(3_000),
        edit_goal: Some(Duration::from_secs(10)),
    },
    Language {
        name: "c",
        title: "C",
        source: "src/capability.c",
        comment: "/* again */",
        goal: Duration::from_micros(50),
        edit_goal: None,
    },
    Language { name: "go", title: "Go", source: "main.go", comment: "// again", goal: Duration::from_micros(1_500), edit_goal: None },
];
/// The language that is built in seconds.
const QUICKEST: &str = "c";

/// How much is measured.
struct Counts {
    /// How often each language is called after the others.
    rounds: usize,
    /// Calls of a round.
    calls: usize,
}

const FULL: Counts = Counts { rounds: 5, calls: 400 };
const SMOKE: Counts = Counts { rounds: 1, calls: 3 };

/// What one language costs.
pub(crate) struct Figures {
    language: &'static Language,
    project: author::Project,
    upload: server::Upload,
    call: calls::Calls,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let counts = if is_test { SMOKE } else { FULL };
    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut built = Vec::new();
    for language in LANGUAGES.iter().filter(|language| !is_test || language.name == QUICKEST) {
        eprintln!("building {}", language.title);
        built.push((language, author::build(language, folder.path()).await));
    }
    let server = server::Server::start(&folder.path().join("server")).await;
    let mut uploads = Vec::new();
    for (_, project) in &built {
        uploads.push(server.upload(project).await);
    }
    drop(server);
    let wasms: Vec<&[u8]> = built.iter().map(|(_, project)| project.wasm.as_slice()).collect();
    let calls = calls::measure(&wasms, &folder.path().join("artifacts"), &counts).await;
    let figures = built.into_iter().zip(uploads).zip(calls);
    let figures: Vec<Figures> = figures.map(|(((language, project), upload), call)| Figures { language, project, upload, call }).collect();
    report::tell(&figures);
    if is_test { report::compare(&figures) } else { report::write(&figures) }
}
