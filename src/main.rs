//! Passes the arguments to the library and returns its exit status.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    gitea_lightstep::cli::run(std::env::args_os())
}
