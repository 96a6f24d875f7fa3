# SPDX-License-Identifier: Apache-2.0
"""<struct>_write, one function for counting, flat and piecewise writing, and <struct>_is_default, which tagged structs
need: a tagged field is sent only when it is not at its default."""
from .ctext import accessor, cond, default_value, flag, flexible, open_if, tagged
from .schema import BLOBS


def differs(f, r):
    """C condition: the field of r is not at its default."""
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


def emit_write(w, s, m):
    tags = [f for f in s.fields if f.tag is not None and cond(f.versions, m) is not False]
    for f in tags:
        w(f'static void {s.name}_write_{f.name}(struct writer *w, int16_t v, const struct {s.name} *r)')
        w('{')
        write_value(w, f, m, 'true')
        w('}')
        w()
    w(f'static void {s.name}_write(struct writer *w, int16_t v, const struct {s.name} *r)')
    w('{')
    w(f'const bool flex = {flexible(m)};')
    for f in s.fields:
        condition = cond(f.versions, m)
        if f.tag is not None or condition is False:
            continue
        braces = open_if(w, condition)
        write_value(w, f, m, 'flex')
        if braces:
            w('}')
    write_tags(w, s, m, tags)
    w('}')
    w()


def write_tags(w, s, m, fields):
    w('if (!flex) return;')
    for f in fields:
        w(f'const bool has_{f.name} = {flag(f.versions, m)} && {differs(f, "r")};'.replace('= true && ', '= '))
    w('writer_uvarint(w, ' + (' + '.join(f'(uint32_t)has_{f.name}' for f in fields) or '0') + ');')
    for f in fields:
        w(f'if (has_{f.name}) {{')
        w('struct writer size;')
        w('writer_init_count(&size);')
        w(f'{s.name}_write_{f.name}(&size, v, r);')
        w(f'writer_tag(w, {f.tag}, &size);')
        w(f'{s.name}_write_{f.name}(w, v, r);')
        w('}')


def write_value(w, f, m, flex):
    null = flag(f.null, m)
    if f.array:
        w(f'writer_count(w, {flex}, {null}, r->{f.name}_count);')
        w(f'for (int32_t i = 0; i < r->{f.name}_count; i++) {{')
        write_one(w, f, f'r->{f.name}[i]', flex, 'false')
        w('}')
    elif f.struct and f.nullable():
        w(f'if ({null}) writer_present(w, {tagged(f)}, r->{f.name}_present);')
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
        w(f'writer_{accessor(f)}(w, {flex}, {null}, {value});')
    elif f.name.endswith('error_code') and f.type == 'int16':
        w(f'writer_error_code(w, {value});')
    else:
        w(f'writer_{f.type}(w, {value});')
