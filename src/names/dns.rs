//! The name servers of `/etc/resolv.conf` (resolv.conf(5)), asked over UDP, and over TCP where an answer is longer.

use std::{
    hash::{BuildHasher as _, RandomState},
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use super::{
    exchange::{is_timeout, over_tcp, over_udp},
    message::{Family, Question, Reply},
};
use crate::{text, time::Deadline};

pub(super) const PORT: u16 = 53;

/// How long a question may at least be on its way, however little time there is for all of them.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// What may be asked, whom, and how.
#[derive(Debug)]
pub(super) struct Dns {
    pub servers: Vec<SocketAddr>,
    /// What is tried behind a name.
    pub domains: Vec<String>,
    /// How many dots a name has that is first tried as it is.
    pub dots: usize,
    /// How often each server is asked.
    pub attempts: usize,
    /// How long an answer is waited for at most.
    pub timeout: Duration,
    pub is_over_tcp: bool,
}

/// Why there is no address.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// A server says that there is none.
    Unknown,
    /// No server says anything; this is what came of asking.
    Failed(String),
}

impl Dns {
    /// Returns the servers, for a message.
    pub fn servers(&self) -> String {
        let servers: Vec<_> = self.servers.iter().map(shown).collect();
        servers.join(", ")
    }

    /// Asks for a name, with each of the domains behind it if it is short.
    ///
    /// # Errors
    /// If there is no address, or no answer by the deadline.
    pub fn addresses(&self, name: &str, deadline: Deadline) -> Result<Vec<IpAddr>, Unanswered> {
        let mut first = 0;
        let mut failure = None;
        for candidate in self.candidates(name) {
            match self.ask_in_turn(&candidate, deadline, &mut first) {
                Ok(addresses) if !addresses.is_empty() => return Ok(addresses),
                Ok(_) => {}
                Err(Failure { why, has_answered }) => {
                    failure = Some(why);
                    if !has_answered {
                        // Nor will anybody answer the next one.
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

    /// Asks one server after the other until one knows, beginning with the one that knew before.
    fn ask_in_turn(&self, name: &str, deadline: Deadline, first: &mut usize) -> Result<Vec<IpAddr>, Failure> {
        let (Some(v4), Some(v6)) = (question(name, Family::V4), question(name, Family::V6)) else {
            // What no host can be called needs no question; a shorter domain behind it may do.
            return Ok(Vec::new());
        };
        let tries = self.servers.len() * self.attempts;
        let mut failure = Failure { why: String::new(), has_answered: false };
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
                Ok(Ok(addresses)) => {
                    *first = at;
                    return Ok(addresses);
                }
                Ok(Err(code)) => {
                    failure.has_answered = true;
                    failure.note(server, &format!("it answered {}", meaning(code)));
                }
                Err(err) if is_timeout(&err) => failure.note(server, "no answer"),
                Err(err) => failure.note(server, &err.to_string()),
            }
        }
        if failure.why.is_empty() {
            failure.why = "there was no time to ask".into();
        }
        Err(failure)
    }

    /// Asks one server, and returns the addresses, none if there is no such name, or the code of its refusal.
    fn ask(
        &self,
        server: SocketAddr,
        questions: [&Question; 2],
        deadline: Deadline,
    ) -> io::Result<Result<Vec<IpAddr>, u8>> {
        let replies = if self.is_over_tcp {
            [Some(Reply::IsCut), Some(Reply::IsCut)]
        } else {
            over_udp(server, questions, deadline)?
        };
        let mut addresses = Vec::new();
        let mut refusal = None;
        let mut is_silent = false;
        for (question, reply) in questions.into_iter().zip(replies) {
            let reply = match reply {
                Some(Reply::IsCut) => Some(over_tcp(server, question, deadline)?),
                reply => reply,
            };
            match reply {
                Some(Reply::Addresses(found)) => addresses.extend(found),
                Some(Reply::Unknown) => return Ok(Ok(Vec::new())),
                Some(Reply::Failed(code)) => refusal = Some(code),
                Some(Reply::IsCut) | None => is_silent = true,
            }
        }
        match refusal {
            _ if !addresses.is_empty() => Ok(Ok(addresses)),
            Some(code) => Ok(Err(code)),
            None if is_silent => Err(ErrorKind::TimedOut.into()),
            None => Ok(Ok(addresses)),
        }
    }
}

/// Why no server told anything of a name.
struct Failure {
    why: String,
    /// Whether one said at least that it cannot tell.
    has_answered: bool,
}

impl Failure {
    fn note(&mut self, server: SocketAddr, what: &str) {
        let note = format!("{}: {what}", shown(&server));
        // Asked again, most say the same again.
        if !self.why.split("; ").any(|there| there == note) {
            if !self.why.is_empty() {
                self.why.push_str("; ");
            }
            self.why.push_str(&note);
        }
    }
}

fn question(name: &str, family: Family) -> Option<Question> {
    // Keyed anew, by the system's random numbers, each time: who cannot see the question cannot answer it.
    let random = RandomState::new().hash_one(Instant::now());
    Question::new(random as u16, name, family)
}

fn shown(server: &SocketAddr) -> String {
    if server.port() == PORT { server.ip().to_string() } else { server.to_string() }
}

/// Returns what a refusal is called (RFC 1035, 4.1.1).
fn meaning(code: u8) -> String {
    match code {
        1 => "that the question is malformed (FORMERR)".into(),
        2 => "that it failed itself (SERVFAIL)".into(),
        4 => "that it does not do that (NOTIMP)".into(),
        5 => "that it does not answer us (REFUSED)".into(),
        code => text::line(format!("with code {code}")),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, UdpSocket},
        sync::mpsc,
        thread,
    };

    use super::*;

    const ADDRESS: [u8; 4] = [192, 0, 2, 7];

    /// A name server that does as it is told: what it answers to a question over UDP, `None` for nothing, and whether
    /// that is over TCP.
    struct Server {
        address: SocketAddr,
        asked: mpsc::Receiver<String>,
    }

    impl Server {
        fn start(answer: impl Fn(&str, u16, bool) -> Option<Vec<u8>> + Clone + Send + 'static) -> Self {
            let (sender, asked) = mpsc::channel();
            // Both have one port, which is free for the one and may be taken for the other.
            let (udp, tcp) = loop {
                let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
                if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("an address")) {
                    break (udp, tcp);
                }
            };
            let address = udp.local_addr().expect("an address");
            let (over_tcp, to) = (answer.clone(), sender.clone());
            thread::spawn(move || {
                for mut stream in tcp.incoming().map_while(Result::ok) {
                    let mut length = [0; 2];
                    stream.read_exact(&mut length).expect("a length");
                    let mut message = vec![0; u16::from_be_bytes(length).into()];
                    stream.read_exact(&mut message).expect("a message");
                    if let Some(reply) = reply(&message, &over_tcp, true, &to) {
                        let length = u16::try_from(reply.len()).expect("short");
                        stream.write_all(&[&length.to_be_bytes()[..], &reply].concat()).expect("written");
                    }
                }
            });
            thread::spawn(move || {
                let mut buffer = [0; 512];
                while let Ok((read, from)) = udp.recv_from(&mut buffer) {
                    if let Some(reply) = reply(&buffer[..read], &answer, false, &sender) {
                        let _ = udp.send_to(&reply, from);
                    }
                }
            });
            Self { address, asked }
        }

        fn asked(&self) -> Vec<String> {
            let mut asked: Vec<_> = self.asked.try_iter().collect();
            asked.dedup();
            asked
        }
    }

    fn reply(
        message: &[u8],
        answer: &impl Fn(&str, u16, bool) -> Option<Vec<u8>>,
        is_tcp: bool,
        asked: &mpsc::Sender<String>,
    ) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        let mut rest = &message[12..];
        while let Some((&length, labels)) = rest.split_first().filter(|(length, _)| **length > 0) {
            let (label, after) = labels.split_at(length.into());
            name.push(std::str::from_utf8(label).expect("text"));
            rest = after;
        }
        let (name, record) = (name.join("."), u16::from_be_bytes([rest[1], rest[2]]));
        let _ = asked.send(name.clone());
        // The flags, the count of answers, and the records behind the question.
        let told = answer(&name, record, is_tcp)?;
        let mut message = message.to_vec();
        message[2..4].copy_from_slice(&told[..2]);
        message[7] = told[2];
        message.extend(&told[3..]);
        Some(message)
    }

    fn found(record: u16) -> Option<Vec<u8>> {
        let none = vec![0x81, 0x80, 0];
        let one = || [&[0x81, 0x80, 1, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..], &ADDRESS].concat();
        Some(if record == 1 { one() } else { none })
    }

    fn refused(code: u8) -> Option<Vec<u8>> {
        Some(vec![0x81, 0x80 | code, 0])
    }

    fn dns(servers: &[SocketAddr]) -> Dns {
        Dns {
            servers: servers.to_vec(),
            domains: vec!["corp.example".into(), "example.".into()],
            dots: 1,
            attempts: 2,
            timeout: Duration::from_millis(300),
            is_over_tcp: false,
        }
    }

    fn lookup(dns: &Dns, name: &str) -> Result<Vec<IpAddr>, Unanswered> {
        dns.addresses(name, Deadline::after(Duration::from_secs(20)))
    }

    fn expected() -> Result<Vec<IpAddr>, Unanswered> {
        Ok(vec![ADDRESS.into()])
    }

    #[test]
    fn a_short_name_is_tried_with_the_domains_and_a_long_one_first_as_it_is() {
        let server = Server::start(
            |name, record, _| if name.ends_with(".example") { found(record) } else { refused(3) },
        );
        let dns = dns(&[server.address]);
        assert_eq!(lookup(&dns, "otlp"), expected());
        assert_eq!(server.asked(), ["otlp.corp.example"]);
        assert_eq!(lookup(&dns, "otlp.example"), expected());
        assert_eq!(server.asked(), ["otlp.example"]);
        assert_eq!(lookup(&dns, "otlp.nowhere."), Err(Unanswered::Unknown));
        assert_eq!(server.asked(), ["otlp.nowhere"]);
        let server = Server::start(|_, _, _| refused(3));
        let dns = Dns { servers: vec![server.address], dots: 2, ..dns };
        assert_eq!(lookup(&dns, "otlp.test"), Err(Unanswered::Unknown));
        assert_eq!(server.asked(), ["otlp.test.corp.example", "otlp.test.example", "otlp.test"]);
    }

    #[test]
    fn a_server_that_does_not_know_costs_little_and_the_next_one_is_asked() {
        let closed = UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let [silent, failing] = [None, refused(2)].map(|told| Server::start(move |_, _, _| told.clone()));
        let good = Server::start(|_, record, _| found(record));
        let dns = dns(&[closed, silent.address, failing.address, good.address]);
        assert_eq!(lookup(&dns, "otlp.test"), expected());
        let dns = Dns { servers: dns.servers[..3].to_vec(), ..dns };
        let Err(Unanswered::Failed(why)) = lookup(&dns, "otlp.test.") else { panic!("it is not known") };
        let [closed, silent, failing] = [closed, silent.address, failing.address];
        let told = format!(
            "{closed}: Connection refused (os error 111); {silent}: no answer; \
             {failing}: it answered that it failed itself (SERVFAIL)"
        );
        assert_eq!(why, told);
    }

    #[test]
    fn silence_ends_at_the_deadline() {
        let silent = Server::start(|_, _, _| None);
        let dns = Dns { timeout: Duration::from_secs(30), ..dns(&[silent.address]) };
        let start = Instant::now();
        let said = dns.addresses("otlp.test", Deadline::after(Duration::from_millis(400)));
        assert_eq!(said, Err(Unanswered::Failed(format!("{}: no answer", silent.address))));
        assert!((Duration::from_millis(400)..Duration::from_secs(5)).contains(&start.elapsed()));
    }

    #[test]
    fn who_never_answers_for_one_family_is_believed_for_the_other() {
        let server = Server::start(|_, record, _| if record == 1 { found(record) } else { None });
        let dns = Dns { timeout: Duration::from_secs(30), ..dns(&[server.address]) };
        assert_eq!(lookup(&dns, "otlp.test"), expected());
        assert_eq!(server.asked(), ["otlp.test"], "it is asked once");
    }

    #[test]
    fn what_is_longer_than_a_datagram_comes_over_tcp() {
        let server =
            Server::start(|_, record, is_tcp| if is_tcp { found(record) } else { Some(vec![0x83, 0x80, 0]) });
        let dns = dns(&[server.address]);
        assert_eq!(lookup(&dns, "otlp.test"), expected());
        assert_eq!(lookup(&Dns { is_over_tcp: true, ..dns }, "otlp.test"), expected());
    }
}
