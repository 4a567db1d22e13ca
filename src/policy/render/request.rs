//! A request as a script answers it, checked: whatever a script says, it goes to its destination's host, below its
//! path, and is one request.

use std::fmt;

use rhai::{Dynamic, Map};

use super::{encode, json, sealed::Sealed};
use crate::{secret::Secret, text};

/// How long a path with its query may be, in bytes.
const MAX_PATH: usize = 4 << 10;
/// How many headers a request may have.
const MAX_HEADERS: usize = 32;
/// How long a header's value may be, in bytes.
const MAX_HEADER: usize = 8 << 10;
/// How large a body may be, in bytes.
pub(super) const MAX_BODY: usize = 1 << 20;
/// How many requests a marker may be.
pub(super) const MAX_REQUESTS: usize = 8;

const METHODS: [&str; 5] = ["POST", "PUT", "PATCH", "DELETE", "GET"];

const WORDS: [&str; 5] = ["method", "path", "query", "headers", "body"];

/// Headers that say where a request ends or who gets it: they are the connection's (RFC 9110, 7.6.1; RFC 9112, 6).
const NOT_A_SCRIPTS: [&str; 13] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request that a script asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method, in capitals.
    pub method: &'static str,
    /// What comes behind the endpoint, with the query.
    path: Sealed,
    headers: Vec<(String, Sealed)>,
    body: Option<Sealed>,
}

/// A request with its secrets in it.
pub struct Opened {
    /// The address.
    pub url: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// Reads what a script answered.
    ///
    /// # Errors
    /// With what is wrong with it, and what belongs there.
    pub(super) fn read(answer: &Map) -> Result<Self, String> {
        if let Some(word) = answer.keys().find(|word| !WORDS.contains(&word.as_str())) {
            let shown = text::line(word.as_str());
            return Err(match text::nearest(word, WORDS) {
                Some(near) => format!("a request has no word `{shown}`, did you mean `{near}`?"),
                None => format!("a request has no word `{shown}`, expected one of `{}`", WORDS.join("`, `")),
            });
        }
        let method = method(answer.get("method"))?;
        let mut path = path(answer.get("path"))?;
        if let Some(query) = answer.get("query").filter(|query| !query.is_unit()) {
            add_query(&mut path, query)?;
        }
        if path.len() > MAX_PATH {
            return Err(format!("`path` with `query` is longer than {} KiB", MAX_PATH >> 10));
        }
        let mut headers = headers(answer.get("headers"))?;
        let body = match answer.get("body").filter(|body| !body.is_unit()) {
            None => None,
            Some(_) if method == "GET" => return Err("a GET has no `body`".into()),
            Some(value) => {
                let (body, content_type) = body(value)?;
                if !headers.iter().any(|(name, _)| name == "content-type") {
                    headers.push(("content-type".into(), content_type.into()));
                }
                Some(body)
            }
        };
        Ok(Self { method, path, headers, body })
    }

    /// Puts the secrets in, as `secret` gives them by name.
    ///
    /// # Errors
    /// If a secret cannot be read, or what comes of it is no path. No error has a secret in it.
    pub fn open(
        &self,
        endpoint: &str,
        secret: &mut dyn FnMut(&str) -> Result<Secret, String>,
    ) -> Result<Opened, String> {
        let mut path = self.path.open(secret)?;
        // Who copies a webhook copies all of its address.
        if self.path.begins_sealed()
            && let Some(rest) = path.strip_prefix(endpoint).filter(|rest| rest.starts_with('/'))
        {
            path = rest.to_string();
        }
        let (bare, query) = path.split_once('?').unwrap_or((&path, ""));
        if !path.starts_with('/') || check_path(bare).is_err() || !query.bytes().all(is_query) {
            return Err(
                "the secret in `path` is no part of a path; it may be what follows the endpoint, or the whole address if that \
                 begins with the endpoint"
                    .into(),
            );
        }
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| Ok((name.clone(), value.open(secret)?)))
            .collect::<Result<_, String>>()?;
        let body = self.body.as_ref().map(|body| body.open(secret)).transpose()?.unwrap_or_default();
        Ok(Opened { url: format!("{endpoint}{path}"), headers, body: body.into_bytes() })
    }
}

/// As people are shown it: on the lines of HTTP, secrets masked.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        for (name, value) in &self.headers {
            write!(f, "\n{name}: {value}")?;
        }
        self.body.as_ref().map_or(Ok(()), |body| write!(f, "\n{body}"))
    }
}

fn method(value: Option<&Dynamic>) -> Result<&'static str, String> {
    let Some(value) = value.filter(|value| !value.is_unit()) else { return Ok("POST") };
    let named = value.as_immutable_string_ref().ok();
    let known = named.and_then(|named| METHODS.into_iter().find(|known| *known == named.as_str()));
    known.ok_or_else(|| format!("`method` must be one of `{}`, found {}", METHODS.join("`, `"), shown(value)))
}

fn path(value: Option<&Dynamic>) -> Result<Sealed, String> {
    let Some(value) = value else {
        return Err("a request needs a `path`, such as `path: \"/api/annotations\"`".into());
    };
    let path = sealed(value)
        .ok_or_else(|| format!("`path` must be a text that begins with `/`, found {}", shown(value)))?;
    let begins_well = path.begins_sealed() || path.known().next().is_some_and(|first| first.starts_with('/'));
    if !begins_well {
        return Err(format!(
            "`path` must begin with `/`: it is what follows the endpoint, and no other host; found {}",
            shown(value)
        ));
    }
    for part in path.known() {
        check_path(part).map_err(|why| format!("`path` {why}, found {}", shown(value)))?;
    }
    Ok(path)
}

/// Checks a path, or a part of one.
fn check_path(part: &str) -> Result<(), &'static str> {
    if part.contains(['?', '#']) {
        return Err("has a `?` or `#`: put what is asked into `query`, or the text through url_encode(text)");
    }
    let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&byte);
    if !part.bytes().all(is_path) {
        return Err("has a character that no path can hold: put each text in it through url_encode(text)");
    }
    let mut escapes = part.split('%').skip(1);
    if !escapes.all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())) {
        return Err("has a `%` that begins no escape: put each text in it through url_encode(text)");
    }
    if part.contains("//") {
        return Err("has two slashes in a row");
    }
    let leads_away = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    if part.split('/').any(leads_away) {
        return Err("has `.` or `..` between slashes, which leads somewhere else");
    }
    Ok(())
}

fn is_query(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/?".contains(&byte)
}

fn add_query(path: &mut Sealed, query: &Dynamic) -> Result<(), String> {
    let Ok(query) = query.as_map_ref() else {
        return Err(format!("`query` must be an object map, found {}", shown(query)));
    };
    for (nth, (name, value)) in query.iter().enumerate() {
        path.push_str(if nth == 0 { "?" } else { "&" });
        path.push_str(&encode::percent(name));
        path.push_str("=");
        let value = sealed(value)
            .or_else(|| Some(Sealed::from(&*value.as_int().ok()?.to_string())))
            .or_else(|| Some(Sealed::from(&*value.as_bool().ok()?.to_string())))
            .ok_or_else(|| {
                format!(
                    "`query.{}` must be a text, a number or a bool, found {}",
                    text::line(&**name),
                    shown(value)
                )
            })?;
        path.push_encoded(&value);
    }
    Ok(())
}

fn headers(value: Option<&Dynamic>) -> Result<Vec<(String, Sealed)>, String> {
    let Some(value) = value.filter(|value| !value.is_unit()) else { return Ok(Vec::new()) };
    let Ok(map) = value.as_map_ref() else {
        return Err(format!("`headers` must be an object map, found {}", shown(value)));
    };
    if map.len() > MAX_HEADERS {
        return Err(format!("a request has at most {MAX_HEADERS} headers, found {}", map.len()));
    }
    let mut headers: Vec<(String, Sealed)> = Vec::with_capacity(map.len() + 1);
    for (name, value) in map.iter() {
        let shown_name = text::line(name.as_str());
        let is_token = !name.is_empty()
            && name.len() <= 256
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !is_token {
            return Err(format!(
                "`{shown_name}` is no name of a header: it has letters, digits and `-` only"
            ));
        }
        let name = name.to_lowercase();
        if NOT_A_SCRIPTS.contains(&name.as_str()) {
            return Err(format!("the header `{shown_name}` is not a script's to set: the connection does"));
        }
        if headers.iter().any(|(known, _)| *known == name) {
            return Err(format!("the header `{shown_name}` is there twice"));
        }
        let value = sealed(value).ok_or_else(|| {
            format!("the header `{shown_name}` must be a text or a secret, found {}", shown(value))
        })?;
        if value.len() > MAX_HEADER {
            return Err(format!("the header `{shown_name}` is longer than {} KiB", MAX_HEADER >> 10));
        }
        if !value.known().all(|part| part.bytes().all(|byte| (b' '..0x7f).contains(&byte) || byte == b'\t')) {
            return Err(format!(
                "the header `{shown_name}` has a character that no header can hold, such as the end of a line"
            ));
        }
        headers.push((name, value));
    }
    Ok(headers)
}

/// Returns the body, and what it is if the script does not say so.
fn body(value: &Dynamic) -> Result<(Sealed, &'static str), String> {
    if let Some(body) = sealed(value) {
        if body.len() > MAX_BODY {
            return Err(format!("`body` is larger than {} MiB", MAX_BODY >> 20));
        }
        return Ok((body, "text/plain; charset=utf-8"));
    }
    if !value.is_map() && !value.is_array() {
        return Err(format!(
            "`body` must be an object map or an array, which is sent as JSON, or a text; found {}",
            shown(value)
        ));
    }
    Ok((json::write(value)?, "application/json"))
}

/// Returns a text, with secrets in it or without.
fn sealed(value: &Dynamic) -> Option<Sealed> {
    if let Ok(text) = value.as_immutable_string_ref() {
        return Some(text.as_str().into());
    }
    value.read_lock::<Sealed>().map(|sealed| sealed.clone())
}

/// Returns what a script's author is shown of a value; secrets show themselves as a mask.
fn shown(value: &Dynamic) -> String {
    match sealed(value) {
        Some(sealed) => format!("`{}`", text::line(sealed.to_string())),
        None => kind_of(value).to_string(),
    }
}

/// Returns what a value is, in the words of the reference.
pub(super) fn kind_of(value: &Dynamic) -> &'static str {
    match value {
        value if value.is_unit() => "`()`",
        value if value.is_int() => "a number",
        value if value.is_float() => "a number with a fraction",
        value if value.is_bool() => "a bool",
        value if value.is_char() => "a character",
        value if value.is_string() => "a text",
        value if value.is_array() => "an array",
        value if value.is_map() => "an object map",
        value if value.is_fnptr() => "a function",
        value if value.is::<Sealed>() => "a secret",
        _ => "an object",
    }
}
