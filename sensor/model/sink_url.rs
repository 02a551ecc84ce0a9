//! Where alerts are sent, as settings and `--syslog` write it.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

/// A receiver of alerts. A port that is left out is that of syslog over the transport.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SinkUrl {
    /// `udp://host:port`: syslog over UDP (RFC 5426).
    Udp {
        /// A name or an address; IPv6 without its brackets.
        host: String,
        /// 514 when left out.
        port: u16,
    },
    /// `tcp://host:port`: syslog over TCP (RFC 6587).
    Tcp {
        /// A name or an address; IPv6 without its brackets.
        host: String,
        /// 601 when left out.
        port: u16,
    },
    /// `tls://host:port`: syslog over TLS (RFC 5425).
    Tls {
        /// A name or an address; IPv6 without its brackets.
        host: String,
        /// 6514 when left out.
        port: u16,
    },
    /// `relp://host:port`: syslog over RELP.
    Relp {
        /// A name or an address; IPv6 without its brackets.
        host: String,
        /// 2514 when left out.
        port: u16,
    },
    /// `unix:///path`: a datagram or stream socket of this machine.
    Unix(PathBuf),
    /// `file:///path`: a JSON Lines file.
    File(PathBuf),
}

/// RFC 5426 section 3.3.
const UDP_PORT: u16 = 514;
/// The `syslog-conn` service of RFC 3195 section 9.2, which receivers listen on for plain TCP.
const TCP_PORT: u16 = 601;
/// RFC 5425 section 4.1.
const TLS_PORT: u16 = 6514;
/// No port is assigned; rsyslog's own examples use this one.
const RELP_PORT: u16 = 2514;

impl FromStr for SinkUrl {
    type Err = String;

    /// # Errors
    ///
    /// Says what was expected, in words that follow "expected".
    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("a URL such as tcp://siem.example:601, unix:///run/log.sock or file:///var/log/alerts.jsonl")?;
        let path = || {
            let is_absolute = rest.starts_with('/') && !rest.contains('\0');
            let path = is_absolute.then(|| PathBuf::from(rest)).ok_or("an absolute path");
            path.map_err(|expected| format!("{expected}, such as {scheme}:///var/run/alerts"))
        };
        match scheme {
            "udp" => host_and_port(rest, UDP_PORT).map(|(host, port)| Self::Udp { host, port }),
            "tcp" => host_and_port(rest, TCP_PORT).map(|(host, port)| Self::Tcp { host, port }),
            "tls" => host_and_port(rest, TLS_PORT).map(|(host, port)| Self::Tls { host, port }),
            "relp" => host_and_port(rest, RELP_PORT).map(|(host, port)| Self::Relp { host, port }),
            "unix" => path().map(Self::Unix),
            "file" => path().map(Self::File),
            _ => Err("a URL that starts with udp://, tcp://, tls://, relp://, unix:// or file://".into()),
        }
    }
}

fn host_and_port(text: &str, default_port: u16) -> Result<(String, u16), String> {
    let expected = || "a host and a port, such as siem.example:601, 192.0.2.1:514 or [2001:db8::1]:601".to_owned();
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or_else(expected)?;
        let host: Ipv6Addr = host.parse().map_err(|_| expected())?;
        let port = match port {
            "" => None,
            _ => Some(port.strip_prefix(':').ok_or_else(expected)?),
        };
        (host.to_string(), port)
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let is_host = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_');
        if host.is_empty() || !host.bytes().all(is_host) {
            return Err(expected());
        }
        (host.to_owned(), port)
    };
    let port = match port {
        None => default_port,
        Some(port) if port.bytes().all(|octet| octet.is_ascii_digit()) => match port.parse() {
            Ok(0) | Err(_) => return Err("a port from 1 to 65535".into()),
            Ok(port) => port,
        },
        Some(_) => return Err(expected()),
    };
    Ok((host, port))
}

/// The URL with its port; the ledger knows a sink by it.
impl fmt::Display for SinkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Udp { host, port } => ("udp", host, port),
            Self::Tcp { host, port } => ("tcp", host, port),
            Self::Tls { host, port } => ("tls", host, port),
            Self::Relp { host, port } => ("relp", host, port),
            Self::Unix(path) => return write!(f, "unix://{}", path.display()),
            Self::File(path) => return write!(f, "file://{}", path.display()),
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_written_as_it_was_read_with_its_port() {
        for (text, written) in [
            ("udp://siem.example", "udp://siem.example:514"),
            ("tcp://siem.example", "tcp://siem.example:601"),
            ("tls://siem.example", "tls://siem.example:6514"),
            ("relp://siem.example", "relp://siem.example:2514"),
            ("tcp://192.0.2.1:5140", "tcp://192.0.2.1:5140"),
            ("tcp://[2001:DB8::1]", "tcp://[2001:db8::1]:601"),
            ("udp://[::1]:9", "udp://[::1]:9"),
            ("unix:///dev/log", "unix:///dev/log"),
            ("file:///var/log/a b.jsonl", "file:///var/log/a b.jsonl"),
        ] {
            let url: SinkUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), written);
            assert_eq!(written.parse::<SinkUrl>().unwrap(), url);
        }
    }

    #[test]
    fn what_is_no_url_of_a_sink_is_refused() {
        for text in [
            "",
            "siem.example:601",
            "http://siem.example",
            "tcp://",
            "tcp://:601",
            "tcp://a b:601",
            "tcp://siem.example:",
            "tcp://siem.example:0",
            "tcp://siem.example:65536",
            "tcp://siem.example:+6",
            "tcp://siem.example:601/path",
            "tcp://2001:db8::1:601",
            "tcp://[2001:db8::1",
            "tcp://[siem.example]:601",
            "unix://run/log",
            "file://",
        ] {
            assert!(text.parse::<SinkUrl>().is_err(), "{text}");
        }
    }
}
