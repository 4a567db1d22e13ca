//! Delivery to one destination, in the protocol of its kind.
//!
//! [`DestinationApi`] is all that the rest of the delivery knows of a kind. Only [`api`] tells the
//! kinds apart.

mod otlp;
mod scripted;

use std::sync::Arc;

use super::{
    batch::{Batch, BatchItem, SIGNALS},
    http::Client,
    retry::RequestOutcome,
    suspect::Suspended,
};
use crate::{
    config::{Config, Destination, Target},
    marker::Signal,
    state::Tip,
    sys::time::{Deadline, Timestamp},
};

/// The operations of a kind of destination.
pub(super) trait DestinationApi {
    /// Returns the number of markers at which a batch takes no further file.
    fn batch_size(&self) -> usize;

    /// Returns the number of leading items that fit into one request.
    fn in_one_request(&self, items: &[&mut BatchItem]) -> usize;

    /// Takes the journal's head, which goes out with the next requests if the destination has a place
    /// for it.
    fn attest(&mut self, head: Option<Tip>);

    /// Sends markers that are due as `signal`, in one request if the destination takes several.
    fn request(
        &self,
        due: &mut [&mut BatchItem],
        signal: Signal,
        last_refusal: &mut Option<Arc<str>>,
    ) -> Result<(), Suspended>;

    /// Sends harmless requests.
    fn probe(&self) -> Probed;

    /// Sends a test marker, or a probe if a test marker would look like a real event.
    fn send_test(&self) -> TestMarkerResponse;

    /// Returns the time on the server's clock, as of its last response.
    fn clock(&self) -> Option<Timestamp>;

    /// Sends a batch in requests of bounded size.
    fn send(&self, load: &mut Batch, last_refusal: &mut Option<Arc<str>>) -> Result<(), Suspended> {
        let mut items = load.items();
        let mut rest = &mut items[..];
        while !rest.is_empty() {
            let (first, others) = rest.split_at_mut(self.in_one_request(rest));
            for signal in SIGNALS {
                let due = first.iter_mut().map(|item| &mut **item).filter(|item| item.is_due(signal));
                self.request(&mut due.collect::<Vec<_>>(), signal, last_refusal)?;
            }
            rest = others;
        }
        Ok(())
    }
}

/// Returns the API of a destination, not connected yet. No request of a script starts after
/// `stop_at`.
pub(super) fn api<'a>(
    config: &'a Config,
    destination: &'a Destination,
    stop_at: Option<Deadline>,
) -> Box<dyn DestinationApi + 'a> {
    let client = Client::new(destination, config.delivery.timeout);
    match &destination.target {
        Target::Otlp(otlp) => Box::new(otlp::OtlpApi { otlp, client, head: None }),
        Target::Http(http) => Box::new(scripted::ScriptedApi::new(http, client, &config.limits, stop_at)),
    }
}

/// Result of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// The destination takes markers.
    Takes,
    /// A server answers. The script has no probe, so only a marker can show whether it accepts our
    /// credentials.
    Answers,
    /// The destination cannot be reached, or does not take markers now. Markers would be retried.
    Later(String),
    /// The destination refuses permanently.
    Refuses {
        /// The HTTP status, `None` if no response refused it.
        status: Option<u16>,
        /// The server's message.
        why: String,
    },
}

/// Response of a destination to a test marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestMarkerResponse {
    /// Result of the request.
    pub probed: Probed,
    /// The server's message about a part that it rejected, empty if it accepted all.
    pub rejected: String,
    /// False if the destination got a probe instead of a marker.
    pub is_marker: bool,
    /// True if the destination refused the log record and accepts spans.
    pub takes_only_spans: bool,
}

/// Sends harmless requests that test whether a destination can be reached, accepts our credentials
/// and takes markers. Returns the result and the time on the server's clock.
pub fn probe(destination: &Destination, config: &Config) -> (Probed, Option<Timestamp>) {
    let api = api(config, destination, None);
    (api.probe(), api.clock())
}

/// Sends one test marker, once, to show the administrator whether a destination takes markers.
/// Nothing is spooled or recorded.
pub fn send_test(destination: &Destination, config: &Config) -> TestMarkerResponse {
    api(config, destination, None).send_test()
}

impl Probed {
    fn by(outcome: RequestOutcome) -> Self {
        match outcome {
            RequestOutcome::Accepted { .. } => Self::Takes,
            RequestOutcome::Retry { why, .. } => Self::Later(why),
            RequestOutcome::Refused { status, why } => Self::Refuses { status, why },
        }
    }
}
