//! Renders AI video on any GPU.

fn main() -> std::process::ExitCode {
    kinora::cli::main()
}
