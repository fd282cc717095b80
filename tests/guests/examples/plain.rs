//! A component of somebody who has never heard of us: plain functions, none of our packages.

#![expect(missing_docs, unsafe_code, reason = "generated bindings")]

use std::cell::Cell;

wit_bindgen::generate!({ path: "wit-plain", world: "plain" });

use exports::docs::shapes::figures::{self, Everything, Figure, GuestPen, Marks, Pen, Problem, UnitKind};
use exports::docs::shapes::texts;

struct Plain;

struct Brush(f64);

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

fn length(figure: &Figure) -> f64 {
    match figure {
        Figure::Dot => 0.0,
        Figure::Circle(radius) => radius * std::f64::consts::TAU,
        Figure::PolyLine(points) => {
            points.windows(2).map(|ends| (ends[1].x - ends[0].x).hypot(ends[1].y - ends[0].y)).sum()
        }
    }
}

impl figures::Guest for Plain {
    type Pen = Brush;

    fn longest(figures: Vec<Figure>) -> Result<Figure, Problem> {
        if let Some(Figure::PolyLine(points)) =
            figures.iter().find(|figure| matches!(figure, Figure::PolyLine(line) if line.len() < 2))
        {
            return Err(Problem::TooFewPoints(format!("a line of {} points", points.len())));
        }
        figures.into_iter().max_by(|one, other| length(one).total_cmp(&length(other))).ok_or(Problem::NoneGiven)
    }

    fn describe(figure: Figure, unit: UnitKind, marks: Marks, scale: Option<f32>) -> String {
        format!("{:.1} {unit:?} {marks:?} {scale:?}", length(&figure))
    }

    fn mirror(value: Everything) -> Everything {
        value
    }

    fn numbers(
        a: u8,
        b: i8,
        c: u16,
        d: i16,
        e: u32,
        f: i32,
        g: u64,
        h: i64,
        i: f32,
        j: f64,
        k: bool,
        l: char,
    ) -> Vec<String> {
        let numbers = [a.to_string(), b.to_string(), c.to_string(), d.to_string(), e.to_string(), f.to_string()];
        numbers
            .into_iter()
            .chain([g.to_string(), h.to_string(), i.to_string(), j.to_string(), k.to_string(), l.to_string()])
            .collect()
    }

    fn join(
        a: String,
        b: String,
        c: String,
        d: String,
        e: String,
        f: String,
        g: String,
        h: String,
        i: String,
    ) -> String {
        [a, b, c, d, e, f, g, h, i].join("+")
    }

    fn half(of: i32) -> f32 {
        of as f32 / 2.0
    }

    fn negated(of: i64) -> i64 {
        -of
    }

    fn next_letter(after: char) -> char {
        char::from_u32(u32::from(after) + 1).unwrap_or(after)
    }

    fn divide(by: f64) -> f64 {
        1.0 / by
    }

    fn nothing() {}

    fn check(figure: Figure) -> Result<(), String> {
        if matches!(figure, Figure::Dot) { Err("a dot is no figure".into()) } else { Ok(()) }
    }

    fn count() -> u32 {
        CALLS.set(CALLS.get() + 1);
        CALLS.get()
    }

    fn best_pen() -> Pen {
        Pen::new(Brush(1.0))
    }
}

impl GuestPen for Brush {
    fn new(width: f64) -> Self {
        Self(width)
    }

    fn draw(&self) -> String {
        "-".repeat(self.0 as usize)
    }
}

impl texts::Guest for Plain {
    fn describe(text: String) -> String {
        format!("{} letters", text.chars().count())
    }
}

impl Guest for Plain {
    fn edition() -> String {
        "second".into()
    }
}

export!(Plain);
