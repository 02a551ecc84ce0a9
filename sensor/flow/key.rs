//! The five-tuple of a flow within its segment, the same for both directions.

use std::hash::{Hash, Hasher};

use crate::model::{Address, Endpoint, Packet, Segment, Transport};

/// Which end of a flow; the lower endpoint comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The endpoint with the lower address, then the lower port.
    Low,
    /// The other one.
    High,
}

impl Side {
    /// Returns the opposite side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

/// Two values, one for each side of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sides<T> {
    /// For the lower endpoint.
    pub low: T,
    /// For the higher endpoint.
    pub high: T,
}

impl<T> Sides<T> {
    /// Returns the value of one side.
    #[must_use]
    pub const fn of(&self, side: Side) -> &T {
        match side {
            Side::Low => &self.low,
            Side::High => &self.high,
        }
    }

    /// Returns the value of one side, to change it.
    pub const fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Low => &mut self.low,
            Side::High => &mut self.high,
        }
    }
}

/// A five-tuple in one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowKey {
    low: Address,
    high: Address,
    low_port: u16,
    high_port: u16,
    segment: Segment,
    transport: Transport,
}

impl FlowKey {
    /// Returns a packet's flow and the side that sent the packet.
    #[must_use]
    pub fn of(packet: &Packet) -> (Self, Side) {
        let is_low = (packet.from, packet.from_port) <= (packet.to, packet.to_port);
        let (low, low_port, high, high_port) = if is_low {
            (packet.from, packet.from_port, packet.to, packet.to_port)
        } else {
            (packet.to, packet.to_port, packet.from, packet.from_port)
        };
        let key = Self {
            low,
            high,
            low_port,
            high_port,
            segment: packet.segment,
            transport: packet.transport(),
        };
        (key, if is_low { Side::Low } else { Side::High })
    }

    /// Returns the flow between two endpoints and the side of the first.
    #[must_use]
    pub fn between(segment: Segment, transport: Transport, from: Endpoint, to: Endpoint) -> (Self, Side) {
        let (side, low, high) = if from <= to {
            (Side::Low, from, to)
        } else {
            (Side::High, to, from)
        };
        let key = Self {
            low: low.ip,
            high: high.ip,
            low_port: low.port,
            high_port: high.port,
            segment,
            transport,
        };
        (key, side)
    }

    /// Returns the endpoint of one side.
    #[must_use]
    pub const fn endpoint(&self, side: Side) -> Endpoint {
        match side {
            Side::Low => Endpoint {
                ip: self.low,
                port: self.low_port,
            },
            Side::High => Endpoint {
                ip: self.high,
                port: self.high_port,
            },
        }
    }

    /// Returns all that the key says, for hashes that stand for it.
    #[must_use]
    pub(super) const fn words(&self) -> [u64; 6] {
        let (low_high, low_low) = self.low.halves();
        let (high_high, high_low) = self.high.halves();
        let ports = (self.low_port as u64) << 16 | self.high_port as u64;
        let space = (self.segment.number() as u64) << 8 | self.transport.number() as u64;
        [low_high, low_low, high_high, high_low, ports, space]
    }

    /// Returns the address space.
    #[must_use]
    pub const fn segment(&self) -> Segment {
        self.segment
    }

    /// Returns the transport.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }
}

/// Feeds whole words to the hasher, which is most of what a look-up costs.
impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (low_high, low_low) = self.low.halves();
        let (high_high, high_low) = self.high.halves();
        // The upper halves of IPv4 are zero: folding them into the rest saves two rounds.
        state.write_u64(low_low ^ low_high.rotate_left(32));
        state.write_u64(high_low ^ high_high.rotate_left(32));
        state.write_u64(
            u64::from(self.segment.number()) << 32
                ^ u64::from(self.transport.number()) << 56
                ^ u64::from(self.low_port) << 16
                ^ u64::from(self.high_port),
        );
    }
}
