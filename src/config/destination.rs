//! Where markers go: the preset for Lightstep, OTLP back ends, and what both kinds of `[[destination]]` have in common.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use toml::Spanned;

use super::{
    file::{DestinationFile, DestinationKind, HeaderFile, LightstepFile, Region},
    load::{INBOX, Reading, UNASSIGNED},
    meant::{Destination, HeaderValue, Logs, Otlp, Spans, Target},
    problem::Problem,
};

/// How long a destination's name may be: it is the name of a directory.
const MAX_NAME: usize = 64;

impl Reading<'_> {
    /// The preset: hosts, paths and header from reference/lightstep.md, section 1d.
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
        if endpoint.starts_with("http://") && !is_loopback(&endpoint) {
            let message = "the access token would cross the network in the clear; use https://";
            self.problems.push(Problem::at(self.path, self.source, span.clone(), message));
        }
        let Some(token) = file.token else {
            let message =
                "[lightstep] needs the project's access token, such as `token = { file = \"/etc/...\" }`";
            self.problems.push(Problem::at(self.path, self.source, span, message));
            return None;
        };
        let token = HeaderValue::Secret(token.relative_to(dir));
        let proxy = self.proxy(file.proxy);
        let ca_file = self.ca_file(file.ca_file, &endpoint, proxy.as_deref(), dir);
        let target = Target::Otlp(Otlp {
            logs_url: format!("{endpoint}/v1/logs"),
            traces_url: format!("{endpoint}/v1/traces"),
            protocol: file.protocol.unwrap_or_default(),
            compression: file.compression.unwrap_or_default(),
            logs: Logs::All,
            spans: file.spans.unwrap_or_default(),
        });
        let headers = vec![("lightstep-access-token".into(), token)];
        Some(Destination { name: "lightstep".into(), headers, ca_file, proxy, target })
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
                &format!(
                    "a destination's name has 1 to {MAX_NAME} of a-z, 0-9, `-` and `_`, \
                     and is neither `{UNASSIGNED}` nor `{INBOX}`"
                ),
            );
        }
        let endpoint = self.url(&file.endpoint)?;
        let (headers, target) = match file.kind.get_ref() {
            DestinationKind::Otlp => {
                self.belongs_to_http(&file);
                let logs = file.logs.map(Spanned::into_inner).unwrap_or_default();
                let usual = if logs == Logs::None { Spans::All } else { Spans::default() };
                let spans = file.spans.map_or(usual, Spanned::into_inner);
                if (logs, spans) == (Logs::None, Spans::None) {
                    let message = "with `logs` and `spans` both \"none\" this destination would be sent nothing; take one of them out";
                    self.complain(&file.name, message);
                }
                let target = Otlp {
                    logs_url: format!("{endpoint}/v1/logs"),
                    traces_url: format!("{endpoint}/v1/traces"),
                    protocol: file.protocol.map(Spanned::into_inner).unwrap_or_default(),
                    compression: file.compression.map(Spanned::into_inner).unwrap_or_default(),
                    logs,
                    spans,
                };
                (file.headers, Target::Otlp(target))
            }
            DestinationKind::Http => {
                let target = self.http(&file, &endpoint, dir)?;
                (file.headers, Target::Http(target))
            }
        };
        let headers = self.headers(headers, dir);
        let proxy = self.proxy(file.proxy);
        let ca_file = self.ca_file(file.ca_file, &endpoint, proxy.as_deref(), dir);
        Some(Destination { name: file.name.into_inner(), headers, ca_file, proxy, target })
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
                self.complain(&key, "a header's name has letters, digits and `-` only");
            }
            let value = match value {
                HeaderFile::Text(text) => HeaderValue::Text(text),
                HeaderFile::Secret(source) => HeaderValue::Secret(source.relative_to(dir)),
            };
            headers.push((key.into_inner().to_lowercase(), value));
        }
        headers
    }

    /// Checks an address and drops the slashes at its end.
    pub fn url(&mut self, url: &Spanned<String>) -> Option<String> {
        let text = url.get_ref();
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let is_url = rest.is_some_and(|rest| {
            let host = rest.split('/').next().unwrap_or_default();
            !host.is_empty()
                && !host.contains('@')
                && rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#\"<>".contains(&b))
        });
        if !is_url {
            self.complain(
                url,
                "expected an address such as \"https://host:4318\", without user, query or fragment",
            );
            return None;
        }
        Some(text.trim_end_matches('/').to_string())
    }

    /// Checks the file of CAs that a destination names. What is in it is not looked at here, for a hook has no use for it.
    fn ca_file(
        &mut self,
        file: Option<Spanned<PathBuf>>,
        endpoint: &str,
        proxy: Option<&str>,
        dir: &Path,
    ) -> Option<PathBuf> {
        let file = file?;
        let has_tls = [Some(endpoint), proxy].into_iter().flatten().any(|url| url.starts_with("https://"));
        if !has_tls {
            self.complain(&file, "`ca_file` is for https://, and this `endpoint` is http://");
        }
        Some(dir.join(file.into_inner()))
    }

    fn proxy(&mut self, proxy: Option<Spanned<String>>) -> Option<String> {
        let proxy = proxy?;
        let rest =
            proxy.get_ref().strip_prefix("https://").or_else(|| proxy.get_ref().strip_prefix("http://"));
        let is_proxy = rest.is_some_and(|rest| {
            let host = rest.strip_suffix('/').unwrap_or(rest);
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
        });
        if !is_proxy {
            let message = "expected the address of a proxy, such as \"http://proxy.example.com:3128\", without user, \
                           password and path";
            self.complain(&proxy, message);
            return None;
        }
        Some(proxy.into_inner().trim_end_matches('/').to_string())
    }
}

pub(super) fn is_loopback(endpoint: &str) -> bool {
    let host = endpoint.trim_start_matches("http://").split(['/', ':']).next().unwrap_or_default();
    host == "localhost" || host.starts_with("127.") || endpoint.starts_with("http://[::1]")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn lightstep(more: &str) -> Destination {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config.toml");
        fs::write(&path, format!("[lightstep]\ntoken = {{ env = \"T\" }}\n{more}")).expect("written");
        crate::config::load(Some(&path)).expect("valid").destinations.remove(0)
    }

    #[test]
    fn the_preset_knows_lightsteps_hosts() {
        let urls = |more| {
            let Target::Otlp(otlp) = lightstep(more).target else { panic!("the preset is OTLP") };
            [otlp.logs_url, otlp.traces_url]
        };
        let us = ["https://ingest.lightstep.com:443/v1/logs", "https://ingest.lightstep.com:443/v1/traces"];
        let eu =
            ["https://ingest.eu.lightstep.com:443/v1/logs", "https://ingest.eu.lightstep.com:443/v1/traces"];
        assert_eq!(urls(""), us);
        assert_eq!(urls("region = \"us\"\n"), us);
        assert_eq!(urls("region = \"eu\"\n"), eu);
        assert_eq!(
            urls("endpoint = \"https://satellite.example.com/base/\"\n")[0],
            "https://satellite.example.com/base/v1/logs"
        );
        assert_eq!(lightstep("").headers[0].0, "lightstep-access-token");
    }
}
