//! Settings of the Lightstep project that `connect` sets up. Markers are sent with another token
//! and do not need them.

use std::path::Path;

use super::{
    destination::{in_the_clear, is_in_the_clear},
    raw::LightstepFile,
    reader::ConfigReader,
    resolved::LightstepApi,
    spanned::Spanned,
};

/// Lightstep's API (reference/lightstep.md, section 1b).
const API: &str = "https://api.lightstep.com";

impl ConfigReader<'_> {
    /// Resolves the keys that only `connect` uses. They must be given together or not at all.
    pub fn lightstep_api(&mut self, file: &LightstepFile, dir: &Path) -> Option<LightstepApi> {
        let given = [
            ("organization", file.organization.as_ref().map(Spanned::span)),
            ("project", file.project.as_ref().map(Spanned::span)),
            ("api_key", file.api_key.as_ref().map(Spanned::span)),
        ];
        let missing: Vec<_> =
            given.iter().filter(|(_, span)| span.is_none()).map(|(key, _)| format!("`{key}`")).collect();
        let first = given.iter().find_map(|(_, span)| span.clone());
        if let (Some(span), [_, ..]) = (first.clone(), &missing[..]) {
            let message = format!(
                "`organization`, `project` and `api_key` go together, but {} missing; add what is missing \
                 or remove all three, which only `connect` uses",
                match &missing[..] {
                    [one] => format!("{one} is"),
                    several => format!("{} are", several.join(" and ")),
                }
            );
            self.complain(&Spanned::new(span, ()), message);
            return None;
        }
        let base = match &file.api {
            Some(api) => {
                let base = self.url(api)?;
                let proxy = file.proxy.as_ref().map(|proxy| proxy.get_ref().as_str());
                if is_in_the_clear(&base, proxy) && !file.insecure.unwrap_or_default() {
                    self.complain(api, in_the_clear("the API key", "[lightstep]"));
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
                self.complain(name, "expected the name as it appears in Lightstep's URLs, such as \"shop\"");
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
