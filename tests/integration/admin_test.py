#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Topic administration with librdkafka's admin client (Debian's python3-confluent-kafka): topics are made, described,
changed, grown, deleted and made again, and all of it is there after a kill -9. Skipped (77) without the package."""
import os
import sys
import time

try:
    from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic
except ImportError:
    if os.path.realpath(sys.executable) != os.path.realpath('/usr/bin/python3') and os.path.exists('/usr/bin/python3'):
        os.execv('/usr/bin/python3', ['/usr/bin/python3'] + sys.argv)
    print('skipped: no confluent_kafka (Debian package python3-confluent-kafka)')
    sys.exit(77)

from leatd import Leatd

TIMEOUT = 30


def done(futures):
    """Results by key; an error is its Kafka code."""
    out = {}
    for key, future in futures.items():
        try:
            out[key] = future.result(TIMEOUT)
        except KafkaException as e:
            out[key] = e.args[0].name()
    return out


def produce(address, topic, values, **options):
    failed = []
    p = Producer({'bootstrap.servers': address, 'acks': 'all', **options})
    for v in values:
        p.produce(topic, v, partition=0, callback=lambda e, m: failed.append(e) if e else None)
    assert p.flush(TIMEOUT) == 0
    return [e.name() for e in failed]


def consume(address, topic, count):
    c = Consumer({'bootstrap.servers': address, 'group.id': 'none', 'auto.offset.reset': 'earliest',
                  'enable.auto.commit': False})
    c.assign([TopicPartition(topic, 0, 0)])
    out, limit = [], time.monotonic() + TIMEOUT
    while len(out) < count and time.monotonic() < limit:
        m = c.poll(0.2)
        if m is not None and m.error() is None:
            out.append(m.value())
    low, high = c.get_watermark_offsets(TopicPartition(topic, 0), timeout=TIMEOUT)
    c.close()
    return out, low, high


def topic_settings(admin, topic):
    r = ConfigResource(ConfigResource.Type.TOPIC, topic)
    return done(admin.describe_configs([r]))[r]


def creation(admin):
    got = done(admin.create_topics([
        NewTopic('a', 3, 1, config={'retention.ms': '60000', 'cleanup.policy': 'compact,delete'}),
        NewTopic('no/name', 1, 1), NewTopic('b', 0, 1), NewTopic('c', 1, 3),
        NewTopic('d', 1, 1, config={'retention.ms': 'soon'}), NewTopic('e', 1, 1, config={'retention': '1'}),
        NewTopic('f', replica_assignment=[[0], [0]], num_partitions=2)]))
    assert got == {'a': None, 'no/name': 'TOPIC_EXCEPTION', 'b': 'INVALID_PARTITIONS',
                   'c': 'INVALID_REPLICATION_FACTOR', 'd': 'INVALID_CONFIG', 'e': 'INVALID_CONFIG', 'f': None}, got
    assert done(admin.create_topics([NewTopic('a', 1, 1)])) == {'a': 'TOPIC_ALREADY_EXISTS'}
    assert done(admin.create_topics([NewTopic('x.y', 1, 1)])) == {'x.y': None}
    assert done(admin.create_topics([NewTopic('x_y', 1, 1)])) == {'x_y': 'TOPIC_EXCEPTION'}
    assert done(admin.create_topics([NewTopic('g', 2, 1)], validate_only=True)) == {'g': None}
    topics = admin.list_topics(timeout=TIMEOUT).topics
    assert sorted(topics) == ['a', 'f', 'x.y'], sorted(topics)
    assert len(topics['a'].partitions) == 3 and len(topics['f'].partitions) == 2
    assert all(p.leader == 0 and p.isrs == [0] and p.replicas == [0] for p in topics['a'].partitions.values())


def settings(admin):
    got = topic_settings(admin, 'a')
    assert got['retention.ms'].value == '60000' and got['retention.ms'].source == 1
    assert got['segment.bytes'].value == '1073741824' and got['segment.bytes'].source == 5
    assert got['cleanup.policy'].value == 'compact,delete'
    r = ConfigResource(ConfigResource.Type.TOPIC, 'a', set_config={'max.message.bytes': '2000'})
    assert done(admin.alter_configs([r]))[r] is None
    got = topic_settings(admin, 'a') # the older request puts back what it does not name
    assert got['max.message.bytes'].value == '2000' and got['retention.ms'].source == 5
    bad = ConfigResource(ConfigResource.Type.TOPIC, 'a', set_config={'max.message.bytes': '-1'})
    assert done(admin.alter_configs([bad]))[bad] == 'INVALID_CONFIG'
    none = ConfigResource(ConfigResource.Type.TOPIC, 'nobody', set_config={'retention.ms': '1'})
    assert done(admin.alter_configs([none]))[none] == 'UNKNOWN_TOPIC_OR_PART'
    broker = ConfigResource(ConfigResource.Type.BROKER, '0')
    got = done(admin.describe_configs([broker]))[broker]
    assert got['num.partitions'].value == '1' and got['log.retention.hours'].value == '168'


def settings_work(admin, address):
    assert produce(address, 'a', [b'x' * 5000]) == ['MSG_SIZE_TOO_LARGE']
    assert produce(address, 'a', [b'x' * 1000]) == []


def growth(admin):
    assert done(admin.create_partitions([NewPartitions('f', 5)])) == {'f': None}
    assert done(admin.create_partitions([NewPartitions('f', 5)])) == {'f': 'INVALID_PARTITIONS'}
    assert done(admin.create_partitions([NewPartitions('f', 4)])) == {'f': 'INVALID_PARTITIONS'}
    assert done(admin.create_partitions([NewPartitions('nobody', 4)])) == {'nobody': 'UNKNOWN_TOPIC_OR_PART'}
    assert len(admin.list_topics(timeout=TIMEOUT).topics['f'].partitions) == 5


def again(admin, address):
    """A topic made anew under its old name begins empty, however often."""
    for i in range(5):
        assert done(admin.create_topics([NewTopic('again', 1 + i, 1)])) == {'again': None}
        assert produce(address, 'again', [b'%d' % i]) == []
        assert consume(address, 'again', 1) == ([b'%d' % i], 0, 1)
        assert done(admin.delete_topics(['again'])) == {'again': None}
    assert done(admin.delete_topics(['again'])) == {'again': 'UNKNOWN_TOPIC_OR_PART'}
    assert 'again' not in admin.list_topics(timeout=TIMEOUT).topics


def main():
    with Leatd(os.path.abspath(sys.argv[1]), 'leat.shards=2') as broker:
        admin = AdminClient({'bootstrap.servers': broker.address})
        creation(admin)
        settings(admin)
        settings_work(admin, broker.address)
        growth(admin)
        again(admin, broker.address)
        assert produce(broker.address, 'made-by-asking', [b'1']) == []
        before = {n: len(t.partitions) for n, t in admin.list_topics(timeout=TIMEOUT).topics.items()}
        broker.kill()
        broker.start()
        admin = AdminClient({'bootstrap.servers': broker.address})
        after = {n: len(t.partitions) for n, t in admin.list_topics(timeout=TIMEOUT).topics.items()}
        assert before == after and after['f'] == 5 and after['made-by-asking'] == 1, (before, after)
        assert topic_settings(admin, 'a')['max.message.bytes'].value == '2000'
        assert consume(broker.address, 'made-by-asking', 1) == ([b'1'], 0, 1)
    print('topics are made, changed, deleted, and stay over a kill')


main()
