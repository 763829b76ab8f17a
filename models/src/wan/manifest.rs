//! The tensors of the published checkpoints: names and shapes, as the reference's classes make them.

use std::io::Read;

use flate2::read::GzDecoder;

use super::Variant;
use super::files::Role;

/// One tensor of a published checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name in the original naming, which ComfyUI's files have.
    pub name: String,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
}

macro_rules! manifest {
    ($name:literal) => {
        include_bytes!(concat!("../../manifests/", $name, ".txt.gz"))
    };
}

/// The weights of the part of `variant` that has `role`, in the order of the reference's class.
pub fn tensors(variant: Variant, role: Role) -> Vec<Entry> {
    let manifest: &[u8] = match (role, variant) {
        (Role::TextEncoder, _) => manifest!("umt5-xxl.comfy"),
        (Role::Vae, Variant::Wan22Ti2v5b) => manifest!("wan2.2-vae.original"),
        (Role::Vae, _) => manifest!("wan2.1-vae.original"),
        (_, Variant::Wan22T2vA14b) => manifest!("wan2.2-t2v-a14b.original"),
        (_, Variant::Wan22I2vA14b) => manifest!("wan2.2-i2v-a14b.original"),
        (_, Variant::Wan22Ti2v5b) => manifest!("wan2.2-ti2v-5b.original"),
        (_, Variant::Wan21T2v1_3b) => manifest!("wan2.1-t2v-1.3b.original"),
        (_, Variant::Wan21T2v14b) => manifest!("wan2.1-t2v-14b.original"),
        (_, Variant::Wan21I2v14b) => manifest!("wan2.1-i2v-14b.original"),
    };
    let mut text = String::new();
    let read = GzDecoder::new(manifest).read_to_string(&mut text);
    read.expect("the manifests are our own");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(entry)
        .collect()
}

/// `name TAB dimensions [TAB note]`; `None` for a line with a note, which is no weight.
fn entry(line: &str) -> Option<Entry> {
    let (name, rest) = line.split_once('\t')?;
    if rest.contains('\t') {
        return None;
    }
    let dimensions = rest.split(',').filter(|dimension| !dimension.is_empty());
    Some(Entry {
        name: name.to_owned(),
        shape: dimensions
            .map(|d| d.parse().expect("the manifests are our own"))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_sizes() {
        let parameters = |variant, role| -> usize {
            let tensors = tensors(variant, role);
            tensors
                .iter()
                .map(|tensor| tensor.shape.iter().product::<usize>())
                .sum()
        };
        assert_eq!(parameters(Variant::Wan22Ti2v5b, Role::Transformer) / 1_000_000, 4_999);
        assert_eq!(parameters(Variant::Wan22T2vA14b, Role::High) / 1_000_000, 14_288);
        assert_eq!(parameters(Variant::Wan21T2v1_3b, Role::Transformer) / 1_000_000, 1_418);
        assert_eq!(parameters(Variant::Wan22Ti2v5b, Role::TextEncoder) / 1_000_000, 5_680);
        assert_eq!(parameters(Variant::Wan22Ti2v5b, Role::Vae) / 1_000_000, 704);
        assert_eq!(parameters(Variant::Wan21T2v14b, Role::Vae) / 1_000_000, 126);
    }
}
