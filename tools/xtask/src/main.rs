//! Developer tasks of Kinora: `cargo xtask --help`.

mod arrows;
mod demo;
mod driver;
mod fuzz;
mod isa;
mod licences;
mod metadata;
mod process;
mod spdx;
mod suite;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer tasks of Kinora.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build, find or install a Vulkan driver, render a prompt with the model in the box.
    Demo(demo::Arguments),
    /// Everything that must hold: format, lints, tests, documentation, arrows, licences.
    Test(suite::Arguments),
    /// Check which crate may depend on which.
    Arrows,
    /// Check the licences of all dependencies.
    Licences,
    /// Run coverage-guided fuzzing of the file readers (needs a nightly toolchain).
    Fuzz(fuzz::Arguments),
    /// Compile the kernels for AMD's and Intel's chips, and tell what changed in what the compilers make of them.
    Isa(isa::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Test(arguments) => suite::run(&arguments),
        Task::Arrows => arrows::run().map(|line| println!("{line}")),
        Task::Licences => licences::run().map(|line| println!("{line}")),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Isa(arguments) => isa::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
