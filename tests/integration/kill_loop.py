#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of a running broker, again and again, under one idempotent producer; then every record is counted.

usage: kill_loop.py --leatd PATH [--kills N] [--mib N] [--rate N] [--codec none|lz4|...] [--partitions N] [--shards N]

The producer (librdkafka, by Debian's python3-confluent-kafka) lives over all kills and sends what was not acknowledged
again. It sends the lines of this machine's own text (sources, documents, logs), --mib of it, over and over until the
last kill, --rate records a second; a record's key is its running number in its partition. Every fourth kill falls into
a start, before the broker answers. At the end all is read back: each record is there once, in order, byte for byte, and
each at the offset that its acknowledgement said. exit 0: so it is; 1: not; 77: no confluent_kafka.
"""
import argparse
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

PROGRESS_S = 20  # a broker that serves must acknowledge something within this


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

    def begin(self):
        self.process = subprocess.Popen(
            [self.args.leatd, "-o", f"listeners=PLAINTEXT://127.0.0.1:{self.port}", "-o", f"log.dirs={self.dir}/data",
             "-o", "leat.http.listener=none",
             "-o", f"leat.topics=t:{self.args.partitions}", "-o", f"leat.shards={self.args.shards}",
             "-o", "leat.journal.bytes=268435456", "-o", f"log.segment.bytes={self.segment_bytes}",
             "-o", "leat.disk.reserve.bytes=67108864"],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def start(self):
        begun = time.monotonic()
        self.begin()
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


class Sender(threading.Thread):
    """Sends to all partitions in turn until it is told to stop; keeps what was sent and what was acknowledged."""

    def __init__(self, kafka, port, lines, args):
        super().__init__(daemon=True)
        self.lines, self.rate, self.stopped = lines, args.rate, False
        self.sent = [[] for _ in range(args.partitions)]  # number in partition -> number of the line
        self.acked = [{} for _ in range(args.partitions)]  # number in partition -> offset
        self.acks, self.errors, self.largest = 0, [], 0
        self.producer = kafka.Producer({
            "bootstrap.servers": f"127.0.0.1:{port}", "enable.idempotence": True, "compression.type": args.codec,
            "message.timeout.ms": 300000, "request.timeout.ms": 5000, "reconnect.backoff.max.ms": 200, "linger.ms": 2,
            "queue.buffering.max.messages": 20000, "log_level": 2, "error_cb": self.told})

    def told(self, error):
        if error.fatal():
            self.errors.append(str(error))

    def delivered(self, error, message):
        number = int(message.key())
        if error is not None:
            self.errors.append(f"record {number} of partition {message.partition()}: {error}")
        elif number in self.acked[message.partition()]:
            self.errors.append(f"record {number} of partition {message.partition()} is acknowledged twice")
        else:
            self.acked[message.partition()][number] = message.offset()
            self.acks += 1

    def send_one(self, count):
        partition, line = count % len(self.sent), count % len(self.lines)
        numbers = self.sent[partition]
        while not self.stopped:
            try:
                self.producer.produce("t", key=b"%d" % len(numbers), value=self.lines[line], partition=partition,
                                      on_delivery=self.delivered)
                numbers.append(line)
                return
            except BufferError:
                self.producer.poll(0.05)

    def run(self):
        begun, count = time.monotonic(), 0
        while not self.stopped and not self.errors:
            self.send_one(count)
            count += 1
            self.producer.poll(0)
            ahead = count / self.rate - (time.monotonic() - begun) if self.rate > 0 else 0
            if ahead > 0:
                time.sleep(min(ahead, 0.05))
        if self.producer.flush(120) > 0:
            self.errors.append("not everything was acknowledged in 120 s")

    def wait_for_progress(self):
        before, limit = self.acks, time.monotonic() + PROGRESS_S
        while self.acks == before and not self.errors:
            if time.monotonic() > limit:
                raise SystemExit(f"nothing acknowledged in {PROGRESS_S} s")
            time.sleep(0.002)


def read_back(kafka, port, partition):
    """Each record of a partition: (offset, key, value)."""
    reader = kafka.Consumer({"bootstrap.servers": f"127.0.0.1:{port}", "group.id": "none", "enable.auto.commit": False,
                             "enable.partition.eof": True, "check.crcs": True})
    reader.assign([kafka.TopicPartition("t", partition, 0)])
    records = []
    while True:
        message = reader.poll(60)
        if message is None:
            raise SystemExit(f"partition {partition}: nothing more in 60 s after {len(records)} records")
        if message.error() is not None:
            if message.error().code() == kafka.KafkaError._PARTITION_EOF:
                break
            raise SystemExit(f"partition {partition}: {message.error()}")
        records.append((message.offset(), message.key(), message.value()))
    reader.close()
    return records


def compare(records, sent, acked, lines):
    """What is wrong, in words. Every record was acknowledged in the end, so what was sent is what must be there."""
    wrong, offset_of = [], {}
    for i, (offset, key, value) in enumerate(records):
        number = int(key)
        if number in offset_of:
            wrong.append(f"record {number} stands at {offset_of[number]} and again at {offset}")
        elif number != i:
            wrong.append(f"record {number} stands in place {i}")
        elif number >= len(sent) or value != lines[sent[number]]:
            wrong.append(f"record {number} has other bytes")
        offset_of.setdefault(number, offset)
    for number in range(len(sent)):
        if number not in acked:
            wrong.append(f"record {number} was never acknowledged")
        elif offset_of.get(number) != acked[number]:
            wrong.append(f"record {number} acknowledged at {acked[number]} is at {offset_of.get(number)}")
    return wrong


def compare_finds():
    """The comparison itself: what it must notice."""
    lines, sent, acked = [b"a", b"b"], [0, 1, 0], {0: 0, 1: 1, 2: 2}
    good = [(0, b"0", b"a"), (1, b"1", b"b"), (2, b"2", b"a")]
    assert compare(good, sent, acked, lines) == []
    for bad in (good[:2], good[:1] + good[2:], good + [(3, b"2", b"a")], [good[1], good[0], good[2]],
                good[:2] + [(2, b"2", b"b")], good[:2] + [(3, b"2", b"a")]):
        assert compare(bad, sent, acked, lines), bad


def kill_often(args, rng, broker, sender):
    """Returns how many of the kills fell into a start."""
    in_start = 0
    for i in range(args.kills):
        sender.wait_for_progress()
        time.sleep(rng.uniform(0.0, 0.15))
        broker.kill()
        if i % 4 == 3:
            broker.begin()
            time.sleep(rng.uniform(0.0, 0.2))
            in_start += not broker.answers()
            broker.kill()
        broker.start()
        if sender.errors:
            break
    sender.wait_for_progress()
    return in_start


def run(kafka, args, directory, broker):
    source = os.path.join(directory, "input")
    make_input(source, args.mib << 20)
    with open(source, "rb") as f:
        lines = f.read().splitlines()
    broker.start()
    sender = Sender(kafka, broker.port, lines, args)
    begun = time.monotonic()
    sender.start()
    in_start = kill_often(args, random.Random(args.seed), broker, sender)
    sender.stopped = True
    sender.join()
    took = time.monotonic() - begun
    wrong = list(sender.errors)
    broker.kill()
    broker.start()
    for partition, sent in enumerate(sender.sent):
        found = compare(read_back(kafka, broker.port, partition), sent, sender.acked[partition], lines)
        wrong += [f"partition {partition}: {text}" for text in found]
    code = broker.stop()
    starts = sorted(broker.starts)
    print(f"{args.kills} kills ({in_start} more in a start) in {took:.1f} s, {args.codec}: {sender.acks} records in "
          f"{args.partitions} partitions acknowledged, each once at its offset: {'no' if wrong else 'yes'}")
    print(f"start after a kill: median {starts[len(starts) // 2] * 1000:.0f} ms, longest {starts[-1] * 1000:.0f} ms; clean "
          f"stop {code}")
    for text in wrong[:20]:
        print(text)
    return 1 if wrong or code != 0 or sender.acks == 0 else 0


def load_kafka():
    """confluent_kafka; Debian's package belongs to Debian's Python."""
    debian = "/usr/bin/python3"
    try:
        import confluent_kafka
        return confluent_kafka
    except ImportError:
        if os.path.realpath(sys.executable) != os.path.realpath(debian) and os.path.exists(debian):
            os.execv(debian, [debian] + sys.argv)
        print("skipped: no confluent_kafka (Debian package python3-confluent-kafka)")
        sys.exit(77)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leatd", required=True)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--mib", type=int, default=2)
    parser.add_argument("--rate", type=int, default=3000, help="records a second; 0: as many as go")
    parser.add_argument("--codec", default="none")
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="leave the directory")
    args = parser.parse_args()
    kafka = load_kafka()
    compare_finds()
    directory = tempfile.mkdtemp(prefix="leat-kill-loop-")
    broker = Broker(args, directory)
    try:
        return run(kafka, args, directory, broker)
    finally:
        if broker.process is not None and broker.process.poll() is None:
            broker.kill()
        if args.keep:
            print("left:", directory)
        else:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
