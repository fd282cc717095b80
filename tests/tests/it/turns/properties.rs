//! Properties: folding a log in pieces is folding it at once, and whatever happens to turns, in
//! whatever order, their log keeps its invariants.

mod folding;
mod interleaving;
mod stage;

pub(super) use interleaving::{Told, assert_invariants};
pub(super) use stage::{Meanwhile, staged};
