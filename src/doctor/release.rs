//! Which Gitea and which git run here, and what is known to be wrong with them.

use std::fmt;

use super::report::Check;

/// A release of Gitea.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(u32, u32, u32);

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// What `gitea --version` says that a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Gitea itself.
    Gitea(Release),
    /// Forgejo, whose releases are counted otherwise.
    Forgejo(Release),
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gitea(release) => write!(f, "Gitea {release}"),
            Self::Forgejo(release) => write!(f, "Forgejo {release}"),
        }
    }
}

/// A hole that is known to be open in releases of Gitea.
struct Hole {
    name: &'static str,
    since: Release,
    mended_in: Release,
    what: &'static str,
}

/// Those that have to do with hooks, or with who may run what as Gitea's user.
const HOLES: [Hole; 3] = [
    Hole {
        name: "CVE-2026-60004",
        since: Release(1, 17, 0),
        mended_in: Release(1, 27, 1),
        what: "whoever may edit a file can have a hook of theirs run as Gitea's user",
    },
    Hole {
        name: "CVE-2026-70402",
        since: Release(0, 0, 0),
        mended_in: Release(1, 27, 3),
        what: "under a loose umask, other users of the machine can write into the directories of hooks",
    },
    Hole {
        name: "CVE-2026-27780",
        since: Release(0, 0, 0),
        mended_in: Release(1, 26, 0),
        what: "a push that Gitea's own check cannot read passes it",
    },
];

impl Server {
    /// Reads `Gitea version 1.26.3 built with ...` or `forgejo version 9.0.3+gitea-1.22.0 ...`.
    pub fn parse(said: &str) -> Option<Self> {
        let mut words = said.split_whitespace();
        let name = words.next()?.to_ascii_lowercase();
        let release = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        let mut next = || numbers.next()?.ok();
        let release = Release(next()?, next()?, next().unwrap_or(0));
        match &*name {
            "gitea" => Some(Self::Gitea(release)),
            "forgejo" => Some(Self::Forgejo(release)),
            _ => None,
        }
    }

    /// Says what is known to be wrong with it.
    pub fn holes(self, check: &mut Check) {
        // Which of them Forgejo shares is written nowhere that we know of.
        let Self::Gitea(release) = self else { return };
        for hole in HOLES.iter().filter(|hole| (hole.since..hole.mended_in).contains(&release)) {
            check.found(
                format!("Gitea {release} has {}: {}", hole.name, hole.what),
                format!("upgrade to Gitea {} or newer", hole.mended_in),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_what_it_is() {
        let gitea = |a, b, c| Some(Server::Gitea(Release(a, b, c)));
        assert_eq!(Server::parse("Gitea version 1.26.3 built with GNU Make 4.4, go1.24"), gitea(1, 26, 3));
        assert_eq!(Server::parse("gitea version 1.22.0+dev-481-g481e738 built"), gitea(1, 22, 0));
        assert_eq!(Server::parse("Gitea version 1.28 built"), gitea(1, 28, 0));
        assert_eq!(
            Server::parse("forgejo version 9.0.3+gitea-1.22.0 (release name 9.0.3)"),
            Some(Server::Forgejo(Release(9, 0, 3)))
        );
        for other in ["", "Gitea version development", "gogs version 0.13.0", "Gitea 1"] {
            assert_eq!(Server::parse(other), None, "{other}");
        }
    }

    #[test]
    fn holes_are_open_from_one_release_to_the_one_that_mends_them() {
        let names = |a, b, c| {
            let mut check = Check::new("gitea");
            Server::Gitea(Release(a, b, c)).holes(&mut check);
            let names = check.findings.into_iter();
            names
                .map(|finding| finding.what.split(' ').nth(3).map(ToString::to_string))
                .collect::<Option<Vec<_>>>()
        };
        let named = |names: &[&str]| Some(names.iter().map(|name| format!("{name}:")).collect::<Vec<_>>());
        assert_eq!(names(1, 27, 3), named(&[]));
        assert_eq!(names(1, 27, 2), named(&["CVE-2026-70402"]));
        assert_eq!(names(1, 27, 0), named(&["CVE-2026-60004", "CVE-2026-70402"]));
        assert_eq!(names(1, 25, 9), named(&["CVE-2026-60004", "CVE-2026-70402", "CVE-2026-27780"]));
        assert_eq!(names(1, 16, 9), named(&["CVE-2026-70402", "CVE-2026-27780"]));
    }
}
