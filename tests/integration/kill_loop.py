#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real log file goes in through kcat while the broker is killed (kill -9) again and again, and comes out byte for byte.

usage: kill_loop.py --leatd PATH [--mib N] [--kills N] [--codec none|lz4|...] [--partitions N] [--shards N] [--keep]

One idempotent kcat producer per partition stays alive over all kills: librdkafka sends again what was not acknowledged.
At the end each partition is read with kcat -C and compared by SHA-256. The input is made of this machine's own text
(sources, documents, logs), so it looks like what people send. exit 0: equal; 1: not; 77: kcat is missing.
"""
import argparse
import hashlib
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_input(path, size):
    """Lines without empty ones (kcat sends none for those) from this machine's own files."""
    roots = ["/var/log", "/usr/share/doc", "/usr/include", "/usr/lib/python3"]
    written = 0
    with open(path, "wb") as out:
        while written < size:
            before = written
            for root in roots:
                for folder, dirs, files in os.walk(root):
                    dirs.sort()
                    for name in sorted(files):
                        try:
                            with open(os.path.join(folder, name), "rb") as f:
                                data = f.read(4 << 20)
                        except OSError:
                            continue
                        if b"\0" in data:
                            continue
                        lines = [line for line in data.split(b"\n") if line and len(line) < 100000]
                        block = b"\n".join(lines) + b"\n" if lines else b""
                        out.write(block)
                        written += len(block)
                        if written >= size:
                            return
            if written == before:
                raise SystemExit("no text found to make the input of")


class Broker:
    def __init__(self, args, directory):
        self.args, self.dir, self.port, self.process, self.starts = args, directory, free_port(), None, []
        self.log = open(os.path.join(directory, "leatd.log"), "ab")
        self.segment_bytes = 16 << 20

    def start(self):
        begun = time.monotonic()
        self.process = subprocess.Popen(
            [self.args.leatd, "-o", f"listeners=PLAINTEXT://127.0.0.1:{self.port}", "-o", f"log.dirs={self.dir}/data",
             "-o", "leat.http.listener=none",
             "-o", f"leat.topics=t:{self.args.partitions}", "-o", f"leat.shards={self.args.shards}",
             "-o", "leat.journal.bytes=268435456", "-o", f"log.segment.bytes={self.segment_bytes}",
             "-o", "leat.disk.reserve.bytes=67108864"],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        while time.monotonic() - begun < 60:
            if self.process.poll() is not None:
                self.tail()
                raise SystemExit(f"leatd ended with {self.process.returncode}")
            if self.answers():
                self.starts.append(time.monotonic() - begun)
                return
            time.sleep(0.01)
        self.tail()
        raise SystemExit("leatd does not listen after 60 s")

    def answers(self):
        """An ApiVersions request gets its answer. A connection alone says little: a killed process' listening socket
        lives on until the kernel has torn its ring down."""
        request = struct.pack(">hhih4s", 18, 0, 7, 4, b"test")
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.2) as s:
                s.settimeout(0.5)
                s.sendall(struct.pack(">i", len(request)) + request)
                return s.recv(8)[4:8] == struct.pack(">i", 7)
        except OSError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=120)

    def tail(self):
        self.log.flush()
        with open(self.log.name, "rb") as f:
            sys.stderr.buffer.write(b"".join(f.readlines()[-20:]))


def parts_of(path, count):
    """Cuts the file into `count` parts at line ends."""
    with open(path, "rb") as f:
        data = f.read()
    parts, at = [], 0
    for i in range(count):
        end = len(data) if i == count - 1 else data.index(b"\n", max(at, len(data) * (i + 1) // count)) + 1
        name = f"{path}.{i}"
        with open(name, "wb") as out:
            out.write(data[at:end])
        parts.append(name)
        at = end
    return parts


def sha256(stream):
    h, n = hashlib.sha256(), 0
    while chunk := stream.read(1 << 20):
        h.update(chunk)
        n += len(chunk)
    return h.hexdigest(), n


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leatd", required=True)
    parser.add_argument("--mib", type=int, default=100)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--codec", default="none")
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the directory")
    args = parser.parse_args()
    if shutil.which("kcat") is None:
        print("kcat is not installed")
        return 77
    rng = random.Random(args.seed)
    directory = tempfile.mkdtemp(prefix="leat-kill-loop-")
    broker = Broker(args, directory)
    producers = []
    try:
        source = os.path.join(directory, "input")
        make_input(source, args.mib << 20)
        parts = parts_of(source, args.partitions)
        broker.start()
        begun = time.monotonic()
        for i, part in enumerate(parts):
            producers.append(subprocess.Popen(
                ["kcat", "-P", "-b", f"127.0.0.1:{broker.port}", "-t", "t", "-p", str(i), "-z", args.codec, "-l",
                 "-X", "enable.idempotence=true", "-X", "message.timeout.ms=300000", "-X", "reconnect.backoff.max.ms=200",
                 "-X", "queue.buffering.max.messages=20000", "-X", "request.timeout.ms=5000", "-E", part],
                stdout=subprocess.DEVNULL, stderr=open(os.path.join(directory, f"kcat.{i}"), "wb"), stdin=subprocess.DEVNULL))
        kills = 0
        while kills < args.kills and any(p.poll() is None for p in producers):
            time.sleep(rng.uniform(0.02, 0.25))
            broker.kill()
            kills += 1
            broker.start()
        for p in producers:
            if p.wait(timeout=300) != 0:
                print("a producer failed:", open(os.path.join(directory, f"kcat.{producers.index(p)}")).read()[-400:])
                return 1
        took = time.monotonic() - begun
        broker.kill()
        broker.start()
        failed = 0
        for i, part in enumerate(parts):
            with open(part, "rb") as f:
                want = sha256(f)
            reader = subprocess.Popen(["kcat", "-C", "-b", f"127.0.0.1:{broker.port}", "-t", "t", "-p", str(i), "-o", "beginning",
                                       "-e", "-q", "-X", "check.crcs=true"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
            got = sha256(reader.stdout)
            reader.wait()
            if got != want:
                failed += 1
                print(f"partition {i}: sent {want[1]} bytes {want[0][:12]}, read {got[1]} bytes {got[0][:12]}")
        code = broker.stop()
        print(f"{args.mib} MiB, {args.codec}, {args.partitions} partitions: {kills} kills in {took:.1f} s; start after a kill "
              f"median {sorted(broker.starts)[len(broker.starts) // 2] * 1000:.0f} ms, longest {max(broker.starts) * 1000:.0f} ms; "
              f"{'equal' if failed == 0 else 'NOT EQUAL'}; clean stop {code}")
        return 0 if failed == 0 and code == 0 else 1
    finally:
        for p in producers:
            if p.poll() is None:
                p.kill()
        if broker.process is not None and broker.process.poll() is None:
            broker.kill()
        if args.keep:
            print("left:", directory)
        else:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
