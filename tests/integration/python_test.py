#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two Python clients against leatd: kafka-python (its own protocol code) and confluent-kafka (librdkafka). What one
writes the other reads: keys, headers, times, every codec that is there; topics made, described and deleted; offsets by
time. Usage: python_test.py LEATD. Skipped (77) without Debian's python3-kafka and python3-confluent-kafka."""
import os
import sys
import time

try:
    import confluent_kafka
    import confluent_kafka.admin
    import kafka
    import kafka.admin
    import kafka.errors
except ImportError as missing:
    if os.path.realpath(sys.executable) != os.path.realpath('/usr/bin/python3') and os.path.exists('/usr/bin/python3'):
        os.execv('/usr/bin/python3', ['/usr/bin/python3'] + sys.argv)
    print(f'skipped: {missing} (Debian packages python3-kafka, python3-confluent-kafka)')
    sys.exit(77)

from leatd import Leatd

COUNT, FIRST_MS, TIMEOUT = 500, 1_700_000_000_000, 30


def record(topic, i):
    """key, value, headers, time"""
    return b'key %d' % i, f'{topic} {i} '.encode() * (i % 20 + 1), [('number', b'%d' % i)], FIRST_MS + i


class Confluent:
    codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

    def __init__(self, address):
        self.address = address
        self.admin = confluent_kafka.admin.AdminClient({'bootstrap.servers': address})

    def create(self, topic):
        for f in self.admin.create_topics([confluent_kafka.admin.NewTopic(topic, 2, 1)]).values():
            f.result(TIMEOUT)

    def delete(self, topic):
        for f in self.admin.delete_topics([topic]).values():
            f.result(TIMEOUT)

    def topics(self):
        return {n: len(t.partitions) for n, t in self.admin.list_topics(timeout=TIMEOUT).topics.items()}

    def produce(self, topic, codec):
        told = {}

        def delivered(error, message):
            assert error is None, error
            told[int(message.key().split()[1])] = message.offset()

        p = confluent_kafka.Producer({'bootstrap.servers': self.address, 'compression.type': codec,
                                      'enable.idempotence': True, 'log_level': 3})
        for i in range(COUNT):
            key, value, headers, when = record(topic, i)
            p.produce(topic, value, key, partition=i % 2, on_delivery=delivered, timestamp=when, headers=headers)
        assert p.flush(TIMEOUT) == 0
        return told

    def consume(self, topic):
        c = confluent_kafka.Consumer({'bootstrap.servers': self.address, 'group.id': 'none', 'check.crcs': True,
                                      'enable.auto.commit': False})
        c.assign([confluent_kafka.TopicPartition(topic, p, 0) for p in range(2)])
        out, limit = {}, time.monotonic() + TIMEOUT
        while len(out) < COUNT and time.monotonic() < limit:
            m = c.poll(0.2)
            if m is not None and m.error() is None:
                out[(m.partition(), m.offset())] = (m.key(), m.value(), m.headers(), m.timestamp()[1])
        at = c.offsets_for_times([confluent_kafka.TopicPartition(topic, 1, FIRST_MS + 101)], TIMEOUT)[0].offset
        low, high = c.get_watermark_offsets(confluent_kafka.TopicPartition(topic, 0), TIMEOUT)
        c.close()
        return out, at, (low, high)


class KafkaPython:
    codecs = [c for c in ('none', 'gzip', 'snappy', 'lz4', 'zstd')
              if c == 'none' or getattr(kafka.codec, f'has_{c}')()]

    def __init__(self, address):
        self.address = address
        self.admin = kafka.admin.KafkaAdminClient(bootstrap_servers=address)

    def create(self, topic):
        self.admin.create_topics([kafka.admin.NewTopic(topic, 2, 1)])

    def delete(self, topic):
        self.admin.delete_topics([topic])

    def topics(self):
        return {t['topic']: len(t['partitions']) for t in self.admin.describe_topics()}

    def produce(self, topic, codec):
        p = kafka.KafkaProducer(bootstrap_servers=self.address, acks='all', retries=0,
                                compression_type=None if codec == 'none' else codec)
        sent = []
        for i in range(COUNT):
            key, value, headers, when = record(topic, i)
            sent.append(p.send(topic, value, key, headers, i % 2, when))
        p.flush(TIMEOUT)
        told = {i: f.get(TIMEOUT).offset for i, f in enumerate(sent)}
        p.close()
        return told

    def consume(self, topic):
        c = kafka.KafkaConsumer(bootstrap_servers=self.address, enable_auto_commit=False, check_crcs=True)
        parts = [kafka.TopicPartition(topic, p) for p in range(2)]
        c.assign(parts)
        c.seek_to_beginning()
        out, limit = {}, time.monotonic() + TIMEOUT
        while len(out) < COUNT and time.monotonic() < limit:
            for records in c.poll(200).values():
                for r in records:
                    out[(r.partition, r.offset)] = (r.key, r.value, r.headers, r.timestamp)
        at = c.offsets_for_times({parts[1]: FIRST_MS + 101})[parts[1]].offset
        ends = (c.beginning_offsets(parts)[parts[0]], c.end_offsets(parts)[parts[0]])
        c.close()
        return out, at, ends


def same(got, topic):
    out, at, ends = got
    assert len(out) == COUNT, f'{topic}: {len(out)} of {COUNT} records'
    for i in range(COUNT):
        assert out[(i % 2, i // 2)] == record(topic, i), (topic, i, out[(i % 2, i // 2)])
    assert at == 50, (topic, at)  # of partition 1 the record 101
    assert ends == (0, COUNT // 2), (topic, ends)


def main():
    with Leatd(os.path.abspath(sys.argv[1]), 'leat.shards=2') as broker:
        clients = {'confluent-kafka': Confluent(broker.address), 'kafka-python': KafkaPython(broker.address)}
        for name, writer in clients.items():
            for codec in writer.codecs:
                topic = f'{name}.{codec}'
                writer.create(topic)
                assert all(c.topics()[topic] == 2 for c in clients.values())
                assert writer.produce(topic, codec) == {i: i // 2 for i in range(COUNT)}
                readers = [r for r in clients.values() if codec in r.codecs]
                for reader in readers:
                    same(reader.consume(topic), topic)
                writer.delete(topic)
                assert all(topic not in c.topics() for c in clients.values())
                print(f'{name}, {codec}: {COUNT} records read by {len(readers)}')


main()
