//! Sends queries to one name server and waits for its replies, up to a deadline.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use super::message::{DnsReply, Question};
use crate::sys::time::Deadline;

/// Extra time to wait for IPv6 addresses after the IPv4 addresses have arrived. Some networks never
/// answer the IPv6 query.
const GRACE: Duration = Duration::from_millis(250);

/// Sends both questions at once and returns the replies that arrive by the deadline.
///
/// # Errors
/// If the server cannot be reached.
pub(super) fn over_udp(
    server: SocketAddr,
    questions: [&Question; 2],
    deadline: Deadline,
) -> io::Result<[Option<DnsReply>; 2]> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // The system picks a new port for each socket, and a connected socket receives from this server
    // only.
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    for question in questions {
        socket.send(question.to_bytes())?;
    }
    let mut replies = [None, None];
    let mut until = deadline;
    let mut buffer = [0; 4096];
    while replies.contains(&None) && !until.is_over() {
        socket.set_read_timeout(Some(timeout(until)))?;
        let read = match socket.recv(&mut buffer) {
            Ok(read) => read,
            Err(err) if is_timeout(&err) || err.kind() == ErrorKind::Interrupted => continue,
            // Keep the reply that did arrive.
            Err(_) if replies != [None, None] => break,
            Err(err) => return Err(err),
        };
        for (question, reply) in questions.iter().zip(&mut replies) {
            *reply = reply.take().or_else(|| question.reply(&buffer[..read]));
        }
        if matches!(&replies, [Some(DnsReply::Addresses(v4)), None] if !v4.is_empty())
            && deadline.left() > GRACE
        {
            until = Deadline::after(GRACE);
        }
        if replies.contains(&Some(DnsReply::Unknown)) {
            break;
        }
    }
    Ok(replies)
}

/// Asks one question over TCP.
///
/// # Errors
/// If the server cannot be reached, or does not answer by the deadline.
pub(super) fn over_tcp(server: SocketAddr, question: &Question, deadline: Deadline) -> io::Result<DnsReply> {
    let mut stream = TcpStream::connect_timeout(&server, timeout(deadline))?;
    stream.set_write_timeout(Some(timeout(deadline)))?;
    let message = question.to_bytes();
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes()[..], message].concat())?;
    let mut length = [0; 2];
    read_by(&mut stream, &mut length, deadline)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    read_by(&mut stream, &mut message, deadline)?;
    question
        .reply(&message)
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the response does not match the query"))
}

/// Fills `buffer` by the deadline, even if the server sends a byte at a time.
fn read_by(stream: &mut TcpStream, mut buffer: &mut [u8], deadline: Deadline) -> io::Result<()> {
    while !buffer.is_empty() {
        if deadline.is_over() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(timeout(deadline)))?;
        match stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => buffer = &mut buffer[read..],
            Err(err) if err.kind() == ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(())
}

/// Returns the time left, clamped because the socket calls reject a timeout of zero.
fn timeout(deadline: Deadline) -> Duration {
    deadline.left().clamp(Duration::from_millis(1), Duration::from_secs(3600))
}

pub(super) fn is_timeout(err: &io::Error) -> bool {
    matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
