//! What a sink over RELP promises, held against receivers that follow a script.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use proptest::prelude::*;

use super::*;
use crate::model::{Sink, SinkError, sample};
use crate::sinks::{Syslog, SyslogSink};

const OPENED: &str = "200 OK\nrelp_version=0\nrelp_software=test\ncommands=syslog";

fn pair() -> (TcpListener, SyslogSink<Relp>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let sink = SyslogSink::new("relp".to_owned(), Syslog::new("h", 1), Relp::new("127.0.0.1", port));
    (listener, sink)
}

/// A receiver's end of a connection.
struct Peer {
    stream: TcpStream,
    said: Vec<u8>,
}

impl Peer {
    /// Takes a connection and opens it.
    fn accept(listener: &TcpListener) -> Self {
        let mut peer = Self {
            stream: listener.accept().unwrap().0,
            said: Vec::new(),
        };
        let (transaction, command, data) = peer.next();
        assert_eq!((transaction, command.as_str()), (1, "open"));
        assert!(
            data.starts_with("relp_version=0\n") && data.ends_with("\ncommands=syslog"),
            "{data}"
        );
        peer.answer(1, OPENED);
        peer
    }

    /// Returns the next frame: transaction, command and data.
    fn next(&mut self) -> (u32, String, String) {
        loop {
            if let Some((frame, length)) = first_frame(&self.said).unwrap() {
                let taken = (frame.transaction, frame.command.to_owned(), frame.data.to_owned());
                self.said.drain(..length);
                return taken;
            }
            let mut octets = [0; 4096];
            let length = self.stream.read(&mut octets).unwrap();
            assert!(length > 0, "the sink closed the connection");
            self.said.extend_from_slice(&octets[..length]);
        }
    }

    /// Returns the next message and its transaction.
    fn message(&mut self, revision: u32) -> u32 {
        let (transaction, command, data) = self.next();
        assert_eq!(command, "syslog");
        assert_eq!(data, Syslog::new("h", 1).message(&sample::revision(revision)));
        transaction
    }

    fn answer(&mut self, transaction: u32, data: &str) {
        writeln!(self.stream, "{transaction} rsp {} {data}", data.len()).unwrap();
    }
}

/// Runs the receiver beside the sink.
fn beside<R: Send + 'static>(
    listener: TcpListener,
    receiver: impl FnOnce(&TcpListener) -> R + Send + 'static,
) -> std::thread::JoinHandle<R> {
    std::thread::spawn(move || receiver(&listener))
}

fn send(sink: &mut SyslogSink<Relp>, number: u32) {
    sink.deliver(number.into(), &sample::revision(number)).unwrap();
}

fn turn(sink: &mut SyslogSink<Relp>, line: u64) -> Result<(), SinkError> {
    let until = Instant::now() + Duration::from_secs(30);
    while sink.position().line < line {
        assert!(Instant::now() < until, "nothing happened: {sink:?}");
        sink.turn(Duration::from_millis(10))?;
    }
    assert_eq!(sink.position().line, line);
    Ok(())
}

#[test]
fn a_message_is_delivered_once_it_is_answered_and_the_farewell_is_said() {
    let (listener, mut sink) = pair();
    let receiver = beside(listener, |listener| {
        let mut peer = Peer::accept(listener);
        let transactions = [1, 2, 3].map(|revision| peer.message(revision));
        assert_eq!(transactions, [2, 3, 4]);
        // Whatever the order of answers, lines are delivered in theirs.
        peer.answer(3, "200 OK");
        peer.answer(2, "200");
        let (transaction, command, _) = peer.next();
        peer.answer(transaction, "200 OK");
        command
    });
    for number in [1, 2, 3] {
        send(&mut sink, number);
    }
    turn(&mut sink, 2).unwrap();
    drop(sink);
    assert_eq!(receiver.join().unwrap(), "close");
}

#[test]
fn what_was_not_answered_when_the_connection_broke_is_sent_again() {
    let (listener, mut sink) = pair();
    let receiver = beside(listener, |listener| {
        let mut peer = Peer::accept(listener);
        let first = peer.message(1);
        peer.answer(first, "200 OK");
        peer.message(2);
        drop(peer);
        let mut peer = Peer::accept(listener);
        for revision in [2, 3] {
            let transaction = peer.message(revision);
            peer.answer(transaction, "200 OK");
        }
        peer.next().1
    });
    send(&mut sink, 1);
    send(&mut sink, 2);
    assert!(turn(&mut sink, 3).is_err());
    assert_eq!(sink.position().line, 1);
    send(&mut sink, 2);
    send(&mut sink, 3);
    turn(&mut sink, 3).unwrap();
    drop(sink);
    assert_eq!(receiver.join().unwrap(), "close");
}

#[test]
fn a_receiver_that_closed_while_nothing_was_under_way_is_connected_to_again() {
    let (listener, mut sink) = pair();
    let receiver = beside(listener, |listener| {
        for revision in [1, 2] {
            let mut peer = Peer::accept(listener);
            let transaction = peer.message(revision);
            peer.answer(transaction, "200 OK");
            peer.stream.write_all(b"0 serverclose 0\n").unwrap();
        }
    });
    send(&mut sink, 1);
    turn(&mut sink, 1).unwrap();
    // The end arrives some time; until then a line meets the old connection, and is given again.
    for _ in 0..2 {
        let sent = sink.deliver(2, &sample::revision(2)).and_then(|()| turn(&mut sink, 2));
        if sent.is_ok() {
            break;
        }
    }
    assert_eq!(sink.position().line, 2);
    drop(sink);
    receiver.join().unwrap();
}

#[test]
fn transaction_numbers_start_again_behind_the_greatest() {
    let (listener, mut sink) = pair();
    let receiver = beside(listener, |listener| {
        let mut peer = Peer::accept(listener);
        [1, 2, 3, 4].map(|revision| {
            let transaction = peer.message(revision);
            peer.answer(transaction, "200 OK");
            transaction
        })
    });
    send(&mut sink, 1);
    sink.carrier.session.as_mut().unwrap().transaction = 999_999_998;
    for number in [2, 3, 4] {
        send(&mut sink, number);
    }
    turn(&mut sink, 4).unwrap();
    assert_eq!(receiver.join().unwrap(), [2, 999_999_999, 1, 2]);
}

#[test]
fn no_more_than_a_window_waits_for_receipts() {
    let (listener, mut sink) = pair();
    let receiver = beside(listener, |listener| {
        let mut peer = Peer::accept(listener);
        for revision in 1..=u32::try_from(WINDOW).unwrap() {
            peer.message(revision);
        }
        peer
    });
    let mut number = 0;
    while sink.has_room() {
        number += 1;
        send(&mut sink, number);
    }
    assert_eq!(number as usize, WINDOW);
    sink.carrier.stall = Duration::ZERO;
    assert_eq!(turn(&mut sink, 1).unwrap_err().source.kind(), io::ErrorKind::TimedOut);
    drop(receiver.join().unwrap());
}

#[test]
fn a_receiver_that_refuses_or_speaks_something_else_is_an_error_in_one_line() {
    for (says, words) in [
        ("1 rsp 9 500 error\n", "relp: the receiver answers rsp \"500 error\""),
        (
            "1 rsp 6 200 OK\n",
            "relp: the receiver does not offer the command syslog of RELP",
        ),
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "relp: the receiver does not speak RELP",
        ),
        ("1 rsp 999999999 200 OK\n", "relp: the receiver does not speak RELP"),
        ("", "relp: the receiver closed the connection"),
    ] {
        let (listener, mut sink) = pair();
        let receiver = beside(listener, |listener| {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 10]).unwrap();
            stream.write_all(says.as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
        });
        let error = sink.deliver(1, &sample::revision(1)).unwrap_err();
        assert_eq!(error.to_string(), words);
        receiver.join().unwrap();
    }
}

proptest! {
    #[test]
    fn a_frame_is_read_from_any_octets_or_not(
        said in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            "[0-9 a-z\n]{0,60}".prop_map(String::into_bytes),
        ],
    ) {
        if let Ok(Some((_, length))) = first_frame(&said) {
            prop_assert!(length <= said.len());
        }
    }

    #[test]
    fn a_frame_is_read_once_it_is_whole(transaction in 0_u32..1_000_000_000, data in "[ -~\n]{0,40}", cut in 0_usize..60) {
        let space = if data.is_empty() { "" } else { " " };
        let whole = format!("{transaction} rsp {}{space}{data}\n", data.len());
        let frame = Frame { transaction, command: "rsp", data: &data };
        prop_assert_eq!(first_frame(whole.as_bytes()).unwrap(), Some((frame, whole.len())));
        if let Some(part) = whole.get(..cut).filter(|part| part.len() < whole.len()) {
            prop_assert!(first_frame(part.as_bytes()).unwrap().is_none());
        }
    }
}
