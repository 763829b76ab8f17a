//! Tiers of kernels: what a device offers beyond core WebGPU, and how much of it may be used.

use kinora_graph::{Error, Result};
use kinora_shaders::{Call, Factors, Features, attention, linear};

use super::{Device, DeviceClass};

/// Environment variable that names the highest tier to use.
pub const TIER_VARIABLE: &str = "KINORA_TIER";

/// A tier of kernels. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Core WebGPU: what any device runs.
    Baseline,
    /// Subgroup operations.
    Subgroup,
    /// Half-precision variables.
    F16,
    /// Cooperative matrices.
    Matrix,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Baseline, Self::Subgroup, Self::F16, Self::Matrix];

    /// As [`TIER_VARIABLE`] spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Subgroup => "subgroup",
            Self::F16 => "f16",
            Self::Matrix => "matrix",
        }
    }

    /// The tier of that name; where there is none, the highest that may be of use: a processor has no matrix units.
    ///
    /// # Errors
    /// [`Error::Device`] for an unknown name.
    fn parse(name: Option<&str>, class: DeviceClass) -> Result<Self> {
        let Some(name) = name.map(str::trim).filter(|n| !n.is_empty()) else {
            return Ok(match class {
                DeviceClass::Software => Self::F16,
                _ => Self::Matrix,
            });
        };
        Self::ALL.into_iter().find(|t| t.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::Device {
                device: format!("tier `{name}`"),
                why: format!("{TIER_VARIABLE} names a tier that does not exist"),
                remedy: format!("set it to one of {names}, or unset it"),
            }
        })
    }

    /// What [`TIER_VARIABLE`] says of a device.
    ///
    /// # Errors
    /// [`Error::Device`] for an unknown name.
    pub(super) fn from_environment(class: DeviceClass) -> Result<Self> {
        Self::parse(std::env::var(TIER_VARIABLE).ok().as_deref(), class)
    }

    /// Those of `features` that the tier may use.
    pub fn limit(self, features: Features) -> Features {
        Features {
            subgroup: features.subgroup && self >= Self::Subgroup,
            subgroup8: features.subgroup8 && self >= Self::Subgroup,
            f16: features.f16 && self >= Self::F16,
            memory48: features.memory48,
            matrix8: features.matrix8 && self >= Self::Matrix,
            matrix16: features.matrix16 && self >= Self::Matrix,
            matrix8x16x16: features.matrix8x16x16 && self >= Self::Matrix,
        }
    }
}

/// What the adapter offers. Matrices count only in the shapes that kernels have, for drivers accept others and compute
/// nonsense, and with Vulkan, for kernels load them from vectors.
pub(super) fn offered(adapter: &wgpu::Adapter) -> Features {
    let has = |feature| adapter.features().contains(feature);
    let (subgroup, f16) = (has(wgpu::Features::SUBGROUP), has(wgpu::Features::SHADER_F16));
    let matrices = has(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX);
    let vulkan = adapter.get_info().backend == wgpu::Backend::Vulkan;
    let matrices = match matrices && vulkan && subgroup && f16 {
        true => adapter.cooperative_matrix_properties(),
        false => Vec::new(),
    };
    let memory = adapter.limits().max_compute_workgroup_storage_size;
    let memory48 = Features {
        memory48: true,
        ..Features::CORE
    };
    let matrix = |factors: Factors| {
        memory >= factors.needs().workgroup_memory()
            && matrices.iter().any(|m| {
                Some([m.m_size, m.n_size, m.k_size]) == factors.matrix()
                    && m.ab_type == wgpu::CooperativeScalarType::F16
                    && m.cr_type == wgpu::CooperativeScalarType::F32
            })
    };
    Features {
        subgroup,
        subgroup8: subgroup && adapter.get_info().subgroup_min_size >= 8,
        f16,
        memory48: memory >= memory48.workgroup_memory(),
        matrix8: matrix(Factors::Matrix8),
        matrix16: matrix(Factors::Matrix16),
        matrix8x16x16: matrix(Factors::Matrix8x16x16),
    }
}

/// What to ask of wgpu for `features`.
pub(super) fn wgpu_features(features: Features) -> wgpu::Features {
    let mut wanted = wgpu::Features::empty();
    wanted.set(wgpu::Features::SUBGROUP, features.subgroup);
    wanted.set(wgpu::Features::SHADER_F16, features.f16);
    wanted.set(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, features.matrices());
    wanted
}

/// Those of `features` whose matrices multiply small integers exactly on this device, and attend rightly.
pub(super) fn tested(device: &Device, features: Features) -> Features {
    let right = |call: Call| {
        let found = device
            .probe(&call.shader, &call.params, call.workgroups, &call.operands)
            .and_then(|probe| {
                probe.run(1)?;
                probe.read(call.out)
            });
        let why = match found {
            Ok(found) if call.error(&found) <= call.tolerance => return true,
            Ok(found) => format!("{} is wrong by {:e}", call.name, call.error(&found)),
            Err(error) => error.to_string(),
        };
        tracing::warn!("{}: matrix units are left alone: {why}", device.description());
        false
    };
    let multiplies = |factors| {
        linear::Tile::MANY
            .into_iter()
            .all(|tile| right(linear::exact(factors, tile)))
    };
    // With what plans choose where these are all that there are.
    let attends = |factors: Factors| {
        let memory48 = features.memory48;
        let only = Features {
            memory48,
            ..factors.needs()
        };
        let chosen = |head_dim| attention::Tile::choose(head_dim, true, false, only, device.subgroup);
        [64, 128].into_iter().all(|head_dim| match chosen(head_dim) {
            attention::Tile::Matrices(factors) => right(attention::trial(factors, head_dim)),
            _ => true,
        })
    };
    let works = |factors: Factors| multiplies(factors) && attends(factors);
    Features {
        matrix8: features.matrix8 && works(Factors::Matrix8),
        matrix16: features.matrix16 && works(Factors::choose(true, features, device.subgroup)),
        matrix8x16x16: features.matrix8x16x16 && works(Factors::Matrix8x16x16),
        ..features
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_a_ceiling() {
        let all = Features {
            subgroup: true,
            subgroup8: true,
            f16: true,
            memory48: true,
            matrix8: true,
            matrix16: true,
            matrix8x16x16: true,
        };
        assert!(
            Features {
                memory48: true,
                ..Features::CORE
            } == Tier::Baseline.limit(all)
        );
        assert_eq!(Tier::Matrix.limit(all), all);
        let f16 = Tier::F16.limit(all);
        assert!(f16.subgroup && f16.f16 && !f16.matrix8 && !f16.matrix16);
        assert_eq!(Tier::F16.limit(Features::default()), Features::default());
    }

    #[test]
    fn unknown_tiers_are_refused() {
        let parse = |name| Tier::parse(name, DeviceClass::Discrete);
        assert_eq!(parse(None).unwrap(), Tier::Matrix);
        assert_eq!(parse(Some(" subgroup")).unwrap(), Tier::Subgroup);
        assert_eq!(Tier::parse(None, DeviceClass::Software).unwrap(), Tier::F16);
        let error = parse(Some("warp")).unwrap_err().to_string();
        assert!(
            error.contains("`warp`") && error.contains("baseline, subgroup"),
            "{error}"
        );
    }
}
