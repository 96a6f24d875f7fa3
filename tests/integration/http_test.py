#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Metrics and health of leatd over HTTP, with Prometheus' own parser and with peers that misbehave.

usage: http_test.py LEATD METRICS_MD

METRICS_MD (docs/operations/metrics.md) must list exactly what is printed, by name and type. Skipped (77) without kcat or
python3-prometheus-client."""
import http.client
import os
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

from leatd import Leatd

sys.path.append('/usr/lib/python3/dist-packages')  # Debian's place, for a python3 that is not Debian's
try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    text_string_to_metric_families = None

LIFE_S, LIMIT = 15, 64  # broker/http.h


def get(broker, path, method='GET', timeout=20):
    c = http.client.HTTPConnection('127.0.0.1', broker.http_port, timeout=timeout)
    c.request(method, path)
    answer = c.getresponse()
    body = answer.read().decode()
    c.close()
    return answer, body


def scrape(broker):
    answer, body = get(broker, '/metrics')
    assert answer.status == 200, (answer.status, body[:100])
    assert answer.headers['Content-Type'] == 'text/plain; version=0.0.4; charset=utf-8'
    return body


def families(broker):
    return {f.name: f for f in text_string_to_metric_families(scrape(broker))}


def total(fams, family, absent=False, **labels):
    """The sum over all samples of that name that have the labels. absent: it may not have come yet."""
    name = re.sub('_(total|count|sum)$', '', family)
    fits = [s.value for s in fams[name].samples if s.name == family and labels.items() <= s.labels.items()]
    assert fits or absent, f'no {family} {labels}'
    return sum(fits)


def healthy(broker):
    answer, body = get(broker, '/healthz')
    assert (answer.status, body) == (200, 'ok\n'), (answer.status, body)


def raw(broker, data, wait=LIFE_S + 5):
    """Sends the bytes, closes our side, returns what comes until the other side closes. (The library does not see the
    end of half a request at once: it closes after 10 s.)"""
    with socket.create_connection(('127.0.0.1', broker.http_port), timeout=wait) as s:
        got = b''
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while more := s.recv(65536):
                got += more
        except (ConnectionResetError, BrokenPipeError):
            pass
        return got


def produce(broker, topic, count, *options, size=100):
    data = b''.join(b'%d ' % i + b'x' * size + b'\n' for i in range(count))
    subprocess.run(['kcat', '-P', '-b', broker.address, '-t', topic, '-p', '0', '-X', 'acks=all', *options], input=data,
                   check=True, timeout=120)


def consume(broker, topic):
    out = subprocess.run(['kcat', '-C', '-b', broker.address, '-t', topic, '-p', '0', '-o', 'beginning', '-e', '-q'],
                         check=True, capture_output=True, timeout=120).stdout
    return out.count(b'\n')


def kafka(key, version, body):
    data = struct.pack('>hhih', key, version, 1, 4) + b'test' + body
    return struct.pack('>i', len(data)) + data


# ---- pages ----

def pages(broker):
    for path, status, part in [('/', 200, '/metrics'), ('/healthz', 200, 'ok\n'), ('/readyz', 200, 'ok\n'),
                               ('/readyz?verbose=1', 200, 'ok\n'), ('/nothing', 404, '/metrics'), ('/metrics/', 404, ''),
                               ('/..%2f..%2fetc/passwd', 404, '')]:
        answer, body = get(broker, path)
        assert answer.status == status and part in body, (path, answer.status, body[:100])
        assert answer.headers['Connection'] == 'close'
    answer, body = get(broker, '/metrics', 'HEAD')
    assert answer.status == 200 and body == '' and int(answer.headers['Content-Length']) > 10000
    for method in ['POST', 'PUT', 'DELETE', 'OPTIONS', 'BREW']:
        answer, body = get(broker, '/metrics', method)
        assert answer.status == 405 and answer.headers['Allow'] == 'GET, HEAD', (method, answer.status)


def documented(broker, page):
    """The page and the broker tell the same metrics. Of stages and others that come with their first use, all that can
    come are told by one name, so nothing depends on what has run."""
    with open(page) as f:
        told = set(re.findall(r'^\| `(leat_\w+)` \| (\w+) \|', f.read(), re.M))
    printed = set(re.findall(r'^# TYPE (\w+) (\w+)$', scrape(broker), re.M))
    assert told and printed == told, f'only printed: {printed - told}, only in {page}: {told - printed}'
    for name, kind in printed:
        assert (kind == 'counter') == name.endswith('_total'), f'{name} is a {kind}'


def buckets(broker):
    """Every histogram is cumulative and ends with its count."""
    seen = 0
    for family in families(broker).values():
        if family.type != 'histogram':
            continue
        rows, counts = {}, {}
        for s in family.samples:
            key = tuple(sorted((k, v) for k, v in s.labels.items() if k != 'le'))
            if s.name.endswith('_bucket'):
                rows.setdefault(key, []).append((float(s.labels['le']), s.value))
            elif s.name.endswith('_count'):
                counts[key] = s.value
        assert rows.keys() == counts.keys()
        for key, row in rows.items():
            values = [v for _, v in row]
            assert row == sorted(row) and values == sorted(values), (family.name, key, row)
            assert row[-1] == (float('inf'), counts[key]) and len(row) <= 26, (family.name, key, row)
            seen += 1
    assert seen > 10, f'{seen} histograms'


# ---- values ----

def values_move(broker):
    before = families(broker)
    produce(broker, 't', 1000)
    assert consume(broker, 't') == 1000
    after = families(broker)

    def moved(name, **labels):
        return total(after, name, **labels) - total(before, name, True, **labels)

    assert moved('leat_produce_batches_total') >= 1
    assert 100000 < moved('leat_produce_bytes_total') < 130000
    assert moved('leat_fetch_bytes_total') >= moved('leat_produce_bytes_total')
    assert moved('leat_received_bytes_total') > 100000 < moved('leat_sent_bytes_total')
    assert moved('leat_unmoved_bytes') > 0 and moved('leat_cached_bytes') > 100000
    assert moved('leat_journal_groups_total') >= 1 and moved('leat_journal_written_bytes_total') > 100000
    assert moved('leat_connections_accepted_total') >= 2
    for api in ['Produce', 'Fetch', 'Metadata']:
        count = moved('leat_requests_total', api=api)
        assert count >= 1 and count == moved('leat_request_seconds_count', api=api), (api, count)
        assert moved('leat_request_seconds_sum', api=api) > 0
    assert total(after, 'leat_request_seconds_sum', api='Produce') < 60
    assert moved('leat_stage_seconds_count', flow='produce', stage='append') == moved('leat_requests_total', api='Produce')
    assert moved('leat_journal_commit_seconds_count') == moved('leat_journal_groups_total')
    assert moved('leat_stage_seconds_count', flow='commit', stage='sync') > 0
    assert total(after, 'leat_connections') == 0 and total(after, 'leat_ready') == 1
    assert total(after, 'leat_partitions') == 5 and total(after, 'leat_disk_fenced') == 0
    assert moved('leat_topic_produce_records_total', topic='t') == 1000
    assert moved('leat_topic_produce_bytes_total', topic='t') == moved('leat_produce_bytes_total')
    assert moved('leat_topic_produce_batches_total', topic='t') == moved('leat_produce_batches_total')
    assert moved('leat_topic_fetch_bytes_total', topic='t') >= moved('leat_produce_bytes_total')
    assert total(after, 'leat_topic_produce_records_total', topic='large') == 0
    where = {'topic': 't', 'partition': '0'}
    assert total(after, 'leat_partition_log_end_offset', **where) == 1000 == total(after, 'leat_partition_high_watermark', **where)
    assert total(after, 'leat_partition_log_start_offset', **where) == 0
    assert total(after, 'leat_partition_size_bytes', **where) == moved('leat_produce_bytes_total')
    assert total(after, 'leat_metrics_partitions_left_out') == 0


def errors_are_counted(broker):
    before = families(broker)
    subprocess.run(['kcat', '-L', '-b', broker.address, '-t', 'no name'], capture_output=True, timeout=60)
    with socket.create_connection(('127.0.0.1', broker.port), timeout=5) as s:
        s.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
        assert s.recv(1) == b''
    after = families(broker)
    name = 'leat_request_errors_total'
    assert total(after, name, api='Metadata') > total(before, name, api='Metadata')
    assert total(after, name, api='Produce') == total(before, name, api='Produce')
    assert total(after, 'leat_protocol_errors_total') == total(before, 'leat_protocol_errors_total') + 1


def process_values(broker):
    fams, pid = families(broker), broker.process.pid
    with open(f'/proc/{pid}/status') as f:
        rss = int(re.search(r'VmRSS:\s+(\d+)', f.read())[1]) * 1024
    assert 0.5 < total(fams, 'leat_process_resident_memory_bytes') / rss < 2
    assert abs(total(fams, 'leat_process_open_fds') - fd_count(broker)) <= 2
    assert abs(total(fams, 'leat_process_start_time_seconds') - time.time()) < 600
    assert total(fams, 'leat_process_cpu_seconds_total') > 0
    space = os.statvfs(broker.dir)
    assert 0.5 < total(fams, 'leat_disk_free_bytes') / (space.f_bavail * space.f_frsize) < 2
    assert total(fams, 'leat_memory_budget_bytes') <= 1 << 30


# ---- peers that misbehave ----

def garbage(broker):
    head = b'GET /healthz HTTP/1.1\r\nHost: x\r\n'
    cases = {'random': os.urandom(3000), 'TLS hello': bytes.fromhex('16030100c8010000c40303') + bytes(64), 'nothing': b'',
             'half a head': head, 'no host': b'GET / HTTP/1.1\r\n\r\n', 'a long path': b'GET /' + b'a' * 100000 + b' HTTP/1.1\r\n\r\n',
             'a large head': head + b'X: ' + b'y' * 100000 + b'\r\n\r\n', 'many headers': head + b'a: b\r\n' * 20000 + b'\r\n',
             'HTTP/9.9': b'GET / HTTP/9.9\r\nHost: x\r\n\r\n', 'HTTP/0.9': b'GET /\r\n', 'NULs': b'GET /\0\0 HTTP/1.1\r\nHost: x\r\n\r\n',
             'a body claimed': head + b'Content-Length: 99999999999999\r\n\r\n', 'a body': head + b'Content-Length: 3\r\n\r\nabc',
             'bad chunks': head + b'Transfer-Encoding: chunked\r\n\r\nzz\r\n', 'two requests': (head + b'\r\n') * 2,
             'only newlines': b'\r\n' * 3000, 'a proxy request': b'GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n',
             'CONNECT': b'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n'}
    answers = {}
    threads = [threading.Thread(target=lambda n=name, d=data: answers.update({n: raw(broker, d)})) for name, data in cases.items()]
    for t in threads:
        t.start()
        healthy(broker)
    for t in threads:
        t.join()
    assert answers.keys() == cases.keys(), f'not closed: {cases.keys() - answers.keys()}'
    for name, got in answers.items():
        assert got == b'' or got.startswith(b'HTTP/1.'), (name, got[:100])
        assert b'HTTP/1.1 500' not in got and got.count(b'HTTP/1.1 200') <= 1, (name, got[:100])
    for _ in range(50):  # gone in the middle, with and without an answer on its way
        s = socket.create_connection(('127.0.0.1', broker.http_port), timeout=5)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        s.sendall(head + b'\r\n')
        s.close()
    healthy(broker)


def slow_peers(broker):
    """More of them than may be connected send a byte now and then. Kafka's clients do not notice; the peers are cut when
    they are LIFE_S old, then it is the next ones' turn and that of the well-behaved."""
    begun = time.monotonic()
    slow = [socket.create_connection(('127.0.0.1', broker.http_port), timeout=5) for _ in range(LIMIT + 10)]
    for s in slow:
        s.sendall(b'GET /metrics HTTP/1.1\r\nHost: x\r\nX: ')
    stop = threading.Event()

    def trickle():
        while not stop.wait(1):
            for s in slow:
                try:
                    s.send(b'y')
                except OSError:
                    pass

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        produce(broker, 't', 100)
        assert time.monotonic() - begun < LIFE_S - 3, 'producing took too long'
        answer, body = get(broker, '/healthz', timeout=3 * LIFE_S)  # stands behind the slow ones
        took = time.monotonic() - begun
        assert (answer.status, body) == (200, 'ok\n') and LIFE_S - 2 < took < 2.5 * LIFE_S, took
        while total(families(broker), 'leat_http_connections') > 12:  # all but the ten that came last are gone
            assert time.monotonic() - begun < 2.5 * LIFE_S
    finally:
        stop.set()
        thread.join()
    for s in slow:
        s.close()
    healthy(broker)


def slow_readers(broker):
    """Peers who ask for metrics and read nothing hold a text each for a while; others wait or are told so, not more."""
    slow = []
    for _ in range(20):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.connect(('127.0.0.1', broker.http_port))
        s.sendall(b'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n')
        slow.append(s)
        time.sleep(0.03)
    healthy(broker)
    answer, _ = get(broker, '/metrics')
    assert answer.status in (200, 503)
    for s in slow:
        s.close()
    limit = time.monotonic() + 2 * LIFE_S
    while get(broker, '/metrics')[0].status != 200:
        assert time.monotonic() < limit
        time.sleep(0.2)


def fd_count(broker):
    return len(os.listdir(f'/proc/{broker.process.pid}/fd'))


def thousand_requests(broker):
    scrape(broker)
    files, rss = fd_count(broker), total(families(broker), 'leat_process_resident_memory_bytes')
    before = total(families(broker), 'leat_http_requests_total', code='200')
    for i in range(1000):
        answer, _ = get(broker, ['/healthz', '/metrics', '/readyz', '/'][i % 4])
        assert answer.status == 200
    fams = families(broker)
    assert total(fams, 'leat_http_requests_total', code='200') == before + 1001
    assert fd_count(broker) <= files, f'{files} descriptors before, {fd_count(broker)} after 1000 requests'
    grown = total(fams, 'leat_process_resident_memory_bytes') - rss
    assert grown < 64 << 20, f'{grown} bytes more'


def at_once(broker):
    """40 scrapers at the same time share rounds and texts."""
    results = []

    def one():
        for _ in range(5):
            results.append(get(broker, '/metrics'))

    threads = [threading.Thread(target=one) for _ in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    good = [body for answer, body in results if answer.status == 200]
    assert len(results) == 200 and len(good) > 100, len(good)
    assert all(answer.status in (200, 503) for answer, _ in results)
    assert all(body.startswith('# HELP leat_append') and body.endswith('\n') for body in good)


# ---- others are not disturbed ----

def produce_latency(broker, count):
    """Milliseconds of single batches, one outstanding, by a socket of our own: median."""
    empty = b'\0' + b'\0\0' + b'\x01' + b'\x02x' + b'\0'
    record = bytes([2 * len(empty)]) + empty
    now = int(time.time() * 1000)
    tail = struct.pack('>hiqqqhii', 0, 0, now, now, -1, -1, -1, 1) + record
    after = struct.pack('>ibI', -1, 2, crc32c(tail)) + tail
    records = struct.pack('>qi', 0, len(after)) + after
    body = struct.pack('>hhiihciii', -1, -1, 5000, 1, 1, b't', 1, 0, len(records)) + records
    times = []
    with socket.create_connection(('127.0.0.1', broker.port), timeout=30) as s:
        for _ in range(count):
            begun = time.monotonic()
            s.sendall(kafka(0, 3, body))
            size = struct.unpack('>i', s.recv(4, socket.MSG_WAITALL))[0]
            answer = s.recv(size, socket.MSG_WAITALL)
            assert answer[19:21] == b'\0\0', answer
            times.append((time.monotonic() - begun) * 1000)
    return statistics.median(times)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def produce_is_not_delayed(broker):
    alone = produce_latency(broker, 200)
    stop = threading.Event()
    scrapes = [0]

    def scraper():
        while not stop.wait(0.05):
            scrape(broker)
            scrapes[0] += 1

    thread = threading.Thread(target=scraper)
    thread.start()
    beside = produce_latency(broker, 200)
    stop.set()
    thread.join()
    print(f'produce, median: {alone:.2f} ms alone, {beside:.2f} ms beside {scrapes[0]} scrapes')
    assert scrapes[0] > 0 and beside < 3 * alone + 20


def cpu_seconds(broker):
    with open(f'/proc/{broker.process.pid}/stat') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def idle(broker):
    """Nothing polls in circles: neither without connections nor beside one that says nothing."""
    for what in ['no connection', 'a silent connection']:
        s = socket.create_connection(('127.0.0.1', broker.http_port)) if what != 'no connection' else None
        time.sleep(1)
        before = cpu_seconds(broker)
        time.sleep(3)
        used = cpu_seconds(broker) - before
        print(f'{what}: {used / 3 * 100:.1f} % CPU')
        assert used < 0.3, f'{what}: {used} s of CPU in 3 s'
        if s is not None:
            s.close()


# ---- start and stop ----

def fetch_without_reading(broker):
    """A consumer that asks for much and reads nothing keeps the broker from ending."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(('127.0.0.1', broker.port))
    body = struct.pack('>iiiibih5siiqi', -1, 100, 1, 50 << 20, 0, 1, 5, b'large', 1, 0, 0, 50 << 20)
    s.sendall(kafka(1, 4, body))
    return s


def draining(broker):
    produce(broker, 'large', 40, size=700000)
    consumer = fetch_without_reading(broker)
    time.sleep(1)
    os.kill(broker.process.pid, signal.SIGTERM)
    limit = time.monotonic() + 10
    while get(broker, '/readyz')[0].status == 200:
        assert time.monotonic() < limit
    answer, body = get(broker, '/readyz')
    assert (answer.status, body) == (503, 'not ready: drain\n'), (answer.status, body)
    healthy(broker)
    assert total(families(broker), 'leat_ready') == 0
    consumer.close()
    assert broker.process.wait(timeout=60) == 0


def starting(program, broker):
    """A second broker on the same directory waits for the lock: it lives and is not ready."""
    second = Leatd(program)
    shutil.rmtree(second.dir)
    second.dir.mkdir()
    os.symlink(broker.dir / 'data', second.dir / 'data')
    thread = threading.Thread(target=lambda: ends_badly(second))
    thread.start()
    limit = time.monotonic() + 20
    port = None
    while port is None:
        port = re.search(r'http\.ready .*? port=(\d+)', second.log.read_text() if second.log.exists() else '')
        assert time.monotonic() < limit, 'no http.ready'
        time.sleep(0.02)
    second.http_port = int(port[1])
    answer, body = get(second, '/readyz')
    assert (answer.status, body) == (503, 'not ready: open\n'), (answer.status, body)
    healthy(second)
    assert total(families(second), 'leat_ready') == 0
    os.kill(second.process.pid, signal.SIGTERM)
    thread.join()
    assert second.process.wait(timeout=60) == 1
    shutil.rmtree(second.dir)


def ends_badly(broker):
    try:
        broker.start()
    except AssertionError:
        pass


def addresses(program, broker):
    """Taken or wrong ones are one sentence that names the key; none is none. Nothing per topic unless it is wanted."""
    with tempfile.TemporaryDirectory(prefix='leatd-') as d:
        def run(listener):
            p = subprocess.run([program, '-o', 'listeners=PLAINTEXT://127.0.0.1:0', '-o', f'log.dirs={d}/data', '-o',
                                'leat.journal.bytes=256m', '-o', 'leat.memory.bytes=1g', '-o', f'leat.http.listener={listener}'],
                               capture_output=True, text=True, timeout=60)
            return p.returncode, p.stderr
        code, text = run(f'127.0.0.1:{broker.http_port}')
        assert code == 1 and f'leat.http.listener: 127.0.0.1:{broker.http_port}: the address is in use' in text, text
        code, text = run('192.0.2.1:0')
        assert code == 1 and 'leat.http.listener: 192.0.2.1:0' in text, text
        for wrong in ['9644', 'host:9644', '127.0.0.1:', '127.0.0.1:65536', '127.0.0.1:x', 'off']:
            code, text = run(wrong)
            assert code == 2 and text.startswith(f'leatd: leat.http.listener={wrong}: expected host:port'), (code, text)
    with Leatd(program, 'leat.http.listener=none') as silent:
        assert silent.http_port == 0
    with Leatd(program, 'leat.topics=t:1') as plain:
        assert 'leat_topic_' not in scrape(plain) and 'leat_partition_' not in scrape(plain)


def main():
    program, page = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    if shutil.which('kcat') is None or text_string_to_metric_families is None:
        print('skipped: no kcat, or no python3-prometheus-client')
        sys.exit(77)
    with Leatd(program, 'leat.topics=t:4,large:1', 'leat.shards=2', 'message.max.bytes=2097152',
               'leat.metrics.topics=true') as broker:
        cases = [pages, values_move, errors_are_counted, process_values, buckets, garbage, at_once, thousand_requests,
                 slow_readers, slow_peers, idle, produce_is_not_delayed]
        for case in cases:
            begun = time.monotonic()
            case(broker)
            healthy(broker)
            print(f'ok {case.__name__} ({time.monotonic() - begun:.1f} s)', flush=True)
        documented(broker, page)
        addresses(program, broker)
        starting(program, broker)
        draining(broker)
        broker.start()
        healthy(broker)


main()
