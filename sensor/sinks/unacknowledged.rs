//! How much of what was written to a TCP socket the receiver's kernel has not acknowledged.
//!
//! The one place of this package with unsafe code: the call is an `ioctl` (tcp(7), `SIOCOUTQ`), for which no crate that
//! is used here has a safe function.

use std::io;
use std::net::TcpStream;

use nix::libc::{TIOCOUTQ, c_int};
use rustix::ioctl::{Getter, Opcode, ioctl};

/// `SIOCOUTQ` has the number of `TIOCOUTQ` (linux/sockios.h).
const SIOCOUTQ: Opcode = TIOCOUTQ as Opcode;

/// Returns how many octets that the kernel took from us the receiver has not acknowledged; an end that was sent counts
/// as one more.
///
/// # Errors
///
/// When the system refuses the call, as it does for what is no connected socket.
#[expect(
    unsafe_code,
    reason = "an ioctl that no crate wraps; what it needs is said beside it"
)]
pub(super) fn unacknowledged(socket: &TcpStream) -> io::Result<u64> {
    // SAFETY: SIOCOUTQ takes a pointer to one `int`, writes that and reads nothing (tcp(7)), which is what a `Getter` of
    // a `c_int` is for. The socket is open for the time of the call, as it is borrowed.
    let octets = unsafe { ioctl(socket, Getter::<SIOCOUTQ, c_int>::new()) }?;
    Ok(u64::try_from(octets).unwrap_or(0))
}
