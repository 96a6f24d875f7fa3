#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A consumer group while its broker is killed (kill -9) again and again and its members come, pause and go.

usage: groups_kill_test.py LEATD [--kills N]

An idempotent producer writes numbers over six partitions; members of one group read them, each commits as it goes.
Wrong is: an acknowledged number that nobody processed, a committed offset that is below one that was acknowledged, went
back, or lies beyond the log's end. exit 0: fine; 1: not; 77: python3-confluent-kafka is missing.
"""
import argparse
import os
import random
import sys
import threading
import time

try:
    from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient
except ImportError:
    if os.path.realpath(sys.executable) != os.path.realpath('/usr/bin/python3') and os.path.exists('/usr/bin/python3'):
        os.execv('/usr/bin/python3', ['/usr/bin/python3'] + sys.argv)
    print('skipped: no python3-confluent-kafka')
    sys.exit(77)

from leatd import Leatd

PARTITIONS, GROUP, TOPIC = 6, 'readers', 'numbers'


class Feed(threading.Thread):
    """Numbers, about 2,000 a second, until told to stop; `acked` are those that the broker has."""
    def __init__(self, address):
        super().__init__()
        self.producer = Producer({'bootstrap.servers': address, 'enable.idempotence': True, 'linger.ms': 5,
                                  'message.timeout.ms': 120000})
        self.acked, self.failed, self.stop = set(), [], threading.Event()

    def told(self, number, error):
        if error is None:
            self.acked.add(number)
        else:
            self.failed.append(str(error))

    def run(self):
        number = 0
        while not self.stop.is_set():
            for _ in range(20):
                self.producer.produce(TOPIC, b'%d' % number, partition=number % PARTITIONS,
                                      on_delivery=lambda e, m, n=number: self.told(n, e))
                number += 1
            self.producer.poll(0)
            time.sleep(0.01)
        assert self.producer.flush(120) == 0


class Member(threading.Thread):
    def __init__(self, address, name, book):
        super().__init__()
        self.book, self.name, self.leave, self.pause = book, name, threading.Event(), threading.Event()
        self.consumer = Consumer({'bootstrap.servers': address, 'group.id': GROUP, 'auto.offset.reset': 'earliest',
                                  'session.timeout.ms': 6000, 'heartbeat.interval.ms': 1000, 'client.id': name,
                                  'enable.auto.commit': False, 'max.poll.interval.ms': 10000,
                                  'partition.assignment.strategy': 'range'})

    def run(self):
        self.consumer.subscribe([TOPIC])
        count = 0
        while not self.leave.is_set():
            if self.pause.is_set():
                time.sleep(0.1)
                continue
            message = self.consumer.poll(0.2)
            if message is None or message.error():
                continue
            self.book.processed(int(message.value()))
            count += 1
            if count % 100 == 0:
                self.commit()
        self.commit()
        self.consumer.close()

    def commit(self):
        try:
            self.book.committed(self.consumer.commit(asynchronous=False))
        except KafkaException:
            pass  # a rebalance, or the broker is away: what was read comes once more


class Book:
    """What the members say: numbers processed, offsets whose commit was acknowledged."""
    def __init__(self):
        self.lock, self.numbers, self.offsets, self.commits = threading.Lock(), set(), [0] * PARTITIONS, 0

    def processed(self, number):
        with self.lock:
            self.numbers.add(number)

    def committed(self, partitions):
        with self.lock:
            for p in partitions or []:
                if p.error is None:
                    self.commits += 1
                    self.offsets[p.partition] = max(self.offsets[p.partition], p.offset)


def committed_offsets(address):
    """As the broker has them, by a client that is no member."""
    c = Consumer({'bootstrap.servers': address, 'group.id': GROUP})
    try:
        rows = c.committed([TopicPartition(TOPIC, n) for n in range(PARTITIONS)], timeout=30)
        ends = [c.get_watermark_offsets(TopicPartition(TOPIC, n), timeout=30)[1] for n in range(PARTITIONS)]
        assert all(r.error is None for r in rows), rows
        return [max(r.offset, 0) for r in rows], ends
    finally:
        c.close()


def check_offsets(address, book, before):
    with book.lock:
        least = list(book.offsets)  # acknowledged before this question was asked
    now, ends = committed_offsets(address)
    for n in range(PARTITIONS):
        assert now[n] >= least[n], f'partition {n}: committed {now[n]}, but {least[n]} was acknowledged'
        assert now[n] >= before[n], f'partition {n}: committed {now[n]} went back from {before[n]}'
        assert now[n] <= ends[n], f'partition {n}: committed {now[n]} is beyond the end {ends[n]}'
    return now


def run(broker, kills, random_):
    address = broker.address
    AdminClient({'bootstrap.servers': address}).list_topics(timeout=30)
    book, feed = Book(), Feed(address)
    members = [Member(address, f'member-{n}', book) for n in range(3)]
    feed.start()
    for m in members:
        m.start()
    before, made = [0] * PARTITIONS, len(members)
    for kill in range(kills):
        time.sleep(random_.uniform(1.0, 3.0))
        what = kill % 3
        if what == 1:  # one leaves, another comes
            members[0].leave.set()
            members.append(Member(address, f'member-{made}', book))
            made += 1
            members[-1].start()
            members.pop(0).join()
        elif what == 2:  # one is paused beyond its poll interval now and then
            members[-1].pause.set()
        broker.kill()
        broker.start()
        before = check_offsets(address, book, before)
        members[-1].pause.clear()
    feed.stop.set()
    feed.join()
    assert not feed.failed, feed.failed[:3]
    limit = time.monotonic() + 90
    while not feed.acked <= book.numbers and time.monotonic() < limit:
        time.sleep(0.2)
    missing = sorted(feed.acked - book.numbers)
    assert not missing, f'{len(missing)} acknowledged numbers were not processed, the first: {missing[:5]}'
    for m in members:
        m.leave.set()
    for m in members:
        m.join()
    check_offsets(address, book, before)
    print(f'ok {len(feed.acked)} numbers, {book.commits} commits, {kills} kills')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('leatd')
    parser.add_argument('--kills', type=int, default=6)
    parser.add_argument('--seed', type=int, default=os.getpid())
    args = parser.parse_args()
    print(f'--seed {args.seed}')
    with Leatd(os.path.abspath(args.leatd), f'leat.topics={TOPIC}:{PARTITIONS}', 'leat.shards=2',
               'group.initial.rebalance.delay.ms=0') as broker:
        run(broker, args.kills, random.Random(args.seed))


main()
