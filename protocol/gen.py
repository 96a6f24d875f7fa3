#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kafka message generator: schema files (*.msg, syntax in README.md) -> C structs and codecs.

gen.py --out DIR FILE...          msg_<api>.h and msg_<api>.c per file
gen.py --out DIR --table FILE...  api_table.c: one row per API
gen.py --out DIR --fill FILE...   messages_fill.c: random values per field, for tests

A schema error ends the run with file:line and what would be right."""
import argparse
import pathlib
import re
import sys

WIDTH = {'bool': 1, 'int8': 1, 'int16': 2, 'uint16': 2, 'int32': 4, 'uint32': 4, 'int64': 8, 'float64': 8, 'uuid': 16}
C_TYPE = {'bool': 'bool', 'float64': 'double', 'uuid': 'struct uuid', 'string': 'struct str', 'bytes': 'struct bytes',
          'records': 'struct records'}
BLOBS = ('string', 'bytes', 'records')
READER = {'string': 'str'}
MAX_VERSION, MAX_DEPTH = 32767, 8
WORD = re.compile(r'^[a-z][a-z0-9_]*$')


class SchemaError(Exception):
    pass


def parse_range(text):
    if text == 'none':
        return (1, 0)
    m = re.match(r'^(\d+)(?:(\+)|-(\d+))?$', text)
    if not m:
        raise SchemaError(f'"{text}" is no version range: use 3, 3-7, 3+ or none')
    low = int(m[1])
    return (low, MAX_VERSION if m[2] else int(m[3]) if m[3] else low)


def flexible_from(text):
    return parse_range(text)[0] if text != 'none' else MAX_VERSION


def within(version, r):
    return r[0] <= version <= r[1]


class Struct:
    def __init__(self, name, fields):
        self.name, self.fields = name, fields


class Field:
    def __init__(self, line):
        words = line.split(None, 3)
        if len(words) < 3:
            raise SchemaError('a field is: name type versions [null RANGE] [tag N] [= default]')
        self.name, kind, versions = words[:3]
        rest = words[3] if len(words) > 3 else ''
        self.array = kind.startswith('[]')
        self.type = kind.removeprefix('[]')
        self.struct = self.type not in WIDTH and self.type not in BLOBS
        self.versions, self.null, self.tag, self.default = parse_range(versions), (1, 0), None, None
        self.fields = []
        if not WORD.match(self.name) or not WORD.match(self.type):
            raise SchemaError(f'"{self.name} {self.type}": names are lower case with underscores')
        self._options(rest)

    def _options(self, rest):
        if rest.startswith('= ') or ' = ' in rest:
            rest, self.default = (s.strip() for s in rest.split('= ', 1))
        words = rest.split()
        while words:
            key = words.pop(0)
            if key not in ('null', 'tag') or not words:
                raise SchemaError(f'unknown option "{key}": use null RANGE, tag N or = default')
            if key == 'null':
                self.null = parse_range(words.pop(0))
            else:
                self.tag = int(words.pop(0))

    def nullable(self):
        return self.null[0] <= self.null[1]


class Message:
    def __init__(self, api, kind, top):
        self.api, self.kind = api, kind
        self.name = f'{api.name}_{kind}'
        self.structs = []  # children first
        self.top = self._collect(self.name, top, 1)

    def _collect(self, name, fields, depth):
        if depth > MAX_DEPTH:
            raise SchemaError(f'{name}: nested deeper than {MAX_DEPTH}')
        for f in fields:
            if f.struct and not f.fields:
                f.sub = self._again(name, f)
            elif f.struct:
                f.sub = self._collect(f'{self.name}_{f.type}', f.fields, depth + 1)
            elif f.fields:
                raise SchemaError(f'{name}.{f.name}: only a struct has fields')
        tags = [f.tag for f in fields if f.tag is not None]
        if tags != list(range(len(tags))):
            raise SchemaError(f'{name}: tags must be 0, 1, 2 ... in order')
        s = Struct(name, fields)
        if any(o.name == s.name for o in self.structs):
            raise SchemaError(f'{name}: two structs of one name')
        self.structs.append(s)
        return s

    def _again(self, name, f):
        for s in self.structs:
            if s.name == f'{self.name}_{f.type}':
                return s
        raise SchemaError(f'{name}.{f.name}: no type "{f.type}" and no struct of that name above')


class Api:
    """One schema file: api KEY NAME VERSIONS flexible RANGE [advertise RANGE], then request and response."""

    def __init__(self, path):
        self.path, self.messages = path, []
        trees, stack = {}, None
        for number, raw in enumerate(path.read_text().splitlines(), 1):
            line = raw.split('#', 1)[0].rstrip()
            try:
                if not line:
                    continue
                if line.startswith('api '):
                    self._head(line.split())
                elif line in ('request', 'response'):
                    trees[line] = []
                    stack = [trees[line]]
                else:
                    self._field(line, stack)
            except (SchemaError, ValueError, IndexError) as e:
                sys.exit(f'{path}:{number}: {e}')
        try:
            if set(trees) != {'request', 'response'}:
                raise SchemaError('a file has one request and one response')
            self.messages = [Message(self, kind, trees[kind]) for kind in ('request', 'response')]
        except SchemaError as e:
            sys.exit(f'{path}: {e}')

    def _head(self, words):
        self.key, self.name, self.range = int(words[1]), words[2], parse_range(words[3])
        options = dict(zip(words[4::2], words[5::2]))
        self.flexible = flexible_from(options.pop('flexible'))
        self.advertise = parse_range(options.pop('advertise', words[3]))
        if options:
            raise SchemaError(f'unknown option {sorted(options)[0]}: use flexible or advertise')

    def _field(self, line, stack):
        indent = len(line) - len(line.lstrip())
        if stack is None or indent % 2 or not 0 < indent // 2 <= len(stack):
            raise SchemaError('indent by two spaces below request, response or a struct field')
        del stack[indent // 2:]
        f = Field(line.strip())
        stack[-1].append(f)
        stack.append(f.fields)


def cond(r, api):
    """C condition "v is in r" given that v is in the API's range: None always, False never."""
    low, high = max(r[0], api.range[0]), min(r[1], api.range[1])
    if low > high:
        return False
    parts = ([f'v >= {low}'] if low > api.range[0] else []) + ([f'v <= {high}'] if high < api.range[1] else [])
    return ' && '.join(parts) or None


def flag(r, api):
    c = cond(r, api)
    return 'false' if c is False else 'true' if c is None else c


def ctype(f):
    return f'struct {f.sub.name}' if f.struct else C_TYPE.get(f.type, f.type + '_t')


def camel(name):
    return ''.join(w.capitalize() for w in name.split('_'))


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
    return {-2**31: 'INT32_MIN', -2**63: 'INT64_MIN', 2**63 - 1: 'INT64_MAX'}.get(value, str(value))


def min_size(s, version, api):
    """The least bytes of one s: what a hostile count is measured against."""
    flex = version >= api.flexible
    total = 1 if flex else 0
    for f in s.fields:
        if within(version, f.versions) and f.tag is None:
            total += min_field(f, version, api)
    return total


def min_field(f, version, api):
    flex = version >= api.flexible
    if f.array:
        return 1 if flex else 4
    if f.struct:
        return 1 if within(version, f.null) else min_size(f.sub, version, api)
    return WIDTH.get(f.type) or (1 if flex else 2 if f.type == 'string' else 4)


class Writer:
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


def emit_header(api):
    w = Writer()
    w('// SPDX-License-Identifier: Apache-2.0')
    w(f'/* Generated from {api.path.name}. Contract of all messages: protocol/message.h. */')
    w('#pragma once')
    w('#include "protocol/message.h"')
    w()
    for m in api.messages:
        n = m.name
        for s in m.structs:
            emit_struct(w, s)
        w(f'MUST_CHECK enum status {n}_decode(struct cursor *c, struct arena *a, int16_t v, struct {n} *ret_r);')
        w(f'void {n}_encode(struct writer *w, int16_t v, const struct {n} *r);')
        w(f'struct message_size {n}_size(int16_t v, const struct {n} *r);')
        w(f'size_t {n}_print(char *out, size_t size, const struct {n} *r);')
        w(f'extern const struct message_type {n}_type;')
        w()
    return w.text()


def emit_init(w, s):
    w(f'void {s.name}_init(struct {s.name} *r)')
    w('{')
    w('memset(r, 0, sizeof *r);')
    for f in s.fields:
        if f.array:
            if f.default == 'null':
                w(f'r->{f.name}_count = -1;')
        elif f.struct:
            w(f'{f.sub.name}_init(&r->{f.name});')
            if f.nullable() and f.default != 'null':
                w(f'r->{f.name}_present = true;')
        else:
            w(f'r->{f.name} = {default_value(f)};')
    w('}')
    w()


def open_if(w, condition):
    if condition:
        w(f'if ({condition}) {{')
    return condition is not None


def read_value(w, f, api, owner, c, flex):
    """c: the cursor's C expression."""
    null = flag(f.null, api)
    w(f'{c}->field = "{owner}.{f.name}";')
    if f.array:
        size = f'{f.sub.name}_min[v]' if f.struct else min_c(f, flex)
        w(f'r->{f.name}_count = cursor_count({c}, {flex}, {null}, {size});')
        w(f'r->{f.name} = cursor_array({c}, a, r->{f.name}_count, sizeof *r->{f.name});')
        w(f'for (int32_t i = 0; i < r->{f.name}_count && {c}->error == STATUS_OK; i++) {{')
        read_one(w, f, f'r->{f.name}[i]', c, flex, 'false')
        w('}')
    elif f.struct and f.nullable():
        present = f'cursor_present({c})' if null == 'true' else f'!({null}) || cursor_present({c})'
        w(f'r->{f.name}_present = {present};')
        w(f'if (r->{f.name}_present) {{')
        read_one(w, f, f'r->{f.name}', c, flex, null)
        w('}')
    else:
        read_one(w, f, f'r->{f.name}', c, flex, null)


def min_c(f, flex):
    if f.type in WIDTH:
        return str(WIDTH[f.type])
    wide = 2 if f.type == 'string' else 4
    return {'true': '1', 'false': str(wide)}.get(flex, f'{flex} ? 1 : {wide}')


def read_one(w, f, target, c, flex, null):
    if f.struct:
        w(f'{f.sub.name}_read({c}, a, v, &{target});')
    elif f.type in BLOBS:
        w(f'{target} = cursor_{READER.get(f.type, f.type)}({c}, {flex}, {null});')
    else:
        w(f'{target} = cursor_{f.type}({c});')


def emit_read(w, s, api):
    flexible = flag((api.flexible, MAX_VERSION), api)
    w(f'static void {s.name}_read(struct cursor *c, struct arena *a, int16_t v, struct {s.name} *r)')
    w('{')
    w(f'const bool flex = {flexible};')
    w(f'{s.name}_init(r);')
    for f in s.fields:
        condition = cond(f.versions, api)
        if f.tag is not None or condition is False:
            continue
        braces = open_if(w, condition)
        read_value(w, f, api, s.name, 'c', 'flex')
        if braces:
            w('}')
    tagged = [f for f in s.fields if f.tag is not None]
    if not tagged:
        w('if (flex) cursor_skip_tags(c);')
        w('}')
        w()
        return
    w('uint32_t tags = flex ? cursor_tag_count(c) : 0;')
    w('for (uint32_t t = 0; t < tags && c->error == STATUS_OK; t++) {')
    w('struct cursor value, *f = &value;')
    w('switch (cursor_tag(c, f)) {')
    for f in tagged:
        w(f'case {f.tag}: {{')
        valid = cond(f.versions, api)
        if valid is False:
            w('cursor_fail(c, STATUS_INVALID, "a tag that this version does not have");')
            w('break;')
            w('}')
            continue
        if valid:
            w(f'if (!({valid})) {{ /* as Kafka: no sender has it by accident */')
            w('cursor_fail(c, STATUS_INVALID, "a tag that this version does not have");')
            w('break;')
            w('}')
        read_value(w, f, api, s.name, 'f', 'true')
        w('cursor_join(c, f);')
        w('break;')
        w('}')
    w('default: break; /* unknown: stepped over by its size */')
    w('}')
    w('}')
    w('}')
    w()


def differs(f, r):
    """C condition: the field of r is not at its default (so that a tagged field is sent)."""
    name = f'{r}->{f.name}'
    if f.array:
        return f'{name}_count != {default_value(f)}'
    if f.struct:
        unequal = f'!{f.sub.name}_is_default(&{name})'
        if not f.nullable():
            return unequal
        return f'{name}_present' if f.default == 'null' else f'(!{name}_present || {unequal})'
    if f.type == 'string':
        return f'!str_equal({name}, {default_value(f)})'
    if f.type in BLOBS:
        return f'{name}.len != {"-1" if f.default == "null" else "0"}'
    if f.type == 'uuid':
        return f'!uuid_is_zero({name})'
    if f.type == 'float64':
        return f'({name} < {default_value(f)} || {name} > {default_value(f)})'
    return f'{name} != {default_value(f)}'


def emit_is_default(w, s):
    w(f'static bool {s.name}_is_default(const struct {s.name} *r)')
    w('{')
    w('return !(' + ' || '.join(differs(f, 'r') for f in s.fields) + ');')
    w('}')
    w()


def write_value(w, f, api, flex):
    null = flag(f.null, api)
    if f.array:
        w(f'writer_count(w, {flex}, {null}, r->{f.name}_count);')
        w(f'for (int32_t i = 0; i < r->{f.name}_count; i++) {{')
        write_one(w, f, f'r->{f.name}[i]', flex, 'false')
        w('}')
    elif f.struct and f.nullable():
        w(f'if ({null}) writer_int8(w, r->{f.name}_present ? 1 : -1);')
        w(f'else if (!r->{f.name}_present) writer_fail(w, STATUS_INVALID);')
        w(f'if (r->{f.name}_present) {{')
        write_one(w, f, f'r->{f.name}', flex, null)
        w('}')
    else:
        write_one(w, f, f'r->{f.name}', flex, null)


def write_one(w, f, value, flex, null):
    if f.struct:
        w(f'{f.sub.name}_write(w, v, &{value});')
    elif f.type == 'records':
        w(f'writer_records(w, {flex}, {null}, &{value});')
    elif f.type in BLOBS:
        w(f'writer_{READER.get(f.type, f.type)}(w, {flex}, {null}, {value});')
    elif f.name.endswith('error_code') and f.type == 'int16':
        w(f'writer_error_code(w, {value});')
    else:
        w(f'writer_{f.type}(w, {value});')


def emit_write(w, s, api):
    tagged = [f for f in s.fields if f.tag is not None and cond(f.versions, api) is not False]
    for f in tagged:
        w(f'static void {s.name}_write_{f.name}(struct writer *w, int16_t v, const struct {s.name} *r)')
        w('{')
        write_value(w, f, api, 'true')
        w('}')
        w()
    w(f'static void {s.name}_write(struct writer *w, int16_t v, const struct {s.name} *r)')
    w('{')
    w(f'const bool flex = {flag((api.flexible, MAX_VERSION), api)};')
    for f in s.fields:
        condition = cond(f.versions, api)
        if f.tag is not None or condition is False:
            continue
        braces = open_if(w, condition)
        write_value(w, f, api, 'flex')
        if braces:
            w('}')
    w('if (!flex) return;')
    for f in tagged:
        w(f'const bool has_{f.name} = {flag(f.versions, api)} && {differs(f, "r")};'.replace('= true && ', '= '))
    w('writer_uvarint(w, ' + (' + '.join(f'(uint32_t)has_{f.name}' for f in tagged) or '0') + ');')
    for f in tagged:
        w(f'if (has_{f.name}) {{')
        w('struct writer size;')
        w('writer_init_count(&size);')
        w(f'{s.name}_write_{f.name}(&size, v, r);')
        w(f'writer_tag(w, {f.tag}, &size);')
        w(f'{s.name}_write_{f.name}(w, v, r);')
        w('}')
    w('}')
    w()


def emit_show(w, s):
    w(f'static void {s.name}_show(struct printer *p, const struct {s.name} *r)')
    w('{')
    w('printer_text(p, "{");')
    for f in s.fields:
        w(f'printer_name(p, "{f.name}");')
        if f.array:
            w(f'printer_text(p, r->{f.name}_count < 0 ? "null" : "[");')
            w(f'for (int32_t i = 0; i < r->{f.name}_count && !printer_full(p); i++) {{')
            w('if (i > 0) printer_text(p, ",");')
            show_one(w, f, f'r->{f.name}[i]')
            w('}')
            w(f'if (r->{f.name}_count >= 0) printer_text(p, "]");')
        elif f.struct and f.nullable():
            w(f'if (!r->{f.name}_present) printer_text(p, "null");')
            w(f'else {f.sub.name}_show(p, &r->{f.name});')
        else:
            show_one(w, f, f'r->{f.name}')
    w('printer_text(p, "}");')
    w('}')
    w()


def show_one(w, f, value):
    if f.struct:
        w(f'{f.sub.name}_show(p, &{value});')
    elif f.type == 'float64':
        w(f'printer_float(p, {value});')
    elif f.type in BLOBS or f.type == 'uuid':
        w(f'printer_{READER.get(f.type, f.type)}(p, {"&" if f.type == "records" else ""}{value});')
    else:
        w(f'printer_int(p, {value});')


def emit_public(w, m, api):
    n, low, high = m.name, *api.range
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
    emit_type(w, m, api)


def emit_type(w, m, api):
    n = m.name
    args = {'decode': ('enum status', 'struct cursor *c, struct arena *a, int16_t v, void *ret_r', 'c, a, v, ret_r'),
            'encode': ('void', 'struct writer *w, int16_t v, const void *r', 'w, v, r'),
            'size': ('struct message_size', 'int16_t v, const void *r', 'v, r'),
            'print': ('size_t', 'char *out, size_t size, const void *r', 'out, size, r')}
    for verb, (ret, params, names) in args.items():
        w(f'static {ret} {n}_any_{verb}({params})')
        w('{')
        w(('' if ret == 'void' else 'return ') + f'{n}_{verb}({names});')
        w('}')
        w()
    w(f'const struct message_type {n}_type = {{')
    w(f'.name = "{camel(api.name)}{m.kind.capitalize()}", .struct_size = sizeof(struct {n}),')
    w(f'.min_version = {api.range[0]}, .max_version = {api.range[1]}, .flexible_from = {api.flexible},')
    w(', '.join(f'.{verb} = {n}_any_{verb}' for verb in args) + ',')
    w('};')
    w()


def emit_source(api):
    w = Writer()
    w('// SPDX-License-Identifier: Apache-2.0')
    w(f'/* Generated from {api.path.name}. Contract of all messages: protocol/message.h. */')
    w(f'#include "protocol/msg_{api.name}.h"')
    w('#include "protocol/cursor.h"')
    w('#include "protocol/print.h"')
    w()
    for m in api.messages:
        arrays = {f.sub.name for s in m.structs for f in s.fields if f.struct and f.array}
        optional = {f.sub.name for s in m.structs for f in s.fields if f.struct and f.tag is not None and not f.array}
        for s in m.structs:
            if s.name in arrays:
                sizes = [max(min_size(s, v, api), 1) for v in range(api.range[0], api.range[1] + 1)]
                row = ', '.join(['1'] * api.range[0] + [str(x) for x in sizes])
                w(f'static const uint8_t {s.name}_min[] = {{{row}}}; /* least bytes of one, by version */')
            emit_init(w, s)
            if s.name in optional:
                emit_is_default(w, s)
            emit_read(w, s, api)
            emit_write(w, s, api)
            emit_show(w, s)
        emit_public(w, m, api)
    return w.text()


def emit_table(apis):
    w = Writer()
    w('// SPDX-License-Identifier: Apache-2.0')
    w('/* Generated: one row per schema file, by key. */')
    w('#include "protocol/message.h"')
    for api in apis:
        w(f'#include "protocol/msg_{api.name}.h"')
    w()
    w('const struct api_info api_table[] = {')
    for api in sorted(apis, key=lambda a: a.key):
        w(f'{{{api.key}, "{camel(api.name)}", {api.range[0]}, {api.range[1]}, {api.flexible}, {api.advertise[0]}, '
          f'{api.advertise[1]}, &{api.name}_request_type, &{api.name}_response_type}},')
    w('};')
    w('const uint32_t api_count = sizeof api_table / sizeof api_table[0];')
    return w.text()


def fill_one(w, f, value, null):
    if f.struct:
        w(f'{f.sub.name}_fill(f, v, &{value});')
    elif f.type in BLOBS:
        w(f'{value} = fill_{f.type}(f, {null});')
    elif f.type == 'bool':
        w(f'{value} = !{value};')
    else:
        w(f'{value} = fill_{f.type}(f);')


def emit_fill(apis):
    w = Writer()
    w('// SPDX-License-Identifier: Apache-2.0')
    w('/* Generated: values for every field that a version has; all others keep their defaults. Contract: fill.h. */')
    w('#include "tests/unit/fill.h"')
    for api in apis:
        w(f'#include "protocol/msg_{api.name}.h"')
    w()
    for api in apis:
        for m in api.messages:
            for s in m.structs:
                emit_fill_struct(w, s, api)
    w('const struct fill_row fill_table[] = {')
    for api in apis:
        for m in api.messages:
            w(f'{{&{m.name}_type, {m.name}_fill}},')
    w('};')
    w('const uint32_t fill_count = sizeof fill_table / sizeof fill_table[0];')
    return w.text()


def emit_fill_struct(w, s, api):
    w(f'static void {s.name}_fill(struct filler *f, int16_t v, void *to)')
    w('{')
    w(f'struct {s.name} *r = to;')
    w(f'{s.name}_init(r);')
    for f in s.fields:
        condition = cond(f.versions, api)
        if condition is False:
            continue
        if f.tag is not None:
            condition = ' && '.join(filter(None, [condition, 'fill_tagged(f)']))
        braces = open_if(w, condition)
        null = flag(f.null, api)
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
        if braces:
            w('}')
    w('}')
    w()


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--out', type=pathlib.Path, required=True)
    p.add_argument('--table', action='store_true')
    p.add_argument('--fill', action='store_true')
    p.add_argument('files', type=pathlib.Path, nargs='+')
    a = p.parse_args()
    apis = [Api(f) for f in a.files]
    if a.table:
        (a.out / 'api_table.c').write_text(emit_table(apis))
    elif a.fill:
        (a.out / 'messages_fill.c').write_text(emit_fill(apis))
    else:
        for api in apis:
            (a.out / f'msg_{api.name}.h').write_text(emit_header(api))
            (a.out / f'msg_{api.name}.c').write_text(emit_source(api))


if __name__ == '__main__':
    main()
