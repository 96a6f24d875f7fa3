#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""leat-bench against leatd, and against brokers that misbehave: what it says, how it ends, that it never hangs. No
timing is asserted. Usage: bench_test.py LEAT_BENCH LEATD."""
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from leatd import Leatd

LIMIT_S = 60  # more than any case needs on a loaded machine; a hang fails


def run(program, *args, bootstrap=None, quick=True):
    command = [program, *args]
    if bootstrap:
        command += ['--bootstrap', bootstrap]
    if quick:
        command += ['--no-probe']
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def good(program, *args, **more):
    code, out, err = run(program, *args, '--json', '-', **more)
    assert code == 0, f'{args}: exit {code}: {err}'
    return json.loads(out)


def bad(wanted_code, wanted_text, program, *args, **more):
    code, out, err = run(program, *args, **more)
    assert code == wanted_code, f'{args}: exit {code}, not {wanted_code}: {out}{err}'
    assert wanted_text in err, f'{args}: {wanted_text!r} is not in {err!r}'
    assert len([line for line in err.splitlines() if 'leat-bench:' in line]) == 1, f'one sentence, not {err!r}'
    print(f'{" ".join(args)}: {err.strip().splitlines()[-1]}')


def clean(verified):
    faults = [verified[k] for k in ('lost', 'doubled', 'reordered', 'corrupt', 'misplaced')]
    return faults == [0] * 5


def produce_and_consume(bench, broker):
    wrote = good(bench, 'produce', '--topic', 'six', '--count', '3001', '--size', '300', '--connections', '3',
                 '--pid', str(broker.process.pid), bootstrap=broker.address)
    assert wrote['acked_records'] == wrote['all_acked_records'] == wrote['ack']['count'] == 3001, wrote
    assert sum(n for _, n in wrote['ack']['buckets']) == 3001
    assert wrote['acked_bytes'] == 300 * 3001 and wrote['load']['partitions'] == 6
    assert 0 < wrote['ack']['p50_ns'] <= wrote['ack']['p99_ns'] <= wrote['ack']['max_ns']
    assert wrote['brokers'][0]['alive'] and wrote['brokers'][0]['rss_bytes'] > 0
    more = good(bench, 'produce', '--topic', 'six', '--count', '100', bootstrap=broker.address)
    assert more['run'] != wrote['run']
    for options in ([], ['--connections', '4', '--threads', '2'], ['--fetch-bytes', '1k']):
        read = good(bench, 'consume', '--topic', 'six', '--run', wrote['run'], '--expect', '3001', *options,
                    bootstrap=broker.address)
        assert read['verified']['records'] == 3001 and read['verified']['foreign'] == 100, read['verified']
        assert clean(read['verified']) and read['read_records'] == 3101, read
    bad(1, '3001 records were read, --expect says 3000', bench, 'consume', '--topic', 'six', '--run', wrote['run'],
        '--expect', '3000', bootstrap=broker.address)
    seen = good(bench, 'consume', '--topic', 'six', '--no-verify', bootstrap=broker.address)
    assert seen['read_records'] == 3101 and seen['verified']['records'] == 0


def end_to_end(bench, broker):
    cases = [['--rate', '3000', '--seconds', '1', '--warmup', '0', '--batch-records', '2'],
             ['--count', '2000', '--codec', 'lz4', '--payload', 'text', '--idempotent', '--keys', '7'],
             ['--count', '2000', '--codec', 'zstd', '--threads', '2', '--connections', '8', '--readers', '3'],
             ['--count', '2000', '--one-per-request', '--acks', '1', '--outstanding', '1'],
             ['--count', '2000', '--request-batches', '4', '--batch-records', '5', '--connections', '2'],
             ['--count', '7', '--batch-records', '100'],
             ['--seconds', '0.3', '--warmup', '0.2', '--size', '40']]
    for options in cases:
        x = good(bench, 'e2e', '--topic', 'six', *options, bootstrap=broker.address)
        assert clean(x['verified']) and x['verified']['foreign'] == 0, x['verified']
        assert x['verified']['records'] == x['all_acked_records'] > 0, x
        if '--count' in options:
            assert x['verified']['records'] == int(options[options.index('--count') + 1])
        if '--rate' in options:
            assert x['ack']['count'] == 3000 == x['e2e']['count'], (x['ack']['count'], x['e2e']['count'])
        print(f'e2e {" ".join(options)}: {x["verified"]["records"]} records verified')
    many = good(bench, 'e2e', '--topic', 'm', '--topics', '3', '--count', '600', '--batch-records', '1',
                '--request-batches', '9', bootstrap=broker.address)
    assert many['load']['partitions'] == 12 and many['verified']['records'] == 600 and clean(many['verified'])
    sent = good(bench, 'produce', '--topic', 'zero', '--acks', '0', '--count', '500', bootstrap=broker.address)
    read = good(bench, 'consume', '--topic', 'zero', '--run', sent['run'], '--expect', '500', bootstrap=broker.address)
    assert clean(read['verified'])


def wrong_use(bench, broker):
    for args, text in [(['produce', '--topic', 't'], '--bootstrap is missing'),
                       (['produce', '--bootstrap', 'x:1'], '--topic is missing'),
                       (['produce', '--rate', '-1'], '--rate -1: give'),
                       (['produce', '--size', '39'], '--size 39: give a number from 40'),
                       (['produce', '--codec', 'rar'], 'none, gzip, snappy, lz4, zstd'),
                       (['produce', '--bootstrap', 'x:1', '--topic', 't', 'surplus'], 'surplus: not an option'),
                       (['e2e', '--bootstrap', 'x:1', '--topic', 't', '--acks', '0'], '--acks all or 1'),
                       (['produce', '--bootstrap', 'x:1', '--topic', 't', '--idempotent', '--acks', '1'], '--acks all'),
                       (['produce', '--bootstrap', 'x:1', '--topic', 't', '--size', '1M', '--batch-records', '65'],
                        '64 MiB'),
                       (['juggle'], 'produce, consume, e2e or storage')]:
        bad(2, text, bench, *args, quick=False)
    code, out, _ = run(bench, 'produce', '--help', quick=False)
    assert code == 0 and '--one-per-request' in out
    bad(1, 'the connection was refused', bench, 'produce', '--topic', 't', bootstrap='127.0.0.1:1')
    bad(1, 'nowhere.invalid:9092', bench, 'produce', '--topic', 't', bootstrap='nowhere.invalid:9092')
    bad(1, 'give HOST:PORT', bench, 'produce', '--topic', 't', bootstrap='localhost')
    bad(1, 'topic absent is not there: nothing to read', bench, 'consume', '--topic', 'absent', bootstrap=broker.address)
    bad(1, 'has 6 partitions, not 5', bench, 'produce', '--topic', 'six', '--partitions', '5', bootstrap=broker.address)
    bad(1, 'MESSAGE_TOO_LARGE', bench, 'produce', '--topic', 'six', '--size', '1M', '--batch-records', '2', '--count', '2',
        bootstrap=broker.address)
    good(bench, 'produce', '--topic', 'zero', '--count', '10', bootstrap=f'127.0.0.1:1,{broker.address}')


def killed(bench, make_broker):
    for options in (['produce'], ['e2e', '--rate', '1000'], ['consume', '--follow']):
        with make_broker() as broker:
            good(bench, 'produce', '--topic', 'six', '--count', '10', bootstrap=broker.address)
            p = subprocess.Popen([bench, *options, '--bootstrap', broker.address, '--topic', 'six', '--seconds', '50',
                                  '--no-probe'], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
            time.sleep(1)
            assert p.poll() is None, p.stderr.read()
            broker.kill()
            err = p.communicate(timeout=LIMIT_S)[1]
            assert p.returncode == 1 and 'leat-bench: 127.0.0.1:' in err, (p.returncode, err)
            print(f'{options[0]}, broker killed: {err.strip()}')


def interrupted(bench, broker):
    p = subprocess.Popen([bench, 'produce', '--bootstrap', broker.address, '--topic', 'six', '--seconds', '50', '--threads',
                          '2', '--no-probe'], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    time.sleep(1)
    p.send_signal(signal.SIGINT)
    err = p.communicate(timeout=LIMIT_S)[1]
    assert p.returncode == 1 and 'interrupted' in err, (p.returncode, err)


class Proxy:
    """Before a broker: hands on what comes, the answers through `change`. It tells its own port, so that the client's
    second connection, to the address in the metadata, would go around it; hence the port is written over there too."""

    def __init__(self, broker, change, dribble=False):
        self.broker, self.change, self.dribble = broker, change, dribble
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.address = f'127.0.0.1:{self.port}'
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client = self.listener.accept()[0]
            server = socket.create_connection(('127.0.0.1', self.broker.port))
            threading.Thread(target=self.pump, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, self.change), daemon=True).start()

    def frames(self, source):
        data = b''
        while True:
            got = source.recv(1 << 20)
            if not got:
                return
            data += got
            while len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[:4], 'big'):
                end = 4 + int.from_bytes(data[:4], 'big')
                yield data[:end]
                data = data[end:]

    def pump(self, source, sink, change):
        try:
            for frame in self.frames(source):
                if change:
                    port = self.broker.port.to_bytes(4, 'big')
                    frame = change(frame.replace(b'127.0.0.1' + port, b'127.0.0.1' + self.port.to_bytes(4, 'big')))
                step = 7 if self.dribble else len(frame)
                for i in range(0, len(frame), step):
                    sink.sendall(frame[i:i + step])
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def flip_in_record(frame):
    """One bit of the filling of the first record of a response."""
    at = frame.find(b'LBv1')
    if at < 0:
        return frame
    return frame[:at + 60] + bytes([frame[at + 60] ^ 1]) + frame[at + 61:]


def spoilt_answers(bench, broker):
    good(bench, 'produce', '--topic', 'spoilt', '--count', '300', '--size', '100', bootstrap=broker.address)
    plain = Proxy(broker, lambda frame: frame)
    read = good(bench, 'consume', '--topic', 'spoilt', '--expect', '300', bootstrap=plain.address)
    assert clean(read['verified'])
    slow = Proxy(broker, lambda frame: frame, dribble=True)
    good(bench, 'e2e', '--topic', 'spoilt', '--count', '50', '--size', '100', bootstrap=slow.address)
    bad(1, 'what was read is not what was written', bench, 'consume', '--topic', 'spoilt', '--run', read['run'],
        bootstrap=Proxy(broker, flip_in_record).address)
    bad(1, 'what was read is not what was written', bench, 'e2e', '--topic', 'spoilt', '--count', '50', '--size', '100',
        bootstrap=Proxy(broker, flip_in_record).address)
    bad(1, 'another request than the oldest one', bench, 'consume', '--topic', 'spoilt',
        bootstrap=Proxy(broker, lambda frame: frame[:4] + b'\x77' + frame[5:]).address)
    bad(1, 'impossible length', bench, 'consume', '--topic', 'spoilt',
        bootstrap=Proxy(broker, lambda frame: b'\x7f\xff\xff\xff' + frame[4:]).address)
    bad(1, 'cannot be read', bench, 'consume', '--topic', 'spoilt',
        bootstrap=Proxy(broker, lambda frame: (len(frame) - 7).to_bytes(4, 'big') + frame[4:-3]).address)


def silent_brokers(bench):
    listener = socket.create_server(('127.0.0.1', 0))
    address = f'127.0.0.1:{listener.getsockname()[1]}'
    bad(1, 'no answer to ApiVersions in 1 s', bench, 'produce', '--topic', 't', '--timeout', '1', bootstrap=address)
    threading.Thread(target=lambda: [listener.accept()[0].close() for _ in range(2)], daemon=True).start()
    code, _, err = run(bench, 'produce', '--topic', 't', bootstrap=address)
    assert code == 1 and address in err, (code, err)


def stuck_broker(bench, make_broker):
    """A broker that takes requests and does not answer any more."""
    with make_broker() as broker:
        p = subprocess.Popen([bench, 'produce', '--bootstrap', broker.address, '--topic', 'six', '--seconds', '50',
                              '--timeout', '1', '--no-probe'], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        time.sleep(1)
        os.kill(broker.process.pid, signal.SIGSTOP)
        err = p.communicate(timeout=LIMIT_S)[1]
        os.kill(broker.process.pid, signal.SIGCONT)
        assert p.returncode == 1 and 'no answer to Produce in 1 s' in err, (p.returncode, err)


def main():
    bench, leatd = sys.argv[1:]

    def make_broker():
        return Leatd(leatd, 'leat.shards=2', 'leat.topics=six:6,zero:1,spoilt:1,m-0:4,m-1:4,m-2:4')

    with make_broker() as broker:
        for case in (wrong_use, produce_and_consume, end_to_end, spoilt_answers, interrupted):
            print(f'--- {case.__name__}', flush=True)
            case(bench, broker)
    for case in (killed, stuck_broker):
        print(f'--- {case.__name__}', flush=True)
        case(bench, make_broker)
    silent_brokers(bench)


main()
