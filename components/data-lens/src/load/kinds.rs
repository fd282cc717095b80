//! What a column holds.

use crate::cell::Cell;
use crate::table::Kind;

/// Turns a column of texts into the narrowest kind that loses nothing, and says which.
pub(super) fn convert(cells: &mut Vec<Cell>) -> Kind {
    let readers: [fn(&str) -> Option<Cell>; 2] = [boolean, Cell::number];
    for read in readers {
        let converted = cells.iter().map(|cell| match cell {
            Cell::Text(text) => read(text.trim()),
            other => Some(other.clone()),
        });
        // Ends at the first value that does not fit.
        if let Some(converted) = converted.collect::<Option<Vec<Cell>>>() {
            *cells = converted;
            break;
        }
    }
    of(cells)
}

/// The kind of a column whose cells have their types already.
pub(super) fn of(cells: &[Cell]) -> Kind {
    let mut kind = Kind::Empty;
    for cell in cells {
        let this = match cell {
            Cell::Null => continue,
            Cell::Bool(_) => Kind::Boolean,
            Cell::Int(_) => Kind::Integer,
            Cell::Float(_) => Kind::Number,
            Cell::Text(_) => Kind::Text,
        };
        kind = match (kind, this) {
            (Kind::Empty, this) => this,
            (kind, this) if kind == this => kind,
            (kind, this) if kind.is_numeric() && this.is_numeric() => Kind::Number,
            _ => return Kind::Mixed,
        };
    }
    if kind == Kind::Text && all_dates(cells) {
        return Kind::Date;
    }
    kind
}

fn boolean(text: &str) -> Option<Cell> {
    if text.eq_ignore_ascii_case("true") {
        Some(Cell::Bool(true))
    } else if text.eq_ignore_ascii_case("false") {
        Some(Cell::Bool(false))
    } else {
        None
    }
}

/// Whether all texts are dates of one form, so that comparing the texts compares the times.
fn all_dates(cells: &[Cell]) -> bool {
    let mut forms = cells.iter().filter_map(|cell| match cell {
        Cell::Text(text) => Some(date_form(text)),
        _ => None,
    });
    match forms.next() {
        Some(Some(first)) => forms.all(|form| form == Some(first)),
        _ => false,
    }
}

/// The form of a date: its separator, and what follows the day with digits made equal. `None`
/// if it is no date, or one with an offset, which does not sort by time.
fn date_form(text: &str) -> Option<(u8, usize)> {
    let bytes = text.as_bytes();
    let separator = *bytes.get(4)?;
    if !b"-/".contains(&separator) || bytes.get(7) != Some(&separator) {
        return None;
    }
    let number = |range: core::ops::Range<usize>| -> Option<u32> {
        let digits = bytes.get(range)?;
        let all = digits.iter().all(u8::is_ascii_digit);
        all.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    if !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    let Some((b'T' | b' ', time)) = bytes[10..].split_first() else {
        return (bytes.len() == 10).then_some((separator, 10));
    };
    let time = time.strip_suffix(b"Z").unwrap_or(time);
    let clock = |at: usize, below: u32| number(11 + at..13 + at).is_some_and(|n| n < below);
    let minutes = clock(0, 24) && time.get(2) == Some(&b':') && clock(3, 60);
    let seconds = match time.get(5..) {
        Some([]) => true,
        Some([b':', _, _, fraction @ ..]) => clock(6, 60) && is_fraction(fraction),
        _ => false,
    };
    (minutes && seconds).then_some((separator, bytes.len()))
}

fn is_fraction(bytes: &[u8]) -> bool {
    match bytes {
        [] => true,
        [b'.', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Days of a month; 0 if there is no such month.
fn days_of(year: u32, month: u32) -> u32 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(texts: &[&str]) -> Kind {
        let mut cells: Vec<_> = texts.iter().map(|text| Cell::Text((*text).into())).collect();
        convert(&mut cells)
    }

    #[test]
    fn dates_have_one_form() {
        for date in ["2024-02-29", "2023/12/31", "2024-01-01T23:59", "2024-01-01 00:00:59", "2024-01-01T00:00:00.123Z"] {
            assert_eq!(kind(&[date, date]), Kind::Date, "{date}");
        }
        for text in [
            "2023-02-29",
            "2024-13-01",
            "2024-1-1",
            "2024-01/01",
            "2024-01-01x",
            "2024-01-01T24:00",
            "2024-01-01T10:00:00.",
            "2024-01-01T10:00:00+02:00",
            "ä024-01-01",
        ] {
            assert_eq!(kind(&[text]), Kind::Text, "{text}");
        }
        assert_eq!(kind(&["2024-01-01", "2024-01-01T10:00"]), Kind::Text);
    }

    #[test]
    fn spaces_around_numbers_do_not_matter() {
        assert_eq!(kind(&[" 1", "2 "]), Kind::Integer);
        assert_eq!(kind(&[" 1", "x"]), Kind::Text);
    }
}
