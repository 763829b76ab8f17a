//! Text encoders: prompt cleaning, tokenizers and the encoder networks.

pub mod clean;
mod html;
pub mod tokenizer;
pub mod umt5;
