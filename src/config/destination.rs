//! Resolves destinations: the Lightstep preset, OTLP back ends, and the settings that both kinds of
//! `[[destination]]` share.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use super::{
    problem::ConfigProblem,
    raw::{DestinationFile, DestinationKind, HeaderFile, LightstepFile, Region},
    reader::ConfigReader,
    resolved::{Destination, HeaderValue, INBOX, UNASSIGNED},
    spanned::Spanned,
    target::{Logs, Otlp, SpanRole, Spans, Target},
};

use crate::text;

/// Name of the destination that the `[lightstep]` preset defines.
pub const LIGHTSTEP: &str = "lightstep";

/// Maximum length of a destination's name, which is also a directory name.
const MAX_NAME: usize = 64;

impl ConfigReader<'_> {
    /// Resolves the `[lightstep]` preset. Hosts, paths and header are from reference/lightstep.md,
    /// section 1d.
    pub fn lightstep(
        &mut self,
        file: LightstepFile,
        span: std::ops::Range<usize>,
        dir: &Path,
    ) -> Option<Destination> {
        let endpoint = match (&file.region, &file.endpoint) {
            (Some(_), Some(endpoint)) => {
                self.complain(endpoint, "`region` and `endpoint` exclude each other; keep one");
                return None;
            }
            (_, Some(endpoint)) => self.url(endpoint)?,
            (Some(region), None) => Self::host(*region.get_ref()).to_string(),
            (None, None) => Self::host(Region::Us).to_string(),
        };
        let Some(token) = file.token else {
            let message =
                "[lightstep] needs the project's access token, such as `token = { file = \"/etc/...\" }`";
            self.problems.push(ConfigProblem::at(self.path, self.source, span, message));
            return None;
        };
        let token = HeaderValue::Secret(token.relative_to(dir));
        let proxy = self.proxy(file.proxy);
        let is_insecure = file.insecure.unwrap_or_default();
        if let Some(at) =
            file.endpoint.as_ref().filter(|_| !is_insecure && is_in_the_clear(&endpoint, proxy.as_deref()))
        {
            self.complain(at, in_the_clear("the access token", "[lightstep]"));
        }
        let ca_file = self.ca_file(file.ca_file, &endpoint, proxy.as_deref(), dir);
        let target = Target::Otlp(Otlp {
            logs_url: format!("{endpoint}/v1/logs"),
            traces_url: format!("{endpoint}/v1/traces"),
            protocol: file.protocol.unwrap_or_default(),
            compression: file.compression.unwrap_or_default(),
            logs: Logs::All,
            spans: file.spans.unwrap_or_default(),
            span_role: SpanRole::Server,
        });
        let headers = vec![("lightstep-access-token".into(), token)];
        Some(Destination { name: LIGHTSTEP.into(), headers, ca_file, proxy, insecure: is_insecure, target })
    }

    fn host(region: Region) -> &'static str {
        match region {
            Region::Us => "https://ingest.lightstep.com:443",
            Region::Eu => "https://ingest.eu.lightstep.com:443",
        }
    }

    pub fn destination(&mut self, file: DestinationFile, dir: &Path) -> Option<Destination> {
        let name = file.name.get_ref();
        let is_name = !name.is_empty()
            && name.len() <= MAX_NAME
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
        if !is_name || [UNASSIGNED, INBOX].contains(&name.as_str()) {
            self.complain(
                &file.name,
                format!(
                    "a destination's name must be 1 to {MAX_NAME} characters from a-z, 0-9, `-` and `_`, \
                     but not `{UNASSIGNED}` or `{INBOX}`"
                ),
            );
        }
        let endpoint = self.url(&file.endpoint)?;
        self.has_only_keys_of_its_kind(&file);
        let target = match file.kind.get_ref() {
            DestinationKind::Otlp => {
                let logs = file.logs.map(Spanned::into_inner).unwrap_or_default();
                let spans = file.spans.map(Spanned::into_inner).unwrap_or_default();
                if (logs, spans) == (Logs::None, Spans::None) {
                    let message = "with `logs` and `spans` both \"none\" this destination gets nothing; \
                                   remove one of them";
                    self.complain(&file.name, message);
                }
                Target::Otlp(Otlp {
                    logs_url: format!("{endpoint}/v1/logs"),
                    traces_url: format!("{endpoint}/v1/traces"),
                    protocol: file.protocol.map(Spanned::into_inner).unwrap_or_default(),
                    compression: file.compression.map(Spanned::into_inner).unwrap_or_default(),
                    logs,
                    spans,
                    span_role: SpanRole::Internal,
                })
            }
            DestinationKind::Http => Target::Http(self.http(&file, &endpoint, dir)?),
        };
        let headers = self.headers(file.headers, dir);
        let proxy = self.proxy(file.proxy);
        let ca_file = self.ca_file(file.ca_file, &endpoint, proxy.as_deref(), dir);
        let insecure = file.insecure.unwrap_or_default();
        let name = file.name.into_inner();
        let destination = Destination { name, headers, ca_file, proxy, insecure, target };
        if let Some(what) = destination.in_the_clear().filter(|_| !insecure) {
            self.complain(&file.endpoint, in_the_clear(&format!("`{what}`"), "this destination"));
        }
        Some(destination)
    }

    /// Reports keys that destinations of another kind use.
    fn has_only_keys_of_its_kind(&mut self, file: &DestinationFile) {
        let kind = *file.kind.get_ref();
        let keys = file.keys_of_kinds();
        let own: Vec<_> = keys.iter().filter(|(of, ..)| *of == kind).map(|(_, key, _)| *key).collect();
        let (last, others) = own.split_last().expect("each kind has keys");
        let own = format!("`{}` and `{last}`", others.join("`, `"));
        for (of, key, place) in &keys {
            if let Some(place) = place.as_ref().filter(|_| *of != kind) {
                let (of, kind) = (of.as_str(), kind.as_str());
                let message =
                    format!("`{key}` is for kind = \"{of}\"; kind = \"{kind}\" takes {own} instead");
                self.complain(place, message);
            }
        }
    }

    fn headers(
        &mut self,
        file: BTreeMap<Spanned<String>, HeaderFile>,
        dir: &Path,
    ) -> Vec<(String, HeaderValue)> {
        let mut headers = Vec::new();
        for (key, value) in file {
            let is_token = !key.get_ref().is_empty()
                && key
                    .get_ref()
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
            if !is_token {
                self.complain(&key, "a header name may contain only letters, digits and `-`");
            }
            let value = match value {
                HeaderFile::Text(text) => HeaderValue::Text(text),
                HeaderFile::Secret(source) => HeaderValue::Secret(source.relative_to(dir)),
            };
            headers.push((key.into_inner().to_lowercase(), value));
        }
        headers
    }

    /// Checks a URL and removes trailing slashes.
    pub fn url(&mut self, url: &Spanned<String>) -> Option<String> {
        let text = url.get_ref();
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let is_url = rest.is_some_and(|rest| {
            is_host(rest.split('/').next().unwrap_or_default())
                && rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#\"<>".contains(&b))
        });
        if !is_url {
            self.complain(
                url,
                "expected a URL such as \"https://host:4318\", without user, query or fragment",
            );
            return None;
        }
        let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        // The colons of an IPv6 address are in brackets.
        let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
        if let Some(port) = port.filter(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
            let port = text::line(port);
            self.complain(url, format!("the port `{port}` is not a number from 1 to 65535"));
            return None;
        }
        Some(text.trim_end_matches('/').to_string())
    }

    /// Checks that `ca_file` is used with TLS, and makes its path absolute. Does not read the file,
    /// which the hook does not need.
    pub fn ca_file(
        &mut self,
        file: Option<Spanned<PathBuf>>,
        endpoint: &str,
        proxy: Option<&str>,
        dir: &Path,
    ) -> Option<PathBuf> {
        let file = file?;
        let has_tls = [Some(endpoint), proxy].into_iter().flatten().any(|url| url.starts_with("https://"));
        if !has_tls {
            self.complain(
                &file,
                "`ca_file` is for https://, but this `endpoint` is http://; remove `ca_file` or use https://",
            );
        }
        Some(dir.join(file.into_inner()))
    }

    pub fn proxy(&mut self, proxy: Option<Spanned<String>>) -> Option<String> {
        let proxy = proxy?;
        let rest =
            proxy.get_ref().strip_prefix("https://").or_else(|| proxy.get_ref().strip_prefix("http://"));
        let is_proxy = rest.is_some_and(|rest| is_host(rest.strip_suffix('/').unwrap_or(rest)));
        if !is_proxy {
            let message = "expected the URL of a proxy, such as \"http://proxy.example.com:3128\", without \
                           user, password or path";
            self.complain(&proxy, message);
            return None;
        }
        Some(proxy.into_inner().trim_end_matches('/').to_string())
    }
}

impl Destination {
    /// Returns the name of a secret that requests carry over the network unencrypted, or of a
    /// header that looks like a secret. Returns `None` if there is no such header.
    pub fn in_the_clear(&self) -> Option<&str> {
        if !is_in_the_clear(self.address(), self.proxy.as_deref()) {
            return None;
        }
        let mut texts = self.headers.iter().filter(|(_, value)| matches!(value, HeaderValue::Text(_)));
        let secret = self.secrets().next().map(|(name, _)| name);
        secret.or_else(|| texts.find(|(name, _)| is_telling(name)).map(|(name, _)| name.as_str()))
    }
}

/// Returns true for a host name or an address, with or without a port. Does not check the port.
fn is_host(host: &str) -> bool {
    let is_word = |text: &str, more: &[u8]| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    let (is_name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').unwrap_or_default();
            (address.parse::<Ipv6Addr>().is_ok(), port)
        }
        None => {
            let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
            let has_empty_label = name.is_empty() || name.starts_with('.') || name.contains("..");
            (is_word(name, b"-._") && !has_empty_label, port)
        }
    };
    is_name && port.strip_prefix(':').map_or(port.is_empty(), |port| is_word(port, b""))
}

/// Returns true if a header of this name usually identifies the sender, though its value is plain
/// text in the configuration.
fn is_telling(name: &str) -> bool {
    ["auth", "cookie", "key", "password", "secret", "token"].iter().any(|word| name.contains(word))
        || name == "x-honeycomb-team"
}

pub(super) fn in_the_clear(what: &str, whose: &str) -> String {
    format!(
        "{what} would cross the network unencrypted; use https://, or set `insecure = true` in {whose} if \
         you trust the network"
    )
}

/// Returns true if requests to `endpoint` cross a network unencrypted: it is an http:// URL, and it
/// or the proxy is on another machine.
pub(super) fn is_in_the_clear(endpoint: &str, proxy: Option<&str>) -> bool {
    endpoint.starts_with("http://") && ![Some(endpoint), proxy].into_iter().flatten().all(is_loopback)
}

/// Returns true for a URL whose host is a loopback address or `localhost`. Other names may resolve
/// to any machine.
pub fn is_loopback(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    if let Some(bracketed) = authority.strip_prefix('[') {
        let host = bracketed.split(']').next().unwrap_or_default();
        return host.parse::<Ipv6Addr>().is_ok_and(|host| host.is_loopback());
    }
    let host = authority.split(':').next().unwrap_or_default();
    host.eq_ignore_ascii_case("localhost") || host.parse::<Ipv4Addr>().is_ok_and(|host| host.is_loopback())
}

#[cfg(test)]
mod tests;
