//! The roofline: rates over intensities, as SVG.

use std::fmt::Write;

use html_escape::encode_safe;

use super::report::{Report, Row};
use super::text::{scaled, seconds};

/// Size of the picture and of its margins.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 120.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 48.0;

/// Logarithmic axes, in powers of ten.
struct Axes {
    x: [f64; 2],
    y: [f64; 2],
}

impl Axes {
    /// Axes that hold all points and ceilings, in whole decades.
    fn around(points: &[(f64, f64)], peaks: &[f64]) -> Self {
        let decades = |values: &mut dyn Iterator<Item = f64>| {
            let logs: Vec<f64> = values.filter(|v| *v > 0.0).map(f64::log10).collect();
            let low = logs.iter().copied().fold(f64::INFINITY, f64::min);
            let high = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            match low.is_finite() {
                true => [low.floor(), high.ceil().max(low.floor() + 1.0)],
                false => [0.0, 1.0],
            }
        };
        let y = points.iter().map(|p| p.1).chain(peaks.iter().copied());
        Self {
            x: decades(&mut points.iter().map(|p| p.0)),
            y: decades(&mut y.into_iter()),
        }
    }

    fn x(&self, value: f64) -> f64 {
        let share = (value.log10() - self.x[0]) / (self.x[1] - self.x[0]);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value.log10() - self.y[0]) / (self.y[1] - self.y[0]);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

/// The plot of a report; empty where there is no point or no ceiling.
pub(super) fn roofline(report: &Report) -> String {
    let points: Vec<(&Row, f64, f64)> = report
        .rows
        .iter()
        .filter(|row| row.flops > 0)
        .filter_map(|row| Some((row, row.intensity(), row.flops_per_second()?)))
        .collect();
    let peaks: Vec<(&str, f64)> = report
        .ceilings
        .iter()
        .filter(|ceiling| ceiling.unit == "op/s")
        .map(|ceiling| (ceiling.name.as_str(), ceiling.value))
        .collect();
    let (Some(copy), false) = (report.ceiling("copy"), points.is_empty() || peaks.is_empty()) else {
        return String::new();
    };
    let places: Vec<(f64, f64)> = points.iter().map(|(_, x, y)| (*x, *y)).collect();
    let rates: Vec<f64> = peaks.iter().map(|(_, rate)| *rate).collect();
    let axes = Axes::around(&places, &rates);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Roofline: operations per second over operations per byte\">\n"
    );
    grid(&mut svg, &axes);
    roofs(&mut svg, &axes, copy, &peaks);
    for (row, x, y) in points {
        let Some(measured) = &row.measured else { continue };
        let label = format!(
            "{}\n{} per run, {}op/s at {x:.1} op/B{}",
            row.id,
            seconds(measured.seconds.median),
            scaled(y),
            measured.limit.as_ref().map_or_else(String::new, |limit| format!(
                "\n{:.0} % of {}",
                100.0 * limit.fraction,
                limit.ceiling
            ))
        );
        add(
            &mut svg,
            format_args!(
                "<circle class=\"{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\"><title>{}</title></circle>",
                row.kind,
                axes.x(x),
                axes.y(y),
                encode_safe(&label)
            ),
        );
    }
    svg + "</svg>\n"
}

/// Lines at powers of ten, with their values.
fn grid(svg: &mut String, axes: &Axes) {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for power in axes.x[0] as i32..=axes.x[1] as i32 {
        let (x, value) = (axes.x(10f64.powi(power)), 10f64.powi(power));
        add(
            svg,
            format_args!(
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/><text class=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{value}</text>",
                bottom + 18.0
            ),
        );
    }
    for power in axes.y[0] as i32..=axes.y[1] as i32 {
        let y = axes.y(10f64.powi(power));
        let value = ["", "k", "M", "G", "T", "P"].get((power / 3) as usize).unwrap_or(&"");
        let number = 10i32.pow(power.rem_euclid(3) as u32);
        add(
            svg,
            format_args!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{number} {value}op/s</text>",
                LEFT - 6.0,
                y + 4.0
            ),
        );
    }
    add(
        svg,
        format_args!(
            "<text class=\"middle\" x=\"{:.1}\" y=\"{:.1}\">operations per byte of least traffic</text>",
            (LEFT + right) / 2.0,
            HEIGHT - 8.0
        ),
    );
}

/// The slope of the memory's bandwidth up to each unit's peak, and on.
fn roofs(svg: &mut String, axes: &Axes, copy: f64, peaks: &[(&str, f64)]) {
    let (left, right) = (10f64.powf(axes.x[0]), 10f64.powf(axes.x[1]));
    let floor = 10f64.powf(axes.y[0]);
    let highest = peaks.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    // Where the slope enters the picture, and where it meets the highest roof.
    let (from, to) = (left.max(floor / copy), (highest / copy).clamp(left, right));
    if from < to {
        let (x, y) = (axes.x(from), axes.y(copy * from));
        add(
            svg,
            format_args!(
                "<line class=\"roof\" x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"><title>copy: {}B/s</title></line>",
                axes.x(to),
                axes.y(copy * to),
                scaled(copy)
            ),
        );
    }
    let mut peaks = peaks.to_vec();
    peaks.sort_by(|a, b| b.1.total_cmp(&a.1));
    // Labels go down where they would lie on each other.
    let mut lowest = f64::NEG_INFINITY;
    for (name, rate) in peaks {
        let (from, y) = ((rate / copy).clamp(left, right), axes.y(rate));
        lowest = (y + 4.0).max(lowest + 14.0);
        add(
            svg,
            format_args!(
                "<line class=\"roof\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"roof\" x=\"{:.1}\" y=\"{:.1}\">{} {}op/s</text>",
                axes.x(from),
                WIDTH - RIGHT,
                WIDTH - RIGHT + 4.0,
                lowest,
                encode_safe(name.trim_start_matches("peak.")),
                scaled(rate)
            ),
        );
    }
}

fn add(svg: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(svg, "{text}").expect("a string takes all");
}
