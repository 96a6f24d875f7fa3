#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Classic consumer groups with librdkafka's consumer (Debian's python3-confluent-kafka), each member a process of its
own: members share the partitions, a broker that stops or is killed starts no rebalance, a static member that dies and
comes again keeps its place, the partitions of a dead one are taken over, and a new group member goes on at the
committed offsets. Usage: group_test.py LEATD. Skipped (77) without the package."""
import os
import signal
import subprocess
import sys
import time

try:
    from confluent_kafka import Consumer, KafkaError, Producer
except ImportError:
    if os.path.realpath(sys.executable) != os.path.realpath('/usr/bin/python3') and os.path.exists('/usr/bin/python3'):
        os.execv('/usr/bin/python3', ['/usr/bin/python3'] + sys.argv)
    print('skipped: no confluent_kafka (Debian package python3-confluent-kafka)')
    sys.exit(77)

from leatd import Leatd

PARTITIONS = 4
SESSION_MS, STATIC_SESSION_MS = 3000, 20000


def member(address, instance):
    """A process: prints 'assign N', 'revoke N' and 'got VALUE'; ends on SIGTERM."""
    ends = []
    signal.signal(signal.SIGTERM, lambda *_: ends.append(1))
    config = {'bootstrap.servers': address, 'group.id': 'g', 'auto.offset.reset': 'earliest',
              'auto.commit.interval.ms': 200, 'heartbeat.interval.ms': 500, 'reconnect.backoff.max.ms': 500,
              'session.timeout.ms': STATIC_SESSION_MS if instance else SESSION_MS}
    if instance:
        config['group.instance.id'] = instance
    c = Consumer(config)
    c.subscribe(['t'], on_assign=lambda _, p: print('assign', len(p), flush=True),
                on_revoke=lambda _, p: print('revoke', len(p), flush=True))
    while not ends:
        m = c.poll(0.1)
        if m is not None and m.error() is None:
            print('got', m.value().decode(), flush=True)
        elif m is not None and m.error().code() == KafkaError._FATAL:
            print('fatal', m.error(), flush=True)
            break
    c.close()


class Member:
    started = []

    def __init__(self, broker, name, instance=''):
        self.path = broker.dir / f'{name}.txt'
        with open(self.path, 'wb') as out, open(broker.dir / f'{name}.err', 'wb') as err:
            self.process = subprocess.Popen([sys.executable, __file__, '--member', broker.address, instance],
                                            stdout=out, stderr=err)
        Member.started.append(self.process)

    def lines(self, *words):
        return [x.split(' ', 1)[1] for x in self.path.read_text().splitlines() if x.split(' ', 1)[0] in words]

    def got(self):
        return self.lines('got')

    def changes(self):
        """How many partitions at each rebalance: assigned above 0, revoked below."""
        words = [x.split(' ') for x in self.path.read_text().splitlines() if x.startswith(('assign', 'revoke'))]
        return [int(n) if what == 'assign' else -int(n) for what, n in words]

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait(30)


def until(what, check, limit=30):
    end = time.monotonic() + limit
    while not check():
        assert time.monotonic() < end, f'not in {limit} s: {what}'
        time.sleep(0.05)
    print(what)


class Sent:
    """Values 0, 1, ... over all partitions, each acknowledged."""
    def __init__(self, broker):
        self.broker, self.count = broker, 0

    def more(self, count):
        failed = []
        p = Producer({'bootstrap.servers': self.broker.address, 'acks': 'all'})
        for i in range(count):
            p.produce('t', str(self.count + i), partition=i % PARTITIONS,
                      callback=lambda e, m: failed.append(e) if e else None)
        assert p.flush(30) == 0 and not failed, failed
        self.count += count


def everything(sent, members):
    return lambda: {int(x) for m in members for x in m.got()} == set(range(sent.count))


def run(broker):
    sent = Sent(broker)
    sent.more(40)
    a, b = Member(broker, 'a'), Member(broker, 'b', 'static')
    members = [a, b]
    until('two members share the partitions', lambda: a.changes()[-1:] == b.changes()[-1:] == [2])
    until('and have every message', everything(sent, members))
    before = (a.changes(), b.changes())

    broker.stop()
    broker.start()
    sent.more(40)
    until('all messages after a clean stop', everything(sent, members))
    broker.kill()
    broker.start()
    sent.more(40)
    until('all messages after kill -9 of the broker', everything(sent, members))
    time.sleep(2 * SESSION_MS / 1000)  # whoever had to rejoin would have by now
    assert (a.changes(), b.changes()) == before, f'a restart started a rebalance: {a.changes()} {b.changes()}'
    print('neither started a rebalance')

    b.end(signal.SIGKILL)
    again = Member(broker, 'b again', 'static')
    members.append(again)
    until('the static member is back in its place', lambda: again.changes() == [2])
    sent.more(40)
    until('all messages', everything(sent, members))
    assert a.changes() == before[0], f'its coming started a rebalance: {a.changes()}'

    a.end(signal.SIGKILL)
    until('the partitions of a dead member are taken over', lambda: again.changes() == [2, -2, 4])
    sent.more(40)
    until('all messages', everything(sent, members))
    time.sleep(1)  # they are committed
    again.end(signal.SIGTERM)

    last = Member(broker, 'last', 'static')
    until('a static member that closed keeps its place too', lambda: last.changes() == [4])
    sent.more(4)
    until('and goes on at the committed offsets', lambda: len(last.got()) >= 4)
    time.sleep(0.5)
    assert sorted(map(int, last.got())) == list(range(sent.count - 4, sent.count)), last.got()
    last.end(signal.SIGTERM)


def main():
    with Leatd(sys.argv[1], f'num.partitions={PARTITIONS}', 'group.initial.rebalance.delay.ms=1000',
               'group.min.session.timeout.ms=1000') as broker:
        try:
            run(broker)
        finally:
            for process in Member.started:
                process.kill()
                process.wait()
    return 0


if __name__ == '__main__':
    if sys.argv[1] == '--member':
        member(sys.argv[2], sys.argv[3])
    else:
        sys.exit(main())
