#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kcat against leatd: what goes in comes out, byte for byte, per codec, over partitions of two shards, with an
idempotent producer, over a clean stop and over a kill -9 in the middle. Usage: kcat_test.py LEATD. Skipped (77) without kcat."""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

from leatd import Leatd

CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']


def sha(data):
    return hashlib.sha256(data).hexdigest()


def lines(count, seed):
    return b''.join(f'{seed} {i} {sha(str((seed, i)).encode())}\n'.encode() for i in range(count))


def produce(broker, topic, data, *options, partition=0):
    command = ['kcat', '-P', '-b', broker.address, '-t', topic, '-p', str(partition), '-X', 'acks=all', *options]
    subprocess.run(command, input=data, check=True, timeout=120)


def consume(broker, topic, partition=0):
    command = ['kcat', '-C', '-b', broker.address, '-t', topic, '-p', str(partition), '-o', 'beginning', '-e', '-q']
    return subprocess.run(command, check=True, capture_output=True, timeout=120).stdout


def same(what, got, wanted):
    assert sha(got) == sha(wanted), f'{what}: {len(got)} bytes came out, {len(wanted)} went in, or they differ'
    print(f'{what}: {len(got)} bytes equal')


def codecs(broker):
    for codec in CODECS:
        data = lines(20000, codec)
        produce(broker, codec, data, '-z', codec)
        same(codec, consume(broker, codec), data)


def partitions(broker):
    wanted = [lines(2000, f'partition {p}') for p in range(6)]
    for p in range(6):
        produce(broker, 'spread', wanted[p], '-X', 'enable.idempotence=true', partition=p)
    for p in range(6):
        same(f'spread-{p}', consume(broker, 'spread', p), wanted[p])


def restart(broker):
    broker.stop()
    broker.start()
    for codec in CODECS:
        same(f'{codec} after a clean stop', consume(broker, codec), lines(20000, codec))


def killed(broker):
    """kill -9 while kcat sends (it gives up then): everything it was told is delivered is there, in order, nothing
    doubled; the rest, sent again, makes it whole."""
    data = lines(60000, 'killed')
    half = len(data) // 2
    with open(broker.dir / 'kcat.txt', 'wb') as told:
        kcat = subprocess.Popen(['kcat', '-P', '-vvv', '-b', broker.address, '-t', 'killed', '-p', '0', '-X', 'acks=all',
                                 '-X', 'enable.idempotence=true', '-X', 'batch.num.messages=200'],
                                stdin=subprocess.PIPE, stderr=told)
        kcat.stdin.write(data[:half])
        kcat.stdin.flush()
        limit = time.monotonic() + 30
        while b'delivered' not in (broker.dir / 'kcat.txt').read_bytes() and time.monotonic() < limit:
            time.sleep(0.001)
        broker.kill()
        try:
            kcat.communicate(data[half:], timeout=60)
        except BrokenPipeError:
            kcat.wait(timeout=60)
    report = (broker.dir / 'kcat.txt').read_text(errors='replace')
    delivered = [int(n) for n in re.findall(r'Message delivered.*?\(offset (\d+)\)', report)]
    broker.start()
    got = consume(broker, 'killed')
    assert data.startswith(got) and (got == b'' or got.endswith(b'\n')), 'what is there is no beginning of what was sent'
    stored = got.count(b'\n')
    assert delivered, 'the kill came before the first delivery, nothing was tested'
    assert stored > max(delivered), f'{max(delivered) + 1} lines were acknowledged, {stored} are there'
    print(f'kill -9: {max(delivered) + 1} lines acknowledged, {stored} stored')
    produce(broker, 'killed', data[len(got):], '-X', 'enable.idempotence=true')
    same('kill -9 in the middle', consume(broker, 'killed'), data)
    same('lz4 after kill -9', consume(broker, 'lz4'), lines(20000, 'lz4'))


def main():
    if shutil.which('kcat') is None:
        print('skipped: no kcat')
        sys.exit(77)
    topics = ','.join([f'{c}:1' for c in CODECS] + ['spread:6', 'killed:1'])
    with Leatd(os.path.abspath(sys.argv[1]), f'leat.topics={topics}', 'leat.shards=2') as broker:
        codecs(broker)
        partitions(broker)
        restart(broker)
        killed(broker)


main()
