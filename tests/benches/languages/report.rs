//! The table of the page about languages.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Figures, LANGUAGES};

/// What is between these lines of the page is written by this.
const BEGIN: &str = "<!-- Written by `cargo xtask bench languages`; do not edit. -->";
const END: &str = "<!-- End of what it writes. -->";

/// A row: what it is, and the figure of a language.
type Row = (&'static str, fn(&Figures) -> String);

const ROWS: [Row; 11] = [
    ("lines of the new project's source", |figures| figures.project.lines.to_string()),
    ("`everwit build` after a change, s", |figures| format!("{:.1}", figures.project.rebuild.as_secs_f64())),
    ("from an edit to its result in `everwit dev`, s", |figures| {
        let seconds = format!("{:.1}", figures.project.edit.as_secs_f64());
        let Some(goal) = figures.language.edit_goal else { return seconds };
        let verdict = if figures.project.edit <= goal { "met" } else { "**missed**" };
        format!("{seconds}; goal {}: {verdict}", goal.as_secs())
    }),
    ("component, bytes", |figures| grouped(figures.project.wasm.len() as u64)),
    ("interfaces of WASI that it imports", |figures| figures.upload.wasi_imports.to_string()),
    ("upload until it is active, s", |figures| format!("{:.2}", figures.upload.active.as_secs_f64())),
    ("first call over HTTP, ms", |figures| millis(figures.upload.first_call)),
    ("a call in an instance of its own: p50, p99, ms", |figures| format!("{}, {}", millis(figures.call.p50), millis(figures.call.p99))),
    ("goal of the p50, ms", |figures| {
        let verdict = if figures.call.p50 <= figures.language.goal { "met" } else { "**missed**" };
        format!("{}: {verdict}", millis(figures.language.goal))
    }),
    ("fuel of `greet`", |figures| grouped(figures.upload.fuel)),
    ("peak memory of that call, KiB", |figures| grouped(figures.upload.peak_memory_bytes.div_ceil(1024))),
];

fn table(figures: &[Figures]) -> String {
    let head = line("", figures.iter().map(|figures| figures.language.title.to_owned()));
    let rule = line("---", figures.iter().map(|_| "---".to_owned()));
    let rows = ROWS.iter().map(|(what, figure)| line(what, figures.iter().map(figure)));
    [head, rule].into_iter().chain(rows).collect()
}

fn line(what: &str, cells: impl Iterator<Item = String>) -> String {
    format!("| {what} | {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// Prints the table.
pub(crate) fn tell(figures: &[Figures]) {
    eprintln!("{}", table(figures));
}

/// Puts the table into the page.
pub(crate) fn write(figures: &[Figures]) {
    let (page, old) = page();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let (before, after) = (old.split_once(BEGIN).expect("see above").0, old.split_once(END).expect("see above").1);
    let method = format!("Taken in one run with a release build on {cores} cores.");
    let text = format!("{before}{BEGIN}\n\n{}\n{method}\n\n{END}{after}", table(figures));
    std::fs::write(&page, text).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
}

/// That the page has the languages and the rows that would be written.
pub(crate) fn compare(figures: &[Figures]) {
    assert_eq!(table(figures).lines().count(), ROWS.len() + 2);
    let (page, text) = page();
    let written: Vec<&str> = text.lines().skip_while(|line| *line != BEGIN).take_while(|line| *line != END).collect();
    let titles = line("", LANGUAGES.iter().map(|language| language.title.to_owned()));
    assert!(written.contains(&titles.trim_end()), "{} has no {titles:?}", page.display());
    for (what, _) in ROWS {
        let begins = format!("| {what} | ");
        assert!(written.iter().any(|line| line.starts_with(&begins)), "{} has no row {what:?}", page.display());
    }
}

/// The page and its text, which has the place for the table.
fn page() -> (PathBuf, String) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/languages.md");
    let text = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    let places = (text.find(BEGIN), text.find(END));
    assert!(places.0.is_some() && places.0 < places.1, "{} must have the lines {BEGIN:?} and {END:?}", page.display());
    (page, text)
}

fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

/// A number with a comma before each group of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
