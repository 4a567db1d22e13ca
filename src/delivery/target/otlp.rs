//! OTLP destinations: markers in batches, as log records and as spans.

use std::sync::Arc;

use super::{DestinationApi, Probed, TestMarkerResponse};
use crate::{
    config::Otlp,
    delivery::{
        batch::BatchItem,
        http::Client,
        retry::{self, RequestOutcome},
        suspect::Suspended,
    },
    marker::{Marker, Signal},
    otlp,
    state::Tip,
    sys::time::{self, Timestamp},
};

/// Maximum number of markers in one request.
const MAX_MARKERS: usize = 512;

/// Maximum size of the text in one request's markers, in bytes, unless a single marker exceeds it.
/// OTLP receivers commonly accept 4 MiB, and not all document their limit.
const MAX_TEXT: usize = 1 << 20;

pub(super) struct OtlpApi<'a> {
    pub otlp: &'a Otlp,
    pub client: Client<'a>,
    /// The journal's head, which goes out with each request.
    pub head: Option<Tip>,
}

impl DestinationApi for OtlpApi<'_> {
    fn batch_size(&self) -> usize {
        MAX_MARKERS
    }

    fn in_one_request(&self, items: &[&mut BatchItem]) -> usize {
        let mut text = 0;
        let fits = |item: &&&mut BatchItem| {
            text += item.marker.text_size();
            text <= MAX_TEXT
        };
        items.iter().take(MAX_MARKERS).take_while(fits).count().max(1).min(items.len())
    }

    /// Sends markers in one request. If the server refuses its content, each half is sent
    /// separately, down to single markers, so that a bad marker does not affect the others.
    fn request(
        &self,
        due: &mut [&mut BatchItem],
        signal: Signal,
        last_refusal: &mut Option<Arc<str>>,
    ) -> Result<(), Suspended> {
        if due.is_empty() {
            return Ok(());
        }
        let markers: Vec<&Marker> = due.iter().map(|item| &item.marker).collect();
        match self.exchange(&markers, signal) {
            RequestOutcome::Accepted { rejected } => {
                let rejected: Option<Arc<str>> = (!rejected.is_empty()).then(|| rejected.into());
                due.iter_mut().for_each(|item| item.taken(signal, rejected.as_ref()));
                Ok(())
            }
            RequestOutcome::Retry { after, why, may_be_content } => {
                Err(Suspended { after, why, may_be_content })
            }
            RequestOutcome::Refused { status: Some(status), .. }
                if due.len() > 1 && retry::is_about_content(status) =>
            {
                let (first, second) = due.split_at_mut(due.len() / 2);
                self.request(first, signal, last_refusal)?;
                self.request(second, signal, last_refusal)
            }
            RequestOutcome::Refused { why, .. } => {
                let why: Arc<str> = why.into();
                due.iter_mut().for_each(|item| item.refused(signal, &why));
                *last_refusal = Some(why);
                Ok(())
            }
        }
    }

    /// Sends a request without markers.
    fn probe(&self) -> Probed {
        Probed::by(self.exchange(&[], self.otlp.first_signal()))
    }

    /// Sends a log record. If the server has no endpoint for log records, finds out whether it has
    /// one for spans. A destination that takes no log records gets a request without markers.
    fn send_test(&self) -> TestMarkerResponse {
        let mut response = TestMarkerResponse {
            probed: Probed::Takes,
            rejected: String::new(),
            is_marker: true,
            takes_only_spans: false,
        };
        if self.otlp.first_signal() == Signal::Traces {
            return TestMarkerResponse { probed: self.probe(), is_marker: false, ..response };
        }
        let body = otlp::encode_test(time::now(), self.otlp.protocol);
        match self.post(Signal::Logs, body) {
            RequestOutcome::Accepted { rejected } => response.rejected = rejected,
            outcome => response.probed = Probed::by(outcome),
        }
        if matches!(response.probed, Probed::Refuses { status: Some(400 | 404), .. }) {
            let of_traces = self.exchange(&[], Signal::Traces);
            response.takes_only_spans = matches!(of_traces, RequestOutcome::Accepted { .. });
        }
        response
    }

    fn attest(&mut self, head: Option<Tip>) {
        self.head = head;
    }

    fn clock(&self) -> Option<Timestamp> {
        self.client.clock()
    }
}

impl OtlpApi<'_> {
    fn exchange(&self, markers: &[&Marker], signal: Signal) -> RequestOutcome {
        self.post(signal, otlp::encode(signal, markers, time::now(), self.head, self.otlp))
    }

    fn post(&self, signal: Signal, body: Result<Vec<u8>, serde_json::Error>) -> RequestOutcome {
        match body {
            Ok(body) => self.client.post(self.otlp, signal, body),
            Err(err) => RequestOutcome::Refused { status: None, why: format!("failed to encode: {err}") },
        }
    }
}
