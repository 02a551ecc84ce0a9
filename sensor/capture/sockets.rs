//! Mirrored traffic on UDP sockets: a group of them on each address, read by one thread in the order of their times.
//!
//! The kernel steers what comes to an address over its group, so that each socket may be read by a thread of its own. As
//! long as it is one thread that reads all of them, it gives what an interface would give: frames ordered by time.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smallvec::SmallVec;

use super::error::CaptureError;
use super::live::{BATCH, Polled, WAIT, now};
use super::socket::{Batch, Sharing, Socket};
use super::steering;
use crate::model::{Frame, LinkType, Listen, SECOND, SourceId, Span, Timestamp};

/// How long after its time the kernel may put a datagram into a socket, since a queue of its own lies between. What is
/// younger waits for what another socket may still get.
const LATE: Span = Span::millis(1);
/// How much older than now the end of a quiet stretch is said to be: as much, and a pause of a busy system.
const QUIET: Span = Span::millis(20);
/// The longest time in which datagrams are let come together: to be woken for each of them costs several times what it
/// takes to read it.
const LONGEST_PAUSE: Span = Span::millis(1);
/// What arrives in a second on a link of 10 Gbit/s, in octets; a pause lasts a quarter of what a buffer holds of that.
const ARRIVING: i64 = 1_250_000_000;
/// With fewer frames than this there is no haste.
const FEW: usize = 64;
/// A time that is further ahead than this was given before the system's clock went back, and is not waited for.
const FARTHEST_AHEAD: Span = Span::seconds(1);

/// Sockets, and what was read from each.
pub(super) struct Sockets {
    lanes: Vec<Lane>,
    source: SourceId,
    names: String,
    pause: Timespec,
    /// Whether there were few frames lately.
    was_sparse: bool,
}

/// One socket and what was read from it.
struct Lane {
    socket: Socket,
    batch: Batch,
    /// Whether the socket was read to its end since the call began.
    is_drained: bool,
}

impl Sockets {
    /// Binds `each` sockets to every address.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Listen`] with the first address that cannot be had.
    pub(super) fn open(
        listens: &[Listen],
        each: usize,
        source: SourceId,
        ring_octets: u32,
    ) -> Result<Self, CaptureError> {
        let each = each.max(1);
        let share = usize::try_from(ring_octets).unwrap_or(usize::MAX) / (each * listens.len()).max(1);
        let mut lanes = Vec::with_capacity(each * listens.len());
        for listen in listens {
            let group = open_group(listen, each, share).map_err(|errno| CaptureError::listen(listen, errno.into()))?;
            lanes.extend(group.into_iter().map(|socket| Lane {
                socket,
                batch: Batch::new(),
                is_drained: false,
            }));
        }
        let least = lanes.iter().map(|lane| lane.socket.buffer()).min().unwrap_or_default();
        let names: Vec<String> = listens.iter().map(|listen| listen.url.to_string()).collect();
        Ok(Self {
            lanes,
            source,
            names: names.join(", "),
            pause: pause(least),
            was_sparse: true,
        })
    }

    /// As [`Live::poll`](super::Live::poll).
    pub(super) fn poll(&mut self, each: &mut dyn FnMut(Frame<'_>)) -> Result<Polled, CaptureError> {
        loop {
            if self.was_sparse {
                if !self.has_more() && !self.wait(&mut self.readable(), &WAIT)? {
                    return Ok(Polled {
                        frames: 0,
                        is_down: false,
                    });
                }
                self.wait(&mut [], &self.pause)?;
            }
            let frames = self.take(each)?;
            self.was_sparse = frames < FEW;
            // What was read and is too young will not stay so for long.
            if frames > 0 || !self.has_more() {
                return Ok(Polled { frames, is_down: false });
            }
        }
    }

    /// Hands over what came until a millisecond before this call, the earliest first, whichever socket it came to.
    fn take(&mut self, each: &mut dyn FnMut(Frame<'_>)) -> Result<usize, CaptureError> {
        let horizon = now().minus(LATE);
        for lane in &mut self.lanes {
            lane.is_drained = false;
            lane.refill(&self.names)?;
        }
        let mut frames = 0;
        while frames < BATCH {
            let Some((first, until)) = self.earliest(horizon) else {
                break;
            };
            let Some(lane) = self.lanes.get_mut(first) else { break };
            while lane.batch.next_time().is_some_and(|time| time <= until)
                && let Some((time, octets)) = lane.batch.next()
            {
                frames += 1;
                each(Frame {
                    time,
                    source: self.source,
                    link: LinkType::Raw,
                    octets,
                });
            }
            lane.refill(&self.names)?;
        }
        Ok(frames)
    }

    /// Returns the socket with the earliest frame up to a horizon, and until when it has the earliest ones.
    fn earliest(&self, horizon: Timestamp) -> Option<(usize, Timestamp)> {
        let mut first: Option<(usize, Timestamp)> = None;
        let mut until = horizon;
        for (position, lane) in self.lanes.iter().enumerate() {
            let Some(time) = lane.batch.next_time() else { continue };
            if time > horizon.plus(FARTHEST_AHEAD) {
                return Some((position, time));
            }
            match first {
                _ if time > horizon => {}
                Some((_, earliest)) if earliest <= time => until = until.min(time),
                Some((_, earliest)) => {
                    until = until.min(earliest);
                    first = Some((position, time));
                }
                None => first = Some((position, time)),
            }
        }
        first.map(|(position, _)| (position, until))
    }

    /// Says whether anything was read and not yet handed over.
    fn has_more(&self) -> bool {
        self.lanes.iter().any(|lane| lane.batch.next_time().is_some())
    }

    fn readable(&self) -> SmallVec<[PollFd<'_>; 16]> {
        let sockets = self.lanes.iter().map(|lane| &lane.socket);
        sockets.map(|socket| PollFd::new(socket, PollFlags::IN)).collect()
    }

    /// Waits until something can be read; `false` if it did not come to that.
    fn wait(&self, descriptors: &mut [PollFd<'_>], longest: &Timespec) -> Result<bool, CaptureError> {
        match poll(descriptors, Some(longest)) {
            Ok(ready) => Ok(ready > 0),
            // A signal is its handler's business; the caller looks at its stop flag after this call anyway.
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(errno) => Err(CaptureError::Wait {
                interface: self.names.clone(),
                source: errno.into(),
            }),
        }
    }

    /// As [`Live::quiet_until`](super::Live::quiet_until).
    pub(super) fn quiet_until(&self) -> Timestamp {
        now().minus(QUIET)
    }

    /// As [`Live::drops`](super::Live::drops).
    pub(super) fn drops(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.socket.drops()).sum()
    }
}

impl Lane {
    /// Reads on where everything that was read before is handed over, unless the socket has no more.
    fn refill(&mut self, names: &str) -> Result<(), CaptureError> {
        if self.is_drained || self.batch.next_time().is_some() {
            return Ok(());
        }
        let read = self.batch.read(&mut self.socket);
        self.is_drained = !self.batch.is_full();
        read.map_err(|source| CaptureError::Receive {
            addresses: names.to_owned(),
            source,
        })
    }
}

/// Returns how long datagrams are let come together in buffers of so many octets.
fn pause(buffer: usize) -> Timespec {
    let octets = i64::try_from(buffer)
        .unwrap_or(i64::MAX / SECOND)
        .min(i64::MAX / SECOND);
    let quarter = octets * SECOND / ARRIVING / 4;
    Timespec {
        tv_sec: 0,
        tv_nsec: quarter.min(LONGEST_PAUSE.0),
    }
}

/// Binds the sockets of one address and gives them the program that chooses among them.
///
/// The first one takes the address for itself: two sensors, of which each sees a part of the traffic, would be taken for
/// one that works. Only then is it opened to the others.
fn open_group(listen: &Listen, each: usize, buffer: usize) -> nix::Result<Vec<Socket>> {
    let address = listen.address();
    let first = Socket::bind(address, Sharing::Alone, buffer)?;
    let given = first.buffer();
    if given < buffer {
        let [given, wanted] = [given, buffer].map(|octets| bytesize::ByteSize::b(octets as u64).display().iec());
        tracing::warn!(
            "{}: the kernel gives a socket {given} of the {wanted} that [capture] ring asks for; \
             sysctl net.core.rmem_max={buffer} allows them",
            listen.url
        );
    }
    let mut sockets = vec![first];
    if let (2.., Some(first)) = (each, sockets.first()) {
        first.share()?;
    }
    for _ in 1..each {
        sockets.push(Socket::bind(address, Sharing::WithGroup, buffer)?);
    }
    if let (2.., Some(first)) = (each, sockets.first()) {
        let number = u32::try_from(each).unwrap_or(u32::MAX);
        first.steer(&mut steering::in_udp(listen.envelope, number))?;
    }
    Ok(sockets)
}

#[cfg(test)]
#[path = "sockets_tests.rs"]
mod tests;
