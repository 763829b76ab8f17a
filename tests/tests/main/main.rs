//! Whole-system tests: one binary, so that it is linked once.

mod budgets;
mod dispatches;
mod goldens;
mod manifests;
mod step_cache;
mod text_keys;
mod tiles;
