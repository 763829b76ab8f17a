//! UniPC multistep, B2(h), data prediction, for flow models.
//!
//! Sources: Zhao et al. 2023 (arXiv 2302.04867); Wan 2.2 `wan/utils/fm_solvers_unipc.py`; diffusers 0.42
//! `UniPCMultistepScheduler` with `use_flow_sigmas`, `solver_type = bh2`, `predict_x0`, `lower_order_final`.
//! Both sources do the same arithmetic; they differ in the sigma grid only.

use std::collections::VecDeque;

use super::{
    Result, Sampler, SamplerError, SamplerState, Schedule,
    linear::{combine, solve_vandermonde},
};

/// `1 - sigma` is kept at least this large inside logarithms, as diffusers does by lowering a first sigma of 1:
/// the grid of ComfyUI starts at exactly 1, where the log-SNR is minus infinity.
const MIN_ALPHA: f64 = 1e-6;

/// Unified predictor-corrector of order 1 to 3.
///
/// At step `i` the new prediction first corrects the latent that the last predictor reached, then predicts the
/// next one. The order rises from 1 at the start and falls to 1 at the last step.
#[derive(Clone, Debug)]
pub struct UniPc {
    schedule: Schedule,
    order: usize,
    no_corrector_after: Vec<usize>,
    next_step: usize,
    last_order: usize,
    /// Predictions of x0, newest first; at most `order`.
    history: VecDeque<Vec<f32>>,
    last_sample: Option<Vec<f32>>,
}

impl UniPc {
    /// A run over `schedule` with a solver of order 1 to 3.
    ///
    /// # Errors
    /// [`SamplerError::Sigmas`] unless the sigmas fall strictly from at most 1 to exactly 0;
    /// [`SamplerError::Config`] for another order.
    pub fn new(schedule: Schedule, order: usize) -> Result<Self> {
        schedule.check_falls_to_zero()?;
        if !(1..=3).contains(&order) {
            return Err(SamplerError::Config {
                class: "UniPC",
                key: "solver_order".into(),
                value: order.to_string(),
                why: "1, 2 or 3".into(),
            });
        }
        Ok(Self {
            schedule,
            order,
            no_corrector_after: Vec::new(),
            next_step: 0,
            last_order: 0,
            history: VecDeque::with_capacity(order + 1),
            last_sample: None,
        })
    }

    /// Leaves out the correction of what these steps predicted (diffusers' `disable_corrector`).
    #[must_use]
    pub fn without_corrector_after(mut self, steps: Vec<usize>) -> Self {
        self.no_corrector_after = steps;
        self
    }

    fn name(&self) -> String {
        format!("unipc-{}", self.order)
    }

    /// Half log-SNR `ln(alpha / sigma)` at step `i`; plus infinity at sigma 0.
    fn lambda(&self, i: usize) -> f64 {
        let sigma = f64::from(self.schedule.sigmas[i]);
        (1.0 - sigma).max(MIN_ALPHA).ln() - sigma.ln()
    }

    /// `lambda(to - 1 - k) - lambda(to - 1)` over the step's `h`, for `k` in `1..order`: where the history lies.
    fn history_ratios(&self, to: usize, order: usize, h: f64) -> Vec<f64> {
        (1..order)
            .map(|k| (self.lambda(to - 1 - k) - self.lambda(to - 1)) / h)
            .collect()
    }

    /// Moves `x` from `sigmas[to - 1]` to `sigmas[to]`. `rho` weighs the differences between the history (from its
    /// second entry on) and its newest entry m0, each over its ratio; `corrected` is the weight and value of a
    /// prediction made at the target.
    fn advance(&self, to: usize, x: &mut [f32], ratios: &[f64], rho: &[f64], corrected: Option<(f64, &[f32])>) {
        let (sigma, sigma_from) = (
            f64::from(self.schedule.sigmas[to]),
            f64::from(self.schedule.sigmas[to - 1]),
        );
        let h = self.lambda(to) - self.lambda(to - 1);
        // B(h) of bh2 is expm1(-h): the base term and the differences share the factor.
        let gain = -(1.0 - sigma) * (-h).exp_m1();
        let mut terms: Vec<(f64, &[f32])> = Vec::with_capacity(4);
        for ((rho, ratio), m) in rho.iter().zip(ratios).zip(self.history.iter().skip(1)) {
            terms.push((gain * rho / ratio, m));
        }
        if let Some((rho, m)) = corrected {
            terms.push((gain * rho, m));
        }
        let differences: f64 = terms.iter().map(|(c, _)| c).sum();
        terms.push((gain - differences, &self.history[0]));
        combine(x, sigma / sigma_from, &terms);
    }

    /// Right-hand sides `b[i] = i!·phi_{i+1}(-h)·(-h) / B(h)` of the order conditions, `i` in `1..=order`.
    fn order_conditions(h: f64, order: usize) -> Vec<f64> {
        let hh = -h;
        let b_h = hh.exp_m1();
        let mut phi = b_h / hh - 1.0;
        let mut factorial = 1.0;
        (1..=order)
            .map(|i| {
                let b = phi * factorial / b_h;
                factorial *= (i + 1) as f64;
                phi = phi / hh - 1.0 / factorial;
                b
            })
            .collect()
    }

    /// UniC: replaces the latent that the last predictor reached at step `i`, knowing the prediction `m` there.
    fn correct(&self, i: usize, m: &[f32], last_sample: &[f32], latent: &mut [f32]) {
        latent.copy_from_slice(last_sample);
        let order = self.last_order;
        let h = self.lambda(i) - self.lambda(i - 1);
        let mut ratios = self.history_ratios(i, order, h);
        ratios.push(1.0);
        let rho = if order == 1 {
            vec![0.5]
        } else {
            solve_vandermonde(&ratios, &Self::order_conditions(h, order))
        };
        self.advance(
            i,
            latent,
            &ratios[..order - 1],
            &rho[..order - 1],
            Some((rho[order - 1], m)),
        );
    }

    /// UniP: moves the latent to step `to`.
    fn predict(&self, to: usize, order: usize, latent: &mut [f32]) {
        let h = self.lambda(to) - self.lambda(to - 1);
        let ratios = self.history_ratios(to, order, h);
        let rho = match order {
            1 => Vec::new(),
            2 => vec![0.5],
            _ => solve_vandermonde(&ratios, &Self::order_conditions(h, order)[..order - 1]),
        };
        self.advance(to, latent, &ratios, &rho, None);
    }
}

impl Sampler for UniPc {
    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn step(&mut self, i: usize, velocity: &[f32], latent: &mut [f32]) {
        assert_eq!(i, self.next_step, "sampler: steps must follow each other");
        let mut m = latent.to_vec();
        combine(&mut m, 1.0, &[(-f64::from(self.schedule.sigmas[i]), velocity)]);

        let last_sample = self.last_sample.take();
        if let Some(last_sample) = &last_sample
            && !self.no_corrector_after.contains(&(i - 1))
        {
            self.correct(i, &m, last_sample, latent);
        }

        let order = self.order.min(self.schedule.steps() - i).min(self.history.len() + 1);
        self.history.push_front(m);
        self.history.truncate(self.order);
        let mut kept = last_sample.unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(latent);
        self.last_sample = Some(kept);
        self.predict(i + 1, order, latent);
        self.last_order = order;
        self.next_step += 1;
    }

    fn state(&self) -> SamplerState {
        SamplerState {
            solver: self.name(),
            next_step: self.next_step,
            last_order: self.last_order,
            history: self.history.iter().cloned().collect(),
            last_sample: self.last_sample.clone(),
        }
    }

    fn restore(&mut self, state: SamplerState) -> Result<()> {
        state.check(&self.name(), self.schedule.steps(), self.order)?;
        let started = state.next_step > 0;
        if state.last_sample.is_some() != started || (1..=state.history.len()).contains(&state.last_order) != started {
            return Err(SamplerError::State("its latent or order is missing".into()));
        }
        self.next_step = state.next_step;
        self.last_order = state.last_order;
        self.history = state.history.into();
        self.last_sample = state.last_sample;
        Ok(())
    }
}
