//! Composes WGSL: text in, text out.
//!
//! A kernel's `kernel.wgsl` is plain WGSL plus three directives, each alone on its line:
//! - `//#include NAME` is replaced by a snippet: one that the variant brings (`weight`), or one of `shared/`;
//! - `//#repeat $i COUNT` … `//#end` repeats the lines between, `$i` replaced by 0, 1, … (for accumulators that
//!   must stay in registers whatever a driver's loop unrolling does); repeats may hold repeats;
//! - constants of the variant come first, as `const NAME = value;` lines.

use std::borrow::Cow;
use std::fmt::Write;

use kinora_quant::format::{WGSL_BYTES, WGSL_FOURS, WGSL_UNPACK};

use crate::linear::Tile;
use crate::{Activation, Factors, Features, WeightType, flags};

/// The snippets that any kernel may include, but where it brings its own.
const SHARED: [(&str, &str); 15] = [
    ("common", include_str!("shared/common.wgsl")),
    ("activation", include_str!("shared/activation.wgsl")),
    ("all_k", include_str!("shared/all_k.wgsl")),
    ("all_rows", include_str!("shared/all_rows.wgsl")),
    ("bytes", WGSL_BYTES),
    // Sums begin with zeros.
    ("first_sums", ""),
    ("fours", WGSL_FOURS),
    ("first_weight", include_str!("shared/first_weight.wgsl")),
    ("gemm_begin", include_str!("shared/gemm_begin.wgsl")),
    ("gemm_fill", include_str!("shared/gemm_fill.wgsl")),
    ("gemm_tiles", include_str!("shared/gemm_tiles.wgsl")),
    ("quantize", include_str!("shared/quantize.wgsl")),
    ("reduce", include_str!("shared/reduce.wgsl")),
    ("unpack", WGSL_UNPACK),
    ("weight_columns", include_str!("shared/weight_columns.wgsl")),
];

/// A text under construction.
#[derive(Clone, Debug)]
pub struct Text {
    source: &'static str,
    constants: Vec<(&'static str, String)>,
    snippets: Vec<(&'static str, Cow<'static, str>)>,
    needs: Features,
}

impl Text {
    /// Starts from a kernel's text.
    pub fn new(source: &'static str) -> Self {
        Self {
            source,
            constants: Vec::new(),
            snippets: SHARED.map(|(name, text)| (name, text.into())).to_vec(),
            needs: Features::default(),
        }
    }

    /// Defines `const name = value`.
    #[must_use]
    pub fn constant(mut self, name: &'static str, value: impl Into<Constant>) -> Self {
        self.constants.push((name, value.into().0));
        self
    }

    /// Defines the snippet `activate`: `activate(x)` on vectors of four.
    #[must_use]
    pub fn activation(self, activation: Activation) -> Self {
        self.snippet("activate", activation.snippet())
    }

    /// Defines the snippet `weight`: a weight's decoder.
    #[must_use]
    pub(crate) fn weight(self, weight: WeightType) -> Self {
        self.snippet("weight", weight.snippet())
    }

    /// Defines the same snippet, `by_fours` for rows of a multiple of four elements.
    #[must_use]
    pub(crate) fn weight_by_fours(self, weight: WeightType, by_fours: bool) -> Self {
        match by_fours {
            true => self.snippet("weight", weight.snippet_by_fours()),
            false => self.weight(weight),
        }
    }

    /// Defines the snippet `load_x`: `x`, an array of `XElement`, is read in vectors of four numbers or number by number.
    #[must_use]
    pub(crate) fn x_by_fours(self, by_fours: bool) -> Self {
        let text = match by_fours {
            true => include_str!("shared/load_x_by_fours.wgsl"),
            false => include_str!("shared/load_x.wgsl"),
        };
        self.snippet("load_x", text)
    }

    /// Defines the snippets `numbers`, `held_a` and `held_b`: products of f32 whose factors are held in these ways.
    #[must_use]
    pub(crate) fn floats(self, a: Factors, b: Factors) -> Self {
        self.snippet("numbers", include_str!("shared/numbers_f32.wgsl"))
            .held(a, b)
    }

    /// Defines the same snippets: products of signed bytes.
    #[must_use]
    pub(crate) fn bytes(self) -> Self {
        self.snippet("numbers", include_str!("shared/numbers_int8.wgsl"))
            .held(Factors::F32, Factors::F32)
    }

    fn held(mut self, a: Factors, b: Factors) -> Self {
        for (name, upper, lower, factors) in [("held_a", "A", "a", a), ("held_b", "B", "b", b)] {
            let text = factors.snippet().replace("$S", upper).replace("$s", lower);
            self.snippets.push((name, text.into()));
            self.needs = self.needs.with(factors.needs());
        }
        self
    }

    /// Defines the snippet `gemm` and its constants.
    #[must_use]
    pub(crate) fn tile(mut self, tile: Tile, factors: Factors, b_columns_first: bool) -> Self {
        let [rows, columns] = tile.size(factors);
        let invocations = tile.invocations(factors);
        // Elements along K between barriers: matrix units are done with as many sooner, and take more. Intel's have no
        // registers for the next loads.
        let step = if factors.square().is_some() { 32 } else { 16 };
        let gemm = match factors.matrix() {
            None if tile == Tile::Lanes => {
                return self
                    .snippet("gemm", include_str!("shared/gemm_lanes.wgsl"))
                    .with(Features::LANES);
            }
            None => {
                let layout = tile.layout();
                self = self
                    .constant("DOWN", layout.down)
                    .constant("ACROSS", layout.across)
                    .constant("QUADS", layout.quads);
                include_str!("shared/gemm.wgsl")
            }
            Some(shape) => {
                let [down, across] = tile.roles(factors);
                self = self
                    .constant("ROLES_DOWN", down)
                    .constant("ROLES_ACROSS", across)
                    .constant("DOWN", rows / down / shape[0])
                    .constant("ACROSS", columns / across / shape[1])
                    .constant("INVOCATIONS", invocations);
                self = self.matrices(shape);
                include_str!("shared/gemm_matrix.wgsl")
            }
        };
        let loads = |lines: u32| {
            let vectors = step / 4 * lines;
            assert!(
                vectors.is_multiple_of(invocations),
                "{tile:?} {factors:?}: all invocations load as much"
            );
            vectors / invocations
        };
        self.snippet("gemm", gemm)
            .constant("STEP", step)
            .constant("LOADS_A", loads(rows))
            .constant("LOADS_B", loads(columns))
            .constant("B_COLUMNS_FIRST", b_columns_first)
    }

    /// Defines the snippet `matrices`: products of cooperative matrices of this shape, and `SIZE_M`, `SIZE_N`, `SIZE_K`.
    #[must_use]
    pub(crate) fn matrices(mut self, shape: [u32; 3]) -> Self {
        // WGSL has names for squares alone; `Shader::module` puts the real shape in their place.
        let square = shape.into_iter().max().unwrap_or_default();
        let text = include_str!("shared/matrices.wgsl").replace("$S", &square.to_string());
        self.snippets.push(("matrices", text.into()));
        let [m, n, k] = shape;
        self.constant("SIZE_M", m).constant("SIZE_N", n).constant("SIZE_K", k)
    }

    /// Defines the snippet `name`.
    #[must_use]
    pub fn snippet(mut self, name: &'static str, text: &'static str) -> Self {
        self.snippets.push((name, text.into()));
        self
    }

    /// Lets the text use `features`.
    #[must_use]
    pub(crate) fn with(mut self, features: Features) -> Self {
        self.needs = self.needs.with(features);
        self
    }

    /// What the text needs beyond core WebGPU.
    pub(crate) fn needs(&self) -> Features {
        self.needs
    }

    /// The complete WGSL.
    ///
    /// # Panics
    /// If a directive names what is not defined: a mistake in a kernel's text, which the crate's tests find.
    pub fn finish(self) -> String {
        let mut out = String::new();
        if self.needs.f16 {
            out.push_str("enable f16;\n");
        }
        if self.needs.matrices() {
            out.push_str("enable wgpu_cooperative_matrix;\n");
        }
        for (name, value) in &self.constants {
            writeln!(out, "const {name} = {value};").expect("a string takes all");
        }
        for (name, bit) in flags::ALL {
            writeln!(out, "const {name} = {bit}u;").expect("a string takes all");
        }
        self.expand(self.source, &mut out);
        out
    }

    fn expand(&self, source: &str, out: &mut String) {
        let mut lines = source.lines();
        while let Some(line) = lines.next() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("//#include") => {
                    let name = words.next().expect("an include names a snippet");
                    let (_, text) = self
                        .snippets
                        .iter()
                        .rfind(|(n, _)| *n == name)
                        .unwrap_or_else(|| panic!("no snippet {name}"));
                    self.expand(text, out);
                }
                Some("//#repeat") => {
                    let variable = words.next().expect("a repeat names its variable");
                    let count = self.count(words.next().expect("a repeat has a count"));
                    let body = repeated(&mut lines);
                    for i in 0..count {
                        self.expand(&body.replace(variable, &i.to_string()), out);
                    }
                }
                _ => {
                    out.push_str(line);
                    out.push('\n');
                }
            }
        }
    }

    fn count(&self, word: &str) -> u32 {
        let value = self
            .constants
            .iter()
            .find(|(name, _)| *name == word)
            .map_or(word, |(_, value)| value);
        value
            .trim_end_matches('u')
            .parse()
            .unwrap_or_else(|_| panic!("{word} is not a count"))
    }
}

/// The lines up to the `//#end` of the repeat that has begun.
fn repeated<'a>(lines: &mut impl Iterator<Item = &'a str>) -> String {
    let (mut body, mut depth) = (String::new(), 1);
    for line in lines {
        match line.split_whitespace().next() {
            Some("//#repeat") => depth += 1,
            Some("//#end") => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        body.push_str(line);
        body.push('\n');
    }
    body
}

/// A value in WGSL's spelling.
#[derive(Clone, Debug)]
pub struct Constant(String);

impl From<u32> for Constant {
    fn from(value: u32) -> Self {
        Self(format!("{value}u"))
    }
}

impl From<f32> for Constant {
    fn from(value: f32) -> Self {
        Self(format!("{value:e}f"))
    }
}

impl From<bool> for Constant {
    fn from(value: bool) -> Self {
        Self(value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn directives_expand() {
        let text = Text::new("//#include a\n//#repeat $i N\n//#repeat $j 1\nlet x$i = $iu + $ju;\n//#end\n//#end\nend")
            .constant("N", 2)
            .constant("B", true)
            .snippet("a", "// from a")
            .finish();
        assert!(
            text.starts_with("const N = 2u;\nconst B = true;\nconst HAS_BIAS = 1u;\n"),
            "{text}"
        );
        assert!(
            text.ends_with("// from a\nlet x0 = 0u + 0u;\nlet x1 = 1u + 0u;\nend\n"),
            "{text}"
        );
    }
}
