#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What leatd says when it cannot start: one sentence that says what, where and what to do, exit code 1 (2 for settings),
and the directory as it was, byte for byte.

usage: refusal_test.py LEATD

Cases that need mounts or another user are left out without root (and said so); everything else runs anywhere.
"""
import hashlib
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

LEATD = sys.argv[1]
BLOCK = 4096
ROOT = os.geteuid() == 0
SETTINGS = ["listeners=PLAINTEXT://127.0.0.1:0", "leat.shards=1", "leat.memory.bytes=256m", "leat.journal.bytes=16m",
            "leat.topics=t:2", "leat.http.listener=none"]


def command(directory, *more):
    line = [LEATD]
    for setting in [*SETTINGS, "log.dirs=%s" % directory, *more]:
        line += ["-o", setting]
    return line


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def fingerprint(directory):
    """Every name, kind, mode, length and byte below it."""
    seen = {}
    for path in sorted(pathlib.Path(directory).rglob("*")):
        st = path.lstat()
        seen[str(path.relative_to(directory))] = (
            st.st_mode, st.st_size, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None)
    return seen


def kcat_fill(port):
    if shutil.which("kcat") is None:
        return
    lines = "\n".join("record %d" % i for i in range(2000)).encode()
    subprocess.run(["kcat", "-P", "-b", "127.0.0.1:%d" % port, "-t", "t", "-p", "0", "-X", "acks=all"], input=lines,
                   check=True, timeout=60)


class Running:
    """A leatd that serves; ended by its pid."""

    def __init__(self, directory, wrap=lambda line: line):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(wrap(command(directory)), stdout=self.log, stderr=self.log)
        limit = time.monotonic() + 60
        self.port = 0
        while self.port == 0:
            text = os.pread(self.log.fileno(), 1 << 20, 0).decode(errors="replace")
            assert self.process.poll() is None and time.monotonic() < limit, text
            for line in text.splitlines():
                if "broker.ready" in line:
                    self.port = int(line.split(" port=")[1].split()[0])
            time.sleep(0.02)

    def end(self, how):
        os.kill(self.process.pid, how)
        self.process.wait(timeout=60)


class Cases:
    def __init__(self, temp):
        self.temp, self.failed, self.left_out, self.count = temp, 0, [], 0
        self.sound = temp / "sound"
        broker = Running(self.sound)
        kcat_fill(broker.port)
        broker.end(signal.SIGTERM)
        broker = Running(self.sound)
        kcat_fill(broker.port)
        broker.end(signal.SIGKILL)

    def copy(self):
        self.count += 1
        directory = self.temp / ("case-%d" % self.count)
        shutil.copytree(self.sound, directory)
        return directory

    def check(self, name, line, directory, code, words, same=True):
        before = fingerprint(directory) if directory is not None else None
        done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
        text = done.stdout.decode(errors="replace")
        sentences = [x for x in text.splitlines() if x.startswith("leatd:") or " ERROR " in x]
        wrong = []
        if done.returncode != code:
            wrong.append("exit code %d, not %d" % (done.returncode, code))
        if len(sentences) != 1:
            wrong.append("%d sentences, not one" % len(sentences))
        for word in words:
            if word not in (sentences[0] if sentences else ""):
                wrong.append("does not say %r" % word)
        if "CHECK failed" in text:
            wrong.append("aborted")
        if same and before is not None and fingerprint(directory) != before:
            wrong.append("the directory was changed")
        print("%s: %s" % (name, "ok" if not wrong else "FAILED: " + ", ".join(wrong)))
        if wrong:
            self.failed += 1
            print(text)

    def broken(self, name, change, words):
        """A copy of the sound directory, changed; the start is refused and leaves it as it is."""
        directory = self.copy()
        change(directory)
        self.check(name, command(directory), directory, 1, [*words, str(directory)])

    def leave_out(self, name, why):
        self.left_out.append(name)
        print("%s: left out, %s" % (name, why))


def zero(path, pos, length):
    with open(path, "r+b") as f:
        f.seek(pos)
        f.write(bytes(length))


def seal(path, pos, change):
    """Changes a page that carries its CRC at 12."""
    with open(path, "r+b") as f:
        f.seek(pos)
        page = bytearray(f.read(BLOCK))
        change(page)
        page[12:16] = bytes(4)
        page[12:16] = struct.pack("<I", crc32c(page))
        f.seek(pos)
        f.write(page)


def newer(page):
    page[8:12] = struct.pack("<I", 99)


def newer_control(directory):
    for pos in (0, BLOCK):
        seal(directory / "journal-000/control", pos, newer)


def other_id(page):
    page[16] ^= 1


def empty_ring(directory):
    for ring in (directory / "journal-000").glob("ring-*"):
        size = ring.stat().st_size
        ring.write_bytes(bytes(size))


def corrupt(c):
    restore = ["restore"]
    c.broken("control file destroyed", lambda d: zero(d / "journal-000/control", 0, 2 * BLOCK),
             ["/journal-000/control", "damaged", *restore])
    c.broken("control file gone", lambda d: (d / "journal-000/control").unlink(), ["/journal-000/control", *restore])
    c.broken("ring file gone", lambda d: (d / "journal-000/ring-000001").unlink(), ["ring-000001", *restore])
    c.broken("table gone", lambda d: (d / "journal-000/table-1").unlink(), ["table-1", *restore])
    c.broken("journal gone", lambda d: shutil.rmtree(d / "journal-000"), ["/journal-000 is missing", *restore])
    c.broken("leat.directory destroyed", lambda d: zero(d / "leat.directory", 64, 1) or zero(d / "leat.directory", 0, 64),
             ["/leat.directory", *restore])
    c.broken("leat.directory gone", lambda d: (d / "leat.directory").unlink(),
             ["not a log directory of Leat", "choose an empty directory"])


def versions(c):
    c.broken("leat.directory of a newer version", lambda d: seal(d / "leat.directory", 0, newer),
             ["/leat.directory", "newer Leat", "format 99", "use that version"])
    c.broken("control page of a newer version", newer_control,
             ["/journal-000/control", "format 99", "use the version that wrote it"])


def foreign(c):
    directory = c.temp / "foreign"
    directory.mkdir()
    (directory / "thesis.txt").write_text("years of work")
    c.check("foreign directory", command(directory), directory, 1,
            [str(directory), "thesis.txt", "choose an empty directory"])
    kafka = c.temp / "kafka"
    (kafka / "t-0").mkdir(parents=True)
    (kafka / "meta.properties").write_text("version=1\nnode.id=1\n")
    c.check("Kafka's directory", command(kafka), kafka, 1, [str(kafka), "choose an empty directory"])
    c.broken("journal of another directory", lambda d: seal(d / "leat.directory", 0, other_id),
             ["/journal-000", "another log directory"])
    plain = c.temp / "file"
    plain.write_text("no directory")
    c.check("a file instead of a directory", command(plain), None, 1, [str(plain)])


def in_namespace(script, line):
    return ["unshare", "-m", "sh", "-c", script + ' && exec "$@"', "sh", *line]


def mounts(c):
    if not ROOT or subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0:
        c.leave_out("read-only and full disks", "no root or no mount namespaces")
        return
    for name, directory in (("D30 read-only disk", c.copy()), ("D30 read-only disk, first start", c.temp / "ro")):
        directory.mkdir(exist_ok=True)
        script = 'mount --bind "%s" "%s" && mount -o remount,ro,bind "%s"' % (directory, directory, directory)
        c.check(name, in_namespace(script, command(directory)), directory, 1,
                [str(directory), "ead-only", "mount it writable"])
    for size, words in (("8m", ["are free", "are needed", "make room"]), ("22m", ["no space left", "MiB are needed"])):
        full = c.temp / ("full-" + size)
        full.mkdir()
        script = 'mount -t tmpfs -o size=%s tmpfs "%s"' % (size, full)
        c.check("D18 full disk (%s), first start" % size, in_namespace(script, command(full)), full, 1,
                [str(full), *words])


def full_with_data(c):
    """A full disk is no reason not to start: who else could make room? Reads and the stop go on, produce is refused."""
    if not ROOT or subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0:
        c.leave_out("D18 restart on a full disk", "no root or no mount namespaces")
        return
    directory = c.temp / "full-with-data"
    directory.mkdir()
    script = ('mount -t tmpfs -o size=100m tmpfs "{0}" && cp -a "{1}/." "{0}/" && '
              '{{ dd if=/dev/zero of="{0}/lost+found" bs=4k 2>/dev/null || true; }}').format(directory, c.sound)
    broker = Running(directory, lambda line: in_namespace(script, line))
    produced = subprocess.run(["kcat", "-P", "-b", "127.0.0.1:%d" % broker.port, "-t", "t", "-p", "1", "-X",
                               "message.timeout.ms=3000"], input=b"one more", stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False, timeout=60) if shutil.which("kcat") else None
    broker.end(signal.SIGTERM)
    told = os.pread(broker.log.fileno(), 1 << 20, 0).decode(errors="replace")
    wrong = []
    if broker.process.returncode != 0:
        wrong.append("exit code %d" % broker.process.returncode)
    if "disk.low" not in told:
        wrong.append("does not say that the disk is full")
    if produced is not None and produced.returncode == 0:
        wrong.append("took a record")
    print("D18 restart on a full disk: %s" % ("ok" if not wrong else "FAILED: " + ", ".join(wrong)))
    if wrong:
        c.failed += 1
        print(told)


def limits(c):
    directory = c.copy()
    c.check("too few descriptors", ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *command(directory)], directory, 1,
            ["may open 64 descriptors", "RLIMIT_NOFILE", "ulimit -n"])
    c.check("too little memory for the settings", command(directory, "leat.memory.bytes=64m"), directory, 2,
            ["leat.memory.bytes", "64 MiB", "at least", "leat.batch.max.bytes"])
    c.check("a limit that the memory cannot hold", command(directory, "leat.batch.max.bytes=100m"), directory, 2,
            ["leat.memory.bytes", "leat.batch.max.bytes=104857600", "at least"])
    if not ROOT or shutil.which("setpriv") is None:
        c.leave_out("locked memory, permissions", "no root or no setpriv")
        return
    nobody = ["setpriv", "--reuid", "65534", "--clear-groups", "--bounding-set=-ipc_lock"]
    c.temp.chmod(0o755)
    own = c.copy()
    for path in [own, *own.rglob("*")]:
        os.chown(path, 65534, -1)
    c.check("too little locked memory", ["sh", "-c", 'ulimit -l 0; exec "$@"', "sh", *nobody, *command(own)], own, 1,
            ["locked memory", "RLIMIT_MEMLOCK", "ulimit -l"])
    closed = c.copy()
    closed.chmod(0o700)
    c.check("a directory of somebody else", [*nobody, *command(closed)], closed, 1,
            [str(closed), "ermission denied", "give it to the user that runs the broker"])


def two_processes(c):
    directory = c.copy()
    first = Running(directory)
    c.check("D31 two processes on one directory", command(directory), None, 1,
            [str(directory), "in use by another process", "stop that leatd, or choose another log.dirs"])
    first.end(signal.SIGTERM)
    again = Running(directory)
    again.end(signal.SIGTERM)


def main():
    with tempfile.TemporaryDirectory(prefix="refusal-") as temp:
        c = Cases(pathlib.Path(temp))
        for case in (corrupt, versions, foreign, mounts, full_with_data, limits, two_processes):
            case(c)
        sound = Running(c.sound)  # after all that the sound one still starts
        sound.end(signal.SIGTERM)
        print("%d failed, %d left out" % (c.failed, len(c.left_out)))
        return 1 if c.failed else 0


if __name__ == "__main__":
    sys.exit(main())
