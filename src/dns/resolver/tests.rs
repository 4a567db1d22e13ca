use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, UdpSocket},
    sync::mpsc,
    thread,
};

use super::*;

const ADDRESS: [u8; 4] = [192, 0, 2, 7];

/// A name server on a loopback port. Its replies come from a function of the name, the record
/// type, and true for TCP; `None` sends no reply.
struct TestNameServer {
    address: SocketAddr,
    asked: mpsc::Receiver<String>,
}

impl TestNameServer {
    fn start(answer: impl Fn(&str, u16, bool) -> Option<Vec<u8>> + Clone + Send + 'static) -> Self {
        let (sender, asked) = mpsc::channel();
        // UDP and TCP need the same port; one that is free for UDP may be taken for TCP.
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
    // Two bytes of flags, one of the answer count, then the answer records.
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
fn search_domains_apply_below_the_ndots_threshold() {
    let server = TestNameServer::start(
        |name, record, _| if name.ends_with(".example") { found(record) } else { refused(3) },
    );
    let dns = dns(&[server.address]);
    assert_eq!(lookup(&dns, "otlp"), expected());
    assert_eq!(server.asked(), ["otlp.corp.example"]);
    assert_eq!(lookup(&dns, "otlp.example"), expected());
    assert_eq!(server.asked(), ["otlp.example"]);
    assert_eq!(lookup(&dns, "otlp.nowhere."), Err(Unanswered::Unknown));
    assert_eq!(server.asked(), ["otlp.nowhere"]);
    let server = TestNameServer::start(|_, _, _| refused(3));
    let dns = Dns { servers: vec![server.address], dots: 2, ..dns };
    assert_eq!(lookup(&dns, "otlp.test"), Err(Unanswered::Unknown));
    assert_eq!(server.asked(), ["otlp.test.corp.example", "otlp.test.example", "otlp.test"]);
}

#[test]
fn next_server_is_asked_after_a_failure() {
    let closed = UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let [silent, failing] = [None, refused(2)].map(|told| TestNameServer::start(move |_, _, _| told.clone()));
    let good = TestNameServer::start(|_, record, _| found(record));
    let dns = dns(&[closed, silent.address, failing.address, good.address]);
    assert_eq!(lookup(&dns, "otlp.test"), expected());
    let dns = Dns { servers: dns.servers[..3].to_vec(), ..dns };
    let Err(Unanswered::Failed(why)) = lookup(&dns, "otlp.test.") else { panic!("the lookup should fail") };
    let [closed, silent, failing] = [closed, silent.address, failing.address];
    let told = format!(
        "{closed}: Connection refused (os error 111); {silent}: no response; \
             {failing}: error SERVFAIL (server failure)"
    );
    assert_eq!(why, told);
}

#[test]
fn lookup_ends_at_the_deadline() {
    let silent = TestNameServer::start(|_, _, _| None);
    let dns = Dns { timeout: Duration::from_secs(30), ..dns(&[silent.address]) };
    let start = Instant::now();
    let said = dns.addresses("otlp.test", Deadline::after(Duration::from_millis(400)));
    assert_eq!(said, Err(Unanswered::Failed(format!("{}: no response", silent.address))));
    assert!((Duration::from_millis(400)..Duration::from_secs(5)).contains(&start.elapsed()));
}

#[test]
fn answer_for_one_family_suffices_if_the_other_times_out() {
    let server = TestNameServer::start(|_, record, _| if record == 1 { found(record) } else { None });
    let dns = Dns { timeout: Duration::from_secs(30), ..dns(&[server.address]) };
    assert_eq!(lookup(&dns, "otlp.test"), expected());
    assert_eq!(server.asked(), ["otlp.test"], "no other name is queried");
}

#[test]
fn truncated_replies_are_retried_over_tcp() {
    let server = TestNameServer::start(
        |_, record, is_tcp| if is_tcp { found(record) } else { Some(vec![0x83, 0x80, 0]) },
    );
    let dns = dns(&[server.address]);
    assert_eq!(lookup(&dns, "otlp.test"), expected());
    assert_eq!(lookup(&Dns { is_over_tcp: true, ..dns }, "otlp.test"), expected());
}
