//! The table of a chip: a CSV file with a line for each variant, and what changed from one to the next.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Which way a figure should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
    /// It tells, and is not judged.
    Untold,
}

/// A figure of every variant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    better: Better,
    decimals: usize,
}

const fn column(name: &'static str, better: Better, decimals: usize) -> Column {
    Column { name, better, decimals }
}

/// All figures, in the file's order; benches/results/isa/README.md explains them.
pub(crate) const COLUMNS: [Column; 20] = [
    column("subgroup", Better::Untold, 0),
    column("workgroup", Better::Untold, 0),
    column("registers", Better::Untold, 0),
    column("spills", Better::Less, 0),
    column("scratch", Better::Less, 0),
    column("lds", Better::Untold, 0),
    column("waves", Better::More, 0),
    column("code", Better::Untold, 0),
    column("instructions", Better::Untold, 0),
    column("loop", Better::Untold, 0),
    // From here on the inner loop's; first the kinds of instructions.
    column("matrix", Better::Untold, 0),
    column("dot4", Better::Untold, 0),
    column("packed", Better::Untold, 0),
    column("fma", Better::Untold, 0),
    column("vector", Better::Untold, 0),
    column("lds_access", Better::Untold, 0),
    column("global", Better::Untold, 0),
    column("scalar", Better::Untold, 0),
    column("share", Better::More, 3),
    column("cycles_per_kflop", Better::Less, 2),
];

/// What a change must exceed to be told, as a part of the figure.
const NOISE: f64 = 0.02;

/// Figures of one variant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) variant: String,
    pub(crate) figures: [Option<f64>; COLUMNS.len()],
}

impl Row {
    /// A row without figures.
    pub(crate) fn new(variant: &str) -> Self {
        Self {
            variant: variant.to_owned(),
            figures: [None; COLUMNS.len()],
        }
    }

    /// Sets a figure, where there is one, to as many decimals as the table has.
    ///
    /// # Panics
    /// If there is no such column.
    pub(crate) fn set(&mut self, column: &str, value: impl Into<Option<f64>>) {
        let place = place(column);
        let scale = 10_f64.powi(COLUMNS[place].decimals as i32);
        self.figures[place] = value.into().map(|value| (value * scale).round() / scale);
    }
}

/// A column's number.
///
/// # Panics
/// If there is no such column.
pub(crate) fn place(column: &str) -> usize {
    let place = COLUMNS.iter().position(|c| c.name == column);
    place.unwrap_or_else(|| panic!("no column {column}"))
}

/// Figures of all variants of a chip.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    /// Device and driver.
    pub(crate) title: String,
    /// In the order of names.
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// Reads a table; one without rows where there is no such file.
    ///
    /// # Errors
    /// If it cannot be read, or has other columns: delete it then.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).with_context(|| format!("{}: delete it to begin anew", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Writes the table under another name and renames it.
    ///
    /// # Errors
    /// If that fails.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let folder = path.parent().context("the table needs a folder")?;
        std::fs::create_dir_all(folder)?;
        let file = tempfile::NamedTempFile::new_in(folder)?;
        std::fs::write(&file, self.text())?;
        file.persist(path).with_context(|| path.display().to_string())?;
        Ok(())
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let title = lines
            .next()
            .and_then(|line| line.strip_prefix("# "))
            .context("no title")?;
        if lines.next() != Some(&header()) {
            bail!("its columns are not today's");
        }
        let row = |line: &str| {
            let mut fields = line.split(',');
            let mut row = Row::new(fields.next().unwrap_or_default());
            for (i, figure) in row.figures.iter_mut().enumerate() {
                let field = fields
                    .next()
                    .with_context(|| format!("{line}: no {}", COLUMNS[i].name))?;
                if !field.is_empty() {
                    *figure = Some(
                        field
                            .parse()
                            .with_context(|| format!("{line}: `{field}` is no number"))?,
                    );
                }
            }
            Ok(row)
        };
        Ok(Self {
            title: title.to_owned(),
            rows: lines.map(row).collect::<Result<_>>()?,
        })
    }

    fn text(&self) -> String {
        let mut text = format!("# {}\n{}\n", self.title, header());
        for row in &self.rows {
            text.push_str(&row.variant);
            for (figure, column) in row.figures.iter().zip(&COLUMNS) {
                let field = figure.map_or(String::new(), |f| format!("{f:.*}", column.decimals));
                write!(text, ",{field}").expect("a string takes all");
            }
            text.push('\n');
        }
        text
    }

    /// Lines on what is better or worse than in `before`, worse first; variants that came or went at the end.
    pub(crate) fn changes(&self, before: &Self) -> Vec<String> {
        let (mut worse, mut better, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for row in &self.rows {
            let Some(old) = before.rows.iter().find(|old| old.variant == row.variant) else {
                others.push(format!("new     {}", row.variant));
                continue;
            };
            for (i, column) in COLUMNS.iter().enumerate() {
                let (Some(a), Some(b)) = (old.figures[i], row.figures[i]) else {
                    continue;
                };
                let more = match column.better {
                    _ if (b - a).abs() <= NOISE * a.abs() => continue,
                    Better::Untold => continue,
                    Better::More => b > a,
                    Better::Less => b < a,
                };
                let (list, word) = if more {
                    (&mut better, "better")
                } else {
                    (&mut worse, "WORSE")
                };
                let Column { name, decimals, .. } = column;
                list.push(format!(
                    "{word:<7} {}: {name} {a:.decimals$} → {b:.decimals$}",
                    row.variant
                ));
            }
        }
        let gone = |old: &&Row| !self.rows.iter().any(|row| row.variant == old.variant);
        others.extend(
            before
                .rows
                .iter()
                .filter(gone)
                .map(|old| format!("gone    {}", old.variant)),
        );
        [worse, better, others].concat()
    }
}

fn header() -> String {
    COLUMNS
        .iter()
        .fold("variant".to_owned(), |line, column| line + "," + column.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, f64, f64)]) -> Table {
        let rows = rows.iter().map(|(variant, spills, share)| {
            let mut row = Row::new(variant);
            row.set("spills", *spills);
            row.set("share", *share);
            row
        });
        Table {
            title: "a chip; a driver".into(),
            rows: rows.collect(),
        }
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let table = table(&[("a.f32", 0.0, 0.5), ("b", 3.0, 1.0 / 3.0)]);
        assert_eq!(Table::parse(&table.text()).unwrap(), table);
        assert!(table.text().contains("\nb,,,,3,"), "{}", table.text());
    }

    #[test]
    fn the_kept_tables_are_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/results/isa");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "csv") {
                assert!(!Table::read(&path).unwrap().rows.is_empty(), "{}", path.display());
            }
        }
    }

    #[test]
    fn a_broken_table_is_an_error_that_names_the_place() {
        let text = table(&[("a", 0.0, 0.5)]).text();
        assert!(Table::parse("").is_err());
        assert!(Table::parse(&text.replace("share", "part")).is_err());
        let error = Table::parse(&text.replace("0.500", "half")).unwrap_err();
        assert!(format!("{error:#}").contains("`half`"), "{error:#}");
    }

    #[test]
    fn changes_are_told_and_the_worse_come_first() {
        let before = table(&[("a", 0.0, 0.5), ("b", 2.0, 0.5), ("c", 0.0, 0.5)]);
        let after = table(&[("a", 0.0, 0.505), ("b", 0.0, 0.4), ("d", 0.0, 0.5)]);
        let expected = [
            "WORSE   b: share 0.500 → 0.400",
            "better  b: spills 2 → 0",
            "new     d",
            "gone    c",
        ];
        assert_eq!(after.changes(&before), expected);
        assert!(after.changes(&after).is_empty());
    }
}
