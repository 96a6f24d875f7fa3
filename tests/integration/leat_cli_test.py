#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line tool against a real leatd: each command, wrong usage, exit codes, closed pipes, a
broker that is away and one that is killed (kill -9) in the middle of a produce.

usage: leat_cli_test.py LEATD LEAT HELLO [CASE...]
"""
import base64
import json
import os
import pty
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time

from leatd import Leatd

LEATD, LEAT, HELLO = (os.path.abspath(p) for p in sys.argv[1:4])
BENCH = ['bench produce', 'bench consume', 'bench e2e', 'bench storage']
COMMANDS = ['topic create', 'topic list', 'topic describe', 'topic alter', 'topic delete', 'topic undelete', 'produce', 'consume',
            'cluster status',
            'group list', 'group describe', 'group lag', 'group reset', 'group delete', 'config describe', 'config alter', 'dump',
            'completion', *BENCH]
ENV = {k: v for k, v in os.environ.items() if k not in ('LEAT_BROKER', 'NO_COLOR')}


def run(broker, *args, data=b'', env=None, timeout=120):
    """Exit code, standard output, standard error."""
    where = ['-b', broker.address] if broker else []
    p = subprocess.run([LEAT, *where, *args], input=data, capture_output=True, timeout=timeout, env=env or ENV)
    return p.returncode, p.stdout, p.stderr.decode()


def good(broker, *args, **more):
    code, out, err = run(broker, *args, **more)
    assert code == 0, f'{args}: exit {code}: {err}'
    return out


def fails(want, said, broker, *args, **more):
    code, _, err = run(broker, *args, **more)
    assert code == want, f'{args}: exit {code}, wanted {want}: {err}'
    assert said in err, f'{args}: "{said}" is not in: {err}'
    assert err.startswith('leat'), err
    return err


def js(broker, *args):
    return [json.loads(line) for line in good(broker, '--json', *args).splitlines()]


def lines(count, seed):
    return b''.join(b'%s record %d of many\n' % (seed, i) for i in range(count))


# ---- usage ----

def help_texts(_):
    text = good(None, '--help').decode()
    for command in COMMANDS:
        assert command in text, command
        own = good(None, *command.split(), '--help').decode()
        assert own.startswith(f'Usage: leat {command}') and re.search('Exit codes?:', own), own
        assert own == good(None, *command.split(), '-h').decode()
        assert max(map(len, own.splitlines())) <= 120
    assert good(None, 'topic', '--help').decode().startswith('Usage: leat topic COMMAND')
    assert good(None, '--version').decode().startswith('leat ')


def wrong_usage(broker):
    for args, said in [([], 'which command'), (['nonsense'], "no command 'nonsense'"), (['prodce'], "did you mean 'produce'"),
                       (['topic', 'lst'], "did you mean 'topic list'"), (['topic', 'list', 'x'], 'one word too many'),
                       (['--nonsense'], 'no option --nonsense'), (['consume'], 'TOPIC missing'),
                       (['consume', 't', '--fromat', 'x'], 'no option --fromat; did you mean --format?'),
                       (['consume', 't', '--frmat=x'], 'no option --frmat; did'), (['consume', 't', '-x'], 'no option -x (see'),
                       (['topic', 'list', '--tiemout=3'], 'no option --tiemout; did you mean --timeout?'), (['consume', 't', '--from'], '--from needs a value'),
                       (['consume', 't', '--from', 'yesterday'], '--from yesterday: give'),
                       (['consume', 't', '--to', '2026-02-30'], '--to 2026-02-30: give'),
                       (['consume', 't', '--follow', '--to', 'end'], '--follow has no end'),
                       (['consume', 't', '-n', '-1'], 'give a number from 0'), (['consume', 't', '-n', '1x'], 'give a number'),
                       (['consume', 't', '-p', '1-'], 'give numbers as'), (['consume', 't', '-F', '%q'], "'%q' at 0 is no token"),
                       (['consume', 't', '-F', r'a\q'], 'at 1 is no escape'), (['consume', 't', '-F', 'x', '--json'], 'one of them'),
                       (['consume', 'a b'], 'no topic name'), (['consume', 'x' * 250], 'no topic name'),
                       (['produce', '..'], 'no topic name'), (['produce', 't', '-c', 'zip'], '--codec zip: give none'),
                       (['produce', 't', '-a', '2'], '--acks 2: give all'), (['produce', 't', '-k', ''], 'empty'),
                       (['produce', 't', '-H', 'x'], 'give NAME=VALUE'), (['produce', 't', '--timeout', '0'], 'give a number'),
                       (['topic', 'create', 't', '-p', '0'], 'give a number'), (['topic', 'create', 't', '-c', 'x'], 'NAME=VALUE'),
                       (['topic', 'alter', 't'], 'nothing to change'), (['topic', 'undelete'], 'give TOPIC, or --id'),
                       (['topic', 'undelete', 't', '--id', '0' * 32], 'give TOPIC, or --id'),
                       (['topic', 'undelete', '--id', 'x' * 32], 'give 32 hexadecimal digits'), (['completion', 'zsh'], 'only bash'),
                       (['group', 'lga'], "did you mean 'group lag'"), (['group', 'lag', '--max-age', 'x'], 'give a number from 0'),
                       (['group', 'reset', 'g'], 'give --to or --shift'), (['group', 'describe', ''], 'a group needs a name'),
                       (['group', 'reset', 'g', '--to', 'end', '--shift', '1'], 'give --to or --shift'),
                       (['group', 'reset', 'g', '--to', 'now'], '--to now: give'), (['group', 'reset', 'g', '--shift', 'x'], 'number'),
                       (['group', 'reset', 'g', '--to', 'end', '-t', 'x:'], '--topic x:: give'),
                       (['config', 'describe', 'topik', 't'], 'give topic, broker or group'),
                       (['config', 'alter', 'topic', 't'], 'nothing to change'),
                       (['config', 'alter', 'topic', 't', '-c', 'x'], 'NAME=VALUE'),
                       (['config', 'describe', 'broker', 'x'], "'x' is no broker id"),
                       (['-b', 'x:99999', 'topic', 'list'], 'no broker address'), (['-b', '', 'topic', 'list'], 'no broker given')]:
        fails(2, said, None, *args)
    assert run(None, 'topic')[0] == 2 and b'Usage: leat topic' in run(None, 'topic')[1]
    # options may stand anywhere, the environment stands in for -b
    assert good(None, '--json', 'topic', 'list', '-b', broker.address) == good(broker, 'topic', 'list', '--json')
    env = dict(ENV, LEAT_BROKER=broker.address)
    assert good(None, 'topic', 'list', '--names', env=env) == good(broker, 'topic', 'list', '--names')
    assert good(None, 'topic', 'list', '--names', '-b', broker.address) == good(broker, 'topic', 'list', '--names')


def completion(broker):
    script = good(None, 'completion', 'bash').decode()

    def complete(*words):
        bash = script + f"""
            PATH={os.path.dirname(LEAT)}:$PATH; COMP_WORDS=({' '.join(repr(w) for w in words)}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            _leat; printf '%s\\n' "${{COMPREPLY[@]}}\""""
        p = subprocess.run(['bash', '-u', '-c', bash], capture_output=True, text=True, env=dict(ENV, LEAT_BROKER=broker.address),
                           cwd='/')
        assert p.stderr == '', p.stderr
        return set(p.stdout.split())

    assert complete('leat', '') == {'topic', 'produce', 'consume', 'group', 'config', 'cluster', 'dump', 'bench',
                                    'completion'}
    assert complete('leat', 'topic', 'de') == {'describe', 'delete'}
    assert complete('leat', '-b', 'x:1', 'topic', 'de') == {'describe', 'delete'}
    assert complete('leat', 'produce', 't', '--codec', 'l') == {'lz4'}
    assert complete('leat', 'produce', 't', '--header', '') == set()
    assert complete('leat', 'consume', 'co') == {'codec'}
    assert complete('leat', 'dump', '/et') == {'/etc'}
    good(broker, 'topic', 'create', 'completed', '-p', '1')
    good(broker, 'topic', 'delete', 'completed', '-y')
    assert complete('leat', 'topic', 'undelete', 'comp') == {'completed'}
    assert complete('leat', 'topic', 'describe', 'comp') == set()
    assert complete('leat', 'config', 'alter', 'br') == {'broker'}
    assert complete('leat', 'bench', 'produce', '--topic', '') == set()
    # every command and every long option of its help, and no other
    for command in COMMANDS:
        text = good(None, *command.split(), '--help').decode()
        want = {w for line in text.splitlines() if line.startswith('  ') for w in line.split()[:2] if w.startswith('--')}
        if command in BENCH:  # its help has some options within a line
            want = {*re.findall(r'--[a-z-]+', text), '--help'}
        assert complete('leat', *command.split(), '--') == want, command


def bench(broker):
    """The load generator's own tests are bench_test.py; here: the way to it."""
    args = ['--topic', 't', '--count', '100', '--no-probe']
    told = json.loads(good(broker, '--json', 'bench', 'e2e', *args))
    assert told['verified']['records'] == 100, told
    env = dict(ENV, LEAT_BROKER=broker.address)
    assert b'records' in good(None, 'bench', 'produce', *args, env=env)
    good(None, 'bench', 'produce', '-b', broker.address, *args)
    fails(2, 'leat bench: there is no option --topik; did you mean --topic?', broker, 'bench', 'produce', '--topik', 't')
    fails(2, 'leat bench: --topic needs a value', broker, 'bench', 'consume', '--topic')
    fails(2, "did you mean 'bench produce'", broker, 'bench', 'prodce')
    fails(2, '--dir is missing', None, 'bench', 'storage')
    fails(1, 'refused', None, '-b', '127.0.0.1:1', 'bench', 'produce', *args)
    folder = broker.dir / 'bench'
    folder.mkdir()
    good(None, 'bench', 'storage', '--dir', str(folder), '--count', '100', '--journal', '64M', '--no-probe')
    assert list(folder.iterdir()) == []


# ---- reading and writing ----

def codecs(broker):
    for codec in ['none', 'gzip', 'snappy', 'lz4', 'zstd']:
        data = lines(20000, codec.encode())
        good(broker, 'produce', 'codec', '-p', '0', '-c', codec, data=data)
        got = good(broker, 'consume', 'codec', '--from', '-20000')
        assert got == data, codec


def inputs(broker):
    def records(*args, data):
        before = js(broker, 'topic', 'describe', 'in')[0][0]['partitions'][0]['end_offset']
        good(broker, 'produce', 'in', *args, data=data)
        return js(broker, 'consume', 'in', '--from', str(before))

    got = records(data=b'a\n\nlast without end')
    assert [r['value'] for r in got] == ['a', '', 'last without end'] and got[0]['key'] is None
    got = records('-z', data=b'\n')
    assert got[0]['value'] is None
    got = records('-k', '=>', '-H', 'source=test', '-H', 'empty=', data=b'k=>v=>w\nplain\n=>v\nk=>\n')
    assert [(r['key'], r['value']) for r in got] == [('k', 'v=>w'), (None, 'plain'), ('', 'v'), ('k', '')]
    assert got[0]['headers'] == [{'name': 'source', 'value': 'test'}, {'name': 'empty', 'value': ''}]
    got = records('-0', data=b'two\nlines\0and\0')
    assert [r['value'] for r in got] == ['two\nlines', 'and']
    got = records(data=b'\xff\xfe\n')
    assert base64.b64decode(got[0]['value']['base64']) == b'\xff\xfe'
    got = records('-k', ':', '-0', data=b'\xff\x01\n:\x80v\n\0')  # a binary key, and a newline in it
    assert base64.b64decode(got[0]['key']['base64']) == b'\xff\x01\n'
    assert good(broker, 'consume', 'in', '--from', '-1', '-F', '%k|%v|%K') == b'\xff\x01\n|\x80v\n|3'
    assert records('-a', '1', data=b'one\n')[0]['value'] == 'one'
    before = js(broker, 'topic', 'describe', 'in')[0][0]['partitions'][0]['end_offset']
    good(broker, 'produce', 'in', '-a', '0', data=b'nobody waits\n')
    # not even we: it is stored a moment later
    follow = good(broker, 'consume', 'in', '-f', '--from', str(before), '-n', '1')
    assert follow == b'nobody waits\n', follow
    assert records(data=b'') == []
    big = b'x' * 900_000
    assert records(data=big + b'\n')[0]['value'] == big.decode()
    path = broker.dir / 'file.txt'
    path.write_bytes(b'from a file\n')
    got = records(str(path), '-', str(path), data=b'between\n')
    assert [r['value'] for r in got] == ['from a file', 'between', 'from a file']
    fails(1, 'No such file', broker, 'produce', 'in', '/no/such/file')
    fails(1, 'Is a directory', broker, 'produce', 'in', '/')
    err = fails(1, 'MESSAGE_TOO_LARGE', broker, 'produce', 'in', data=b'ok\n' + b'x' * 2_000_000 + b'\n')
    assert ' of ' in err and 'records are acknowledged' in err


def offsets_told(broker):
    before = js(broker, 'topic', 'describe', 'in')[0][0]['partitions'][0]['end_offset']
    out = good(broker, 'produce', 'in', '-v', data=b'a\nb\n').decode()
    assert out == f'partition 0 offset {before} records 2\n', out
    got = js(broker, 'produce', 'in', '-v')
    assert got == []


def positions(broker):
    start = int(time.time() * 1000)
    good(broker, 'produce', 'pos', '-p', '1', data=lines(10, b'early'))
    time.sleep(0.05)
    middle = int(time.time() * 1000)
    time.sleep(0.05)
    good(broker, 'produce', 'pos', '-p', '1', data=lines(10, b'late'))
    iso = time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(middle / 1000)) + '.%03dZ' % (middle % 1000)
    for args, first, last in [([], 0, 20), (['--from', 'beginning'], 0, 20), (['--from', 'end'], 20, 20), (['--from', '5'], 5, 20),
                              (['--from', '5', '--to', '8'], 5, 8), (['--from', '-3'], 17, 20), (['--from=-99'], 0, 20),
                              (['--from', f'@{middle}'], 10, 20), (['--from', iso], 10, 20), (['--to', iso], 0, 10),
                              (['--from', f'@{start}', '--to', f'@{middle}'], 0, 10), (['--from', '2099-01-01'], 20, 20),
                              (['--count', '4'], 0, 4), (['-n', '0'], 0, 0), (['--to', '-15'], 0, 5), (['--to', 'beginning'], 0, 0)]:
        got = [r['offset'] for r in js(broker, 'consume', 'pos', '-p', '1', *args)]
        assert got == list(range(first, last)), (args, got)
    assert good(broker, 'consume', 'pos', '-p', '0,2-3') == b''
    text = good(broker, 'consume', 'pos', '-F', r'%t/%p/%o/%k/%V/%K/%%\t%v\x0a', '-n', '1').decode()
    assert text == 'pos/1/0//22/-1/%\tearly record 0 of many\n', text
    stamp = good(broker, 'consume', 'pos', '-F', '%T %I', '-n', '1').decode().split()
    assert start <= int(stamp[0]) <= middle and stamp[1].startswith('20'), stamp
    fails(1, 'partitions 0 to 3, no 7', broker, 'consume', 'pos', '-p', '7')
    fails(1, "no topic 'nobody'", broker, 'consume', 'nobody')
    fails(1, "no topic 'nobody'", broker, 'produce', 'nobody', data=b'x\n')
    fails(2, 'partitions 0 to 3, no 7', broker, 'produce', 'pos', '-p', '7', data=b'x\n')


def keys_stay_together(broker):
    data = b''.join(b'key%d:%d\n' % (i % 20, i) for i in range(2000))
    good(broker, 'produce', 'keys', '-k', ':', data=data)
    seen, order = {}, {}
    for r in js(broker, 'consume', 'keys'):
        assert seen.setdefault(r['key'], r['partition']) == r['partition']
        assert order.get(r['key'], -1) < int(r['value'])
        order[r['key']] = int(r['value'])
    assert len(seen) == 20 and len(set(seen.values())) > 1


def tells(broker):
    names = good(broker, 'topic', 'list', '--names').decode().split()
    assert names == sorted(names) and 'pos' in names
    topics = {t['name']: t for t in js(broker, 'topic', 'list')[0]}
    assert topics['pos'] == {'name': 'pos', 'partitions': 4, 'replicas': 1, 'internal': False}
    text = good(broker, 'topic', 'describe', 'pos').decode()
    assert text.splitlines()[0] == 'pos: 4 partitions' and 'IN SYNC' in text
    fails(1, "no topic 'nobody'", broker, 'topic', 'describe', 'pos', 'nobody')
    status = js(broker, 'cluster', 'status')[0]
    assert status['topics'] == len(names) and status['offline'] == [] and status['brokers'][0]['port'] == broker.port
    assert 'partitions offline' in good(broker, 'cluster', 'status').decode()


def administration(broker):
    assert good(broker, 'topic', 'create', 'made', '-p', '3') == b'made created\n'
    assert len(js(broker, 'topic', 'describe', 'made')[0][0]['partitions']) == 3
    fails(1, 'TOPIC_ALREADY_EXISTS', broker, 'topic', 'create', 'made')
    good(broker, 'topic', 'create', 'made', '--if-not-exists')
    good(broker, 'produce', 'made', data=b'x\n')
    good(broker, 'topic', 'alter', 'made', '-p', '5', '-c', 'retention.ms=100000')
    made = js(broker, 'topic', 'describe', 'made')[0][0]
    assert len(made['partitions']) == 5 and made['settings'].get('retention.ms') == '100000', made
    good(broker, 'topic', 'alter', 'made', '-d', 'retention.ms')
    assert 'retention.ms' not in js(broker, 'topic', 'describe', 'made')[0][0]['settings']
    fails(1, 'INVALID_PARTITIONS', broker, 'topic', 'alter', 'made', '-p', '2')
    fails(1, 'INVALID_CONFIG', broker, 'topic', 'alter', 'made', '-c', 'no.such.setting=1')
    # on a terminal it asks
    for answer, code in [(b'no\n', 1), (b'yes\n', 0)]:
        told, want = on_terminal(broker, ['topic', 'delete', 'made'], answer)
        assert want == code and b'all their records' in told, (answer, want, told)
    fails(1, "no topic 'made'", broker, 'topic', 'describe', 'made')


def undelete(broker):
    """What was deleted is told and comes back as it was; of two with one name the newest, or the one that is meant."""
    made = []
    for i in range(2):
        good(broker, 'topic', 'create', 'back', '-p', '3', '-c', f'retention.ms={60 + i}00000')
        good(broker, 'produce', 'back', '-k', ' ', data=lines(1000, b'life %d' % i))
        made.append(js(broker, 'topic', 'describe', 'back')[0][0])
        good(broker, 'topic', 'delete', 'back', '-y')
    mine = [t for t in js(broker, 'topic', 'list', '--deleted')[0] if t['name'] == 'back']
    assert [t['id'] for t in mine] == [made[1]['id'], made[0]['id']], (mine, made)  # the newest first
    assert mine[0]['partitions'] == 3 and mine[0]['kept_until_ms'] > mine[0]['deleted_ms'] > 1_700_000_000_000, mine
    text = good(broker, 'topic', 'list', '--deleted').decode()
    assert made[0]['id'] in text and 'KEPT UNTIL' in text
    assert good(broker, 'topic', 'list', '--deleted', '--names').decode().split().count('back') == 2

    def is_back(i):
        now = js(broker, 'topic', 'describe', 'back')[0][0]
        same = ('id', 'settings')
        assert [now[k] for k in same] == [made[i][k] for k in same], (now, made[i])
        assert [p['end_offset'] for p in now['partitions']] == [p['end_offset'] for p in made[i]['partitions']], (now, made[i])
        assert sorted(good(broker, 'consume', 'back', '-F', r'%k %v\n').splitlines()) == sorted(lines(1000, b'life %d' % i).splitlines())

    assert good(broker, 'topic', 'undelete', 'back') == b'back is back\n'
    is_back(1)
    fails(1, 'TOPIC_ALREADY_EXISTS', broker, 'topic', 'undelete', '--id', made[0]['id'])
    good(broker, 'topic', 'delete', 'back', '-y')
    good(broker, 'topic', 'undelete', '--id', made[0]['id'])
    is_back(0)
    good(broker, 'produce', 'back', data=b'and it goes on\n')
    fails(1, '`leat topic list --deleted` shows', broker, 'topic', 'undelete', 'never-there')
    fails(1, 'no deleted topic has id', broker, 'topic', 'undelete', '--id', '0' * 32)
    good(broker, 'topic', 'delete', 'back', '-y')


def configs(broker):
    good(broker, 'topic', 'create', 'set', '-p', '1', '-c', 'retention.ms=1000')
    own = {c['name']: c for c in js(broker, 'config', 'describe', 'topic', 'set')[0]}
    assert own['retention.ms'] == {'name': 'retention.ms', 'value': '1000', 'source': 'topic', 'read_only': False,
                                   'sensitive': False}, own
    assert 'retention.ms=1000   # topic' in good(broker, 'config', 'describe', 'topic', 'set').decode().splitlines()
    good(broker, 'config', 'alter', 'topic', 'set', '-c', 'max.message.bytes=5000', '-d', 'retention.ms')
    own = {c['name']: c for c in js(broker, 'config', 'describe', 'topic', 'set')[0]}
    assert 'retention.ms' not in own and own['max.message.bytes']['value'] == '5000', own
    every = {c['name']: c for c in js(broker, 'config', 'describe', 'topic', 'set', '--all')[0]}
    assert every['retention.ms']['source'] == 'default' and len(every) > len(own) + 5
    fails(1, 'INVALID_CONFIG', broker, 'config', 'alter', 'topic', 'set', '-c', 'no.such.setting=1')
    fails(1, "`leat topic list` shows", broker, 'config', 'describe', 'topic', 'nobody')
    node = js(broker, 'cluster', 'status')[0]['brokers'][0]['id']
    assert js(broker, 'config', 'describe', 'broker', str(node), '-a')[0]
    good(broker, 'topic', 'delete', 'set', '-y')


# ---- pipes, terminals, brokers that go away ----

def on_terminal(broker, args, data=b'', env=None):
    """The command with a terminal for all three streams: what it wrote, exit code."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(LEAT, [LEAT, '-b', broker.address, *args], env or dict(ENV, TERM='xterm'))
    if data:
        os.write(fd, data)
    out = b''
    while True:
        try:
            more = os.read(fd, 65536)
        except OSError:
            break
        if not more:
            break
        out += more
    return out, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def terminals(broker):
    out, code = on_terminal(broker, ['topic', 'list'])
    assert code == 0 and b'\033[' in out, out
    out, code = on_terminal(broker, ['topic', 'list'], env=dict(ENV, NO_COLOR='1'))
    assert code == 0 and b'\033[' not in out, out
    assert b'\033[' not in good(broker, 'topic', 'list')
    out, code = on_terminal(broker, ['--json', 'topic', 'list'])
    assert code == 0 and len(json.loads(out)) > 2 and out.count(b'\n') > 2  # indented for people
    path = broker.dir / 'slow'
    os.mkfifo(path)

    def feed():
        with open(path, 'wb', buffering=0) as f:
            for i in range(8):
                f.write(lines(500, b'%d' % i))
                time.sleep(0.1)

    for quiet in ([], ['-q']):
        feeder = threading.Thread(target=feed)
        feeder.start()
        out, code = on_terminal(broker, ['produce', 'in', str(path), *quiet])
        feeder.join()
        assert code == 0 and (b'sent' in out) == (not quiet), out


def closed_pipes(broker):
    good(broker, 'produce', 'many', data=lines(200000, b'many'))
    for args in (['consume', 'many'], ['--json', 'consume', 'many'], ['consume', 'many', '-f', '--from', 'beginning']):
        p = subprocess.Popen([LEAT, '-b', broker.address, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV)
        assert p.stdout.readline()
        p.stdout.close()
        err = p.stderr.read()
        assert p.wait(timeout=30) == -signal.SIGPIPE and err == b'', (args, p.returncode, err)
        p.stderr.close()
    with open('/dev/full', 'wb') as full:
        p = subprocess.run([LEAT, '-b', broker.address, 'consume', 'many'], stdout=full, stderr=subprocess.PIPE, env=ENV)
    assert p.returncode == 1 and b'cannot be written' in p.stderr, p


def input_that_pauses(broker):
    """A line is acknowledged and read by others while the input is still open."""
    good(broker, 'produce', 'in', data=b'begin\n')
    follow = [LEAT, '-b', broker.address, 'consume', 'in', '-f', '--from', '-1']
    with subprocess.Popen(follow, stdout=subprocess.PIPE, env=ENV) as reader, \
         subprocess.Popen([LEAT, '-b', broker.address, 'produce', 'in'], stdin=subprocess.PIPE, env=ENV) as writer:
        assert reader.stdout.readline() == b'begin\n'
        begun = time.monotonic()
        for word in (b'first\n', b'second\n'):
            writer.stdin.write(word)
            writer.stdin.flush()
            assert reader.stdout.readline() == word
        assert time.monotonic() - begun < 10  # not only when a wait ended
        writer.stdin.close()
        assert writer.wait(timeout=30) == 0
        reader.kill()


def broker_away(broker):
    broker.stop()
    begun = time.monotonic()
    for args in (['topic', 'list'], ['consume', 'in'], ['produce', 'in'], ['consume', 'in', '-f'], ['cluster', 'status']):
        fails(3, 'refused', broker, '--timeout', '1', *args, data=b'x\n')
    assert time.monotonic() - begun < 20
    broker.start()
    good(broker, 'produce', 'in', data=b'before the break\n')
    p = subprocess.Popen([LEAT, '-b', broker.address, 'consume', 'in', '-f', '--from', '-1', '--timeout', '1'],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV)
    assert p.stdout.readline() == b'before the break\n'
    broker.kill()
    assert b'waiting' in p.stderr.readline()
    broker.start()
    good(broker, 'produce', 'in', data=b'after the break\n')
    assert p.stdout.readline() == b'after the break\n'
    assert b'back' in p.stderr.readline()
    p.kill()
    p.communicate()


class Swallower:
    """Stands before a broker. Armed, it takes the next answer to a Produce for itself and ends the connection: the batch
    is stored, and the client cannot know it."""

    def __init__(self):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.target = None
        self.armed, self.swallowed = threading.Event(), threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client = self.listener.accept()[0]
            try:
                server = socket.create_connection(self.target, timeout=5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            keys = queue.Queue()
            threading.Thread(target=self.pump, args=(client, server, keys, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, keys, False), daemon=True).start()

    def pump(self, source, sink, keys, requests):
        data = b''
        try:
            while more := source.recv(1 << 20):
                data += more
                while len(data) >= 6 and len(data) >= 4 + int.from_bytes(data[:4], 'big'):
                    frame, data = data[:4 + int.from_bytes(data[:4], 'big')], data[4 + int.from_bytes(data[:4], 'big'):]
                    if requests:
                        keys.put(int.from_bytes(frame[4:6], 'big'))
                    elif keys.get() == 0 and self.armed.is_set():
                        self.armed.clear()
                        self.swallowed.set()
                        raise OSError('swallowed')
                    sink.sendall(frame)
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def killed_in_the_middle(_):
    """Three times the broker is killed (kill -9) after it has stored a batch and before anybody hears of it: exit code 0
    must mean that each record is stored once, in order."""
    front = Swallower()
    options = ['leat.topics=killed:1', f'advertised.listeners=PLAINTEXT://127.0.0.1:{front.port}']
    with Leatd(LEATD, *options) as broker:
        front.target = ('127.0.0.1', broker.port)
        data = lines(300000, b'killed')
        p = subprocess.Popen([LEAT, '-b', f'127.0.0.1:{front.port}', 'produce', 'killed', '-c', 'lz4', '-v', '--timeout', '60'],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV)
        told = []
        reader = threading.Thread(target=lambda: told.extend(p.stdout))
        reader.start()
        quarter = len(data) // 4
        for i in range(4):
            part = data[i * quarter:] if i == 3 else data[i * quarter:(i + 1) * quarter]
            feeder = threading.Thread(target=lambda part=part: (p.stdin.write(part), p.stdin.flush()))
            if i > 0:
                front.armed.set()
            feeder.start()
            if i > 0:
                assert front.swallowed.wait(20)
                broker.kill()
                broker.start()
                front.swallowed.clear()
            feeder.join()
        p.stdin.close()
        code = p.wait(timeout=120)
        reader.join()
        err = p.stderr.read().decode()
        assert code == 0, (code, err)
        next_offset = 0
        for line in told:  # a batch that the broker knew again has the offset of its first coming
            _, _, _, offset, _, records = line.split()
            assert int(offset) == next_offset, told
            next_offset += int(records)
        got = good(broker, 'consume', 'killed')
        assert got == data, f'{len(got)} bytes came out, {len(data)} went in, or they differ'
        p.stdout.close()
        p.stderr.close()


def given_up_in_the_middle(broker):
    """The broker stays away: exit code 3, and what was told as acknowledged is there."""
    p = subprocess.Popen([LEAT, '-b', broker.address, 'produce', 'given', '-p', '0', '--timeout', '2'], stdin=subprocess.PIPE,
                         stderr=subprocess.PIPE, env=ENV)
    p.stdin.write(lines(50000, b'given'))
    p.stdin.flush()
    time.sleep(0.5)
    broker.kill()
    try:
        p.stdin.write(lines(50000, b'lost'))
        p.stdin.close()
    except BrokenPipeError:
        pass
    err = p.stderr.read().decode()
    assert p.wait(timeout=60) == 3 and 'records are acknowledged' in err, (p.returncode, err)
    acknowledged = int(err.rsplit('leat: ', 1)[1].split()[0])
    broker.start()
    stored = good(broker, 'consume', 'given').count(b'\n')
    assert stored >= acknowledged >= 50000, (stored, acknowledged)


def example(broker):
    p = subprocess.run([HELLO, broker.address, 'hello'], capture_output=True, text=True, timeout=60)
    assert p.returncode == 0 and [w.split(': ')[1] for w in p.stdout.splitlines()] == ['to', 'carry', 'water'], p


CASES = [help_texts, wrong_usage, completion, bench, codecs, inputs, offsets_told, positions, keys_stay_together, tells, administration,
         undelete, configs, terminals, closed_pipes, input_that_pauses, broker_away, killed_in_the_middle, given_up_in_the_middle, example]


def main():
    topics = 'codec:1,in:1,pos:4,keys:6,many:2,given:1,hello:1,t:1'
    with Leatd(LEATD, f'leat.topics={topics}', 'leat.shards=2') as broker:
        for case in CASES:
            if len(sys.argv) == 4 or case.__name__ in sys.argv[4:]:
                begun = time.monotonic()
                case(broker)
                print(f'ok {case.__name__} ({time.monotonic() - begun:.1f} s)', flush=True)


main()
