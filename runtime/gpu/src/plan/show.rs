//! A plan in words.

use std::fmt;

use super::{Buffer, Plan, Region, Residency, TensorRows};

impl fmt::Display for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arena(index) => write!(f, "arena{index}"),
            Self::Fixed => f.write_str("fixed"),
            Self::State(index) => write!(f, "state{index}"),
            Self::Weight(index) => write!(f, "weight{index}"),
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}..{}]", self.buffer, self.offset, self.offset + self.size)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needs = self.requirements(&Residency::default());
        writeln!(
            f,
            "weights {} B, activations {} B, states {} B, {:.3} GFLOP, {} dispatches",
            needs.weights,
            needs.activations,
            needs.states,
            needs.flops as f64 / 1e9,
            self.dispatches.len()
        )?;
        for (index, weight) in self.weights.iter().enumerate() {
            let part = |part: &TensorRows| format!("{} rows {:?}", part.name, part.rows);
            let parts: Vec<_> = weight.parts.iter().map(part).collect();
            let parts = parts.join(" + ");
            writeln!(f, "weight{index} = {parts} of {} {}", weight.k, weight.dtype)?;
        }
        for fixed in &self.fixed {
            writeln!(f, "fixed[{}] = {:?} {:?}", fixed.offset, fixed.source, fixed.elements)?;
        }
        for (index, state) in self.states.iter().enumerate() {
            writeln!(f, "state{index} = {} {} B", state.name, state.bytes)?;
        }
        for port in &self.inputs {
            writeln!(f, "input {} {:?} {}", port.name, port.shape, port.region)?;
        }
        let mut op = None;
        for dispatch in &self.dispatches {
            if op != Some(dispatch.op) {
                op = Some(dispatch.op);
                let planned = &self.ops[dispatch.op];
                writeln!(f, "%{} {} `{}`", planned.value, planned.op, planned.label)?;
            }
            let [x, y, z] = dispatch.workgroups;
            write!(f, "  {} {x}x{y}x{z}:", self.shaders[dispatch.shader].name)?;
            for region in &dispatch.bindings {
                write!(f, " {region}")?;
            }
            writeln!(f)?;
        }
        for (kind, ports) in [("output", &self.outputs), ("update", &self.updates)] {
            for port in ports {
                writeln!(f, "{kind} {} {:?} {}", port.name, port.shape, port.region)?;
            }
        }
        Ok(())
    }
}
