//! The address of a page about a service, with placeholders for what a marker says.

use std::fmt::Write as _;

use crate::text;

/// How long an address may be, as written and filled in, in bytes.
const MAX_LINK: usize = 4096;

/// What may stand in an address, in braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// `service.name`.
    Service,
    /// `service.version`.
    Version,
    /// `deployment.environment.name`.
    Environment,
    /// The full id of the commit.
    Commit,
    /// The commit's trace.
    TraceId,
    /// `owner/name`, each part by itself encoded.
    Repository,
    /// The marker's time less half an hour, in milliseconds since 1970, as Grafana's `from` takes it.
    From,
    /// The marker's time and half an hour, in milliseconds since 1970.
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
enum Part {
    Text(String),
    Placeholder(Placeholder),
}

/// An address such as `https://wiki.example.com/runbooks/{service}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTemplate(Vec<Part>);

impl LinkTemplate {
    /// Reads an address.
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub fn parse(link: &str) -> Result<Self, String> {
        let is_address = (link.starts_with("https://") || link.starts_with("http://"))
            && link.len() <= MAX_LINK
            && link.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`|".contains(&b));
        if !is_address {
            return Err("expected an address such as \"https://wiki.example.com/runbooks/{service}\"".into());
        }
        let mut parts = Vec::new();
        let mut rest = link;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}').ok_or("a `{` in it has no `}`")?;
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            parts.push(Part::Placeholder(placeholder(name)?));
            rest = after;
        }
        if rest.contains('}') {
            return Err("a `}` in it has no `{`".into());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        match &parts[..] {
            [Part::Text(first), ..] if first.trim_start_matches(|c| c != '/').len() > 2 => Ok(Self(parts)),
            _ => Err("the host is never a placeholder: what fills it in may come from a pusher".into()),
        }
    }

    /// Returns the address with what `value` says in it, `None` if it does not know one of the placeholders.
    pub fn fill(&self, value: impl Fn(Placeholder) -> Option<String>) -> Option<String> {
        let mut link = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => link.push_str(text),
                Part::Placeholder(placeholder) => {
                    let value = value(*placeholder)?;
                    let is_path = *placeholder == Placeholder::Repository;
                    encode(&mut link, &value, is_path);
                }
            }
        }
        (link.len() <= MAX_LINK).then_some(link)
    }
}

fn placeholder(name: &str) -> Result<Placeholder, String> {
    if let Some((_, known)) = Placeholder::ALL.iter().find(|(known, _)| *known == name) {
        return Ok(*known);
    }
    let names = Placeholder::ALL.map(|(name, _)| name);
    let shown = text::line(name);
    Err(match text::nearest(name, names) {
        Some(near) => format!("there is no placeholder `{{{shown}}}`, did you mean `{{{near}}}`?"),
        None => {
            format!("there is no placeholder `{{{shown}}}`, expected one of `{{{}}}`", names.join("}`, `{"))
        }
    })
}

/// Writes a text as RFC 3986, 2.1 has it: everything but the unreserved characters by its bytes. The slash of a path stays.
fn encode(link: &mut String, value: &str, is_path: bool) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => link.push(byte.into()),
            b'/' if is_path => link.push('/'),
            _ => {
                let _ = write!(link, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fills_in_a_link_cannot_leave_its_place() {
        let link = LinkTemplate::parse("https://wiki.example.com/{service}?env={environment}#{repository}")
            .expect("valid");
        let filled = link.fill(|placeholder| match placeholder {
            Placeholder::Service => Some("../a b?x=1&y".into()),
            Placeholder::Environment => Some("é\"".into()),
            Placeholder::Repository => Some("acme/shop".into()),
            _ => None,
        });
        assert_eq!(
            filled.as_deref(),
            Some("https://wiki.example.com/..%2Fa%20b%3Fx%3D1%26y?env=%C3%A9%22#acme/shop")
        );
        assert_eq!(link.fill(|_| None), None);
    }

    #[test]
    fn a_link_is_an_address_with_known_placeholders() {
        for wrong in [
            "",
            "javascript:alert(1)",
            "https://{service}/",
            "https://",
            "https://a/{x",
            "https://a/x}",
            "https://a/{servic}",
            "https://a b/",
        ] {
            assert!(LinkTemplate::parse(wrong).is_err(), "{wrong}");
        }
    }
}
