#!/usr/bin/env python3
"""Writes the captures of captures/fragments: make_fragments.py DIRECTORY

The frames of make_envelopes.py, each IP packet of them in fragments: in order and not, more than once, overlapping, as
small as they can be, one packet's among another's, and within envelopes that are in fragments themselves. The same octet
for octet each time.
"""
import struct
import sys
from pathlib import Path

import make_envelopes as made

UNIT = 8


def fragments(octets, number, size, step=None):
    """Returns the frames of a frame's IP packet in fragments of `size` octets that begin `step` octets apart."""
    addresses, ethertype, packet = made.apart(octets)
    length = 20 if ethertype == made.IPV4 else 40
    headers, payload = packet[:length], packet[length:]
    cut = []
    for start in range(0, len(payload), step or size):
        part = payload[start : start + size]
        more = start + len(part) < len(payload)
        if ethertype == made.IPV4:
            field = start // UNIT | (0x2000 if more else 0)
            header = headers[:2] + struct.pack(">HHH", length + len(part), number, field) + headers[8:10]
            header += struct.pack(">H", made.checksum(header + b"\0\0" + headers[12:])) + headers[12:]
        else:
            header = headers[:4] + struct.pack(">HB", 8 + len(part), 44) + headers[7:]
            header += struct.pack(">BBHI", headers[6], 0, start | more, number)
        cut.append(addresses + struct.pack(">H", ethertype) + header + part)
        if not more:
            break
    return cut


def outer(frames, number, size):
    """Returns frames in VXLAN, the outer packet of each in fragments."""
    numbered = enumerate(map(made.vxlan, frames), number * 64)
    return [cut for place, octets in numbered for cut in fragments(octets, place, size)]


def inner(octets, number):
    return fragments(octets, number, 24)


def turned(parts):
    return parts[::-1]


def twice(parts):
    """Returns each fragment twice, but a packet that is too short for two of them once."""
    return [part for part in parts for _ in parts[:2]]


# What becomes of one frame of the exchange.
CAPTURES = {
    "in-order": inner,
    "reversed": lambda octets, number: turned(inner(octets, number)),
    "smallest": lambda octets, number: fragments(octets, number, UNIT),
    "smallest-reversed": lambda octets, number: turned(fragments(octets, number, UNIT)),
    "twice": lambda octets, number: twice(inner(octets, number)),
    "overlapping": lambda octets, number: turned(fragments(octets, number, 3 * UNIT, UNIT)),
    "in-vxlan": lambda octets, number: [made.vxlan(part) for part in inner(octets, number)],
    "of-vxlan": lambda octets, number: outer([octets], number, 40),
    "of-and-in-vxlan": lambda octets, number: turned(outer(inner(octets, number), number, 40)),
}


def main(target):
    frames = made.exchanges()
    target.mkdir(exist_ok=True)
    for file, become in CAPTURES.items():
        parts = [
            (made.START + n * made.STEP + place, part)
            for n, octets in enumerate(frames)
            for place, part in enumerate(become(octets, n + 1))
        ]
        made.write(target / f"{file}.pcap", made.ETHERNET, parts)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_fragments.py DIRECTORY")
    main(Path(sys.argv[1]))
