//! Where the files of a variant are published.

use super::{Role, Variant};

/// A file of a public repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its place in the model.
    pub role: Role,
    /// Type of its weights.
    pub dtype: &'static str,
    /// `organisation/name` of the repository.
    pub repo: String,
    /// Path in the repository.
    pub path: String,
}

const COMFY_22: &str = "Comfy-Org/Wan_2.2_ComfyUI_Repackaged";
const COMFY_21: &str = "Comfy-Org/Wan_2.1_ComfyUI_repackaged";

/// Types of the GGUF files of the transformers.
const GGUF: [&str; 9] = [
    "q4_k_m", "q5_k_m", "q6_k", "q8_0", "q4_k_s", "q5_k_s", "q3_k_m", "q3_k_s", "q4_0",
];

/// The files that can fill the roles of `variant`; of those of one role the usual choice comes first.
pub fn published(variant: Variant) -> Vec<Published> {
    let mut files = Vec::new();
    let mut comfy = |role: Role, repo: &str, types: &[&'static str], name: &dyn Fn(&str) -> String| {
        for dtype in types {
            let path = format!("split_files/{}/{}.safetensors", role.folder(), name(dtype));
            files.push(file(role, dtype, repo, path));
        }
    };
    let scaled = ["fp8_scaled", "fp16"];
    match variant {
        Variant::Wan22Ti2v5b => {
            comfy(Role::Transformer, COMFY_22, &["fp16"], &|t| {
                format!("wan2.2_ti2v_5B_{t}")
            });
        }
        Variant::Wan22T2vA14b | Variant::Wan22I2vA14b => {
            let task = if variant == Variant::Wan22T2vA14b { "t2v" } else { "i2v" };
            for (role, noise) in [(Role::High, "high"), (Role::Low, "low")] {
                comfy(role, COMFY_22, &scaled, &|t| {
                    format!("wan2.2_{task}_{noise}_noise_14B_{t}")
                });
            }
        }
        Variant::Wan21T2v1_3b => comfy(Role::Transformer, COMFY_21, &["fp16", "bf16"], &|t| {
            format!("wan2.1_t2v_1.3B_{t}")
        }),
        Variant::Wan21T2v14b => {
            comfy(Role::Transformer, COMFY_21, &["fp8_scaled", "fp16", "bf16"], &|t| {
                format!("wan2.1_t2v_14B_{t}")
            });
        }
        Variant::Wan21I2v14b => {
            comfy(Role::Transformer, COMFY_21, &scaled, &|t| {
                format!("wan2.1_i2v_480p_14B_{t}")
            });
        }
    }
    comfy(Role::TextEncoder, COMFY_21, &scaled, &|t| {
        let spelt = if t == "fp8_scaled" { "fp8_e4m3fn_scaled" } else { t };
        format!("umt5_xxl_{spelt}")
    });
    let (repo, vae) = if variant == Variant::Wan22Ti2v5b {
        (COMFY_22, "wan2.2_vae")
    } else {
        (COMFY_21, "wan_2.1_vae")
    };
    comfy(Role::Vae, repo, &[""], &|_| vae.to_owned());
    for dtype in GGUF {
        let spelt = dtype.to_uppercase();
        match variant {
            Variant::Wan22Ti2v5b => {
                let path = format!("Wan2.2-TI2V-5B-{spelt}.gguf");
                files.push(file(Role::Transformer, dtype, "QuantStack/Wan2.2-TI2V-5B-GGUF", path));
            }
            Variant::Wan22T2vA14b | Variant::Wan22I2vA14b => {
                let task = if variant == Variant::Wan22T2vA14b { "T2V" } else { "I2V" };
                let repo = format!("QuantStack/Wan2.2-{task}-A14B-GGUF");
                for (role, noise) in [(Role::High, "HighNoise"), (Role::Low, "LowNoise")] {
                    let path = format!("{noise}/Wan2.2-{task}-A14B-{noise}-{spelt}.gguf");
                    files.push(file(role, dtype, &repo, path));
                }
            }
            Variant::Wan21T2v14b => {
                let path = format!("wan2.1-t2v-14b-{spelt}.gguf");
                files.push(file(Role::Transformer, dtype, "city96/Wan2.1-T2V-14B-gguf", path));
            }
            Variant::Wan21I2v14b => {
                let path = format!("wan2.1-i2v-14b-480p-{spelt}.gguf");
                files.push(file(Role::Transformer, dtype, "city96/Wan2.1-I2V-14B-480P-gguf", path));
            }
            Variant::Wan21T2v1_3b => {}
        }
    }
    for dtype in [
        "q8_0", "q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q3_k_m", "q3_k_s",
    ] {
        let path = format!("umt5-xxl-encoder-{}.gguf", dtype.to_uppercase());
        files.push(file(Role::TextEncoder, dtype, "city96/umt5-xxl-encoder-gguf", path));
    }
    files
}

fn file(role: Role, dtype: &'static str, repo: &str, path: String) -> Published {
    Published {
        role,
        dtype,
        repo: repo.to_owned(),
        path,
    }
}

impl Published {
    /// Name of the file.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wan::files::recognise;

    #[test]
    fn every_published_name_is_recognised_and_every_role_has_a_file() {
        for (name, variant) in Variant::ALL {
            let files = published(variant);
            for role in Role::of(variant) {
                assert!(files.iter().any(|file| file.role == *role), "{name}: {role}");
            }
            for file in files {
                let found = recognise(file.file_name()).unwrap_or_else(|| panic!("{}", file.path));
                assert_eq!(
                    (found.role, found.dtype.as_str()),
                    (file.role, file.dtype),
                    "{}",
                    file.path
                );
                assert!(found.variants.contains(&variant), "{}", file.path);
            }
        }
    }
}
