# SPDX-License-Identifier: Apache-2.0
"""msg_<file>.h: the structs of a schema file and the declarations of their codecs."""
from .ctext import LICENSE, Writer, ctype


def emit_header(schema):
    w = Writer()
    w(LICENSE)
    w(f'/* Generated from {schema.path.name}. Contract of all messages: protocol/message.h. */')
    w('#pragma once')
    w('#include "protocol/message.h"')
    w()
    if schema.kind == 'record':
        w(f'enum {{ {schema.name.upper()}_RECORD = {schema.number} }}; /* the int16 in front of the key */')
        w()
    for m in schema.messages:
        for s in m.structs:
            emit_struct(w, s)
        n = m.name
        w(f'MUST_CHECK enum status {n}_decode(struct cursor *c, struct arena *a, int16_t v, struct {n} *ret_r);')
        w(f'void {n}_encode(struct writer *w, int16_t v, const struct {n} *r);')
        w(f'struct message_size {n}_size(int16_t v, const struct {n} *r);')
        w(f'size_t {n}_print(char *out, size_t size, const struct {n} *r);')
        w(f'extern const struct message_type {n}_type;')
        w()
    return w.text()


def emit_struct(w, s):
    w(f'struct {s.name} {{')
    for f in s.fields:
        if f.array:
            w(f'{ctype(f)} *{f.name};')
            w(f'int32_t {f.name}_count;' + (' /* -1: null */' if f.nullable() else ''))
        else:
            w(f'{ctype(f)} {f.name};')
            if f.struct and f.nullable():
                w(f'bool {f.name}_present;')
    w('};')
    w(f'void {s.name}_init(struct {s.name} *ret_r); /* every field at its default */')
    w()
