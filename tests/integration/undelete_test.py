#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Undelete on the wire: what was deleted comes back byte for byte, by name or id, through kill -9 too; what cannot come
back is said. Data that the metadata does not mention lies in the quarantine. Standard library only.
Usage: undelete_test.py LEATD."""
import os
import shutil
import socket
import struct
import sys
import time

from leatd import Leatd

PRODUCE, FETCH, METADATA, CREATE_TOPICS, DELETE_TOPICS, DESCRIBE_CONFIGS = 0, 1, 3, 19, 20, 32
UNDELETE, LIST_DELETED, LIST_QUARANTINE = 10000, 10001, 10002
NONE, UNKNOWN_TOPIC, EXISTS, INVALID_REQUEST, STORAGE, UNKNOWN_ID = 0, 3, 36, 42, 56, 100
NO_ID = bytes(16)
PARTITIONS = 3


def text(s):
    return struct.pack('>h', len(s)) + s.encode()


def compact(s):
    return b'\0' if s is None else bytes([len(s) + 1]) + s.encode()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def batch(value):
    """One record; every length is below 64, so its zigzag varint is one byte."""
    record = bytes([0, 0, 0, 1, 2 * len(value)]) + value + b'\0'
    now = int(time.time() * 1000)
    tail = struct.pack('>hiqqqhii', 0, 0, now, now, -1, -1, -1, 1) + bytes([2 * len(record)]) + record
    after = struct.pack('>ibI', -1, 2, crc32c(tail)) + tail
    return struct.pack('>qi', 0, len(after)) + after


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        out = struct.unpack_from('>' + form, self.data, self.at)
        self.at += struct.calcsize('>' + form)
        return out if len(out) > 1 else out[0]

    def raw(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.raw(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def compact(self):
        n = self.uvarint()
        return None if n == 0 else self.raw(n - 1).decode()

    def tags(self):
        assert self.uvarint() == 0


class Client:
    def __init__(self, broker):
        self.s = socket.create_connection(('127.0.0.1', broker.port), timeout=60)

    def read(self, n):
        out = b''
        while len(out) < n:
            more = self.s.recv(n - len(out))
            assert more, 'the broker closed the connection'
            out += more
        return out

    def ask(self, key, version, body, flexible=False):
        data = struct.pack('>hhi', key, version, 7) + text('undelete') + (b'\0' if flexible else b'') + body
        self.s.sendall(struct.pack('>i', len(data)) + data)
        return Reader(self.read(struct.unpack('>i', self.read(4))[0])[5 if flexible else 4:])

    def create(self, name, **settings):
        body = struct.pack('>i', 1) + text(name) + struct.pack('>ihii', PARTITIONS, 1, 0, len(settings))
        for k, v in settings.items():
            body += text(k.replace('_', '.')) + text(v)
        r = self.ask(CREATE_TOPICS, 2, body + struct.pack('>ib', 30000, 0))
        r.raw(8 + 2 + len(name))
        code = r.take('h')
        assert code == NONE, code

    def delete(self, name):
        r = self.ask(DELETE_TOPICS, 1, struct.pack('>i', 1) + text(name) + struct.pack('>i', 30000))
        r.raw(8 + 2 + len(name))
        code = r.take('h')
        assert code == NONE, code

    def produce(self, name, partition, value):
        b = batch(value)
        body = struct.pack('>hhii', -1, -1, 5000, 1) + text(name) + struct.pack('>iii', 1, partition, len(b)) + b
        r = self.ask(PRODUCE, 3, body)
        r.raw(4 + 2 + len(name) + 8)
        code, offset = r.take('hq')
        assert code == NONE, code
        return offset

    def fetch(self, name, partition):
        """Error code, high watermark, bytes of all batches."""
        body = struct.pack('>iiiibi', -1, 100, 0, 1 << 20, 0, 1) + text(name)
        r = self.ask(FETCH, 4, body + struct.pack('>iiqi', 1, partition, 0, 1 << 20))
        r.raw(4 + 4 + 2 + len(name) + 8)
        code, end, _, _, size = r.take('hqqii')
        return code, end, r.raw(max(size, 0))

    def everything(self, name):
        out = [self.fetch(name, n) for n in range(PARTITIONS)]
        assert all(code == NONE for code, _, _ in out), [code for code, _, _ in out]
        return [(end, data) for _, end, data in out]

    def topic_id(self, name):
        r = self.ask(METADATA, 12, b'\x02' + NO_ID + compact(name) + b'\0' + b'\0\0\0', True)
        at = r.data.index(compact(name)) + len(name) + 1
        return r.data[at:at + 16]

    def setting(self, name, key):
        body = struct.pack('>ib', 1, 2) + text(name) + struct.pack('>i', 1) + text(key) + b'\0'
        r = self.ask(DESCRIBE_CONFIGS, 1, body)
        r.raw(8 + 2 + 2 + 1 + 2 + len(name) + 4 + 2 + len(key))
        return r.raw(r.take('h')).decode()

    def undelete(self, *topics):
        """Each topic: (name or None, id). Answers: (code, text, id)."""
        body = bytes([len(topics) + 1])
        for name, uuid in topics:
            body += compact(name) + uuid + b'\0'
        r = self.ask(UNDELETE, 0, body + b'\0', True)
        r.take('i')
        out = []
        for _ in range(r.uvarint() - 1):
            r.compact()
            uuid, code, why = r.raw(16), r.take('h'), r.compact()
            r.tags()
            out.append((code, why or '', uuid))
        return out if len(out) > 1 else out[0]

    def deleted(self, limit=1000):
        r = self.ask(LIST_DELETED, 0, struct.pack('>i', limit) + b'\0', True)
        _, code = r.take('ih')
        assert code == NONE and r.compact() is None
        total, out = r.take('i'), []
        for _ in range(r.uvarint() - 1):
            out.append((r.compact(), r.raw(16)) + r.take('iqq'))
            r.tags()
        assert total >= len(out)
        return out

    def quarantine(self, limit=1000):
        r = self.ask(LIST_QUARANTINE, 0, struct.pack('>i', limit) + b'\0', True)
        _, code = r.take('ih')
        assert code == NONE and r.compact() is None
        assert r.compact().endswith('data')
        total, out = r.take('i'), []
        for _ in range(r.uvarint() - 1):
            out.append((r.compact(), r.raw(16)) + r.take('iq'))
            r.tags()
        return total, out


def fill(c, name, count=5):
    for i in range(count * PARTITIONS):
        c.produce(name, i % PARTITIONS, b'%s %d' % (name.encode(), i))
    return c.everything(name)


def comes_back(broker):
    c = Client(broker)
    c.create('orders', retention_ms='123456789', cleanup_policy='delete')
    before, uuid = fill(c, 'orders'), c.topic_id('orders')
    began = int(time.time() * 1000)
    c.delete('orders')
    assert c.fetch('orders', 0)[0] == UNKNOWN_TOPIC
    (name, listed, partitions, deleted_ms, until_ms), = c.deleted()
    assert (name, listed, partitions) == ('orders', uuid, PARTITIONS)
    assert began - 1000 <= deleted_ms <= began + 60000 and until_ms == deleted_ms + 3600000
    assert c.undelete(('orders', NO_ID)) == (NONE, '', uuid)
    assert c.everything('orders') == before
    assert c.topic_id('orders') == uuid and c.deleted() == []
    assert c.setting('orders', 'retention.ms') == '123456789'
    assert c.produce('orders', 1, b'more') == 5
    code, why, _ = c.undelete(('orders', NO_ID))
    assert code == EXISTS and 'is there' in why, (code, why)


def through_kills(broker):
    before = Client(broker).everything('orders')
    Client(broker).delete('orders')
    broker.kill()  # most of the deletion is still to come
    broker.start()
    assert Client(broker).undelete(('orders', NO_ID))[0] == NONE
    assert Client(broker).everything('orders') == before
    broker.kill()
    broker.start()
    assert Client(broker).everything('orders') == before
    Client(broker).delete('orders')
    broker.stop()
    broker.start()
    c = Client(broker)
    assert c.undelete(('orders', NO_ID))[0] == NONE
    assert c.everything('orders') == before
    assert c.produce('orders', 1, b'still more') == 6


def name_taken(broker):
    c = Client(broker)
    c.create('twice')
    first, first_id = fill(c, 'twice', 3), c.topic_id('twice')
    c.delete('twice')
    c.create('twice')
    second, second_id = fill(c, 'twice', 1), c.topic_id('twice')
    assert second_id != first_id
    for wish in (('twice', NO_ID), (None, first_id)):
        code, why, _ = c.undelete(wish)
        assert code == EXISTS and 'exists' in why, (code, why)
    assert c.everything('twice') == second
    c.delete('twice')
    assert c.undelete(('twice', NO_ID)) == (NONE, '', second_id)  # the newest of that name
    assert c.everything('twice') == second
    c.delete('twice')
    assert c.undelete((None, first_id)) == (NONE, '', first_id)
    assert c.everything('twice') == first


def refusals(broker):
    c = Client(broker)
    answers = c.undelete(('nobody', NO_ID), (None, b'0123456789abcdef'), ('orders', b'0123456789abcdef'), (None, NO_ID),
                         ('', NO_ID))
    assert [a[0] for a in answers] == [UNKNOWN_TOPIC, UNKNOWN_ID, INVALID_REQUEST, INVALID_REQUEST, UNKNOWN_TOPIC], answers
    assert 'not among the deleted ones' in answers[0][1]
    many = c.undelete(*[('nobody', NO_ID)] * 101)
    assert all(a[0] == INVALID_REQUEST for a in many)
    assert len(c.deleted(1)) <= 1 and c.deleted(-1) == []
    c.create('pair')
    c.delete('pair')
    codes = sorted(a[0] for a in c.undelete(('pair', NO_ID), ('pair', NO_ID)))
    assert codes == [NONE, INVALID_REQUEST], codes


def not_whole(broker):
    """Somebody made room by hand: nothing is changed, nothing is invented."""
    c = Client(broker)
    c.create('half')
    fill(c, 'half')
    c.delete('half')
    trash = broker.dir / 'data' / 'trash'
    limit = time.monotonic() + 30
    while len(list(trash.glob('half-*'))) < PARTITIONS:
        assert time.monotonic() < limit
        time.sleep(0.05)
    shutil.rmtree(next(trash.glob('half-1.*')))
    code, why, _ = c.undelete(('half', NO_ID))
    assert code == STORAGE and '1 of 3 partitions are not in the trash' in why, (code, why)
    assert c.fetch('half', 0)[0] == UNKNOWN_TOPIC and any(row[0] == 'half' for row in c.deleted())


def strangers(broker):
    """The metadata is lost: nothing is deleted, all of it is named."""
    c = Client(broker)
    uuid = c.topic_id('orders')
    assert c.quarantine() == (0, [])
    broker.stop()
    shutil.rmtree(broker.dir / 'data' / '__metalog')
    broker.start()
    c = Client(broker)
    total, rows = c.quarantine()
    mine = sorted(row[2] for row in rows if row[1] == uuid)
    assert mine == list(range(PARTITIONS)) and total == len(rows), rows
    assert all(row[0].startswith('orders-') and row[3] > 0 for row in rows if row[1] == uuid), rows
    folder = broker.dir / 'data' / 'quarantine'
    assert all((folder / row[0] / 'partition.state').is_file() for row in rows), rows
    assert c.quarantine(1)[0] == total and len(c.quarantine(1)[1]) == 1
    c.create('orders')
    assert c.produce('orders', 0, b'anew') == 0


def too_late(program):
    with Leatd(program, 'leat.shards=2', 'leat.undelete.ms=1500') as broker:
        c = Client(broker)
        c.create('brief')
        before = fill(c, 'brief')
        c.delete('brief')
        assert c.undelete(('brief', NO_ID))[0] == NONE
        assert c.everything('brief') == before
        c.delete('brief')
        time.sleep(2)
        code, why, _ = c.undelete(('brief', NO_ID))
        assert code == UNKNOWN_TOPIC and 'leat.undelete.ms keeps it for 1 s' in why, (code, why)
        assert c.deleted() == []
    with Leatd(program, 'leat.shards=1', 'leat.undelete.ms=0') as broker:
        c = Client(broker)
        c.create('never')
        c.delete('never')
        code, why, _ = c.undelete(('never', NO_ID))
        assert code == UNKNOWN_TOPIC and 'not among the deleted ones' in why, (code, why)


def main():
    program = os.path.abspath(sys.argv[1])
    with Leatd(program, 'leat.shards=2') as broker:
        for case in (comes_back, through_kills, name_taken, refusals, not_whole, strangers):
            try:
                case(broker)
            except AssertionError as e:
                raise AssertionError(f'{case.__name__}: {e}') from e
    too_late(program)
    print('what was deleted came back')


main()
