//! The commands: arguments in, text or JSON out.

pub(crate) mod devices;
pub(crate) mod inspect;
pub(crate) mod models;
pub(crate) mod pull;
pub(crate) mod quantize;
pub(crate) mod synth;
pub(crate) mod verify;
