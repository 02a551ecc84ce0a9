//! Where mirrored traffic is received over UDP, as settings and `--listen` write it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::policy::NetworkPolicy;

/// An envelope that mirrors put frames in and send over UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Envelope {
    /// RFC 7348, and its generic protocol extension.
    Vxlan,
    /// RFC 8926.
    Geneve,
}

impl Envelope {
    /// Returns the name that URLs use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
        }
    }

    /// Returns the port in the IANA registry.
    const fn port(self) -> u16 {
        match self {
            Self::Vxlan => 4789,
            Self::Geneve => 6081,
        }
    }
}

/// `udp://address:port` where the settings say what comes to the port, or `vxlan://address:port` and
/// `geneve://address:port` where the URL does; these two may leave the port of the registry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenUrl {
    envelope: Option<Envelope>,
    address: SocketAddr,
}

/// An address that is listened on, and the envelope that what comes to it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// How it was written.
    pub url: ListenUrl,
    /// The envelope.
    pub envelope: Envelope,
}

impl Listen {
    /// Returns the address and port.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.url.address
    }
}

impl FromStr for ListenUrl {
    type Err = String;

    /// # Errors
    ///
    /// Says what was expected, in words that follow "expected".
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "a URL such as udp://0.0.0.0:4789, udp://[::]:6081 or vxlan://192.0.2.1:8472";
        let (scheme, rest) = text.split_once("://").ok_or(expected)?;
        let envelope = match scheme {
            "udp" => None,
            "vxlan" => Some(Envelope::Vxlan),
            "geneve" => Some(Envelope::Geneve),
            _ => return Err("a URL that starts with udp://, vxlan:// or geneve://".into()),
        };
        let address = match (rest.parse(), envelope) {
            (Ok(address), _) => address,
            (Err(_), Some(envelope)) => SocketAddr::new(bare(rest).ok_or_else(|| wanted(scheme))?, envelope.port()),
            (Err(_), None) => return Err(wanted(scheme)),
        };
        let has_zone = matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0);
        // A mapped address would be asked of IPv6 what only IPv4 receives.
        let is_mapped = matches!(address.ip(), IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        if address.port() == 0 || address.ip().is_multicast() || has_zone || is_mapped {
            return Err(wanted(scheme));
        }
        Ok(Self { envelope, address })
    }
}

/// Reads an address without a port.
fn bare(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => text.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::from),
    }
}

fn wanted(scheme: &str) -> String {
    format!(
        "an address of this machine and a port from 1 to 65535, such as {scheme}://0.0.0.0:4789 or {scheme}://[::]:6081"
    )
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.envelope.map_or("udp", Envelope::name), self.address)
    }
}

impl NetworkPolicy {
    /// Returns what comes to the addresses of URLs. A port that the settings do not know is from here on one of the
    /// envelope that its URL names, so that frames are opened as they would be from an interface with the same settings.
    ///
    /// # Errors
    ///
    /// The position of the first URL that cannot be, and why not: nothing tells the envelope, the port is another one's, or
    /// the address stands there twice.
    pub fn listen(&mut self, urls: &[ListenUrl]) -> Result<Vec<Listen>, (usize, String)> {
        let mut listens: Vec<Listen> = Vec::with_capacity(urls.len());
        for (position, url) in urls.iter().enumerate() {
            let envelope = self.envelope(*url).map_err(|problem| (position, problem))?;
            if listens.iter().any(|earlier| earlier.address() == url.address) {
                return Err((position, format!("{} stands there twice", url.address)));
            }
            listens.push(Listen { url: *url, envelope });
        }
        Ok(listens)
    }

    fn envelope(&mut self, url: ListenUrl) -> Result<Envelope, String> {
        let port = url.address.port();
        let known = if self.vxlan_ports.contains(&port) {
            Some(Envelope::Vxlan)
        } else if self.geneve_ports.contains(&port) {
            Some(Envelope::Geneve)
        } else {
            None
        };
        let envelope = match (url.envelope, known) {
            (None, None) => {
                let address = url.address;
                return Err(format!(
                    "port {port} is neither in network.vxlan_ports nor in network.geneve_ports; \
                     vxlan://{address} or geneve://{address} says which it is"
                ));
            }
            (Some(asked), Some(known)) if asked != known => {
                return Err(format!(
                    "port {port} is one of {} already, by [network] or another URL",
                    known.name()
                ));
            }
            (Some(envelope), _) | (None, Some(envelope)) => envelope,
        };
        if known.is_none() {
            match envelope {
                Envelope::Vxlan => self.vxlan_ports.push(port),
                Envelope::Geneve => self.geneve_ports.push(port),
            }
        }
        Ok(envelope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Policy;

    fn url(text: &str) -> ListenUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_url_is_written_as_it_was_read_with_its_port() {
        for (text, written) in [
            ("udp://0.0.0.0:4789", "udp://0.0.0.0:4789"),
            ("udp://[::]:6081", "udp://[::]:6081"),
            ("udp://[2001:DB8::1]:4789", "udp://[2001:db8::1]:4789"),
            ("vxlan://192.0.2.1", "vxlan://192.0.2.1:4789"),
            ("vxlan://192.0.2.1:8472", "vxlan://192.0.2.1:8472"),
            ("geneve://[::]", "geneve://[::]:6081"),
        ] {
            assert_eq!(url(text).to_string(), written);
            assert_eq!(url(written), url(text));
        }
    }

    #[test]
    fn what_nobody_can_listen_on_is_refused() {
        for text in [
            "",
            "0.0.0.0:4789",
            "tcp://0.0.0.0:4789",
            "udp://0.0.0.0",
            "udp://[::]",
            "udp://:4789",
            "udp://localhost:4789",
            "udp://0.0.0.0:0",
            "udp://0.0.0.0:65536",
            "udp://0.0.0.0:4789/",
            "udp://::4789",
            "udp://[::ffff:192.0.2.1]:4789",
            "udp://[fe80::1%2]:4789",
            "udp://239.1.1.1:4789",
            "vxlan://",
            "vxlan://[192.0.2.1]",
            "geneve://::1",
        ] {
            assert!(text.parse::<ListenUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_settings_say_what_comes_to_a_port_or_the_url_does() {
        let mut network = Policy::default().network;
        let mut envelope = |text: &str| network.listen(&[url(text)]).map(|listens| listens[0].envelope);
        assert_eq!(envelope("udp://0.0.0.0:4790"), Ok(Envelope::Vxlan));
        assert_eq!(envelope("udp://[::]:6081"), Ok(Envelope::Geneve));
        assert_eq!(envelope("geneve://0.0.0.0"), Ok(Envelope::Geneve));
        let (_, problem) = envelope("udp://0.0.0.0:14789").unwrap_err();
        assert!(problem.contains("vxlan://0.0.0.0:14789"), "{problem}");
        assert!(envelope("geneve://0.0.0.0:4789").is_err());
        assert_eq!(envelope("vxlan://0.0.0.0:14789"), Ok(Envelope::Vxlan));
        assert_eq!(envelope("vxlan://[::]:14789"), Ok(Envelope::Vxlan));
        assert!(envelope("geneve://192.0.2.1:14789").is_err(), "one port, one envelope");
        let twice = network.listen(&[url("udp://0.0.0.0:4789"), url("vxlan://0.0.0.0")]);
        assert_eq!(twice, Err((1, "0.0.0.0:4789 stands there twice".to_owned())));
        assert_eq!(network.vxlan_ports, [4789, 4790, 14789]);
        assert_eq!(network.geneve_ports, [6081]);
    }
}
