# SPDX-License-Identifier: Apache-2.0
"""Kafka's protocol by hand, for tests that send what no client library would. Standard library only."""
import socket
import struct
import time

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, CREATE_TOPICS = 0, 1, 2, 3, 18, 19

CRC_TABLE = []
for byte in range(256):
    crc = byte
    for _ in range(8):
        crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    CRC_TABLE.append(crc)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xff]
    return crc ^ 0xffffffff


def raw_text(data):
    return struct.pack('>h', len(data)) + data


def text(s):
    return raw_text(s.encode())


def unsigned(n):
    """Unsigned varint."""
    out = b''
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def varint(n):
    return unsigned(n << 1 ^ n >> 63)


def frame(key, version, correlation, body=b'', flexible=False):
    data = struct.pack('>hhi', key, version, correlation) + text('hostile') + (b'\0' if flexible else b'') + body
    return struct.pack('>i', len(data)) + data


def record(value, key=None, offset_delta=0, time_delta=0):
    body = b'\0' + varint(time_delta) + varint(offset_delta)
    body += varint(-1) if key is None else varint(len(key)) + key
    body += varint(len(value)) + value + varint(0)
    return varint(len(body)) + body


def sealed(records, count, when, attributes=0, base_offset=0, producer=(-1, -1, -1), largest=None):
    """A batch around records that stand there as bytes, perhaps compressed."""
    tail = struct.pack('>hiqqqhii', attributes, count - 1, when, when if largest is None else largest, *producer, count)
    tail += records
    after = struct.pack('>ibI', -1, 2, crc32c(tail)) + tail
    return struct.pack('>qi', base_offset, len(after)) + after


def batch(value, when=None):
    return sealed(record(value), 1, int(time.time() * 1000) if when is None else when)


def produce(correlation, topic, partition, records, acks=-1, timeout_ms=5000):
    body = struct.pack('>hhii', -1, acks, timeout_ms, 1) + text(topic) + struct.pack('>iii', 1, partition, len(records))
    return frame(PRODUCE, 3, correlation, body + records)


def fetch(correlation, topic, partition, offset=0, replica=-1, max_wait_ms=0, min_bytes=1, max_bytes=50 << 20,
          partition_bytes=50 << 20):
    body = struct.pack('>iiiibi', replica, max_wait_ms, min_bytes, max_bytes, 0, 1) + text(topic)
    return frame(FETCH, 4, correlation, body + struct.pack('>iiqi', 1, partition, offset, partition_bytes))


class Client:
    def __init__(self, broker, timeout=5):
        self.s = socket.create_connection(('127.0.0.1', broker.port), timeout=timeout)

    def send(self, data):
        self.s.sendall(data)
        return self

    def read(self, n):
        data = bytearray()
        while len(data) < n:
            more = self.s.recv(min(n - len(data), 1 << 20))
            assert more, f'closed after {len(data)} of {n} bytes'
            data += more
        return bytes(data)

    def response(self):
        data = self.read(struct.unpack('>i', self.read(4))[0])
        return struct.unpack('>i', data[:4])[0], data[4:]

    def is_closed(self):
        try:
            return self.s.recv(1) == b''
        except ConnectionResetError:
            return True

    def answered_or_closed(self):
        """The answer's body; None: closed instead."""
        try:
            return self.response()[1]
        except (AssertionError, ConnectionResetError):
            return None

    def produced(self):
        """correlation, error, base offset of a one-partition answer in version 3"""
        correlation, data = self.response()
        at = 4 + 2 + struct.unpack('>h', data[4:6])[0] + 4 + 4
        return (correlation, *struct.unpack('>hq', data[at:at + 10]))

    def fetched(self):
        """error, high watermark, records of a one-partition answer in version 4"""
        _, data = self.response()
        at = 4 + 4 + 2 + struct.unpack('>h', data[8:10])[0] + 4 + 4
        error, high = struct.unpack('>hq', data[at:at + 10])
        aborted, = struct.unpack('>i', data[at + 18:at + 22])
        assert aborted <= 0, aborted
        size, = struct.unpack('>i', data[at + 22:at + 26])
        assert at + 26 + max(size, 0) == len(data), (size, len(data))
        return error, high, data[at + 26:]

    def offset_at(self, topic, partition, when):
        """error, timestamp, offset: ListOffsets version 1"""
        body = struct.pack('>ii', -1, 1) + text(topic) + struct.pack('>iiq', 1, partition, when)
        _, data = self.send(frame(LIST_OFFSETS, 1, 1, body)).response()
        return struct.unpack_from('>hqq', data, 4 + 2 + len(topic) + 4 + 4)

    def end(self, topic, partition):
        error, _, offset = self.offset_at(topic, partition, -1)
        assert error == 0, error
        return offset

    def create(self, name, partitions=1, **settings):
        """Error code; names may be any bytes."""
        name = name if isinstance(name, bytes) else name.encode()
        body = struct.pack('>i', 1) + raw_text(name) + struct.pack('>ihii', partitions, 1, 0, len(settings))
        for key, value in settings.items():
            body += text(key.replace('_', '.')) + text(value)
        _, data = self.send(frame(CREATE_TOPICS, 2, 1, body + struct.pack('>ib', 5000, 0))).response()
        return struct.unpack_from('>h', data, 8 + 2 + len(name))[0]


def healthy(broker):
    correlation, data = Client(broker).send(frame(API_VERSIONS, 0, 7)).response()
    assert correlation == 7 and data[:2] == b'\0\0', data[:2]


def resident_kib(broker):
    with open(f'/proc/{broker.process.pid}/status') as f:
        return int(next(line for line in f if line.startswith('VmRSS')).split()[1])
