#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`leat group` against a real leatd, with kcat (librdkafka) as the consumer: what is listed and told, lag in records and
time, resets, what is refused while somebody reads, and that offsets outlive kill -9. Skipped (77) without kcat.

usage: leat_group_test.py LEATD LEAT [--broker HOST:PORT] [CASE...]
--broker: against that broker, which may be any that speaks Kafka's protocol, instead of a leatd.
"""
import json
import os
import pty
import shutil
import socket
import struct
import subprocess
import sys
import time

from leatd import Leatd

LEATD, LEAT = (os.path.abspath(p) for p in sys.argv[1:3])
ENV = {k: v for k, v in os.environ.items() if k not in ('LEAT_BROKER', 'NO_COLOR')}
RUN = f'{os.getpid()}'  # topics and groups have names of their own at a broker that is not ours


class Other:
    """A broker that was there before us."""
    def __init__(self, address):
        self.address = address

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def run(broker, *args, data=b''):
    p = subprocess.run([LEAT, '-b', broker.address, *args], input=data, capture_output=True, timeout=120, env=ENV)
    return p.returncode, p.stdout, p.stderr.decode()


def good(broker, *args, **more):
    code, out, err = run(broker, *args, **more)
    assert code == 0, f'{args}: exit {code}: {err}'
    return out


def fails(want, said, broker, *args, **more):
    code, _, err = run(broker, *args, **more)
    assert code == want and said in err, f'{args}: exit {code}, wanted {want} and "{said}": {err}'


def js(broker, *args, code=0):
    got, out, err = run(broker, '--json', *args)
    assert got == code, f'{args}: exit {got}, wanted {code}: {err}'
    return json.loads(out)


def topic(broker, name, partitions):
    name = f'{name}-{RUN}'
    good(broker, 'topic', 'create', name, '-p', str(partitions))
    return name


def fill(broker, name, partition, count, *options):
    good(broker, 'produce', name, '-p', str(partition), *options, data=b''.join(b'%d\n' % i for i in range(count)))


def lag(broker, group, code=0):
    """The group, and its rows by partition (one topic)."""
    told, = js(broker, 'group', 'lag', group, code=code)
    return told, {r['partition']: r for r in told['partitions']}


class Consumer:
    """kcat as a member; what it has read is committed when it stops."""
    def __init__(self, broker, group, name):
        self.process = subprocess.Popen(
            ['kcat', '-b', broker.address, '-X', 'auto.offset.reset=earliest', '-X', 'session.timeout.ms=6000',
             '-X', 'auto.commit.interval.ms=200', '-u', '-q', '-G', group, name],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENV)

    def read(self, lines):
        return [self.process.stdout.readline() for _ in range(lines)]

    def stop(self):
        self.process.terminate()
        self.process.communicate(timeout=60)


class Member:
    """Of a group that the broker assigns (KIP-848): heartbeats by hand, for this librdkafka is too old."""
    def __init__(self, broker, group, topics):
        host, port = broker.address.split(':')
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.group, self.topics, self.epoch, self.owned = group, topics, 0, []
        self.beat()

    def beat(self):
        """ConsumerGroupHeartbeat version 1; takes what it is given, and says so with the next one."""
        def text(s):
            return bytes([len(s) + 1]) + s.encode()
        topics = b''.join(t + bytes([len(p) + 1]) + struct.pack(f'>{len(p)}i', *p) + b'\0' for t, p in self.owned)
        body = text(self.group) + text('member-' + RUN) + struct.pack('>i', self.epoch) + b'\0\0' + struct.pack('>i', 60000)
        body += bytes([len(self.topics) + 1]) + b''.join(map(text, self.topics)) + b'\0\0'
        body += bytes([len(self.owned) + 1]) + topics + b'\0'
        frame = struct.pack('>hhih', 68, 1, 7, 4) + b'mine' + b'\0' + body
        self.socket.sendall(struct.pack('>i', len(frame)) + frame)
        size, = struct.unpack('>i', self.read(4))
        self.take(self.read(size))

    def read(self, n):
        data = b''
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            assert more, 'the broker has ended the connection'
            data += more
        return data

    def take(self, answer):
        at = 4 + 1 + 4  # correlation, tags, throttle
        error, = struct.unpack_from('>h', answer, at)
        assert error == 0, f'heartbeat: error {error}: {answer}'
        at += 2
        for _ in range(2):  # error message, member id
            at += max(answer[at], 1)
        self.epoch, _, given = struct.unpack_from('>iib', answer, at)
        at += 9
        if given < 0:
            return  # no news
        topics, at, self.owned = answer[at] - 1, at + 1, []
        for _ in range(topics):
            count = answer[at + 16] - 1
            self.owned.append((answer[at:at + 16], struct.unpack_from(f'>{count}i', answer, at + 17)))
            at += 17 + 4 * count + 1

    def leave(self):
        self.epoch, self.owned = -1, []
        self.beat()
        self.socket.close()


def wait_for(what, condition, seconds=40):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f'not in {seconds} s: {what}'
        time.sleep(0.2)


# ---- cases ----

def nobody_is_there(broker):
    nobody = f'nobody-{RUN}'
    assert nobody not in good(broker, 'group', 'list', '--names').decode().split()
    fails(1, f"no group '{nobody}'", broker, 'group', 'describe', nobody)
    fails(1, '`leat group list` shows', broker, 'group', 'lag', nobody)
    fails(1, 'GROUP_ID_NOT_FOUND', broker, 'group', 'delete', nobody)
    fails(1, f"no group '{nobody}'", broker, 'group', 'reset', nobody, '--to', 'end')


def resets(broker):
    name, group = topic(broker, 'resets', 3), f'resets-{RUN}'
    fill(broker, name, 0, 100)
    fill(broker, name, 1, 10, '-c', 'lz4')
    time.sleep(0.05)
    middle = int(time.time() * 1000)
    time.sleep(0.05)
    fill(broker, name, 0, 50)

    def reset(*args):
        good(broker, 'group', 'reset', group, *args)
        return {p: r['committed'] for p, r in lag(broker, group)[1].items()}

    plan = js(broker, 'group', 'reset', group, '--to', 'end', '-t', name, '--dry-run')
    assert [(r['partition'], r['was'], r['now']) for r in plan] == [(0, None, 150), (1, None, 10), (2, None, 0)], plan
    fails(1, 'no group', broker, 'group', 'describe', group)  # it was dry
    assert reset('--to', 'beginning', '-t', f'{name}:0') == {0: 0}
    assert reset('--to', 'end', '-t', name) == {0: 150, 1: 10, 2: 0}
    assert reset('--to', '-7') == {0: 143, 1: 3, 2: 0}
    assert reset('--shift', '-3', '-t', f'{name}:0,1') == {0: 140, 1: 0, 2: 0}
    assert reset('--shift', '5') == {0: 145, 1: 5, 2: 0}  # not behind the end
    assert reset('--to', f'@{middle}') == {0: 100, 1: 10, 2: 0}
    assert reset('--to', '120') == {0: 120, 1: 10, 2: 0}
    plan = js(broker, 'group', 'reset', group, '--to', '0', '-t', f'{name}:0')
    assert plan == [{'topic': name, 'partition': 0, 'was': 120, 'now': 0}], plan
    fails(1, 'partitions 0 to 2, no 3', broker, 'group', 'reset', group, '--to', 'end', '-t', f'{name}:3')
    fails(1, "no topic 'nothing", broker, 'group', 'reset', group, '--to', 'end', '-t', f'nothing-{RUN}')
    state, = js(broker, 'group', 'describe', group)
    assert state['state'] == 'Empty' and state['members'] == [], state
    good(broker, 'group', 'delete', group)
    fails(1, 'GROUP_ID_NOT_FOUND', broker, 'group', 'delete', group)


def lag_is_told(broker):
    name, group = topic(broker, 'lag', 4), f'lag-{RUN}'
    for partition in range(3):
        fill(broker, name, partition, 1000, '-c', 'zstd')
    first = time.time()
    time.sleep(1.5)
    fill(broker, name, 0, 500)
    good(broker, 'group', 'reset', group, '--to', 'end', '-t', name)
    told, rows = lag(broker, group)
    assert told['records'] == 0 and told['age_ms'] == 0 and told['state'] == 'Empty', told
    assert rows[0] == {'topic': name, 'partition': 0, 'committed': 1500, 'first_offset': 0, 'end_offset': 1500, 'records': 0,
                       'age_ms': 0, 'deleted_unread': 0, 'member': None}, rows
    good(broker, 'group', 'reset', group, '--to', '-501', '-t', f'{name}:0')  # the last one of the old batch
    good(broker, 'group', 'reset', group, '--to', '999', '-t', f'{name}:1')   # in the middle of a compressed batch
    told, rows = lag(broker, group)
    assert [rows[p]['records'] for p in range(4)] == [501, 1, 0, 0] and told['records'] == 502, rows
    age = (time.time() - first) * 1000
    for p in (0, 1):
        assert age - 1500 < rows[p]['age_ms'] <= age + 3000, (p, age, rows)
    good(broker, 'group', 'reset', group, '--to', '-500', '-t', f'{name}:0')
    assert lag(broker, group)[1][0]['age_ms'] < rows[0]['age_ms'] - 1000
    # a limit, for a monitor
    good(broker, 'group', 'lag', group, '--max-records', '501', '--max-age', '3600')
    assert run(broker, 'group', 'lag', group, '--max-records', '500')[0] == 4
    assert run(broker, 'group', 'lag', group, '--max-age', '0')[0] == 4
    told, = js(broker, 'group', 'lag', group, '--bytes')
    assert 0 < told['bytes_estimate'] < 100_000, told
    text = good(broker, 'group', 'lag', group, '--bytes').decode()
    assert f'{group}: Empty, 0 members, 501 records behind, the oldest' in text and 'BYTES' in text, text
    assert group in good(broker, 'group', 'lag').decode()
    # nothing is known of a topic that is gone
    good(broker, 'topic', 'delete', name, '-y')

    def gone():
        told, = js(broker, 'group', 'lag', group)
        return all(r['records'] is None and r['end_offset'] is None for r in told['partitions'])
    wait_for('the topic is gone', gone)


def somebody_reads(broker):
    name, group = topic(broker, 'read', 2), f'read-{RUN}'
    fill(broker, name, 0, 10)
    fill(broker, name, 1, 20)
    consumer = Consumer(broker, group, name)
    assert len(consumer.read(30)) == 30
    state, = js(broker, 'group', 'describe', group)
    assert state['state'] == 'Stable' and state['type'] == 'classic' and len(state['members']) == 1, state
    member = state['members'][0]
    assert member['client_id'] == 'rdkafka' and member['assigned'] == [{'topic': name, 'partition': p} for p in (0, 1)], member
    assert f'{name}:0,1' in good(broker, 'group', 'describe', group).decode()
    listed = {g['name']: g for g in js(broker, 'group', 'list')}
    assert listed[group]['state'] == 'Stable' and listed[group]['protocol'] == 'consumer', listed
    wait_for('it has committed', lambda: lag(broker, group)[0]['records'] == 0 and lag(broker, group)[1][1]['committed'] == 20)
    assert lag(broker, group)[1][0]['member'] == member['id']
    fails(1, 'has 1 members; stop them first', broker, 'group', 'reset', group, '--to', 'beginning')
    fails(1, 'stop them first', broker, 'group', 'delete', group)
    consumer.stop()
    wait_for('it has left', lambda: js(broker, 'group', 'describe', group)[0]['state'] == 'Empty')
    fill(broker, name, 0, 5)
    told, rows = lag(broker, group)
    assert told['records'] == 5 and rows[0]['committed'] == 10 and rows[0]['member'] is None, rows
    # it goes on where it was told to
    good(broker, 'group', 'reset', group, '--to', '8', '-t', f'{name}:0')
    consumer = Consumer(broker, group, name)
    assert consumer.read(7) == [b'8\n', b'9\n', b'0\n', b'1\n', b'2\n', b'3\n', b'4\n']
    consumer.stop()


def the_broker_assigns(broker):
    name, group = topic(broker, 'assigned', 3), f'assigned-{RUN}'
    fill(broker, name, 1, 10)
    fails(1, 'no group', broker, 'group', 'describe', group)  # and the groups have a coordinator from now on
    member = Member(broker, group, [name])

    def reads_all():
        member.beat()
        return js(broker, 'group', 'describe', group)[0]['members'][0]['assigned'] == \
            [{'topic': name, 'partition': p} for p in range(3)]
    wait_for('it has every partition', reads_all)
    state, = js(broker, 'group', 'describe', group)
    assert state['type'] == 'consumer' and state['state'] == 'Stable' and state['epoch'] > 0, state
    assert state['members'][0]['client_id'] == 'mine' and state['members'][0]['id'] == f'member-{RUN}', state
    assert {g['name']: g['type'] for g in js(broker, 'group', 'list')}[group] == 'consumer'
    told, rows = lag(broker, group)
    assert rows[1]['end_offset'] == 10 and rows[1]['committed'] is None and rows[1]['member'] == f'member-{RUN}', rows
    fails(1, 'stop them first', broker, 'group', 'reset', group, '--to', 'end', '-t', name)
    fails(1, 'NON_EMPTY_GROUP', broker, 'group', 'delete', group)
    member.leave()
    good(broker, 'group', 'reset', group, '--to', '4', '-t', f'{name}:1')
    assert lag(broker, group)[0]['records'] == 6
    good(broker, 'group', 'delete', group)
    fails(1, 'no group', broker, 'group', 'describe', group)


def on_a_terminal(broker):
    """It asks."""
    name, group = topic(broker, 'asked', 1), f'asked-{RUN}'
    fill(broker, name, 0, 10)
    for answer, args, want in [(b'no\n', ['reset', group, '--to', 'end', '-t', name], 1),
                               (b'yes\n', ['reset', group, '--to', 'end', '-t', name], 0), (b'no\n', ['delete', group], 1),
                               (b'y\n', ['delete', group], 0)]:
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(LEAT, [LEAT, '-b', broker.address, 'group', *args], dict(ENV, TERM='xterm'))
        os.write(fd, answer)
        out = b''
        try:
            while more := os.read(fd, 65536):
                out += more
        except OSError:
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code == want and b"Write 'yes'" in out and (b'nothing was changed' in out) == (want == 1), (args, code, out)


def killed(broker):
    """What a reset has said is there after kill -9."""
    if isinstance(broker, Other):
        return
    name, group = topic(broker, 'kill', 2), f'kill-{RUN}'
    fill(broker, name, 0, 10)
    good(broker, 'group', 'reset', group, '--to', '3', '-t', f'{name}:0')
    broker.kill()
    broker.start()
    assert lag(broker, group)[1][0]['committed'] == 3
    good(broker, 'group', 'delete', group)
    broker.kill()
    broker.start()
    fails(1, 'no group', broker, 'group', 'describe', group)


CASES = [nobody_is_there, resets, lag_is_told, somebody_reads, the_broker_assigns, on_a_terminal, killed]


def main():
    args = sys.argv[3:]
    if shutil.which('kcat') is None:
        print('no kcat (apt install kcat): skipped')
        sys.exit(77)
    other = Other(args[1]) if args[:1] == ['--broker'] else None
    names = args[2:] if other else args
    with other or Leatd(LEATD, 'leat.shards=2') as broker:
        for case in CASES:
            if not names or case.__name__ in names:
                begun = time.monotonic()
                case(broker)
                print(f'ok {case.__name__} ({time.monotonic() - begun:.1f} s)', flush=True)


main()
