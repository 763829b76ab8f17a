//! What is measured changes plans, and no bit of what they compute but by attention in half precision.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kinora_graph::{Control, Error, Executor, NoControl, Op, Precision};
use kinora_runtime::tune::{Choice, Key, Operation, Tile};
use kinora_runtime::{Capabilities, Device, GpuExecutor, Options, Plan, Table, Tuner};
use kinora_shaders::{attention, linear};

use crate::graphs::{error, numbers};
use crate::zoo::{self, Specimen};

/// Those of the device as if it were a GPU: rules have tiles of their own for software drivers.
fn capabilities(device: &Device) -> Capabilities {
    Capabilities {
        software: false,
        ..device.capabilities()
    }
}

fn executor(device: &Arc<Device>, tuner: Option<&Arc<Tuner>>, precision: Precision) -> GpuExecutor {
    let options = Options {
        precision,
        ..Options::default()
    };
    GpuExecutor::with_options(device.clone(), capabilities(device), options).with_tuner(tuner.cloned())
}

/// What plans of all values of `specimen` choose by rule.
fn choices(device: &Device, specimen: &Specimen, precision: Precision) -> impl Iterator<Item = Choice> + use<> {
    let options = Options {
        precision,
        ..Options::default()
    };
    let graph = specimen.graph.with_all_outputs();
    let plan = Plan::new(&graph, &capabilities(device), &Table::default(), &options).unwrap();
    plan.choices.into_iter()
}

fn of_attention(choice: &Choice) -> bool {
    matches!(choice.key.operation, Operation::Attention { .. })
}

/// Names of the shaders of all dispatches, and the bits of all values.
fn run(mut gpu: GpuExecutor, specimen: &Specimen) -> (Vec<String>, Vec<Vec<u32>>) {
    let graph = specimen.graph.with_all_outputs();
    let program = gpu.compile(graph, &specimen.weights).unwrap();
    let outputs = gpu.run(program, &specimen.inputs(), &mut NoControl).unwrap();
    let bits = outputs
        .values()
        .map(|t| numbers(t).iter().map(|v| v.to_bits()).collect());
    (shaders(gpu.plan(program).unwrap()), bits.collect())
}

fn shaders(plan: &Plan) -> Vec<String> {
    let name = |index: usize| plan.shaders[index].name.clone();
    plan.dispatches.iter().map(|d| name(d.shader)).collect()
}

/// A tuner that has measured all of `specimen`, and its file.
fn tuned(device: &Arc<Device>, folder: &Path, specimen: &Specimen, precision: Precision) -> (Arc<Tuner>, PathBuf) {
    let tuner = Arc::new(Tuner::open(device.clone(), folder));
    let mut gpu = executor(device, Some(&tuner), precision);
    gpu.forecast(&specimen.graph.with_all_outputs()).unwrap();
    assert!(gpu.kernel_choices().iter().any(|choice| !choice.measured));
    // A slow machine needs more than one attempt; each gets further.
    while gpu.kernel_choices().iter().any(|choice| !choice.measured) {
        let before = tuner.table().clone();
        gpu.tune(&mut NoControl).unwrap();
        assert_ne!(*tuner.table(), before);
    }
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let path = files.next().expect("what was measured is kept");
    assert_eq!(files.next(), None, "no temporary file stays");
    (tuner, path)
}

#[test]
fn tuning_changes_no_bit_and_is_kept() {
    let Some(device) = crate::device() else { return };
    for precision in [Precision::F32, Precision::F16] {
        for specimen in [zoo::transformer(2), zoo::autoencoder(3, true), zoo::quantized(2)] {
            let folder = tempfile::tempdir().unwrap();
            let (tuner, _) = tuned(&device, folder.path(), &specimen, precision);
            let attention = Tuner::open(device.clone(), &folder.path().join("attention"));
            for choice in choices(&device, &specimen, precision).filter(of_attention) {
                let tile = tuner.table().get(&choice.key).expect("all is measured");
                attention.table().insert(choice.key, tile);
            }
            let by_rule = executor(&device, Some(&Arc::new(attention)), precision);
            let (_, expected) = run_states(by_rule, &specimen);
            let (measured, found) = run_states(executor(&device, Some(&tuner), precision), &specimen);
            assert!(expected == found, "{precision:?}");
            // Another process finds the same.
            let again = Arc::new(Tuner::open(device.clone(), folder.path()));
            assert_eq!(*again.table(), *tuner.table());
            let (same, _) = run_states(executor(&device, Some(&again), precision), &specimen);
            assert_eq!(same, measured);
        }
    }
}

/// As [`run`], after a program that sets what the specimen reads.
fn run_states(mut gpu: GpuExecutor, specimen: &Specimen) -> (Vec<String>, Vec<Vec<u32>>) {
    let first = zoo::autoencoder(3, false);
    let program = gpu.compile(first.graph.clone(), &first.weights).unwrap();
    gpu.run(program, &first.inputs(), &mut NoControl).unwrap();
    run(gpu, specimen)
}

#[test]
fn every_tile_gives_the_same_bits() {
    let Some(device) = crate::device() else { return };
    for precision in [Precision::F32, Precision::F16] {
        for specimen in [zoo::transformer(2), zoo::autoencoder(3, false), zoo::quantized(2)] {
            let (_, expected) = run(executor(&device, None, precision), &specimen);
            let mut choices: Vec<_> = choices(&device, &specimen, precision).collect();
            choices.retain(|choice| !of_attention(choice));
            assert!(!choices.is_empty() && choices.iter().all(|choice| !choice.measured));
            for tile in linear::Tile::MANY {
                let folder = tempfile::tempdir().unwrap();
                let tuner = Arc::new(Tuner::open(device.clone(), folder.path()));
                for choice in &choices {
                    tuner.table().insert(choice.key, Tile::Product(tile));
                }
                let (names, found) = run(executor(&device, Some(&tuner), precision), &specimen);
                let forced = names.iter().filter(|name| name.contains(&format!(".{}", tile.name())));
                assert!(forced.count() >= choices.len(), "{names:?}");
                assert!(found == expected, "{tile:?}, {precision:?}");
            }
        }
    }
}

#[test]
fn plans_follow_the_table_and_nothing_else() {
    let Some(device) = crate::device() else { return };
    let graph = zoo::transformer(2).graph;
    let plan = |table: &Table| Plan::new(&graph, &capabilities(&device), table, &Options::default()).unwrap();
    let by_rule = plan(&Table::default());
    let choice = by_rule.choices[0];
    let other = choice
        .key
        .operation
        .tiles()
        .into_iter()
        .find(|tile| *tile != choice.tile)
        .unwrap();
    let mut table = Table::default();
    table.insert(choice.key, other);
    let words = [plan(&table), plan(&table), by_rule].map(|plan| plan.to_string());
    assert_eq!(words[0], words[1]);
    assert_ne!(words[0], words[2]);
    // Of a class that the graph does not have.
    let mut table = Table::default();
    table.insert(Key::new(choice.key.operation, [1 << 20, 1 << 20, 1 << 20]), other);
    assert_eq!(plan(&table).to_string(), words[2]);
}

#[test]
fn attention_is_measured_in_half_precision() {
    let Some(device) = crate::device() else { return };
    let specimen = zoo::transformer(3);
    let choices = |specimen: &Specimen, precision| {
        let choices = choices(&device, specimen, precision).filter(of_attention);
        choices.map(|choice| choice.key).collect::<Vec<_>>()
    };
    // Neither full precision nor attention with a bias, which text encoders have, depends on a table.
    assert_eq!(choices(&specimen, Precision::F32), []);
    // Specimens have two, the first with a bias unless their number is divisible by three.
    assert_eq!(choices(&zoo::transformer(2), Precision::F16).len(), 1);
    let keys = choices(&specimen, Precision::F16);
    assert_eq!(keys.len(), 2);
    let folder = tempfile::tempdir().unwrap();
    let (tuner, _) = tuned(&device, folder.path(), &specimen, Precision::F16);
    assert!(keys.iter().all(|key| tuner.table().get(key).is_some()));

    // What the first of them gives: all behind it rounds other numbers.
    let attend = |tuner| {
        let mut gpu = executor(&device, tuner, Precision::F16);
        let graph = specimen.graph.with_all_outputs();
        let first = graph
            .nodes()
            .iter()
            .position(|node| matches!(node.op, Op::Attention(_)));
        let program = gpu.compile(graph, &specimen.weights).unwrap();
        let mut outputs = gpu.run(program, &specimen.inputs(), &mut NoControl).unwrap();
        let attended = outputs.remove(&format!("{:05}", first.unwrap())).unwrap();
        (shaders(gpu.plan(program).unwrap()), attended)
    };
    let (_, expected) = attend(None);
    let lanes = Tile::Attention(attention::Tile::Lanes);
    for tile in keys[0].operation.tiles().into_iter().filter(|tile| *tile != lanes) {
        for key in &keys {
            tuner.table().insert(*key, tile);
        }
        let (names, found) = attend(Some(&tuner));
        let part = match tile {
            Tile::Attention(attention::Tile::Matrices(_)) => ".matrix",
            _ => tile.name(),
        };
        let named = |name: &&String| name.starts_with("attention.") && name.contains(part);
        assert_eq!(names.iter().filter(named).count(), keys.len(), "{names:?}");
        // Matrices round probabilities to f16, the others do not.
        let error = error(&expected, &found);
        assert!(error <= 1.0 / 2048.0, "{}: {error:e}", tile.name());
    }
}

#[test]
fn a_file_that_is_not_ours_is_as_good_as_none() {
    let Some(device) = crate::device() else { return };
    let folder = tempfile::tempdir().unwrap();
    let specimen = zoo::transformer(2);
    let (tuner, path) = tuned(&device, folder.path(), &specimen, Precision::F32);
    let good = fs::read_to_string(&path).unwrap();
    let read = || Tuner::open(device.clone(), folder.path()).table().clone();
    assert_eq!(read(), *tuner.table());
    let tile = good.rsplit('"').nth(1).unwrap();
    let hostile = [
        String::new(),
        good[..good.len() / 2].to_owned(),
        good.replace("\"kinora\": \"", "\"kinora\": \"0"),
        good.replace("\"kernels\": \"", "\"kernels\": \"0"),
        good.replace("\"device\": \"", "\"device\": \"another "),
        good.replace("\"version\": ", "\"version\": 1"),
        "[".repeat(1 << 20),
        format!("{good}{good}"),
        " ".repeat(5 << 20) + &good,
    ];
    for bytes in hostile {
        fs::write(&path, &bytes).unwrap();
        let start = bytes.chars().take(200).collect::<String>();
        assert_eq!(read(), Table::default(), "{start}");
    }
    // A tile that does not exist, or of another kind, is as good as none.
    let keys: Vec<_> = choices(&device, &specimen, Precision::F32).map(|c| c.key).collect();
    fs::write(&path, &good).unwrap();
    let known = || keys.iter().filter(|key| read().get(key).is_some()).count();
    assert_eq!(known(), keys.len());
    for name in ["nonsense", linear::Tile::FewRows.name(), attention::Tile::Side4.name()] {
        fs::write(&path, good.replace(&format!("\"{tile}\""), &format!("\"{name}\""))).unwrap();
        assert!(known() < keys.len(), "{name}");
    }
    // What is measured next takes its place.
    fs::write(&path, "{").unwrap();
    tuned(&device, folder.path(), &specimen, Precision::F32);
    assert!(!read().eq(&Table::default()));
}

#[test]
fn a_folder_that_cannot_be_written_is_no_error() {
    let Some(device) = crate::device() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let tuner = Arc::new(Tuner::open(device.clone(), &file));
    let mut gpu = executor(&device, Some(&tuner), Precision::F32);
    gpu.forecast(&zoo::transformer(2).graph).unwrap();
    gpu.tune(&mut NoControl).unwrap();
    assert!(gpu.kernel_choices().iter().any(|choice| choice.measured));
}

/// Stops when `left` classes have been measured.
struct Impatient(Cell<usize>);

impl Control for Impatient {
    fn cancelled(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left == 0
    }
}

#[test]
fn tuning_can_be_stopped_and_keeps_what_it_has() {
    let Some(device) = crate::device() else { return };
    let folder = tempfile::tempdir().unwrap();
    let tuner = Arc::new(Tuner::open(device.clone(), folder.path()));
    let mut gpu = executor(&device, Some(&tuner), Precision::F32);
    gpu.forecast(&zoo::transformer(2).graph).unwrap();
    let stopped = gpu.tune(&mut Impatient(Cell::new(1)));
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
    let measured = gpu.kernel_choices().iter().filter(|choice| choice.measured).count();
    assert_eq!(measured, 1);
    assert_ne!(*Tuner::open(device.clone(), folder.path()).table(), Table::default());
}

#[test]
fn what_does_not_fit_is_not_measured() {
    let Some(device) = crate::device() else { return };
    let folder = tempfile::tempdir().unwrap();
    let tuner = Arc::new(Tuner::open(device.clone(), folder.path()));
    let specimen = zoo::transformer(2);
    let options = Options {
        memory: Some(device.ledger().held() + 4096),
        ..Options::default()
    };
    // A plan is made before the memory is asked for.
    let mut gpu =
        GpuExecutor::with_options(device.clone(), capabilities(&device), options).with_tuner(Some(tuner.clone()));
    let _ = gpu.forecast(&specimen.graph);
    gpu.tune(&mut NoControl).unwrap();
    assert!(gpu.kernel_choices().iter().all(|choice| !choice.measured));
    assert!(!folder.path().read_dir().unwrap().any(|_| true));
}
