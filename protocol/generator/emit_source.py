# SPDX-License-Identifier: Apache-2.0
"""msg_<file>.c: the static functions of every struct, then the public ones of every message and its message_type."""
from .ctext import LICENSE, Writer
from .emit_decode import emit_init, emit_min, emit_read
from .emit_encode import emit_is_default, emit_write
from .emit_show import emit_show
from .schema import camel

# verb: (result, parameters, arguments); <message>_any_<verb> is what a message_type points to
VERBS = {'decode': ('enum status', 'struct cursor *c, struct arena *a, int16_t v, void *ret_r', 'c, a, v, ret_r'),
         'encode': ('void', 'struct writer *w, int16_t v, const void *r', 'w, v, r'),
         'size': ('struct message_size', 'int16_t v, const void *r', 'v, r'),
         'print': ('size_t', 'char *out, size_t size, const void *r', 'out, size, r')}


def emit_source(schema):
    w = Writer()
    w(LICENSE)
    w(f'/* Generated from {schema.path.name}. Contract of all messages: protocol/message.h. */')
    w(f'#include "protocol/msg_{schema.path.stem}.h"')
    w('#include "protocol/cursor.h"')
    w('#include "protocol/print.h"')
    w()
    for m in schema.messages:
        arrays = {f.sub.name for s in m.structs for f in s.fields if f.struct and f.array}
        optional = {f.sub.name for s in m.structs for f in s.fields if f.struct and f.tag is not None and not f.array}
        for s in m.structs:
            if s.name in arrays:
                emit_min(w, s, m)
            emit_init(w, s)
            if s.name in optional:
                emit_is_default(w, s)
            emit_read(w, s, m)
            emit_write(w, s, m)
            emit_show(w, s)
        emit_public(w, m)
        emit_type(w, m)
    return w.text()


def emit_public(w, m):
    n, low, high = m.name, *m.versions
    w(f'enum status {n}_decode(struct cursor *c, struct arena *a, int16_t v, struct {n} *ret_r)')
    w('{')
    w(f'if (v < {low} || v > {high}) return STATUS_UNSUPPORTED_VERSION;')
    w(f'c->field = "{n}"; /* a version may have no fields but tags */')
    w(f'struct {n} r;')
    w(f'{n}_read(c, a, v, &r);')
    w('if (c->error == STATUS_OK) *ret_r = r;')
    w('return c->error;')
    w('}')
    w()
    w(f'void {n}_encode(struct writer *w, int16_t v, const struct {n} *r)')
    w('{')
    w(f'if (v < {low} || v > {high}) writer_fail(w, STATUS_UNSUPPORTED_VERSION);')
    w(f'else {n}_write(w, v, r);')
    w('}')
    w()
    w(f'struct message_size {n}_size(int16_t v, const struct {n} *r)')
    w('{')
    w('struct writer w;')
    w('writer_init_count(&w);')
    w(f'{n}_encode(&w, v, r);')
    w('return writer_counted(&w);')
    w('}')
    w()
    w(f'size_t {n}_print(char *out, size_t size, const struct {n} *r)')
    w('{')
    w('struct printer p;')
    w('printer_init(&p, out, size);')
    w(f'{n}_show(&p, r);')
    w('return p.used;')
    w('}')
    w()


def emit_type(w, m):
    n = m.name
    for verb, (result, parameters, arguments) in VERBS.items():
        w(f'static {result} {n}_any_{verb}({parameters})')
        w('{')
        w(('' if result == 'void' else 'return ') + f'{n}_{verb}({arguments});')
        w('}')
        w()
    w(f'const struct message_type {n}_type = {{')
    w(f'.name = "{camel(n)}", .struct_size = sizeof(struct {n}),')
    w(f'.min_version = {m.versions[0]}, .max_version = {m.versions[1]}, .flexible_from = {m.flexible},')
    w(', '.join(f'.{verb} = {n}_any_{verb}' for verb in VERBS) + ',')
    w('};')
    w()
