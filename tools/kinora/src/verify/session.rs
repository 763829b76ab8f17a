//! Programs that one case compiles, released together.

use std::sync::Arc;

use kinora_graph::{Control, Executor, Graph, HostTensor, ProgramId};
use kinora_quant::Weights;

use super::{Result, case::Tensors};

/// An executor for the time of one case: it starts without states, and leaves neither programs nor states behind.
pub(crate) struct Session<'a> {
    executor: &'a mut dyn Executor,
    control: &'a mut dyn Control,
    programs: Vec<ProgramId>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(executor: &'a mut dyn Executor, control: &'a mut dyn Control) -> Self {
        executor.clear_states();
        Self {
            executor,
            control,
            programs: Vec::new(),
        }
    }

    pub(crate) fn compile(&mut self, graph: Graph, weights: &Arc<dyn Weights>) -> Result<ProgramId> {
        let program = self.executor.compile(graph, weights)?;
        self.programs.push(program);
        Ok(program)
    }

    pub(crate) fn run(&mut self, program: ProgramId, inputs: &[(&str, &HostTensor)]) -> Result<Tensors> {
        Ok(self.executor.run(program, inputs, self.control)?)
    }

    /// Compiles and runs a graph that is needed once.
    pub(crate) fn once(
        &mut self,
        graph: Graph,
        weights: &Arc<dyn Weights>,
        inputs: &[(&str, &HostTensor)],
    ) -> Result<Tensors> {
        let program = self.compile(graph, weights)?;
        self.run(program, inputs)
    }

    /// For stages that compile and release programs themselves.
    pub(crate) fn parts(&mut self) -> (&mut dyn Executor, &mut dyn Control) {
        (self.executor, self.control)
    }

    pub(crate) fn clear_states(&mut self) {
        self.executor.clear_states();
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        for program in self.programs.drain(..) {
            self.executor.release(program);
        }
        self.executor.clear_states();
    }
}
