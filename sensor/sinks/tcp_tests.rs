//! What a sink over TCP promises, held against receivers on loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::model::{Sink, SinkError, sample};
use crate::sinks::{Syslog, SyslogSink};

/// What a step waits for at most; a receiver that does what it should is far faster.
const PATIENCE: Duration = Duration::from_secs(30);

fn pair() -> (TcpListener, SyslogSink<Tcp>, Syslog) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let syslog = Syslog::new("h", 1);
    let sink = SyslogSink::new("tcp".to_owned(), syslog.clone(), Tcp::new("127.0.0.1", port));
    (listener, sink, syslog)
}

fn send(sink: &mut SyslogSink<Tcp>, number: u32) {
    assert!(sink.has_room());
    sink.deliver(number.into(), &sample::revision(number)).unwrap();
}

/// Reads one message, octet by octet as the length says.
fn receive(stream: &mut TcpStream) -> String {
    let mut length = 0;
    loop {
        let mut octet = [0];
        stream.read_exact(&mut octet).unwrap();
        match octet[0] {
            b' ' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).unwrap();
    String::from_utf8(message).unwrap()
}

fn read_all(stream: &mut TcpStream) -> usize {
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).unwrap();
    octets.len()
}

/// Turns the sink until it fails or `is_done`.
fn turn(sink: &mut SyslogSink<Tcp>, is_done: impl Fn(&SyslogSink<Tcp>) -> bool) -> Result<(), SinkError> {
    let until = Instant::now() + PATIENCE;
    while !is_done(sink) {
        assert!(Instant::now() < until, "nothing happened: {sink:?}");
        sink.turn(Duration::from_millis(10))?;
    }
    Ok(())
}

fn is_acknowledged(sink: &SyslogSink<Tcp>) -> bool {
    let link = sink.carrier.link.as_ref().unwrap();
    link.stream.acknowledged().unwrap() == link.stream.end_of_octets()
}

#[test]
fn messages_are_counted_and_can_be_taken_apart() {
    let (listener, mut sink, syslog) = pair();
    for number in [1, 2, 3] {
        send(&mut sink, number);
    }
    turn(&mut sink, is_acknowledged).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    for number in [1, 2, 3] {
        assert_eq!(receive(&mut stream), syslog.message(&sample::revision(number)));
    }
}

#[test]
fn what_the_kernel_acknowledged_is_not_delivered_until_the_receiver_closed_behind_our_end() {
    let (listener, mut sink, _) = pair();
    send(&mut sink, 1);
    send(&mut sink, 2);
    let (mut stream, _) = listener.accept().unwrap();
    turn(&mut sink, is_acknowledged).unwrap();
    sink.turn(Duration::ZERO).unwrap();
    assert_eq!(sink.position().line, 0);
    sink.end();
    sink.turn(Duration::ZERO).unwrap();
    assert_eq!(sink.position().line, 0);
    assert!(!sink.has_room());
    read_all(&mut stream);
    drop(stream);
    turn(&mut sink, |sink| sink.carrier.link.is_none()).unwrap();
    assert_eq!(sink.position().line, 2);
    // The next line opens another connection.
    send(&mut sink, 3);
    read_begins(&listener, 3);
}

fn read_begins(listener: &TcpListener, number: u32) {
    let (mut stream, _) = listener.accept().unwrap();
    let message = Syslog::new("h", 1).message(&sample::revision(number));
    assert_eq!(receive(&mut stream), message);
}

#[test]
fn a_connection_is_ended_when_it_is_idle_old_or_full() {
    for limits in [
        |limits: &mut Limits| limits.idle = Duration::ZERO,
        |limits: &mut Limits| limits.longest = Duration::ZERO,
        |limits: &mut Limits| limits.most_lines = 1,
    ] {
        let (listener, mut sink, _) = pair();
        limits(&mut sink.carrier.limits);
        send(&mut sink, 1);
        let (mut stream, _) = listener.accept().unwrap();
        sink.turn(Duration::ZERO).unwrap();
        read_all(&mut stream);
        drop(stream);
        turn(&mut sink, |sink| sink.position().line == 1).unwrap();
    }
}

#[test]
fn what_lies_further_back_than_a_kernel_holds_is_delivered() {
    let (listener, mut sink, syslog) = pair();
    let length = format!("{0} {1}", 0, syslog.message(&sample::revision(1))).len() as u64;
    sink.carrier.limits.held = 2 * length;
    for number in 1..=5 {
        send(&mut sink, number);
    }
    let (_stream, _) = listener.accept().unwrap();
    turn(&mut sink, is_acknowledged).unwrap();
    sink.turn(Duration::ZERO).unwrap();
    assert!((2..=3).contains(&sink.position().line), "{}", sink.position().line);
}

#[test]
fn a_receiver_that_dies_with_octets_unread_has_them_sent_again() {
    for is_ending in [false, true] {
        let (listener, mut sink, _) = pair();
        send(&mut sink, 1);
        turn(&mut sink, is_acknowledged).unwrap();
        if is_ending {
            sink.end();
            sink.turn(Duration::ZERO).unwrap();
        }
        // Half a message is read; the kernel answers for the rest with a reset.
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 20]).unwrap();
        drop(stream);
        let error = turn(&mut sink, |_| false).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(sink.position().line, 0);
        send(&mut sink, 1);
        read_begins(&listener, 1);
    }
}

#[test]
fn a_receiver_that_closes_first_has_everything_sent_again_that_was_under_way() {
    let (listener, mut sink, _) = pair();
    send(&mut sink, 1);
    turn(&mut sink, is_acknowledged).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    receive(&mut stream);
    drop(stream);
    let error = turn(&mut sink, |_| false).unwrap_err();
    assert_eq!(error.to_string(), "tcp: the receiver closed the connection");
    assert_eq!(sink.position().line, 0);
}

#[test]
fn a_receiver_that_never_reads_fills_a_bounded_buffer_and_moves_nothing() {
    let (listener, mut sink, _) = pair();
    let mut number = 0;
    while sink.has_room() {
        number += 1;
        send(&mut sink, number);
        sink.turn(Duration::ZERO).unwrap();
    }
    let (_stream, _) = listener.accept().unwrap();
    let link = sink.carrier.link.as_ref().unwrap();
    assert!(link.marks.len() <= MOST_LINES);
    assert!(link.stream.waiting() < WAITING + super::super::MESSAGE_LIMIT + 8);
    assert_eq!(sink.position().line, 0);
    // And it counts as gone once it has stood still for too long.
    sink.carrier.limits.stall = Duration::ZERO;
    let error = turn(&mut sink, |_| false).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn a_receiver_that_reads_and_never_closes_has_not_confirmed_anything() {
    let (listener, mut sink, _) = pair();
    send(&mut sink, 1);
    let (mut stream, _) = listener.accept().unwrap();
    sink.end();
    sink.carrier.limits.stall = Duration::from_millis(20);
    sink.turn(Duration::ZERO).unwrap();
    read_all(&mut stream);
    let error = turn(&mut sink, |_| false).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::TimedOut);
    assert_eq!(sink.position().line, 0);
    // It may only have been slow: the next connection carries fewer lines, and more again once one was ended in order.
    assert_eq!(sink.carrier.limits.most_lines, MOST_LINES / 4);
    drop(stream);
    send(&mut sink, 1);
    let (mut stream, _) = listener.accept().unwrap();
    sink.carrier.limits.stall = STALL_LIMIT;
    sink.end();
    sink.turn(Duration::ZERO).unwrap();
    read_all(&mut stream);
    drop(stream);
    turn(&mut sink, |sink| sink.position().line == 1).unwrap();
    assert_eq!(sink.carrier.limits.most_lines, MOST_LINES / 2);
}

#[test]
fn a_receiver_that_is_away_is_an_error() {
    let (listener, mut sink, _) = pair();
    drop(listener);
    let error = sink.deliver(1, &sample::revision(1)).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::ConnectionRefused);
    assert!(sink.has_room());
}

#[test]
fn what_a_receiver_says_is_dropped() {
    let (listener, mut sink, _) = pair();
    send(&mut sink, 1);
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(&[b'x'; 1000]).unwrap();
    sink.end();
    sink.turn(Duration::ZERO).unwrap();
    read_all(&mut stream);
    drop(stream);
    turn(&mut sink, |sink| sink.position().line == 1).unwrap();
}
