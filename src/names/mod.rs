//! From the name of a host to its addresses: `/etc/hosts`, then the name servers of `/etc/resolv.conf`.
//!
//! The C library is not asked. In a static binary its `getaddrinfo` loads what `/etc/nsswitch.conf` names, with a second C
//! library behind it, into this process: made for another version of it, that ends in SIGSEGV (`hosts: files resolve
//! dns` on glibc 2.43, the binary from 2.36). So `nsswitch.conf` is not read, and who is known by mDNS, LDAP or NIS alone
//! is not found.

mod conf;
mod dns;
mod exchange;
mod hosts;
mod message;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use dns::{Dns, Unanswered};

use crate::time::Deadline;

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Why a name has no address.
#[derive(Debug)]
pub enum Unresolved {
    /// Nobody knows it.
    Unknown {
        /// The name.
        name: String,
        /// The name servers that say so.
        servers: String,
    },
    /// It could not be found out in time.
    Unanswered {
        /// The name.
        name: String,
        /// What came of each question.
        why: String,
    },
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, servers } => write!(
                f,
                "there is no address of `{name}`: it is not in {HOSTS}, and the name servers of {RESOLV_CONF} ({servers}) \
                 do not know it"
            ),
            Self::Unanswered { name, why } => {
                write!(f, "the address of `{name}` could not be found out: {why} (see {RESOLV_CONF})")
            }
        }
    }
}

impl std::error::Error for Unresolved {}

/// Returns the addresses of a host in the order in which they are best tried: as `/etc/hosts` has them, else those of
/// IPv4 before those of IPv6, which more networks swallow. An address is its own address.
///
/// # Errors
/// If there is none, or nobody says so by the deadline.
pub fn resolve(name: &str, deadline: Deadline) -> Result<Vec<IpAddr>, Unresolved> {
    resolve_with(name, deadline, Path::new(HOSTS), || Dns::of_system(Path::new(RESOLV_CONF)))
}

fn resolve_with(
    name: &str,
    deadline: Deadline,
    hosts: &Path,
    dns: impl FnOnce() -> Dns,
) -> Result<Vec<IpAddr>, Unresolved> {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if let Ok(address) = bare.parse() {
        return Ok(vec![address]);
    }
    let absolute = name.strip_suffix('.').unwrap_or(name);
    let there = hosts::addresses(hosts, absolute);
    if !there.is_empty() {
        return Ok(there);
    }
    if is_local(absolute) {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let dns = dns();
    dns.addresses(name, deadline).map_err(|err| match err {
        Unanswered::Unknown => Unresolved::Unknown { name: name.into(), servers: dns.servers() },
        Unanswered::Failed(why) => Unresolved::Unanswered { name: name.into(), why },
    })
}

/// Returns whether a name stands for this machine whatever anybody says (RFC 6761, 6.3).
fn is_local(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    fn resolve(name: &str, hosts: &str) -> Result<Vec<IpAddr>, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, conf) = (dir.path().join("hosts"), dir.path().join("resolv.conf"));
        fs::write(&path, hosts).expect("written");
        // Nobody answers there.
        fs::write(&conf, "nameserver 127.0.0.1\noptions attempts:1\n").expect("written");
        let deadline = Deadline::after(Duration::from_secs(20));
        resolve_with(name, deadline, &path, || Dns::of_system(&conf)).map_err(|err| err.to_string())
    }

    #[test]
    fn what_is_known_without_a_server_is_not_asked() {
        let addresses = |texts: &[&str]| Ok(texts.iter().map(|text| text.parse().expect("valid")).collect());
        assert_eq!(resolve("192.0.2.7", ""), addresses(&["192.0.2.7"]));
        assert_eq!(resolve("[2001:db8::7]", ""), addresses(&["2001:db8::7"]));
        assert_eq!(resolve("LocalHost", ""), addresses(&["127.0.0.1", "::1"]));
        assert_eq!(resolve("otlp.localhost.", ""), addresses(&["127.0.0.1", "::1"]));
        assert_eq!(resolve("localhost", "127.0.0.9 localhost\n"), addresses(&["127.0.0.9"]));
        assert_eq!(resolve("Otlp.example.", "192.0.2.7 otlp.example\n"), addresses(&["192.0.2.7"]));
    }

    #[test]
    fn who_did_not_answer_is_named() {
        let said = resolve("otlp.example", "").expect_err("nobody answers");
        assert!(
            said.starts_with("the address of `otlp.example` could not be found out: 127.0.0.1: "),
            "{said}"
        );
    }
}
