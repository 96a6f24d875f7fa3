#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tests/bench/compare writes from its results, without running anything: ratios and verdicts, marks, the text
between the markers and nothing else, pictures that are XML."""
import pathlib
import sys
import tempfile
import xml.dom.minidom

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import report  # noqa: E402
import svg  # noqa: E402


def figures(per_s, cpu_s, p50=1000, others=0.0, drifted=False):
    seconds, records = 10.0, per_s * 10
    probe = {'sync_ns': 80_000, 'rtt_ns': 20_000}
    histogram = {'p50_ns': p50, 'p99_ns': 3 * p50, 'p999_ns': 4 * p50, 'max_ns': 5 * p50, 'buckets': [[p50, 990], [5 * p50, 10]]}
    return {'seconds': seconds, 'acked_per_s': per_s, 'acked_bytes': records * 1024, 'requests': records, 'read_bytes': records * 1024,
            'brokers': [{'cpu_s': cpu_s, 'rss_bytes': 1 << 28}], 'generator': {'cpu_s': 2.0, 'client_bound': False},
            'machine_cpu_s': cpu_s + 2.0 + others * seconds, 'ack': histogram, 'e2e': histogram, 'raw_before': probe,
            'raw_after': probe, 'drifted': drifted}


def run(workload, system, number, **more):
    return {'workload': workload, 'system': system, 'round': number, 'options': [], 'figures': figures(**more)}


def results(**more):
    runs = []
    for number, (leat, kafka) in enumerate([(200, 100), (190, 100), (300, 100)], 1):
        runs += [run('librdkafka', 'leat', number, per_s=leat * 1000, cpu_s=2, **more),
                 run('librdkafka', 'kafka', number, per_s=kafka * 1000, cpu_s=8, **more),
                 run('ack-one', 'leat', number, per_s=5000, cpu_s=1, p50=120_000 + 20_000 * number, **more)]
    setting = {'date': '2000-01-01', 'cpu': 'a CPU', 'cpus': 2, 'memory_gib': 4, 'kernel': '6.1', 'rounds': 3, 'seconds': 10,
               'warmup': 1, 'quotable': True, 'kafka': '0.0', 'kafka_heap': '-Xmx1g'}
    return {'setting': setting, 'runs': runs}


def goals_are_judged():
    found = {g.wanted + g.what[:3]: g for g in report.goals(results()['runs'])}
    rate = found['>= 1.5 xlib']
    assert rate.found == (2.0, 1.9, 3.0) and rate.verdict() == 'met', rate.found
    cpu = found['<= 0.35 x...']
    assert abs(cpu.found[0] - 0.125) < 1e-9 and cpu.verdict() == 'met'
    ack = found['<= 1 xack']  # the limit is 1.3 x 80 + 1.5 x 20 = 134 us; the rounds took 140, 160, 180
    assert abs(ack.found[0] - 160 / 134) < 1e-9 and ack.verdict() == 'missed'
    ack.found = (0.9, 0.8, 1.1)
    assert ack.verdict() == 'met, rounds disagree'
    assert found['>= 10 x10,'].verdict() == 'not measured'


def bad_runs_are_marked():
    text = report.section(results())
    assert 'Not to be quoted' not in text and 'disturbed' not in text and '(not to be quoted)' not in text
    text = report.section(results(others=0.5, drifted=True))
    assert 'in 9 of 9 runs the probes' in text and 'in 9 of 9 runs something else used' in text
    assert 'drifted, disturbed' in text and 'met (not to be quoted)' in text
    asked = results()
    asked['runs'][2]['figures']['load'] = {'rate': 6000.0}  # 5000 came through
    assert 'overloaded in 1 of 3' in report.section(asked)
    one = results()
    one['runs'][0]['figures']['drifted'] = True
    assert 'drifted in 1 of 3' in report.section(one)
    one['setting']['quotable'] = False
    assert 'marked so by hand' in report.section(one)


def only_the_section_changes():
    with tempfile.TemporaryDirectory() as folder:
        docs = pathlib.Path(folder)
        page = docs / 'benchmarks.md'
        page.write_text(f'by hand 1\n{report.BEGIN}\nold\n{report.END}\nby hand 2\n')
        report.write(results(), docs)
        first = page.read_text()
        assert first.startswith(f'by hand 1\n{report.BEGIN}\n') and first.endswith(f'{report.END}\nby hand 2\n') and 'old' not in first
        report.write(results(), docs)
        assert page.read_text() == first
        pictures = sorted(p.name for p in (docs / 'bench').glob('*.svg'))
        assert pictures == ['ack.svg', 'cpu.svg', 'throughput.svg'], pictures
        for p in (docs / 'bench').glob('*.svg'):
            xml.dom.minidom.parse(str(p))
            assert f'(bench/{p.name})' in first
        page.write_text('no markers')
        try:
            report.write(results(), docs)
            raise AssertionError('a page without markers was overwritten')
        except SystemExit:
            assert page.read_text() == 'no markers'


def percentiles_come_from_buckets():
    buckets = {100: 90, 200: 9, 1000: 1}
    assert [svg.percentile(buckets, p) for p in (50, 90, 91, 99, 99.9)] == [100, 100, 200, 200, 1000]
    assert report.merged(results()['runs'], 'ack-one', 'leat', 'ack') == {140_000: 990, 700_000: 10, 160_000: 990, 800_000: 10,
                                                                         180_000: 990, 900_000: 10}


def needless_buckets_go():
    slim = report.slim(run('librdkafka', 'leat', 1, per_s=1, cpu_s=1))['figures']
    assert 'buckets' not in slim['ack'] and slim['ack']['p50_ns'] == 1000
    assert 'buckets' in report.slim(run('ack-one', 'leat', 1, per_s=1, cpu_s=1))['figures']['ack']


for case in (goals_are_judged, bad_runs_are_marked, only_the_section_changes, percentiles_come_from_buckets, needless_buckets_go):
    case()
    print(case.__name__.replace('_', ' '))
