//! Destinations of `kind = "http"`: the script, its secrets and settings; and which keys are of which kind.

use std::{collections::BTreeMap, path::Path};

use toml::Spanned;

use super::{
    destination::is_loopback,
    file::DestinationFile,
    kind::Kind,
    load::Reading,
    meant::{Http, RenderScript},
    shipped::Shipped,
};
use crate::text;

/// How many secrets and how many settings a destination may have.
const MAX_NAMED: usize = 32;

/// How long a setting may be, in bytes.
const MAX_SETTING: usize = 16 << 10;

impl Reading<'_> {
    /// Complains of what an `otlp` destination has no use for.
    pub fn belongs_to_http(&mut self, file: &DestinationFile) {
        let message = |key: &str| {
            format!(
                "`{key}` is for kind = \"http\"; kind = \"otlp\" takes `protocol`, `compression`, `logs` and `spans`, because what it sends \
                 is fixed"
            )
        };
        self.complain_of(file.render.as_ref(), &message("render"));
        self.complain_of(file.secrets.as_ref(), &message("secrets"));
        self.complain_of(file.settings.as_ref(), &message("settings"));
        self.complain_of(file.kinds.as_ref(), &message("kinds"));
    }

    /// Reads what a script and its endpoint need.
    pub fn http(&mut self, file: &DestinationFile, endpoint: &str, dir: &Path) -> Option<Http> {
        let message = |key: &str| {
            format!(
                "`{key}` is for kind = \"otlp\"; kind = \"http\" takes `render`, `secrets`, `settings` and `kinds`, because its \
                 script says what is sent"
            )
        };
        self.complain_of(file.protocol.as_ref(), &message("protocol"));
        self.complain_of(file.compression.as_ref(), &message("compression"));
        self.complain_of(file.logs.as_ref(), &message("logs"));
        self.complain_of(file.spans.as_ref(), &message("spans"));
        let Some(render) = &file.render else {
            let shipped: Vec<_> = Shipped::all().map(|shipped| format!("\"{}\"", shipped.name)).collect();
            let message = format!(
                "kind = \"http\" needs `render`: the path of a script, or one of {}",
                shipped.join(", ")
            );
            self.complain(&file.kind, &message);
            return None;
        };
        let render = self.render_script(render, dir);
        let secrets = self.named(file.secrets.as_ref(), "secret");
        if !secrets.is_empty() && endpoint.starts_with("http://") && !is_loopback(endpoint) {
            let message = "the secrets would cross the network in the clear; use https://";
            self.complain(&file.endpoint, message);
        }
        let settings = self.named(file.settings.as_ref(), "setting");
        if let Some(span) = file.settings.as_ref()
            && settings.values().map(String::len).sum::<usize>() > MAX_SETTING
        {
            self.complain(span, &format!("settings hold {MAX_SETTING} bytes of text at most, all together"));
        }
        Some(Http {
            endpoint: endpoint.to_string(),
            render: render?,
            secrets: secrets.into_iter().map(|(name, source)| (name, source.relative_to(dir))).collect(),
            settings,
            kinds: file.kinds.as_ref().map_or_else(|| Kind::ALL.to_vec(), |kinds| kinds.get_ref().clone()),
        })
    }

    fn complain_of<T>(&mut self, key: Option<&Spanned<T>>, message: &str) {
        if let Some(key) = key {
            self.complain(key, message);
        }
    }

    /// A name alone is a script of ours; a path says that it is one.
    fn render_script(&mut self, render: &Spanned<String>, dir: &Path) -> Option<RenderScript> {
        let name = render.get_ref();
        if name.contains('/') || name.ends_with(".rhai") {
            return Some(RenderScript::File(dir.join(name)));
        }
        let shipped = Shipped::named(name);
        if shipped.is_none() {
            let names = Shipped::all().map(|shipped| shipped.name);
            let shown = text::line(name);
            let message = match text::nearest(name, names.clone()) {
                Some(near) => format!("there is no script `{shown}`; did you mean `{near}`?"),
                None => format!(
                    "there is no script `{shown}`, expected a path that ends with `.rhai`, or one of `{}`",
                    names.collect::<Vec<_>>().join("`, `")
                ),
            };
            self.complain(render, &message);
        }
        shipped.map(RenderScript::Shipped)
    }

    /// Checks names that a script says: `secret("token")`, `settings.dashboard`.
    fn named<T: Clone>(
        &mut self,
        file: Option<&Spanned<BTreeMap<Spanned<String>, T>>>,
        what: &str,
    ) -> BTreeMap<String, T> {
        let Some(file) = file else { return BTreeMap::new() };
        if file.get_ref().len() > MAX_NAMED {
            self.complain(file, &format!("a destination has {MAX_NAMED} {what}s at most"));
        }
        for name in file.get_ref().keys() {
            let is_name = !name.get_ref().is_empty()
                && name.get_ref().len() <= 64
                && name.get_ref().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if !is_name {
                self.complain(name, &format!("a {what}'s name has 1 to 64 of a-z, 0-9 and `_`"));
            }
        }
        file.get_ref().iter().map(|(name, value)| (name.get_ref().clone(), value.clone())).collect()
    }
}
