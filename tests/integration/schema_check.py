#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares protocol/schema/*.msg with the message definitions inside Apache Kafka's jars: key or record type, versions,
flexible versions, and per field order, name, type, versions, nullable versions, tag, default; and that no API of the
broker's listener is missing. KAFKA_LIBS names the directory with the jars (kafka-clients and kafka-group-coordinator, see
tools/fetch-jars); without both the test counts as skipped (77), for the reason that KAFKA_JARS_WHY_NOT gives. Prints
every difference; exit 1 if there is one."""
import json
import os
import pathlib
import re
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'protocol'))
sys.dont_write_bytecode = True
from generator.schema import BLOBS, WIDTH, Schema, flexible_from, parse_range  # noqa: E402

# On the broker's listener, but only brokers send them.
KEY_LEAT = 10000  # Leat's own APIs, which the reference does not define
NOT_OURS = {'InitializeShareGroupState', 'ReadShareGroupState', 'WriteShareGroupState', 'DeleteShareGroupState',
            'ReadShareGroupStateSummary'}
faults, compared = [], 0


def same(where, what, ours, theirs):
    global compared
    compared += 1
    if ours != theirs:
        faults.append(f'{where}: {what}: ours {ours}, reference {theirs}')


def clip(r, valid):
    low, high = max(r[0], valid[0]), min(r[1], valid[1])
    return (low, high) if low <= high else None


def plain(name):
    return name.replace('_', '').lower().removesuffix('schema')


def default(kind, value):
    text = '' if value is None else str(value)  # as the reference's generator: a JSON null is no default
    if text == 'null':
        return 'null'
    if kind == 'bool':
        return text.lower() == 'true'
    if kind in ('string', 'bytes', 'records', 'uuid', 'struct', 'array'):
        return text
    return float(text or 0) if kind == 'float64' else int(text or '0', 0)


def versions_of(j):
    return parse_range(j.get('versions') or j['taggedVersions'])


def compare(where, ours, theirs, valid, common):
    theirs = [f for f in theirs if clip(versions_of(f), valid)]
    same(where, 'fields', [plain(f.name) for f in ours], [plain(f['name']) for f in theirs])
    for f, j in zip(ours, theirs):
        at = f'{where}.{f.name}'
        array = j['type'].startswith('[]')
        kind = j['type'].removeprefix('[]')
        struct = kind not in WIDTH and kind not in BLOBS
        same(at, 'type', ('[]' if f.array else '') + ('struct' if f.struct else f.type),
             ('[]' if array else '') + ('struct' if struct else kind))
        same(at, 'versions', clip(f.versions, valid), clip(versions_of(j), valid))
        same(at, 'null', clip(f.null, valid), clip(parse_range(j.get('nullableVersions', 'none')), valid))
        same(at, 'tag', f.tag, j.get('tag'))
        if 'tag' in j:
            same(at, 'tagged versions', clip(f.versions, valid), clip(parse_range(j['taggedVersions']), valid))
        same(at, 'flexible versions of its own', None, j.get('flexibleVersions'))
        base = 'array' if array else 'struct' if struct else kind
        same(at, 'default', default(base, f.default), default(base, j.get('default')))
        if struct and f.sub:
            compare(at, f.sub.fields, j.get('fields') or common[kind], valid, common)


def compare_message(schema, m, j):
    valid = parse_range(j['validVersions'])
    same(m.name, 'number', schema.number, j.get('apiKey'))
    same(m.name, 'versions', m.versions, valid)
    same(m.name, 'flexible from', m.flexible, flexible_from(j['flexibleVersions']))
    if j['type'] == 'request':
        unstable = 1 if j.get('latestVersionUnstable') else 0
        same(m.name, 'advertised maximum', schema.advertise[1], valid[1] - unstable)
    common = {c['name']: c['fields'] for c in j.get('commonStructs', [])}
    compare(m.name, m.top.fields, j['fields'], valid, common)


def definitions(jars):
    out = {}
    for jar in jars:
        with zipfile.ZipFile(jar) as z:
            for name in z.namelist():
                if re.match(r'common/message/.*\.json$', name):
                    text = re.sub(r'^\s*//.*$', '', z.read(name).decode(), flags=re.M)
                    out[plain(pathlib.PurePath(name).stem)] = json.loads(text)
    return out


def main():
    libs = pathlib.Path(os.environ.get('KAFKA_LIBS') or '/nowhere')
    jars = [jar for name in ('kafka-clients', 'kafka-group-coordinator') for jar in libs.glob(f'{name}-[0-9]*.jar')]
    if len(jars) != 2:
        print('skipped:', os.environ.get('KAFKA_JARS_WHY_NOT') or 'KAFKA_LIBS names no directory with one of each jar')
        sys.exit(77)
    theirs = definitions(jars)
    schemas = [Schema(path) for path in sorted((ROOT / 'protocol' / 'schema').glob('*.msg'))]
    schemas = [s for s in schemas if s.kind != 'api' or s.number < KEY_LEAT]
    for schema in schemas:
        for m in schema.messages:
            compare_message(schema, m, theirs[plain(m.name)])
    wanted = {j['name'].removesuffix('Request') for j in theirs.values()
              if 'broker' in j.get('listeners', []) and j['validVersions'] != 'none'} - NOT_OURS
    same('schema', 'APIs', sorted(plain(s.name) for s in schemas if s.kind == 'api'), sorted(plain(n) for n in wanted))
    print('\n'.join(faults) or f'{compared} facts equal')
    sys.exit(1 if faults else 0)


main()
