//! Scales for the formats whose reference encoders are not given by a formula: least squares over a few candidates.

/// The values that a format's codes stand for.
pub(super) trait Levels {
    /// The value of code 0, the one of the largest magnitude: below 0.
    const LOWEST: f32;

    /// The code whose value is nearest.
    fn code(value: f32) -> u8;

    /// The value of a code.
    fn value(code: u8) -> f32;
}

/// The integers from -N to N - 1.
pub(super) struct Integers<const N: i32>;

impl<const N: i32> Levels for Integers<N> {
    const LOWEST: f32 = -(N as f32);

    fn code(value: f32) -> u8 {
        // The conversion cuts off and saturates; NaN becomes 0.
        ((value + N as f32 + 0.5) as u8).min((2 * N - 1) as u8)
    }

    fn value(code: u8) -> f32 {
        (i32::from(code) - N) as f32
    }
}

/// The steps between candidates, in levels at the end of the range, and how many there are on either side.
const STEP: f32 = 0.1;
const STEPS: i32 = 9;

/// The `scale` for which `scale` times levels comes nearest to `values`.
pub(super) fn scale<L: Levels>(values: &[f32]) -> f32 {
    let extreme = super::extreme(values);
    let mut best = (extreme / L::LOWEST, 0.0);
    if extreme == 0.0 {
        return 0.0;
    }
    // The extreme at the lowest level or, as that may have no counterpart of the other sign, at about the highest.
    for sign in [1.0, -1.0] {
        for step in -STEPS..=STEPS {
            let inverse = sign * (L::LOWEST + step as f32 * STEP) / extreme;
            let (mut along, mut squares) = (0.0, 0.0);
            for v in values {
                let level = L::value(L::code(v * inverse));
                along += level * v;
                squares += level * level;
            }
            // The error of the best scale for these levels is Σ v² less this.
            let gain = along * along / squares;
            if gain > best.1 {
                best = (along / squares, gain);
            }
        }
    }
    best.0
}

/// The squared error of `values` as `scale` times their nearest levels.
pub(super) fn error<L: Levels>(values: &[f32], scale: f32) -> f32 {
    let inverse = super::inverse(scale);
    let part = |v: &f32| (v - scale * L::value(L::code(v * inverse))).powi(2);
    values.iter().map(part).sum()
}

/// A whole number for `scale` in units of `d`, from -`range` to `range` - 1: the best of those around the nearest one.
pub(super) fn whole_scale<L: Levels>(values: &[f32], scale: f32, d: f32, range: i32) -> i32 {
    let middle = (scale * super::inverse(d)).round() as i32;
    least((middle.saturating_sub(1)..=middle.saturating_add(1)).map(|n| {
        let n = n.clamp(-range, range - 1);
        (error::<L>(values, d * n as f32), n)
    }))
    .unwrap_or(0)
}

/// The codes of `values` at `scale`.
pub(super) fn codes<L: Levels>(values: &[f32], scale: f32, codes: &mut [u8]) {
    let inverse = super::inverse(scale);
    for (code, v) in codes.iter_mut().zip(values) {
        *code = L::code(v * inverse);
    }
}

/// `(scale, base)`, the base at most 0, for which `scale` times codes up to `top` plus the base comes nearest to
/// `values`.
pub(super) fn affine(values: &[f32], top: u8) -> (f32, f32) {
    let low = values.iter().copied().fold(0.0, f32::min);
    let high = values.iter().copied().fold(low, f32::max);
    if high <= low {
        return (0.0, low);
    }
    let n = values.len() as f32;
    let (sum, squares) = values.iter().fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
    let mut best = ((high - low) / f32::from(top), low);
    let mut least = f32::INFINITY;
    for step in -STEPS..=STEPS {
        let inverse = (f32::from(top) + step as f32 * STEP) / (high - low);
        let (mut codes, mut code_squares, mut along) = (0.0, 0.0, 0.0);
        for v in values {
            let code = f32::from(affine_code((v - low) * inverse, top));
            codes += code;
            code_squares += code * code;
            along += code * v;
        }
        let determinant = n * code_squares - codes * codes;
        if determinant <= 0.0 {
            continue;
        }
        let mut scale = (n * along - sum * codes) / determinant;
        let mut base = (code_squares * sum - codes * along) / determinant;
        if base > 0.0 {
            (scale, base) = (along / code_squares, 0.0);
        }
        let error = squares - 2.0 * (scale * along + base * sum)
            + scale * (scale * code_squares + 2.0 * base * codes)
            + n * base * base;
        if error < least {
            (best, least) = ((scale, base), error);
        }
    }
    best
}

fn affine_code(steps: f32, top: u8) -> u8 {
    ((steps + 0.5) as u8).min(top)
}

/// Whole numbers up to `range` for the scale and the depth of the base, in units of `d` and `depth`: the best of those
/// around the nearest ones.
pub(super) fn whole_affine(values: &[f32], top: u8, found: (f32, f32), d: f32, depth: f32, range: u8) -> (u8, u8) {
    let near = |value: f32, unit: f32| {
        let middle = (value * super::inverse(unit)).round() as u8;
        (middle.saturating_sub(1)..=middle.saturating_add(1)).map(move |n| n.min(range))
    };
    least(near(found.0, d).flat_map(|scale| {
        near(-found.1, depth).map(move |base| {
            let (step, low) = (d * f32::from(scale), depth * f32::from(base));
            let inverse = super::inverse(step);
            let part = |v: &f32| (v + low - step * f32::from(affine_code((v + low) * inverse, top))).powi(2);
            (values.iter().map(part).sum(), (scale, base))
        })
    }))
    .unwrap_or((0, 0))
}

/// The codes of `values` at `step` above `-low`.
pub(super) fn affine_codes(values: &[f32], top: u8, step: f32, low: f32, codes: &mut [u8]) {
    let inverse = super::inverse(step);
    for (code, v) in codes.iter_mut().zip(values) {
        *code = affine_code((v + low) * inverse, top);
    }
}

/// What comes with the least error; an error that is no number counts as infinite.
fn least<T>(candidates: impl Iterator<Item = (f32, T)>) -> Option<T> {
    let error = |error: f32| if error.is_nan() { f32::INFINITY } else { error };
    candidates
        .min_by(|a, b| error(a.0).total_cmp(&error(b.0)))
        .map(|(_, value)| value)
}
