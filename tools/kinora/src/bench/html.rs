//! The report as a page of its own: no scripts, nothing from elsewhere.

use std::fmt::Write;

use html_escape::encode_safe;

use super::args::Kind;
use super::plot::roofline;
use super::report::{Measured, Report, Row};
use super::text::{rate, scaled, seconds};
use crate::units;

const STYLE: &str = include_str!("page.css");

/// The page.
pub fn page(report: &Report) -> String {
    let device = &report.device;
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>kinora bench: {name}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n",
        name = encode_safe(&device.name)
    );
    let about = [
        format!("{}, {}, {}", device.backend, device.class, device.driver),
        device.memory.map_or_else(String::new, units::memory),
        format!(
            "{} {}, {} threads",
            report.host.os, report.host.arch, report.host.threads
        ),
        format!("precision {}", report.options.precision),
        if report.options.quick { "reduced shapes" } else { "" }.to_owned(),
        if report.complete { "" } else { "stopped before the end" }.to_owned(),
        report.tool.clone(),
    ];
    let about: Vec<&str> = about
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    add(
        &mut out,
        format_args!("<p class=\"about\">{}</p>", encode_safe(&about.join(" · "))),
    );
    ceilings(&mut out, report);
    let plot = roofline(report);
    if !plot.is_empty() {
        add(&mut out, format_args!("<h2>Roofline</h2>\n{plot}<ul class=\"key\">"));
        let kinds = Kind::EACH.into_iter().filter(|kind| *kind != Kind::Upload);
        for kind in kinds.map(Kind::name) {
            if report.rows.iter().any(|row| row.kind == kind) {
                add(&mut out, format_args!("<li><span class=\"{kind}\"></span>{kind}</li>"));
            }
        }
        add(&mut out, format_args!("</ul>"));
    }
    for kind in Kind::EACH.map(Kind::name) {
        let rows: Vec<&Row> = report.rows.iter().filter(|row| row.kind == kind).collect();
        if !rows.is_empty() {
            table(&mut out, kind, &rows);
        }
    }
    parts(&mut out, report);
    out + "</body>\n</html>\n"
}

fn ceilings(out: &mut String, report: &Report) {
    add(out, format_args!("<h2>Ceilings</h2>\n<div class=\"wide\"><table>"));
    add(
        out,
        format_args!("<tr><th class=\"left\">what</th><th>best</th><th>median of a sample</th><th>samples</th></tr>"),
    );
    for ceiling in &report.ceilings {
        let best = match ceiling.unit.as_str() {
            "s" => seconds(ceiling.value),
            unit => format!("{}{unit}", scaled(ceiling.value)),
        };
        add(
            out,
            format_args!(
                "<tr><td class=\"left\">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                encode_safe(&ceiling.name),
                encode_safe(&best),
                seconds(ceiling.seconds.median),
                ceiling.seconds.samples
            ),
        );
    }
    add(out, format_args!("</table></div>"));
}

fn table(out: &mut String, kind: &str, rows: &[&Row]) {
    add(
        out,
        format_args!("<h2>{}</h2>\n<div class=\"wide\"><table>", encode_safe(kind)),
    );
    add(
        out,
        format_args!(
            "<tr><th class=\"left\">model</th><th class=\"left\">part</th><th class=\"left\">weights</th>\
             <th class=\"left\">shape</th><th>median</th><th>middle half</th><th>rate</th><th>of the ceiling</th>\
             <th class=\"left\">ceiling</th><th>dispatches</th><th>host, each</th><th>host, share</th><th>memory</th>\
             <th class=\"left\">check</th></tr>"
        ),
    );
    for row in rows {
        let of = [&row.model, &row.name, &row.format, &row.shape];
        let of: String = of
            .map(|cell| format!("<td class=\"left\">{}</td>", encode_safe(cell)))
            .concat();
        let results = match &row.measured {
            Some(measured) => cells(row, measured),
            None => format!(
                "<td class=\"left\" colspan=\"9\">not measured: {}</td>",
                encode_safe(row.error.as_deref().unwrap_or("no result"))
            ),
        };
        add(
            out,
            format_args!("<tr id=\"{}\">{of}{results}</tr>", encode_safe(&row.id)),
        );
    }
    add(out, format_args!("</table></div>"));
}

/// The cells of a result.
fn cells(row: &Row, measured: &Measured) -> String {
    let Measured {
        seconds: times, check, ..
    } = measured;
    let limit = match &measured.limit {
        None => "<td></td><td></td>".to_owned(),
        Some(limit) => {
            let percent = 100.0 * limit.fraction;
            format!(
                "<td class=\"bar\" style=\"--share: {:.0}%\">{percent:.1} %</td><td class=\"left\">{}</td>",
                percent.min(100.0),
                encode_safe(&limit.ceiling)
            )
        }
    };
    let (class, said) = match (check.passed, check.compared) {
        (false, _) => ("wrong", format!("wrong: error {:.1e}", check.error)),
        (true, 0) => ("right", if check.of > 0 { "finite" } else { "" }.to_owned()),
        (true, n) => {
            let share = 100.0 * n as f64 / check.of as f64;
            let method = check
                .method_error
                .map_or_else(String::new, |error| format!(" ({error:.1e} from float)"));
            (
                "right",
                format!("error {:.0e}{method}, {share:.2} % compared", check.error),
            )
        }
    };
    format!(
        "<td>{}</td><td>{} – {}</td><td>{}</td>{limit}<td>{}</td><td>{}</td><td>{:.2} %</td><td>{}</td><td class=\"left {class}\">{said}</td>",
        seconds(times.median),
        seconds(times.lower_quartile),
        seconds(times.upper_quartile),
        rate(row),
        measured.dispatches,
        seconds(measured.host_seconds_per_dispatch),
        100.0 * measured.host_share(),
        units::memory(measured.memory),
    )
}

/// Where the time of whole graphs went.
fn parts(out: &mut String, report: &Report) {
    for row in &report.rows {
        let Some(measured) = row.measured.as_ref().filter(|m| !m.parts.is_empty()) else {
            continue;
        };
        let total: f64 = measured.parts.iter().map(|part| part.seconds).sum();
        add(
            out,
            format_args!(
                "<h2>{}</h2>\n<div class=\"wide\"><table><tr><th class=\"left\">operation</th><th>count</th>\
                 <th>time</th><th>share</th><th>op/s</th><th>B/s</th></tr>",
                encode_safe(&row.id)
            ),
        );
        for part in &measured.parts {
            let each = part.seconds.max(1e-9);
            add(
                out,
                format_args!(
                    "<tr><td class=\"left\">{}</td><td>{}</td><td>{}</td><td>{:.1} %</td><td>{}</td><td>{}</td></tr>",
                    encode_safe(&part.op),
                    part.count,
                    seconds(part.seconds),
                    100.0 * part.seconds / total.max(1e-9),
                    scaled(part.flops as f64 / each),
                    scaled(part.bytes as f64 / each)
                ),
            );
        }
        add(out, format_args!("</table></div>"));
    }
}

fn add(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes all");
}
