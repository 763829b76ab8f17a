//! Programs alone on the clock, for benchmarks.

use kinora_graph::{Control, Error, HostTensor, ProgramId, Result};

use super::{GpuExecutor, check_inputs, known, slice_end};
use crate::device::Timing;

impl GpuExecutor {
    /// Replays `program`, which has been run before, and says how long that took: `repeats` times in one pass where
    /// that fits a time slice, else in a pass per slice, each waited for. `inputs` are brought first and not timed;
    /// without any, those of the last run are used, or what later operations have put in their place. Nothing is read
    /// back, and states stay as they are.
    ///
    /// # Errors
    /// As those of an executor's run; [`Error::Input`] where weights are not on the device to stay.
    pub fn time(
        &mut self,
        program: ProgramId,
        inputs: &[(&str, &HostTensor)],
        repeats: usize,
        control: &mut dyn Control,
    ) -> Result<Timing> {
        let plan = &known(&self.programs, program)?.plan;
        if !inputs.is_empty() {
            check_inputs(&plan.inputs, inputs)?;
        }
        self.memory.check(plan)?;
        self.ensure_memory(program)?;
        let device = self.device.clone();
        let Some(held) = self.programs.get_mut(&program) else {
            return Ok(Timing::default());
        };
        held.bind(&device, &self.memory)?;
        if !held.pieces()?.is_empty() {
            return Err(Error::Input {
                name: format!("program {}", program.0),
                why: "it is timed without its weights on the device: run it once before, with memory for all of them"
                    .into(),
            });
        }
        held.bring(&device, &self.memory, inputs)?;
        let dispatches = &held.plan.dispatches;
        let end_of = |start, limit| slice_end(dispatches, start, limit, self.pace, self.options.slice).0;
        let whole = repeats as f64 * self.pace.correct(held.plan.seconds()) <= self.options.slice;
        let mut total = Timing::default();
        let mut pass = |range: std::ops::Range<usize>, times: usize| {
            if control.cancelled() {
                return Err(Error::Cancelled);
            }
            total += device.time_pass(times * range.len(), |pass| {
                for _ in 0..times {
                    range.clone().for_each(|index| held.dispatch(pass, index));
                }
            })?;
            Ok(())
        };
        if whole {
            pass(0..dispatches.len(), repeats)?;
        } else {
            for _ in 0..repeats {
                let mut start = 0;
                while start < dispatches.len() {
                    let end = end_of(start, dispatches.len());
                    pass(start..end, 1)?;
                    start = end;
                }
            }
        }
        Ok(total)
    }
}
