//! Decoding in tiles, as a whole; that its numbers are the reference's is for the goldens to say.

use kinora::{DeviceChoice, MemoryArgs, open_executor};
use kinora_graph::Precision;
use kinora_models::pipeline::{Event, Listener, decode};
use kinora_models::wan::Model;
use kinora_models::wan::open::Source;
use kinora_models::wan::vae::Tiling;

/// Counts programs and warnings.
#[derive(Default)]
struct Counter {
    planned: usize,
    warnings: Vec<String>,
    finished: usize,
}

impl Listener for Counter {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Planned { .. } => self.planned += 1,
            Event::Warning(why) => self.warnings.push(why.clone()),
            Event::Finished { .. } => self.finished += 1,
            _ => {}
        }
    }
}

/// Latent frames, height and width.
const SHAPE: [usize; 3] = [3, 6, 5];

fn frames(model: &Model, tiling: Option<Tiling>) -> (Vec<Vec<f32>>, Counter) {
    let mut executor = open_executor(&DeviceChoice::Cpu, Precision::F32, &MemoryArgs::default()).unwrap();
    let elements = model.vae_config.z_dim * SHAPE.iter().product::<usize>();
    let latent = kinora_models::noise::randn(3, elements);
    let (mut frames, mut counter) = (Vec::new(), Counter::default());
    let mut sink = |frame: &[f32]| {
        frames.push(frame.to_vec());
        Ok(())
    };
    decode(model, &mut *executor, &latent, SHAPE, tiling, &mut counter, &mut sink).unwrap();
    assert_eq!(counter.finished, 1);
    (frames, counter)
}

#[test]
fn a_tile_that_holds_the_picture_changes_no_bit_and_smaller_ones_compile_once() {
    let model = Model::open(&Source {
        paths: vec![kinora_tests::root().join("../assets/demo-model")],
        ..Source::default()
    })
    .unwrap();
    let (whole, counter) = frames(&model, None);
    assert_eq!(whole.len(), model.vae_config.frames(SHAPE[0]));
    assert!(counter.warnings.is_empty());
    assert_eq!(counter.planned, 3);

    let (held, counter) = frames(&model, Some(Tiling::new([6, 5], [2, 2]).unwrap()));
    assert_eq!(whole, held);
    assert!(counter.warnings.is_empty());

    // Rows 0..4, 3..6, columns 0..3, 2..5, 4..5: four sizes, three kinds of chunk each.
    let (tiled, counter) = frames(&model, Some(Tiling::new([4, 3], [3, 2]).unwrap()));
    assert_eq!(counter.planned, 4 * 3);
    assert_eq!(counter.warnings.len(), 1);
    assert!(counter.warnings[0].contains("6 overlapping tiles of up to 24x32 pixels"));
    assert!(whole != tiled, "tiles see less than the whole picture");
    let size = [SHAPE[1], SHAPE[2]].map(|n| n * model.vae_config.spatial_factor());
    assert_eq!(tiled.len(), whole.len());
    assert!(tiled.iter().all(|frame| frame.len() == size[0] * size[1] * 3));
    assert!(tiled.iter().flatten().all(|v| (0.0..=1.0).contains(v)));
}
