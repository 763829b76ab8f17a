//! Linear algebra of the updates: weighted sums of tensors and the solvers' tiny linear systems.

/// `x = scale·x + Σ c·t` over `terms = [(c, t)]`, summed in f64 and rounded once.
pub(super) fn combine(x: &mut [f32], scale: f64, terms: &[(f64, &[f32])]) {
    for &(_, tensor) in terms {
        assert_eq!(tensor.len(), x.len(), "sampler: tensors of different lengths");
    }
    for (j, value) in x.iter_mut().enumerate() {
        let sum = terms
            .iter()
            .fold(scale * f64::from(*value), |sum, &(c, t)| sum + c * f64::from(t[j]));
        *value = sum as f32;
    }
}

/// Solves the Vandermonde system `Σ_k ratios[k]^i · rho[k] = b[i]`, `i < ratios.len()` (at most 3), by Gaussian
/// elimination with row pivoting.
pub(super) fn solve_vandermonde(ratios: &[f64], b: &[f64]) -> Vec<f64> {
    let n = ratios.len();
    let mut rows: Vec<Vec<f64>> = (0..n)
        .map(|i| ratios.iter().map(|r| r.powi(i as i32)).chain([b[i]]).collect())
        .collect();
    for col in 0..n {
        let pivot = (col..n)
            .max_by(|&p, &q| rows[p][col].abs().total_cmp(&rows[q][col].abs()))
            .unwrap_or(col);
        rows.swap(col, pivot);
        let (above, below) = rows.split_at_mut(col + 1);
        for row in below {
            let factor = row[col] / above[col][col];
            for (value, known) in row.iter_mut().zip(&above[col]).skip(col) {
                *value -= factor * known;
            }
        }
    }
    let mut rho = vec![0.0; n];
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|k| rows[row][k] * rho[k]).sum();
        rho[row] = (rows[row][n] - known) / rows[row][row];
    }
    rho
}
