//! How precisely each tensor has to be stored.

use super::names::{Part, canonical};

/// What a tensor is to those who make files smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A matrix of a block: nearly all of the bytes, and what quantised files quantise.
    Matrix,
    /// A table of which few rows are read at a time. Blocks of GGUF files hold it; files whose scales are separate
    /// tensors leave it as it is.
    Table,
    /// All else: norms, biases, modulation, the embeddings of time, text and patches, the head, an autoencoder.
    /// Small, and every one of its errors reaches every pixel.
    Precise,
}

/// What the tensor that a file calls `stored` is.
pub fn storage(part: Part, stored: &str, shape: &[usize]) -> Storage {
    let name = canonical(part, stored);
    let matrix = shape.len() == 2 && name.ends_with(".weight");
    match part {
        Part::Transformer if matrix && name.starts_with("blocks.") => Storage::Matrix,
        Part::TextEncoder if name == "shared.weight" => Storage::Table,
        Part::TextEncoder
            if matrix && name.starts_with("encoder.block.") && !name.contains("relative_attention_bias") =>
        {
            Storage::Matrix
        }
        _ => Storage::Precise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wan::Variant;
    use crate::wan::files::Role;
    use crate::wan::manifest::tensors;

    #[test]
    fn nearly_all_bytes_are_in_matrices_and_the_rest_is_what_it_should_be() {
        let variant = Variant::Wan22Ti2v5b;
        for (role, part) in [
            (Role::Transformer, Part::Transformer),
            (Role::TextEncoder, Part::TextEncoder),
        ] {
            let (mut all, mut small) = (0, Vec::new());
            for tensor in tensors(variant, role) {
                let elements: usize = tensor.shape.iter().product();
                all += elements;
                if storage(part, &tensor.name, &tensor.shape) == Storage::Precise {
                    small.push((tensor.name, elements));
                }
            }
            let rest: usize = small.iter().map(|(_, elements)| elements).sum();
            assert!(rest * 50 < all, "{role}: {rest} of {all}");
            assert!(small.iter().all(|(name, _)| {
                !name.ends_with(".weight")
                    || ["norm", "embedding", "projection", "head", "relative"]
                        .iter()
                        .any(|word| name.contains(word))
            }));
        }
        for name in [
            "blocks.0.modulation",
            "head.head.weight",
            "time_projection.1.weight",
            "patch_embedding.weight",
        ] {
            assert!(
                tensors(variant, Role::Transformer)
                    .iter()
                    .any(|tensor| tensor.name == name)
            );
            assert_eq!(storage(Part::Transformer, name, &[4, 4]), Storage::Precise, "{name}");
        }
        let prefixed = "model.diffusion_model.blocks.3.ffn.0.weight";
        assert_eq!(storage(Part::Transformer, prefixed, &[4, 4]), Storage::Matrix);
        assert_eq!(
            storage(Part::TextEncoder, "token_embedding.weight", &[4, 4]),
            Storage::Table
        );
        assert_eq!(
            storage(Part::Vae, "decoder.middle.1.to_qkv.weight", &[4, 4]),
            Storage::Precise
        );
    }
}
