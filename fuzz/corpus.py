#!/usr/bin/env python3
"""The kept corpus of the fuzzing targets (fuzz/README.md).

    corpus.py seed FOLDER            writes FOLDER/<target>/…: inputs that are made of captures/, config/ and tests/scenarios/
    corpus.py unpack FILE FOLDER     writes each input of a packed corpus as a file, named by its content
    corpus.py pack FOLDER FILE LIMIT keeps the inputs of a folder, the shortest first, up to LIMIT octets in all

A packed corpus is a row of inputs, each behind its length (four octets, the highest first).
"""
import gzip, hashlib, shutil, struct, subprocess, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The order of LINKS in targets.rs, by the numbers that capture files use.
LINKS = {1: 0, 12: 1, 14: 1, 101: 1, 228: 1, 229: 1, 0: 2, 108: 3, 113: 4, 276: 5, 9: 6, 50: 7, 51: 8}
# No input is longer: short ones are run more often.
LONGEST = 4096


def frames(path):
    """Returns link type and (octets, nanoseconds) of each frame of a pcap in either byte order."""
    data = path.read_bytes()
    order = ">" if data[:2] == b"\xa1\xb2" else "<"
    (link,) = struct.unpack_from(order + "I", data, 20)
    at, found = 24, []
    while at + 16 <= len(data):
        seconds, part, length, _ = struct.unpack_from(order + "4I", data, at)
        found.append((data[at + 16:at + 16 + length], seconds * 10**9 + part * 1000))
        at += 16 + length
    return link & 0xFFFF, found


def layer4(frame):
    """Returns protocol and layer 4 octets of a plain Ethernet frame, or None."""
    kind = frame[12:14]
    if kind == b"\x08\x00" and len(frame) > 34:
        inside = frame[14:14 + struct.unpack_from(">H", frame, 16)[0]]
        return inside[9], inside[(inside[0] & 15) * 4:]
    if kind == b"\x86\xdd" and len(frame) > 54:
        return frame[20], frame[54:54 + struct.unpack_from(">H", frame, 18)[0]]
    return None


def script_of_frames(link, some):
    return bytes([LINKS[link]]) + b"".join(struct.pack(">BH", 1, len(frame)) + frame for frame, _ in some)


def script_of_segments(segments):
    script = b""
    for tcp, payload in segments:
        source = struct.unpack_from(">H", tcp)[0]
        flags = tcp[13] & 0x3F | (0x40 if source == 53 else 0)
        for at in range(0, max(len(payload), 1), 510):
            piece = payload[at:at + 510]
            sequence = struct.unpack_from(">I", tcp, 4)[0] + at & 0xFFFFFFFF
            piece += b"\0" * (len(piece) % 2)
            script += struct.pack(">BIBBB", flags, sequence, 1, 0, len(piece) // 2) + piece
    return script


def block(kind, body):
    body += b"\0" * (-len(body) % 4)
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def pcapng(link, some):
    file = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    file += block(1, struct.pack("<HHI", link, 0, 0) + struct.pack("<HHB3x", 9, 1, 9) + struct.pack("<HH", 0, 0))
    for frame, at in some:
        file += block(6, struct.pack("<5I", 0, at >> 32, at & 0xFFFFFFFF, len(frame), len(frame)) + frame)
    return file + block(3, struct.pack("<I", len(some[0][0])) + some[0][0]) if some else file


def pcap(link, some, magic, order):
    file = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for frame, at in some:
        file += struct.pack(order + "4I", at // 10**9, at % 10**9 // 1000, len(frame), len(frame)) + frame
    return file


def readers_of(link, some):
    plain = [pcap(link, some, 0xA1B2C3D4, "<"), pcap(link, some, 0xA1B23C4D, ">"), pcapng(link, some)]
    # Kuznetzov's format, which libpcap reads.
    plain.append(struct.pack("<IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65535, link)
                 + b"".join(struct.pack("<4I8x", 1, 2, len(f), len(f)) + f for f, _ in some))
    yield from plain
    for file in plain[:3]:
        yield gzip.compress(file, mtime=0)
        if shutil.which("zstd"):
            yield subprocess.run(["zstd", "-q", "-c"], input=file, stdout=subprocess.PIPE, check=True).stdout


def seeds():
    for path in sorted((ROOT / "captures").rglob("*.pcap")):
        link, found = frames(path)
        distinct, lengths = [], set()
        for frame in found:
            shape = (len(frame[0]) // 8, frame[0][12:14], layer4(frame[0])[0] if layer4(frame[0]) else 0)
            if shape not in lengths:
                lengths.add(shape)
                distinct.append(frame)
        for frame in distinct:
            yield "decode", script_of_frames(link, [frame])
            if link == 1:
                yield "etherparse", frame[0]
        if path.parent.name == "fragments":
            yield "decode", script_of_frames(link, found[:24])
        yield from (("readers", file) for file in readers_of(link, distinct[:3]))
        segments = []
        for frame, _ in found:
            inside = layer4(frame) if link == 1 else None
            if not inside or len(inside[1]) < 8 or 53 not in struct.unpack_from(">HH", inside[1]):
                continue
            protocol, octets = inside
            if protocol == 17:
                yield "dns", octets[8:]
            elif protocol == 6 and len(octets) >= 20:
                payload = octets[(octets[12] >> 4) * 4:]
                segments.append((octets, payload))
                if len(payload) > 14:
                    yield "dns", payload[2:]
        for at in range(0, len(segments), 8):
            yield "streams", script_of_segments(segments[at:at + 8])
    # Types that no capture has: DNAME, and services in alias form with hints.
    header = bytes.fromhex("1234818000010003000000000161046e6574730000010001")
    record = lambda owner, kind, data: owner + struct.pack(">HHIH", kind, 1, 60, len(data)) + data
    other, here = b"\x01b\x03org\x00", b"\xc0\x0c"
    yield "dns", header + record(b"\xc0\x0e", 39, other) + record(b"\x01a" + other, 1, b"\x01\x02\x03\x04") + record(here, 28, b" " * 16)
    hints = b"\0\x01\0" + b"\0\x01\0\x03\x02h2" + b"\0\x04\0\x04\x01\x02\x03\x04" + b"\0\x06\0\x10" + b" " * 16
    yield "dns", header + record(here, 65, b"\0\0" + other) + record(other, 65, hints) + record(here, 5, other)
    texts = list((ROOT / "config").glob("*.toml")) + list((ROOT / "tests/scenarios").rglob("*.toml"))
    for path in sorted(texts):
        yield "settings", path.read_bytes()
    for page in ("docs/settings.md", "README.md"):
        for text in (ROOT / page).read_text(encoding="utf8").split("```toml\n")[1:]:
            yield "settings", text.split("```")[0].encode()
    # One input for each setting of the manual's tables, with its default.
    section = ""
    for line in (ROOT / "docs/settings.md").read_text(encoding="utf8").splitlines():
        if line.startswith("#") and "[" in line:
            section = line[line.index("["):line.rindex("]") + 1].strip("`")
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) > 2:
            yield "settings", f"{section}\n{cells[0]} = {cells[1]}\n".encode()


def write(folder, octets):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(octets).hexdigest()).write_bytes(octets)


def main():
    match sys.argv[1:]:
        case ["seed", folder]:
            for target, octets in seeds():
                write(Path(folder) / target, octets[:LONGEST])
                if target == "dns":
                    write(Path(folder) / "domain", octets[:LONGEST])
        case ["unpack", file, folder]:
            data = Path(file).read_bytes()
            while data:
                (length,) = struct.unpack_from(">I", data)
                write(Path(folder), data[4:4 + length])
                data = data[4 + length:]
        case ["pack", folder, file, limit]:
            inputs = sorted({path.read_bytes() for path in Path(folder).iterdir()}, key=lambda octets: (len(octets), octets))
            packed = b""
            for octets in inputs:
                if len(packed) + 4 + len(octets) > int(limit):
                    break
                packed += struct.pack(">I", len(octets)) + octets
            Path(file).write_bytes(packed)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
