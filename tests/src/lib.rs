//! Whole-system tests of Kinora.
