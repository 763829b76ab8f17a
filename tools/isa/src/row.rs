//! The figures of one variant on one chip.

use anyhow::{Result, ensure};
use kinora_shaders::Shader;

use crate::device::Executable;
use crate::listing::{Instruction, Kind, Listing, aco, brw};
use crate::table::{COLUMNS, Row, place};

/// How often BRW's estimate counts a loop.
const BRW_LOOP: u64 = 10;

/// Reads what the driver said of a variant; `log` is what it wrote to the standard error stream.
///
/// # Errors
/// If the driver is not one of the two, or was not asked to say enough.
pub(crate) fn row(shader: &Shader, executable: &Executable, log: &str) -> Result<Row> {
    let mut row = Row::new(&shader.name);
    row.set("subgroup", f64::from(executable.subgroup));
    row.set("workgroup", f64::from(shader.workgroup_size.iter().product::<u32>()));
    let figure = |name: &str| executable.statistic(name).map(|value| value as f64);
    if let Some(code) = executable.text("GEN Assembly") {
        let listing = brw::parse(code);
        row.set("registers", figure("Max live registers"));
        row.set("spills", figure("Spill Count"));
        row.set("scratch", figure("Scratch Memory Size"));
        row.set("lds", figure("Workgroup Memory Size"));
        row.set("instructions", figure("Instruction Count"));
        let flops = listing.weighted_flops(BRW_LOOP);
        if flops > 0 {
            row.set(
                "cycles_per_kflop",
                figure("Cycle Count").map(|cycles| per_kflop(cycles, flops)),
            );
        }
        mix(&mut row, &listing);
    } else {
        let listing = aco::parse(log, u64::from(executable.subgroup));
        ensure!(
            !listing.instructions.is_empty(),
            "the driver printed no estimates: this needs Mesa's RADV and ACO_DEBUG=perfinfo (`cargo xtask isa` sets it)"
        );
        let waves = log
            .lines()
            .find_map(|line| line.strip_prefix("num_waves: ")?.parse::<f64>().ok());
        row.set("registers", figure("VGPRs"));
        let spilled = [figure("Spilled SGPRs"), figure("Spilled VGPRs")];
        row.set("spills", spilled.into_iter().flatten().sum::<f64>());
        row.set("scratch", figure("Scratch size"));
        row.set("lds", figure("LDS size"));
        row.set("waves", waves);
        row.set("code", figure("Code size"));
        row.set("instructions", figure("Instructions"));
        let body = mix(&mut row, &listing);
        let flops = body.iter().map(|i| i.flops).sum();
        if flops > 0 {
            row.set("cycles_per_kflop", per_kflop(pass(&body, waves.unwrap_or(1.0)), flops));
        }
    }
    Ok(row)
}

/// Cycles that a subgroup's pass takes from a SIMD that runs `waves` of them in turns: its vector instructions are
/// issued one after the other, and its waits are filled as far as there are others.
fn pass(body: &[Instruction], waves: f64) -> f64 {
    let alone: u64 = body.iter().map(|i| i.cycles).sum();
    let issue: u64 = body.iter().filter(|i| i.kind.is_vector()).map(|i| i.cycles).sum();
    (issue as f64).max(alone as f64 / waves.max(1.0))
}

fn per_kflop(cycles: f64, flops: u64) -> f64 {
    1000.0 * cycles / flops as f64
}

/// Counts the inner loop's instructions, of the whole program where there is no loop, and returns them.
fn mix(row: &mut Row, listing: &Listing) -> Vec<Instruction> {
    let inner = listing.inner_loop();
    row.set("loop", f64::from(u8::from(inner.is_some())));
    let body = inner.unwrap_or_else(|| listing.instructions.clone());
    let count = |wanted: &dyn Fn(Kind) -> bool| body.iter().filter(|i| wanted(i.kind)).count() as f64;
    for (column, kind) in COLUMNS[place("matrix")..].iter().zip(Kind::ALL) {
        row.set(column.name, count(&|k| k == kind));
    }
    let vector = count(&|k| k.is_vector());
    if vector > 0.0 {
        row.set("share", count(&|k| k.carries()) / vector);
    }
    body
}

#[cfg(test)]
mod tests {
    use kinora_shaders::Features;

    use super::*;

    fn shader() -> Shader {
        Shader {
            name: "a.b".into(),
            source: String::new(),
            bindings: &[],
            needs: Features::default(),
            workgroup_size: [32, 2, 1],
        }
    }

    #[test]
    fn an_amd_row() {
        let executable = Executable {
            subgroup: 64,
            statistics: vec![
                ("VGPRs".into(), 60),
                ("Spilled SGPRs".into(), 1),
                ("Spilled VGPRs".into(), 2),
            ],
            texts: Vec::new(),
        };
        let row = row(&shader(), &executable, include_str!("listing/fixtures/aco.txt")).unwrap();
        let figure = |name| row.figures[place(name)];
        assert_eq!(
            [
                "workgroup",
                "registers",
                "spills",
                "waves",
                "fma",
                "dot4",
                "vector",
                "lds_access"
            ]
            .map(figure),
            [64.0, 60.0, 3.0, 12.0, 3.0, 1.0, 2.0, 2.0].map(Some)
        );
        assert_eq!(figure("share"), Some(0.667));
        // Vector instructions take 9 cycles; 40 alone, divided among 12 waves, are less.
        assert_eq!(figure("cycles_per_kflop"), Some(10.04));
    }

    #[test]
    fn an_intel_row() {
        let executable = Executable {
            subgroup: 16,
            statistics: vec![("Cycle Count".into(), 192), ("Max live registers".into(), 74)],
            texts: vec![("GEN Assembly".into(), include_str!("listing/fixtures/brw.txt").into())],
        };
        let row = row(&shader(), &executable, "").unwrap();
        assert_eq!(row.figures[place("registers")], Some(74.0));
        assert_eq!(row.figures[place("waves")], None);
        assert_eq!(row.figures[place("cycles_per_kflop")], Some(1000.0 * 192.0 / 1920.0));
    }

    #[test]
    fn a_silent_driver_is_an_error() {
        assert!(row(&shader(), &Executable::default(), "").is_err());
    }
}
