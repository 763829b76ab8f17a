//! How the rows of norms are divided among invocations.

use crate::kernel::flat_grid;
use crate::text::Text;

/// Invocations that share a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lanes {
    /// One: for software drivers, where barriers cost more than all else, and which read element by element anyway.
    L1,
    /// 16: 4 rows in a workgroup of 64.
    L16,
    /// 64: 1 row in a workgroup of 64.
    L64,
    /// 256: 1 row in a workgroup of 256.
    L256,
}

impl Lanes {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::L16, Self::L64, Self::L256, Self::L1];

    /// Elements of a row that an invocation keeps in registers; what a row has beyond that is read again.
    pub(crate) const HELD: u32 = 24;

    /// The choice for rows of `columns`: the fewest invocations that keep them in registers.
    pub fn choose(columns: u32, software: bool) -> Self {
        if software {
            return Self::L1;
        }
        let holds = |lanes: &Self| columns <= lanes.count() * Self::HELD;
        let shared = [Self::L16, Self::L64];
        shared.into_iter().find(holds).unwrap_or(Self::L256)
    }

    /// The number.
    pub fn count(self) -> u32 {
        self.root() * self.root()
    }

    /// Invocations of a workgroup.
    pub(crate) fn workgroup(self) -> u32 {
        self.count().max(64)
    }

    pub(crate) fn workgroups(self, rows: u32) -> [u32; 3] {
        flat_grid(rows.div_ceil(self.workgroup() / self.count()))
    }

    /// Defines what the snippet `reduce` needs, and HELD, for rows read `width` elements at a time.
    pub(crate) fn constants(self, text: Text, width: u32) -> Text {
        text.constant("LANES", self.count())
            .constant("ROOT", self.root())
            .constant("SIZE", self.workgroup())
            .constant("HELD", Self::HELD / width)
    }

    fn root(self) -> u32 {
        match self {
            Self::L1 => 1,
            Self::L16 => 4,
            Self::L64 => 8,
            Self::L256 => 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lanes;

    #[test]
    fn rows_of_real_models_stay_in_registers() {
        let chosen = |columns| Lanes::choose(columns, false);
        assert_eq!([96, 384].map(chosen), [Lanes::L16; 2]);
        assert_eq!([512, 1024, 1536].map(chosen), [Lanes::L64; 3]);
        assert_eq!([3072, 5120].map(chosen), [Lanes::L256; 2]);
        assert!(5120 <= Lanes::L256.count() * Lanes::HELD);
        assert_eq!(Lanes::choose(5120, true), Lanes::L1);
    }
}
