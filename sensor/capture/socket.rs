//! One UDP socket that mirrored traffic comes to, and the batches that it is read in. Nothing is ever sent.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in6_pktinfo, sock_filter, sock_fprog};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockFlag, SockType, SockaddrLike,
    SockaddrStorage, bind, getsockopt, recvmmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;

use super::device::Drops;
use super::live::now;
use super::outer;
use crate::model::{SECOND, Timestamp};

/// Datagrams that one call of the system gives at most.
pub(super) const BATCH: usize = 64;
/// Octets of a place: outer headers and the longest payload. The beginnings of places are not 64 KiB apart, or all of them
/// would share the few lines of a cache that such addresses have.
const PLACE: usize = 65_536 + 33 * 64;

/// A socket that is bound.
pub(super) struct Socket {
    descriptor: OwnedFd,
    local: SocketAddr,
    drops: Drops,
}

/// Whether a socket has its address to itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Binding fails where anybody else is.
    Alone,
    /// Others of this group are there.
    WithGroup,
}

impl Socket {
    /// Binds a socket with a buffer for about so many octets.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn bind(local: SocketAddr, sharing: Sharing, buffer: usize) -> nix::Result<Self> {
        let family = match local {
            SocketAddr::V4(_) => AddressFamily::Inet,
            SocketAddr::V6(_) => AddressFamily::Inet6,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let descriptor = socket(family, SockType::Datagram, flags, None)?;
        setsockopt(&descriptor, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&descriptor, sockopt::RxqOvfl, &1)?;
        if local.is_ipv6() {
            // What comes over IPv4 is for a URL of its own, so that both may be listened on side by side.
            setsockopt(&descriptor, sockopt::Ipv6V6Only, &true)?;
        }
        // Which of several addresses a datagram came to is only asked where there are several.
        if local.ip().is_unspecified() {
            match local {
                SocketAddr::V4(_) => setsockopt(&descriptor, sockopt::Ipv4PacketInfo, &true)?,
                SocketAddr::V6(_) => setsockopt(&descriptor, sockopt::Ipv6RecvPacketInfo, &true)?,
            }
        }
        // Beyond the limit of the system if that is allowed, else up to it.
        setsockopt(&descriptor, sockopt::RcvBufForce, &buffer)
            .or_else(|_| setsockopt(&descriptor, sockopt::RcvBuf, &buffer))?;
        if sharing == Sharing::WithGroup {
            setsockopt(&descriptor, sockopt::ReusePort, &true)?;
        }
        bind(descriptor.as_raw_fd(), &SockaddrStorage::from(local))?;
        Ok(Self {
            descriptor,
            local,
            drops: Drops::default(),
        })
    }

    /// Lets further sockets of this process bind the same address.
    pub(super) fn share(&self) -> nix::Result<()> {
        setsockopt(&self.descriptor, sockopt::ReusePort, &true)
    }

    /// Gives all sockets of the address the program that chooses among them.
    pub(super) fn steer(&self, program: &mut [sock_filter]) -> nix::Result<()> {
        let program = sock_fprog {
            len: u16::try_from(program.len()).map_err(|_| Errno::EINVAL)?,
            filter: program.as_mut_ptr(),
        };
        setsockopt(&self.descriptor, sockopt::AttachReusePortCbpf, &program)
    }

    /// Returns how many octets the buffer was given, as they were asked for: the kernel doubles them for its own needs.
    pub(super) fn buffer(&self) -> usize {
        getsockopt(&self.descriptor, sockopt::RcvBuf).map_or(0, |doubled| doubled / 2)
    }

    /// Returns how many datagrams the kernel had dropped when it took the latest one that was read.
    pub(super) const fn drops(&self) -> u64 {
        self.drops.total()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// What is known of a datagram beside its octets.
#[derive(Clone, Copy)]
struct Datagram {
    time: Timestamp,
    from: SocketAddr,
    to: SocketAddr,
    payload: usize,
    /// Where its outer headers begin in its place.
    start: usize,
}

/// Datagrams of one socket as frames of raw IP, in the order in which they came.
///
/// It belongs to the thread that made it; a socket may go to another and be read into a batch of that one's.
pub(super) struct Batch {
    headers: MultiHeaders<SockaddrStorage>,
    octets: Box<[u8]>,
    datagrams: Vec<Datagram>,
    given: usize,
}

impl Batch {
    /// Makes room for a batch, some 4 MiB, of which memory is used as far as datagrams are long.
    pub(super) fn new() -> Self {
        Self {
            headers: headers(),
            octets: vec![0; PLACE * BATCH].into_boxed_slice(),
            datagrams: Vec::with_capacity(BATCH),
            given: 0,
        }
    }

    /// Says whether the last read gave as much as there is room for, so that there may be more.
    pub(super) fn is_full(&self) -> bool {
        self.datagrams.len() == BATCH
    }

    /// Returns the time of the next frame.
    #[inline]
    pub(super) fn next_time(&self) -> Option<Timestamp> {
        self.datagrams.get(self.given).map(|datagram| datagram.time)
    }

    /// Gives the next frame.
    #[inline]
    pub(super) fn next(&mut self) -> Option<(Timestamp, &[u8])> {
        let datagram = self.datagrams.get(self.given)?;
        let place = self.given * PLACE;
        let end = place + outer::ROOM + datagram.payload;
        self.given += 1;
        Some((datagram.time, self.octets.get(place + datagram.start..end)?))
    }

    /// Reads what has come to a socket, at most 64 datagrams, in place of those that were read before; does not wait.
    ///
    /// # Errors
    ///
    /// What the system says, but for what passes: errors that others caused, such as by ICMP, and a lack of memory.
    pub(super) fn read(&mut self, socket: &mut Socket) -> io::Result<()> {
        if !self.datagrams.is_empty() {
            // What was used has no more room than it was used for, and with the first drop the kernel has more to say.
            self.headers = headers();
            self.datagrams.clear();
        }
        self.given = 0;
        let mut places = self.octets.chunks_exact_mut(PLACE);
        let mut payloads: [[IoSliceMut<'_>; 1]; BATCH] = std::array::from_fn(|_| {
            let place = places.next().and_then(|place| place.get_mut(outer::ROOM..));
            [IoSliceMut::new(place.unwrap_or_default())]
        });
        let descriptor = socket.descriptor.as_raw_fd();
        let received = recvmmsg(
            descriptor,
            &mut self.headers,
            payloads.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        );
        let messages = match received {
            Ok(messages) => messages,
            Err(errno) if is_passing(errno) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        for message in messages {
            self.datagrams.push(told(&message, socket));
        }
        for (datagram, place) in self.datagrams.iter_mut().zip(self.octets.chunks_exact_mut(PLACE)) {
            if let Some(room) = place.first_chunk_mut() {
                datagram.start = outer::write(room, datagram.from, datagram.to, datagram.payload);
            }
        }
        Ok(())
    }
}

/// Returns what the kernel is to fill in, with room for everything it may say: time, drops and the address it came to.
fn headers() -> MultiHeaders<SockaddrStorage> {
    MultiHeaders::preallocate(BATCH, Some(cmsg_space!(TimeSpec, u32, in6_pktinfo)))
}

/// Returns what the kernel says of a datagram.
#[inline]
fn told(message: &RecvMsg<'_, '_, SockaddrStorage>, socket: &mut Socket) -> Datagram {
    let mut time = None;
    let mut to = socket.local;
    for one in message.cmsgs().into_iter().flatten() {
        match one {
            ControlMessageOwned::ScmTimestampns(stamp) => time = Some(time_of(stamp)),
            ControlMessageOwned::RxqOvfl(drops) => socket.drops.advance(drops),
            ControlMessageOwned::Ipv4PacketInfo(info) => to.set_ip(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes())),
            ControlMessageOwned::Ipv6PacketInfo(info) => to.set_ip(IpAddr::from(info.ipi6_addr.s6_addr)),
            _ => {}
        }
    }
    Datagram {
        time: time.unwrap_or_else(now),
        from: message.address.as_ref().and_then(peer).unwrap_or(socket.local),
        to,
        payload: message.bytes,
        start: 0,
    }
}

fn time_of(stamp: TimeSpec) -> Timestamp {
    Timestamp(stamp.tv_sec().saturating_mul(SECOND).saturating_add(stamp.tv_nsec()))
}

fn peer(address: &SockaddrStorage) -> Option<SocketAddr> {
    match address.family()? {
        AddressFamily::Inet => Some(SocketAddr::V4((*address.as_sockaddr_in()?).into())),
        AddressFamily::Inet6 => Some(SocketAddr::V6((*address.as_sockaddr_in6()?).into())),
        _ => None,
    }
}

/// Says whether the next call may do better: nothing is there, a signal came, somebody answered with ICMP, or the system
/// is short of memory.
const fn is_passing(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EAGAIN
            | Errno::EINTR
            | Errno::ECONNREFUSED
            | Errno::ECONNRESET
            | Errno::EHOSTUNREACH
            | Errno::EHOSTDOWN
            | Errno::ENETUNREACH
            | Errno::ENETDOWN
            | Errno::EMSGSIZE
            | Errno::EPROTO
            | Errno::ENOPROTOOPT
            | Errno::EACCES
            | Errno::EPERM
            | Errno::EOPNOTSUPP
            | Errno::ENOMEM
            | Errno::ENOBUFS
    )
}
