//! `kinora devices`

use std::io::Write;
use std::process::ExitCode;

use kinora_cpu::CpuExecutor;
use kinora_graph::{Executor, Precision};
use kinora_runtime::{AdapterDescription, DeviceClass, adapters};
use serde::Serialize;

use crate::cli::Global;
use crate::units::{bytes, memory as memory_text};

/// One line of the list. The keys are a promise to other programs.
#[derive(Serialize)]
struct Line {
    /// Position among the adapters, which selects one; none for the processor.
    index: Option<usize>,
    name: String,
    /// `Vulkan`, `Metal`, `DX12`, or `CPU` for the processor without a driver.
    backend: String,
    r#type: String,
    driver: String,
    max_buffer: Option<u64>,
    max_binding: Option<u64>,
    timestamps: bool,
    /// Bytes of the device's memory, and of it those that are free now; none where the driver does not tell.
    memory: Option<u64>,
    free_memory: Option<u64>,
}

impl From<AdapterDescription> for Line {
    fn from(adapter: AdapterDescription) -> Self {
        Self {
            index: Some(adapter.index),
            name: adapter.name,
            backend: adapter.backend,
            r#type: adapter.class.to_string(),
            driver: adapter.driver,
            max_buffer: Some(adapter.max_buffer),
            max_binding: Some(adapter.max_binding),
            timestamps: adapter.timestamps,
            memory: adapter.memory.map(|m| m.heap),
            free_memory: adapter.memory.and_then(|m| m.free),
        }
    }
}

impl Line {
    fn cpu() -> Self {
        Self {
            index: None,
            name: "cpu".to_owned(),
            backend: "CPU".to_owned(),
            r#type: "processor".to_owned(),
            driver: CpuExecutor::new(Precision::F32).describe(),
            max_buffer: None,
            max_binding: None,
            timestamps: true,
            memory: None,
            free_memory: None,
        }
    }

    fn text(&self) -> String {
        let index = self.index.map_or("cpu".to_owned(), |index| index.to_string());
        let mut line = format!("{index:>3}  {} ({}, {})", self.name, self.backend, self.r#type);
        if let (Some(buffer), Some(binding)) = (self.max_buffer, self.max_binding) {
            let timing = if self.timestamps {
                "can time operations"
            } else {
                "cannot time operations"
            };
            line += &format!(
                "\n     driver {}; buffers to {}, {} at a time; {timing}",
                self.driver,
                bytes(buffer),
                bytes(binding)
            );
            if let Some(memory) = self.memory {
                line += &format!("\n     {} of memory", memory_text(memory));
            }
            if let Some(free) = self.free_memory {
                line += &format!(", {} free", memory_text(free));
            }
        } else {
            line = format!("{index:>3}  {}", self.driver);
        }
        line
    }
}

pub(crate) fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let adapters = adapters();
    let hardware = adapters.iter().any(|a| a.class != DeviceClass::Software);
    let mut lines: Vec<Line> = adapters.into_iter().map(Line::from).collect();
    lines.push(Line::cpu());
    let mut out = std::io::stdout().lock();
    if global.json() {
        writeln!(out, "{}", serde_json::to_string(&lines)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for line in &lines {
        writeln!(out, "{}", line.text())?;
    }
    writeln!(
        out,
        "\nChoose one with --device INDEX, a part of its NAME, or cpu (or the variable KINORA_DEVICE)."
    )?;
    if !hardware {
        writeln!(
            out,
            "No graphics hardware was found: install the vendor's Vulkan driver to use it."
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
