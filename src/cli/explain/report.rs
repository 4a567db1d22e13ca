//! An explained update as text.

use super::{
    history::{QueuedMarkers, Story},
    replay::{Replay, ReplayError, ReplayedStep},
    scripts::LoadedScripts,
};
use crate::{
    cli::{place::below, terminal::Terminal, when::local},
    config::{Config, INBOX, UNASSIGNED},
    policy::PolicyFunction,
    proposal,
    push::ObjectId,
    state::journal::{Action, DecisionRecord, DeliveryRecord, Marked, PushRecord, RecordedOutcome, Sent},
    sys::time::Timestamp,
    text,
};

/// Maximum length of a reason, in characters.
const MAX_WHY: usize = 1000;

/// Text for a marker that is neither in a recorded delivery nor in the spool.
const UNACCOUNTED: &str = "neither delivered nor in the spool: the spool may have been emptied by hand, or \
                           the journal could not be written";

/// Prints explained updates.
pub(super) struct ExplainReport<'a> {
    pub terminal: &'a Terminal,
    pub config: &'a Config,
}

impl ExplainReport<'_> {
    pub fn tell(&self, story: &Story, replayed: Result<&Replay, &ReplayError>) -> anyhow::Result<()> {
        let decision = &story.hit.decision;
        self.terminal.row(self.terminal.bold(&heading(decision)))?;
        let scripts = story.scripts().unwrap_or_default();
        match &story.push {
            Some(push) => self.push(push, &story.hit.decision)?,
            None => self.say("captured", "the journal has no record of the push, only of its decision")?,
        }
        self.decision(story, &scripts)?;
        for marker in &decision.markers {
            self.marker(story, marker, &scripts)?;
        }
        for waits in story.places.iter().filter(|waits| waits.from == INBOX) {
            self.say("waits", &format!("part of the push is not decided yet; `{}`", show(waits)))?;
        }
        for (destination, retries) in &story.retries {
            let requests = text::count(retries.times, "request");
            let mut said = format!(
                "{}: {requests} failed meanwhile, {}",
                text::line(destination),
                span(retries.first, retries.last)
            );
            if !retries.why.is_empty() {
                said.push_str(&format!(", the last with: {}", text::line(&retries.why)));
            }
            self.say("retries", &said)?;
            self.more("the journal does not record which markers they contained")?;
        }
        for (time, act) in &story.acts {
            let word = match act.action {
                Action::PutBack => "put back",
                Action::Dropped => "dropped",
            };
            self.say("by hand", &format!("{} {word}, was for {}", when(*time), text::line(&*act.from)))?;
        }
        for (time, trouble) in &story.troubles {
            self.say("trouble", &format!("{} {}", when(*time), text::line_of(&*trouble.what, MAX_WHY)))?;
        }
        match replayed {
            Ok(replayed) => self.today(story, replayed),
            Err(why) => {
                self.say("today", &format!("the policy cannot be run again: {}", text::line(why.to_string())))
            }
        }
    }

    fn push(&self, push: &PushRecord<'_>, decision: &DecisionRecord<'_>) -> anyhow::Result<()> {
        let by = push
            .actor_of(&decision.ref_name, decision.new_id)
            .map(|pusher| format!(" by {}", text::line(&pusher.name)))
            .unwrap_or_default();
        let how = if push.source.is_push() { push.transport.as_str() } else { push.source.as_str() };
        let updates = text::count(push.updates, "update");
        self.say("captured", &format!("{}{by} ({how}), push {}, {updates}", when(push.captured), push.push))?;
        let mut facts: Vec<String> = Vec::new();
        if let Some(request) = &push.pull_request {
            facts.push(
                request.number.map_or_else(|| "a pull request".into(), |n| format!("pull request {n}")),
            );
        }
        for (is_so, fact) in [
            (push.is_internal, "Gitea's own push"),
            (push.is_wiki, "a wiki"),
            (push.deploy_key_id.is_some(), "with a deploy key"),
            (push.actions_task_id.is_some(), "from Gitea Actions"),
        ] {
            if is_so {
                facts.push(fact.into());
            }
        }
        if !facts.is_empty() {
            self.more(&facts.join(", "))?;
        }
        let options: Vec<_> =
            push.options.iter().map(|(key, value)| text::line(format!("{key}={value}"))).collect();
        if !options.is_empty() {
            self.say("options", &options.join(", "))?;
        }
        if push.layers.is_empty() {
            return self.say("policy", "none: it could not be loaded");
        }
        self.say("policy", &LoadedScripts::of_push(push).stamps())
    }

    fn decision(&self, story: &Story, scripts: &LoadedScripts) -> anyhow::Result<()> {
        let decision = &story.hit.decision;
        let mut said = format!("{} {}", when(story.hit.time), decision.outcome.as_str());
        if !decision.why.is_empty() {
            said.push_str(&format!(": {}", text::line_of(self.below(&decision.why), MAX_WHY)));
        }
        if let Some(by) = &decision.by {
            said.push_str(&format!(" ({})", text::line(self.below(by))));
        }
        self.say("decided", &said)?;
        // The reason of a failure starts with its position in the script.
        let by = decision
            .by
            .as_ref()
            .or_else(|| (decision.outcome == RecordedOutcome::Failed).then_some(&decision.why));
        by.map_or(Ok(()), |by| self.source(scripts, by))?;
        if let Some(missing) = &decision.missing {
            self.more(&format!("note: {}", text::line_of(&**missing, MAX_WHY)))?;
        }
        Ok(())
    }

    fn marker(&self, story: &Story, marker: &Marked<'_>, scripts: &LoadedScripts) -> anyhow::Result<()> {
        let environment = marker
            .environment
            .as_ref()
            .map(|name| format!(" in {}", text::line(&**name)))
            .unwrap_or_default();
        let remark =
            marker.remark.as_ref().map(|remark| format!(" {}", text::line(&**remark))).unwrap_or_default();
        let by = text::line(self.below(&marker.by));
        self.say(
            "marker",
            &format!(
                "{} {} {}{environment}{remark} ({by})",
                marker.kind.as_str(),
                text::line(&*marker.service),
                text::line(&*marker.version)
            ),
        )?;
        self.source(scripts, &marker.by)?;
        self.more(&format!("id {}, trace {}", marker.id, marker.trace_id))?;
        let mut is_told = false;
        for (time, sent) in story.sent.iter().filter(|(_, sent)| sent.markers.contains(&marker.id)) {
            self.more(&sent_line(*time, sent))?;
            is_told = true;
        }
        for waits in story.places.iter().filter(|waits| waits.markers.contains(&marker.id)) {
            self.more(&waiting_line(waits))?;
            is_told = true;
        }
        if !is_told {
            self.more(UNACCOUNTED)?;
        }
        Ok(())
    }

    fn today(&self, story: &Story, replayed: &Replay) -> anyhow::Result<()> {
        let mut said = match replayed.is_same_policy {
            Some(true) => "the policy is the same, and decides".to_string(),
            Some(false) => "the policy has changed since, and decides".to_string(),
            None => "the policy at that time is not known; today's decides".to_string(),
        };
        let outcome = &replayed.verdict.outcome;
        if replayed.is_same_outcome(story) {
            said.push_str(" the same:");
        } else {
            let why = text::line_of(self.below(outcome.why()), MAX_WHY);
            let colon = if why.is_empty() { "" } else { ": " };
            said.push_str(&format!(" differently: {}{colon}{why}", outcome.as_str()));
        }
        self.say("today", &said)?;
        if replayed.is_same_policy == Some(false) {
            self.more(&replayed.scripts.stamps())?;
        }
        let steps: Vec<_> = replayed.steps().collect();
        let place = |step: &ReplayedStep| text::line(self.below(&step.by));
        let width = steps.iter().map(|step| place(step).chars().count()).max().unwrap_or(0);
        let markers = steps.iter().filter_map(|step| step.marker).max().map_or(0, |last| last + 1);
        let mut marker = None;
        let mut last = "";
        for step in &steps {
            if markers > 1 && step.marker != marker && step.function != PolicyFunction::Decide {
                marker = step.marker;
                self.more(&format!("marker {} of {markers}", marker.map_or(0, |nth| nth + 1)))?;
            }
            let said = text::line_of(self.below(&step.said), MAX_WHY);
            let (layer, function) = (step.layer.as_str(), step.function.as_str());
            self.more(&format!("{layer:<10} {function:<6}  {:<width$}  {said}", place(step)))?;
            // Print a source line once if consecutive steps share it.
            if let Some(source) = step.source.as_deref().filter(|_| step.by != last) {
                self.more(&format!("{:<10} {:<6}  | {}", "", "", text::line(source)))?;
            }
            last = &step.by;
        }
        Ok(())
    }

    fn source(&self, scripts: &LoadedScripts, place: &str) -> anyhow::Result<()> {
        match scripts.quote(place) {
            Some(source) => self.more(&format!("| {}", text::line(source))),
            None => Ok(()),
        }
    }

    fn below<'t>(&self, place: &'t str) -> &'t str {
        below(place, self.config.scripts.as_deref())
    }

    fn say(&self, what: &str, value: &str) -> anyhow::Result<()> {
        Ok(self.terminal.row(format_args!("  {what:<9} {value}"))?)
    }

    fn more(&self, value: &str) -> anyhow::Result<()> {
        self.say("", value)
    }
}

pub(super) fn heading(decision: &DecisionRecord<'_>) -> String {
    let id = |id: ObjectId| if id.is_null() { "nothing".to_string() } else { id.short() };
    let (old, new) = (decision.old_id, decision.new_id);
    // A command does not move the ref.
    let moved = if old == new { id(new) } else { format!("{} -> {}", id(old), id(new)) };
    format!("{} in {}: {moved}", text::line(&*decision.ref_name), text::line(&*decision.repository))
}

fn sent_line(time: Timestamp, sent: &DeliveryRecord<'_>) -> String {
    let word = match sent.outcome {
        Sent::Delivered => "delivered",
        Sent::Rejected => "rejected by the back end, which accepted the rest",
        Sent::Retried => "to be retried",
        Sent::Refused => "refused permanently",
        Sent::Dropped => "dropped to make room",
        Sent::PassedOver => "skipped by the destination's script",
    };
    let mut line = format!("{}: {word} {}, {} ms", text::line(&*sent.destination), when(time), sent.ms);
    if !sent.why.is_empty() {
        line.push_str(&format!(": {}", text::line_of(&*sent.why, MAX_WHY)));
    }
    line
}

fn waiting_line(waits: &QueuedMarkers) -> String {
    let from = text::line(&waits.from);
    match &waits.why {
        _ if waits.from == UNASSIGNED => {
            format!("queued until a destination is configured; `{}`", show(waits))
        }
        _ if waits.place != "dead" => format!("{from}: queued; `{}`", show(waits)),
        Some(why) => {
            let since = waits.dead_since.map(|since| format!(" since {}", when(since))).unwrap_or_default();
            format!("{from}: dead{since}: {}; `{}`", text::line_of(why, MAX_WHY), show(waits))
        }
        None => format!("{from}: dead, reason unreadable; `{}`", show(waits)),
    }
}

fn show(waits: &QueuedMarkers) -> String {
    proposal::command(&format!("queue show {}", waits.id))
}

fn span(first: Timestamp, last: Timestamp) -> String {
    if first == last { when(first) } else { format!("{} to {}", when(first), when(last)) }
}

pub(super) fn when(time: Timestamp) -> String {
    local(time)
}
