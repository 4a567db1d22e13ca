//! What `connect` needs to know of a Lightstep project beside the token that markers are sent with.

use std::path::{Path, PathBuf};

use super::{destination::is_loopback, file::LightstepFile, load::Reading};
use crate::secret::SecretSource;

/// The API of Lightstep (reference/lightstep.md, section 1b).
const API: &str = "https://api.lightstep.com";

/// A project in Lightstep, and the key to its settings. It is not the key that markers are sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LightstepApi {
    /// Scheme and host, without a slash at the end.
    pub base: String,
    /// The organization, as its addresses name it.
    pub organization: String,
    /// The project, as its addresses name it.
    pub project: String,
    /// The API key.
    pub key: SecretSource,
    /// The file with the CAs that the certificate may come from; the same as for markers.
    pub ca_file: Option<PathBuf>,
    /// The address of the HTTP proxy that leads there; the same as for markers.
    pub proxy: Option<String>,
}

impl Reading<'_> {
    /// Reads the keys that are for `connect` alone: all three, or none.
    pub fn lightstep_api(&mut self, file: &LightstepFile, dir: &Path) -> Option<LightstepApi> {
        let given = [
            ("organization", file.organization.as_ref().map(toml::Spanned::span)),
            ("project", file.project.as_ref().map(toml::Spanned::span)),
            ("api_key", file.api_key.as_ref().map(toml::Spanned::span)),
        ];
        let missing: Vec<_> =
            given.iter().filter(|(_, span)| span.is_none()).map(|(key, _)| format!("`{key}`")).collect();
        let first = given.iter().find_map(|(_, span)| span.clone());
        if let (Some(span), [_, ..]) = (first.clone(), &missing[..]) {
            let message = format!(
                "`organization`, `project` and `api_key` go together, and {} missing; all three are for `connect` alone and may be left out",
                match &missing[..] {
                    [one] => format!("{one} is"),
                    several => format!("{} are", several.join(" and ")),
                }
            );
            self.complain(&toml::Spanned::new(span, ()), &message);
            return None;
        }
        let base = match &file.api {
            Some(api) => {
                let base = self.url(api)?;
                if base.starts_with("http://") && !is_loopback(&base) {
                    self.complain(api, "the API key would cross the network in the clear; use https://");
                }
                base
            }
            None => API.to_string(),
        };
        let (Some(organization), Some(project), Some(key)) =
            (&file.organization, &file.project, &file.api_key)
        else {
            return None;
        };
        for name in [organization, project] {
            if name.get_ref().is_empty() || name.get_ref().contains('/') {
                self.complain(name, "expected the name in Lightstep's addresses, such as \"shop\"");
            }
        }
        Some(LightstepApi {
            base,
            organization: organization.get_ref().clone(),
            project: project.get_ref().clone(),
            key: key.get_ref().clone().relative_to(dir),
            ca_file: file.ca_file.as_ref().map(|path| dir.join(path.get_ref())),
            proxy: file.proxy.as_ref().map(|proxy| proxy.get_ref().trim_end_matches('/').to_string()),
        })
    }
}
