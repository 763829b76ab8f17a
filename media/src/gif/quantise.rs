//! 256 colours for a picture: Xiaolin Wu's variance cuts, and Floyd-Steinberg error diffusion.
//!
//! Wu's method gives a small patch of a rare colour its own entry, where NeuQuant (what the `gif`
//! crate offers) tends to lose it.

/// Steps of a colour in the histogram.
const CELLS: usize = 32;
/// The histogram's side: a row of zeros in front makes sums over boxes differences of corners.
const SIDE: usize = CELLS + 1;
/// Steps of a colour in the table of nearest entries.
const FINE: usize = 64;
/// No entry known yet.
const UNKNOWN: u16 = u16::MAX;

/// Sums over a box of the histogram: weight, red, green, blue, squares.
type Moments = [f64; 5];

/// Tables that are used again for each frame.
pub(super) struct Quantiser {
    moments: Vec<Moments>,
    nearest: Vec<u16>,
}

impl Default for Quantiser {
    fn default() -> Self {
        Self {
            moments: vec![[0.0; 5]; SIDE * SIDE * SIDE],
            nearest: vec![UNKNOWN; FINE * FINE * FINE],
        }
    }
}

/// A box of the histogram: above `low`, up to `high` in each colour.
#[derive(Clone, Copy)]
struct Cut {
    low: [usize; 3],
    high: [usize; 3],
}

fn at([r, g, b]: [usize; 3]) -> usize {
    (r * SIDE + g) * SIDE + b
}

/// The sum of squares that the box's mean accounts for.
fn explained(m: &Moments) -> f64 {
    if m[0] > 0.0 {
        (m[1] * m[1] + m[2] * m[2] + m[3] * m[3]) / m[0]
    } else {
        0.0
    }
}

impl Quantiser {
    /// A palette (RGB triples, 256 at most) and an index for each pixel of `rgb` (bytes,
    /// row-major, three a pixel, `width` pixels a row).
    pub(super) fn quantise(&mut self, rgb: &[u8], width: usize) -> (Vec<u8>, Vec<u8>) {
        self.histogram(rgb);
        let palette: Vec<[u8; 3]> = self
            .cuts()
            .iter()
            .map(|cut| self.volume(cut))
            .filter(|m| m[0] > 0.0)
            .map(|m| [1, 2, 3].map(|c| (m[c] / m[0]).round() as u8))
            .collect();
        let indices = self.diffuse(rgb, width, &palette);
        (palette.concat(), indices)
    }

    /// Fills the table of sums from the origin.
    fn histogram(&mut self, rgb: &[u8]) {
        self.moments.fill([0.0; 5]);
        for pixel in rgb.chunks_exact(3) {
            let cell = [0, 1, 2].map(|c| usize::from(pixel[c]) * CELLS / 256 + 1);
            let [r, g, b] = [0, 1, 2].map(|c| f64::from(pixel[c]));
            let add = [1.0, r, g, b, r * r + g * g + b * b];
            let sums = &mut self.moments[at(cell)];
            (0..5).for_each(|i| sums[i] += add[i]);
        }
        for step in [SIDE * SIDE, SIDE, 1] {
            for index in 0..self.moments.len() {
                if (index / step) % SIDE > 0 {
                    let before = self.moments[index - step];
                    (0..5).for_each(|i| self.moments[index][i] += before[i]);
                }
            }
        }
    }

    /// Sums over a box, from its eight corners.
    fn volume(&self, cut: &Cut) -> Moments {
        let mut sums = [0.0; 5];
        for corner in 0..8 {
            let place = [0, 1, 2].map(|c| [cut.high[c], cut.low[c]][corner >> c & 1]);
            let sign = if (corner as u32).count_ones().is_multiple_of(2) {
                1.0
            } else {
                -1.0
            };
            let moments = &self.moments[at(place)];
            (0..5).for_each(|i| sums[i] += sign * moments[i]);
        }
        sums
    }

    /// Cuts the box of the greatest spread until there are 256 or nothing is left to cut.
    fn cuts(&self) -> Vec<Cut> {
        let spread = |cut: &Cut| {
            let sides = (0..3).map(|c| cut.high[c] - cut.low[c]);
            if sides.product::<usize>() == 1 {
                return 0.0; // one cell
            }
            let sums = self.volume(cut);
            sums[4] - explained(&sums)
        };
        let whole = Cut {
            low: [0; 3],
            high: [CELLS; 3],
        };
        let mut cuts = vec![(spread(&whole), whole)];
        while cuts.len() < 256 {
            let widest = (0..cuts.len()).max_by(|&a, &b| cuts[a].0.total_cmp(&cuts[b].0));
            let Some(index) = widest.filter(|&i| cuts[i].0 > 1e-6) else {
                break;
            };
            match self.split(&cuts[index].1) {
                Some((a, b)) => {
                    cuts[index] = (spread(&a), a);
                    cuts.push((spread(&b), b));
                }
                // All its pixels lie in one cell.
                None => cuts[index].0 = 0.0,
            }
        }
        cuts.into_iter().map(|(_, cut)| cut).collect()
    }

    /// The cut after which two means account for most.
    fn split(&self, cut: &Cut) -> Option<(Cut, Cut)> {
        let whole = self.volume(cut);
        let mut best: Option<(f64, Cut, Cut)> = None;
        for c in 0..3 {
            for place in cut.low[c] + 1..cut.high[c] {
                let (mut a, mut b) = (*cut, *cut);
                a.high[c] = place;
                b.low[c] = place;
                let first = self.volume(&a);
                let second: Moments = std::array::from_fn(|i| whole[i] - first[i]);
                if first[0] < 0.5 || second[0] < 0.5 {
                    continue;
                }
                let gain = explained(&first) + explained(&second);
                if best.as_ref().is_none_or(|(most, ..)| gain > *most) {
                    best = Some((gain, a, b));
                }
            }
        }
        best.map(|(_, a, b)| (a, b))
    }

    /// The entry nearest to the middle of a colour's cell.
    fn nearest(&mut self, colour: [i32; 3], palette: &[[u8; 3]]) -> usize {
        let cell = colour.map(|v| v as usize * FINE / 256);
        let place = (cell[0] * FINE + cell[1]) * FINE + cell[2];
        if self.nearest[place] == UNKNOWN {
            let middle = cell.map(|v| (v * 256 / FINE + 128 / FINE) as i32);
            let distance = |entry: &[u8; 3]| (0..3).map(|c| (i32::from(entry[c]) - middle[c]).pow(2)).sum::<i32>();
            let best = (0..palette.len()).min_by_key(|&i| distance(&palette[i]));
            self.nearest[place] = best.unwrap_or_default() as u16;
        }
        self.nearest[place].into()
    }

    /// Floyd-Steinberg, every second row from the right, so that errors do not drift to one side.
    fn diffuse(&mut self, rgb: &[u8], width: usize, palette: &[[u8; 3]]) -> Vec<u8> {
        self.nearest.fill(UNKNOWN);
        let mut indices = vec![0u8; rgb.len() / 3];
        // Errors in sixteenths, with a pixel's margin on either side.
        let mut here = vec![[0i32; 3]; width + 2];
        let mut below = here.clone();
        for (y, row) in rgb.chunks_exact(width * 3).enumerate() {
            let forward = y % 2 == 0;
            for step in 0..width {
                let x = if forward { step } else { width - 1 - step };
                let wanted: [i32; 3] = std::array::from_fn(|c| {
                    let error = (here[x + 1][c] + 8) >> 4;
                    (i32::from(row[x * 3 + c]) + error).clamp(0, 255)
                });
                let index = self.nearest(wanted, palette);
                indices[y * width + x] = index as u8;
                let (ahead, behind) = if forward { (x + 2, x) } else { (x, x + 2) };
                for c in 0..3 {
                    let error = wanted[c] - i32::from(palette[index][c]);
                    here[ahead][c] += 7 * error;
                    below[behind][c] += 3 * error;
                    below[x + 1][c] += 5 * error;
                    below[ahead][c] += error;
                }
            }
            std::mem::swap(&mut here, &mut below);
            below.fill([0; 3]);
        }
        indices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_colours_are_kept_exactly() {
        let colours = [[0u8, 0, 0], [255, 255, 255], [200, 30, 40], [17, 120, 250]];
        let rgb: Vec<u8> = (0..64).flat_map(|i| colours[i * 7 % 4]).collect();
        let (palette, indices) = Quantiser::default().quantise(&rgb, 8);
        assert_eq!(palette.len(), 12);
        for (i, &index) in indices.iter().enumerate() {
            assert_eq!(palette[usize::from(index) * 3..][..3], colours[i * 7 % 4]);
        }
    }

    #[test]
    fn a_rare_colour_gets_an_entry() {
        let mut rgb: Vec<u8> = (0..128 * 128)
            .flat_map(|i| [(i % 128) as u8, (i / 128) as u8, ((i % 128 + i / 128) / 2) as u8])
            .collect();
        rgb[3000..3003].copy_from_slice(&[250, 10, 10]);
        let (palette, _) = Quantiser::default().quantise(&rgb, 128);
        assert!(palette.chunks(3).any(|p| p == [250, 10, 10]));
        assert_eq!(palette.len(), 768);
    }
}
