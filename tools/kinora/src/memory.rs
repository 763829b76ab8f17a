//! Budgets of memory: what the user allows, or what is free.

use std::str::FromStr;

use clap::Args;

use crate::units;

/// Options that bound memory.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct MemoryArgs {
    /// Most memory of the device to use, e.g. `8G` or `6500M`: what is larger passes through it piece by piece
    ///
    /// The result is the same to the bit. By default: what the driver says is free, less a margin; where no driver
    /// tells, three quarters of the device's memory.
    #[arg(long, global = true, value_name = "SIZE")]
    pub vram: Option<Size>,

    /// Most memory of the machine to use, e.g. `16G`; model files are mapped and not counted
    ///
    /// By default: what is free now, less a margin.
    #[arg(long, global = true, value_name = "SIZE")]
    pub ram: Option<Size>,
}

impl MemoryArgs {
    /// Bytes of the machine's memory that may be taken.
    pub(crate) fn ram(&self) -> u64 {
        self.ram.map_or_else(free_ram, |size| size.0)
    }
}

/// What is free now, less a sixteenth.
fn free_ram() -> u64 {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    system.available_memory() / 16 * 15
}

/// A number of bytes, as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    /// `8G`, `8GiB`, `6500M`, `1.5g`, `1048576`: powers of 1024.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = unit.to_ascii_lowercase();
        let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
            "" => 0,
            "k" => 10,
            "m" => 20,
            "g" => 30,
            "t" => 40,
            _ => return Err(format!("`{unit}` is no unit of memory; write e.g. 8G or 6500M")),
        };
        let number: f64 = number.trim().parse().map_err(|_| "write e.g. 8G or 6500M".to_owned())?;
        let bytes = number * (1u64 << shift) as f64;
        if !(1.0..=2f64.powi(60)).contains(&bytes) {
            return Err("write a positive size, e.g. 8G or 6500M".to_owned());
        }
        Ok(Self(bytes as u64))
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&units::memory(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_people_do() {
        let parse = |text: &str| text.parse::<Size>().map(|s| s.0);
        assert_eq!(parse("8G"), Ok(8 << 30));
        assert_eq!(parse(" 1.5 gib"), Ok(3 << 29));
        assert_eq!(parse("6500mb"), Ok(6500 << 20));
        assert_eq!(parse("4096"), Ok(4096));
        for wrong in ["", "G", "-1G", "8X", "nan", "1e30", "0", "8 G G"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn some_memory_is_free() {
        assert!(free_ram() > 64 << 20);
    }
}
