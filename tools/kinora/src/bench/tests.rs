use clap::Parser;

use super::report::{Ceiling, Check, Clock, DeviceInfo, HostInfo, Limit, Measured, Options, Part, Report, Row, SCHEMA};
use super::{Spread, compare, measure, page};
use crate::cli::{Cli, Command};

fn measured(seconds: f64) -> Measured {
    Measured {
        seconds: Spread::of(vec![seconds * 63.0 / 64.0, seconds, seconds * 65.0 / 64.0]),
        clock: Clock::Device,
        dispatches: 3,
        host_seconds_per_dispatch: 2e-6,
        memory: 5 << 20,
        limit: Some(Limit {
            ceiling: "peak.f32".into(),
            seconds: seconds / 4.0,
            fraction: 0.25,
        }),
        check: Check {
            compared: 16,
            of: 4096,
            error: 1e-6,
            tolerance: 2e-5,
            method_error: None,
            passed: true,
        },
        parts: vec![Part {
            op: "linear".into(),
            count: 3,
            seconds: seconds / 2.0,
            flops: 900_000_000,
            bytes: 1_000_000,
        }],
    }
}

fn row(name: &str, seconds: Option<f64>) -> Row {
    Row {
        id: format!("gemm a-model {name} q4_k m=8,n=16,k=256"),
        kind: "gemm".into(),
        model: "a-model".into(),
        name: name.into(),
        format: "q4_k".into(),
        shape: "m=8 n=16 k=256".into(),
        reduced: true,
        flops: 1_000_000_000,
        bytes: 2_000_000,
        measured: seconds.map(measured),
        error: seconds.is_none().then(|| "out of memory: 7 < 8".into()),
    }
}

fn report(rows: Vec<Row>) -> Report {
    let ceiling = |name: &str, unit: &str, value| Ceiling {
        name: name.into(),
        value,
        unit: unit.into(),
        seconds: Spread::of(vec![0.02]),
    };
    Report {
        schema: SCHEMA,
        tool: "kinora 0.1.0".into(),
        started: 1_790_000_000,
        complete: true,
        device: DeviceInfo {
            name: "A <device>".into(),
            backend: "Vulkan".into(),
            class: "discrete".into(),
            driver: "driver 7".into(),
            memory: Some(8 << 30),
            max_binding: 1 << 31,
        },
        host: HostInfo {
            os: "linux".into(),
            arch: "x86_64".into(),
            threads: 2,
        },
        options: Options {
            targets: vec!["gemm".into()],
            quick: true,
            precision: "f32".into(),
            formats: vec!["q4_k".into()],
            models: Vec::new(),
            filter: None,
        },
        ceilings: vec![
            ceiling("peak.f32", "op/s", 4e12),
            ceiling("copy", "B/s", 2e11),
            ceiling("dispatch.host", "s", 2e-6),
        ],
        rows,
    }
}

#[test]
fn a_report_comes_back_from_its_json() {
    let report = report(vec![row("up", Some(0.25)), row("down", None)]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    super::write_whole(&path, serde_json::to_string_pretty(&report).unwrap().as_bytes()).unwrap();
    assert_eq!(Report::read(&path).unwrap(), report);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_report_has_a_place_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    super::check_place(&path, false).unwrap();
    std::fs::write(&path, "").unwrap();
    assert!(super::check_place(&path, false).unwrap_err().0.contains("--force"));
    super::check_place(&path, true).unwrap();
    assert!(
        super::check_place(&folder.path().join("b/a.json"), true)
            .unwrap_err()
            .0
            .contains("no folder")
    );
}

#[test]
fn other_schemas_and_other_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let refused = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let error = Report::read(&path).unwrap_err().to_string();
        assert!(error.contains("a.json"), "{error}");
        error
    };
    assert!(refused("{\"schema\": 7}").contains("schema 7"));
    assert!(refused("{}").contains("no report"));
    assert!(refused("{\"schema\": 1, \"rows\": 3}").contains("damaged"));
    assert!(refused("not JSON").contains("no report"));
}

#[test]
fn comparison_puts_the_largest_change_first() {
    let before = report(vec![
        row("same", Some(0.01)),
        row("faster", Some(0.03)),
        row("gone", Some(1.0)),
    ]);
    let after = report(vec![
        row("same", Some(0.0101)),
        row("faster", Some(0.01)),
        row("new", Some(2e-6)),
        row("broken", None),
    ]);
    insta::assert_snapshot!(compare(&before, &after), @r"
    A  A <device>, driver 7 (kinora 0.1.0)
    B  A <device>, driver 7 (kinora 0.1.0)
            A         B    A / B
      30.0 ms   10.0 ms    3.00  gemm a-model faster q4_k m=8,n=16,k=256
      10.0 ms   10.1 ms    0.99~ gemm a-model same q4_k m=8,n=16,k=256
    only in A: gemm a-model gone q4_k m=8,n=16,k=256
    only in B: gemm a-model new q4_k m=8,n=16,k=256
    ");
}

#[test]
fn the_page_has_every_row_and_nothing_from_elsewhere() {
    let report = report(vec![row("up", Some(0.01)), row("down", None)]);
    let page = page(&report);
    for row in &report.rows {
        assert!(page.contains(&format!("<tr id=\"{}\">", row.id)), "{}", row.id);
    }
    assert!(page.contains("A &lt;device&gt;") && page.contains("out of memory: 7 &lt; 8"));
    assert_eq!(page.matches("<circle").count(), 1);
    // Coordinates are numbers, and no address is followed.
    assert!(
        !["NaN", "inf", "http", "<script", "@import"]
            .iter()
            .any(|bad| page.contains(bad))
    );
}

#[test]
fn a_report_without_rows_has_a_page() {
    assert!(page(&report(Vec::new())).contains("Ceilings"));
}

fn arguments(line: &str) -> Cli {
    Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn the_command_line_takes_files_where_others_take_none() {
    let bench = |line: &str| match arguments(line).command {
        Command::Bench(args) => args,
        other => panic!("{other:?}"),
    };
    let args = bench("kinora bench gemm vae --json a.json --formats q4_k,all");
    assert_eq!(args.json.as_deref(), Some("a.json".as_ref()));
    assert_eq!(args.kinds().len(), 2);
    assert_eq!(args.types(&[]).len(), crate::convert::Target::ALL.len());
    assert_eq!(bench("kinora --json bench").json.as_deref(), Some("-".as_ref()));
    assert!(bench("kinora bench").json.is_none());
    assert_eq!(bench("kinora bench").kinds().len(), super::Kind::EACH.len());
    assert!(bench("kinora bench compare a b").command.is_some());
    for misuse in [
        "kinora bench gem",
        "kinora bench --formats q4_z",
        "kinora bench --json",
        "kinora bench --model x",
    ] {
        assert!(Cli::try_parse_from(misuse.split(' ')).is_err(), "{misuse}");
    }
}

#[test]
fn small_products_and_a_block_are_measured_and_right() {
    let cli = arguments("kinora bench gemm block --quick --formats q8_0 --filter 1.3b");
    let Command::Bench(args) = &cli.command else {
        panic!("{:?}", cli.command)
    };
    let mut out = Vec::new();
    let (report, result) = match measure(&cli.global, args, &mut out) {
        Ok(measured) => measured,
        Err(error) if std::env::var_os("KINORA_REQUIRE_GPU").is_none_or(|v| v != "1") => {
            println!("skipped: {error}");
            return;
        }
        Err(error) => panic!("KINORA_REQUIRE_GPU is set: {error}"),
    };
    result.unwrap();
    assert!(report.complete && report.ceilings.iter().all(|ceiling| ceiling.value > 0.0));
    let kinds: Vec<&str> = report.rows.iter().map(|row| row.kind.as_str()).collect();
    assert_eq!(kinds, ["gemm", "gemm", "gemm", "block"]);
    let lines = String::from_utf8(out).unwrap();
    for row in &report.rows {
        let measured = row.measured.as_ref().unwrap_or_else(|| panic!("{:?}", row.error));
        assert!(measured.check.passed && measured.check.compared > 0, "{measured:?}");
        assert!(measured.limit.is_some() && measured.memory > 0 && measured.dispatches > 0);
        assert_eq!(measured.parts.is_empty(), row.kind == "gemm");
        assert!(lines.contains(&row.id), "{lines}");
    }
}
