//! Destinations with a script. The script turns each marker into requests.

use std::{cell::OnceCell, sync::Arc};

use super::{DestinationApi, Probed, TestMarkerResponse};
use crate::{
    config::{Http, Limits},
    delivery::{batch::BatchItem, http::Client, retry::RequestOutcome, suspect::Suspended},
    marker::Signal,
    policy::{Accepted, Rendered, RenderedRequest, Renderer},
    state::Tip,
    sys::time::{Deadline, Timestamp},
    text,
};

/// Number of markers in a batch. Each takes one request, and if the process dies, the
/// markers that it sent but did not record are sent again.
const BATCH: usize = 16;

/// Reason for skipping a marker, if the script does not give one.
const NOT_FOR_IT: &str = "the destination's script made no request for it";

pub(super) struct ScriptedApi<'a> {
    http: &'a Http,
    client: Client<'a>,
    /// The script, compiled for the first request.
    renderer: OnceCell<Renderer>,
    limits: &'a Limits,
    /// Deadline after which no request starts.
    stop_at: Option<Deadline>,
}

impl DestinationApi for ScriptedApi<'_> {
    fn batch_size(&self) -> usize {
        BATCH
    }

    /// A script decides what a request holds.
    fn attest(&mut self, _: Option<Tip>) {}

    fn in_one_request(&self, items: &[&mut BatchItem]) -> usize {
        items.len().min(1)
    }

    /// Sends each marker in the requests that the script makes of it.
    fn request(
        &self,
        due: &mut [&mut BatchItem],
        signal: Signal,
        last_refusal: &mut Option<Arc<str>>,
    ) -> Result<(), Suspended> {
        let stop = |why| Suspended { after: None, why, may_be_content: false };
        for item in due {
            // The caller waits for this delivery, but not for the whole backlog.
            if self.stop_at.is_some_and(Deadline::is_over) {
                return Err(stop(String::new()));
            }
            // If it does not compile, the script is at fault, not a marker. The markers wait until
            // the script is fixed.
            let renderer = self.renderer().map_err(stop)?;
            let outcome = match renderer.render(&item.marker) {
                Ok(Rendered::Nothing { why }) => {
                    item.pass_over(if why.is_empty() { NOT_FOR_IT } else { &why });
                    continue;
                }
                Ok(Rendered::Requests(requests)) => self.make(renderer, &requests),
                Err(err) => RequestOutcome::Refused { status: None, why: err.to_string() },
            };
            match outcome {
                RequestOutcome::Accepted { .. } => item.taken(signal, None),
                RequestOutcome::Retry { after, why, may_be_content } => {
                    return Err(Suspended { after, why, may_be_content });
                }
                RequestOutcome::Refused { why, .. } => {
                    let why: Arc<str> = why.into();
                    item.refused(signal, &why);
                    *last_refusal = Some(why);
                }
            }
        }
        Ok(())
    }

    /// Makes the requests of the script's `probe`, up to the first that fails.
    fn probe(&self) -> Probed {
        let requests = self
            .renderer()
            .and_then(|renderer| Ok((renderer, renderer.probe().map_err(|err| err.to_string())?)));
        match requests {
            Err(why) => Probed::Refuses { status: None, why },
            Ok((_, requests)) if requests.is_empty() => {
                self.client.reach(&self.http.endpoint).map_or_else(Probed::by, |()| Probed::Answers)
            }
            Ok((renderer, requests)) => Probed::by(self.make(renderer, &requests)),
        }
    }

    /// Probes only, because the script's requests for a test marker would look like a real event.
    fn send_test(&self) -> TestMarkerResponse {
        TestMarkerResponse {
            probed: self.probe(),
            rejected: String::new(),
            is_marker: false,
            takes_only_spans: false,
        }
    }

    fn clock(&self) -> Option<Timestamp> {
        self.client.clock()
    }
}

impl<'a> ScriptedApi<'a> {
    pub fn new(http: &'a Http, client: Client<'a>, limits: &'a Limits, stop_at: Option<Deadline>) -> Self {
        Self { http, client, renderer: OnceCell::new(), limits, stop_at }
    }

    /// Returns the compiled script.
    fn renderer(&self) -> Result<&Renderer, String> {
        if let Some(renderer) = self.renderer.get() {
            return Ok(renderer);
        }
        let renderer = Renderer::load(self.http, self.limits).map_err(|err| text::chain(&err))?;
        Ok(self.renderer.get_or_init(|| renderer))
    }

    /// Makes requests in order, up to the first that fails.
    fn make(&self, renderer: &Renderer, requests: &[RenderedRequest]) -> RequestOutcome {
        for (nth, request) in requests.iter().enumerate() {
            let mut outcome = self.make_one(renderer, request);
            match &mut outcome {
                RequestOutcome::Accepted { .. } => continue,
                RequestOutcome::Retry { why, .. } | RequestOutcome::Refused { why, .. } => {
                    if requests.len() > 1 {
                        why.insert_str(0, &format!("request {} of {}: ", nth + 1, requests.len()));
                    }
                }
            }
            return outcome;
        }
        RequestOutcome::Accepted { rejected: String::new() }
    }

    fn make_one(&self, renderer: &Renderer, request: &RenderedRequest) -> RequestOutcome {
        let (status, body) = match self.client.make(&self.http.endpoint, request) {
            Ok(answer) => answer,
            Err(RequestOutcome::Refused { status: Some(status), .. }) if request.expect == Some(status) => {
                return RequestOutcome::Accepted { rejected: String::new() };
            }
            Err(outcome) => return outcome,
        };
        if is_web_page(&body) {
            let why = format!(
                "HTTP {status}, but the response is a web page, perhaps from a proxy or a login page"
            );
            return RequestOutcome::unreached(why);
        }
        match renderer.accepts(status, &body) {
            Ok(Accepted::Yes) => RequestOutcome::Accepted { rejected: String::new() },
            Ok(Accepted::No(why)) => RequestOutcome::Refused {
                status: Some(status),
                why: format!("HTTP {status}, but: {}", self.client.shown(&why)),
            },
            Ok(Accepted::Later(why)) => {
                let why = format!("HTTP {status}, but: {}", self.client.shown(&why));
                RequestOutcome::Retry { after: None, why, may_be_content: true }
            }
            Err(err) => {
                RequestOutcome::Refused { status: Some(status), why: self.client.shown(&err.to_string()) }
            }
        }
    }
}

/// Returns true for an HTML page, which an API does not return.
fn is_web_page(body: &str) -> bool {
    let body = body.trim_start_matches('\u{feff}').trim_start().as_bytes();
    ["<!doctype html", "<html"].iter().any(|start| {
        body.get(..start.len()).is_some_and(|begun| begun.eq_ignore_ascii_case(start.as_bytes()))
    })
}
