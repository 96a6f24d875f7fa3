# SPDX-License-Identifier: Apache-2.0
"""What all emitters share: an indenting writer, C types, defaults, version conditions, least sizes."""
from .schema import MAX_VERSION, WIDTH, within

C_TYPE = {'bool': 'bool', 'float64': 'double', 'uuid': 'struct uuid', 'string': 'struct str', 'bytes': 'struct bytes',
          'records': 'struct records'}
LICENSE = '// SPDX-License-Identifier: Apache-2.0'
LIMITS = {-2**31: 'INT32_MIN', -2**63: 'INT64_MIN', 2**63 - 1: 'INT64_MAX'}


class Writer:
    """w(line); indents by the braces at both ends of a line."""

    def __init__(self):
        self.lines, self.depth = [], 0

    def __call__(self, text=''):
        if text.startswith('}'):
            self.depth -= 1
        self.lines.append('    ' * self.depth + text if text else '')
        if text.endswith('{'):
            self.depth += 1

    def text(self):
        return '\n'.join(self.lines) + '\n'


def cond(r, m):
    """C condition "v is in r" given that v is a version of m: None always, False never."""
    low, high = max(r[0], m.versions[0]), min(r[1], m.versions[1])
    if low > high:
        return False
    parts = ([f'v >= {low}'] if low > m.versions[0] else []) + ([f'v <= {high}'] if high < m.versions[1] else [])
    return ' && '.join(parts) or None


def flag(r, m):
    c = cond(r, m)
    return 'false' if c is False else 'true' if c is None else c


def flexible(m):
    return flag((m.flexible, MAX_VERSION), m)


def tagged(f):
    return 'false' if f.tag is None else 'true'


def open_if(w, condition):
    if condition:
        w(f'if ({condition}) {{')
    return condition is not None


def ctype(f):
    return f'struct {f.sub.name}' if f.struct else C_TYPE.get(f.type, f.type + '_t')


def accessor(f):
    """The type's word in cursor_*, writer_* and printer_*."""
    return 'str' if f.type == 'string' else f.type


def default_value(f):
    d = f.default
    if f.array:
        return '-1' if d == 'null' else '0'
    if f.type == 'string':
        return 'STR_NULL' if d == 'null' else f'STR("{d or ""}")'
    if f.type in ('bytes', 'records'):
        body = 'NULL, -1' if d == 'null' else '(const uint8_t *)"", 0'
        return f'({C_TYPE[f.type]}){{{body}}}'
    if f.type == 'bool':
        return d or 'false'
    if f.type == 'uuid':
        return '(struct uuid){0}'
    if f.type == 'float64':
        return repr(float(d or 0))
    value = int(d or '0', 0)
    return LIMITS.get(value, str(value))


def min_size(s, version, m):
    """The least bytes of one s: what a hostile count is measured against."""
    total = 1 if version >= m.flexible else 0
    for f in s.fields:
        if within(version, f.versions) and f.tag is None:
            total += min_field(f, version, m)
    return total


def min_field(f, version, m):
    flex = version >= m.flexible
    if f.array:
        return 1 if flex else 4
    if f.struct:
        return 1 if within(version, f.null) else min_size(f.sub, version, m)
    return WIDTH.get(f.type) or (1 if flex else 2 if f.type == 'string' else 4)
