#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`leat dump` on the directory of a real leatd: beside it while it writes, after kill -9, after a clean stop, and with
damage planted into each kind of file: named with its position, and the rest is still read.

usage: leat_dump_test.py LEATD LEAT
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import threading
import time

from leatd import Leatd

LEATD, LEAT = (os.path.abspath(p) for p in sys.argv[1:3])
ROUNDS, EACH = 30, 3000


def dump(*args):
    """Exit code, items, standard error."""
    p = subprocess.run([LEAT, '--json', 'dump', *map(str, args)], capture_output=True, timeout=300)
    return p.returncode, [json.loads(line) for line in p.stdout.splitlines()], p.stderr.decode()


def sound(*args):
    code, items, err = dump(*args)
    bad = [i for i in items if i['type'] == 'damage']
    assert code == 0 and not bad and not err, (code, bad, err)
    return items


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def of_type(items, *types):
    return [i for i in items if i['type'] in types]


def produce(broker, topic, count, seed):
    data = b''.join(b'%s%d the same words again and again\n' % (seed, i) for i in range(count))
    subprocess.run([LEAT, '-b', broker.address, 'produce', topic], input=data, check=True, timeout=120)


def beside_a_running_broker(broker):
    """While batches come in: what is read is sound every time, and the broker does not notice."""
    done, looked, failed, looks = threading.Event(), threading.Event(), [], 0

    def write():
        try:
            for i in range(ROUNDS):
                produce(broker, 'a', EACH, b'%d-' % i)
                if i == ROUNDS // 2:
                    looked.wait(60)
        except subprocess.SubprocessError as e:
            failed.append(e)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        sound('-s', broker.dir / 'data')
        looks += 1
        if looks == 2:
            looked.set()
    writer.join()
    assert not failed and looks >= 2, (failed, looks)


def beside_deletions(broker):
    """Topics come and go: what is gone before it is read is no error. z: their folders are read last."""
    done, failed = threading.Event(), []

    def change():
        leat = [LEAT, '-b', broker.address, 'topic']
        try:
            for i in range(30):
                subprocess.run([*leat, 'create', f'z{i}', '-p', '8'], check=True, timeout=60, capture_output=True)
                produce(broker, f'z{i}', 5000, b'x')  # enough for a folder of its own
                subprocess.run([*leat, 'delete', '-y', f'z{i}'], check=True, timeout=60, capture_output=True)
        except subprocess.SubprocessError as e:
            failed.append(e)
        done.set()

    changer = threading.Thread(target=change)
    changer.start()
    while not done.is_set():
        sound('-s', broker.dir / 'data')
    changer.join()
    assert not failed, failed


def after_a_kill(broker):
    broker.kill()
    items = sound('--deep', broker.dir / 'data')
    kinds = {i['kind'] for i in of_type(items, 'file')}
    want = {'segment', 'index', 'journal ring', 'journal control', 'checkpoint table', 'directory', 'partition',
            'metadata log', 'metadata log control'}
    assert kinds == want, kinds ^ want
    types = {i['type'] for i in items}
    for name in ('group', 'append', 'create', 'proof', 'control', 'ring_file', 'batch', 'record', 'page', 'entry'):
        assert name in types, (name, types)
    assert {'a', 'b', 'z0'} <= {i['topic'] for i in of_type(items, 'create')}
    assert max(i['last'] + 1 for i in of_type(items, 'append')) == ROUNDS * EACH
    broker.start()


def after_a_clean_stop(broker):
    broker.stop()
    items = sound(broker.dir / 'data')
    count = 0
    for i in [i for i in of_type(items, 'batch') if '/trash/' not in i['file']]:
        assert '/a-0/' in i['file'] and i['offset'] == count, i
        count = i['last'] + 1
    assert count == ROUNDS * EACH, count
    assert of_type(items, 'base')
    text = subprocess.run([LEAT, 'dump', broker.dir / 'data' / 'leat.directory'], capture_output=True, text=True).stdout
    assert text.startswith(str(broker.dir)) and 'directory id=' in text, text


# ---- planted damage ----

def spoil(path, at, new=None):
    """Other bytes at a place; twice without `new` is as before."""
    data = bytearray(path.read_bytes())
    data[at:at + len(new or b'x')] = new or bytes([data[at] ^ 0x5a])
    path.write_bytes(data)


def damaged(path):
    code, items, err = dump(path)
    bad = of_type(items, 'damage')
    assert code == 4 and bad and 'damaged' in err, (path, code, items[-3:], err)
    return bad, items


def in_segments(folder):
    first = sorted((folder / 'a-0').glob('*.log'))[0]
    index, whole = first.with_suffix('.lidx'), first.read_bytes()
    batches = of_type(sound(first), 'batch')
    assert len(batches) > 3
    place, rest = batches[1]['position'], batches[:1] + batches[2:]
    # a byte of a value; a wild length; zeros; another magic: this batch is named, all others are read
    for at, new in [(place + 100, None), (place + 8, b'\xff\xff\xff\xff'), (place, bytes(batches[1]['bytes'])),
                    (place + 16, b'\x01')]:
        spoil(first, at, new)
        bad, items = damaged(first)
        assert (bad[0]['position'], bad[0]['bytes']) == (place, batches[1]['bytes']), (at, bad)
        assert of_type(items, 'batch') == rest, at
        first.write_bytes(whole)
    # the base offset, which no batch checksum covers: the index tells
    spoil(first, place + 7)
    assert 'does not fit the .log' in damaged(index)[0][0]['what']
    # a sealed segment that is cut
    first.write_bytes(whole[:-10])
    bad, items = damaged(first)
    assert 'ends inside a batch' in bad[0]['what'] and of_type(items, 'batch') == batches[:-1]
    first.write_bytes(whole)
    sound(first, index)
    spoil(index, 64 + 3)
    assert 'made anew' in damaged(index)[0][0]['what']


def groups_of(path):
    return of_type(sound(path), 'group')


def in_journals(folder):
    rings = {r: groups_of(r) for r in sorted(folder.glob('journal-*/ring-*'))}
    ring, groups = next((r, g) for r, g in rings.items() if len(g) > 6)
    # a group that later ones call durable: first its body, then its header, by which it is found
    victim = groups[2]
    spoil(ring, victim['position'] + 200)
    bad, items = damaged(ring)
    assert bad[0]['position'] == victim['position'] and str(victim['sequence']) in bad[0]['what'], bad
    assert [g['sequence'] for g in of_type(items, 'group')] == [g['sequence'] for g in groups]
    spoil(ring, victim['position'] + 200)
    spoil(ring, victim['position'] + 20)
    bad, items = damaged(ring)
    assert f"1 groups from {victim['sequence']} on are missing" in bad[0]['what'], bad
    spoil(ring, victim['position'] + 20)
    sound(ring)
    stale_groups(ring, groups)
    # the newest one of the journal: nobody calls it durable, so it may be a torn write
    mine = [g for r, found in rings.items() if r.parent == ring.parent for g in found]
    newest = max(mine, key=lambda g: g['sequence'])
    spoil(pathlib.Path(newest['file']), newest['position'] + newest['bytes'] - 1)
    notes = of_type(sound(newest['file']), 'note')
    assert any('never acknowledged' in i['what'] for i in notes), notes
    control = ring.parent / 'control'
    spoil(control, 50)
    assert of_type(sound(control), 'note')
    spoil(control, 4096 + 50)
    assert 'cannot be opened' in damaged(control)[0][0]['what']


def stale_groups(ring, groups):
    """A kill leaves a torn group and a sound one behind it; the next run gives both numbers again. Such groups, and the
    same ones after they had been acknowledged, made by hand behind the last one."""
    before, last = ring.read_bytes(), groups[-1]
    end, older = last['position'] + last['bytes'], last['incarnation'] - 1

    def behind(*made):
        """Each: incarnation, sequence after the last one, durable sequence after it. None follows the chain."""
        out = b''
        for incarnation, sequence, durable in made:
            raw = bytearray(before[last['position']:last['position'] + 128]) + bytes(4096 - 128)
            struct.pack_into('<QQQIIII', raw, 32, incarnation, last['sequence'] + sequence, last['sequence'] + durable, 4096, 0,
                             crc32c(bytes(4096 - 128)), 0)
            struct.pack_into('<I', raw, 72, 0)
            struct.pack_into('<I', raw, 12, 0)
            struct.pack_into('<I', raw, 12, crc32c(raw[:128]))
            out += raw
        ring.write_bytes(before[:end] + out + before[end + len(out):])

    now = last['incarnation']
    for made in [(older, 1, 0)], [(older, 2, 1)], [(older, 1, 0), (older, 2, 1)]:
        behind(*made)
        assert [i['what'] for i in of_type(sound(ring), 'note') if 'of an earlier run' in i['what']], made
    behind((now, 1, 0))  # not called durable by anybody: never acknowledged
    sound(ring)
    behind((now, 2, 0))
    assert any('torn, and never' in i['what'] for i in of_type(sound(ring), 'note'))
    behind((now, 1, 0), (now, 2, 1))
    assert 'does not follow' in damaged(ring)[0][0]['what']
    behind((now, 2, 1))
    assert f"1 groups from {last['sequence'] + 1} on are missing" in damaged(ring)[0][0]['what']
    ring.write_bytes(before)
    sound(ring)


def in_tables(folder):
    tables = [(t, of_type(sound(t), 'base', 'delta')) for t in sorted(folder.glob('journal-*/table-*'))]
    table, chunks = next((t, c) for t, c in tables if c and c[0]['records'] and c[-1]['records'])
    before = table.read_bytes()
    spoil(table, chunks[-1]['position'] + 128 + 60)  # the last one: a write that was torn, and never counted
    items = sound(table)
    assert of_type(items, 'base', 'delta') == chunks[:-1] and of_type(items, 'note')
    table.write_bytes(before)
    spoil(table, 8, b'\x63')  # a version of the future; its checksum does not fit then, so it is no table at all
    assert not of_type(sound(table), 'base')
    table.write_bytes(before)
    # an empty delta behind the last one, made by hand: it is read, and it tells that the one before was durable once
    last, raw = chunks[-1], bytearray(before)
    at = (last['position'] + last['bytes'] + 4095) // 4096 * 4096
    delta = bytearray(raw[last['position']:last['position'] + 128])
    struct.pack_into('<II', delta, 40, last['number'] + 1, 0)
    struct.pack_into('<IQ', delta, 76, 0, 0)
    struct.pack_into('<I', delta, 96, *struct.unpack_from('<I', delta, 12))
    struct.pack_into('<I', delta, 12, 0)
    struct.pack_into('<I', delta, 12, crc32c(delta))
    raw[at:at + 4096] = bytes(delta) + bytes(4096 - 128)
    table.write_bytes(raw)
    assert len(of_type(sound(table), 'base', 'delta')) == len(chunks) + 1
    spoil(table, last['position'] + 128 + 60)
    bad, items = damaged(table)
    assert 'a later one' in bad[0]['what'] and bad[0]['position'] == last['position'], bad


def in_small_files(folder):
    for name in ('leat.directory', 'a-0/partition.metadata'):
        spoil(folder / name, 40)
        assert 'fails its checksum' in damaged(folder / name)[0][0]['what']
        (folder / name).write_bytes(b'short')
        assert 'shorter' in damaged(folder / name)[0][0]['what']
    log = folder / '__metalog' / 'log-000001'
    groups = groups_of(log)
    spoil(log, groups[1]['position'] + 120)
    bad, items = damaged(log)
    assert bad[0]['position'] == groups[1]['position'], bad
    assert [i['sequence'] for i in of_type(items, 'group')] == [g['sequence'] for g in groups[:1] + groups[2:]]
    control = folder / '__metalog' / 'control'
    spoil(control, 50)
    spoil(control, 4096 + 50)
    assert 'cannot be opened' in damaged(control)[0][0]['what']


def foreign_files(folder):
    """Told, and the others are read all the same."""
    os.mkfifo(folder / 'a-0' / 'pipe.log')
    for path, said in [('/etc/passwd', 'neither its name'), ('/no/such', 'No such file'), ('/dev/null', 'Invalid argument')]:
        code, items, err = dump(path, folder / 'a-0' / 'partition.metadata')
        assert code == 4 and said in err and of_type(items, 'file'), (path, code, err)
        assert dump(path)[0] == 1
    kinds = [i['kind'] for i in of_type(dump('-s', folder / 'a-0')[1], 'file')]
    assert 'segment' in kinds, kinds  # the pipe was passed over


def main():
    with Leatd(LEATD, 'leat.topics=a:1,b:1', 'leat.shards=2', 'log.segment.bytes=1048576') as broker:
        def run(case, *args):
            begun = time.monotonic()
            case(*args)
            print(f'ok {case.__name__} ({time.monotonic() - begun:.1f} s)', flush=True)

        for case in (beside_a_running_broker, beside_deletions, after_a_kill, after_a_clean_stop):
            run(case, broker)
        folder = broker.dir / 'copy'
        shutil.copytree(broker.dir / 'data', folder)
        for case in (in_segments, in_journals, in_tables, in_small_files, foreign_files):
            run(case, folder)
        broker.start()  # all that reading has left its own directory as it was


main()
