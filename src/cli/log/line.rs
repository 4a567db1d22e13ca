//! One line of `log` for each record of the journal.

use std::collections::{HashMap, VecDeque};

use jiff::tz::TimeZone;

use crate::{
    cli::{terminal::Terminal, when},
    config::INBOX,
    marker::MarkerId,
    policy::Origin,
    push::PushId,
    state::journal::{
        Action, DecisionRecord, DeliveryRecord, JournalEntry, Marked, PushRecord, Queue, Record, Sent,
    },
    text,
};

/// Maximum number of pushes, and of markers, that later lines can name. A delivery comes at most
/// days after the decision, and names older markers by their ids.
const MAX_KNOWN: usize = 20_000;

/// Maximum number of markers that one line of a delivery names.
const MAX_NAMED: usize = 3;

/// Number of digits of a short id.
const SHORT: usize = 12;

/// The outcomes that begin the lines, for the option `--outcome`.
pub(super) const OUTCOMES: [&str; 14] = [
    "marked",
    "skipped",
    "refused",
    "failed",
    "push",
    "delivered",
    "rejected",
    "retry",
    "dead",
    "dropped",
    "passed",
    "put back",
    "pruned",
    "trouble",
];

/// What earlier records say, so that later lines can name pushers and markers.
#[derive(Debug, Default)]
pub(super) struct EarlierRecords {
    pushers: Known<PushId>,
    /// Users who made one update of a push, by the full name of its ref.
    actors: Known<(PushId, String)>,
    /// Returns the source of updates that no push brought.
    sources: Known<PushId>,
    markers: Known<MarkerId>,
}

/// The newest entries of a map.
#[derive(Debug)]
struct Known<K> {
    names: HashMap<K, String>,
    order: VecDeque<K>,
}

impl<K> Default for Known<K> {
    fn default() -> Self {
        Self { names: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Clone + Eq + std::hash::Hash> Known<K> {
    fn add(&mut self, key: K, name: String) {
        if self.names.insert(key.clone(), name).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > MAX_KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }
}

impl EarlierRecords {
    /// Notes what a record says about a push or markers.
    pub fn note(&mut self, entry: &JournalEntry<'_>) {
        match &entry.record {
            Record::Push(push) => {
                if let Some(pusher) = &push.pusher {
                    self.pushers.add(push.push, pusher.name.clone());
                }
                for fact in push.learned.iter().flat_map(|learned| learned.iter()) {
                    if let Some(actor) = &fact.actor {
                        self.actors.add((push.push, fact.ref_name.clone()), actor.name.clone());
                    }
                }
                if !push.source.is_push() {
                    self.sources.add(push.push, push.source.as_str().to_string());
                }
            }
            Record::Decision(decision) => {
                for marker in &decision.markers {
                    self.markers.add(marker.id, name_of(marker));
                }
            }
            _ => {}
        }
    }

    /// Returns the user who made a push, or this update of it.
    pub fn pusher(&self, decision: &DecisionRecord<'_>) -> Option<&str> {
        let actor = || self.actors.names.get(&(decision.push, decision.ref_name.to_string()));
        self.pushers.names.get(&decision.push).or_else(actor).map(String::as_str)
    }

    /// Names markers: the first few, and the number of the others.
    fn named(&self, markers: &[MarkerId]) -> String {
        let name = |id: &MarkerId| match self.markers.names.get(id) {
            Some(name) => name.clone(),
            None => id.to_string().chars().take(SHORT).collect(),
        };
        let mut named: Vec<String> = markers.iter().take(MAX_NAMED).map(name).collect();
        if markers.len() > MAX_NAMED {
            named.push(format!("{} more", markers.len() - MAX_NAMED));
        }
        named.join(", ")
    }
}

/// Prints the lines of a journal.
pub(super) struct LinePrinter<'a> {
    pub zone: TimeZone,
    pub terminal: &'a Terminal,
    /// Shows the places in the policy too.
    pub has_places: bool,
}

impl LinePrinter<'_> {
    /// Returns the line for a record.
    pub fn line(&self, entry: &JournalEntry<'_>, earlier: &EarlierRecords) -> String {
        let outcome = outcome(&entry.record);
        let styled = match outcome {
            "marked" | "delivered" => self.terminal.green(outcome),
            "failed" | "refused" | "rejected" | "dead" | "trouble" => self.terminal.red(outcome),
            _ => outcome.to_string(),
        };
        let padding = " ".repeat(9_usize.saturating_sub(outcome.len()));
        let said = match &entry.record {
            Record::Push(push) => of_push(push),
            Record::Decision(decision) => self.of_decision(decision, earlier),
            Record::Delivery(delivery) => of_delivery(delivery, earlier),
            Record::Queue(queue) => of_queue(queue),
            Record::Pruned(pruned) => {
                format!(
                    "retention removed {} of {}",
                    text::count(usize::try_from(pruned.lines).unwrap_or(usize::MAX), "line"),
                    text::line(&pruned.file)
                )
            }
            Record::Trouble(trouble) => {
                let place = trouble.repository.as_deref().map(|repository| text::line(repository) + ": ");
                format!("{}{}", place.unwrap_or_default(), text::line(&*trouble.what))
            }
        };
        format!("{} {styled}{padding} {said}", when::shown(entry.time, &self.zone))
    }

    fn of_decision(&self, decision: &DecisionRecord<'_>, earlier: &EarlierRecords) -> String {
        let name = &*decision.ref_name;
        let short =
            name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/")).unwrap_or(name);
        let mut said = format!("{} {}", text::line(&*decision.repository), text::line(short));
        if let Some(pusher) = earlier.pusher(decision) {
            said.push_str(&format!(" by {}", text::line(pusher)));
        }
        if let Some(source) = earlier.sources.names.get(&decision.push) {
            said.push_str(&format!(" ({source})"));
        }
        let markers =
            decision.markers.iter().map(|marker| self.with_place(name_of(marker), Some(&marker.by)));
        let why = (!decision.why.is_empty())
            .then(|| self.with_place(text::line(&*decision.why), decision.by.as_deref()));
        let parts: Vec<String> = markers.chain(why).collect();
        if !parts.is_empty() {
            said.push_str(&format!(": {}", parts.join(", ")));
        }
        if let Some(missing) = &decision.missing {
            said.push_str(&format!("; note: {}", text::line(&**missing)));
        }
        said
    }

    fn with_place(&self, said: String, by: Option<&str>) -> String {
        match by.filter(|_| self.has_places) {
            Some(by) => format!("{said} ({})", text::line(by)),
            None => said,
        }
    }
}

/// Returns the outcome that begins the line of a record.
pub(super) fn outcome(record: &Record<'_>) -> &'static str {
    match record {
        Record::Push(_) => "push",
        Record::Decision(decision) => decision.outcome.as_str(),
        Record::Delivery(delivery) => match delivery.outcome {
            Sent::Delivered => "delivered",
            Sent::Rejected => "rejected",
            Sent::Retried => "retry",
            Sent::Refused => "dead",
            Sent::Dropped => "dropped",
            Sent::PassedOver => "passed",
        },
        Record::Queue(queue) => match queue.action {
            Action::PutBack => "put back",
            Action::Dropped => "dropped",
        },
        Record::Pruned(_) => "pruned",
        Record::Trouble(_) => "trouble",
    }
}

/// Returns the marker in a few words, with a short version if it is a commit id.
fn name_of(marker: &Marked<'_>) -> String {
    let version = &*marker.version;
    let is_id = matches!(version.len(), 40 | 64) && version.bytes().all(|digit| digit.is_ascii_hexdigit());
    let version = version.get(..SHORT).filter(|_| is_id).unwrap_or(version);
    let mut name =
        format!("{} {} {}", marker.kind.as_str(), text::line(&*marker.service), text::line(version));
    if let Some(environment) = &marker.environment {
        name.push_str(&format!(" in {}", text::line(&**environment)));
    }
    if let Some(remark) = &marker.remark {
        name.push_str(&format!(" {}", text::line(&**remark)));
    }
    name
}

fn of_push(push: &PushRecord<'_>) -> String {
    let mut said = text::line(&*push.repository);
    if let Some(pusher) = &push.pusher {
        said.push_str(&format!(" by {}", text::line(&pusher.name)));
    }
    let how = if push.source.is_push() { push.transport.as_str() } else { push.source.as_str() };
    said.push_str(&format!(" ({how}): {}", text::count(push.updates, "update")));
    let stamps: Vec<_> = push.layers.iter().map(Origin::stamp).collect();
    if !stamps.is_empty() {
        said.push_str(&format!(", decided by {}", stamps.join(", ")));
    }
    said
}

fn of_delivery(delivery: &DeliveryRecord<'_>, earlier: &EarlierRecords) -> String {
    let n = text::count(delivery.markers.len() + delivery.waiting, "marker");
    let mut said = format!("{n} to {} in {} ms", text::line(&*delivery.destination), delivery.ms);
    if !delivery.why.is_empty() {
        said.push_str(&format!(": {}", text::line(&*delivery.why)));
    }
    if !delivery.markers.is_empty() {
        said.push_str(&format!(" ({})", earlier.named(&delivery.markers)));
    }
    said
}

fn of_queue(queue: &Queue<'_>) -> String {
    let what = match queue.push {
        Some(push) if queue.from == INBOX => format!("the push {push}"),
        _ => format!("{} for {}", text::count(queue.markers.len(), "marker"), text::line(&*queue.from)),
    };
    let was = if queue.was_dead { "dead" } else { "waiting" };
    let mut said = format!("{what}, was {was}");
    if !queue.why.is_empty() {
        said.push_str(&format!(": {}", text::line(&*queue.why)));
    }
    said
}
