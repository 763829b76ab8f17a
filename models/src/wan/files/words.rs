//! What a file's name says of its content.

use super::{Role, Variant};

/// What a name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its place in a model.
    pub role: Role,
    /// The variants that it belongs to.
    pub variants: Vec<Variant>,
    /// Type of the weights in lower case ("q4_k_m", "fp8_scaled"); empty where the name does not say it.
    pub dtype: String,
}

/// A word that names are made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Wan22,
    Wan21,
    T2v,
    I2v,
    Ti2v,
    B14,
    B5,
    B1_3,
    High,
    Low,
    Vae,
    Umt5,
    /// Says nothing that matters here.
    Filler,
    /// A piece of the type's name.
    Type(&'static str),
}

/// Words as they are spelt without separators, longer ones before those that they begin with.
const WORDS: &[(&str, Word)] = &[
    ("wan22", Word::Wan22),
    ("wan21", Word::Wan21),
    ("ti2v", Word::Ti2v),
    ("t2v", Word::T2v),
    ("i2v", Word::I2v),
    ("a14b", Word::B14),
    ("14b", Word::B14),
    ("13b", Word::B1_3),
    ("5b", Word::B5),
    ("highnoise", Word::High),
    ("high", Word::High),
    ("lownoise", Word::Low),
    ("low", Word::Low),
    ("vae", Word::Vae),
    ("umt5xxl", Word::Umt5),
    ("encoder", Word::Filler),
    ("enc", Word::Filler),
    ("models", Word::Filler),
    ("480p", Word::Filler),
    ("720p", Word::Filler),
    ("kj", Word::Filler),
    ("fp8", Word::Type("fp8")),
    ("e4m3fn", Word::Type("e4m3fn")),
    ("e5m2", Word::Type("e5m2")),
    ("scaled", Word::Type("scaled")),
    ("fp16", Word::Type("fp16")),
    ("bf16", Word::Type("bf16")),
    ("fp32", Word::Type("fp32")),
    ("f16", Word::Type("fp16")),
    ("f32", Word::Type("fp32")),
    ("int8", Word::Type("int8")),
    ("convrot", Word::Type("convrot")),
    ("nvfp4", Word::Type("nvfp4")),
    ("mxfp8", Word::Type("mxfp8")),
    ("iq4nl", Word::Type("iq4_nl")),
    ("iq4xs", Word::Type("iq4_xs")),
    ("q80", Word::Type("q8_0")),
    ("q40", Word::Type("q4_0")),
    ("q41", Word::Type("q4_1")),
    ("q50", Word::Type("q5_0")),
    ("q51", Word::Type("q5_1")),
    ("q2ks", Word::Type("q2_k_s")),
    ("q2k", Word::Type("q2_k")),
    ("q3ks", Word::Type("q3_k_s")),
    ("q3km", Word::Type("q3_k_m")),
    ("q3kl", Word::Type("q3_k_l")),
    ("q3k", Word::Type("q3_k")),
    ("q4ks", Word::Type("q4_k_s")),
    ("q4km", Word::Type("q4_k_m")),
    ("q4k", Word::Type("q4_k")),
    ("q5ks", Word::Type("q5_k_s")),
    ("q5km", Word::Type("q5_k_m")),
    ("q5k", Word::Type("q5_k")),
    ("q6k", Word::Type("q6_k")),
];

/// Reads the name of a file of weights; `None` for files of another kind and for names with a word that is not
/// known: that word is what makes it another model (a LoRA, a fine-tune, a control model).
pub fn recognise(file_name: &str) -> Option<Name> {
    let lower = file_name.to_lowercase();
    let stem = lower
        .strip_suffix(".safetensors")
        .or_else(|| lower.strip_suffix(".gguf"))?;
    let words = split(stem)?;
    let has = |word: Word| words.contains(&word);
    let (role, variants) = if has(Word::Umt5) {
        (Role::TextEncoder, Variant::ALL.map(|(_, variant)| variant).to_vec())
    } else if has(Word::Vae) {
        let of_22 = has(Word::Wan22);
        if of_22 == has(Word::Wan21) {
            return None;
        }
        let fits = |variant: &Variant| (*variant == Variant::Wan22Ti2v5b) == of_22;
        let variants = Variant::ALL.into_iter().map(|(_, variant)| variant).filter(fits);
        (Role::Vae, variants.collect())
    } else {
        let variant = transformer(&has)?;
        let role = match (variant.boundary().is_some(), has(Word::High), has(Word::Low)) {
            (true, true, false) => Role::High,
            (true, false, true) => Role::Low,
            (false, false, false) => Role::Transformer,
            _ => return None,
        };
        (role, vec![variant])
    };
    Some(Name {
        role,
        variants,
        dtype: dtype(&words),
    })
}

fn split(stem: &str) -> Option<Vec<Word>> {
    let squeezed: String = stem.chars().filter(|c| !matches!(c, '-' | '_' | '.' | ' ')).collect();
    let (mut rest, mut words) = (squeezed.as_str(), Vec::new());
    while !rest.is_empty() {
        let (spelling, word) = WORDS.iter().find(|(spelling, _)| rest.starts_with(spelling))?;
        rest = &rest[spelling.len()..];
        words.push(*word);
    }
    Some(words)
}

fn transformer(has: &impl Fn(Word) -> bool) -> Option<Variant> {
    let all = |words: &[Word]| words.iter().all(|word| has(*word));
    let known = [
        (&[Word::Wan22, Word::Ti2v, Word::B5], Variant::Wan22Ti2v5b),
        (&[Word::Wan22, Word::T2v, Word::B14], Variant::Wan22T2vA14b),
        (&[Word::Wan22, Word::I2v, Word::B14], Variant::Wan22I2vA14b),
        (&[Word::Wan21, Word::T2v, Word::B1_3], Variant::Wan21T2v1_3b),
        (&[Word::Wan21, Word::T2v, Word::B14], Variant::Wan21T2v14b),
        (&[Word::Wan21, Word::I2v, Word::B14], Variant::Wan21I2v14b),
    ];
    known
        .into_iter()
        .find(|(words, _)| all(*words))
        .map(|(_, variant)| variant)
}

/// The type's name in one spelling: "fp8_e4m3fn_scaled" and "fp8_scaled" mean the same.
fn dtype(words: &[Word]) -> String {
    let pieces: Vec<&str> = words
        .iter()
        .filter_map(|word| match word {
            Word::Type(piece) => Some(*piece),
            _ => None,
        })
        .collect();
    let scaled = pieces.contains(&"scaled");
    let kept: Vec<&str> = pieces
        .into_iter()
        .filter(|piece| !(scaled && *piece == "e4m3fn"))
        .collect();
    kept.join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_have() {
        for (name, role, variant, dtype) in [
            (
                "wan2.2_ti2v_5B_fp16.safetensors",
                Role::Transformer,
                Variant::Wan22Ti2v5b,
                "fp16",
            ),
            (
                "Wan2.2-TI2V-5B-Q4_K_M.gguf",
                Role::Transformer,
                Variant::Wan22Ti2v5b,
                "q4_k_m",
            ),
            (
                "Wan2_2-TI2V-5B_fp8_e4m3fn_scaled_KJ.safetensors",
                Role::Transformer,
                Variant::Wan22Ti2v5b,
                "fp8_scaled",
            ),
            (
                "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors",
                Role::High,
                Variant::Wan22T2vA14b,
                "fp8_scaled",
            ),
            (
                "Wan2.2-I2V-A14B-LowNoise-Q8_0.gguf",
                Role::Low,
                Variant::Wan22I2vA14b,
                "q8_0",
            ),
            (
                "wan2.1_t2v_1.3B_fp16.safetensors",
                Role::Transformer,
                Variant::Wan21T2v1_3b,
                "fp16",
            ),
            (
                "wan2.1-t2v-14b-IQ4_XS.gguf",
                Role::Transformer,
                Variant::Wan21T2v14b,
                "iq4_xs",
            ),
            (
                "wan2.1_i2v_480p_14B_bf16.safetensors",
                Role::Transformer,
                Variant::Wan21I2v14b,
                "bf16",
            ),
            (
                "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
                Role::TextEncoder,
                Variant::Wan21T2v14b,
                "fp8_scaled",
            ),
            (
                "umt5-xxl-encoder-Q5_K_S.gguf",
                Role::TextEncoder,
                Variant::Wan22Ti2v5b,
                "q5_k_s",
            ),
            ("Wan2_1_VAE_bf16.safetensors", Role::Vae, Variant::Wan22T2vA14b, "bf16"),
            ("wan2.2_vae.safetensors", Role::Vae, Variant::Wan22Ti2v5b, ""),
        ] {
            let found = recognise(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((found.role, found.dtype.as_str()), (role, dtype), "{name}");
            assert!(found.variants.contains(&variant), "{name}: {:?}", found.variants);
        }
    }

    #[test]
    fn other_models_are_not_mistaken() {
        for name in [
            "wan2.2_vace_t2v_14B_high_fp16.safetensors",
            "wan2.2_fun_control_5B_bf16.safetensors",
            "Wan2.2-TI2V-5B-Turbo-Q8_0.gguf",
            "wan2.2_i2v_lightx2v_4steps_lora_v1_high_noise.safetensors",
            "wan2.2_t2v_14B_fp16.safetensors",
            "wan2.2_t2v_high_low_noise_14B_fp16.safetensors",
            "wan2.1_t2v_high_noise_14B_fp16.safetensors",
            "wan_alpha_2.1_vae_rgb_channel.safetensors",
            "models_t5_umt5-xxl-enc-bf16.pth",
            "t5xxl_fp16.safetensors",
            "vae.safetensors",
            ".safetensors",
            "",
        ] {
            assert_eq!(recognise(name), None, "{name}");
        }
    }
}
