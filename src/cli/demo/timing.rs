//! Measures the time that the hook adds to a push, with the same pushes to two repositories of
//! which only one has the hook.

use std::time::Duration;

use super::sandbox::Sandbox;

/// Number of measured pushes to each repository.
const ROUNDS: usize = 15;

/// Durations of the pushes, from the start of `git push` to its end.
pub(super) struct Timing {
    without: Vec<Duration>,
    with: Vec<Duration>,
    /// Number of markers that the pushes with the hook should create.
    pub markers: usize,
}

impl Timing {
    /// Pushes small commits to both repositories in turns, so that other load on the machine slows
    /// both equally.
    pub fn measure(sandbox: &Sandbox) -> anyhow::Result<Self> {
        sandbox.bare("plain")?;
        sandbox.install(&sandbox.bare("hooked")?)?;
        let clone = sandbox.clone("timing")?;
        let mut timing = Self { without: Vec::new(), with: Vec::new(), markers: 0 };
        // The first push to each repository is a warm-up.
        for round in 0..=ROUNDS {
            clone.commit(&format!("Change {round}"))?;
            let push = |to: &str, times: &mut Vec<Duration>| {
                let pushed = clone.push(&["push", &Sandbox::address(to), "main"], to)?;
                // Background work of one push must not slow the next.
                sandbox.wait_for_deliveries()?;
                if round > 0 {
                    times.push(pushed.ended - pushed.began);
                }
                anyhow::Ok(())
            };
            if round % 2 == 0 {
                push("plain", &mut timing.without)?;
                push("hooked", &mut timing.with)?;
            } else {
                push("hooked", &mut timing.with)?;
                push("plain", &mut timing.without)?;
            }
            timing.markers += 1;
        }
        Ok(timing)
    }

    /// Returns the result, line by line.
    pub fn report_lines(&self) -> Vec<String> {
        let line = |what: &str, times: &[Duration]| {
            let (median, least, most) = spread(times);
            format!("{what:<18} {median:>7.1} ms   ({least:.1} to {most:.1})")
        };
        let difference = spread(&self.with).0 - spread(&self.without).0;
        vec![
            line("without the hook", &self.without),
            line("with the hook", &self.with),
            format!("{:<18} {difference:>+7.1} ms", "difference"),
        ]
    }

    /// Returns a caption that says how the numbers were measured.
    pub fn caption() -> String {
        format!("medians of {ROUNDS} pushes each, alternating (fastest to slowest)")
    }
}

/// Returns the median, minimum and maximum, in milliseconds.
fn spread(times: &[Duration]) -> (f64, f64, f64) {
    let mut ms: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    ms.sort_by(f64::total_cmp);
    let at = |nth: usize| ms.get(nth).copied().unwrap_or_default();
    let (low, high) = (at(ms.len().saturating_sub(1) / 2), at(ms.len() / 2));
    (f64::midpoint(low, high), at(0), at(ms.len().saturating_sub(1)))
}

#[cfg(test)]
mod tests;
