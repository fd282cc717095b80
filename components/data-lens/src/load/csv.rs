//! CSV with a header.

use ::csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Trim};
use everwit_guest::{Failure, Result};

use super::{check_size, kinds};
use crate::cell::Cell;
use crate::table::{Column, Table};

/// Separators, the likeliest first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

pub(super) fn load(data: &str, null_values: &[String]) -> Result<Table> {
    let mut reader = ReaderBuilder::new().delimiter(separator(data)).trim(Trim::Headers).from_reader(data.as_bytes());
    let names = names(&mut reader)?;
    check_size(0, names.len())?;
    let mut columns: Vec<Vec<Cell>> = vec![Vec::new(); names.len()];
    let mut record = StringRecord::new();
    let mut rows = 0;
    while reader.read_record(&mut record).map_err(|error| invalid(&error))? {
        rows += 1;
        check_size(rows, names.len())?;
        for (cells, field) in columns.iter_mut().zip(&record) {
            let trimmed = field.trim();
            let null = null_values.iter().any(|null| null == trimmed);
            cells.push(if null { Cell::Null } else { Cell::Text(field.to_owned()) });
        }
    }
    let columns = names.into_iter().zip(columns).map(|(name, mut cells)| {
        let kind = kinds::convert(&mut cells);
        Column { name, kind, cells }
    });
    Ok(Table { rows, columns: columns.collect() })
}

fn names(reader: &mut Reader<&[u8]>) -> Result<Vec<String>> {
    let header = reader.headers().map_err(|error| invalid(&error))?;
    let mut names: Vec<String> = Vec::with_capacity(header.len());
    for (index, field) in header.iter().enumerate() {
        let name = match field {
            "" => format!("column_{}", index + 1),
            name => name.to_owned(),
        };
        if names.contains(&name) {
            return Err(Failure::invalid("duplicate_column", format!("two columns are named `{name}`")));
        }
        names.push(name);
    }
    Ok(names)
}

/// The separator that occurs most often in the header, outside of quotes.
fn separator(data: &str) -> u8 {
    let mut counts = [0_usize; SEPARATORS.len()];
    let mut quoted = false;
    for byte in data.bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            _ if quoted => {}
            _ => {
                if let Some(index) = SEPARATORS.iter().position(|&one| one == byte) {
                    counts[index] += 1;
                }
            }
        }
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    let index = counts.iter().position(|&count| count == most);
    SEPARATORS[index.unwrap_or(0)]
}

fn invalid(error: &::csv::Error) -> Failure {
    let message = match error.kind() {
        ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, ::csv::Position::line);
            format!("line {line} has {len} fields, and the header has {expected_len}")
        }
        _ => error.to_string(),
    };
    Failure::invalid("invalid_csv", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Kind;

    #[test]
    fn quoted_fields_may_span_lines() {
        let table = load("\"a\nb\",c\n\"x\ny\",1\n", &[]).expect("loads");
        assert_eq!(table.columns[0].name, "a\nb");
        assert_eq!(table.columns[0].cells, [Cell::Text("x\ny".into())]);
        assert_eq!(table.columns[1].kind, Kind::Integer);
    }
}
