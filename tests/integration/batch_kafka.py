# SPDX-License-Identifier: Apache-2.0
"""Batches made by our builder, read by Apache Kafka's own classes.

Usage: batch_kafka.py SAMPLES_PROGRAM GOLDEN_SOURCE GOLDEN_DIR. Needs javac, java and KAFKA_LIBS, the libs directory of an
Apache Kafka 4.3.1 distribution; without them the test is skipped (77). The program writes NAME.bin and NAME.txt; Kafka's
listing of NAME.bin must be NAME.txt. That the comparison can fail is shown first: a spoilt listing must be refused."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile


def verify(classes, libs, directory):
    return subprocess.run(['java', '-cp', f'{classes}{os.pathsep}{libs}/*', 'GoldenBatches', 'verify', directory],
                          capture_output=True, text=True)


def main():
    samples, source, golden = sys.argv[1:]
    libs = os.environ.get('KAFKA_LIBS', '')
    if not shutil.which('javac') or not shutil.which('java') or not list(pathlib.Path(libs or '.').glob('kafka-clients-*.jar')):
        print('skipped: needs javac, java and KAFKA_LIBS')
        return 77
    with tempfile.TemporaryDirectory() as work:
        classes, ours, spoilt = (os.path.join(work, n) for n in ('classes', 'ours', 'spoilt'))
        for d in (classes, ours):
            os.mkdir(d)
        subprocess.run(['javac', '-cp', f'{libs}/*', '-d', classes, source], check=True)
        shutil.copytree(golden, spoilt)
        text = pathlib.Path(spoilt, 'one.txt')
        text.write_text(text.read_text().replace('x6b6579', 'x6b657a'))
        if verify(classes, libs, spoilt).returncode == 0:
            print('a wrong listing was not noticed')
            return 1
        subprocess.run([samples, ours], check=True)
        result = verify(classes, libs, ours)
        print(result.stdout[-2000:], result.stderr[-4000:])
        return result.returncode


sys.exit(main())
