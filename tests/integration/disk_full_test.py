#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""D18 on a real, small file system: producers are told an error that they may retry, readers and administration go on,
and when there is room again (somebody else's files go, or records of the broker's own) all goes on without a restart.
An idempotent producer that waits through it has each record stored once, in order.

usage: disk_full_test.py LEATD

Needs root for a loop device in a mount namespace of its own; without it the test is skipped (77), as it is without
Debian's python3-confluent-kafka.
"""
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time

try:
    import confluent_kafka
except ImportError:
    if os.path.realpath(sys.executable) != os.path.realpath('/usr/bin/python3') and os.path.exists('/usr/bin/python3'):
        os.execv('/usr/bin/python3', ['/usr/bin/python3'] + sys.argv)
    print('skipped: no confluent_kafka (Debian package python3-confluent-kafka)')
    sys.exit(77)

from leatd import Leatd
from wire import Client, batch, fetch, frame, healthy, produce, text

STORAGE_ERROR, NONE = 56, 0
DISK_BYTES, RESERVE_BYTES = 400 << 20, 24 << 20
DELETE_RECORDS = 21


def skip(why):
    print('skipped:', why)
    sys.exit(77)


def own_namespace():
    """Begins anew in a mount namespace, so that nothing is left mounted however the test ends."""
    if os.environ.get('DISK_FULL_TEST') == 'inside':
        return
    if os.geteuid() != 0 or not shutil.which('unshare') or not shutil.which('mkfs.ext4'):
        skip('needs root, unshare and mkfs.ext4')
    if subprocess.run(['unshare', '-m', 'true'], check=False, capture_output=True).returncode != 0:
        skip('no mount namespaces')
    os.environ['DISK_FULL_TEST'] = 'inside'
    os.execvp('unshare', ['unshare', '-m', sys.executable, *sys.argv])


def mount(work):
    image, disk = work / 'image', work / 'disk'
    disk.mkdir()
    with open(image, 'wb') as f:
        f.truncate(DISK_BYTES)
    subprocess.run(['mkfs.ext4', '-q', '-F', '-m', '0', str(image)], check=True)
    done = subprocess.run(['mount', '-o', 'loop', str(image), str(disk)], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        skip('no loop devices: ' + done.stderr.strip())
    return disk


def free(disk):
    s = os.statvfs(disk)
    return s.f_bavail * s.f_frsize


def fill(disk, leave):
    """A file of somebody else that leaves so many bytes."""
    path, piece = disk / 'ballast', 8 << 20
    with open(path, 'ab') as f:
        while piece >= 4096:
            try:
                if free(disk) <= leave + piece:
                    raise OSError
                os.posix_fallocate(f.fileno(), os.fstat(f.fileno()).st_size, piece)
            except OSError:
                piece //= 2
        if leave == 0:  # what only small writes get
            try:
                while True:
                    f.write(bytes(4096))
                    f.flush()
            except OSError:
                pass
    return path


SMALL, LARGE = batch(b'x'), batch(os.urandom(900_000))  # once: the checksum is slow here


def put(broker, records=SMALL):
    """Error code of one batch, in a connection of its own."""
    return Client(broker, timeout=20).send(produce(1, 't', 0, records, timeout_ms=1000)).produced()[1]


def wait_for(what, broker, wanted, seconds):
    begun, code = time.monotonic(), None
    while time.monotonic() - begun < seconds:
        code = put(broker)
        if code == wanted:
            return time.monotonic() - begun
        time.sleep(0.2)
    raise AssertionError(f'{what}: produce still answers {code} after {seconds} s')


def readers_go_on(broker, count):
    """Everything from the start, by fetches; administration answers."""
    client, at, seen = Client(broker, timeout=20), 0, 0
    while at < count:
        error, high, records = client.send(fetch(1, 't', 0, at, max_bytes=4 << 20, partition_bytes=4 << 20)).fetched()
        assert error == NONE and len(records) > 0 and high >= count, (error, len(records), high, at)
        pos = 0
        while pos + 12 <= len(records):
            base, size = struct.unpack_from('>qi', records, pos)
            if pos + 12 + size > len(records):
                break
            at = base + struct.unpack_from('>i', records, pos + 23)[0] + 1
            pos += 12 + size
            seen += 1
    assert seen > 0
    healthy(broker)


class Patient:
    """An idempotent producer that sends through the full disk."""

    def __init__(self, broker):
        self.told, self.sent = {}, 0
        self.producer = confluent_kafka.Producer({
            'bootstrap.servers': broker.address, 'enable.idempotence': True, 'message.timeout.ms': 120000,
            'retry.backoff.ms': 200, 'log_level': 2})

    def delivered(self, error, message):
        assert error is None, error
        self.told[int(message.key())] = message.offset()

    def send(self, count):
        for _ in range(count):
            self.producer.produce('u', b'y' * 1000, b'%d' % self.sent, 0, self.delivered)
            self.sent += 1
        self.producer.poll(0)

    def finish(self, broker):
        assert self.producer.flush(90) == 0, f'{len(self.told)} of {self.sent} acknowledged'
        assert self.told == {i: i for i in range(self.sent)}, 'an offset does not fit'
        assert Client(broker).end('u', 0) == self.sent, 'some record is there twice'


def foreign_files(broker, disk):
    """Below the reserve, then not a byte left."""
    for _ in range(20):
        assert put(broker, LARGE) == NONE
    patient = Patient(broker)
    patient.send(500)
    assert patient.producer.flush(30) == 0
    for leave in (RESERVE_BYTES // 2, 0):
        ballast = fill(disk, leave)
        took = wait_for('full disk', broker, STORAGE_ERROR, 30)
        patient.send(500)
        stored = Client(broker).end('t', 0)
        readers_go_on(broker, stored)
        time.sleep(3)
        assert put(broker) == STORAGE_ERROR
        assert Client(broker).end('t', 0) == stored
        assert len(patient.told) < patient.sent, 'the patient producer did not have to wait'
        ballast.unlink()
        healed = wait_for('room again', broker, NONE, 30)
        patient.finish(broker)
        print(f'{leave >> 20} MiB left: refused after {took:.1f} s, healed after {healed:.1f} s', flush=True)


def own_records(broker, disk):
    """The broker's own data fill the disk; records deleted by a client make room."""
    count = 0
    while (code := put(broker, LARGE)) == NONE:
        count += 1
        assert count < 1000, 'the disk is never full'
    assert code == STORAGE_ERROR and free(disk) < 2 * RESERVE_BYTES, (code, free(disk))
    end = Client(broker).end('t', 0)
    body = struct.pack('>i', 1) + text('t') + struct.pack('>iiqi', 1, 0, end, 10000)
    _, data = Client(broker, timeout=20).send(frame(DELETE_RECORDS, 1, 1, body)).response()
    low, code = struct.unpack_from('>qh', data, 4 + 4 + 2 + 1 + 4 + 4)
    assert (low, code) == (end, NONE), (low, code)
    healed = wait_for('records deleted', broker, NONE, 60)
    print(f'{count} batches filled it; healed {healed:.1f} s after DeleteRecords', flush=True)


def main():
    own_namespace()
    work = pathlib.Path(tempfile.mkdtemp(prefix='disk-full-'))
    try:
        disk = mount(work)
        with Leatd(os.path.abspath(sys.argv[1]), 'leat.topics=t:1,u:1', 'leat.shards=1', f'log.dirs={disk}/data',
                   'leat.journal.bytes=64m', f'leat.disk.reserve.bytes={RESERVE_BYTES}',
                   'log.segment.bytes=4194304') as broker:
            pid = broker.process.pid
            foreign_files(broker, disk)
            own_records(broker, disk)
            end = Client(broker).end('t', 0)
            assert broker.process.pid == pid and broker.process.poll() is None
            broker.kill()
            broker.start()
            assert Client(broker).end('t', 0) == end and put(broker) == NONE
        subprocess.run(['umount', str(disk)], check=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print('D18: a full disk refuses, keeps, and heals')


main()
