#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares protocol/schema/*.msg with the message definitions in a kafka-clients jar: key, versions, flexible versions,
and per field order, name, type, versions, nullable versions, tag, default. KAFKA_CLIENTS_JAR names the jar; without it
the test counts as skipped (77). Prints every difference; exit 1 if there is one."""
import json
import os
import pathlib
import re
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'protocol'))
sys.dont_write_bytecode = True
import gen  # noqa: E402

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
    return name.replace('_', '').lower()


def default(kind, text):
    text = str(text)
    if text == 'null':
        return 'null'
    if kind == 'bool':
        return text.lower() == 'true'
    if kind in ('string', 'bytes', 'records', 'uuid', 'struct', 'array'):
        return text
    return float(text or 0) if kind == 'float64' else int(text or '0', 0)


def compare(where, ours, theirs, valid, common):
    theirs = [f for f in theirs if clip(gen.parse_range(f['versions']), valid)]
    same(where, 'fields', [plain(f.name) for f in ours], [plain(f['name']) for f in theirs])
    for f, j in zip(ours, theirs):
        at = f'{where}.{f.name}'
        array = j['type'].startswith('[]')
        kind = j['type'].removeprefix('[]')
        struct = kind not in gen.WIDTH and kind not in gen.BLOBS
        same(at, 'type', ('[]' if f.array else '') + ('struct' if f.struct else f.type),
             ('[]' if array else '') + ('struct' if struct else kind))
        same(at, 'versions', clip(f.versions, valid), clip(gen.parse_range(j['versions']), valid))
        same(at, 'null', clip(f.null, valid), clip(gen.parse_range(j.get('nullableVersions', 'none')), valid))
        same(at, 'tag', f.tag, j.get('tag'))
        if 'tag' in j:
            same(at, 'tagged versions', clip(f.versions, valid), clip(gen.parse_range(j['taggedVersions']), valid))
        same(at, 'flexible versions of its own', None, j.get('flexibleVersions'))
        base = 'array' if array else 'struct' if struct else kind
        same(at, 'default', default(base, f.default or ''), default(base, j.get('default', '')))
        if struct:
            compare(at, f.sub.fields, j.get('fields') or common[kind], valid, common)


def main():
    jar = os.environ.get('KAFKA_CLIENTS_JAR', '')
    if not os.path.exists(jar):
        print('skipped: KAFKA_CLIENTS_JAR names no kafka-clients jar')
        sys.exit(77)
    with zipfile.ZipFile(jar) as z:
        names = {plain(pathlib.PurePath(n).stem): n for n in z.namelist() if re.match(r'common/message/.*\.json$', n)}
        for path in sorted((ROOT / 'protocol' / 'schema').glob('*.msg')):
            api = gen.Api(path)
            for m in api.messages:
                text = z.read(names[plain(m.name)]).decode()
                j = json.loads(re.sub(r'^\s*//.*$', '', text, flags=re.M))
                same(m.name, 'key', api.key, j['apiKey'])
                valid = gen.parse_range(j['validVersions'])
                same(m.name, 'versions', api.range, valid)
                same(m.name, 'flexible from', api.flexible, gen.flexible_from(j['flexibleVersions']))
                if m.kind == 'request':
                    unstable = 1 if j.get('latestVersionUnstable') else 0
                    same(m.name, 'advertised maximum', api.advertise[1], valid[1] - unstable)
                common = {c['name']: c['fields'] for c in j.get('commonStructs', [])}
                compare(m.name, m.top.fields, j['fields'], valid, common)
    print('\n'.join(faults) or f'{compared} facts equal')
    sys.exit(1 if faults else 0)


main()
