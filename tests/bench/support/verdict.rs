//! The table at the end: what was claimed, what was measured, and whether it holds.

use std::process::ExitCode;

/// Claims with their measures.
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

    /// Prints the table and returns the exit status: 1 if a claim is missed.
    pub fn print(&self) -> ExitCode {
        println!("\n## Verdict\n\n| claim | measured | |\n|---|---|---|");
        for Claim { what, measured, is_met } in &self.0 {
            println!("| {what} | {measured} | {} |", if *is_met { "met" } else { "**missed**" });
        }
        if self.0.iter().all(|claim| claim.is_met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Returns bytes as MiB.
pub fn mib(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no file or process here comes near 2^52 bytes")]
    let bytes = bytes as f64;
    bytes / f64::from(1 << 20)
}
