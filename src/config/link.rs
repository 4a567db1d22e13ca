//! URL templates for links to a service's pages, with placeholders that a marker's values fill.

use crate::text::{self, Hinted};

/// Maximum length of a link in bytes, both as a template and filled in.
const MAX_LINK: usize = 4096;

/// A placeholder in a link, written in braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// `service.name`.
    Service,
    /// `service.version`.
    Version,
    /// `deployment.environment.name`.
    Environment,
    /// Full commit ID.
    Commit,
    /// Trace ID of the commit.
    TraceId,
    /// `owner/name`; the slash is kept, the rest is percent-encoded.
    Repository,
    /// Half an hour before the marker, in milliseconds since 1970, as Grafana's `from` expects.
    From,
    /// Half an hour after the marker, in milliseconds since 1970.
    To,
}

impl Placeholder {
    const ALL: [(&'static str, Self); 8] = [
        ("service", Self::Service),
        ("version", Self::Version),
        ("environment", Self::Environment),
        ("commit", Self::Commit),
        ("trace_id", Self::TraceId),
        ("repository", Self::Repository),
        ("from", Self::From),
        ("to", Self::To),
    ];
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum TemplatePart {
    Text(String),
    Placeholder(Placeholder),
}

/// A URL template such as `https://wiki.example.com/runbooks/{service}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTemplate(Vec<TemplatePart>);

impl LinkTemplate {
    /// Parses a template.
    ///
    /// # Errors
    /// With a message that says what is wrong with it.
    pub fn parse(link: &str) -> Result<Self, Hinted> {
        let is_address = (link.starts_with("https://") || link.starts_with("http://"))
            && link.len() <= MAX_LINK
            && link.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`|".contains(&b));
        if !is_address {
            return Err("expected a URL such as \"https://wiki.example.com/runbooks/{service}\"".into());
        }
        let mut parts = Vec::new();
        let mut rest = link;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}').ok_or("a `{` has no matching `}`")?;
            if !before.is_empty() {
                parts.push(TemplatePart::Text(before.into()));
            }
            parts.push(TemplatePart::Placeholder(placeholder(name)?));
            rest = after;
        }
        if rest.contains('}') {
            return Err("a `}` has no matching `{`".into());
        }
        if !rest.is_empty() {
            parts.push(TemplatePart::Text(rest.into()));
        }
        match &parts[..] {
            [TemplatePart::Text(first), ..] if first.trim_start_matches(|c| c != '/').len() > 2 => {
                Ok(Self(parts))
            }
            _ => Err("the host must not contain a placeholder, because a pusher may choose its value".into()),
        }
    }

    /// Returns the URL with each placeholder replaced by its percent-encoded value. Returns `None`
    /// if a placeholder has no value, or if the URL is too long.
    pub fn fill(&self, value: impl Fn(Placeholder) -> Option<String>) -> Option<String> {
        let mut link = String::new();
        for part in &self.0 {
            match part {
                TemplatePart::Text(text) => link.push_str(text),
                TemplatePart::Placeholder(placeholder) => {
                    let value = value(*placeholder)?;
                    let segments: Vec<_> = match placeholder {
                        Placeholder::Repository => value.split('/').map(text::segment).collect(),
                        _ => vec![text::segment(&value)],
                    };
                    link.push_str(&segments.join("/"));
                }
            }
        }
        (link.len() <= MAX_LINK).then_some(link)
    }
}

fn placeholder(name: &str) -> Result<Placeholder, Hinted> {
    if let Some((_, known)) = Placeholder::ALL.iter().find(|(known, _)| *known == name) {
        return Ok(*known);
    }
    let names = Placeholder::ALL.map(|(name, _)| format!("{{{name}}}"));
    let unknown = format!("unknown placeholder `{{{}}}`", text::line(name));
    Err(Hinted::unknown(unknown, &format!("{{{name}}}"), names.iter().map(String::as_str)))
}

#[cfg(test)]
mod tests;
