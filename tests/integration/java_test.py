#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Apache Kafka's Java clients (JavaClient.java) against leatd. Usage: java_test.py LEATD SOURCE. Skipped (77) without a
JDK, or unless KAFKA_LIBS names a directory with the jars of tools/fetch-jars."""
import os
import pathlib
import shutil
import subprocess
import sys

from leatd import Leatd


def main():
    leatd, source = sys.argv[1:]
    libs = os.environ.get('KAFKA_LIBS', '')
    if not shutil.which('javac') or not libs or not list(pathlib.Path(libs).glob('kafka-clients-*.jar')):
        print('skipped:', os.environ.get('KAFKA_JARS_WHY_NOT') or 'needs javac, java and KAFKA_LIBS')
        sys.exit(77)
    with Leatd(os.path.abspath(leatd), 'leat.shards=2') as broker:
        subprocess.run(['java', '-Xmx256m', '-cp', f'{libs}/*', source, broker.address], check=True, timeout=240)


main()
