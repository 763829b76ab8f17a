//! Collects dispatches on values whose places are not known yet.

use std::any::Any;
use std::collections::HashMap;
use std::ops::Range;

use kinora_graph::{Cost, ElementType, Error, Graph, Node, Op, Result, Value};
use kinora_shaders::kernel::{Kernel, Shader};
use kinora_shaders::linear;
use kinora_shaders::quantize_rows::QuantizeRows;

use super::arena::{self, ALIGNMENT, Lifetime};
use super::view::{Target, View};
use super::{Buffer, Capabilities, Dispatch, Fixed, Options, Plan, PlannedOp, Port, Region, Source, StateUse, Weight};
use crate::tune::{Choice, Key, Operation, Table, Tile};

struct Pending {
    op: usize,
    shader: usize,
    params: Range<usize>,
    workgroups: [u32; 3],
    views: Vec<View>,
    seconds: f64,
}

/// The plan as it grows.
pub(super) struct Emitter<'g> {
    pub(super) graph: &'g Graph,
    pub(super) capabilities: &'g Capabilities,
    pub(super) options: &'g Options,
    table: &'g Table,
    choices: Vec<Choice>,
    views: Vec<Option<View>>,
    temps: Vec<Lifetime>,
    shaders: Vec<Shader>,
    shader_index: HashMap<String, usize>,
    last_kernel: Option<(Box<dyn Any>, usize)>,
    uniforms: Vec<u8>,
    pending: Vec<Pending>,
    ops: Vec<PlannedOp>,
    fixed: Vec<Fixed>,
    fixed_bytes: u64,
    weights: Vec<Weight>,
    weight_index: HashMap<Weight, usize>,
    states: Vec<StateUse>,
    limits: HashMap<Value, u32>,
    /// Factors of products that several operations may read.
    prepared: HashMap<(Value, QuantizeRows), View>,
}

impl<'g> Emitter<'g> {
    pub(super) fn new(
        graph: &'g Graph,
        capabilities: &'g Capabilities,
        table: &'g Table,
        options: &'g Options,
    ) -> Self {
        Self {
            graph,
            capabilities,
            options,
            table,
            choices: Vec::new(),
            views: vec![None; graph.nodes().len()],
            temps: Vec::new(),
            shaders: Vec::new(),
            shader_index: HashMap::new(),
            last_kernel: None,
            uniforms: Vec::new(),
            pending: Vec::new(),
            ops: Vec::new(),
            fixed: Vec::new(),
            fixed_bytes: 0,
            weights: Vec::new(),
            weight_index: HashMap::new(),
            states: Vec::new(),
            limits: HashMap::new(),
            prepared: HashMap::new(),
        }
    }

    /// The input `value` holds row indices, all below `rows`: the executor checks that, for kernels do not.
    pub(super) fn limit(&mut self, value: Value, rows: usize) -> Result<()> {
        let node = self.graph.node(value);
        if !matches!(node.op, Op::Input { .. }) || node.element_type != ElementType::U32 {
            return Err(self.unsupported("row indices must be an input of the graph".into()));
        }
        let limit = self.limits.entry(value).or_insert(u32::MAX);
        *limit = (*limit).min(rows as u32);
        Ok(())
    }

    /// The current operation has no kernel for this.
    pub(super) fn unsupported(&self, why: String) -> Error {
        let (op, label) = self
            .ops
            .last()
            .map_or(("graph", String::new()), |op| (op.op, op.label.clone()));
        Error::Shape { op, label, why }
    }

    /// Where a value lies. Operands are lowered before the operations that read them.
    pub(super) fn view(&self, value: Value) -> View {
        self.views[value.index()].expect("operands come first")
    }

    /// Whether it is known where a value lies.
    pub(super) fn is_placed(&self, value: Value) -> bool {
        self.views[value.index()].is_some()
    }

    /// Says where a value lies: its own room or another value's.
    pub(super) fn place(&mut self, value: Value, view: View) {
        self.views[value.index()] = Some(view);
    }

    /// Room for `elements` of 4 bytes, from now on.
    pub(super) fn temp(&mut self, elements: usize) -> View {
        let size = 4 * elements as u64;
        let now = self.pending.len();
        self.temps.push(Lifetime {
            // Any aligned part of it can be bound, which takes 16 bytes.
            size: size.max(1).next_multiple_of(ALIGNMENT),
            steps: now..=now,
        });
        View {
            target: Target::Temp(self.temps.len() - 1),
            offset: 0,
            size,
        }
    }

    /// Room for the result of `value`.
    pub(super) fn result(&mut self, value: Value) -> View {
        let view = self.temp(self.graph.node(value).elements());
        self.place(value, view);
        view
    }

    /// Room for the result of `value`: that of its operand `x`, where a product lies there that nothing else reads.
    pub(super) fn result_over(&mut self, value: Value, x: Value) -> View {
        let graph = self.graph;
        let kept = graph.outputs().values().chain(graph.state_updates().values());
        let reads = |node: &&Node| node.op.operands().contains(&x);
        let readers = kept.filter(|v| **v == x).count() + graph.nodes().iter().filter(reads).count();
        if readers > 1 || !matches!(graph.node(x).op, Op::Linear(_)) {
            return self.result(value);
        }
        let view = self.view(x);
        self.place(value, view);
        view
    }

    /// What an operation before made of `value` by `kernel`.
    pub(super) fn shared(&self, value: Value, kernel: QuantizeRows) -> Option<View> {
        self.prepared.get(&(value, kernel)).copied()
    }

    /// Keeps what was made of `value` by `kernel` for the operations behind.
    pub(super) fn share(&mut self, value: Value, kernel: QuantizeRows, view: View) {
        self.prepared.insert((value, kernel), view);
    }

    /// Room for an input: it is written before the first dispatch.
    pub(super) fn input(&mut self, value: Value) {
        let view = self.result(value);
        let Target::Temp(index) = view.target else {
            unreachable!("results have room of their own")
        };
        self.temps[index].steps = 0..=*self.temps[index].steps.end();
    }

    /// Keeps what `view` lies in to the end of the run.
    fn keep(&mut self, view: View) {
        if let Target::Temp(index) = view.target {
            let start = *self.temps[index].steps.start();
            self.temps[index].steps = start..=self.pending.len();
        }
    }

    /// Elements in the buffer of parameters and constants.
    pub(super) fn fixed(&mut self, source: Source, elements: Range<usize>) -> View {
        let size = 4 * elements.len() as u64;
        let same = |f: &&Fixed| f.source == source && f.elements == elements;
        let offset = match self.fixed.iter().find(same) {
            Some(fixed) => fixed.offset,
            None => {
                let offset = self.fixed_bytes;
                self.fixed.push(Fixed {
                    source,
                    elements,
                    offset,
                });
                self.fixed_bytes = (offset + size).next_multiple_of(ALIGNMENT);
                offset
            }
        };
        View {
            target: Target::Placed(Buffer::Fixed),
            offset,
            size,
        }
    }

    /// The whole constant that `view` is a part of, and the first element of that part.
    pub(super) fn fixed_source(&self, view: View) -> Option<(Source, usize)> {
        if view.target != Target::Placed(Buffer::Fixed) {
            return None;
        }
        self.fixed
            .iter()
            .find(|f| (f.offset..f.offset + 4 * f.elements.len() as u64).contains(&view.offset))
            .map(|f| {
                let skipped = ((view.offset - f.offset) / 4) as usize;
                (f.source.clone(), f.elements.start + skipped)
            })
    }

    /// A weight in a buffer of its own.
    pub(super) fn weight(&mut self, weight: Weight) -> View {
        let size = weight.bytes();
        let index = *self.weight_index.entry(weight.clone()).or_insert_with(|| {
            self.weights.push(weight);
            self.weights.len() - 1
        });
        View {
            target: Target::Placed(Buffer::Weight(index)),
            offset: 0,
            size,
        }
    }

    /// The state `name`, of which `elements` are read (`shape`).
    pub(super) fn state(&mut self, name: &str, shape: &[usize]) -> View {
        let size = 4 * shape.iter().product::<usize>() as u64;
        let index = self.state_index(name);
        let state = &mut self.states[index];
        state.read = Some(shape.to_vec());
        state.bytes = state.bytes.max(size);
        View {
            target: Target::Placed(Buffer::State(index)),
            offset: 0,
            size,
        }
    }

    fn state_index(&mut self, name: &str) -> usize {
        if let Some(index) = self.states.iter().position(|s| s.name == name) {
            return index;
        }
        self.states.push(StateUse {
            name: name.to_owned(),
            read: None,
            written: None,
            bytes: 0,
        });
        self.states.len() - 1
    }

    /// The dispatches that follow belong to the operation that makes `value`.
    pub(super) fn begin(&mut self, value: Value) {
        let node = self.graph.node(value);
        self.ops.push(PlannedOp {
            value: value.index(),
            op: node.op.name(),
            label: node.label.clone(),
            cost: self.graph.cost(value),
        });
    }

    /// The current operation makes `value` as well.
    pub(super) fn also(&mut self, value: Value) {
        let (node, cost) = (self.graph.node(value), self.graph.cost(value));
        let op = self.ops.last_mut().expect("an operation has begun");
        op.label = format!("{} + {}", op.label, node.label);
        op.cost += cost;
    }

    /// Work of the current operation.
    pub(super) fn begun(&self) -> Cost {
        self.ops.last().map_or(Cost::default(), |op| op.cost)
    }

    /// One run of `kernel` on `views`; `cost` decides how long it is thought to take.
    pub(super) fn emit<K: Kernel + 'static>(
        &mut self,
        kernel: K,
        params: K::Params,
        views: &[View],
        cost: Cost,
    ) -> Result<()> {
        let index = self.shader(kernel);
        let shader = &self.shaders[index];
        debug_assert_eq!(
            shader.bindings.len(),
            views.len() + 1,
            "{}: one view for each binding",
            shader.name
        );
        let step = self.pending.len();
        for view in views {
            if view.size > self.capabilities.max_binding {
                return Err(self.too_large(view.size));
            }
            debug_assert!(
                view.offset.is_multiple_of(self.capabilities.storage_alignment),
                "{}: unaligned {view:?}",
                shader.name
            );
            if let Target::Temp(index) = view.target {
                let start = *self.temps[index].steps.start();
                self.temps[index].steps = start..=step;
            }
        }
        let bytes = bytemuck::bytes_of(&params);
        let start = self
            .uniforms
            .len()
            .next_multiple_of(self.capabilities.uniform_alignment as usize);
        self.uniforms.resize(start, 0);
        self.uniforms.extend_from_slice(bytes);
        self.pending.push(Pending {
            op: self.ops.len() - 1,
            shader: index,
            params: start..start + bytes.len(),
            workgroups: kernel.workgroups(&params),
            views: views.to_vec(),
            seconds: self.capabilities.speed.seconds(cost),
        });
        Ok(())
    }

    /// The tile of a product of `shape` (M, N, K of the whole operation): the one that the table has, else `rule`. Few
    /// rows, which are summed in another order or have a tile of their own, are left to the rule.
    pub(super) fn product_tile(&mut self, product: Operation, shape: [usize; 3], rule: linear::Tile) -> linear::Tile {
        if matches!(rule, linear::Tile::FewRows | linear::Tile::FewLanes) {
            return rule;
        }
        let work = 2 * shape.iter().map(|size| *size as u64).product::<u64>();
        match self.tile(product, shape, Tile::Product(rule), work) {
            Tile::Product(tile) => tile,
            Tile::Attention(_) => rule,
        }
    }

    /// The tile that the table has for an operation of `shape` (see [`Key::new`]), else `rule`.
    pub(super) fn tile(&mut self, operation: Operation, shape: [usize; 3], rule: Tile, work: u64) -> Tile {
        let key = Key::new(operation, shape.map(|size| size as u32));
        let measured = self.table.get(&key).filter(|tile| *tile == rule || !tile.in_lanes());
        match self.choices.iter_mut().find(|choice| choice.key == key) {
            Some(choice) => choice.work += work,
            None => self.choices.push(Choice {
                key,
                tile: measured.unwrap_or(rule),
                measured: measured.is_some(),
                work,
            }),
        }
        measured.unwrap_or(rule)
    }

    /// Index of the kernel's shader.
    fn shader<K: Kernel + 'static>(&mut self, kernel: K) -> usize {
        // Pieces of one operation come in a row, and a shader's text takes longer to make than the rest of a dispatch.
        if let Some((last, index)) = &self.last_kernel
            && last.downcast_ref() == Some(&kernel)
        {
            return *index;
        }
        let shader = kernel.shader();
        let index = match self.shader_index.get(&shader.name) {
            Some(index) => *index,
            None => {
                self.shader_index.insert(shader.name.clone(), self.shaders.len());
                self.shaders.push(shader);
                self.shaders.len() - 1
            }
        };
        self.last_kernel = Some((Box::new(kernel), index));
        index
    }

    /// The current operation cannot be cut into pieces that the device can bind.
    pub(super) fn too_large(&self, needed: u64) -> Error {
        let what = self
            .ops
            .last()
            .map_or("a value".to_owned(), |op| format!("{} at `{}`", op.op, op.label));
        Error::OutOfMemory {
            what,
            needed,
            available: self.capabilities.max_binding,
            remedy: "this is the most that the driver can bind at once; render a smaller picture or fewer frames, or use another device or `--device cpu`"
                .into(),
        }
    }

    /// Places everything.
    pub(super) fn finish(mut self) -> Result<Plan> {
        let graph = self.graph;
        for value in graph.outputs().values() {
            self.keep(self.view(*value));
        }
        for (name, value) in graph.state_updates() {
            self.keep(self.view(*value));
            let node = graph.node(*value);
            let index = self.state_index(name);
            let state = &mut self.states[index];
            state.written = Some(node.shape.clone());
            state.bytes = state.bytes.max(4 * node.elements() as u64);
        }
        let layout = arena::layout(&self.temps, self.capabilities.max_buffer)
            .map_err(|index| self.too_large_for_buffer(self.temps[index].size))?;
        if self.fixed_bytes > self.capabilities.max_buffer {
            return Err(self.too_large_for_buffer(self.fixed_bytes));
        }
        let region = |view: &View| {
            let (buffer, base) = match view.target {
                Target::Temp(index) => {
                    let place = layout.places[index];
                    (Buffer::Arena(place.arena), place.offset)
                }
                Target::Placed(buffer) => (buffer, 0),
            };
            Region {
                buffer,
                offset: base + view.offset,
                size: view.size,
            }
        };
        let port = |(name, value): (&str, Value)| {
            let node = graph.node(value);
            Some(Port {
                name: name.to_owned(),
                shape: node.shape.clone(),
                element_type: node.element_type,
                limit: self.limits.get(&value).copied(),
                region: region(self.views[value.index()].as_ref()?),
            })
        };
        let named = |map: &std::collections::BTreeMap<String, Value>| {
            map.iter()
                .filter_map(|(name, value)| port((name, *value)))
                .collect::<Vec<_>>()
        };
        Ok(Plan {
            dispatches: self
                .pending
                .iter()
                .map(|p| Dispatch {
                    op: p.op,
                    shader: p.shader,
                    params: p.params.clone(),
                    workgroups: p.workgroups,
                    bindings: p.views.iter().map(|v| bound(region(v))).collect(),
                    seconds: p.seconds,
                })
                .collect(),
            inputs: graph.inputs().filter_map(port).collect(),
            outputs: named(graph.outputs()),
            updates: named(graph.state_updates()),
            shaders: self.shaders,
            uniforms: self.uniforms,
            ops: self.ops,
            arenas: layout.sizes,
            fixed: self.fixed,
            fixed_bytes: self.fixed_bytes,
            weights: self.weights,
            states: self.states,
            choices: self.choices,
        })
    }

    fn too_large_for_buffer(&self, needed: u64) -> Error {
        Error::OutOfMemory {
            what: "one value of the model".into(),
            needed,
            available: self.capabilities.max_buffer,
            remedy: "this is the largest buffer of the driver; render a smaller picture or fewer frames, or use another device or `--device cpu`"
                .into(),
        }
    }
}

/// A kernel's binding has 16 bytes at least. But for weights it is whole vectors of four: there is room for them behind
/// every value.
fn bound(region: Region) -> Region {
    let whole = match region.buffer {
        Buffer::Weight(_) => 1,
        _ => 16,
    };
    Region {
        size: region.size.next_multiple_of(whole).max(16),
        ..region
    }
}
