#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kafka message generator: schema files (*.msg, syntax in README.md) -> C structs and codecs.

gen.py --out DIR FILE...           msg_<file>.h and msg_<file>.c per file
gen.py --out DIR --tables FILE...  message_tables.c: one row per file
gen.py --out DIR --fill FILE...    messages_fill.c: random values per field, for tests

A file whose text stays the same is not written again, so that nothing behind it is rebuilt."""
import argparse
import pathlib
import sys

sys.dont_write_bytecode = True  # the source tree stays as it is
from generator.emit_fill import emit_fill  # noqa: E402
from generator.emit_header import emit_header  # noqa: E402
from generator.emit_source import emit_source  # noqa: E402
from generator.emit_tables import emit_tables  # noqa: E402
from generator.schema import Schema  # noqa: E402


def outputs(args, schemas):
    if args.tables:
        return {'message_tables.c': emit_tables(schemas)}
    if args.fill:
        return {'messages_fill.c': emit_fill(schemas)}
    texts = {f'msg_{s.path.stem}.h': emit_header(s) for s in schemas}
    return texts | {f'msg_{s.path.stem}.c': emit_source(s) for s in schemas}


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--out', type=pathlib.Path, required=True)
    p.add_argument('--tables', action='store_true')
    p.add_argument('--fill', action='store_true')
    p.add_argument('files', type=pathlib.Path, nargs='+')
    args = p.parse_args()
    for name, text in outputs(args, [Schema(f) for f in args.files]).items():
        path = args.out / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


if __name__ == '__main__':
    main()
