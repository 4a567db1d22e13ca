//! `log`: prints the journal, filtered.

use clap::Args;

use super::{Common, Completion, terminal::Terminal};
use crate::{
    config::{self, INBOX},
    marker::Kind,
    policy::Origin,
    state::{
        State,
        journal::{Action, DecisionRecord, DeliveryRecord, JournalEntry, PushRecord, Queue, Record, Sent},
    },
    sys::time::{self, Timestamp},
    text,
};

#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// Show only markers of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Show only this repository, as OWNER/NAME
    #[arg(long, value_name = "REPO")]
    repo: Option<String>,
    /// Show only markers of this kind: change, release, deployment or rollback
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<Kind>,
    /// Show only records since TIME: 2026-11-22T10:00:00Z, 2026-11-22 or an age (2h)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Show only records before this time, in the same formats
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Print the journal's JSON lines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &LogArgs, common: &Common, terminal: &Terminal) -> anyhow::Result<Completion> {
    let config = common.load()?;
    let broken = State::at(&config.state_dir).journal().read(|entry| {
        let is_shown = args.json || common.verbose || !matches!(entry.record, Record::Push(_));
        if !is_shown || !args.wants(&entry) {
            return Ok(());
        }
        if args.json {
            terminal.json(serde_json::to_string(&entry)?)?;
        } else {
            terminal.answer(line(&entry))?;
        }
        Ok(())
    })?;
    if broken > 0 {
        terminal.message(format_args!("{} of the journal could not be read", text::count(broken, "line")));
    }
    Ok(Completion::Done)
}

impl LogArgs {
    fn wants(&self, entry: &JournalEntry<'_>) -> bool {
        if self.since.is_some_and(|since| entry.time < since)
            || self.until.is_some_and(|until| entry.time >= until)
        {
            return false;
        }
        let is_any = self.service.is_none() && self.kind.is_none();
        match &entry.record {
            Record::Decision(decision) => {
                self.wants_repository(Some(&decision.repository))
                    && (is_any
                        || decision.markers.iter().any(|marker| {
                            self.service.as_ref().is_none_or(|service| *service == marker.service)
                                && self.kind.is_none_or(|kind| kind == marker.kind)
                        }))
            }
            Record::Push(push) => is_any && self.wants_repository(Some(&push.repository)),
            Record::Trouble(trouble) => is_any && self.wants_repository(trouble.repository.as_deref()),
            Record::Delivery(_) | Record::Queue(_) => is_any && self.repo.is_none(),
        }
    }

    fn wants_repository(&self, repository: Option<&str>) -> bool {
        self.repo.as_ref().is_none_or(|wanted| repository.is_some_and(|it| it.eq_ignore_ascii_case(wanted)))
    }
}

pub(super) fn line(entry: &JournalEntry<'_>) -> String {
    let said = match &entry.record {
        Record::Push(push) => of_push(push),
        Record::Decision(decision) => of_decision(decision),
        Record::Delivery(delivery) => of_delivery(delivery),
        Record::Queue(queue) => of_queue(queue),
        Record::Trouble(trouble) => {
            let place = trouble
                .repository
                .as_deref()
                .map(|repository| text::line(repository) + ": ")
                .unwrap_or_default();
            format!("trouble   {place}{}", text::line(&*trouble.what))
        }
    };
    format!("{} {said}", entry.time.strftime("%Y-%m-%d %H:%M:%S"))
}

fn of_push(push: &PushRecord<'_>) -> String {
    let mut said = format!("{:<9} {}", "push", text::line(&*push.repository));
    if let Some(pusher) = &push.pusher {
        said.push_str(&format!(" by {}", text::line(&pusher.name)));
    }
    let how = push.transport.as_str();
    said.push_str(&format!(" ({how}): {}", text::count(push.updates, "update")));
    let stamps: Vec<_> = push.layers.iter().map(Origin::stamp).collect();
    if !stamps.is_empty() {
        said.push_str(&format!(", decided by {}", stamps.join(", ")));
    }
    said
}

fn of_decision(decision: &DecisionRecord<'_>) -> String {
    let word = decision.outcome.as_str();
    let mut said =
        format!("{word:<9} {} {}", text::line(&*decision.repository), text::line(&*decision.ref_name));
    for marker in &decision.markers {
        said.push_str(&format!(
            " | {} {} {}",
            marker.kind.as_str(),
            text::line(&*marker.service),
            text::line(&*marker.version)
        ));
        if let Some(environment) = &marker.environment {
            said.push_str(&format!(" in {}", text::line(&**environment)));
        }
        if let Some(remark) = &marker.remark {
            said.push_str(&format!(" {}", text::line(&**remark)));
        }
        said.push_str(&format!(" ({})", text::line(&*marker.by)));
    }
    if !decision.why.is_empty() {
        said.push_str(&format!(": {}", text::line(&*decision.why)));
    }
    if let Some(by) = &decision.by {
        said.push_str(&format!(" ({})", text::line(&**by)));
    }
    if let Some(missing) = &decision.missing {
        said.push_str(&format!("; note: {}", text::line(&**missing)));
    }
    said
}

fn of_delivery(delivery: &DeliveryRecord<'_>) -> String {
    let word = match delivery.outcome {
        Sent::Delivered => "delivered",
        Sent::Rejected => "rejected",
        Sent::Retried => "retry",
        Sent::Refused => "dead",
        Sent::Dropped => "dropped",
        Sent::PassedOver => "passed",
    };
    let n = text::count(delivery.markers.len() + delivery.waiting, "marker");
    let mut said = format!("{word:<9} {n} to {} in {} ms", text::line(&*delivery.destination), delivery.ms);
    if !delivery.why.is_empty() {
        said.push_str(&format!(": {}", text::line(&*delivery.why)));
    }
    said
}

fn of_queue(queue: &Queue<'_>) -> String {
    let word = match queue.action {
        Action::PutBack => "put back",
        Action::Dropped => "dropped",
    };
    let what = match queue.push {
        Some(push) if queue.from == INBOX => format!("the push {push}"),
        _ => format!("{} for {}", text::count(queue.markers.len(), "marker"), text::line(&*queue.from)),
    };
    let was = if queue.was_dead { "dead" } else { "waiting" };
    let mut said = format!("{word:<9} {what}, was {was}");
    if !queue.why.is_empty() {
        said.push_str(&format!(": {}", text::line(&*queue.why)));
    }
    said
}

fn kind(name: &str) -> Result<Kind, String> {
    Kind::parse(name).ok_or_else(|| "expected change, release, deployment or rollback".to_string())
}

fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        return date
            .to_zoned(jiff::tz::TimeZone::UTC)
            .map(|zoned| zoned.timestamp())
            .map_err(|err| err.to_string());
    }
    let age = config::duration(text)
        .map_err(|_| "expected a time such as 2026-11-22T10:00:00Z, a date, or an age such as 2h")?;
    time::now().checked_sub(age).map_err(|err| err.to_string())
}
