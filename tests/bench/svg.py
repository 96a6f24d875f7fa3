# SPDX-License-Identifier: Apache-2.0
"""Two kinds of pictures as SVG text, no dependencies: grouped bars with their spread, and latency over percentiles.
Colours read on light and dark pages; every bar carries its number, so that no picture needs its axis to be read."""
import math
from xml.sax.saxutils import escape

COLOURS = {'leat': '#1f77b4', 'kafka': '#e07b00', 'kafka-flush': '#a33e00'}
NAMES = {'leat': 'Leat (fsync)', 'kafka': 'Apache Kafka (no fsync)', 'kafka-flush': 'Apache Kafka (fsync: flush.messages=1)'}
FONT = 'font-family="system-ui, sans-serif"'
INK = '#707070'  # between black on white and white on black
WIDTH = 760


def text(x, y, content, size=13, anchor='start', weight='normal', fill=INK):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}" ' \
           f'{FONT}>{escape(content)}</text>'


def line(x1, y1, x2, y2, width=1.0, colour=INK, dash=''):
    more = f' stroke-dasharray="{dash}"' if dash else ''
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"{more}/>'


def page(height, title, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" ' \
           f'role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">'
    return '\n'.join([head, text(16, 26, title, 16, weight='bold'), *parts, '</svg>', ''])


def legend(systems, y):
    parts, x = [], 16
    for s in systems:
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{COLOURS[s]}"/>')
        parts.append(text(x + 18, y, NAMES[s], 12))
        x += 40 + 7 * len(NAMES[s])
    return parts


def number(v):
    if v >= 1e6:
        return f'{v / 1e6:.2f} M'
    if v >= 1e4:
        return f'{v / 1e3:.0f} k'
    if v >= 1e3:
        return f'{v / 1e3:.1f} k'
    return f'{v:.0f}' if v >= 100 else f'{v:.3g}'


def bars(title, unit, groups):
    """groups: [(label, [(system, median, low, high)])]. The thin line on a bar goes from the lowest round to the highest."""
    systems = list(dict.fromkeys(s for _, entries in groups for s, *_ in entries))
    most = max((high for _, entries in groups for *_, high in entries), default=1) or 1
    left, right, y = 190, 120, 72
    parts = legend(systems, 50)
    scale = (WIDTH - left - right) / most
    for label, entries in groups:
        middle = y + 13 * len(entries)
        parts.append(text(left - 12, middle, label, 13, 'end'))
        for system, median, low, high in entries:
            parts.append(f'<rect x="{left}" y="{y}" width="{max(median * scale, 1):.1f}" height="20" fill="{COLOURS[system]}"/>')
            if high > low:
                parts.append(line(left + low * scale, y + 10, left + high * scale, y + 10, 2, '#404040'))
            parts.append(text(left + max(median, high) * scale + 8, y + 15, f'{number(median)} {unit}', 13))
            y += 26
        y += 14
    parts.insert(0, line(left, 64, left, y - 8))
    return page(int(y + 4), title, parts)


def percentile(buckets, percent):
    """buckets: {greatest value: count}."""
    want, seen = sum(buckets.values()) * percent / 100, 0
    for last in sorted(buckets):
        seen += buckets[last]
        if seen >= want:
            return last
    return 0


def duration(ns):
    for unit, size in (('s', 1e9), ('ms', 1e6), ('us', 1e3)):
        if ns >= size:
            return f'{ns / size:.3g} {unit}'
    return f'{ns:.0f} ns'


def percentiles(title, curves):
    """curves: [(system, {greatest value in ns: count})]. Both axes logarithmic: x by the nines, y by time."""
    marks = [50, 90, 99, 99.9, 99.99]
    left, right, top, bottom = 70, 30, 72, 372

    def x_of(percent):
        return left + (WIDTH - left - right) * (math.log10(100 / (100 - percent)) - math.log10(2)) / (4 - math.log10(2))

    curves = [(s, b) for s, b in curves if sum(b.values()) > 0]
    values = [max(percentile(b, p), 1) for _, b in curves for p in marks]
    if not values:
        return page(120, title, [text(16, 70, 'no measurement')])
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)

    def y_of(ns):
        return bottom - (bottom - top) * (math.log10(max(ns, 1)) - low) / (high - low)

    parts = legend([s for s, _ in curves], 50)
    for decade in range(low, high + 1):
        parts.append(line(left, y_of(10 ** decade), WIDTH - right, y_of(10 ** decade), 0.5))
        parts.append(text(left - 8, y_of(10 ** decade) + 4, duration(10 ** decade), 12, 'end'))
    for p in marks:
        parts.append(line(x_of(p), top, x_of(p), bottom, 0.5, dash='3 4'))
        parts.append(text(x_of(p), bottom + 20, f'p{p:g}', 12, 'middle'))
    steps = [100 - 50 * 10 ** (-i / 12) for i in range(0, 45) if 100 - 50 * 10 ** (-i / 12) <= 99.99]
    taken = []  # labels, so that none stands on another

    def label_y(x, y):
        while any(abs(x - tx) < 40 and abs(y - ty) < 13 for tx, ty in taken):
            y += 13
        taken.append((x, y))
        return y

    for system, buckets in curves:
        points = [(p, percentile(buckets, p)) for p in steps if sum(buckets.values()) * (100 - p) / 100 >= 1]
        path = ' '.join(f'{x_of(p):.1f},{y_of(ns):.1f}' for p, ns in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[system]}" stroke-width="2.5"/>')
        for p in (50, 99):
            ns = percentile(buckets, p)
            parts.append(f'<circle cx="{x_of(p):.1f}" cy="{y_of(ns):.1f}" r="3.5" fill="{COLOURS[system]}"/>')
            parts.append(text(x_of(p) + 6, label_y(x_of(p), y_of(ns) - 8), duration(ns), 12, weight='bold', fill=COLOURS[system]))
    return page(bottom + 36, title, parts)
