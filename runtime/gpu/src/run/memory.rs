//! Memory that the programs of an executor share: arenas (one program runs at a time) and states.

use std::collections::BTreeMap;

use kinora_graph::{Error, Result};

use crate::device::Device;
use crate::plan::{Plan, StateUse};

/// A state between runs.
pub(super) struct State {
    pub(super) buffer: wgpu::Buffer,
    /// `None` until a program has set it.
    shape: Option<Vec<usize>>,
}

/// Buffers that outlive runs.
#[derive(Default)]
pub(super) struct Memory {
    arenas: Vec<wgpu::Buffer>,
    states: BTreeMap<String, State>,
}

const USAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::COPY_DST)
    .union(wgpu::BufferUsages::COPY_SRC);

impl Memory {
    /// Makes room for `plan`. `true` where buffers were replaced, so that all bind groups are stale.
    pub(super) fn ensure(&mut self, device: &Device, plan: &Plan) -> Result<bool> {
        let mut changed = false;
        for (index, size) in plan.arenas.iter().enumerate() {
            if self.arenas.get(index).is_some_and(|arena| arena.size() >= *size) {
                continue;
            }
            changed |= self.drop_from(index);
            self.arenas.push(device.buffer("intermediate values", *size, USAGE)?);
        }
        for state in &plan.states {
            changed |= self.ensure_state(device, state)?;
        }
        Ok(changed)
    }

    fn ensure_state(&mut self, device: &Device, state: &StateUse) -> Result<bool> {
        // Kernels' bindings take 16 bytes at least.
        let size = state.bytes.max(16).next_multiple_of(16);
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

    /// Drops arenas that are larger than any of `plans` needs; they come back smaller. `true` as for
    /// [`Self::ensure`].
    pub(super) fn trim<'a>(&mut self, plans: impl Iterator<Item = &'a Plan>) -> bool {
        let mut needed = vec![0; self.arenas.len()];
        for plan in plans {
            for (needed, size) in needed.iter_mut().zip(&plan.arenas) {
                *needed = (*size).max(*needed);
            }
        }
        let excess = self
            .arenas
            .iter()
            .zip(&needed)
            .position(|(arena, size)| arena.size() > *size);
        excess.is_some_and(|index| self.drop_from(index))
    }

    fn drop_from(&mut self, index: usize) -> bool {
        let dropped = index < self.arenas.len();
        // The bind groups of other programs would keep the memory alive.
        self.arenas.drain(index..).for_each(|arena| arena.destroy());
        dropped
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
