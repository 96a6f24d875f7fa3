#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault catalogue that a client can bring about over the wire: bad input (B), clocks (C), too much of
something (R). Each case carries its row's id (docs/faults.md) and ends with a healthy connection being served.
Standard library only. Usage: rows_test.py LEATD [ROW ...]"""
import gzip
import os
import socket
import struct
import sys
import threading
import time
import zlib

from leatd import Leatd
from wire import (API_VERSIONS, CREATE_TOPICS, FETCH, METADATA, PRODUCE, Client, batch, crc32c, fetch, frame, healthy,
                  produce, record, resident_kib, sealed, text, unsigned, varint)

NONE, OFFSET_OUT_OF_RANGE, CORRUPT, UNKNOWN_TOPIC, TOO_LARGE, INVALID_TOPIC = 0, 1, 2, 3, 10, 17
INVALID_TIMESTAMP, UNSUPPORTED_VERSION, UNSUPPORTED_FORMAT, SESSION_NOT_FOUND, SESSION_EPOCH = 32, 35, 43, 70, 71
UNSUPPORTED_CODEC, INVALID_RECORD = 76, 87
EARLIEST = -2
FIND_COORDINATOR, JOIN_GROUP, SYNC_GROUP = 10, 11, 14


def now():
    return int(time.time() * 1000)


def b3(broker):
    """Counts that lie: the connection is closed, and memory is taken for what came only."""
    before = resident_kib(broker)
    for count in (unsigned(0xffffffff), b'\xff' * 5 + b'\x01', b'\xff' * 11, unsigned(1 << 31), unsigned(1_000_000)):
        client = Client(broker).send(frame(METADATA, 12, 1, count + b'\0' * 20, flexible=True))
        assert client.is_closed(), count
    for count in (-2, 0x7fffffff, 100_000_000):
        assert Client(broker).send(frame(METADATA, 1, 1, struct.pack('>i', count))).is_closed(), count
    assert Client(broker).send(frame(FETCH, 4, 1, struct.pack('>iiiibi', -1, 0, 1, 1, 0, -1))).is_closed(), 'null array'
    assert resident_kib(broker) - before < 64 << 10, resident_kib(broker) - before
    everything = Client(broker).send(frame(METADATA, 12, 1, b'\0\0\0\0', flexible=True)).response()[1]
    assert b'\x02t' in everything  # null: all topics


def b4(broker):
    """Tagged fields: counts and sizes beyond the frame close; a million unknown ones are read past."""
    body = b'\0\0\0'  # all topics; then the request's own tags
    for tags in (unsigned(1) + unsigned(7) + unsigned(0xffffffff), unsigned(1) + unsigned(7) + unsigned(100),
                 unsigned(0xffffffff), unsigned(2) + b'\x08\0', unsigned(1) + b'\xff' * 5 + b'\0'):
        assert Client(broker).send(frame(METADATA, 12, 1, body + tags, flexible=True)).is_closed(), tags
    many = b''.join(unsigned(n) + b'\0' for n in range(1, 1_000_001))
    begun = time.monotonic()
    Client(broker, timeout=30).send(frame(METADATA, 12, 1, body + unsigned(1_000_000) + many, flexible=True)).response()
    assert time.monotonic() - begun < 10


NAMES = [b'', b'.', b'..', b'a/b', b'../up', b'/etc', b'a\0b', b'\xff\xfe', b'caf\xc3\xa9', b'a b', b'x' * 250,
         b'x' * 10000]


def b5(broker):
    """Names that are none: an error for each, and no file is ever called so."""
    files = set(os.listdir(broker.dir / 'data'))
    for name in NAMES:
        client = Client(broker)
        assert client.create(name) == INVALID_TOPIC, name
        records = batch(b'v')
        body = struct.pack('>hhii', -1, -1, 5000, 1) + struct.pack('>h', len(name)) + name
        _, data = client.send(frame(PRODUCE, 3, 1, body + struct.pack('>iii', 1, 0, len(records)) + records)).response()
        error, = struct.unpack_from('>h', data, 4 + 2 + len(name) + 4 + 4)
        assert error in (UNKNOWN_TOPIC, INVALID_TOPIC), (name, error)
        _, data = client.send(frame(METADATA, 1, 1, struct.pack('>ih', 1, len(name)) + name)).response()
        at = len(data) - (2 + 2 + len(name) + 1 + 4)
        assert struct.unpack_from('>h', data, at)[0] in (UNKNOWN_TOPIC, INVALID_TOPIC), (name, data)
    new = set(os.listdir(broker.dir / 'data')) - files
    assert not new, new
    body = struct.pack('>ih', 1, -1) + struct.pack('>ihii', 1, 1, 0, 0) + struct.pack('>ib', 5000, 0)
    assert Client(broker).send(frame(CREATE_TOPICS, 2, 1, body)).is_closed(), 'a name that is null'


def b6(broker):
    """What is not known closes the connection; only ApiVersions is answered, in the oldest form."""
    assert Client(broker).send(frame(999, 0, 1)).is_closed()
    assert Client(broker).send(frame(-1, 0, 1)).is_closed()
    for version in (-1, 99, 0x7fff):
        assert Client(broker).send(frame(METADATA, version, 1)).is_closed(), version
        client = Client(broker).send(frame(API_VERSIONS, version, 5))
        correlation, data = client.response()
        assert correlation == 5 and struct.unpack('>h', data[:2])[0] == UNSUPPORTED_VERSION, (version, data)
        assert client.send(frame(API_VERSIONS, 0, 6)).response()[0] == 6  # kept


def refused(broker, cases):
    """Each (what, batch, error) is refused so, on one connection, and nothing is appended."""
    client = Client(broker)
    before = client.end('t', 0)
    for what, records, error in cases:
        _, code, offset = client.send(produce(1, 't', 0, records)).produced()
        assert code == error and offset == -1, (what, code, offset)
        assert client.end('t', 0) == before, what
    assert client.send(produce(1, 't', 0, batch(b'good'))).produced() == (1, NONE, before)


def changed(data, at, more, reseal=True):
    """The batch with some bytes of it replaced, the CRC made right again."""
    out = bytearray(data)
    out[at:at + len(more)] = more
    if reseal:
        out[17:21] = struct.pack('>I', crc32c(bytes(out[21:])))
    return bytes(out)


def b7(broker):
    good = batch(b'x')
    refused(broker, [
        ('CRC', changed(good, len(good) - 1, b'\xff', reseal=False), CORRUPT),
        ('CRC field', changed(good, 17, b'\0\0\0\0', reseal=False), CORRUPT),
        ('magic 0', changed(good, 16, b'\0', reseal=False), UNSUPPORTED_FORMAT),
        ('magic 1', changed(good, 16, b'\1', reseal=False), UNSUPPORTED_FORMAT),
        ('magic 3', changed(good, 16, b'\3', reseal=False), UNSUPPORTED_FORMAT),
        ('reserved bit', changed(good, 21, b'\x80\0'), UNSUPPORTED_FORMAT),
        *[(f'codec {n}', changed(good, 21, bytes([0, n])), UNSUPPORTED_CODEC) for n in (5, 6, 7)]])


def b8(broker):
    two = sealed(record(b'a') + record(b'b', offset_delta=1), 2, now())
    refused(broker, [
        ('last offset delta', changed(two, 23, struct.pack('>i', 5)), INVALID_RECORD),
        ('count 0', changed(two, 57, struct.pack('>i', 0)), INVALID_RECORD),
        ('count -1', changed(two, 57, struct.pack('>i', -1)), INVALID_RECORD),
        ('count 2^31-1', changed(two, 57, struct.pack('>i', 0x7fffffff)), INVALID_RECORD)])
    client = Client(broker)
    end = client.end('t', 0)
    mine = changed(changed(two, 0, struct.pack('>q', 77777)), 12, struct.pack('>i', 99))
    assert client.send(produce(1, 't', 0, mine)).produced() == (1, NONE, end)
    error, _, records = client.send(fetch(1, 't', 0, end)).fetched()
    base, _, epoch = struct.unpack_from('>qii', records)
    assert (error, base) == (NONE, end) and epoch != 99, (error, base, epoch)  # the leader's own stand there


def b9(broker):
    good = batch(b'x')
    refused(broker, [
        ('control batch', changed(good, 21, b'\0\x20'), INVALID_RECORD),
        ('transactional without a producer', changed(good, 21, b'\0\x10'), INVALID_RECORD),
        ('transactional', changed(changed(good, 21, b'\0\x10'), 43, struct.pack('>qhi', 1, 0, 0)), INVALID_RECORD),
        ('delete horizon', changed(good, 21, b'\0\x40'), INVALID_RECORD)])


def b10(broker):
    def one(body):
        return sealed(varint(len(body)) + body, 1, now())

    refused(broker, [
        ('a varint of 6 bytes', sealed(b'\x8c\x80\x80\x80\x80\0' + b'\0\0\0\1\1\0', 1, now()), INVALID_RECORD),
        ('key past the record', one(b'\0\0\0' + varint(1000) + varint(-1) + b'\0'), INVALID_RECORD),
        ('2^31-1 headers', one(b'\0\0\0' + varint(-1) + varint(-1) + varint(0x7fffffff)), INVALID_RECORD),
        ('offset deltas not rising', sealed(record(b'a') + record(b'b'), 2, now()), INVALID_RECORD),
        ('a byte behind the last record', sealed(record(b'a') + b'\0', 1, now()), INVALID_RECORD)])
    client = Client(broker)
    assert client.create('keyed', cleanup_policy='compact') == NONE
    assert client.send(produce(1, 'keyed', 0, batch(b'no key'))).produced()[1] == INVALID_RECORD


def b11(broker):
    """128 MiB of zeros in 128 KiB, plain and packed again, and sizes that are only claimed: refused with little memory."""
    before, begun = resident_kib(broker), time.monotonic()
    head = b'\0\0\0' + varint(-1) + varint(1 << 27)
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = pack.compress(varint(len(head) + (1 << 27) + 1) + head)
    bomb += b''.join(pack.compress(bytes(1 << 20)) for _ in range(128)) + pack.flush()
    inner = gzip.compress(bomb * 8, 9)
    raw_snappy = b'\xff\xff\xff\xff\x0f' + b'\0' * 64  # claims 4 GiB
    lz4 = bytes.fromhex('04224d1864407c') + struct.pack('<I', 0x7fffffff) + b'\0' * 64
    zstd = bytes.fromhex('28b52ffd') + b'\x00\xf8' + b'\0' * 64  # a window of 3 TiB
    client = Client(broker, timeout=60)
    end = client.end('t', 0)
    for codec, data in ((1, bomb), (1, inner), (2, raw_snappy), (3, lz4), (4, zstd)):
        _, code, _ = client.send(produce(1, 't', 0, sealed(data, 1, now(), attributes=codec))).produced()
        assert code in (CORRUPT, TOO_LARGE, INVALID_RECORD), (codec, code)
    assert client.end('t', 0) == end
    assert resident_kib(broker) - before < 200 << 10, resident_kib(broker) - before
    assert time.monotonic() - begun < 60


def b12(broker):
    whole = gzip.compress(record(b'abc'))
    refused(broker, [('cut', sealed(whole[:-9], 1, now(), attributes=1), CORRUPT),
                     ('bytes behind', sealed(whole + b'more', 1, now(), attributes=1), CORRUPT),
                     ('checksum', sealed(whole[:-5] + b'\0' * 5, 1, now(), attributes=1), CORRUPT),
                     ('nothing', sealed(b'', 1, now(), attributes=1), CORRUPT)])


def b13(broker):
    """Two batches in one partition's bytes are refused; one partition named twice is appended in the order of the
    request."""
    good = batch(b'x')
    refused(broker, [('two batches', good + good, INVALID_RECORD), ('no batch', b'', INVALID_RECORD)])
    client = Client(broker)
    end = client.end('t', 0)
    part = struct.pack('>ii', 0, len(good)) + good
    body = struct.pack('>hhii', -1, -1, 5000, 1) + text('t') + struct.pack('>i', 2) + part + part
    _, data = client.send(frame(PRODUCE, 3, 1, body)).response()
    at = 4 + 2 + 1 + 4
    answers = [struct.unpack_from('>ihqq', data, at + i * 22)[:3] for i in range(2)]
    assert answers == [(0, NONE, end), (0, NONE, end + 1)], answers


def b14(broker):
    """Fetch: sizes that make no sense, offsets that are not there."""
    client = Client(broker)
    end = client.end('t', 0)
    assert client.send(produce(1, 't', 0, batch(bytes(50000)))).produced()[1] == NONE
    for size in (0, -1, 1, 2**31 - 1, -2**31):
        sizes = {'min_bytes': size, 'max_bytes': size, 'partition_bytes': size}
        error, _, records = client.send(fetch(1, 't', 0, end, **sizes)).fetched()
        assert error == NONE and len(records) > 50000, (size, error, len(records))  # one batch at least
    for offset in (-1, -2**63, end + 2, 2**63 - 1):
        assert client.send(fetch(1, 't', 0, offset)).fetched()[0] == OFFSET_OUT_OF_RANGE, offset
    for partition in (-1, 99, 2**31 - 1, -2**31):
        assert client.send(fetch(1, 't', partition)).fetched()[0] == UNKNOWN_TOPIC, partition
    for wait in (-1, -2**31):
        assert client.send(fetch(1, 't', 0, end + 1, max_wait_ms=wait)).fetched()[2] == b''


def session_fetch(client, session, epoch, topics=b'\0\0\0\0'):
    """error, session: Fetch version 7"""
    body = struct.pack('>iiiibii', -1, 0, 1, 1 << 20, 0, session, epoch) + topics + struct.pack('>i', 0)
    _, data = client.send(frame(FETCH, 7, 1, body)).response()
    return struct.unpack_from('>hi', data, 4)


def b15(broker):
    """Sessions: forged ids and epochs; so many that they run out: then there is none, but data all the same."""
    one = struct.pack('>i', 1) + text('t') + struct.pack('>iiqqi', 1, 0, 0, -1, 1 << 20)
    client = Client(broker)
    for forged in (1, 12345, -7, 2**31 - 1):
        assert session_fetch(client, forged, 1)[0] == SESSION_NOT_FOUND, forged
    error, session = session_fetch(client, 0, 0, one)
    assert error == NONE and session != 0
    for epoch in (2, 77, 2**31 - 1):
        assert session_fetch(client, session, epoch)[0] == SESSION_EPOCH, epoch
    assert session_fetch(client, session, 1) == (NONE, session)
    made = [session_fetch(client, 0, 0, one) for _ in range(3000)]
    assert all(e == NONE for e, _ in made)
    assert sum(s != 0 for _, s in made) <= 2000, 'sessions without end'


def b16(broker):
    """Who calls itself a replica learns and changes nothing that a consumer could not."""
    client = Client(broker)
    end = client.end('t', 0)
    plain = client.send(fetch(1, 't', 0, max(end - 1, 0))).fetched()
    for replica in (0, 1, 5, -2, 2**31 - 1):
        forged = client.send(fetch(1, 't', 0, max(end - 1, 0), replica=replica)).fetched()
        assert forged == plain or (forged[0] != NONE and forged[2] == b''), (replica, forged[:2])
        assert client.send(fetch(1, 't', 0, end + 1000, replica=replica)).fetched()[0] != NONE, replica
        assert client.end('t', 0) == end
    assert client.offset_at('t', 0, EARLIEST)[::2] == (NONE, 0)


def b18(broker):
    """Bytes of group members are nobody's business: random ones come back as they were; absurd lengths close."""
    def member(group, blob):
        """Error, member id and what the leader is shown of itself: JoinGroup version 2."""
        body = text(group) + struct.pack('>ii', 10000, 10000) + text('') + text('consumer') + struct.pack('>i', 1) + text('p')
        body += struct.pack('>i', len(blob)) + blob
        limit = time.monotonic() + 60
        while True:
            client = Client(broker, timeout=30)
            client.send(frame(FIND_COORDINATOR, 0, 1, text(group))).response()  # makes the topic of the first one
            _, data = client.send(frame(JOIN_GROUP, 2, 1, body)).response()
            error, generation = struct.unpack_from('>hi', data, 4)
            if error == NONE or time.monotonic() > limit:
                break
            time.sleep(0.1)  # the coordinator is being made or loaded
        assert error == NONE, error
        at, parts = 10, []
        for _ in range(3):  # protocol, leader, member
            size, = struct.unpack_from('>h', data, at)
            parts.append(data[at + 2:at + 2 + size])
            at += 2 + size
        assert parts[0] == b'p' and parts[1] == parts[2], parts
        at += 4 + 2 + len(parts[2])  # one member, its id
        size, = struct.unpack_from('>i', data, at)
        assert data[at + 4:at + 4 + size] == blob, 'metadata came back changed'
        return client, generation, parts[2].decode()

    for i, size in enumerate((0, 1, 1000, 200_000)):
        blob = os.urandom(size)
        client, generation, me = member(f'group-{i}', blob)
        body = text(f'group-{i}') + struct.pack('>i', generation) + text(me) + struct.pack('>i', 1) + text(me)
        _, data = client.send(frame(SYNC_GROUP, 1, 2, body + struct.pack('>i', len(blob)) + blob)).response()
        error, back = struct.unpack_from('>hi', data, 4)
        assert error == NONE and back == len(blob) and data[10:] == blob, (error, back)
    for length in (-5, 0x7fffffff, 100):
        body = text('group-x') + struct.pack('>ii', 10000, 10000) + text('') + text('consumer') + struct.pack('>i', 1)
        assert Client(broker).send(frame(JOIN_GROUP, 2, 1, body + text('p') + struct.pack('>i', length))).is_closed()


def b19(broker):
    """10^5 requests in one go and nobody reads: bounded memory, then every answer in its order."""
    before, count = resident_kib(broker), 100_000
    client = Client(broker, timeout=60)
    data = b''.join(frame(API_VERSIONS, 0, i) for i in range(count))
    sender = threading.Thread(target=lambda: client.send(data))
    sender.start()
    time.sleep(1)
    healthy(broker)
    grown = resident_kib(broker) - before
    assert grown < 100 << 10, f'{grown} KiB'
    stream = client.s.makefile('rb', buffering=1 << 20)
    for i in range(count):
        size, correlation = struct.unpack('>ii', stream.read(8))
        assert correlation == i, (correlation, i)
        stream.read(size - 4)
    sender.join()


def b20(broker):
    """The same requests in one piece, byte by byte, and cut at every place: the same answers."""
    requests = [frame(API_VERSIONS, 0, 1), frame(METADATA, 1, 2, struct.pack('>i', 1) + text('t')),
                fetch(3, 't', 0, 0, max_bytes=1), frame(API_VERSIONS, 99, 4), produce(5, 'nobody', 0, batch(b'x'))]
    data = b''.join(requests)

    def answers(cuts):
        client = Client(broker)
        client.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for a, b in zip([0] + cuts, cuts + [len(data)]):
            client.send(data[a:b])
        return [client.response() for _ in requests]

    whole = answers([])
    assert answers(list(range(1, len(data)))) == whole
    for cut in range(1, len(data), 3):
        assert answers([cut]) == whole, cut


def c3(broker):
    """Client timestamps: what is too far ahead is refused, and what no difference fits; old and negative ones are taken
    (message.timestamp.before.max.ms has no limit by default, as in Apache Kafka), and retention is not confused."""
    client = Client(broker)
    hour = 3600 * 1000
    end = client.end('t', 1)
    for when in (now() + 2 * hour, 2**63 - 1, 2**63 - 10, -2**63, -2**62 * 2 + 5):
        _, code, _ = client.send(produce(1, 't', 1, batch(b'x', when))).produced()
        assert code == INVALID_TIMESTAMP, (when, code)
    assert client.end('t', 1) == end
    for when in (now() + hour // 2, -1, 0, 1, -2, -2**60, now() - 300 * 24 * hour):
        assert client.send(produce(1, 't', 1, batch(b'x', when))).produced()[1] == NONE, when
    assert client.end('t', 1) == end + 7
    assert client.offset_at('t', 1, EARLIEST) == (NONE, -1, 0)


def c7(broker):
    """Time 0, the ends of 32 bits in seconds and in milliseconds, a leap second: stored and found as they are."""
    client = Client(broker)
    assert client.create('times', message_timestamp_after_max_ms=str(2**63 - 1), retention_ms='-1') == NONE
    times = [0, 2**31 - 1, 2**31, 2**32 + 1, 1483228799999, 1483228800000, 2147483647000, 2147483648000, 4294967296000]
    for i, when in enumerate(times):
        assert client.send(produce(1, 'times', 0, batch(b'x', when))).produced() == (1, NONE, i)
    for i, when in enumerate(times):
        assert client.offset_at('times', 0, when) == (NONE, when, i), when
        if i > 0:
            assert client.offset_at('times', 0, times[i - 1] + 1) == (NONE, when, i), when
    assert client.offset_at('times', 0, times[-1] + 1) == (NONE, -1, -1)


def r1(leatd):
    """Many large batches at once, more than memory holds: reading stops in time, memory stays bounded, and whoever is
    sent away and tries again is served in the end. Each acknowledged batch has an offset of its own."""
    def one(i, broker, out):
        data = produce(i, 't', i % 4, payload, timeout_ms=60000)
        limit = time.monotonic() + 250
        while time.monotonic() < limit:
            try:
                out[i] = Client(broker, timeout=60).send(data).produced()
                return
            except (AssertionError, OSError):
                time.sleep(0.1)

    payload, count = batch(os.urandom(900_000)), 300
    with Leatd(leatd, 'leat.topics=t:4', 'leat.shards=1', 'leat.memory.bytes=256m') as broker:
        out, largest = {}, 0
        threads = [threading.Thread(target=one, args=(i, broker, out)) for i in range(count)]
        for t in threads:
            t.start()
        for t in threads:
            while t.is_alive():
                t.join(0.05)
                largest = max(largest, resident_kib(broker))
        assert sorted(out) == list(range(count)), f'{count - len(out)} were never served'
        assert all(out[i][:2] == (i, NONE) for i in range(count))
        assert len({(i % 4, out[i][2]) for i in range(count)}) == count
        assert largest < 700 << 10, f'{largest} KiB'  # the budget, and what ASan keeps of what was freed
        healthy(broker)


def r2(leatd):
    """More connections than allowed: those are closed at once, the others do not notice, and room is used again."""
    with Leatd(leatd, 'leat.topics=t:1', 'leat.shards=1', 'max.connections=20') as broker:
        first = [Client(broker) for _ in range(10)]
        for c in first:
            assert c.send(frame(API_VERSIONS, 0, 1)).response()[0] == 1
        crowd = [Client(broker) for _ in range(200)]
        for c in crowd[50:]:
            assert c.is_closed()
        for c in first:
            assert c.send(frame(API_VERSIONS, 0, 2)).response()[0] == 2
        for c in first + crowd:
            c.s.close()
        wait_until(lambda: served(broker), 'nobody is served after the crowd')
        assert 'connection.too_many' in broker.log.read_text()


def served(broker):
    try:
        healthy(broker)
        return True
    except (AssertionError, OSError):
        return False


def wait_until(what, text, seconds=20):
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit, text
        time.sleep(0.05)


def r3(leatd):
    """Consumers far behind that do not take what they asked for: bounded memory, and producers go on."""
    with Leatd(leatd, 'leat.topics=t:1', 'leat.shards=1', 'leat.memory.bytes=256m', 'log.segment.bytes=8388608') as broker:
        producer = Client(broker, timeout=30)
        payload = batch(os.urandom(900_000))
        for _ in range(60):
            assert producer.send(produce(1, 't', 0, payload)).produced()[1] == NONE
        slow = [Client(broker) for _ in range(300)]
        for c in slow:
            c.send(fetch(1, 't', 0, 0))
        time.sleep(1)
        for _ in range(20):
            begun = time.monotonic()
            assert producer.send(produce(1, 't', 0, batch(b'x'))).produced()[1] == NONE
            assert time.monotonic() - begun < 5
        assert resident_kib(broker) < 700 << 10, f'{resident_kib(broker)} KiB'
        for c in slow:
            c.s.close()


def r4(leatd):
    """Descriptors run out: accepting waits, open connections and files go on, and later all are served."""
    limit = ['sh', '-c', 'ulimit -n 400; exec "$@"', 'sh']
    with Leatd(leatd, 'leat.topics=t:1', 'leat.shards=1', 'log.segment.bytes=1048576', prefix=limit) as broker:
        producer = Client(broker)
        assert producer.send(produce(1, 't', 0, batch(b'x'))).produced()[1] == NONE
        crowd = [Client(broker) for _ in range(800)]
        time.sleep(0.5)
        assert 'connection.too_many' in broker.log.read_text(), 'the limit was not reached, nothing was tested'
        for _ in range(5):
            answer = producer.send(produce(1, 't', 0, batch(os.urandom(300_000)))).produced()
            assert answer[1] == NONE, answer
        assert producer.send(fetch(1, 't', 0)).fetched()[0] == NONE
        for c in crowd:
            c.s.close()
        wait_until(lambda: served(broker), 'nobody is served after the crowd')
        for i in range(10):  # enough for new segments
            assert producer.send(produce(i, 't', 0, batch(os.urandom(900_000)))).produced()[1] == NONE
        broker.stop()
        broker.start()
        assert Client(broker).end('t', 0) == 16


SHARED = [
    ("B3 counts that lie", b3),
    ("B4 tagged fields", b4),
    ("B5 names that are none", b5),
    ("B6 unknown keys and versions", b6),
    ("B7 CRC, magic, attributes", b7),
    ("B8 offsets and counts", b8),
    ("B9 control and transactional batches", b9),
    ("B10 records", b10),
    ("B11 bombs", b11),
    ("B12 compressed bytes", b12),
    ("B13 more than one batch", b13),
    ("B14 fetch sizes and offsets", b14),
    ("B15 fetch sessions", b15),
    ("B16 a forged replica id", b16),
    ("B18 bytes of group members", b18),
    ("B19 pipelining without reading", b19),
    ("B20 the same in any cuts", b20),
    ("C3 timestamps of clients", c3),
    ("C7 times at the ends", c7),
]
OWN = [
    ("R1 bytes in flight", r1),
    ("R2 too many connections", r2),
    ("R3 consumers that do not read", r3),
    ("R4 descriptors run out", r4),
]


def run(name, case, argument):
    begun = time.monotonic()
    try:
        case(argument)
    except AssertionError as e:
        raise AssertionError(f'{name}: {e}') from e
    print(f'ok {name} ({time.monotonic() - begun:.1f} s)', flush=True)


def main():
    leatd, wanted = os.path.abspath(sys.argv[1]), sys.argv[2:]

    def chosen(cases):
        return [(n, c) for n, c in cases if not wanted or n.split()[0] in wanted]

    with Leatd(leatd, 'leat.topics=t:4', 'leat.shards=2') as broker:
        for name, case in chosen(SHARED):
            run(name, case, broker)
            healthy(broker)
    for name, case in chosen(OWN):
        run(name, case, leatd)


main()
