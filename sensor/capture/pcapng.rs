//! Pcapng files: several sections, interfaces that differ, either byte order, from anything that can be read.
//!
//! Format: draft-ietf-opsawg-pcapng. libpcap reads no file whose interfaces differ in link type or snap length, which is
//! what every capture on several interfaces looks like; a test holds both equal where it does. Names, statistics,
//! comments and every block not known are skipped; so is the length of a section, which writers leave out.

use std::io::Read;

use super::classic::LONGEST;
use super::error::Fault;
use super::input::{Captured, Input, Order};
use super::interface::Interface;
use crate::model::{LinkType, Timestamp};

/// What every pcapng file begins with: the type of a section header block, the same in either byte order.
pub(super) const MAGIC: [u8; 4] = SECTION.to_be_bytes();
/// The type of a section header block, section 4.1.
const SECTION: u32 = 0x0a0d_0d0a;
/// The type of an interface description block, section 4.2.
const INTERFACE: u32 = 1;
/// The type of a packet block, appendix A: obsolete, still met.
const OBSOLETE: u32 = 2;
/// The type of a simple packet block, section 4.4.
const SIMPLE: u32 = 3;
/// The type of an enhanced packet block, section 4.3.
const ENHANCED: u32 = 6;

/// Octets before a block's body: type and length.
const HEAD: usize = 8;
/// Octets behind a block's body: the length again.
const TAIL: usize = 4;
/// The longest block that is read; libpcap's limit.
const LONGEST_BLOCK: usize = 16 << 20;
/// The most interfaces of one section: as many as a packet block could name.
const INTERFACES: usize = 1 << 16;

/// A pcapng file.
pub(super) struct Pcapng<R> {
    /// What is left of the file, at the start of a block.
    pub input: Input<R>,
    order: Order,
    /// Those of the current section.
    interfaces: Vec<Interface>,
    /// The time of the last frame that had one.
    time: Timestamp,
}

/// A block that is held whole.
#[derive(Debug, Clone, Copy)]
struct Block {
    kind: u32,
    /// Octets from its type to its second length.
    length: usize,
}

/// What a packet block says about its frame.
struct About {
    time: Timestamp,
    link: LinkType,
    /// Octets of the block before the frame.
    before: usize,
    /// Octets of the frame.
    length: usize,
}

impl<R: Read> Pcapng<R> {
    /// Returns a reader of a file that begins with [`MAGIC`], once its first frame, its end or damage is met.
    ///
    /// Damage behind the first interface is left to [`Self::next`].
    ///
    /// # Errors
    ///
    /// [`Fault`]; [`Fault::Link`] when the link type of the first frame is not supported.
    pub(super) fn open(input: Input<R>) -> Result<Self, Fault> {
        let mut file = Self {
            input,
            order: Order::Little,
            interfaces: Vec::new(),
            time: Timestamp(0),
        };
        let first = file.seek();
        let first = first.and_then(|block| block.map(|block| file.about(block)).transpose());
        match first {
            Err(fault @ (Fault::Link(..) | Fault::Read(..))) => Err(fault),
            Err(fault) if file.interfaces.is_empty() => Err(fault),
            _ => Ok(file),
        }
    }

    /// Returns the next frame's time, link type and octets, or `None` at the end of the file.
    ///
    /// A frame without a time, of a simple packet block, has that of the frame before it, the first one 1970.
    ///
    /// # Errors
    ///
    /// [`Fault`]; after one the file cannot be read on. [`Fault::Link`] when the frame comes from an interface whose
    /// link type is not supported; such an interface without frames does no harm.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Captured<'_>>, Fault> {
        let Some(block) = self.seek()? else {
            return Ok(None);
        };
        let about = self.about(block)?;
        self.time = about.time;
        let whole = self.input.advance(block.length);
        let octets = whole.get(about.before..about.before + about.length);
        Ok(Some((about.time, about.link, octets.unwrap_or_default())))
    }

    /// Takes all blocks before the next packet block, which is left; `None` at the end of the file.
    #[inline]
    fn seek(&mut self) -> Result<Option<Block>, Fault> {
        loop {
            if !self.input.fill(HEAD)? {
                return match self.input.is_spent() {
                    true => Ok(None),
                    false => Err(Fault::Cut),
                };
            }
            let block = self.block()?;
            match block.kind {
                ENHANCED | SIMPLE | OBSOLETE => return Ok(Some(block)),
                SECTION => self.section(block)?,
                INTERFACE => self.interface(block)?,
                _ => {}
            }
            self.input.advance(block.length);
        }
    }

    /// Reads the next block, whose head is held, and checks its lengths.
    #[inline]
    fn block(&mut self) -> Result<Block, Fault> {
        let Some(&[a, b, c, d, l, m, n, o]) = self.input.held().first_chunk::<HEAD>() else {
            return Err(Fault::Cut);
        };
        if [a, b, c, d] == MAGIC {
            self.order = self.section_order()?;
        }
        let kind = self.order.word([a, b, c, d]);
        let length = usize::try_from(self.order.word([l, m, n, o])).unwrap_or(usize::MAX);
        if !(HEAD + TAIL..=LONGEST_BLOCK).contains(&length) || !length.is_multiple_of(4) {
            return Err(Fault::Damaged(format!("its block claims {length} octets")));
        }
        if !self.input.fill(length)? {
            return Err(Fault::Cut);
        }
        let whole = self.input.held().get(..length).unwrap_or_default();
        match whole.last_chunk::<TAIL>() {
            Some(&tail) if tail == [l, m, n, o] => Ok(Block { kind, length }),
            _ => Err(Fault::Damaged("the two lengths of its block differ".to_owned())),
        }
    }

    /// Returns what is between a block's head and tail.
    fn body(&self, block: Block) -> &[u8] {
        self.input.held().get(HEAD..block.length - TAIL).unwrap_or_default()
    }

    /// Returns the byte order of the section that begins here.
    fn section_order(&mut self) -> Result<Order, Fault> {
        if !self.input.fill(HEAD + 4)? {
            return Err(Fault::Cut);
        }
        match self.input.held().get(HEAD..HEAD + 4) {
            Some([0x1a, 0x2b, 0x3c, 0x4d]) => Ok(Order::Big),
            Some([0x4d, 0x3c, 0x2b, 0x1a]) => Ok(Order::Little),
            _ => Err(Fault::Damaged("its section has no byte order".to_owned())),
        }
    }

    /// Begins a section, section 4.1: interfaces are numbered anew.
    fn section(&mut self, block: Block) -> Result<(), Fault> {
        let Some(&[_, _, _, _, a, b, c, d, _, _, _, _, _, _, _, _]) = self.body(block).first_chunk::<16>() else {
            return Err(Fault::short("section header"));
        };
        // Some writers call the only version 1.2.
        match (self.order.half([a, b]), self.order.half([c, d])) {
            (1, 0 | 2) => {}
            (major, minor) => return Err(Fault::Damaged(format!("its section is of version {major}.{minor}"))),
        }
        self.interfaces.clear();
        Ok(())
    }

    /// Adds an interface, section 4.2.
    fn interface(&mut self, block: Block) -> Result<(), Fault> {
        if self.interfaces.len() == INTERFACES {
            return Err(Fault::Damaged(format!("its section has over {INTERFACES} interfaces")));
        }
        let interface = Interface::parse(self.body(block), self.order)?;
        self.interfaces.push(interface);
        Ok(())
    }

    /// Reads the head of a packet block.
    #[inline]
    fn about(&self, block: Block) -> Result<About, Fault> {
        let body = self.body(block);
        let order = self.order;
        let (number, ticks, length, header) = if block.kind == SIMPLE {
            let Some(&length) = body.first_chunk::<4>() else {
                return Err(Fault::short("simple packet"));
            };
            (0, None, order.word(length), 4)
        } else {
            let Some(header) = body.first_chunk::<20>() else {
                return Err(Fault::short("packet"));
            };
            let [a, b, c, d, h, i, j, k, l, m, n, o, s, t, u, v, _, _, _, _] = *header;
            let number = match block.kind {
                OBSOLETE => u32::from(order.half([a, b])),
                _ => order.word([a, b, c, d]),
            };
            let ticks = u64::from(order.word([h, i, j, k])) << 32 | u64::from(order.word([l, m, n, o]));
            (number, Some(ticks), order.word([s, t, u, v]), 20)
        };
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(interface) = self.interfaces.get(place) else {
            return Err(Fault::Damaged(format!("its section has no interface {number}")));
        };
        let link = interface.link.map_err(Fault::Link)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let length = match ticks {
            // A simple packet block has only the length on the wire.
            None => length.min(interface.snap),
            Some(_) => length,
        };
        if length > LONGEST || length > body.len() - header {
            return Err(Fault::long(length));
        }
        Ok(About {
            time: ticks.map_or(self.time, |ticks| interface.time(ticks)),
            link,
            before: HEAD + header,
            length,
        })
    }
}

#[cfg(test)]
#[path = "pcapng_tests.rs"]
mod tests;
