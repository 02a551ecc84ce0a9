#!/usr/bin/env python3
"""Writes the captures of captures/envelopes: make_envelopes.py DIRECTORY

One exchange, made here: two names are asked for and answered, by IPv4 and by IPv6, and each address is contacted over
TCP. `plain.pcap` holds its frames as they are, every other file the same frames at the same times in one envelope, or
in several. The lab records none of these: the devices that open and close them are not in every kernel. Nothing here is
left to chance, so the files are the same octet for octet each time.
"""
import struct
import sys
from pathlib import Path

START = 1772452800 * 10**9      # 2026-03-02, 12:00:00 UTC
STEP = 10**6
ETHERNET, PPP, PPP_HDLC, PPP_ETHER = 1, 9, 50, 51
IPV4, IPV6 = 0x0800, 0x86DD
MIRROR, COLLECTOR = "10.250.0.9", "10.250.0.1"
MIRROR6, COLLECTOR6 = "fd00:250::9", "fd00:250::1"
ROUTER = bytes.fromhex("02000a010001")
PORT = 55555


# --- from the payload outwards ------------------------------------------------------------------------------------------

def address(text):
    """Returns the octets of an address; enough of IPv6 for the ones used here."""
    if ":" not in text:
        return bytes(int(part) for part in text.split("."))
    left, _, right = text.partition("::")
    groups = [[int(group, 16) for group in half.split(":") if group] for half in (left, right)]
    zeros = [0] * (8 - len(groups[0]) - len(groups[1]))
    return struct.pack(">8H", *groups[0], *zeros, *groups[1])


def checksum(octets):
    """Returns the Internet checksum, RFC 1071."""
    octets += b"\0" * (len(octets) % 2)
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ip(source, target, protocol, payload):
    """Returns an IP packet, with the checksum of UDP or TCP filled in."""
    source, target = address(source), address(target)
    at = {6: 16, 17: 6}.get(protocol)
    if at is not None:
        pseudo = source + target + struct.pack(">IHBB", len(payload), 0, 0, protocol)
        payload = payload[:at] + struct.pack(">H", checksum(pseudo + payload) or 0xFFFF) + payload[at + 2 :]
    if len(source) == 16:
        return struct.pack(">IHBB", 0x60000000, len(payload), protocol, 64) + source + target + payload
    start = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol)
    middle = struct.pack(">H", checksum(start + b"\0\0" + source + target))
    return start + middle + source + target + payload


def udp(source, target, payload):
    return struct.pack(">HHHH", source, target, 8 + len(payload), 0) + payload


def tcp(source, target, sequence, acknowledged, flags, payload=b""):
    return struct.pack(">HHIIBBHHH", source, target, sequence, acknowledged, 0x50, flags, 0xFFFF, 0, 0) + payload


def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


def hardware(text):
    """Returns a hardware address for an internal address, or that of the router."""
    octets = address(text)
    return bytes([2, 0]) + octets[-4:] if text.startswith(("10.1.", "fd00:10:")) else ROUTER


def frame(source, target, protocol, payload):
    packet = ip(source, target, protocol, payload)
    ethertype = IPV4 if packet[0] >> 4 == 4 else IPV6
    return hardware(target) + hardware(source) + struct.pack(">H", ethertype) + packet


def exchange(client, resolver, server, asked):
    """Yields the frames of a look-up and of the contact that follows it."""
    kind = 1 if "." in server else 28
    question = name(asked) + struct.pack(">HH", kind, 1)
    query = struct.pack(">HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + question
    given = address(server)
    answer = struct.pack(">HHHIH", 0xC00C, kind, 1, 300, len(given)) + given
    response = struct.pack(">HHHHHH", 0x1234, 0x8180, 1, 1, 0, 0) + question + answer
    yield frame(client, resolver, 17, udp(51000, 53, query))
    yield frame(resolver, client, 17, udp(53, 51000, response))
    syn, fin, push, ack = 0x02, 0x01, 0x08, 0x10
    out, back = b"GET / HTTP/1.1\r\nHost: " + asked.encode() + b"\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"
    first, second = 1001 + len(out), 500001 + len(back)
    for is_out, segment in (
        (True, (1000, 0, syn)),
        (False, (500000, 1001, syn | ack)),
        (True, (1001, 500001, ack)),
        (True, (1001, 500001, push | ack, out)),
        (False, (500001, first, push | ack, back)),
        (True, (first, second, fin | ack)),
        (False, (second, first + 1, fin | ack)),
        (True, (first + 1, second + 1, ack)),
    ):
        if is_out:
            yield frame(client, server, 6, tcp(40000, 80, *segment))
        else:
            yield frame(server, client, 6, tcp(80, 40000, *segment))


# --- envelopes: each takes a frame and gives one --------------------------------------------------------------------------

def apart(octets):
    """Returns a frame's addresses, its EtherType and what follows."""
    return octets[:12], struct.unpack(">H", octets[12:14])[0], octets[14:]


def mirrored(protocol, payload):
    """Returns the frame by which the mirror sends a payload to the collector."""
    return frame(MIRROR, COLLECTOR, protocol, payload)


def mirrored6(protocol, payload):
    return frame(MIRROR6, COLLECTOR6, protocol, payload)


def tag(ethertype, vlan):
    def put(octets):
        addresses, _, _ = apart(octets)
        return addresses + struct.pack(">HH", ethertype, vlan) + octets[12:]
    return put


def labels(ethertype, *stack):
    entries = [label << 12 | 64 for label in stack]
    entries[-1] |= 0x100
    return struct.pack(">H", ethertype) + struct.pack(f">{len(entries)}I", *entries)


def between_routers(rest):
    return bytes.fromhex("02ff0000000202ff00000001") + rest


def mpls(octets):
    return between_routers(labels(0x8847, 16, 17, 18) + apart(octets)[2])


def mpls_wire(octets):
    return between_routers(labels(0x8848, 16, 17) + octets)


def mpls_wire_control_word(octets):
    return between_routers(labels(0x8847, 16, 17) + struct.pack(">HH", 0, 1) + octets)


def ppp(octets):
    _, ethertype, packet = apart(octets)
    return struct.pack(">H", {IPV4: 0x0021, IPV6: 0x0057}[ethertype]) + packet


def ppp_framed(octets):
    return b"\xff\x03" + ppp(octets)


def cisco(octets):
    return b"\x0f\0" + octets[12:]


def pppoe_packet(octets):
    inside = ppp(octets)
    return struct.pack(">BBHH", 0x11, 0, 7, len(inside)) + inside


def pppoe(octets):
    return octets[:12] + struct.pack(">H", 0x8864) + pppoe_packet(octets)


def snap(octets):
    addresses, ethertype, packet = apart(octets)
    inside = bytes.fromhex("aaaa03000000") + struct.pack(">H", ethertype) + packet
    return addresses + struct.pack(">H", len(inside)) + inside


def ip_in_ip(octets):
    _, ethertype, packet = apart(octets)
    return mirrored({IPV4: 4, IPV6: 41}[ethertype], packet)


def ip_in_ipv6(octets):
    _, ethertype, packet = apart(octets)
    return mirrored6({IPV4: 4, IPV6: 41}[ethertype], packet)


def gre(octets):
    _, ethertype, packet = apart(octets)
    return mirrored(47, struct.pack(">HH", 0, ethertype) + packet)


def gre_bridged(octets):
    """GRE with every field that it may have."""
    start, fields = struct.pack(">HH", 0xB000, 0x6558), struct.pack(">II", 7, 1)
    total = checksum(start + bytes(4) + fields + octets)
    return mirrored(47, start + struct.pack(">HH", total, 0) + fields + octets)


def gre_mpls(octets):
    return mirrored6(47, struct.pack(">H", 0) + labels(0x8847, 16) + apart(octets)[2])


def pptp(octets):
    inside = ppp_framed(octets)
    return mirrored(47, struct.pack(">HHHHI", 0x3001, 0x880B, len(inside), 5, 1) + inside)


def erspan_1(octets):
    return mirrored(47, struct.pack(">HH", 0, 0x88BE) + octets)


def erspan_2(octets):
    return mirrored(47, struct.pack(">HHI", 0x1000, 0x88BE, 1) + struct.pack(">HHI", 0x1000, 9, 0) + octets)


def erspan_3_header(protocol, kind, last):
    header = struct.pack(">HHIHBB", 0x2000, 9, 12345, 0, kind, last)
    return struct.pack(">HHI", 0x1000, protocol, 1) + header


def erspan_3(octets):
    return mirrored(47, erspan_3_header(0x22EB, 0x80, 0x30) + octets)


def erspan_3_platform(octets):
    return mirrored6(47, erspan_3_header(0x22EB, 0x80, 0x31) + bytes.fromhex("0c00000000000001") + octets)


def erspan_3_ip(octets):
    return mirrored(47, erspan_3_header(0x22EB, 0x08, 0x30) + apart(octets)[2])


def vxlan(octets):
    """VXLAN with the bits of group policy, and with reserved ones."""
    return mirrored(17, udp(PORT, 4789, bytes.fromhex("8848 0007 00002a ff") + octets))


def vxlan_ipv6(octets):
    return mirrored6(17, udp(PORT, 4789, bytes.fromhex("08000000 00002a 00") + octets))


def vxlan_extension(octets):
    _, ethertype, packet = apart(octets)
    return mirrored(17, udp(PORT, 4790, bytes([0x0C, 0, 0, {IPV4: 1, IPV6: 2}[ethertype], 0, 0, 0x2A, 0]) + packet))


def geneve(octets):
    """GENEVE with an option that is critical and one that is not."""
    options = bytes.fromhex("0102 80 01 0000002a") + bytes.fromhex("0103 01 00")
    header = bytes([len(options) // 4, 0x40]) + bytes.fromhex("6558 00002a 00") + options
    return mirrored(17, udp(PORT, 6081, header + octets))


def geneve_ip(octets):
    _, ethertype, packet = apart(octets)
    header = b"\0\0" + struct.pack(">H", ethertype) + bytes.fromhex("00002a00")
    return mirrored6(17, udp(PORT, 6081, header + packet))


def within(*envelopes):
    """Returns an envelope made of several, the innermost first."""
    def put(octets):
        for envelope in envelopes:
            octets = envelope(octets)
        return octets
    return put


TAGS = within(tag(0x8100, 7), tag(0x9100, 8), tag(0x88A8, 9))
CAPTURES = {
    "plain": (ETHERNET, within()),
    "tags": (ETHERNET, TAGS),
    "mpls": (ETHERNET, mpls),
    "mpls-wire": (ETHERNET, mpls_wire),
    "mpls-wire-control-word": (ETHERNET, mpls_wire_control_word),
    "pppoe": (ETHERNET, pppoe),
    "snap": (ETHERNET, snap),
    "ppp": (PPP, ppp),
    "ppp-framed": (PPP_HDLC, ppp_framed),
    "ppp-cisco": (PPP_HDLC, cisco),
    "ppp-ether": (PPP_ETHER, pppoe_packet),
    "ip-in-ip": (ETHERNET, ip_in_ip),
    "ip-in-ipv6": (ETHERNET, ip_in_ipv6),
    "gre": (ETHERNET, gre),
    "gre-bridged": (ETHERNET, gre_bridged),
    "gre-mpls": (ETHERNET, gre_mpls),
    "pptp": (ETHERNET, pptp),
    "erspan-1": (ETHERNET, erspan_1),
    "erspan-2": (ETHERNET, erspan_2),
    "erspan-3": (ETHERNET, erspan_3),
    "erspan-3-platform": (ETHERNET, erspan_3_platform),
    "erspan-3-ip": (ETHERNET, erspan_3_ip),
    "vxlan": (ETHERNET, vxlan),
    "vxlan-ipv6": (ETHERNET, vxlan_ipv6),
    "vxlan-extension": (ETHERNET, vxlan_extension),
    "geneve": (ETHERNET, geneve),
    "geneve-ip": (ETHERNET, geneve_ip),
    "eight": (ETHERNET, within(pppoe, tag(0x8100, 7), vxlan, mpls_wire, gre_bridged, ip_in_ipv6, geneve_ip, tag(0x88A8, 9))),
}


def exchanges():
    """Returns the frames that every capture holds."""
    return [
        *exchange("10.1.0.5", "10.1.0.2", "203.0.113.10", "updates.example.com"),
        *exchange("fd00:10:1::5", "fd00:10:1::2", "2001:db8:2::20", "api.example.org"),
    ]


def write(file, link, frames):
    """Writes a capture of frames, each with its time in nanoseconds."""
    with open(file, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, link))
        for at, octets in frames:
            out.write(struct.pack("<IIII", *divmod(at, 10**9), len(octets), len(octets)))
            out.write(octets)


def main(target):
    frames = exchanges()
    target.mkdir(exist_ok=True)
    for file, (link, envelope) in CAPTURES.items():
        write(target / f"{file}.pcap", link, ((START + n * STEP, envelope(octets)) for n, octets in enumerate(frames)))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_envelopes.py DIRECTORY")
    main(Path(sys.argv[1]))
