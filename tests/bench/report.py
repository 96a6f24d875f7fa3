# SPDX-License-Identifier: Apache-2.0
"""From the runs of tests/bench/compare to docs/benchmarks.md and its pictures. Pure but for the writing at the end."""
import pathlib
import re
import statistics

import svg

BEGIN, END = '<!-- compare: begin, written by tests/bench/compare -->', '<!-- compare: end -->'
GIB = 1 << 30
DISTURBED = 0.2  # cores that others used
LATENCY = ('ack-one', 'e2e', 'one-per-request')  # runs of which the whole histogram is kept


# ---- figures of a run ----

def seconds(f):
    return f['seconds']


def acked_per_s(f):
    return f['acked_per_s']


def read_mib_s(f):
    return f['read_bytes'] / f['seconds'] / (1 << 20)


def broker_cpu(f):
    return f['brokers'][0]['cpu_s']


def cpu_per_gib(f):
    return broker_cpu(f) / max(f['acked_bytes'] / GIB, 1e-9)


def system_cpu_per_gib(f):
    """All of the machine but the client: also what the kernel does for the broker in threads of its own."""
    return (f['machine_cpu_s'] - f['generator']['cpu_s']) / max(f['acked_bytes'] / GIB, 1e-9)


def read_cpu_per_gib(f):
    return broker_cpu(f) / max(f['read_bytes'] / GIB, 1e-9)


def requests_per_core(f):
    return f['requests'] / max(broker_cpu(f), 1e-9)


def others_cores(f):
    if 'machine_cpu_s' not in f:
        return 0
    return (f['machine_cpu_s'] - f['generator']['cpu_s'] - broker_cpu(f)) / f['seconds']


def overloaded(f):
    """Open loop: less came through than was asked for."""
    return f['acked_per_s'] < 0.95 * f.get('load', {}).get('rate', 0)


def ack_ns(p):
    return lambda f: f['ack'][p]


def e2e_ns(p):
    return lambda f: f['e2e'][p]


def rss_mib(f):
    return f['brokers'][0]['rss_bytes'] / (1 << 20)


def ack_over_limit(f):
    """p50 against 1.3 x raw sync + 1.5 x round trip, the probes before and after averaged."""
    before, after = f['raw_before'], f['raw_after']
    limit = 1.3 * (before['sync_ns'] + after['sync_ns']) / 2 + 1.5 * (before['rtt_ns'] + after['rtt_ns']) / 2
    return f['ack']['p50_ns'] / limit


def one_line(f):
    if 'cores' in f:
        return f'RSS {f["rss_bytes"] / (1 << 20):.0f} MiB, {f["cores"]:.3f} cores'
    if f.get('mode') == 'consume':
        return f'{f["read_per_s"]:.0f} records/s, {read_cpu_per_gib(f):.2f} CPU s/GiB'
    return f'{acked_per_s(f):.0f} records/s, p50 {f["ack"]["p50_ns"] / 1e3:.0f} us, p99 {f["ack"]["p99_ns"] / 1e3:.0f} us, ' \
           f'broker {cpu_per_gib(f):.2f} CPU s/GiB, others {others_cores(f):.2f} cores'


def slim(run):
    """Without the buckets that no picture needs and what tells of the machine's state only."""
    figures = dict(run['figures'])
    for name in ('ack', 'e2e', 'fetch', 'late'):
        if name in figures and 'buckets' in figures[name] and not (run['workload'] in LATENCY and name in ('ack', 'e2e')):
            figures[name] = {k: v for k, v in figures[name].items() if k != 'buckets'}
    return {**run, 'figures': figures}


# ---- over the rounds ----

def values(runs, workload, system, figure):
    return [figure(r['figures']) for r in runs if r['workload'] == workload and r['system'] == system]


def median(runs, workload, system, figure):
    found = values(runs, workload, system, figure)
    return statistics.median(found) if found else 0


def spread(runs, workload, system, figure):
    found = values(runs, workload, system, figure)
    return (statistics.median(found), min(found), max(found)) if found else None


def merged(runs, workload, system, name):
    buckets = {}
    for r in runs:
        if r['workload'] == workload and r['system'] == system:
            for last, count in r['figures'][name].get('buckets', []):
                buckets[last] = buckets.get(last, 0) + count
    return buckets


def has(runs, workload, system):
    return any(r['workload'] == workload and r['system'] == system for r in runs)


# ---- words ----

def shown(v, digits=3):
    if v >= 1e6:
        return f'{v / 1e6:.2f} million'
    if v >= 10000:
        return f'{v:,.0f}'
    if v >= 100:
        return f'{v:.0f}'
    return f'{v:.{digits}g}'


def with_spread(s, form=shown):
    if s is None:
        return '-'
    return form(s[0]) if s[1] == s[2] else f'{form(s[0])} ({form(s[1])} to {form(s[2])})'


def form_of(column):
    return svg.duration if column in ('p50', 'p99', 'p99.9', 'max') else shown


class Goal:
    def __init__(self, what, wanted, limit, found, least):
        """found: (value, from, to) or None; least: the value must be at least the limit, otherwise at most."""
        self.what, self.wanted, self.limit, self.found, self.least = what, wanted, limit, found, least

    def verdict(self):
        if self.found is None:
            return 'not measured'
        good = [v >= self.limit if self.least else v <= self.limit for v in self.found]
        return ('met' if good[0] else 'missed') + ('' if all(good) or not any(good) else ', rounds disagree')

    def row(self, quotable):
        unit = ' MiB' if 'MiB' in self.wanted else ' x'
        if self.found is None:
            return f'| {self.what} | {self.wanted} | - | {self.verdict()} |'
        low, high = min(self.found[1:]), max(self.found[1:])
        rounds = '' if low == high else f' ({shown(low)} to {shown(high)})'
        verdict = self.verdict() + ('' if quotable else ' (not to be quoted)')
        return f'| {self.what} | {self.wanted} | {shown(self.found[0])}{unit}{rounds} | {verdict} |'


def ratio(runs, workload, over, under, figure):
    """Of the medians, and of the rounds one by one, as they were run in turn."""
    a, b = values(runs, workload, over, figure), values(runs, workload, under, figure)
    if not a or not b or statistics.median(b) == 0:
        return None
    each = [x / y for x, y in zip(a, b) if y > 0]
    return statistics.median(a) / statistics.median(b), min(each), max(each)


def across(runs, over, under, system, figure):
    a, b = values(runs, over, system, figure), values(runs, under, system, figure)
    if not a or not b:
        return None
    each = [x / y for x, y in zip(a, b) if y > 0]
    return statistics.median(a) / statistics.median(b), min(each), max(each)


def idle(runs, key):
    found = values(runs, 'idle', 'leat', lambda f: f.get(key, 0) / (1 << 20))
    return (found[0],) * 3 if found and found[0] > 0 else None


def goals(runs):
    return [
        Goal('librdkafka, acks=all, 1 KiB, 6 partitions: records/s, Leat with fsync over Kafka without', '>= 1.5 x', 1.5,
             ratio(runs, 'librdkafka', 'leat', 'kafka', acked_per_s), True),
        Goal('... CPU per GiB of the broker', '<= 0.35 x', 0.35, ratio(runs, 'librdkafka', 'leat', 'kafka', cpu_per_gib), False),
        Goal('acknowledgement p50, one outstanding, over 1.3 raw sync + 1.5 round trip', '<= 1 x', 1,
             spread(runs, 'ack-one', 'leat', ack_over_limit), False),
        Goal('10,000 active partitions, 1 KiB batches, over Kafka with flush.messages=1', '>= 10 x', 10,
             ratio(runs, 'partitions-10000', 'leat', 'kafka-flush', acked_per_s), True),
        Goal('... p99 at 10,000 over that at 100, same rate', '<= 3 x', 3,
             across(runs, 'partitions-10000-rate', 'partitions-100-rate', 'leat', ack_ns('p99_ns')), False),
        Goal('one record per request: requests per CPU second of the broker, over Kafka without fsync', '>= 3 x', 3,
             ratio(runs, 'one-per-request', 'leat', 'kafka', requests_per_core), True),
        Goal('VmRSS idle, no topics', '<= 64 MiB', 64, idle(runs, 'rss_bytes'), False),
        Goal('VmRSS, 100,000 idle partitions', '<= 800 MiB', 800, idle(runs, 'rss_100k_bytes'), False),
    ]


ROWS = [  # workload, title, [(column, figure)]
    ('librdkafka', 'librdkafka, its defaults with acks=all, 1 KiB records, 6 partitions',
     [('records/s', acked_per_s), ('broker CPU s/GiB', cpu_per_gib), ('all CPU s/GiB but the client', system_cpu_per_gib),
      ('p50', ack_ns('p50_ns')), ('p99', ack_ns('p99_ns'))]),
    ('produce', 'leat-bench, batches of 16 x 1 KiB, 6 partitions, 4 connections x 5 in flight',
     [('records/s', acked_per_s), ('broker CPU s/GiB', cpu_per_gib), ('p50', ack_ns('p50_ns')), ('p99', ack_ns('p99_ns'))]),
    ('ack-one', 'One 1 KiB record per request, one in flight',
     [('requests/s', acked_per_s), ('p50', ack_ns('p50_ns')), ('p99', ack_ns('p99_ns')), ('p99.9', ack_ns('p999_ns'))]),
    ('one-per-request', 'One 1 KiB record per request, 16 connections x 5 in flight, 6 partitions',
     [('requests/s', acked_per_s), ('requests per broker CPU s', requests_per_core), ('p50', ack_ns('p50_ns')),
      ('p99', ack_ns('p99_ns'))]),
    ('e2e', 'End to end, open loop at 5,000 records/s, one record per batch, every record checked',
     [('p50', e2e_ns('p50_ns')), ('p99', e2e_ns('p99_ns')), ('p99.9', e2e_ns('p999_ns')), ('max', e2e_ns('max_ns'))]),
    ('partitions-100', '100 active partitions, 1 KiB batches, 50 batches per request, 20 requests in flight',
     [('batches/s', acked_per_s), ('p50', ack_ns('p50_ns')), ('p99', ack_ns('p99_ns')), ('RSS MiB', rss_mib)]),
    ('partitions-10000', 'The same with 10,000 active partitions',
     [('batches/s', acked_per_s), ('p50', ack_ns('p50_ns')), ('p99', ack_ns('p99_ns')), ('RSS MiB', rss_mib)]),
    ('partitions-100-rate', '100 active partitions, open loop',
     [('batches/s', acked_per_s), ('p50', ack_ns('p50_ns')), ('p99', ack_ns('p99_ns'))]),
    ('partitions-10000-rate', '10,000 active partitions, open loop at the same rate',
     [('batches/s', acked_per_s), ('p50', ack_ns('p50_ns')), ('p99', ack_ns('p99_ns'))]),
    ('consume', 'Reading a log that was just written, one connection, every record checked',
     [('MiB/s', read_mib_s), ('broker CPU s/GiB', read_cpu_per_gib)]),
]


def marks(runs, workload, system):
    """What the rounds were like."""
    found = []
    figures = [r['figures'] for r in runs if r['workload'] == workload and r['system'] == system]
    for name, true in (('client-bound', lambda f: f['generator'].get('client_bound')), ('overloaded', overloaded),
                       ('drifted', lambda f: f.get('drifted')),
                       ('disturbed', lambda f: others_cores(f) > DISTURBED)):
        n = sum(bool(true(f)) for f in figures)
        if n:
            found.append(name if n == len(figures) else f'{name} in {n} of {len(figures)}')
    return ', '.join(found)


def tables(runs):
    out = []
    for workload, title, columns in ROWS:
        systems = [s for s in svg.NAMES if has(runs, workload, s)]
        if not systems:
            continue
        out += ['', f'**{title}**', '', '| | ' + ' | '.join(c for c, _ in columns) + ' | |', '|---' * (len(columns) + 2) + '|']
        for s in systems:
            cells = ' | '.join(with_spread(spread(runs, workload, s, figure), form_of(c)) for c, figure in columns)
            out.append(f'| {svg.NAMES[s]} | {cells} | {marks(runs, workload, s)} |')
    return out


def idle_lines(runs):
    out = []
    for s in svg.NAMES:
        for r in runs:
            if r['workload'] == 'idle' and r['system'] == s:
                f = r['figures']
                more = f'; with 100,000 idle partitions {f["rss_100k_bytes"] / (1 << 20):.0f} MiB' if 'rss_100k_bytes' in f else ''
                out.append(f'- {svg.NAMES[s]}, idle without topics: RSS {f["rss_bytes"] / (1 << 20):.0f} MiB, '
                           f'{f["cores"] * 100:.1f} % of a core{more}.')
    return ['', *out] if out else []


def why_not(setting, runs):
    """Reasons not to quote the figures."""
    loaded = [r for r in runs if r['workload'] != 'idle']
    reasons = [] if setting['quotable'] else ['the run was too short, or was marked so by hand']
    for name, true in (('the probes before and after differed by more than 10 %', lambda f: f.get('drifted')),
                       (f'something else used more than {DISTURBED} cores', lambda f: others_cores(f) > DISTURBED)):
        n = sum(bool(true(r['figures'])) for r in loaded)
        if n:
            reasons.append(f'in {n} of {len(loaded)} runs {name}')
    return reasons


PICTURES = [('throughput', 'records per second, 1 KiB, 6 partitions, acks=all'), ('cpu', 'CPU of the broker'),
            ('ack', 'acknowledgement latency, one request in flight'), ('e2e', 'end-to-end latency at 5,000 records/s'),
            ('partitions', 'batches per second with many active partitions'),
            ('requests', 'requests per CPU second of the broker')]


def section(results):
    setting, runs = results['setting'], results['runs']
    out = [f'{setting["date"]}: {setting["cpus"]} x {setting["cpu"]}, {setting["memory_gib"]} GiB, Linux {setting["kernel"]}; '
           f'{setting["rounds"]} round{"s" if setting["rounds"] > 1 else ""} in turn, {setting["seconds"]:g} s each after '
           f'{setting["warmup"]:g} s of warm-up. Median of the rounds, in brackets the lowest and the highest.']
    if 'kafka' in setting:
        out[0] += f' Apache Kafka {setting["kafka"]}, heap {setting["kafka_heap"]}, log directory on the same disk.'
    reasons = why_not(setting, runs)
    if reasons:
        out += ['', '> **Not to be quoted**: ' + '; '.join(reasons) + '.']
    out += ['', '| goal (design, section 9) | wanted | measured | |', '|---|---|---|---|', *(g.row(not reasons) for g in goals(runs))]
    drawn = pictures(results)
    for name, title in PICTURES:
        if name not in drawn:
            continue
        out += ['', f'![{title}](bench/{name}.svg)']
    return '\n'.join(out + tables(runs) + idle_lines(runs)) + '\n'


def pictures(results):
    runs = results['runs']

    def group(label, workload, figure):
        entries = [(s, *spread(runs, workload, s, figure)) for s in svg.NAMES if has(runs, workload, s)]
        return [(label, entries)] if entries else []

    def curves(workload, name):
        return [(s, merged(runs, workload, s, name)) for s in svg.NAMES if has(runs, workload, s)]

    bars = {
        'throughput': ('Records per second, 1 KiB, 6 partitions, acks=all', '/s',
                       group('librdkafka', 'librdkafka', acked_per_s) + group('leat-bench', 'produce', acked_per_s)),
        'cpu': ('CPU of the broker per GiB (less is better)', 's/GiB',
                group('librdkafka', 'librdkafka', cpu_per_gib) + group('leat-bench', 'produce', cpu_per_gib) +
                group('reading', 'consume', read_cpu_per_gib)),
        'partitions': ('1 KiB batches per second, on disk before the answer', '/s',
                       group('100 partitions', 'partitions-100', acked_per_s) +
                       group('10,000 partitions', 'partitions-10000', acked_per_s)),
        'requests': ('Requests of one record per CPU second of the broker', '/s',
                     group('16 connections', 'one-per-request', requests_per_core)),
    }
    lines = {'ack': ('Acknowledgement latency, one 1 KiB request in flight', curves('ack-one', 'ack')),
             'e2e': ('End-to-end latency, 5,000 records/s', curves('e2e', 'e2e'))}
    note = ' (not to be quoted)' if why_not(results['setting'], runs) else ''
    drawn = {name: svg.bars(title + note, unit, groups) for name, (title, unit, groups) in bars.items() if groups}
    drawn.update({name: svg.percentiles(title + note, found) for name, (title, found) in lines.items() if found})
    return drawn


def write(results, docs):
    page = docs / 'benchmarks.md'
    old = page.read_text()
    if BEGIN not in old or END not in old:
        raise SystemExit(f'{page} has lost its markers: {BEGIN} ... {END}')
    new = re.sub(re.escape(BEGIN) + '.*?' + re.escape(END), lambda _: f'{BEGIN}\n{section(results)}{END}', old, flags=re.S)
    page.write_text(new)
    folder = pathlib.Path(docs) / 'bench'
    folder.mkdir(exist_ok=True)
    drawn = pictures(results)
    for name, _ in PICTURES:
        if name not in drawn:
            (folder / f'{name}.svg').unlink(missing_ok=True)
    for name, content in drawn.items():
        (folder / f'{name}.svg').write_text(content)
