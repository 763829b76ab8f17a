//! Memory that the programs of an executor share: arenas and the ring (one program runs at a time), states.

use std::collections::BTreeMap;

use kinora_graph::{Error, Result};

use super::program::Program;
use crate::device::{Allocation, Device};
use crate::plan::{Plan, StateUse};

/// A state between runs.
pub(super) struct State {
    pub(super) buffer: Allocation,
    /// `None` until a program has set it.
    shape: Option<Vec<usize>>,
}

/// Buffers that outlive runs.
#[derive(Default)]
pub(super) struct Memory {
    arenas: Vec<Allocation>,
    ring: Vec<Allocation>,
    states: BTreeMap<String, State>,
}

const USAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::COPY_DST)
    .union(wgpu::BufferUsages::COPY_SRC);

impl Memory {
    /// Bytes that these buffers take.
    pub(super) fn bytes(&self) -> u64 {
        let states = self.states.values().map(|state| state.buffer.size());
        let shared = self.arenas.iter().chain(&self.ring).map(|buffer| buffer.size());
        states.chain(shared).sum()
    }

    /// Those of the ring.
    pub(super) fn ring_bytes(&self) -> u64 {
        self.ring.iter().map(|buffer| buffer.size()).sum()
    }

    /// Bytes that they take once there is room for `plan`, the ring left as it is.
    pub(super) fn bytes_with(&self, plan: &Plan) -> u64 {
        let grown = |held: u64, size: u64| size.saturating_sub(held);
        let arenas = plan.arenas.iter().enumerate().map(|(index, size)| {
            let held = self.arenas.get(index).map_or(0, |arena| arena.size());
            grown(held, *size)
        });
        let states = plan.states.iter().map(|state| {
            let held = self.states.get(&state.name).map_or(0, |held| held.buffer.size());
            grown(held, state_bytes(state))
        });
        self.bytes() + arenas.chain(states).sum::<u64>()
    }

    /// Makes room for `program`. `true` where buffers were replaced, so that all bind groups are stale.
    pub(super) fn ensure(&mut self, device: &Device, program: &Program) -> Result<bool> {
        let plan = &program.plan;
        let mut changed = grow(device, &mut self.arenas, &plan.arenas, "intermediate values", USAGE)?;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        changed |= grow(
            device,
            &mut self.ring,
            &program.residency.ring,
            "weights in passing",
            usage,
        )?;
        for state in &plan.states {
            changed |= self.ensure_state(device, state)?;
        }
        Ok(changed)
    }

    fn ensure_state(&mut self, device: &Device, state: &StateUse) -> Result<bool> {
        let size = state_bytes(state);
        let what = || format!("state `{}`", state.name);
        match self.states.get_mut(&state.name) {
            Some(held) if held.buffer.size() >= size => Ok(false),
            Some(held) => {
                let buffer = device.buffer(&what(), size, USAGE)?;
                let mut encoder = device.raw().create_command_encoder(&Default::default());
                encoder.copy_buffer_to_buffer(&held.buffer, 0, &buffer, 0, held.buffer.size());
                device.queue().submit([encoder.finish()]);
                held.buffer = buffer;
                device.check()?;
                Ok(true)
            }
            None => {
                let buffer = device.buffer(&what(), size, USAGE)?;
                let shape = None;
                self.states.insert(state.name.clone(), State { buffer, shape });
                Ok(false)
            }
        }
    }

    /// Drops buffers that are larger than any of `programs` needs; they come back smaller. `true` as for
    /// [`Self::ensure`].
    pub(super) fn trim<'a>(&mut self, programs: impl Iterator<Item = &'a Program> + Clone) -> bool {
        let arenas = shrink(&mut self.arenas, programs.clone().map(|p| p.plan.arenas.as_slice()));
        let ring = shrink(&mut self.ring, programs.map(|p| p.residency.ring.as_slice()));
        arenas || ring
    }

    pub(super) fn ring(&self, index: usize) -> &wgpu::Buffer {
        &self.ring[index]
    }

    pub(super) fn arena(&self, index: usize) -> &wgpu::Buffer {
        &self.arenas[index]
    }

    pub(super) fn state(&self, name: &str) -> &State {
        &self.states[name]
    }

    /// Checks that what a plan reads has been written.
    pub(super) fn check(&self, plan: &Plan) -> Result<()> {
        for state in &plan.states {
            let Some(read) = &state.read else { continue };
            let found = self.states.get(&state.name).and_then(|s| s.shape.as_ref());
            let why = match found {
                None => "it is read before any program has set it".to_owned(),
                Some(shape) if shape != read => {
                    format!("it has shape {shape:?}, the program reads {read:?}")
                }
                Some(_) => continue,
            };
            let name = state.name.clone();
            return Err(Error::State { name, why });
        }
        Ok(())
    }

    /// Notes what a finished run has written.
    pub(super) fn wrote(&mut self, plan: &Plan) {
        for state in &plan.states {
            if let (Some(shape), Some(held)) = (&state.written, self.states.get_mut(&state.name)) {
                held.shape = Some(shape.clone());
            }
        }
    }

    pub(super) fn clear_states(&mut self) {
        self.states.clear();
    }
}

/// Kernels' bindings take 16 bytes at least.
fn state_bytes(state: &StateUse) -> u64 {
    state.bytes.max(16).next_multiple_of(16)
}

/// Makes `buffers` at least as large as `sizes`; `true` where one was replaced.
fn grow(
    device: &Device,
    buffers: &mut Vec<Allocation>,
    sizes: &[u64],
    what: &str,
    usage: wgpu::BufferUsages,
) -> Result<bool> {
    let mut changed = false;
    for (index, size) in sizes.iter().enumerate() {
        if buffers.get(index).is_some_and(|buffer| buffer.size() >= *size) {
            continue;
        }
        changed |= index < buffers.len();
        buffers.truncate(index);
        buffers.push(device.buffer(what, *size, usage)?);
    }
    Ok(changed)
}

/// Drops `buffers` from the first on that is larger than all of `needs`; `true` where there was one.
fn shrink<'a>(buffers: &mut Vec<Allocation>, needs: impl Iterator<Item = &'a [u64]>) -> bool {
    let mut needed = vec![0; buffers.len()];
    for sizes in needs {
        for (needed, size) in needed.iter_mut().zip(sizes) {
            *needed = (*size).max(*needed);
        }
    }
    let excess = buffers
        .iter()
        .zip(&needed)
        .position(|(buffer, size)| buffer.size() > (*size).max(16));
    if let Some(index) = excess {
        buffers.truncate(index);
    }
    excess.is_some()
}
