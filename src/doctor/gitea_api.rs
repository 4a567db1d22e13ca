//! Checks that Gitea's API takes the configured token.

use super::report::Check;
use crate::{
    config::{Config, GiteaApi},
    delivery::check_gitea,
    state::{State, ref_snapshot::SnapshotHead},
    text,
};

/// Maximum number of snapshots that are read to find a repository.
const MAX_SNAPSHOTS: usize = 64;

/// Asks Gitea's API for the token's owner and for a repository that a scan knows. Returns `None` if no
/// token is configured.
pub fn gitea_api(config: &Config, state: &State) -> Option<Check> {
    let api = config.gitea.as_ref()?;
    let mut check = Check::new("gitea api");
    // A missing token is reported by the check of the configuration.
    if api.token.read(config.delivery.timeout).is_err() {
        return Some(check);
    }
    let known = known_repository(state);
    let root_url = known.as_ref().and_then(|head| head.root_url.as_deref());
    let repository =
        known.as_ref().and_then(|head| Some((head.repository.owner.as_deref()?, &*head.repository.name)));
    let seen = match check_gitea(api, root_url, repository) {
        Ok(user) => {
            let user = user.map(|user| format!(" of {user}")).unwrap_or_default();
            let read = repository.map_or_else(
                || ", and no scan has seen a repository yet".into(),
                |(owner, name)| format!(", and reads {}/{}", text::line(owner), text::line(name)),
            );
            format!("accepts the token{user}{read}")
        }
        Err(why) => {
            check.found(
                why,
                "give `[gitea]` a token with the scope read:repository, of a user who can read the repositories; until \
                 then nobody is known for a change that a scan finds",
            );
            String::new()
        }
    };
    warn_of_exposure(api, root_url, &mut check);
    Some(check.saw(seen))
}

fn warn_of_exposure(api: &GiteaApi, root_url: Option<&str>, check: &mut Check) {
    let strict = GiteaApi { insecure: false, ..api.clone() };
    let url = api.url.as_deref().or(root_url);
    if let Some(url) = url.filter(|url| api.insecure && strict.is_exposed_at(url)) {
        check.found(
            format!("the token is sent unencrypted to {}, as `insecure = true` allows", text::line(url)),
            "use https:// and remove `insecure`; anyone on the network path can read the token",
        );
    }
}

fn known_repository(state: &State) -> Option<SnapshotHead> {
    let snapshots = state.ref_snapshots();
    let (names, _) = snapshots.list().ok()?;
    let heads = names.iter().take(MAX_SNAPSHOTS).filter_map(|name| snapshots.head(name).ok().flatten());
    let mut heads = heads.filter(|head| head.repository.owner.is_some() && !head.repository.is_wiki);
    heads.next()
}
