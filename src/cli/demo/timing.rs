//! What the hook costs the pusher: the same pushes to two repositories that differ in the hook alone.

use std::{path::Path, time::Duration};

use super::{gitea::Bare, sandbox::Sandbox};

/// How many pushes are measured each way.
const ROUNDS: usize = 15;

/// How long pushes took, from the start of `git push` to its end.
pub(super) struct Timing {
    without: Vec<Duration>,
    with: Vec<Duration>,
    /// How many markers the pushes with the hook should bring.
    pub markers: usize,
}

impl Timing {
    /// Pushes small commits to both repositories in turns, so that whatever else slows the machine
    /// down slows down both.
    pub fn measure(sandbox: &Sandbox, binary: &Path) -> anyhow::Result<Self> {
        let plain = sandbox.bare("plain")?;
        let hooked = sandbox.bare("hooked")?;
        hooked.install(binary, &sandbox.config())?;
        let clone = sandbox.clone("timing")?;
        let mut timing = Self { without: Vec::new(), with: Vec::new(), markers: 0 };
        // The first push of each only warms up.
        for round in 0..=ROUNDS {
            let title = format!("Change {round}");
            clone.change(&title)?;
            sandbox.git().run(clone.path(), ["add", "--all"])?;
            sandbox.git().run(clone.path(), ["commit", "--quiet", "-m", &title])?;
            let push = |to: &Bare, times: &mut Vec<Duration>| {
                let args = ["push", &Sandbox::address(to), "main"];
                let pushed = sandbox.git().push(clone.path(), &args, &to.environment())?;
                // What a push leaves to the background must not slow down the next one.
                sandbox.wait_for_deliveries()?;
                if round > 0 {
                    times.push(pushed.ended - pushed.began);
                }
                anyhow::Ok(())
            };
            if round % 2 == 0 {
                push(&plain, &mut timing.without)?;
                push(&hooked, &mut timing.with)?;
            } else {
                push(&hooked, &mut timing.with)?;
                push(&plain, &mut timing.without)?;
            }
            timing.markers += 1;
        }
        Ok(timing)
    }

    /// Returns the outcome, line by line.
    pub fn told(&self) -> Vec<String> {
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

    /// Says how the numbers came about.
    pub fn caption() -> String {
        format!("medians of {ROUNDS} pushes each way, in turns (fastest to slowest)")
    }
}

/// Returns the median, the least and the most, in milliseconds.
fn spread(times: &[Duration]) -> (f64, f64, f64) {
    let mut ms: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    ms.sort_by(f64::total_cmp);
    let at = |nth: usize| ms.get(nth).copied().unwrap_or_default();
    let (low, high) = (at(ms.len().saturating_sub(1) / 2), at(ms.len() / 2));
    (f64::midpoint(low, high), at(0), at(ms.len().saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_odd_even_and_no_times() {
        let ms = |times: &[u64]| times.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>();
        assert_eq!(spread(&ms(&[30, 10, 20])), (20.0, 10.0, 30.0));
        assert_eq!(spread(&ms(&[40, 10, 20, 30])), (25.0, 10.0, 40.0));
        assert_eq!(spread(&[]), (0.0, 0.0, 0.0));
    }
}
