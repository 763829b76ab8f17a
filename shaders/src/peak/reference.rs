//! The plain version.

use super::{INVOCATIONS, NUMBERS, Params, Peak, STEPS};

/// What the kernel does.
pub fn reference(kernel: &Peak, p: &Params, out: &mut [f32]) {
    for index in 0..p.groups * INVOCATIONS {
        // Four vectors that start one after the other.
        let starts = (0..NUMBERS).map(|n| index + n / 4 + n % 4);
        out[index as usize] = match (kernel, kernel.factors().matrix()) {
            (_, Some([m, n, k])) => matrix(p, [m, n, k], index % INVOCATIONS % (m * n)),
            (Peak::Dot4, None) => {
                let sum = starts.fold(0i32, |sum, start| sum.wrapping_add(dot4(p, start)));
                (sum & 0xff_ffff) as f32
            }
            (_, None) => starts.map(|start| float(p, start)).sum::<f64>() as f32,
        };
    }
}

/// An element of the sum of the products of two matrices with both of them, transposed.
fn matrix(p: &Params, [m, n, k]: [u32; 3], element: u32) -> f32 {
    let number = |row: u32, i: u32| f64::from(p.factor) * (f64::from((row * k + i) % 3) - 1.0);
    let (row, column) = (element / n, element % n);
    let second = m.max(n);
    let pairs = [(0, 0), (0, second), (second, 0), (second, second)];
    let product = |(a, b)| -> f64 { (0..k).map(|i| number(a + row, i) * number(b + column, i)).sum() };
    (pairs.map(product).iter().sum::<f64>() * f64::from(p.rounds * STEPS)) as f32
}

fn float(p: &Params, start: u32) -> f64 {
    let mut x = f64::from(start % 64) / 64.0;
    for _ in 0..p.rounds * STEPS {
        x = x * f64::from(p.factor) + f64::from(p.term);
    }
    x
}

fn dot4(p: &Params, start: u32) -> i32 {
    let mut x = start as i32;
    for _ in 0..p.rounds * STEPS {
        let bytes = x.to_le_bytes().into_iter().zip(p.factor.to_bits().to_le_bytes());
        let dot: i32 = bytes.map(|(a, b)| i32::from(a as i8) * i32::from(b as i8)).sum();
        x = x.wrapping_add(dot);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::{Params, dot4, float};

    #[test]
    fn sixteen_steps() {
        let p = Params {
            rounds: 1,
            factor: -1.0,
            term: 3.0,
            ..Params::default()
        };
        // Every second step comes back.
        assert_eq!(float(&p, 32), 0.5);
        let p = Params {
            factor: f32::from_bits(0x0000_0001),
            ..p
        };
        // x doubles until its lowest byte is 0: no sign bit is met before.
        assert_eq!(dot4(&p, 1), 1 + 1 + 2 + 4 + 8 + 16 + 32 + 64 - 128);
    }
}
