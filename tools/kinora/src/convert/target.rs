//! The types that weights can be written in, and which tensor gets which.

use std::path::Path;
use std::str::FromStr;

use kinora_models::wan::names::Part;
use kinora_models::wan::storage::{Storage, storage};
use kinora_quant::{DType, Rotation, TensorInfo};

use super::Error;

/// A type that files can be written in, by the name that the command line has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name on the command line and in names of files.
    pub name: &'static str,
    /// Type of the matrices.
    pub dtype: DType,
}

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// `.safetensors`.
    Safetensors,
    /// `.gguf`.
    Gguf,
}

impl Container {
    /// Extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Gguf => "gguf",
        }
    }
}

impl Target {
    /// Half precision.
    pub const F16: Self = Self::new("f16", DType::F16);

    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::new("f32", DType::F32),
        Self::F16,
        Self::new("bf16", DType::BF16),
        Self::new("fp8", DType::F8E4M3Scaled),
        Self::new("mxfp8", DType::Mxfp8),
        Self::new("nvfp4", DType::Nvfp4),
        Self::new("int8", DType::Int8),
        Self::new("int8-convrot", DType::Int8ConvRot(Rotation::G256)),
        Self::new("q8_0", DType::Q8_0),
        Self::new("q6_k", DType::Q6K),
        Self::new("q5_k", DType::Q5K),
        Self::new("q5_1", DType::Q5_1),
        Self::new("q5_0", DType::Q5_0),
        Self::new("q4_k", DType::Q4K),
        Self::new("q4_1", DType::Q4_1),
        Self::new("q4_0", DType::Q4_0),
        Self::new("iq4_xs", DType::Iq4Xs),
        Self::new("iq4_nl", DType::Iq4Nl),
        Self::new("q3_k", DType::Q3K),
        Self::new("q2_k", DType::Q2K),
    ];

    const fn new(name: &'static str, dtype: DType) -> Self {
        Self { name, dtype }
    }

    /// Whether it is a type of which each element stands for itself.
    pub fn is_plain(self) -> bool {
        DType::PLAIN.contains(&self.dtype)
    }

    fn is_block(self) -> bool {
        DType::BLOCKS.contains(&self.dtype)
    }

    /// The usual kind of file.
    pub fn container(self) -> Container {
        if self.is_block() {
            Container::Gguf
        } else {
            Container::Safetensors
        }
    }

    /// The kind of file that the extension of `path` asks for.
    ///
    /// # Errors
    /// [`Error::Extension`] where this type is not kept in such files.
    pub fn container_of(self, path: &Path) -> Result<Container, Error> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let container = match extension.as_str() {
            "safetensors" if !self.is_block() => Some(Container::Safetensors),
            "gguf" if self.is_block() || self.is_plain() => Some(Container::Gguf),
            _ => None,
        };
        container.ok_or_else(|| Error::Extension {
            path: path.to_owned(),
            dtype: self.name,
            wanted: match self.container() {
                Container::Gguf => ".gguf",
                Container::Safetensors if self.is_plain() => ".safetensors or .gguf",
                Container::Safetensors => ".safetensors",
            },
        })
    }

    /// The type in which the tensor `name` is written, and whether it is a matrix that had to stay larger because its
    /// rows are no whole blocks. `None` for what such a file cannot hold.
    pub fn dtype_of(self, part: Part, name: &str, info: &TensorInfo, container: Container) -> Option<(DType, bool)> {
        if !info.dtype.is_float() {
            return (container == Container::Safetensors).then_some((info.dtype, false));
        }
        let quantised = match storage(part, name, &info.shape) {
            Storage::Matrix => true,
            Storage::Table => self.is_block(),
            Storage::Precise => false,
        };
        // What is not a 16- or 32-bit float has to become one.
        let kept = match info.dtype {
            DType::F32 | DType::F16 | DType::BF16 => info.dtype,
            DType::F64 => DType::F32,
            _ => DType::F16,
        };
        if self.is_plain() {
            return Some((self.dtype, false));
        }
        if quantised {
            let k = info.shape.last().copied().unwrap_or(1);
            return match self.dtype.row_bytes(k) {
                Some(_) => Some((self.dtype, false)),
                None => Some((DType::F16, true)),
            };
        }
        // Programs that read GGUF take small tensors in F32 alone.
        let small = container == Container::Gguf && info.shape.len() != 2;
        Some((if small { DType::F32 } else { kept }, false))
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let spelt = |target: &&Self| {
            target
                .name
                .replace('-', "_")
                .eq_ignore_ascii_case(&name.replace('-', "_"))
        };
        Self::ALL.iter().find(spelt).copied().ok_or_else(|| Error::UnknownType {
            name: name.to_owned(),
            known: Self::ALL.map(|target| target.name).join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_files_fit_their_type() {
        for target in Target::ALL {
            assert_eq!(target.name.parse::<Target>().unwrap(), target);
            assert_eq!(target.name.to_uppercase().parse::<Target>().unwrap(), target);
            let own = Path::new("x").with_extension(target.container().extension());
            assert_eq!(target.container_of(&own).unwrap(), target.container());
            assert_eq!(
                target.container_of(Path::new("x.gguf")).is_ok(),
                target.is_block() || target.is_plain()
            );
            assert!(target.container_of(Path::new("x.bin")).is_err());
        }
        assert_eq!("int8_convrot".parse::<Target>().unwrap().name, "int8-convrot");
        assert!("q9_k".parse::<Target>().unwrap_err().to_string().contains("q2_k"));
    }

    #[test]
    fn each_tensor_has_the_type_that_it_needs() {
        let of = |target: &str, part, name: &str, dtype, shape: &[usize]| {
            let target: Target = target.parse().unwrap();
            let info = TensorInfo {
                dtype,
                shape: shape.to_vec(),
            };
            target.dtype_of(part, name, &info, target.container())
        };
        let (dit, text) = (Part::Transformer, Part::TextEncoder);
        let matrix = "blocks.0.ffn.0.weight";
        assert_eq!(
            of("q4_k", dit, matrix, DType::F16, &[8, 256]),
            Some((DType::Q4K, false))
        );
        assert_eq!(of("q4_k", dit, matrix, DType::F16, &[8, 96]), Some((DType::F16, true)));
        assert_eq!(
            of("fp8", dit, matrix, DType::BF16, &[8, 96]),
            Some((DType::F8E4M3Scaled, false))
        );
        assert_eq!(
            of("q4_k", dit, "head.head.weight", DType::BF16, &[8, 256]),
            Some((DType::BF16, false))
        );
        assert_eq!(
            of("q4_k", dit, "blocks.0.modulation", DType::BF16, &[1, 6, 256]),
            Some((DType::F32, false))
        );
        assert_eq!(
            of("fp8", dit, "blocks.0.modulation", DType::BF16, &[1, 6, 256]),
            Some((DType::BF16, false))
        );
        assert_eq!(
            of("f16", dit, "blocks.0.modulation", DType::F32, &[1, 6, 256]),
            Some((DType::F16, false))
        );
        assert_eq!(
            of("fp8", dit, "head.head.weight", DType::F8E4M3, &[8, 256]),
            Some((DType::F16, false))
        );
        assert_eq!(
            of("q8_0", text, "shared.weight", DType::F16, &[8, 256]),
            Some((DType::Q8_0, false))
        );
        assert_eq!(
            of("fp8", text, "shared.weight", DType::F16, &[8, 256]),
            Some((DType::F16, false))
        );
        assert_eq!(
            of("fp8", text, "spiece_model", DType::U8, &[9]),
            Some((DType::U8, false))
        );
        assert_eq!(of("q8_0", text, "spiece_model", DType::U8, &[9]), None);
    }
}
