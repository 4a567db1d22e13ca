//! Resolves `[gitea]`: the API that tells who made a change that no hook saw.

use std::{path::Path, time::Duration};

use super::{
    destination::{in_the_clear, is_in_the_clear},
    raw::GiteaFile,
    reader::ConfigReader,
    resolved::GiteaApi,
    spanned::Spanned,
};

/// Default of `enrich_within`.
const ENRICH_WITHIN: Duration = Duration::from_secs(30);

/// Default of `max_age`.
const MAX_AGE: Duration = Duration::from_secs(3600);

impl ConfigReader<'_> {
    /// Resolves the table. `public_url`, which is resolved already, is the default for `url`.
    pub fn gitea(&mut self, file: GiteaFile, public_url: Option<&Spanned<String>>, dir: &Path) -> GiteaApi {
        let named = file.url.and_then(|url| Some(Spanned::new(url.span(), self.url(&url)?)));
        let url = named.as_ref().or(public_url);
        let proxy = self.proxy(file.proxy);
        // Without an address, the scheme of the one that Gitea reports is not known yet.
        let scheme = url.map_or("https://", |url| url.get_ref());
        let gitea = GiteaApi {
            ca_file: self.ca_file(file.ca_file, scheme, proxy.as_deref(), dir),
            proxy,
            token: file.token.relative_to(dir),
            url: url.map(|url| url.get_ref().clone()),
            max_age: file.max_age.map_or(MAX_AGE, |text| text.0),
            organisations: file.organisations.unwrap_or_default(),
            enrich_within: file.enrich_within.map_or(ENRICH_WITHIN, |text| text.0),
            insecure: file.insecure.unwrap_or_default(),
        };
        if let Some(url) = url.filter(|url| gitea.is_exposed_at(url.get_ref())) {
            self.complain(url, in_the_clear("the token for Gitea's API", "[gitea]"));
        }
        gitea
    }
}

impl GiteaApi {
    /// Returns true if the token must not be sent to this address, because it would cross the network
    /// unencrypted.
    pub fn is_exposed_at(&self, url: &str) -> bool {
        !self.insecure && is_in_the_clear(url, self.proxy.as_deref())
    }
}
