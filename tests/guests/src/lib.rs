//! Guests for the tests of the sandbox. Each is an example of this package, built as a
//! component of its own; nothing is in the library.
