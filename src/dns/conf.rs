//! Reads the name servers, search domains and options of `/etc/resolv.conf` (resolv.conf(5)).

use std::{
    fs,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr, SocketAddrV6},
    path::Path,
    time::Duration,
};

use resolv_conf::{Config, ScopedIp};

use super::resolver::{Dns, PORT};
use crate::sys::regular_file;

/// Maximum number of servers, and of search domains, that are used.
const MAX_SERVERS: usize = 3;
const MAX_DOMAINS: usize = 32;

/// Maximum number of bytes read from the file.
const MAX_FILE: u64 = 64 << 10;

impl Dns {
    /// Reads the file and ignores invalid lines. Without a file or a name server in it, uses the
    /// server on this machine.
    pub fn of_system(path: &Path) -> Self {
        let mut text = Vec::new();
        let read = regular_file::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text));
        let (mut conf, _) =
            if read.is_ok() { Config::parse_with_errors(&text) } else { <(Config, Vec<_>)>::default() };
        if conf.nameservers.is_empty() {
            conf.nameservers.push(ScopedIp::V4(Ipv4Addr::LOCALHOST));
        }
        Self {
            servers: conf.nameservers.iter().take(MAX_SERVERS).map(address).collect(),
            domains: conf.get_last_search_or_domain().take(MAX_DOMAINS).cloned().collect(),
            dots: conf.ndots.min(15) as usize,
            attempts: conf.attempts.clamp(1, 5) as usize,
            timeout: Duration::from_secs(conf.timeout.clamp(1, 30).into()),
            is_over_tcp: conf.use_vc,
        }
    }
}

fn address(server: &ScopedIp) -> SocketAddr {
    match server {
        ScopedIp::V4(address) => (*address, PORT).into(),
        ScopedIp::V6(address, zone) => {
            let zone = zone.as_deref().map_or(0, zone_id);
            SocketAddrV6::new(*address, PORT, 0, zone).into()
        }
    }
}

/// Returns the index of a network interface, or 0 if it does not exist.
fn zone_id(zone: &str) -> u32 {
    let named = || fs::read_to_string(format!("/sys/class/net/{zone}/ifindex")).ok()?.trim().parse().ok();
    zone.parse().ok().or_else(|| if zone.contains('/') { None } else { named() }).unwrap_or(0)
}

#[cfg(test)]
mod tests;
