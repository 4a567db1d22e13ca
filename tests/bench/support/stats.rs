//! Medians and spreads.

use std::time::Duration;

/// Repeated measurements of a duration.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Returns a percentile, in milliseconds.
    pub fn percentile(&self, percent: usize) -> f64 {
        let mut sorted: Vec<f64> = self.0.iter().map(|time| ms(*time)).collect();
        percentile(&mut sorted, percent)
    }

    /// Returns the median, in milliseconds.
    pub fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// Returns the median difference to `other` in the same round, in milliseconds. A temporary
    /// slowdown affects both values of a round, so the difference is more stable than either.
    pub fn median_over(&self, other: &Self) -> f64 {
        let mut differences: Vec<f64> =
            self.0.iter().zip(&other.0).map(|(own, theirs)| ms(*own) - ms(*theirs)).collect();
        percentile(&mut differences, 50)
    }
}

/// Converts a duration to milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Returns a percentile, interpolated between the two nearest values.
pub fn percentile(values: &mut [f64], percent: usize) -> f64 {
    assert!(!values.is_empty(), "no values were measured");
    values.sort_by(f64::total_cmp);
    let scaled = (values.len() - 1) * percent;
    let (at, rest) = (scaled / 100, scaled % 100);
    let next = values[(at + 1).min(values.len() - 1)];
    #[expect(clippy::cast_precision_loss, reason = "the value is below 100")]
    let share = rest as f64 / 100.0;
    values[at] + (next - values[at]) * share
}
