//! What the way inwards is made of: what comes next, what was gathered so far, and its ends (rules W2 and S2).

use super::decode::{Decoded, Envelopes, Stop};
use super::erspan::{Erspan, Mirrored};
use super::gre::Gre;
use super::ip::{Ip, protocol};
use super::udp::Udp;
use super::{erspan, ethernet, geneve, gre, llc, mpls, ppp, pppoe, sll, tcp, vlan, vxlan};
use crate::model::{Ignored, Layer, Layer4, MacAddress, Malformed};

/// How deep envelopes may be nested (rule W2); deeper ones are made to waste time, not to mirror traffic.
const DEPTH: u8 = 8;

/// What comes next on the way inwards: octets that begin as their EtherType says.
#[derive(Clone, Copy)]
pub(super) struct Inside<'a> {
    pub ethertype: u16,
    pub octets: &'a [u8],
}

impl<'a> Inside<'a> {
    #[inline]
    pub(super) const fn new(ethertype: u16, octets: &'a [u8]) -> Self {
        Self { ethertype, octets }
    }

    /// Returns an IP packet without anything that says which version it has.
    pub(super) fn ip(octets: &'a [u8]) -> Result<Self, Malformed> {
        match octets.first().map(|first| first >> 4) {
            Some(4) => Ok(Self::new(ethernet::IPV4, octets)),
            Some(6) => Ok(Self::new(ethernet::IPV6, octets)),
            Some(_) => Err(Malformed::field(Layer::Ipv4, "version")),
            None => Err(Malformed::short(Layer::Ipv4, 1, 0)),
        }
    }

    /// Returns what a header announced, or the reason if it announced nothing that is read.
    pub(super) fn known((ethertype, octets): (Option<u16>, &'a [u8]), reason: Ignored) -> Result<Self, Ignored> {
        match ethertype {
            Some(ethertype) => Ok(Self::new(ethertype, octets)),
            None => Err(reason),
        }
    }

    /// Takes a PPPoE header and the PPP header behind it.
    pub(super) fn pppoe(octets: &'a [u8]) -> Result<Self, Stop> {
        match pppoe::parse(octets)? {
            Some(frame) => Ok(Self::known(ppp::parse(frame)?, Ignored::Ppp)?),
            None => Err(Ignored::Ppp.into()),
        }
    }
}

/// What was gathered on the way inwards.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Way<'a> {
    pub depth: u8,
    pub from_mac: Option<MacAddress>,
    pub envelopes: Envelopes<'a>,
}

impl<'a> Way<'a> {
    /// Counts one more envelope.
    #[inline]
    const fn enter(&mut self) -> Result<(), Ignored> {
        self.depth += 1;
        match self.depth {
            ..=DEPTH => Ok(()),
            _ => Err(Ignored::TooDeep),
        }
    }

    /// Takes an Ethernet header.
    #[inline]
    pub(super) fn ethernet(&mut self, octets: &'a [u8]) -> Result<Inside<'a>, Malformed> {
        let header = ethernet::parse(octets)?;
        self.from_mac = Some(header.from);
        Ok(Inside::new(header.ethertype, header.payload))
    }

    /// Takes a Linux cooked header.
    pub(super) fn cooked(&mut self, header: sll::Cooked<'a>) -> Result<Inside<'a>, Ignored> {
        self.from_mac = header.from;
        Inside::known((header.ethertype, header.payload), Ignored::NotIp)
    }

    /// Takes whatever else than IP and VLAN tags a link carries.
    pub(super) fn link(&mut self, inside: Inside<'a>) -> Result<Inside<'a>, Stop> {
        match inside.ethertype {
            ..=ethernet::LONGEST_LENGTH => Ok(Inside::known(llc::parse(inside.octets)?, Ignored::NotIp)?),
            ethernet::MPLS | ethernet::MPLS_MULTICAST => self.mpls(inside.octets),
            ethernet::PPPOE => {
                self.enter()?;
                Inside::pppoe(inside.octets)
            }
            ethernet::PPPOE_DISCOVERY => Err(Ignored::Ppp.into()),
            ethernet::MACSEC => Err(Ignored::Macsec.into()),
            _ => Err(Ignored::NotIp.into()),
        }
    }

    /// Takes a VLAN tag.
    #[inline]
    pub(super) fn tag(&mut self, octets: &'a [u8]) -> Result<Inside<'a>, Stop> {
        self.enter()?;
        let tag = vlan::parse(octets)?;
        self.envelopes.vlan = self.envelopes.vlan.or(tag.vlan);
        Ok(Inside::new(tag.ethertype, tag.payload))
    }

    /// Takes a stack of MPLS labels, which is one envelope however high it is.
    fn mpls(&mut self, octets: &'a [u8]) -> Result<Inside<'a>, Stop> {
        self.enter()?;
        match mpls::parse(octets)? {
            (mpls::Carried::Ip, packet) => Ok(Inside::ip(packet)?),
            (mpls::Carried::Ethernet, frame) => Ok(self.ethernet(frame)?),
            (mpls::Carried::Channel, _) => Err(Ignored::Mpls.into()),
        }
    }

    /// Takes an IP packet that carries an envelope. What its link said of hardware addresses is not the inside's.
    #[inline]
    fn carried(&mut self, packet: &'a [u8]) -> Result<(), Ignored> {
        self.enter()?;
        self.from_mac = None;
        self.envelopes.is_carried_twice = self.envelopes.carrier.is_some();
        self.envelopes.carrier = self.envelopes.carrier.or(Some(packet));
        Ok(())
    }

    /// Takes an IP packet that carries neither TCP nor UDP.
    pub(super) fn tunnel(&mut self, packet: &'a [u8], ip: &Ip<'a>) -> Result<Inside<'a>, Stop> {
        match ip.protocol {
            protocol::IPV4 => {
                self.carried(packet)?;
                Ok(Inside::new(ethernet::IPV4, ip.payload))
            }
            protocol::IPV6 => {
                self.carried(packet)?;
                Ok(Inside::new(ethernet::IPV6, ip.payload))
            }
            protocol::GRE => {
                self.carried(packet)?;
                match gre::parse(ip.payload)? {
                    Some(gre) => self.gre(&gre),
                    None => Err(Ignored::Gre.into()),
                }
            }
            other => Err(uncarried(other).into()),
        }
    }

    /// Takes what a GRE header announces.
    fn gre(&mut self, gre: &Gre<'a>) -> Result<Inside<'a>, Stop> {
        self.envelopes.key = self.envelopes.key.or(gre.key);
        match (gre.protocol, gre.sequence) {
            (gre::PPP, _) => Ok(Inside::known(ppp::parse(gre.payload)?, Ignored::Ppp)?),
            (gre::ERSPAN, None) => Ok(self.ethernet(gre.payload)?),
            (gre::ERSPAN | gre::ERSPAN_III, _) => match erspan::parse(gre.payload)? {
                Some(erspan) => self.erspan(&erspan),
                None => Err(Ignored::Erspan.into()),
            },
            (protocol, _) => self.announced(protocol, gre.payload, Ignored::Gre),
        }
    }

    /// Takes what an ERSPAN header announces.
    fn erspan(&mut self, erspan: &Erspan<'a>) -> Result<Inside<'a>, Stop> {
        self.envelopes.key = self.envelopes.key.or(Some(erspan.session));
        match erspan.mirrored {
            Mirrored::Ethernet => Ok(self.ethernet(erspan.payload)?),
            Mirrored::Ip => Ok(Inside::ip(erspan.payload)?),
            Mirrored::Other => Err(Ignored::Erspan.into()),
        }
    }

    /// Takes what an envelope announces by a protocol type: an EtherType of what is read, or a bridged frame.
    fn announced(&mut self, protocol: u16, octets: &'a [u8], reason: Ignored) -> Result<Inside<'a>, Stop> {
        match protocol {
            gre::BRIDGED => Ok(self.ethernet(octets)?),
            ethernet::IPV4 | ethernet::IPV6 | ethernet::MPLS | ethernet::MPLS_MULTICAST => {
                Ok(Inside::new(protocol, octets))
            }
            tag if vlan::is_tag(tag) => Ok(Inside::new(tag, octets)),
            _ => Err(reason.into()),
        }
    }

    /// Takes a VXLAN header.
    #[inline]
    pub(super) fn vxlan(&mut self, packet: &'a [u8], udp: &Udp<'a>) -> Result<Inside<'a>, Stop> {
        self.carried(packet)?;
        let vxlan = vxlan::parse(udp.to_port, udp.payload)?;
        self.envelopes.vni = self.envelopes.vni.or(Some(vxlan.vni));
        match vxlan.carried {
            vxlan::Carried::Ethernet => Ok(self.ethernet(vxlan.payload)?),
            vxlan::Carried::Ip => Ok(Inside::ip(vxlan.payload)?),
            vxlan::Carried::Other => Err(Ignored::Vxlan.into()),
        }
    }

    /// Takes a GENEVE header.
    pub(super) fn geneve(&mut self, packet: &'a [u8], udp: &Udp<'a>) -> Result<Inside<'a>, Stop> {
        self.carried(packet)?;
        let Some(geneve) = geneve::parse(udp.payload)? else {
            return Err(Ignored::Geneve.into());
        };
        self.envelopes.vni = self.envelopes.vni.or(Some(geneve.vni));
        self.announced(geneve.protocol, geneve.payload, Ignored::Geneve)
    }

    /// Ends at a TCP packet.
    #[inline]
    pub(super) fn tcp(self, ip: &Ip<'a>) -> Result<Decoded<'a>, Malformed> {
        let tcp = tcp::parse(ip)?;
        let layer4 = Layer4::Tcp {
            flags: tcp.flags,
            sequence: tcp.sequence,
        };
        Ok(Decoded {
            from: ip.from,
            to: ip.to,
            from_port: tcp.from_port,
            to_port: tcp.to_port,
            layer4,
            payload_octets: tcp.payload_octets,
            payload: tcp.payload,
            from_mac: self.from_mac,
            identification: ip.identification,
            hop_limit: ip.hop_limit,
            envelopes: self.envelopes,
        })
    }

    /// Ends at a UDP datagram.
    #[inline]
    pub(super) fn udp(self, ip: &Ip<'a>, udp: &Udp<'a>) -> Decoded<'a> {
        Decoded {
            from: ip.from,
            to: ip.to,
            from_port: udp.from_port,
            to_port: udp.to_port,
            layer4: Layer4::Udp,
            payload_octets: udp.payload_octets,
            payload: udp.payload,
            from_mac: self.from_mac,
            identification: ip.identification,
            hop_limit: ip.hop_limit,
            envelopes: self.envelopes,
        }
    }
}

/// Returns why a protocol gives no packet (rule S2).
pub(super) fn uncarried(number: u8) -> Ignored {
    match number {
        protocol::ICMP => Ignored::Icmp,
        protocol::ICMPV6 => Ignored::Icmpv6,
        protocol::IGMP => Ignored::Igmp,
        protocol::ESP | protocol::AH => Ignored::Ipsec,
        protocol::SCTP => Ignored::Sctp,
        _ => Ignored::OtherProtocol,
    }
}
