# SPDX-License-Identifier: Apache-2.0
"""messages_fill.c for tests: a value for every field that a version has (contract: tests/unit/fill.h)."""
from .ctext import LICENSE, Writer, cond, flag, open_if
from .schema import BLOBS


def emit_fill(schemas):
    w = Writer()
    w(LICENSE)
    w('/* Generated: values for every field that a version has; all others keep their defaults. Contract: fill.h. */')
    w('#include "tests/unit/fill.h"')
    for s in schemas:
        w(f'#include "protocol/msg_{s.path.stem}.h"')
    w()
    messages = [m for s in schemas for m in s.messages]
    for m in messages:
        for s in m.structs:
            fill_struct(w, s, m)
    w('const struct fill_row fill_table[] = {')
    for m in messages:
        w(f'{{&{m.name}_type, {m.name}_fill}},')
    w('};')
    w('const uint32_t fill_count = sizeof fill_table / sizeof fill_table[0];')
    return w.text()


def fill_struct(w, s, m):
    w(f'static void {s.name}_fill(struct filler *f, int16_t v, void *to)')
    w('{')
    w(f'struct {s.name} *r = to;')
    w(f'{s.name}_init(r);')
    for f in s.fields:
        condition = cond(f.versions, m)
        if condition is False:
            continue
        if f.tag is not None:
            condition = ' && '.join(filter(None, [condition, 'fill_tagged(f)']))
        braces = open_if(w, condition)
        fill_value(w, f, flag(f.null, m))
        if braces:
            w('}')
    w('}')
    w()


def fill_value(w, f, null):
    if f.array:
        w(f'r->{f.name}_count = fill_count_of(f, {null});')
        w(f'r->{f.name} = fill_array(f, r->{f.name}_count, sizeof *r->{f.name});')
        w(f'for (int32_t i = 0; i < r->{f.name}_count; i++) {{')
        fill_one(w, f, f'r->{f.name}[i]', 'false')
        w('}')
    elif f.struct and f.nullable():
        w(f'r->{f.name}_present = !fill_null(f, {null});')
        w(f'if (r->{f.name}_present) {f.sub.name}_fill(f, v, &r->{f.name});')
    else:
        fill_one(w, f, f'r->{f.name}', null)


def fill_one(w, f, value, null):
    if f.struct:
        w(f'{f.sub.name}_fill(f, v, &{value});')
    elif f.type in BLOBS:
        w(f'{value} = fill_{f.type}(f, {null});')
    elif f.type == 'bool':
        w(f'{value} = !{value};')
    else:
        w(f'{value} = fill_{f.type}(f);')
