//! How a destination is reached: names, trusted CAs, the proxy. Nothing of it is read before it is needed.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use ureq::{
    Agent, Proxy,
    config::Config as AgentConfig,
    http::Uri,
    tls::{RootCerts, TlsConfig},
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

use super::trust::{self, Trust};
use crate::{config::Destination, names, time::Deadline};

/// How long a connection may take to be there, TLS included, and before that the answer of the name servers. It is shorter
/// than what a request may take, so that an address which swallows packets leaves time for the next one of the same name.
pub(super) const MAX_CONNECT: Duration = Duration::from_secs(5);

/// How large an answer's status line and headers may be together, in bytes. (Their number is limited in
/// ureq-proto, to 128.)
pub(super) const MAX_ANSWER_HEAD: usize = 16 << 10;

/// The connection to a destination, which is kept open between requests.
pub(super) struct Connection<'a> {
    destination: &'a Destination,
    timeout: Duration,
    agent: RefCell<Option<Agent>>,
    /// Whether Mozilla's CAs are trusted instead of the machine's.
    trusts_built_in: Cell<bool>,
}

impl<'a> Connection<'a> {
    /// Connects to nothing yet.
    pub fn new(destination: &'a Destination, timeout: Duration) -> Self {
        Self {
            destination,
            timeout: timeout.min(MAX_CONNECT),
            agent: RefCell::default(),
            trusts_built_in: Cell::new(false),
        }
    }

    /// Returns how long it may take to be there.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns what makes requests.
    ///
    /// # Errors
    /// If the `ca_file` cannot be used.
    pub fn agent(&self) -> Result<Agent, String> {
        if let Some(agent) = &*self.agent.borrow() {
            return Ok(agent.clone());
        }
        let proxy = self.destination.proxy.as_deref().map(Proxy::new).transpose();
        let proxy = proxy.map_err(|err| format!("the proxy's address cannot be used: {err}"))?;
        let agent = agent(self.timeout, None, proxy, self.roots()?);
        Ok(self.agent.borrow_mut().insert(agent).clone())
    }

    fn roots(&self) -> Result<RootCerts, String> {
        if !self.needs_tls() {
            return Ok(RootCerts::WebPki);
        }
        if let Some(path) = &self.destination.ca_file {
            let certificates = trust::usable(path).map_err(|why| format!("`ca_file`: {why}"))?;
            return Ok(certificates.into());
        }
        if !self.trusts_built_in.get() {
            if let Some(roots) = roots_of_machine() {
                return Ok(roots);
            }
            self.trusts_built_in.set(true);
        }
        Ok(RootCerts::WebPki)
    }

    fn needs_tls(&self) -> bool {
        let is_https = |url: &str| url.starts_with("https://");
        is_https(self.destination.address()) || self.destination.proxy.as_deref().is_some_and(is_https)
    }

    /// Takes note that a certificate comes from nobody who is trusted, and returns whether there are others to trust: the
    /// machine's CAs are tried first, as they are most likely the right ones, and may be few.
    pub fn trusts_others(&self) -> bool {
        *self.agent.borrow_mut() = None;
        let has_others = self.destination.ca_file.is_none() && !self.trusts_built_in.get();
        // Who comes back later may find other files.
        self.trusts_built_in.set(has_others);
        has_others
    }

    /// Returns what to do about a certificate from nobody who is trusted.
    pub fn remedy(&self) -> String {
        if let Some(path) = &self.destination.ca_file {
            return format!("; the destination's `ca_file`, `{}`, has to hold that CA", path.display());
        }
        let mut remedy = "; name a file with that CA as `ca_file` of the destination".to_string();
        for trouble in Trust::of_machine().troubles {
            remedy.push_str(&format!("; {trouble}"));
        }
        remedy
    }
}

/// Returns what makes requests to a server that is no destination, such as a Gitea with its API: each takes `timeout` at most,
/// and comes from CAs of the machine, or of Mozilla if it has none.
pub fn agent_for_others(connect: Duration, timeout: Duration) -> Agent {
    agent(connect, Some(timeout), None, roots_of_machine().unwrap_or(RootCerts::WebPki))
}

/// Returns the same for a server that is reached as a destination is: through its `proxy`, and with a certificate from its
/// `ca_file`, where it has them.
///
/// # Errors
/// If either cannot be used. The text names it.
pub fn agent_reached_by(
    proxy: Option<&str>,
    ca_file: Option<&Path>,
    connect: Duration,
    timeout: Duration,
) -> Result<Agent, String> {
    let proxy = proxy.map(Proxy::new).transpose();
    let proxy = proxy.map_err(|err| format!("the proxy's address cannot be used: {err}"))?;
    let roots = match ca_file {
        Some(path) => trust::usable(path).map_err(|why| format!("`ca_file`: {why}"))?.into(),
        None => roots_of_machine().unwrap_or(RootCerts::WebPki),
    };
    Ok(agent(connect, Some(timeout), proxy, roots))
}

fn roots_of_machine() -> Option<RootCerts> {
    let certificates = Trust::of_machine().certificates;
    (!certificates.is_empty()).then(|| certificates.into())
}

fn agent(connect: Duration, timeout: Option<Duration>, proxy: Option<Proxy>, roots: RootCerts) -> Agent {
    let config = AgentConfig::builder()
        .timeout_resolve(Some(connect))
        .timeout_connect(Some(connect))
        .timeout_global(timeout)
        .http_status_as_error(false)
        // A redirect would carry the token to whoever the answer names.
        .max_redirects(0)
        .max_redirects_will_error(false)
        // Never the environment's: whose environment a hook has depends on how the push came.
        .proxy(proxy)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        // An answer is a few bytes; one that had to be unpacked could be a bomb.
        .accept_encoding("identity")
        .max_response_header_size(MAX_ANSWER_HEAD)
        .max_idle_connections(1)
        .build();
    Agent::with_parts(config, DefaultConnector::new(), Names)
}

/// Our own way from names to addresses, for ureq.
#[derive(Debug)]
struct Names;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _: &AgentConfig,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let addresses = names::resolve(host, Deadline::after(*timeout.after))
            .map_err(|err| ureq::Error::Other(err.into()))?;
        let mut resolved = self.empty();
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            resolved.push(SocketAddr::new(address, port));
        }
        Ok(resolved)
    }
}

/// How many addresses of a name are tried: as many as ureq has room for.
const MAX_ADDRESSES: usize = 16;
