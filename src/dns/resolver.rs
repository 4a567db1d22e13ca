//! Queries the name servers of `/etc/resolv.conf` over UDP, and over TCP if an answer does not fit
//! a datagram.

use std::{
    hash::{BuildHasher as _, RandomState},
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use super::{
    exchange::{is_timeout, over_tcp, over_udp},
    message::{DnsReply, Family, Question},
};
use crate::{sys::time::Deadline, text};

pub(super) const PORT: u16 = 53;

/// Minimum time to wait for one server, even if the deadline is closer.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// A resolver's configuration.
#[derive(Debug)]
pub(crate) struct Dns {
    pub servers: Vec<SocketAddr>,
    /// Search domains to append to a name.
    pub domains: Vec<String>,
    /// Number of dots from which a name is first tried as it is.
    pub dots: usize,
    /// Number of times to ask each server.
    pub attempts: usize,
    /// Maximum time to wait for one answer.
    pub timeout: Duration,
    pub is_over_tcp: bool,
}

/// Reason for a lookup without a result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// A server answered that the name does not exist or has no address.
    Unknown,
    /// No server gave a usable answer. The text says what happened with each.
    Failed(String),
}

impl Dns {
    /// Returns the servers as text for a message.
    pub fn servers(&self) -> String {
        let servers: Vec<_> = self.servers.iter().map(shown).collect();
        servers.join(", ")
    }

    /// Looks up a name, trying the search domains in the order that `ndots` sets.
    ///
    /// # Errors
    /// If the name has no address, or no server answers by the deadline.
    pub fn addresses(&self, name: &str, deadline: Deadline) -> Result<Vec<IpAddr>, Unanswered> {
        let mut first = 0;
        let mut failure = None;
        for candidate in self.candidates(name) {
            match self.ask_in_turn(&candidate, deadline, &mut first) {
                Ok(addresses) if !addresses.is_empty() => return Ok(addresses),
                Ok(_) => {}
                Err(LookupFailure { why, has_answered }) => {
                    failure = Some(why);
                    if !has_answered {
                        // The servers would not answer the next candidate either.
                        break;
                    }
                }
            }
        }
        Err(failure.map_or(Unanswered::Unknown, Unanswered::Failed))
    }

    pub fn candidates(&self, name: &str) -> Vec<String> {
        let with_domains = self.domains.iter().map(|domain| format!("{name}.{}", domain.trim_matches('.')));
        if name.ends_with('.') {
            vec![name.to_string()]
        } else if name.matches('.').count() >= self.dots {
            [name.to_string()].into_iter().chain(with_domains).collect()
        } else {
            with_domains.chain([name.to_string()]).collect()
        }
    }

    /// Asks the servers in turn until one answers, starting with the one that answered last.
    fn ask_in_turn(
        &self,
        name: &str,
        deadline: Deadline,
        first: &mut usize,
    ) -> Result<Vec<IpAddr>, LookupFailure> {
        let (Some(v4), Some(v6)) = (question(name, Family::V4), question(name, Family::V6)) else {
            // Not a valid host name. Skip the query; a shorter search domain may still give a valid
            // one.
            return Ok(Vec::new());
        };
        let tries = self.servers.len() * self.attempts;
        let mut failure = LookupFailure { why: String::new(), has_answered: false };
        let from = *first;
        for nth in 0..tries {
            if deadline.is_over() {
                break;
            }
            let at = (from + nth) % self.servers.len();
            let server = self.servers[at];
            let share = deadline.left() / u32::try_from(tries - nth).unwrap_or(1);
            let wait = share.min(self.timeout).max(LEAST_WAIT);
            match self.ask(server, [&v4, &v6], Deadline::after(wait)) {
                Ok(ServerAnswer::Addresses(addresses)) => {
                    *first = at;
                    return Ok(addresses);
                }
                Ok(ServerAnswer::Refused(code)) => {
                    failure.has_answered = true;
                    failure.note(server, &format!("error {}", meaning(code)));
                }
                Err(err) if is_timeout(&err) => failure.note(server, "no response"),
                Err(err) => failure.note(server, &err.to_string()),
            }
        }
        if failure.why.is_empty() {
            failure.why = "out of time before the first query".into();
        }
        Err(failure)
    }

    /// Asks one server.
    fn ask(
        &self,
        server: SocketAddr,
        questions: [&Question; 2],
        deadline: Deadline,
    ) -> io::Result<ServerAnswer> {
        let replies = if self.is_over_tcp {
            [Some(DnsReply::IsCut), Some(DnsReply::IsCut)]
        } else {
            over_udp(server, questions, deadline)?
        };
        let mut addresses = Vec::new();
        let mut refusal = None;
        let mut is_silent = false;
        for (question, reply) in questions.into_iter().zip(replies) {
            let reply = match reply {
                Some(DnsReply::IsCut) => Some(over_tcp(server, question, deadline)?),
                reply => reply,
            };
            match reply {
                Some(DnsReply::Addresses(found)) => addresses.extend(found),
                Some(DnsReply::Unknown) => return Ok(ServerAnswer::Addresses(Vec::new())),
                Some(DnsReply::Failed(code)) => refusal = Some(code),
                Some(DnsReply::IsCut) | None => is_silent = true,
            }
        }
        match refusal {
            _ if !addresses.is_empty() => Ok(ServerAnswer::Addresses(addresses)),
            Some(code) => Ok(ServerAnswer::Refused(code)),
            None if is_silent => Err(ErrorKind::TimedOut.into()),
            None => Ok(ServerAnswer::Addresses(addresses)),
        }
    }
}

/// The answer of one server to both questions.
enum ServerAnswer {
    /// The addresses of the name. There are none if it does not exist.
    Addresses(Vec<IpAddr>),
    /// The response code of a refusal.
    Refused(u8),
}

/// Reason why no server gave a usable answer.
struct LookupFailure {
    why: String,
    /// True if at least one server replied, with an error code.
    has_answered: bool,
}

impl LookupFailure {
    fn note(&mut self, server: SocketAddr, what: &str) {
        let note = format!("{}: {what}", shown(&server));
        // Skip duplicates: a server usually fails the same way twice.
        if !self.why.split("; ").any(|there| there == note) {
            if !self.why.is_empty() {
                self.why.push_str("; ");
            }
            self.why.push_str(&note);
        }
    }
}

fn question(name: &str, family: Family) -> Option<Question> {
    // `RandomState` takes its keys from the system's random numbers, so only a server that sees the
    // query knows its ID.
    let random = RandomState::new().hash_one(Instant::now());
    Question::new(random as u16, name, family)
}

fn shown(server: &SocketAddr) -> String {
    if server.port() == PORT { server.ip().to_string() } else { server.to_string() }
}

/// Returns the name of an error code (RFC 1035, section 4.1.1).
fn meaning(code: u8) -> String {
    match code {
        1 => "FORMERR (malformed query)".into(),
        2 => "SERVFAIL (server failure)".into(),
        4 => "NOTIMP (query not supported)".into(),
        5 => "REFUSED (the server refuses queries from here)".into(),
        code => text::line(format!("code {code}")),
    }
}

#[cfg(test)]
mod tests;
