//! Connections to destinations: name resolution, trusted CAs and the proxy. Nothing is read before
//! the first request needs it.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use thiserror::Error;
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

use super::trust::{self, CaFileError, Trust};
use crate::{config::Destination, dns, sys::time::Deadline};

/// Timeout for connecting, including TLS, and separately for the name servers' answer. It is
/// shorter than the timeout of a request. If one address drops packets, the next address of the
/// same name can still be tried.
pub(super) const MAX_CONNECT: Duration = Duration::from_secs(5);

/// Maximum size of a response's status line and headers together, in bytes. (ureq-proto limits the
/// number of headers, to 128.)
pub(super) const MAX_ANSWER_HEAD: usize = 16 << 10;

/// A setting of a destination that makes connections impossible.
#[derive(Debug, Error)]
pub enum ConnectionError {
    /// The proxy is not one.
    #[error("`proxy` is not a valid address")]
    Proxy(#[source] ureq::Error),
    /// The `ca_file` cannot be used.
    #[error("`ca_file`")]
    CaFile(#[from] CaFileError),
}

/// The connection to a destination. It is kept open between requests.
pub(super) struct Connection<'a> {
    destination: &'a Destination,
    timeout: Duration,
    agent: RefCell<Option<Agent>>,
    /// True if Mozilla's CAs are used instead of the machine's.
    trusts_built_in: Cell<bool>,
}

impl<'a> Connection<'a> {
    /// Returns a connection that is not opened yet.
    pub fn new(destination: &'a Destination, timeout: Duration) -> Self {
        Self {
            destination,
            timeout: timeout.min(MAX_CONNECT),
            agent: RefCell::default(),
            trusts_built_in: Cell::new(false),
        }
    }

    /// Returns the timeout for connecting.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns the agent that makes requests.
    ///
    /// # Errors
    /// Returns an error if the proxy or the `ca_file` cannot be used.
    pub fn agent(&self) -> Result<Agent, ConnectionError> {
        if let Some(agent) = &*self.agent.borrow() {
            return Ok(agent.clone());
        }
        let proxy = self.destination.proxy.as_deref().map(Proxy::new).transpose();
        let proxy = proxy.map_err(ConnectionError::Proxy)?;
        let agent = agent(self.timeout, None, proxy, self.roots()?);
        Ok(self.agent.borrow_mut().insert(agent).clone())
    }

    fn roots(&self) -> Result<RootCerts, ConnectionError> {
        if !self.needs_tls() {
            return Ok(RootCerts::WebPki);
        }
        if let Some(path) = &self.destination.ca_file {
            return Ok(trust::usable(path)?.into());
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

    /// Records that the server's certificate is not trusted, and returns true if other CAs can be
    /// tried.
    ///
    /// The machine's CAs are tried first, because they are most likely the right ones. They may be
    /// few, so Mozilla's CAs come next.
    pub fn trusts_others(&self) -> bool {
        *self.agent.borrow_mut() = None;
        let has_others = self.destination.ca_file.is_none() && !self.trusts_built_in.get();
        // If both were tried, start again with the machine's CAs. Their files may have changed by
        // then.
        self.trusts_built_in.set(has_others);
        has_others
    }

    /// Returns advice for a certificate that is not trusted.
    pub fn remedy(&self) -> String {
        if let Some(path) = &self.destination.ca_file {
            return format!("; add the server's CA to the destination's `ca_file`, `{}`", path.display());
        }
        let mut remedy = "; set the destination's `ca_file` to a PEM file with the server's CA".to_string();
        for trouble in Trust::of_machine().troubles {
            remedy.push_str(&format!("; {trouble}"));
        }
        remedy
    }
}

/// Returns an agent for a server that is not a destination, such as Gitea's API. Each request takes
/// at most `timeout`. The trusted CAs are those of the machine, or Mozilla's if the machine has
/// none.
pub fn agent_for_others(connect: Duration, timeout: Duration) -> Agent {
    agent(connect, Some(timeout), None, roots_of_machine().unwrap_or(RootCerts::WebPki))
}

/// Returns an agent for a server that is reached like a destination, through the given proxy and
/// with the CAs of the given `ca_file`.
///
/// # Errors
/// Returns an error that names the proxy or the `ca_file` if it cannot be used.
pub fn agent_reached_by(
    proxy: Option<&str>,
    ca_file: Option<&Path>,
    connect: Duration,
    timeout: Duration,
) -> Result<Agent, ConnectionError> {
    let proxy = proxy.map(Proxy::new).transpose();
    let proxy = proxy.map_err(ConnectionError::Proxy)?;
    let roots = match ca_file {
        Some(path) => trust::usable(path)?.into(),
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
        // A redirect could send the token to any host that the response names.
        .max_redirects(0)
        .max_redirects_will_error(false)
        // Ignore the environment's proxy. The hook's environment depends on the transport of the
        // push.
        .proxy(proxy)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        // Responses are a few bytes, and a compressed one could be a decompression bomb.
        .accept_encoding("identity")
        .max_response_header_size(MAX_ANSWER_HEAD)
        .max_idle_connections(1)
        .build();
    Agent::with_parts(config, DefaultConnector::new(), NamesResolver)
}

/// A ureq resolver that uses our `names` module.
#[derive(Debug)]
struct NamesResolver;

impl Resolver for NamesResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &AgentConfig,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let addresses = dns::resolve(host, Deadline::after(*timeout.after))
            .map_err(|err| ureq::Error::Other(err.into()))?;
        let mut resolved = self.empty();
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            resolved.push(SocketAddr::new(address, port));
        }
        Ok(resolved)
    }
}

/// Maximum number of addresses that are tried for a name. ureq has room for as many.
const MAX_ADDRESSES: usize = 16;
