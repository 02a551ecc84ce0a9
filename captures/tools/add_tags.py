#!/usr/bin/env python3
"""Writes a capture anew with two VLAN tags in every frame: add_tags.py IN OUT

802.1ad 100 outside, 802.1Q inside: 7 for frames that come from the gateway, 8 for all others, as providers do that use
one tag a direction. The lab records no tags: neither VLAN devices nor the tc action that pushes tags are in every
kernel. tcprewrite adds tags too, but the same to every frame, and it cuts times to microseconds.
"""
import struct
import sys

GATEWAY = bytes.fromhex("02000a010001")
NANOSECOND_PCAP = 0xA1B23C4D
ETHERNET = 1


def main(source, target):
    with open(source, "rb") as f, open(target, "wb") as out:
        header = f.read(24)
        magic, _, _, _, _, snap, link = struct.unpack("<IHHiIII", header)
        if (magic, link) != (NANOSECOND_PCAP, ETHERNET):
            sys.exit(f"{source}: not a little-endian nanosecond pcap of Ethernet frames")
        out.write(header)
        while record := f.read(16):
            seconds, nanoseconds, captured, length = struct.unpack("<IIII", record)
            frame = f.read(captured)
            inner = 7 if frame[6:12] == GATEWAY else 8
            tags = struct.pack(">HHHH", 0x88A8, 100, 0x8100, inner)
            out.write(struct.pack("<IIII", seconds, nanoseconds, captured + len(tags), length + len(tags)))
            out.write(frame[:12] + tags + frame[12:])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: add_tags.py IN OUT")
    main(*sys.argv[1:])
