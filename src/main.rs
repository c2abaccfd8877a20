//! Quarterdeck: the thin binary.

fn main() -> std::process::ExitCode {
    quarterdeck::cli::main()
}
