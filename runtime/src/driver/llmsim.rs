//! The simulated model.
