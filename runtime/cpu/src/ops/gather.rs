//! Rows of a weight by id.

use kinora_graph::{Error, Matrix, Precision, Result, Value};
use rayon::prelude::*;

use super::Machine;
use crate::frame::Frame;
use crate::weights::WeightMatrix;

pub(super) fn run(
    machine: &Machine<'_>,
    frame: &Frame<'_>,
    ids: Value,
    table: &Matrix,
    label: &str,
) -> Result<Vec<f32>> {
    let vocabulary = table.n();
    let name = &frame.graph().node(ids).label;
    let ids = frame.u32(ids)?;
    if let Some(id) = ids.iter().find(|id| **id as usize >= vocabulary) {
        return Err(Error::Input {
            name: name.clone(),
            why: format!("id {id} is asked for; `{label}` has {vocabulary} rows"),
        });
    }
    // Lookups are not products: they are exact whatever the precision.
    let weight = WeightMatrix::new(machine.weights, table, Precision::F32);
    let mut out = vec![0.0; ids.len() * table.k];
    out.par_chunks_mut(table.k)
        .zip(ids)
        .try_for_each(|(out, id)| weight.decode_into(*id as usize..*id as usize + 1, out))?;
    Ok(out)
}
