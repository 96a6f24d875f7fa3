# SPDX-License-Identifier: Apache-2.0
"""One leatd for a test: free ports on loopback, own directory, ended by its pid. Prints its log when a test fails."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time


class Leatd:
    def __init__(self, program, *options, prefix=()):
        self.program, self.options, self.prefix = program, options, prefix # prefix: of the command, for limits
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='leatd-'))
        self.log = self.dir / 'log.txt'
        self.port, self.http_port, self.process = 0, 0, None

    def start(self):
        with open(self.log, 'ab') as log:
            seen = log.tell()
            command = [*self.prefix, self.program]
            for option in (f'listeners=PLAINTEXT://127.0.0.1:{self.port}', 'leat.http.listener=127.0.0.1:0',
                           f'log.dirs={self.dir}/data', 'leat.journal.bytes=256m', 'leat.memory.bytes=1g', *self.options):
                command += ['-o', option]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            text = self.log.read_bytes()[seen:].decode()
            http = re.search(r'http\.ready .*? port=(\d+)', text)
            ready = re.search(r'broker\.ready .*? port=(\d+)', text)
            if ready:
                self.port, self.http_port = int(ready[1]), int(http[1]) if http else 0
                return self
            assert self.process.poll() is None, f'leatd ended with {self.process.returncode}: {text[-500:]}'
            time.sleep(0.02)
        raise AssertionError('leatd was not ready in 60 s')

    @property
    def address(self):
        return f'127.0.0.1:{self.port}'

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        os.kill(self.process.pid, signal.SIGTERM)
        code = self.process.wait(timeout=60)
        assert code == 0, f'leatd ended with {code}'

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if self.process.poll() is None and kind is None:
            self.stop()
        elif self.process.poll() is None:
            self.kill()
        if kind is not None:
            print(self.log.read_text(errors='replace'))
        shutil.rmtree(self.dir)
