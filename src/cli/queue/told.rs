//! Entries in a person's words, and as JSON.

use std::{collections::BTreeMap, io};

use serde::Serialize;

use crate::{
    cli::age::age,
    push::PushId,
    state::{
        State,
        contents::{self, Glance},
        dead::Why,
        queue::{Entry, Place},
    },
    text,
    time::Timestamp,
};

/// How many groups of markers a line names.
const MAX_GROUPS: usize = 3;

/// How much of a service's name a line shows, in characters.
const MAX_SERVICE: usize = 60;

/// What a glance at an entry tells.
pub(super) struct Told {
    pub entry: Entry,
    glance: Glance,
    why: Option<Why>,
}

/// An entry as JSON.
#[derive(Serialize)]
pub(super) struct Json {
    id: String,
    place: &'static str,
    /// The destination, or `inbox`.
    from: String,
    name: String,
    /// The oldest push, and the newest if there are several.
    push: Option<PushId>,
    last_push: Option<PushId>,
    /// When the oldest push was captured.
    time: Option<Timestamp>,
    /// How many markers the file says that it holds, `null` for a captured push.
    markers: Option<usize>,
    /// How many of those that were looked at are of which kind, and of which service.
    kinds: BTreeMap<&'static str, usize>,
    services: BTreeMap<String, usize>,
    /// Whether all of it was looked at and is as it should be.
    is_whole: bool,
    /// `owner/name` of a captured push.
    repository: Option<String>,
    pusher: Option<String>,
    /// What is wrong with the file.
    unreadable: Option<String>,
    /// Of a dead letter: why, and since when.
    why: Option<String>,
    dead_since: Option<Timestamp>,
}

impl Told {
    /// Looks at an entry; `None` if it is not there any more.
    ///
    /// # Errors
    /// If it is there and cannot be read at all.
    pub fn of(state: &State, entry: Entry) -> anyhow::Result<Option<Self>> {
        let glance = match contents::glance(&state.path_of(&entry), entry.is_capture()) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => Glance::Unreadable(err.to_string()),
            Ok(glance) => glance,
        };
        let why = if entry.place == Place::Dead { state.dead_letters().why(&entry.name) } else { None };
        Ok(Some(Self { entry, glance, why }))
    }

    /// Returns the line of a list.
    pub fn line(&self, now: Timestamp) -> String {
        let age = self.entry.time().map_or_else(|| "?".into(), |time| age(time, now));
        let mut line =
            format!("{}  {:<19} {age:>7}  {}", self.entry.id(), place(&self.entry), self.contents());
        if self.entry.place == Place::Dead {
            line.push_str(": ");
            line.push_str(&self.why());
        }
        line
    }

    /// Returns why it is dead, on one line.
    fn why(&self) -> String {
        self.why.as_ref().map_or_else(|| "the reason cannot be read".into(), |why| text::line(&why.why))
    }

    fn contents(&self) -> String {
        match &self.glance {
            _ if self.entry.is_stray() && self.entry.place != Place::Dead => {
                format!("not ours, nothing will read it: {}", text::line(&self.entry.name))
            }
            Glance::Unreadable(why) => format!("unreadable: {}", text::line(why)),
            Glance::Push { repository, pusher } => {
                let pusher = pusher.as_ref().map(|name| format!(" by {}", text::line(name)));
                format!("a push to {}{}, not decided yet", text::line(repository), pusher.unwrap_or_default())
            }
            Glance::Markers { count, groups, .. } => {
                let mut named: Vec<_> = groups
                    .iter()
                    .take(MAX_GROUPS)
                    .map(|((kind, service), n)| {
                        let service = text::line_of(service, MAX_SERVICE);
                        if *n == 1 { format!("{kind} {service}") } else { format!("{n} {kind} {service}") }
                    })
                    .collect();
                if groups.values().take(MAX_GROUPS).sum::<usize>() < *count {
                    named.push("…".into());
                }
                let of = if self.entry.last_push().is_some() { " of several pushes" } else { "" };
                format!("{}{of}: {}", text::count(*count, "marker"), named.join(", "))
            }
        }
    }

    /// Returns it as JSON.
    pub fn json(self) -> Json {
        let mut json = Json {
            id: self.entry.id().to_string(),
            place: match self.entry.place {
                Place::Inbox => "inbox",
                Place::Outbox => "outbox",
                Place::Dead => "dead",
            },
            push: self.entry.push(),
            last_push: self.entry.last_push(),
            time: self.entry.time(),
            markers: None,
            kinds: BTreeMap::new(),
            services: BTreeMap::new(),
            is_whole: true,
            repository: None,
            pusher: None,
            unreadable: None,
            dead_since: self.why.as_ref().map(|why| why.time),
            why: self.why.map(|why| why.why),
            from: self.entry.from,
            name: self.entry.name,
        };
        match self.glance {
            Glance::Markers { count, groups, is_whole } => {
                json.markers = Some(count);
                json.is_whole = is_whole;
                for ((kind, service), n) in groups {
                    *json.kinds.entry(kind).or_insert(0) += n;
                    *json.services.entry(service).or_insert(0) += n;
                }
            }
            Glance::Push { repository, pusher } => {
                json.repository = Some(repository);
                json.pusher = pusher;
            }
            Glance::Unreadable(why) => {
                json.is_whole = false;
                json.unreadable = Some(why);
            }
        }
        json
    }
}

/// Returns where an entry is: `inbox`, `outbox NAME` or `dead NAME`.
pub(super) fn place(entry: &Entry) -> String {
    match entry.place {
        Place::Inbox => "inbox".into(),
        Place::Outbox => format!("outbox {}", text::line(&entry.from)),
        Place::Dead => format!("dead {}", text::line(&entry.from)),
    }
}
