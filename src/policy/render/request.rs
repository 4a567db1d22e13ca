//! Checks the requests that a script returns. A request can only go to its destination's host,
//! below the endpoint's path, and is always a single HTTP request.

use std::fmt;

use rhai::{Dynamic, Map};
use thiserror::Error;

use super::{
    json::{self, MAX_BODY, kind_of},
    secret_template::SecretTemplate,
};
use crate::{
    secret::Secret,
    text::{self, Hinted},
};

/// Maximum length of a path with its query, in bytes.
const MAX_PATH: usize = 4 << 10;
/// Maximum number of headers in a request.
const MAX_HEADERS: usize = 32;
/// Maximum length of a header's value, in bytes.
const MAX_HEADER: usize = 8 << 10;
/// Maximum number of requests for one marker.
pub(super) const MAX_REQUESTS: usize = 8;

const METHODS: [&str; 5] = ["POST", "PUT", "PATCH", "DELETE", "GET"];

const WORDS: [&str; 6] = ["method", "path", "query", "headers", "body", "expect"];

/// Headers that control the connection, the message framing or the host. Scripts cannot set them
/// (RFC 9110, 7.6.1; RFC 9112, 6).
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

/// A request that a script returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedRequest {
    /// Method, in upper case.
    pub method: &'static str,
    /// Path below the endpoint, with the query.
    path: SecretTemplate,
    headers: Vec<(String, SecretTemplate)>,
    body: Option<SecretTemplate>,
    /// Status that counts as a success in addition to 2xx.
    pub expect: Option<u16>,
}

/// A request whose secrets cannot be filled in.
#[derive(Debug, Error)]
pub enum OpenError<E> {
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(E),
    /// The path is invalid with the secret in it.
    #[error(
        "the secret in `path` is not a valid path; it must be the URL without the endpoint, or the full URL \
         if that begins with the endpoint"
    )]
    Path,
}

/// A request with its secrets filled in.
pub struct Opened {
    /// URL.
    pub url: String,
    /// Headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl RenderedRequest {
    /// Reads a request from a script's object map.
    ///
    /// # Errors
    /// A message with what is wrong and what is expected.
    pub(super) fn read(answer: &Map) -> Result<Self, Hinted> {
        if let Some(word) = answer.keys().find(|word| !WORDS.contains(&word.as_str())) {
            let message = format!("a request has no property `{}`", text::line(word.as_str()));
            return Err(Hinted::unknown(message, word, WORDS.into_iter()));
        }
        let method = method(answer.get("method"))?;
        let mut path = path(answer.get("path"))?;
        if let Some(query) = answer.get("query").filter(|query| !query.is_unit()) {
            add_query(&mut path, query)?;
        }
        if path.len() > MAX_PATH {
            return Err(format!("`path` with `query` is longer than {} KiB", MAX_PATH >> 10).into());
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
        let expect = answer.get("expect").filter(|expect| !expect.is_unit()).map(expected).transpose()?;
        Ok(Self { method, path, headers, body, expect })
    }

    /// Fills in the secrets. `secret` returns the value for a name.
    ///
    /// # Errors
    /// If a secret cannot be read, or if the resulting path is invalid. Errors never contain a
    /// secret.
    pub fn open<E>(
        &self,
        endpoint: &str,
        secret: &mut dyn FnMut(&str) -> Result<Secret, E>,
    ) -> Result<Opened, OpenError<E>> {
        let mut path = self.path.open(secret).map_err(OpenError::Secret)?;
        // The secret may be a webhook's full URL, because that is what people copy. Remove the
        // endpoint.
        if self.path.begins_sealed()
            && let Some(rest) = path.strip_prefix(endpoint).filter(|rest| rest.starts_with('/'))
        {
            path = rest.to_string();
        }
        let (bare, query) = path.split_once('?').unwrap_or((&path, ""));
        if !path.starts_with('/') || check_path(bare).is_err() || !query.bytes().all(is_query) {
            return Err(OpenError::Path);
        }
        let headers = self.headers.iter().map(|(name, value)| Ok((name.clone(), value.open(secret)?)));
        let headers = headers.collect::<Result<_, E>>().map_err(OpenError::Secret)?;
        let body = self.body.as_ref().map(|body| body.open(secret)).transpose().map_err(OpenError::Secret)?;
        let body = body.unwrap_or_default();
        Ok(Opened { url: format!("{endpoint}{path}"), headers, body: body.into_bytes() })
    }
}

/// Formats the request like HTTP, with its secrets masked.
impl fmt::Display for RenderedRequest {
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

fn expected(value: &Dynamic) -> Result<u16, String> {
    let status = value.as_int().ok().and_then(|status| u16::try_from(status).ok());
    status.filter(|status| (400..500).contains(status)).ok_or_else(|| {
        format!("`expect` must be the status that means success, from 400 to 499, found {}", shown(value))
    })
}

fn path(value: Option<&Dynamic>) -> Result<SecretTemplate, String> {
    let Some(value) = value else {
        return Err("a request needs a `path`, such as `path: \"/api/annotations\"`".into());
    };
    let path = sealed(value)
        .ok_or_else(|| format!("`path` must be a string that begins with `/`, found {}", shown(value)))?;
    let begins_well = path.begins_sealed() || path.known().next().is_some_and(|first| first.starts_with('/'));
    if !begins_well {
        return Err(format!(
            "`path` must begin with `/`: it is appended to the endpoint and cannot name another host; \
             found {}",
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
        return Err("has a `?` or `#`: move parameters into `query`, or escape the text with \
                    url_encode(text)");
    }
    let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&byte);
    if !part.bytes().all(is_path) {
        return Err("has a character that is not allowed in a path: escape its parts with url_encode(text)");
    }
    let mut escapes = part.split('%').skip(1);
    if !escapes.all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())) {
        return Err("has a `%` that does not begin an escape: escape its parts with url_encode(text)");
    }
    if part.contains("//") {
        return Err("has two slashes in a row");
    }
    let leads_away = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    if part.split('/').any(leads_away) {
        return Err("has a `.` or `..` segment, which would lead to another path");
    }
    Ok(())
}

fn is_query(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/?".contains(&byte)
}

fn add_query(path: &mut SecretTemplate, query: &Dynamic) -> Result<(), String> {
    let Ok(query) = query.as_map_ref() else {
        return Err(format!("`query` must be an object map, found {}", shown(query)));
    };
    for (nth, (name, value)) in query.iter().enumerate() {
        path.push_str(if nth == 0 { "?" } else { "&" });
        path.push_str(&text::segment(name));
        path.push_str("=");
        let value = sealed(value)
            .or_else(|| Some(SecretTemplate::from(&*value.as_int().ok()?.to_string())))
            .or_else(|| Some(SecretTemplate::from(&*value.as_bool().ok()?.to_string())))
            .ok_or_else(|| {
                format!(
                    "`query.{}` must be a string, a number or a bool, found {}",
                    text::line(&**name),
                    shown(value)
                )
            })?;
        path.push_encoded(&value);
    }
    Ok(())
}

fn headers(value: Option<&Dynamic>) -> Result<Vec<(String, SecretTemplate)>, String> {
    let Some(value) = value.filter(|value| !value.is_unit()) else { return Ok(Vec::new()) };
    let Ok(map) = value.as_map_ref() else {
        return Err(format!("`headers` must be an object map, found {}", shown(value)));
    };
    if map.len() > MAX_HEADERS {
        return Err(format!("a request has at most {MAX_HEADERS} headers, found {}", map.len()));
    }
    let mut headers: Vec<(String, SecretTemplate)> = Vec::with_capacity(map.len() + 1);
    for (name, value) in map.iter() {
        let shown_name = text::line(name.as_str());
        let is_token = !name.is_empty()
            && name.len() <= 256
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !is_token {
            return Err(format!("`{shown_name}` is not a header name: use only letters, digits and `-`"));
        }
        let name = name.to_lowercase();
        if NOT_A_SCRIPTS.contains(&name.as_str()) {
            return Err(format!("a script cannot set the header `{shown_name}`: the HTTP client sets it"));
        }
        if headers.iter().any(|(known, _)| *known == name) {
            return Err(format!("the header `{shown_name}` is set twice"));
        }
        let value = sealed(value).ok_or_else(|| {
            format!("the header `{shown_name}` must be a string or a secret, found {}", shown(value))
        })?;
        if value.len() > MAX_HEADER {
            return Err(format!("the header `{shown_name}` is longer than {} KiB", MAX_HEADER >> 10));
        }
        if !value.known().all(|part| part.bytes().all(|byte| (b' '..0x7f).contains(&byte) || byte == b'\t')) {
            return Err(format!(
                "the header `{shown_name}` has a character that is not allowed in a header, such as a line \
                 break"
            ));
        }
        headers.push((name, value));
    }
    Ok(headers)
}

/// Returns the body and its default content type.
fn body(value: &Dynamic) -> Result<(SecretTemplate, &'static str), Hinted> {
    if let Some(body) = sealed(value) {
        if body.len() > MAX_BODY {
            return Err(format!("`body` is larger than {} MiB", MAX_BODY >> 20).into());
        }
        return Ok((body, "text/plain; charset=utf-8"));
    }
    if !value.is_map() && !value.is_array() {
        return Err(format!(
            "`body` must be an object map or an array, which is sent as JSON, or a string; found {}",
            shown(value)
        )
        .into());
    }
    Ok((json::write(value)?, "application/json"))
}

/// Returns the value as text, which may contain secrets.
fn sealed(value: &Dynamic) -> Option<SecretTemplate> {
    if let Ok(text) = value.as_immutable_string_ref() {
        return Some(text.as_str().into());
    }
    value.read_lock::<SecretTemplate>().map(|sealed| sealed.clone())
}

/// Formats a value for error messages, with secrets masked.
fn shown(value: &Dynamic) -> String {
    match sealed(value) {
        Some(sealed) => format!("`{}`", text::line(sealed.to_string())),
        None => kind_of(value).to_string(),
    }
}
