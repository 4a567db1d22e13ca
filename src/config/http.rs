//! Resolves destinations of `kind = "http"`: the script, its secrets and its settings.

use std::{collections::BTreeMap, path::Path};

use super::{
    raw::DestinationFile,
    reader::ConfigReader,
    shipped::Shipped,
    spanned::Spanned,
    target::{Http, RenderScript},
};
use crate::{
    marker::Kind,
    text::{self, Hinted},
};

/// Maximum number of secrets, and of settings, per destination.
const MAX_NAMED: usize = 32;

/// Maximum total size of a destination's settings, in bytes.
const MAX_SETTING: usize = 16 << 10;

impl ConfigReader<'_> {
    /// Resolves the script of an `http` destination with its secrets, settings and kinds.
    pub fn http(&mut self, file: &DestinationFile, endpoint: &str, dir: &Path) -> Option<Http> {
        let Some(render) = &file.render else {
            let shipped: Vec<_> = Shipped::all().map(|shipped| format!("\"{}\"", shipped.name)).collect();
            let message = format!(
                "kind = \"http\" needs `render`: the path of a script, or one of {}",
                shipped.join(", ")
            );
            self.complain(&file.kind, message);
            return None;
        };
        let render = self.render_script(render, dir);
        let secrets = self.named(file.secrets.as_ref(), "secret");
        let settings = self.named(file.settings.as_ref(), "setting");
        if let Some(span) = file.settings.as_ref()
            && settings.values().map(String::len).sum::<usize>() > MAX_SETTING
        {
            self.complain(
                span,
                format!("all settings of a destination may hold at most {MAX_SETTING} bytes together"),
            );
        }
        let render = render?;
        let usual = || match render {
            RenderScript::Shipped(shipped) => shipped.kinds(),
            RenderScript::File(_) => Kind::ALL.to_vec(),
        };
        let kinds = file.kinds.as_ref().map_or_else(usual, |kinds| kinds.get_ref().clone());
        Some(Http {
            endpoint: endpoint.to_string(),
            render,
            secrets: secrets.into_iter().map(|(name, source)| (name, source.relative_to(dir))).collect(),
            settings,
            kinds,
        })
    }

    /// Resolves `render`: a value with a slash or `.rhai` is a path, any other is the name of a
    /// built-in script.
    fn render_script(&mut self, render: &Spanned<String>, dir: &Path) -> Option<RenderScript> {
        let name = render.get_ref();
        if name.contains('/') || name.ends_with(".rhai") {
            return Some(RenderScript::File(dir.join(name)));
        }
        let shipped = Shipped::named(name);
        if shipped.is_none() {
            let names: Vec<_> = Shipped::all().map(|shipped| shipped.name).collect();
            let unknown = format!("unknown script `{}`", text::line(name));
            let mut message = Hinted::near(unknown, name, names.iter().copied());
            if message.hint.is_none() {
                let names = names.join("`, `");
                message.message += &format!(", expected a path that ends in `.rhai`, or one of `{names}`");
            }
            self.complain(render, message);
        }
        shipped.map(RenderScript::Shipped)
    }

    /// Checks the names that a script uses in `secret("token")` or `settings.dashboard`.
    fn named<T: Clone>(
        &mut self,
        file: Option<&Spanned<BTreeMap<Spanned<String>, T>>>,
        what: &str,
    ) -> BTreeMap<String, T> {
        let Some(file) = file else { return BTreeMap::new() };
        if file.get_ref().len() > MAX_NAMED {
            self.complain(file, format!("a destination may have at most {MAX_NAMED} {what}s"));
        }
        for name in file.get_ref().keys() {
            let is_name = !name.get_ref().is_empty()
                && name.get_ref().len() <= 64
                && name.get_ref().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if !is_name {
                self.complain(
                    name,
                    format!("the name of a {what} must be 1 to 64 characters from a-z, 0-9 and `_`"),
                );
            }
        }
        file.get_ref().iter().map(|(name, value)| (name.get_ref().clone(), value.clone())).collect()
    }
}
