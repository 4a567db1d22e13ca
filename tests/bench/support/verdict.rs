//! The final table of claims, measured values and results.

use std::process::ExitCode;

/// Claims and their measured values.
#[derive(Default)]
pub struct Verdict(Vec<Claim>);

struct Claim {
    what: String,
    measured: String,
    is_met: bool,
}

impl Verdict {
    pub fn add(&mut self, what: impl Into<String>, measured: impl Into<String>, is_met: bool) {
        self.0.push(Claim { what: what.into(), measured: measured.into(), is_met });
    }

    /// Prints the table and returns the exit status, 1 if a claim is not met.
    pub fn print(&self) -> ExitCode {
        println!("\n## Verdict\n\n| claim | measured | |\n|---|---|---|");
        for Claim { what, measured, is_met } in &self.0 {
            println!("| {what} | {measured} | {} |", if *is_met { "met" } else { "**missed**" });
        }
        if self.0.iter().all(|claim| claim.is_met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Converts bytes to MiB.
pub fn mib(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "files and processes here are far below 2^52 bytes")]
    let bytes = bytes as f64;
    bytes / f64::from(1 << 20)
}
