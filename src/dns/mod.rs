//! Resolves host names to addresses: first from `/etc/hosts`, then from the name servers of
//! `/etc/resolv.conf`.
//!
//! Does not call the C library. In a static binary, `getaddrinfo` loads the modules that
//! `/etc/nsswitch.conf` names, and with them a second C library. If that has another version, the
//! process crashes with SIGSEGV (seen with `hosts: files resolve dns` on glibc 2.43, with a binary
//! built against 2.36). `nsswitch.conf` is therefore ignored, and names that only mDNS, LDAP or NIS
//! know are not found.

mod conf;
mod exchange;
pub(crate) mod hosts;
pub(crate) mod message;
pub(crate) mod resolver;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use resolver::{Dns, Unanswered};
use thiserror::Error;

use crate::sys::time::Deadline;

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Reason why a name has no address.
#[derive(Debug, Error)]
pub enum Unresolved {
    /// Neither the hosts file nor a name server knows the name.
    #[error(
        "failed to resolve `{name}`: it is not in {HOSTS}, and unknown to the name servers in {RESOLV_CONF} \
         ({servers})"
    )]
    Unknown {
        /// Name that was looked up.
        name: String,
        /// Name servers that were asked.
        servers: String,
    },
    /// No name server gave a usable answer in time.
    #[error("failed to resolve `{name}` with the name servers in {RESOLV_CONF}: {why}")]
    Unanswered {
        /// Name that was looked up.
        name: String,
        /// Result of each query.
        why: String,
    },
}

/// Returns the addresses of a host in the order to try them: as in `/etc/hosts`, or else IPv4
/// before IPv6, because more networks drop IPv6. An IP address resolves to itself.
///
/// # Errors
/// If the name has no address, or no server answers by the deadline.
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

/// Returns true for names that always mean this machine (RFC 6761, section 6.3).
fn is_local(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests;
