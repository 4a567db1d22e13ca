//! A DNS server on port 53 of loopback. It needs its own network namespace.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{Arc, Mutex},
    thread,
};

/// The name server; it knows one address.
pub struct NameServer {
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    /// Starts a server that resolves `name` and answers NXDOMAIN for every other name.
    pub fn knowing(name: &'static str, address: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:53").expect("bind in the separate network namespace");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noting = asked.clone();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((read, from)) = socket.recv_from(&mut buffer) {
                let question = &buffer[..read];
                let (asked_for, record) = read_question(question);
                let is_known = asked_for == name;
                noting.lock().expect("no panic").push(asked_for);
                let mut answer = question.to_vec();
                // Flags: a response, recursion available, and the result code.
                answer[2..4].copy_from_slice(&[0x81, if is_known { 0x80 } else { 0x83 }]);
                if is_known && record == 1 {
                    answer[7] = 1;
                    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                    answer.extend(address.octets());
                }
                socket.send_to(&answer, from).expect("sent");
            }
        });
        Self { asked }
    }

    /// Returns the names queried since the last call, without consecutive duplicates.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().expect("no panic"));
        asked.dedup();
        asked
    }
}

fn read_question(message: &[u8]) -> (String, u16) {
    let mut labels = Vec::new();
    let mut rest = &message[12..];
    while rest[0] > 0 {
        let (label, after) = rest[1..].split_at(rest[0].into());
        labels.push(std::str::from_utf8(label).expect("text"));
        rest = after;
    }
    (labels.join("."), u16::from_be_bytes([rest[1], rest[2]]))
}
