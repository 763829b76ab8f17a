//! DPM-Solver++ multistep (data prediction, deterministic) for flow models.
//!
//! Sources: Lu et al. 2022 (arXiv 2211.01095); Wan 2.2 `wan/utils/fm_solvers.py`
//! (`FlowDPMSolverMultistepScheduler`); diffusers 0.42 `DPMSolverMultistepScheduler` with `use_flow_sigmas`,
//! `algorithm_type = dpmsolver++`. Both sources do the same arithmetic; they differ in the sigma grid only.

use std::collections::VecDeque;

use super::{Result, Sampler, SamplerError, SamplerState, Schedule, linear::combine};

/// How the second-order update weighs its difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecondOrder {
    /// The midpoint rule (default of both sources).
    #[default]
    Midpoint,
    /// Heun's rule.
    Heun,
}

/// DPM-Solver++ of order 1 to 3; order 2 with midpoint is "DPM++ 2M".
#[derive(Clone, Debug)]
pub struct DpmSolverPp {
    schedule: Schedule,
    order: usize,
    second_order: SecondOrder,
    lower_order_final: bool,
    next_step: usize,
    /// Predictions of x0, newest first; at most `order`.
    history: VecDeque<Vec<f32>>,
}

impl DpmSolverPp {
    /// Runs shorter than this fall back to second order at their last step but one (if `lower_order_final`).
    const FEW_STEPS: usize = 15;

    /// A run over `schedule` with a solver of order 1 to 3. The last step is always of first order, because the
    /// log-SNR of sigma 0 is infinite.
    ///
    /// # Errors
    /// [`SamplerError::Sigmas`] unless the sigmas fall strictly from at most 1 to exactly 0;
    /// [`SamplerError::Config`] for another order.
    pub fn new(schedule: Schedule, order: usize) -> Result<Self> {
        schedule.check_falls_to_zero()?;
        if !(1..=3).contains(&order) {
            return Err(SamplerError::Config {
                class: "DPM-Solver++",
                key: "solver_order".into(),
                value: order.to_string(),
                why: "1, 2 or 3".into(),
            });
        }
        Ok(Self {
            schedule,
            order,
            second_order: SecondOrder::default(),
            lower_order_final: true,
            next_step: 0,
            history: VecDeque::with_capacity(order + 1),
        })
    }

    /// Chooses the second-order rule.
    #[must_use]
    pub fn with_second_order(mut self, rule: SecondOrder) -> Self {
        self.second_order = rule;
        self
    }

    /// Whether a third-order run of fewer than 15 steps takes its last step but one at second order (default yes).
    #[must_use]
    pub fn with_lower_order_final(mut self, lower: bool) -> Self {
        self.lower_order_final = lower;
        self
    }

    fn name(&self) -> String {
        format!("dpm++-{}", self.order)
    }

    /// Half log-SNR `ln(alpha / sigma)`: minus infinity at sigma 1, plus infinity at sigma 0. Both limits are
    /// well defined in the updates below: a difference at infinite distance gets weight 0.
    fn lambda(&self, i: usize) -> f64 {
        let sigma = f64::from(self.schedule.sigmas[i]);
        (1.0 - sigma).ln() - sigma.ln()
    }

    fn order_at(&self, i: usize) -> usize {
        let steps = self.schedule.steps();
        let mut order = self.order.min(i + 1);
        if i + 1 == steps {
            order = 1;
        } else if i + 2 == steps && self.lower_order_final && steps < Self::FEW_STEPS {
            order = order.min(2);
        }
        order
    }

    /// Weights of the history (newest first) in the update from `sigmas[i]` to `sigmas[i + 1]`.
    fn weights(&self, i: usize) -> Vec<f64> {
        let alpha = 1.0 - f64::from(self.schedule.sigmas[i + 1]);
        let h = self.lambda(i + 1) - self.lambda(i);
        let e = (-h).exp_m1();
        match self.order_at(i) {
            1 => vec![-alpha * e],
            2 => {
                let r0 = (self.lambda(i) - self.lambda(i - 1)) / h;
                let d1 = match self.second_order {
                    SecondOrder::Midpoint => -0.5 * alpha * e,
                    SecondOrder::Heun => alpha * (e / h + 1.0),
                } / r0;
                vec![-alpha * e + d1, -d1]
            }
            _ => {
                // D1_0 = (m0 - m1)/r0, D1_1 = (m1 - m2)/r1, D2 = (D1_0 - D1_1)/(r0 + r1), D1 = D1_0 + r0·D2.
                let r0 = (self.lambda(i) - self.lambda(i - 1)) / h;
                let r1 = (self.lambda(i - 1) - self.lambda(i - 2)) / h;
                let d1 = alpha * (e / h + 1.0);
                let d2 = -alpha * ((e + h) / (h * h) - 0.5);
                let second = (d1 * r0 + d2) / (r0 + r1);
                let (w0, w1) = ((d1 + second) / r0, -second / r1);
                vec![-alpha * e + w0, w1 - w0, -w1]
            }
        }
    }
}

impl Sampler for DpmSolverPp {
    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn step(&mut self, i: usize, velocity: &[f32], latent: &mut [f32]) {
        assert_eq!(i, self.next_step, "sampler: steps must follow each other");
        let (sigma, sigma_next) = (
            f64::from(self.schedule.sigmas[i]),
            f64::from(self.schedule.sigmas[i + 1]),
        );
        let mut m = latent.to_vec();
        combine(&mut m, 1.0, &[(-sigma, velocity)]);
        self.history.push_front(m);
        self.history.truncate(self.order);
        let terms: Vec<(f64, &[f32])> = self
            .weights(i)
            .into_iter()
            .zip(self.history.iter().map(Vec::as_slice))
            .collect();
        combine(latent, sigma_next / sigma, &terms);
        self.next_step += 1;
    }

    fn state(&self) -> SamplerState {
        SamplerState {
            solver: self.name(),
            next_step: self.next_step,
            history: self.history.iter().cloned().collect(),
            ..SamplerState::default()
        }
    }

    fn restore(&mut self, state: SamplerState) -> Result<()> {
        state.check(&self.name(), self.schedule.steps(), self.order)?;
        self.next_step = state.next_step;
        self.history = state.history.into();
        Ok(())
    }
}
