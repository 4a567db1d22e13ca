//! Redirects of Gitea's API for repositories that were renamed or moved. No other redirect is
//! followed, because the request carries the token.

use ureq::http::Uri;

/// The part of Gitea's API that redirects.
const REPOSITORIES: &str = "/api/v1/repos/";

/// Returns the target of a redirect if it is the API of the same Gitea. Scheme, host, port and path
/// prefix must equal those of the endpoint, followed by `/api/v1/repos/`.
pub(super) fn moved_to(endpoint: &str, location: &str) -> Option<String> {
    let base: Uri = endpoint.parse().ok()?;
    let to: Uri = location.parse().ok()?;
    let is_same_place = match (to.scheme_str(), to.authority()) {
        // Gitea sends only the path. The parser takes `//host/path` for a path as well, but that
        // does not start with the prefix.
        (None, None) => true,
        (Some(_), Some(authority)) if !authority.as_str().contains('@') => place(&base) == place(&to),
        _ => false,
    };
    let path = to.path();
    let prefix = format!("{}{REPOSITORIES}", base.path().trim_end_matches('/'));
    let is_plain = path.split('/').all(|part| {
        let part = part.to_ascii_lowercase().replace("%2e", ".");
        part != "." && part != ".." && !part.contains("%2f") && !part.contains('\\') && !part.contains("%5c")
    });
    (is_same_place && path.starts_with(&prefix) && !path.contains("//") && is_plain && to.query().is_none())
        .then(|| {
            format!(
                "{}://{}{path}",
                base.scheme_str().unwrap_or_default(),
                base.authority().map_or("", |a| a.as_str())
            )
        })
}

/// Returns scheme, host and port.
fn place(uri: &Uri) -> (Option<&str>, Option<String>, u16) {
    let usual = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    (uri.scheme_str(), uri.host().map(str::to_ascii_lowercase), uri.port_u16().unwrap_or(usual))
}

#[cfg(test)]
mod tests;
