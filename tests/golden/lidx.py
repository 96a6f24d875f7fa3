#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden .lidx files from docs/formats/segment-index.md alone, sharing no code with the engine.
Usage: lidx.py OUT_DIR. The segments are those of tests/unit/index_segment.h."""
import pathlib
import struct
import sys

BLOCK, PER_PAGE, NONE = 65536, 126, 0xFFFFFFFF
TABLE = []
for n in range(256):
    for _ in range(8):
        n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
    TABLE.append(n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def batch(size, base, records, ms, salt):
    """A version 2 record batch, big-endian; the records are noise."""
    covered = struct.pack(">hiqqqhii", 0, records - 1, ms, ms, -1, -1, -1, records)
    covered += bytes((j * 31 + salt) & 0xFF for j in range(61, size))
    return struct.pack(">qiibI", base, size - 12, 3, 2, crc32c(covered)) + covered


def segment(base, parts):
    """The bytes, and (position, base offset, max timestamp) of each batch."""
    log, batches = bytearray(), []
    for size, records, ms, salt in parts:
        batches.append((len(log), base, ms))
        log += batch(size, base, records, ms, salt)
        base += records
    return bytes(log), batches


def entry(log, batches, start):
    block = log[start:start + BLOCK]
    inside = [b for b in batches if start <= b[0] < start + BLOCK]
    before = [b for b in batches if b[0] < start]
    first = inside[0] if inside else (NONE + start, before[-1][1], -1)
    return struct.pack("<IIqqII", crc32c(block), first[0] - start, first[1], max([b[2] for b in inside] or [-1]),
                       len(block), 0)


def lidx(base, log, batches):
    entries = [entry(log, batches, start) for start in range(0, len(log), BLOCK)]
    out = b""
    for number, first in enumerate(range(0, len(entries), PER_PAGE)):
        some = entries[first:first + PER_PAGE]
        head = struct.pack("<8sI", b"LEATLIDX", 1)
        tail = bytes(range(1, 17)) + struct.pack("<iIqI12x", 7, number, base, len(some)) + b"".join(some)
        tail = tail.ljust(4096 - 16, b"\0")
        out += head + struct.pack("<I", crc32c(head + bytes(4) + tail)) + tail
    return out


def golden_parts():
    total, k = 0, 0
    while total < 9 << 20:
        size = 300000 if k == 40 else 61 + k * 7919 % 40000
        yield size, 1 + k % 5, 1600000000000 + k * 37 % 1000, k
        total, k = total + size, k + 1


def main():
    out = pathlib.Path(sys.argv[1])
    assert crc32c(b"123456789") == 0xE3069283
    (out / "two_pages.bin").write_bytes(lidx(5000000000, *segment(5000000000, golden_parts())))
    (out / "one_batch.bin").write_bytes(lidx(0, *segment(0, [(100, 1, -1, 9)])))


main()
