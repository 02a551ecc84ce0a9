//! Single values: durations, sizes, prefixes, addresses, ports.

use std::net::IpAddr;
use std::sync::Arc;

use bytesize::ByteSize;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::document::Value;
use super::refused::Refused;
use crate::model::{Address, Scopes, SegmentPart, Span};

const DURATION: &str = "a duration with its unit, such as \"5s\", \"24h\" or \"90d\"";
const SIZE: &str = "a size such as \"512MiB\" or \"1GiB\"";
const PREFIX: &str = "a prefix such as 10.0.0.0/8 or 2001:db8::/32";
const ADDRESS: &str = "an address such as 10.0.0.2 or 2001:db8::2";
const PORT: &str = "a port from 1 to 65535";
const SCOPES: &str = "\"client\", \"host\", \"workload\", \"resolver\" or \"any\"";
const SEGMENT_PARTS: &str = "\"vni\", \"vlan\", \"key\" or \"source\"";
const WORD: &str = "a name of 1 to 255 octets, without control characters or spaces at its ends";

/// The longest name of anything.
const LONGEST_WORD: usize = 255;

/// Reads a duration; a number without a unit is refused, since nobody knows which was meant.
pub(super) fn duration(value: &Value<'_>) -> Result<Span, Refused> {
    value.read(DURATION, |text| {
        let duration = humantime::parse_duration(text).ok()?;
        i64::try_from(duration.as_nanos()).ok().map(Span)
    })
}

/// Reads a size in octets of at least `least`.
pub(super) fn size(value: &Value<'_>, least: u64) -> Result<u64, Refused> {
    let size = value.read(SIZE, |text| text.parse::<ByteSize>().ok())?.as_u64();
    if size < least {
        return Err(value.refused(&format!("at least {}", ByteSize::b(least).display().iec())));
    }
    Ok(size)
}

/// Reads an array of prefixes; at least one.
pub(super) fn prefixes(value: &Value<'_>) -> Result<Vec<IpNet>, Refused> {
    some_of(value, "at least one prefix, such as [\"10.0.0.0/8\"]", prefix)
}

/// Reads a prefix, or an address as the prefix of that address alone. IPv4 in its mapped form is IPv4.
pub(super) fn prefix(value: &Value<'_>) -> Result<IpNet, Refused> {
    let prefix: IpNet = value.read(PREFIX, |text| {
        text.parse()
            .ok()
            .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    })?;
    let truncated = prefix.trunc();
    if truncated != prefix {
        return Err(value.refused(&format!("{truncated}, the prefix without the bits of a host")));
    }
    Ok(unmapped(prefix))
}

fn unmapped(prefix: IpNet) -> IpNet {
    /// How long the prefix of mapped addresses is (RFC 4291 section 2.5.5.2).
    const MAPPED: u8 = 96;
    let as_v4 = |prefix: Ipv6Net| {
        let address = prefix.addr().to_ipv4_mapped()?;
        Ipv4Net::new(address, prefix.prefix_len().checked_sub(MAPPED)?).ok()
    };
    match prefix {
        IpNet::V6(v6) => as_v4(v6).map_or(prefix, IpNet::V4),
        IpNet::V4(_) => prefix,
    }
}

/// Reads an array of addresses, which may be empty.
pub(super) fn addresses(value: &Value<'_>) -> Result<Vec<Address>, Refused> {
    each_of(value, "addresses, such as [\"10.0.0.2\"]", |item| {
        item.read(ADDRESS, |text| text.parse::<IpAddr>().ok().map(Address::from))
    })
}

/// Reads an array of ports, which may be empty.
pub(super) fn ports(value: &Value<'_>) -> Result<Vec<u16>, Refused> {
    each_of(value, "ports, such as [53]", port)
}

/// Reads an array of ports; at least one.
pub(super) fn some_ports(value: &Value<'_>) -> Result<Vec<u16>, Refused> {
    some_of(value, "at least one port, such as [53]", port)
}

fn port(value: &Value<'_>) -> Result<u16, Refused> {
    match value.number(PORT)? {
        0 => Err(value.refused(PORT)),
        port => Ok(port),
    }
}

/// Reads the scopes that explain; those that are not named do not.
pub(super) fn scopes(value: &Value<'_>) -> Result<Scopes, Refused> {
    let mut scopes = Scopes {
        client: false,
        host: false,
        workload: false,
        resolver: false,
        any: false,
    };
    for item in value.items(&format!("an array of {SCOPES}"))? {
        let scope = match item.text(SCOPES)? {
            "client" => &mut scopes.client,
            "host" => &mut scopes.host,
            "workload" => &mut scopes.workload,
            "resolver" => &mut scopes.resolver,
            "any" => &mut scopes.any,
            _ => return Err(item.refused(SCOPES)),
        };
        *scope = true;
    }
    Ok(scopes)
}

/// Reads the parts that make a segment; each once.
pub(super) fn segment_parts(value: &Value<'_>) -> Result<Vec<SegmentPart>, Refused> {
    let mut parts = Vec::new();
    for item in value.items(&format!("an array of {SEGMENT_PARTS}"))? {
        let part = match item.text(SEGMENT_PARTS)? {
            "vni" => SegmentPart::Vni,
            "vlan" => SegmentPart::Vlan,
            "key" => SegmentPart::Key,
            "source" => SegmentPart::Source,
            _ => return Err(item.refused(SEGMENT_PARTS)),
        };
        if parts.contains(&part) {
            return Err(item.refused_for(format!("{} stands here twice", item.text(SEGMENT_PARTS)?)));
        }
        parts.push(part);
    }
    Ok(parts)
}

/// A kind of number that envelopes carry.
pub(super) struct Numbers {
    expected: &'static str,
    greatest: u32,
}

/// The numbers of VXLAN and GENEVE networks.
pub(super) const VNI: Numbers = Numbers {
    expected: "VNIs from 0 to 16777215, such as [42, 43]",
    greatest: 0x00ff_ffff,
};
/// VLANs (IEEE 802.1Q section 9.6).
pub(super) const VLAN: Numbers = Numbers {
    expected: "VLANs from 1 to 4094, such as [7]",
    greatest: 4094,
};
/// Keys of GRE and sessions of ERSPAN.
pub(super) const KEY: Numbers = Numbers {
    expected: "keys from 0 to 4294967295, such as [7]",
    greatest: u32::MAX,
};

/// Reads an array of numbers of one kind; at least one.
pub(super) fn numbers<T: TryFrom<u32>>(value: &Value<'_>, kind: Numbers) -> Result<Vec<T>, Refused> {
    some_of(value, kind.expected, |item| {
        let number: u32 = item.number(kind.expected)?;
        let number = Some(number).filter(|number| *number <= kind.greatest);
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| item.refused(kind.expected))
    })
}

/// Reads the name of a segment, which must not look like one without a name.
pub(super) fn segment_name(value: &Value<'_>) -> Result<Arc<str>, Refused> {
    let name = word(value)?;
    if &*name == "-" || name.contains(['=', ',']) {
        return Err(value.refused("a name without `=` and `,` that is not `-`"));
    }
    Ok(name)
}

/// Reads the name of something.
pub(super) fn word(value: &Value<'_>) -> Result<Arc<str>, Refused> {
    value.read(WORD, |text| {
        let is_word =
            (1..=LONGEST_WORD).contains(&text.len()) && text.trim() == text && !text.chars().any(char::is_control);
        is_word.then(|| text.into())
    })
}

/// Reads an array of strings, which may be empty.
pub(super) fn texts(value: &Value<'_>) -> Result<Vec<String>, Refused> {
    each_of(value, "an array of strings", |item| {
        item.text("a string").map(str::to_owned)
    })
}

fn each_of<'t, T>(
    value: &Value<'t>,
    expected: &str,
    read: impl Fn(&Value<'t>) -> Result<T, Refused>,
) -> Result<Vec<T>, Refused> {
    value.items(expected)?.iter().map(read).collect()
}

fn some_of<'t, T>(
    value: &Value<'t>,
    expected: &str,
    read: impl Fn(&Value<'t>) -> Result<T, Refused>,
) -> Result<Vec<T>, Refused> {
    let items = each_of(value, expected, read)?;
    if items.is_empty() {
        return Err(value.refused(expected));
    }
    Ok(items)
}
