#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Answers in which Leat once differed from Apache Kafka, found with clients of others, asked for on the wire.
Standard library only. Usage: answers_test.py LEATD."""
import os
import socket
import struct
import sys
import time

from leatd import Leatd

PRODUCE, LIST_OFFSETS, METADATA, CREATE_TOPICS, DELETE_RECORDS, EPOCH_END, INCREMENTAL_ALTER = 0, 2, 3, 19, 21, 23, 44
NONE, UNKNOWN_TOPIC, INVALID_TOPIC, POLICY_VIOLATION, INVALID_RECORD, UNKNOWN_TOPIC_ID = 0, 3, 17, 44, 87, 100
TOPIC, SET = 2, 0


def text(s):
    return struct.pack('>h', len(s)) + s.encode()


def compact(s):
    return bytes([len(s) + 1]) + s.encode()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def batch(key):
    """One record, value "v"; every length is below 64, so its zigzag varint is one byte."""
    record = bytes([0, 0, 0]) + (bytes([1]) if key is None else bytes([2 * len(key)]) + key) + b'\x02v\0'
    now = int(time.time() * 1000)
    tail = struct.pack('>hiqqqhii', 0, 0, now, now, -1, -1, -1, 1) + bytes([2 * len(record)]) + record
    after = struct.pack('>ibI', -1, 2, crc32c(tail)) + tail
    return struct.pack('>qi', 0, len(after)) + after


class Client:
    def __init__(self, port):
        self.s = socket.create_connection(('127.0.0.1', port), timeout=10)

    def read(self, n):
        out = b''
        while len(out) < n:
            more = self.s.recv(n - len(out))
            assert more, 'the broker closed the connection'
            out += more
        return out

    def ask(self, key, version, body, flexible=False):
        data = struct.pack('>hhi', key, version, 7) + text('answers') + (b'\0' if flexible else b'') + body
        self.s.sendall(struct.pack('>i', len(data)) + data)
        return self.read(struct.unpack('>i', self.read(4))[0])[5 if flexible else 4:]

    def create(self, name, **settings):
        body = struct.pack('>i', 1) + text(name) + struct.pack('>ihii', 1, 1, 0, len(settings))
        for k, v in settings.items():
            body += text(k.replace('_', '.')) + text(v)
        a = self.ask(CREATE_TOPICS, 2, body + struct.pack('>ib', 5000, 0))
        assert struct.unpack_from('>h', a, 8 + 2 + len(name))[0] == NONE, a

    def produce(self, name, key):
        b = batch(key)
        body = struct.pack('>hhii', -1, -1, 5000, 1) + text(name) + struct.pack('>iii', 1, 0, len(b)) + b
        return struct.unpack_from('>hq', self.ask(PRODUCE, 3, body), 4 + 2 + len(name) + 8)

    def metadata_by_id(self, uuid, name):
        """Error code, name, id."""
        body = b'\x02' + uuid + (b'\0' if name is None else compact(name)) + b'\0' + b'\0\0\0'
        a = self.ask(METADATA, 12, body, True)
        at = a.index(uuid) # it stands after error and name
        head = a[:at]
        if head.endswith(b'\0'): # null
            return struct.unpack('>h', head[-3:-1])[0], None
        n = max(i for i in range(len(head)) if head[i] == len(head) - i)
        return struct.unpack('>h', head[n - 2:n])[0], head[n + 1:].decode()

    def topic_id(self, name):
        a = self.ask(METADATA, 12, b'\x02' + bytes(16) + compact(name) + b'\0' + b'\0\0\0', True)
        at = a.index(compact(name)) + len(name) + 1
        return a[at:at + 16]

    def delete_records(self, name, offset):
        body = struct.pack('>i', 1) + text(name) + struct.pack('>iiqi', 1, 0, offset, 5000)
        return struct.unpack_from('>qh', self.ask(DELETE_RECORDS, 1, body), 8 + 2 + len(name) + 8)

    def offsets(self, name, when, version=4):
        """Error code, timestamp, offset, leader epoch."""
        if version >= 6:
            body = struct.pack('>ib', -1, 0) + b'\x02' + compact(name) + b'\x02' + struct.pack('>iiq', 0, -1, when)
            a = self.ask(LIST_OFFSETS, version, body + b'\0\0' + struct.pack('>i', 5000) + b'\0', True)
            return struct.unpack_from('>hqqi', a, 4 + 1 + 1 + len(name) + 1 + 4)
        body = struct.pack('>ibi', -1, 0, 1) + text(name) + struct.pack('>iiiq', 1, 0, -1, when)
        return struct.unpack_from('>hqqi', self.ask(LIST_OFFSETS, 4, body), 8 + 2 + len(name) + 8)

    def epoch_end(self, name, epoch):
        """Error code, epoch, end offset."""
        body = struct.pack('>ii', -1, 1) + text(name) + struct.pack('>iiii', 1, 0, -1, epoch)
        code, _, found, end = struct.unpack_from('>hiiq', self.ask(EPOCH_END, 3, body), 8 + 2 + len(name) + 4)
        return code, found, end

    def alter(self, kind, name, key, value):
        body = struct.pack('>ib', 1, kind) + text(name) + struct.pack('>i', 1) + text(key) + bytes([SET]) + text(value)
        return struct.unpack_from('>h', self.ask(INCREMENTAL_ALTER, 0, body + b'\0'), 8)[0]


def topic_by_id(c):
    """Java's admin client sends an empty name beside the id, others send null."""
    c.create('ids')
    uuid = c.topic_id('ids')
    assert c.metadata_by_id(uuid, '') == (NONE, 'ids'), c.metadata_by_id(uuid, '')
    assert c.metadata_by_id(uuid, None) == (NONE, 'ids')
    assert c.metadata_by_id(b'0123456789abcdef', '') == (UNKNOWN_TOPIC_ID, None)


def compacted_topics_need_keys(c):
    c.create('compacted', cleanup_policy='compact')
    c.create('both', cleanup_policy='compact,delete')
    c.create('plain')
    for name in ('compacted', 'both'):
        assert c.produce(name, None) == (INVALID_RECORD, -1), name
        assert c.produce(name, b'k') == (NONE, 0), name
    assert c.produce('plain', None) == (NONE, 0)


def deleted_records(c):
    assert c.delete_records('compacted', 1)[1] == POLICY_VIOLATION
    assert c.delete_records('both', 1) == (1, NONE)
    c.create('no-policy', cleanup_policy='')
    assert c.produce('no-policy', None) == (NONE, 0)
    assert c.delete_records('no-policy', 1) == (1, NONE)


def special_offsets(c):
    c.create('empty')
    assert c.offsets('empty', -2) == (NONE, -1, 0, 0), c.offsets('empty', -2)
    assert c.offsets('plain', -2) == (NONE, -1, 0, 0)
    assert c.offsets('plain', -4, 8) == (NONE, -1, 0, 0)
    assert c.offsets('plain', -5, 11)[:3] == (NONE, -1, -1)
    assert c.offsets('plain', -6, 11)[:3] == (NONE, -1, -1)


def first_epoch(c):
    assert c.epoch_end('empty', 0) == (NONE, 0, 0), c.epoch_end('empty', 0)
    assert c.epoch_end('plain', 0) == (NONE, 0, 1), c.epoch_end('plain', 0)
    assert c.epoch_end('plain', 1) == (NONE, -1, -1)


def refused_settings(c):
    assert c.alter(TOPIC, 'a b', 'retention.ms', '5') == INVALID_TOPIC
    assert c.alter(TOPIC, 'nobody', 'retention.ms', '5') == UNKNOWN_TOPIC


def main():
    with Leatd(os.path.abspath(sys.argv[1]), 'leat.shards=2') as broker:
        for case in (topic_by_id, compacted_topics_need_keys, deleted_records, special_offsets, first_epoch,
                     refused_settings):
            try:
                case(Client(broker.port))
            except AssertionError as e:
                raise AssertionError(f'{case.__name__}: {e}') from e
    print('answers are those of Apache Kafka')


main()
