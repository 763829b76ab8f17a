//! Bounds of configurations: a `config.json` is a claim, and its numbers become allocations and divisors.

use super::{TransformerConfig, VaeConfig};

/// Widest layer; the real ones stay below 20 000.
const MAX_WIDTH: usize = 1 << 17;

/// Most blocks or levels; the real ones have 40.
const MAX_LAYERS: usize = 1 << 10;

impl TransformerConfig {
    /// Whether graphs can be built of this shape.
    ///
    /// # Errors
    /// In words, which number cannot be.
    pub fn check(&self) -> Result<(), String> {
        width("num_attention_heads", self.num_attention_heads)?;
        width("attention_head_dim", self.attention_head_dim)?;
        width("num_attention_heads · attention_head_dim", self.dim())?;
        // Three axes of positions, each of pairs.
        if !self.attention_head_dim.is_multiple_of(2) || self.attention_head_dim < 6 {
            return Err(format!(
                "`attention_head_dim` is {}; it must be even and at least 6",
                self.attention_head_dim
            ));
        }
        for (name, value) in [
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("text_dim", self.text_dim),
            ("freq_dim", self.freq_dim),
            ("ffn_dim", self.ffn_dim),
            ("image_dim", self.image_dim.unwrap_or(1)),
            ("pos_embed_seq_len", self.pos_embed_seq_len.unwrap_or(1)),
        ] {
            width(name, value)?;
        }
        if !self.freq_dim.is_multiple_of(2) {
            return Err(format!("`freq_dim` is {}; it must be even", self.freq_dim));
        }
        if self.patch_size.iter().any(|p| !(1..=16).contains(p)) {
            return Err(format!(
                "`patch_size` is {:?}; each of its numbers must be 1 to 16",
                self.patch_size
            ));
        }
        layers("num_layers", self.num_layers)?;
        epsilon("eps", self.eps)
    }
}

impl VaeConfig {
    /// Whether graphs can be built of this shape.
    ///
    /// # Errors
    /// In words, which number cannot be.
    pub fn check(&self) -> Result<(), String> {
        let levels = self.dim_mult.len();
        if !(1..=8).contains(&levels) || self.temperal_downsample.len() + 1 != levels {
            return Err(format!(
                "`dim_mult` has {levels} levels and `temperal_downsample` {}; there must be 1 to 8, and one less",
                self.temperal_downsample.len()
            ));
        }
        width("z_dim", self.z_dim)?;
        width("in_channels", self.in_channels)?;
        width("out_channels", self.out_channels)?;
        if self.num_res_blocks > 64 {
            return Err(format!(
                "`num_res_blocks` is {}; at most 64 can be",
                self.num_res_blocks
            ));
        }
        for base in [self.base_dim, self.decoder_base()] {
            width("base_dim", base)?;
            for mult in &self.dim_mult {
                width("dim_mult", *mult)?;
                width("base_dim · dim_mult", base * mult)?;
            }
        }
        let patch = self.patch_size.unwrap_or(1);
        if !(1..=16).contains(&patch)
            || !self.in_channels.is_multiple_of(patch * patch)
            || !self.out_channels.is_multiple_of(patch * patch)
        {
            return Err(format!(
                "`patch_size` is {patch}; its square must divide `in_channels` ({}) and `out_channels` ({})",
                self.in_channels, self.out_channels
            ));
        }
        for (name, list) in [("latents_mean", &self.latents_mean), ("latents_std", &self.latents_std)] {
            if list.len() != self.z_dim || list.iter().any(|v| !v.is_finite()) {
                return Err(format!(
                    "`{name}` has {} numbers; there must be {} finite ones (`z_dim`)",
                    list.len(),
                    self.z_dim
                ));
            }
        }
        if self.latents_std.iter().any(|v| *v <= 0.0) {
            return Err("`latents_std` holds a number that is not above 0".to_owned());
        }
        if self.is_residual {
            self.check_shortcuts()
        } else {
            self.check_halving()
        }
    }

    /// Shortcuts average or repeat whole groups of channels.
    fn check_shortcuts(&self) -> Result<(), String> {
        let mult = &self.dim_mult;
        let time = |level: usize| {
            if self.temperal_downsample.get(level) == Some(&true) {
                2
            } else {
                1
            }
        };
        let fits = |from: usize, to: usize| from.is_multiple_of(to) && (from / to).is_power_of_two();
        for level in 0..mult.len() {
            let down = if level + 1 < mult.len() { 4 * time(level) } else { 1 };
            let before = if level == 0 { 1 } else { mult[level - 1] };
            let wide = mult[(level + 1).min(mult.len() - 1)];
            let up = level == 0 || fits(mult[level] * 4 * time(level - 1), wide);
            if !(fits(before * down, mult[level]) && up) {
                return Err(format!(
                    "`dim_mult` is {mult:?}; level {level} does not fit the shortcuts around it"
                ));
            }
        }
        Ok(())
    }

    /// Upsampling without shortcuts halves the width.
    fn check_halving(&self) -> Result<(), String> {
        match self
            .dim_mult
            .iter()
            .skip(1)
            .find(|mult| !(self.decoder_base() * **mult).is_multiple_of(2))
        {
            Some(mult) => Err(format!(
                "`dim_mult` {mult} of base {} cannot be halved",
                self.decoder_base()
            )),
            None => Ok(()),
        }
    }
}

fn width(name: &str, value: usize) -> Result<(), String> {
    match value {
        1..=MAX_WIDTH => Ok(()),
        _ => Err(format!("`{name}` is {value}; it must be 1 to {MAX_WIDTH}")),
    }
}

fn layers(name: &str, value: usize) -> Result<(), String> {
    match value {
        1..=MAX_LAYERS => Ok(()),
        _ => Err(format!("`{name}` is {value}; it must be 1 to {MAX_LAYERS}")),
    }
}

fn epsilon(name: &str, value: f32) -> Result<(), String> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(format!("`{name}` is {value}; it must be 0 to 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn official_shapes_pass_and_impossible_ones_do_not() {
        for config in [VaeConfig::wan21(), VaeConfig::wan22()] {
            config.check().unwrap();
            for broken in [
                VaeConfig {
                    dim_mult: vec![],
                    ..config.clone()
                },
                VaeConfig {
                    dim_mult: vec![1, 2, 4, 0],
                    ..config.clone()
                },
                VaeConfig {
                    base_dim: usize::MAX,
                    ..config.clone()
                },
                VaeConfig {
                    patch_size: Some(0),
                    ..config.clone()
                },
                VaeConfig {
                    z_dim: 17,
                    ..config.clone()
                },
                VaeConfig {
                    num_res_blocks: usize::MAX,
                    ..config.clone()
                },
            ] {
                broken.check().unwrap_err();
            }
        }
    }
}
