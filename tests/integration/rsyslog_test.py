#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rsyslog ships a growing log file through omkafka while the broker is killed (kill -9) and started again: with a
disk-assisted queue no line is lost. Each line is numbered; at the end every number is there, with its bytes. Lines that
are there more than once are counted and told (omkafka hands over again what it does not know to be delivered).

usage: rsyslog_test.py LEATD. Skipped (77) without Debian's rsyslog-kafka and kcat.
"""
import collections
import glob
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

from leatd import Leatd

LINES, KILLS = 20000, 4

CONFIG = '''
global(workDirectory="{work}" preserveFQDN="off")
module(load="imfile" mode="polling" pollingInterval="1")
module(load="omkafka")
template(name="line" type="string" string="%msg%")
input(type="imfile" file="{source}" tag="leat" ruleset="ship" reopenOnTruncate="on")
ruleset(name="ship") {{
  action(type="omkafka" broker=["{address}"] topic="lines" template="line" partitions.number="2"
         confParam=["enable.idempotence=true", "reconnect.backoff.max.ms=500"]
         resubmitOnFailure="on" keepFailedMessages="on" failedMsgFile="{work}/failed"
         queue.type="LinkedList" queue.fileName="ship" queue.size="2000" queue.highWatermark="1500"
         queue.lowWatermark="500" queue.maxDiskSpace="100m" queue.saveOnShutdown="on"
         action.resumeRetryCount="-1" action.resumeInterval="1")
}}
'''


def line(i):
    return f'{i} {"x" * (i % 150)} end'


def shipped(broker):
    out = []
    for partition in (0, 1):
        command = ['kcat', '-C', '-b', broker.address, '-t', 'lines', '-p', str(partition), '-o', 'beginning', '-e', '-q']
        out += subprocess.run(command, check=True, capture_output=True, timeout=120).stdout.decode().splitlines()
    return out


def grow(source, broker, rng):
    """Appends the lines in bursts over the kills."""
    kill_at = sorted(rng.sample(range(LINES // 10, LINES), KILLS))
    with open(source, 'a', encoding='ascii') as f:
        for i in range(LINES):
            f.write(line(i) + '\n')
            if i % 500 == 499:
                f.flush()
                time.sleep(0.05)
            if kill_at and i == kill_at[0]:
                f.flush()
                kill_at.pop(0)
                time.sleep(rng.uniform(0.5, 1.5))
                broker.kill()
                time.sleep(rng.uniform(0.2, 2))
                broker.start()


def main():
    rsyslogd = shutil.which('rsyslogd', path=os.environ.get('PATH', '') + ':/usr/sbin')
    if not rsyslogd or not glob.glob('/usr/lib/*/rsyslog/omkafka.so') or not shutil.which('kcat'):
        print('skipped: no rsyslogd, omkafka or kcat (Debian packages rsyslog-kafka, kcat)')
        sys.exit(77)
    with Leatd(os.path.abspath(sys.argv[1]), 'leat.topics=lines:2', 'leat.shards=2') as broker:
        work = pathlib.Path(broker.dir) / 'rsyslog'
        work.mkdir()
        source = work / 'source.log'
        source.touch()
        (work / 'conf').write_text(CONFIG.format(work=work, source=source, address=broker.address))
        with open(work / 'told', 'wb') as told:
            shipper = subprocess.Popen([rsyslogd, '-n', '-f', str(work / 'conf'), '-i', str(work / 'pid')], stdout=told,
                                       stderr=told)
        try:
            grow(source, broker, random.Random(1))
            wanted, limit = {line(i) for i in range(LINES)}, time.monotonic() + 120
            while wanted - set(shipped(broker)) and time.monotonic() < limit and shipper.poll() is None:
                time.sleep(1)
            got = collections.Counter(shipped(broker))
            lost = sorted(wanted - set(got), key=lambda s: int(s.split()[0]))
            assert shipper.poll() is None, (work / 'told').read_text()
            assert not lost, f'{len(lost)} lines lost, from {lost[0][:20]}\n' + (work / 'told').read_text()[-2000:]
            foreign = set(got) - wanted
            assert not foreign, f'bytes that nobody wrote: {sorted(foreign)[:3]}'
            print(f'{LINES} lines over {KILLS} kills, none lost, {sum(got.values()) - LINES} more than once')
        finally:
            if shipper.poll() is None:
                os.kill(shipper.pid, signal.SIGTERM)
                shipper.wait(timeout=30)


main()
