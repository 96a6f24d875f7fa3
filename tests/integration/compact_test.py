#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compacted topics with real clients: many updates of few keys read back as the last value of each, old segments leave
the disk, tombstones have their time, records without a key are refused; over kill -9 in the middle of it and a clean
stop. Apache Kafka's DumpLogSegments reads the compacted files where KAFKA_LIBS names the folder of its jars.
Usage: compact_test.py LEATD LEAT. Skipped (77) without kcat."""
import base64
import glob
import os
import re
import shutil
import subprocess
import sys
import time

from leatd import Leatd

KEYS = 10
CLEANER = ('log.cleaner.backoff.ms=200',)


class Topic:
    """What was sent to it, and what must come back."""

    def __init__(self, broker, leat, name, *configs):
        self.broker, self.name, self.last, self.sent = broker, name, {}, 0
        command = [leat, '-b', broker.address, 'topic', 'create', name, '-p', '1']
        for config in ('cleanup.policy=compact', 'segment.bytes=1048576', 'min.cleanable.dirty.ratio=0.01', *configs):
            command += ['-c', config]
        subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)

    def produce(self, data, *options):
        command = ['kcat', '-P', '-b', self.broker.address, '-t', self.name, '-p', '0', '-X', 'acks=all', '-K', ':']
        return subprocess.run([*command, *options], input=data, timeout=120, capture_output=True, check=False)

    def update(self, count, *options, size=750):
        lines = []
        for _ in range(count):
            key, value = f'key{self.sent % KEYS}', f'{self.sent} {base64.b64encode(os.urandom(size)).decode()}'
            lines.append(f'{key}:{value}\n')
            self.last[key] = value
            self.sent += 1
        done = self.produce(''.join(lines).encode(), *options)
        assert done.returncode == 0, done.stderr

    def remove(self, key):
        done = self.produce(f'{key}:\n'.encode(), '-Z')
        assert done.returncode == 0, done.stderr
        self.last[key] = None
        self.sent += 1

    def read(self):
        """(offset, key, value or None) of every record, in order."""
        command = ['kcat', '-C', '-b', self.broker.address, '-t', self.name, '-p', '0', '-o', 'beginning', '-e', '-q',
                   '-f', '%o %S %k %s\n']
        out = subprocess.run(command, check=True, capture_output=True, timeout=120).stdout.decode()
        records = []
        for line in out.splitlines():
            offset, size, key, value = line.split(' ', 3)
            records.append((int(offset), key, None if size == '-1' else value))
        return records

    def check(self, gone=()):
        """The last value of each key is there; keys in `gone` are not."""
        records = self.read()
        assert [r[0] for r in records] == sorted(r[0] for r in records), 'offsets do not rise'
        found = {key: value for _, key, value in records}
        for key in gone:
            assert key not in found, f'{key} was removed'
        for key, value in self.last.items():
            right = key in gone or found.get(key, '') == value
            assert right, f'{key}: {str(found.get(key))[:40]}, not {str(value)[:40]}'
        return records

    def logs(self):
        return list((self.broker.dir / 'data' / f'{self.name}-0').glob('*.log'))

    def until(self, what, test, seconds=60):
        limit = time.monotonic() + seconds
        while not test():
            assert time.monotonic() < limit, f'{self.name}: {what}: not in {seconds} s'
            time.sleep(0.1)

    def until_compacted(self, records):
        self.until(f'at most {records} records', lambda: len(self.read()) <= records)


def last_values(broker, leat):
    for codec in ('none', 'zstd', 'gzip', 'lz4', 'snappy'):
        topic = Topic(broker, leat, f'last-{codec}')
        topic.update(6000, '-z', codec)
        topic.until_compacted(3000)
        records = topic.check()
        topic.until('old segments leave the disk', lambda t=topic: len(t.logs()) <= 4)
        print(f'{topic.name}: {topic.sent} updates, {len(records)} records left, {len(topic.logs())} segments')


def tombstones(broker, leat):
    topic = Topic(broker, leat, 'removed', 'delete.retention.ms=15000')
    topic.update(2000)
    for i in range(3):
        topic.remove(f'key{i}')
    topic.sent = 10 * (topic.sent // 10 + 1) + 3
    for _ in range(300):  # of other keys, so that the segment with the tombstones is closed
        topic.update(7)
        topic.sent += 3
    topic.until('tombstones alone', lambda: all(v is None for _, k, v in topic.read() if k in ('key0', 'key1', 'key2')))
    topic.check()
    time.sleep(15)
    for _ in range(300):
        topic.update(7)
        topic.sent += 3
    topic.until('no tombstones', lambda: not any(k in ('key0', 'key1', 'key2') for _, k, _ in topic.read()))
    topic.check(gone=('key0', 'key1', 'key2'))
    print('removed: tombstones had their time')


def no_key(broker, leat):
    topic = Topic(broker, leat, 'keys')
    command = ['kcat', '-P', '-b', broker.address, '-t', 'keys', '-p', '0', '-X', 'acks=all']
    done = subprocess.run(command, input=b'no key\n', capture_output=True, timeout=60, check=False)
    assert b'failed to validate record' in done.stderr or b'INVALID_RECORD' in done.stderr, done.stderr
    topic.update(1)
    assert len(topic.check()) == 1
    print('keys: a record without one is refused')


def killed(broker, leat):
    topic = Topic(broker, leat, 'killed')
    for round_ in range(6):
        topic.update(2500)
        time.sleep(0.15 * round_)
        broker.kill()
        broker.start()
        topic.check()
    topic.update(1500)
    topic.until_compacted(3000)
    broker.kill()
    broker.start()
    before = topic.check()
    broker.stop()
    broker.start()
    assert topic.check() == before, 'a clean stop changed the log'
    print(f'killed: {topic.sent} updates over 7 kills, {len(before)} records left')


def kafka_reads_it(broker, leat):
    """Base offsets, counts, CRCs and delete horizons of what compaction wrote, in Kafka's words."""
    libs = os.environ.get('KAFKA_LIBS')
    if libs is None or shutil.which('java') is None:
        print('dumped: skipped, no KAFKA_LIBS or no java')
        return
    for codec in ('none', 'zstd', 'lz4', 'gzip', 'snappy'):
        topic = Topic(broker, leat, f'dumped-{codec}')
        topic.update(3000, '-z', codec)
        for i in range(20):
            topic.remove(f'gone{i}')
        topic.update(4000, '-z', codec)
        topic.until_compacted(3000)
        topic.check()
    broker.stop()
    files = glob.glob(str(broker.dir / 'data' / 'dumped-*' / '*.[0-9]*.log'))
    assert len(files) >= 5, files
    out = subprocess.run(['java', '-Xmx256m', '-cp', os.path.join(libs, '*'), 'org.apache.kafka.tools.DumpLogSegments',
                          '--deep-iteration', '--files', ','.join(files)], capture_output=True, text=True,
                         stdin=subprocess.DEVNULL, check=False, timeout=120)
    text = out.stdout + out.stderr
    assert out.returncode == 0, text[-2000:]
    assert not re.search(r'isvalid: false|xception|corrupt|Found bytes', text), text[-2000:]
    batches, horizons = text.count('isvalid: true'), len(re.findall(r'deleteHorizonMs: OptionalLong\[\d+\]', text))
    assert batches >= 10 and horizons >= 5, (batches, horizons, text[:3000])
    print(f'dumped: {len(files)} files, {batches} batches sound to Kafka, {horizons} with a delete horizon')
    broker.start()


def main():
    program, leat = sys.argv[1:3]
    if shutil.which('kcat') is None:
        print('skipped: no kcat')
        return 77
    with Leatd(program, 'leat.shards=2', *CLEANER) as broker:
        for case in (last_values, tombstones, no_key, killed, kafka_reads_it):
            case(broker, leat)
    return 0


if __name__ == '__main__':
    sys.exit(main())
