#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Apache Kafka's own DumpLogSegments (deep iteration) reads what leatd wrote: the sealed segments of a running broker,
and every segment after a clean stop.

usage: KAFKA_LIBS=DIR dump_segments.py --leatd PATH [--mib N]

DIR holds the jars that tools/fetch-jars gets. Records go in with kcat in every codec, one partition each: lines of 1 to
8 KB that do not compress, so that segments of 1 MiB are sealed. Looked at: Kafka's words for trouble, and that the
offsets of each partition run from 0 to the end without a hole. ("-1 is followed by N" is its word for the first batch of every segment that does not begin at
offset 0, its own too.) That trouble is noticed is shown first, on a segment with one changed byte. exit 77: java, the
jars or kcat are missing.
"""
import argparse
import base64
import glob
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

from kill_loop import Broker

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
TROUBLE = r".*(?:isvalid: false|Found bytes that do not|[Ee]xception|corrupt|mismatch| [0-9]+ is followed by).*"


def dump(libs, files):
    """Offsets that were read by partition directory, words for trouble."""
    out = subprocess.run(["java", "-Xmx256m", "-cp", os.path.join(libs, "*"), "org.apache.kafka.tools.DumpLogSegments",
                          "--deep-iteration", "--files", ",".join(files)], capture_output=True, text=True,
                         stdin=subprocess.DEVNULL, check=False)
    offsets, at = {}, None
    for line in out.stdout.splitlines():
        if line.startswith("Dumping "):
            at = offsets.setdefault(os.path.basename(os.path.dirname(line.split()[1])), [])
        elif line.startswith("| offset: "):
            at.append(int(line.split()[2]))
    trouble = re.findall(TROUBLE, out.stdout + out.stderr)
    if out.returncode != 0 and not trouble:
        trouble = ["exit code %d: %s" % (out.returncode, out.stderr[-300:])]
    return offsets, trouble


def make_lines(path, size):
    rng, written = random.Random(1), 0
    with open(path, "wb") as f:
        while written < size:
            line = base64.b64encode(rng.randbytes(rng.randrange(750, 6000))) + b"\n"
            f.write(line)
            written += len(line)


def segments(directory, partition):
    """Files by base offset."""
    return sorted(glob.glob(f"{directory}/data/t-{partition}/*.log"))


def base(path):
    return int(os.path.basename(path)[:-4])


def settled(directory):
    """Waits until the files of all partitions have kept their sizes for two seconds."""
    def sizes():
        return [(f, os.path.getsize(f)) for i in range(len(CODECS)) for f in segments(directory, i)]

    before, since, limit = sizes(), time.monotonic(), time.monotonic() + 60
    while time.monotonic() - since < 2 and time.monotonic() < limit:
        time.sleep(0.2)
        now = sizes()
        if now != before:
            before, since = now, time.monotonic()


def check(libs, directory, what, ends, sealed):
    """True: the files of each partition hold the offsets from 0 to its end."""
    files = {i: segments(directory, i) for i in range(len(CODECS))}
    if sealed:
        ends = [base(files[i][-1]) for i in files]
        files = {i: files[i][:-1] for i in files}
    offsets, trouble = dump(libs, sum(files.values(), []))
    fine = not trouble and all(len(files[i]) > 0 for i in files)
    for i, codec in enumerate(CODECS):
        got = offsets.get(f"t-{i}", [])
        whole = got == list(range(ends[i]))
        print(f"{what}: {codec}: {len(files[i])} segments, {len(got)} of {ends[i]} records{'' if whole else ', NOT WHOLE'}")
        fine = fine and whole and ends[i] > 0
    print("\n".join(trouble[:3]))
    return fine


def trouble_is_noticed(libs, path, directory):
    spoilt = os.path.join(directory, os.path.basename(path))
    with open(path, "rb") as f:
        data = bytearray(f.read())
    data[len(data) // 2] ^= 1
    with open(spoilt, "wb") as f:
        f.write(data)
    if not dump(libs, [spoilt])[1]:
        raise SystemExit("a changed byte was not noticed")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leatd", required=True)
    parser.add_argument("--mib", type=int, default=8)
    args = parser.parse_args()
    libs = os.environ.get("KAFKA_LIBS", "")
    jar = glob.glob(os.path.join(libs, "kafka-tools-*.jar"))
    if shutil.which("java") is None or shutil.which("kcat") is None or not jar:
        print("skipped:", os.environ.get("KAFKA_JARS_WHY_NOT") or "needs java, kcat and KAFKA_LIBS (tools/fetch-jars)")
        return 77
    args.partitions, args.shards = len(CODECS), 2
    directory = tempfile.mkdtemp(prefix="leat-dump-")
    broker = Broker(args, directory)
    broker.segment_bytes = 1 << 20
    try:
        source = os.path.join(directory, "input")
        make_lines(source, args.mib << 20)
        with open(source, "rb") as f:
            lines = sum(1 for _ in f)
        broker.start()
        for i, codec in enumerate(CODECS):
            subprocess.run(["kcat", "-P", "-b", f"127.0.0.1:{broker.port}", "-t", "t", "-p", str(i), "-z", codec, "-l",
                            source], check=True, stdin=subprocess.DEVNULL)
        settled(directory)
        fine = check(libs, directory, "running, sealed ones", None, True)
        trouble_is_noticed(libs, segments(directory, 0)[0], directory)
        if broker.stop() != 0:
            print("leatd did not stop cleanly")
            return 1
        fine = check(libs, directory, "stopped, all", [lines] * len(CODECS), False) and fine
        return 0 if fine else 1
    finally:
        if broker.process is not None and broker.process.poll() is None:
            broker.kill()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
