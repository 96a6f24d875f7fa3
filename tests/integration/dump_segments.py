#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Apache Kafka's own DumpLogSegments (deep iteration) reads every segment that leatd wrote.

usage: KAFKA_LIBS=DIR dump_segments.py --leatd PATH [--mib N]

DIR holds the jars of an Apache Kafka (kafka_2.13, kafka-clients, kafka-tools and what they need). Records go in with kcat in every
codec, segments are small so that many are sealed; after a clean stop all of them are dumped. Looks for Kafka's words for
trouble and counts the records. ("-1 is followed by N" is its word for the first batch of every segment that does not begin
at offset 0, its own too.) exit 77: java, the jars or kcat are missing.
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

from kill_loop import Broker, make_input


def dump(libs, files):
    out = subprocess.run(["java", "-cp", os.path.join(libs, "*"), "org.apache.kafka.tools.DumpLogSegments", "--deep-iteration", "--files",
                          ",".join(files)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return out.returncode, out.stdout + out.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leatd", required=True)
    parser.add_argument("--mib", type=int, default=8)
    args = parser.parse_args()
    libs = os.environ.get("KAFKA_LIBS", "")
    if shutil.which("java") is None or shutil.which("kcat") is None or not glob.glob(os.path.join(libs, "kafka_2.13-*.jar")):
        print("needs java, kcat and KAFKA_LIBS (a directory with Apache Kafka's jars)")
        return 77
    args.partitions, args.shards = 5, 2
    directory = tempfile.mkdtemp(prefix="leat-dump-")
    broker = Broker(args, directory)
    broker.segment_bytes = 1 << 20
    try:
        source = os.path.join(directory, "input")
        make_input(source, args.mib << 20)
        with open(source, "rb") as f:
            lines = sum(1 for _ in f)
        broker.start()
        for i, codec in enumerate(["none", "gzip", "snappy", "lz4", "zstd"]):
            subprocess.run(["kcat", "-P", "-b", f"127.0.0.1:{broker.port}", "-t", "t", "-p", str(i), "-z", codec, "-l", source],
                           check=True, stdin=subprocess.DEVNULL)
        if broker.stop() != 0:
            print("leatd did not stop cleanly")
            return 1
        bad = 0
        for i in range(args.partitions):
            files = sorted(glob.glob(f"{directory}/data/t-{i}/*.log"))
            code, text = dump(libs, files)
            records = len(re.findall(r"^\| offset: ", text, re.M))
            trouble = re.findall(r".*(?:isvalid: false|Found bytes that do not|[Ee]xception|corrupt|mismatch| [0-9]+ is followed by).*", text)
            fine = code == 0 and not trouble and records == lines
            bad += not fine
            print(f"partition {i}: {len(files)} segments, {records} of {lines} records, {'fine' if fine else trouble[:3] or code}")
        return 1 if bad else 0
    finally:
        if broker.process is not None and broker.process.poll() is None:
            broker.kill()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
