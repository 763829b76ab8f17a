//! How products are divided among workgroups.

use crate::kernel::flat_grid;
use crate::{Factors, WeightType};

/// How the output is divided among workgroups. For given M and N of the whole operation choose once, whatever the
/// slices: the order of summation is the same for all tiles, another one for few rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tile {
    /// 64 rows x 64 columns.
    Square,
    /// 128 rows x 64 columns, of matrices 128: reads the least from workgroup memory, takes some 150 registers an
    /// invocation; for outputs that fill a device.
    Large,
    /// 128 rows x 32 columns: for few columns.
    Tall,
    /// 32 rows x 128 columns: for rather few rows.
    Flat,
    /// Up to [`FEW_ROWS`] rows x 4 columns, 64 invocations along K.
    FewRows,
    /// 32 rows x 32 columns in the registers of eight lanes: for drivers on the processor. K is a multiple of four.
    Lanes,
    /// 4 rows x 32 columns in the same way: for few rows.
    FewLanes,
}

/// Most rows of [`Tile::FewRows`], and up to which [`Tile::FewLanes`] is the faster.
pub const FEW_ROWS: u32 = 8;

impl Tile {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Square,
        Self::Large,
        Self::Tall,
        Self::Flat,
        Self::FewRows,
        Self::Lanes,
        Self::FewLanes,
    ];

    /// Those through workgroup memory.
    pub const MANY: [Self; 4] = [Self::Square, Self::Large, Self::Tall, Self::Flat];

    /// The choice for an output of `m` x `n`; [`Self::Large`] from `large_from` elements on.
    pub fn choose(m: u32, n: u32, large_from: u64) -> Self {
        if m <= FEW_ROWS {
            Self::FewRows
        } else {
            Self::choose_many(m, n, large_from)
        }
    }

    /// The choice of those in lanes for an output of `m` rows.
    pub fn choose_lanes(m: u32) -> Self {
        if m <= FEW_ROWS { Self::FewLanes } else { Self::Lanes }
    }

    /// The choice among [`Self::MANY`].
    pub(crate) fn choose_many(m: u32, n: u32, large_from: u64) -> Self {
        if n <= 32 {
            Self::Tall
        } else if m <= 32 {
            Self::Flat
        } else if u64::from(m) * u64::from(n) >= large_from {
            Self::Large
        } else {
            Self::Square
        }
    }

    /// Whether factors are multiplied as they are loaded: such tiles exist for [`Factors::in_registers`] alone.
    pub fn in_registers(self) -> bool {
        self == Self::FewRows || self.in_lanes()
    }

    /// Whether subgroups share what their lanes load; K is a multiple of four.
    pub(crate) fn in_lanes(self) -> bool {
        matches!(self, Self::Lanes | Self::FewLanes)
    }

    /// How weights are held: in lanes those that are f16 already need no rounding.
    pub(crate) fn held_weight(self, weight: WeightType, factors: Factors) -> Factors {
        match (self.in_lanes(), weight) {
            (true, WeightType::F16) => Factors::F32,
            _ => factors,
        }
    }

    /// As part of a shader's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Square => "square",
            Self::Large => "large",
            Self::Tall => "tall",
            Self::Flat => "flat",
            Self::FewRows => "few_rows",
            Self::Lanes => "lanes",
            Self::FewLanes => "few_lanes",
        }
    }

    pub(crate) fn layout(self) -> Layout {
        let (down, across, quads) = match self {
            Self::Square => (8, 16, 1),
            Self::Large => (16, 8, 2),
            Self::Tall => (16, 8, 1),
            Self::Flat => (4, 32, 1),
            Self::Lanes => (4, 8, 1),
            Self::FewRows | Self::FewLanes => (1, 1, 1),
        };
        Layout { down, across, quads }
    }

    /// Rows and columns of those in [`Self::MANY`], and in lanes.
    pub(crate) fn size(self, factors: Factors) -> [u32; 2] {
        match (self, factors.matrix()) {
            (Self::FewLanes, _) => [4, 32],
            (Self::Large, Some(_)) if factors.square().is_some() => [128, 128],
            // As many rows and columns as its invocations load in whole turns.
            (Self::Tall, Some(_)) if factors.square().is_none() => [64, 32],
            (Self::Flat, Some(_)) if factors.square().is_none() => [32, 64],
            _ => [self.layout().rows(), self.layout().columns()],
        }
    }

    /// How subgroups divide a tile of matrices, along rows and columns.
    pub(crate) fn roles(self, factors: Factors) -> [u32; 2] {
        match self {
            // Parts of 16 x 32, of `Large` 32 x 32: Intel's registers hold no more beside the next loads.
            _ if factors.square().is_none() => match self {
                Self::Tall => [4, 1],
                Self::Flat => [2, 2],
                _ => [4, 2],
            },
            Self::Tall => [4, 1],
            Self::Flat => [1, 4],
            // 64 x 32 of it take as many registers as invocations of narrow subgroups have to spare.
            Self::Large if factors != Factors::WideMatrix16 => [2, 4],
            _ => [2, 2],
        }
    }

    /// Invocations of a workgroup.
    pub(crate) fn invocations(self, factors: Factors) -> u32 {
        match self {
            Self::FewRows => 64,
            Self::Lanes | Self::FewLanes => 8,
            _ if factors.matrix().is_some() => factors.lanes() * self.roles(factors).iter().product::<u32>(),
            _ => self.layout().down * self.layout().across,
        }
    }

    /// The grid for an output of `m` x `n`.
    pub fn workgroups(self, factors: Factors, m: u32, n: u32) -> [u32; 3] {
        match self {
            Self::FewRows => flat_grid(n.div_ceil(4)),
            _ => {
                let [rows, columns] = self.size(factors);
                [n.div_ceil(columns), m.div_ceil(rows), 1]
            }
        }
    }
}

/// Parts of 8 rows and 4 `quads` columns of the output that make a tile: each one of 128 invocations has, except in
/// [`Tile::Lanes`], where lanes hold whole rows.
pub(crate) struct Layout {
    /// Parts along the rows.
    pub(crate) down: u32,
    /// Parts along the columns.
    pub(crate) across: u32,
    /// Groups of four columns of a part.
    pub(crate) quads: u32,
}

impl Layout {
    pub(crate) fn rows(&self) -> u32 {
        8 * self.down
    }

    pub(crate) fn columns(&self) -> u32 {
        4 * self.quads * self.across
    }
}
