# SPDX-License-Identifier: Apache-2.0
"""The brokers of a comparison: each in a directory of its own, on free ports of loopback, ended by its own pid."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time


def free_ports(count):
    """The first of `count` neighbouring free ports."""
    while True:
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            first = s.getsockname()[1]
        try:
            held = [socket.create_server(('127.0.0.1', first + i)) for i in range(1, count)]
        except OSError:
            continue
        for s in held:
            s.close()
        return first


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()[0] == 'Z'


def rss_and_cpu(pid):
    """Bytes, seconds."""
    with open(f'/proc/{pid}/status') as f:
        rss = int(re.search(r'VmRSS:\s+(\d+)', f.read())[1]) << 10
    with open(f'/proc/{pid}/stat') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return rss, (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


class Leat:
    name = 'leat'

    def __init__(self, program, directory):
        self.program, self.dir = program, pathlib.Path(directory) / 'leat'
        self.process = None

    def start(self, topics=()):
        """topics: (name, partitions) that the configuration makes, for a broker that does not serve CreateTopics."""
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir()
        command = [self.program, '-o', 'listeners=PLAINTEXT://127.0.0.1:0', '-o', f'log.dirs={self.dir}/data', '-o',
                   'leat.http.listener=127.0.0.1:0']
        if topics:
            command += ['-o', 'leat.topics=' + ','.join(f'{name}:{count}' for name, count in topics)]
        with open(self.dir / 'log.txt', 'wb') as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        limit = time.monotonic() + 120
        while time.monotonic() < limit:
            ready = re.search(r'broker\.ready .*? port=(\d+)', (self.dir / 'log.txt').read_text())
            if ready:
                self.address, self.pid = f'127.0.0.1:{ready[1]}', self.process.pid
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise SystemExit('leatd does not start:\n' + (self.dir / 'log.txt').read_text()[-2000:])

    def stop(self):
        if self.process is None:
            return
        self.process.kill()  # nothing of it is kept: a clean stop would only move data into files
        self.process.wait()
        self.process = None
        shutil.rmtree(self.dir, ignore_errors=True)


class Kafka:
    """Through a script: `PEER install DIR`, `PEER start DIR PORT KEY=VALUE...` (pid in DIR/pid), `PEER stop DIR`."""

    def __init__(self, peer, installed, directory):
        self.peer, self.installed, self.dir = peer, pathlib.Path(installed), pathlib.Path(directory) / 'kafka'
        self.pid = None

    @property
    def version(self):
        jars = [p.name for p in (self.installed / 'lib').glob('kafka-clients-*.jar')]
        return jars[0][len('kafka-clients-'):-len('.jar')] if jars else 'unknown'

    def start(self):
        if not (self.installed / 'lib').is_dir():
            subprocess.run([self.peer, 'install', str(self.installed)], check=True)
        self.dir.mkdir()
        (self.dir / 'lib').symlink_to((self.installed / 'lib').resolve())
        for extra in self.installed.glob('*.yaml'):
            shutil.copy(extra, self.dir)
        port = free_ports(3)
        environment = dict(os.environ)
        environment.setdefault('KAFKA_HEAP', '-Xmx1g -Xms1g')
        self.heap = environment['KAFKA_HEAP']
        done = subprocess.run([self.peer, 'start', str(self.dir), str(port), 'log.segment.delete.delay.ms=0'],
                              env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise SystemExit(f'Apache Kafka does not start:\n{done.stdout[-2000:]}{done.stderr[-2000:]}')
        self.pid, self.address = int((self.dir / 'pid').read_text()), f'127.0.0.1:{port}'

    def stop(self):
        if self.pid is None:
            return
        subprocess.run([self.peer, 'stop', str(self.dir)], check=False)
        limit = time.monotonic() + 60
        while not gone(self.pid) and time.monotonic() < limit:
            time.sleep(0.2)
        if not gone(self.pid):
            os.kill(self.pid, signal.SIGKILL)
        self.pid = None
        shutil.rmtree(self.dir, ignore_errors=True)
