#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a broker must survive from the network: each case is one connection that misbehaves (or is merely unusual); then
a healthy one is still served. Standard library only. Usage: hostile_test.py LEATD."""
import os
import socket
import struct
import sys
import time

from leatd import Leatd
from wire import API_VERSIONS, METADATA, PRODUCE, Client, batch, fetch, frame, healthy, produce, resident_kib


def closes(what, data):
    def case(broker):
        assert Client(broker).send(data).is_closed(), f'{what}: not closed'
    case.__name__ = what
    return case


def cut_frames(broker):
    whole = frame(API_VERSIONS, 0, 1)
    for n in range(len(whole)):
        Client(broker).send(whole[:n]).s.close()


def claimed_length(broker):
    """35 MB claimed by each of 100 connections, 10 bytes sent: memory is taken and charged for what came only."""
    clients = [Client(broker).send(struct.pack('>i', 35_000_000) + b'x' * 10) for _ in range(100)]
    client = Client(broker)
    for i in range(3):  # from a full class nothing is read after the first
        assert client.send(frame(API_VERSIONS, 0, i)).response()[0] == i
    assert resident_kib(broker) < 1_000_000, f'{resident_kib(broker)} KiB'
    for c in clients:
        c.s.close()


def slow_bytes(broker):
    client = Client(broker)
    for byte in frame(API_VERSIONS, 0, 3):
        client.send(bytes([byte]))
        time.sleep(0.005)
    assert client.response()[0] == 3


def newer_api_versions(broker):
    correlation, data = Client(broker).send(frame(API_VERSIONS, 99, 5)).response()
    assert correlation == 5 and struct.unpack('>h', data[:2])[0] == 35, data


def only_advertised_keys(broker):
    """What ApiVersions does not name is not served, although it may well be decoded."""
    data = Client(broker).send(frame(API_VERSIONS, 0, 1)).response()[1]
    keys = [struct.unpack('>h', data[at:at + 2])[0] for at in range(6, len(data), 6)]
    assert len(keys) == struct.unpack('>i', data[2:6])[0] and keys == sorted(set(keys)), keys
    assert {PRODUCE, METADATA, API_VERSIONS} <= set(keys), keys
    for key in set(range(128)) - set(keys):
        assert Client(broker).send(frame(key, 1, 1)).is_closed(), key


def compact(s):
    return bytes([len(s) + 1]) + s


def misrouted(broker):
    """KIP-1242: a client that names this broker is served, one that means another node or cluster is sent back."""
    metadata = Client(broker).send(frame(METADATA, 2, 1, struct.pack('>i', 0))).response()[1]
    at = 4 + 4 + 2 + len('127.0.0.1') + 4 + 2  # one broker: id, host, port, null rack
    assert struct.unpack('>i', metadata[:4])[0] == 1 and metadata[at - 2:at] == b'\xff\xff', metadata
    cluster = metadata[at + 2:at + 2 + 22]
    node = struct.unpack('>i', metadata[4:8])[0]
    for name, number, error in [(b'\0', -1, 0), (b'\0', node + 1, 0), (compact(cluster), node, 0),
                                (compact(cluster), node + 1, 129), (compact(cluster), -1, 129),
                                (compact(b'other'), node, 129)]:
        body = b'\0' + compact(b'test') + compact(b'1') + name + struct.pack('>i', number) + b'\0'
        _, data = Client(broker).send(frame(API_VERSIONS, 5, 1, body)).response()
        assert struct.unpack('>h', data[:2])[0] == error and (data[2] > 1) == (error == 0), (name, number, data)


def half_closed(broker):
    client = Client(broker).send(frame(API_VERSIONS, 0, 1))
    client.s.shutdown(socket.SHUT_WR)
    assert client.response()[0] == 1 and client.is_closed()


def pipelined(broker):
    """300 produce requests at once, over partitions of both shards: answers in order, offsets in order."""
    count, parts = 300, 4
    client = Client(broker).send(b''.join(produce(i, 't', i % parts, batch(b'%d' % i)) for i in range(count)))
    first = {}
    for i in range(count):
        correlation, error, offset = client.produced()
        assert (correlation, error) == (i, 0), (correlation, error, i)
        part = i % parts
        assert offset == first.setdefault(part, offset) + i // parts, (i, offset)


def mixed_order(broker):
    client = Client(broker)
    everything = struct.pack('>i', -1)
    client.send(produce(1, 't', 0, batch(b'a')) + frame(METADATA, 1, 2, everything) + produce(3, 't', 1, batch(b'b')))
    assert [client.response()[0] for _ in range(3)] == [1, 2, 3]


def refused_batches(broker):
    good = batch(b'x')
    bad_crc = good[:-1] + bytes([good[-1] ^ 1])
    for records, error in [(bad_crc, 2), (good + good, 87), (b'', 87), (good[:30], None)]:
        _, code, _ = Client(broker).send(produce(1, 't', 0, records)).produced()
        assert code != 0 and (error is None or code == error), (len(records), code)
    assert Client(broker).send(produce(1, 'nobody', 0, good)).produced()[1] == 3
    assert Client(broker).send(produce(1, 't', 99, good)).produced()[1] == 3
    assert Client(broker).send(produce(1, 't', 0, good, acks=7)).produced()[1] == 21


def gone_in_the_middle(broker):
    for i in range(50):
        Client(broker).send(b''.join(produce(k, 't', k % 4, batch(b'z' * 1000)) for k in range(i))).s.close()


def stops_for_a_reader_that_does_not_read(broker):
    """A clean stop is not held by answers that nobody takes. The last case: it stops the broker."""
    big = batch(bytes(900000))
    for _ in range(45):
        assert Client(broker).send(produce(1, 'big', 0, big)).produced()[1] == 0
    client = Client(broker)
    client.send(b''.join(fetch(i, 'big', 0) for i in range(8)))
    time.sleep(0.5)
    broker.stop()
    client.s.close()


CASES = [
    closes('B1 length 0', struct.pack('>i', 0)),
    closes('B1 length negative', struct.pack('>i', -5)),
    closes('B2 length huge', struct.pack('>i', 0x7fffffff)),
    closes('TLS hello', bytes.fromhex('16030100c8010000c40303') + bytes(64)),
    closes('HTTP', b'GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    closes('unknown key', frame(999, 0, 1)),
    closes('unsupported version', frame(METADATA, 99, 1)),
    closes('malformed body', frame(METADATA, 1, 1, struct.pack('>i', 0x7ffffff0))),
    closes('acks=0 refused', produce(1, 't', 0, b'garbage', acks=0)),
    cut_frames, claimed_length, slow_bytes, newer_api_versions, only_advertised_keys, misrouted, half_closed,
    pipelined, mixed_order, refused_batches, gone_in_the_middle,
]


def main():
    with Leatd(os.path.abspath(sys.argv[1]), 'leat.topics=t:4,big:1', 'leat.shards=2') as broker:
        for case in CASES:
            case(broker)
            healthy(broker)
            print('ok', case.__name__)
        stops_for_a_reader_that_does_not_read(broker)
        assert 'drain.late' in broker.log.read_text()
        broker.start()
        healthy(broker)


main()
