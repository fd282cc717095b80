//! One value of a table: what it is, how it is read, written and compared.

use core::cmp::Ordering;

use serde::{Serialize, Serializer};

/// One value.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    /// Always finite.
    Float(f64),
    Text(String),
}

impl Cell {
    /// Reads a number as JSON writes it, with nothing lost: `None` for what is no number, such
    /// as a code with leading zeros, and for an integer that takes more than 64 bits.
    pub(crate) fn number(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, rest) = digits.split_at(prefix_of_digits(digits));
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        if rest.is_empty() {
            return text.parse().ok().map(Cell::Int);
        }
        let exponent = match rest.strip_prefix('.') {
            Some(fraction) => {
                let (digits, exponent) = fraction.split_at(prefix_of_digits(fraction));
                if digits.is_empty() {
                    return None;
                }
                exponent
            }
            None => rest,
        };
        if let Some(exponent) = exponent.strip_prefix(['e', 'E']) {
            let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if exponent.is_empty() || prefix_of_digits(exponent) < exponent.len() {
                return None;
            }
        } else if !exponent.is_empty() {
            return None;
        }
        let float: f64 = text.parse().ok()?;
        float.is_finite().then_some(Cell::Float(float))
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Cell::Null)
    }

    /// Whether both are numbers, texts or truth values.
    pub(crate) fn same_type(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }

    /// Place of its type in the order of types.
    fn rank(&self) -> u8 {
        match self {
            Cell::Null => 0,
            Cell::Bool(_) => 1,
            Cell::Int(_) | Cell::Float(_) => 2,
            Cell::Text(_) => 3,
        }
    }
}

/// Numbers by value, whether integer or not; texts by code point; different types by type,
/// nulls before all.
impl Ord for Cell {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Cell::Bool(left), Cell::Bool(right)) => left.cmp(right),
            (Cell::Int(left), Cell::Int(right)) => left.cmp(right),
            (Cell::Float(left), Cell::Float(right)) => compare_floats(*left, *right),
            (Cell::Int(left), Cell::Float(right)) => compare_mixed(*left, *right),
            (Cell::Float(left), Cell::Int(right)) => compare_mixed(*right, *left).reverse(),
            (Cell::Text(left), Cell::Text(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Cell {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Cell {}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Null => serializer.serialize_unit(),
            Cell::Bool(value) => serializer.serialize_bool(*value),
            Cell::Int(value) => serializer.serialize_i64(*value),
            Cell::Float(value) => serializer.serialize_f64(*value),
            Cell::Text(value) => serializer.serialize_str(value),
        }
    }
}

fn prefix_of_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Finite floats are ordered; only the two zeros are equal and differ in bits.
fn compare_floats(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or(Ordering::Equal)
}

/// Compares by value, without rounding the integer to a float.
fn compare_mixed(int: i64, float: f64) -> Ordering {
    /// 2^63, which every `i64` is below.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if float >= LIMIT {
        return Ordering::Less;
    }
    if float < -LIMIT {
        return Ordering::Greater;
    }
    // Within the limits the whole part is exact as an integer.
    let whole = float.trunc();
    int.cmp(&(whole as i64)).then_with(|| compare_floats(0.0, float - whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_strictly() {
        let check = |text: &str, json: &str| {
            let cell = Cell::number(text);
            let written = cell.map(|cell| serde_json::to_string(&cell).expect("writes"));
            assert_eq!(written.as_deref().unwrap_or("none"), json, "{text:?}");
        };
        for same in ["0", "-1", "9223372036854775807", "0.1", "-2.5", "12.0"] {
            check(same, same);
        }
        check("1e3", "1000.0");
        check("1.50E-1", "0.15");
        let not = [
            "",
            "-",
            "007",
            "00.5",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "1x",
            "1.5.2",
            "inf",
            "nan",
            "1,5",
            "0x10",
            "1e999",
            "9223372036854775808",
            "１",
        ];
        for text in not {
            check(text, "none");
        }
    }

    #[test]
    fn integers_and_floats_compare_by_value() {
        let big = 9_007_199_254_740_993;
        assert!(Cell::Int(big) > Cell::Float(9_007_199_254_740_992.0));
        assert_eq!(Cell::Int(3), Cell::Float(3.0));
        assert!(Cell::Int(-3) > Cell::Float(-3.5));
        assert!(Cell::Float(2.5) > Cell::Int(2));
        assert!(Cell::Int(i64::MAX) < Cell::Float(1e300));
        assert!(Cell::Int(i64::MIN) > Cell::Float(-1e300));
        assert_eq!(Cell::Float(0.0), Cell::Float(-0.0));
        assert!(Cell::Null < Cell::Bool(false) && Cell::Bool(true) < Cell::Int(0));
        assert!(Cell::Int(9) < Cell::Text("1".into()));
    }
}
