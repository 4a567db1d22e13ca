//! `/etc/resolv.conf` (resolv.conf(5)): which name servers there are, and what is tried.

use std::{
    fs::{self, File},
    io::Read as _,
    net::{Ipv4Addr, SocketAddr, SocketAddrV6},
    path::Path,
    time::Duration,
};

use resolv_conf::{Config, ScopedIp};

use super::dns::{Dns, PORT};

/// How many servers and domains are taken from the file.
const MAX_SERVERS: usize = 3;
const MAX_DOMAINS: usize = 32;

/// How much of the file is read, in bytes.
const MAX_FILE: u64 = 64 << 10;

impl Dns {
    /// Reads the file. What is wrong in it is passed over; without one, this machine's own server is asked.
    pub fn of_system(path: &Path) -> Self {
        let mut text = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text));
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

/// Returns the number of a network interface, 0 if there is none of that name.
fn zone_id(zone: &str) -> u32 {
    let named = || fs::read_to_string(format!("/sys/class/net/{zone}/ifindex")).ok()?.trim().parse().ok();
    zone.parse().ok().or_else(|| if zone.contains('/') { None } else { named() }).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_as_far_as_it_is_right() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("resolv.conf");
        let text = "nameserver 192.0.2.1\nnonsense\nnameserver fe80::1%lo\nnameserver what?\nnameserver ::1\n\
                    nameserver 192.0.2.4\nsearch corp.example example\noptions ndots:5 timeout:2 attempts:3 use-vc\n";
        fs::write(&path, text).expect("written");
        let dns = Dns::of_system(&path);
        assert_eq!(dns.servers(), "192.0.2.1, fe80::1, ::1");
        assert_eq!(dns.servers[1].to_string(), "[fe80::1%1]:53", "the number of the interface");
        assert_eq!(dns.candidates("a.b"), ["a.b.corp.example", "a.b.example", "a.b"]);
        assert_eq!((dns.attempts, dns.timeout, dns.is_over_tcp), (3, Duration::from_secs(2), true));
        assert_eq!(Dns::of_system(&dir.path().join("absent")).servers(), "127.0.0.1");
    }
}
