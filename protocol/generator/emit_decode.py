# SPDX-License-Identifier: Apache-2.0
"""<struct>_init, which sets the defaults, and <struct>_read, straight-line code over a cursor."""
from .ctext import accessor, cond, default_value, flag, flexible, min_size, open_if, tagged
from .schema import BLOBS, WIDTH


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


def emit_min(w, s, m):
    low, high = m.versions
    sizes = [max(min_size(s, v, m), 1) for v in range(low, high + 1)]
    row = ', '.join(['1'] * low + [str(x) for x in sizes])
    w(f'static const uint8_t {s.name}_min[] = {{{row}}}; /* least bytes of one, by version */')


def emit_read(w, s, m):
    w(f'static void {s.name}_read(struct cursor *c, struct arena *a, int16_t v, struct {s.name} *r)')
    w('{')
    w(f'const bool flex = {flexible(m)};')
    w(f'{s.name}_init(r);')
    for f in s.fields:
        condition = cond(f.versions, m)
        if f.tag is not None or condition is False:
            continue
        braces = open_if(w, condition)
        read_value(w, f, m, s.name, 'c', 'flex')
        if braces:
            w('}')
    tags = [f for f in s.fields if f.tag is not None]
    if tags:
        read_tags(w, s, m, tags)
    else:
        w('if (flex) cursor_skip_tags(c);')
    w('}')
    w()


def read_tags(w, s, m, fields):
    w('uint32_t tags = flex ? cursor_tag_count(c) : 0;')
    w('for (uint32_t t = 0; t < tags && c->error == STATUS_OK; t++) {')
    w('struct cursor value, *f = &value;')
    w('switch (cursor_tag(c, f)) {')
    for f in fields:
        valid = cond(f.versions, m)
        w(f'case {f.tag}: {{')
        if valid:
            w(f'if (!({valid})) {{ /* as Kafka: no sender has it by accident */')
        if valid is not None:
            w('cursor_fail(c, STATUS_INVALID, "a tag that this version does not have");')
            w('break;')
        if valid:
            w('}')
        if valid is not False:
            read_value(w, f, m, s.name, 'f', 'true')
            w('cursor_join(c, f);')
            w('break;')
        w('}')
    w('default: break; /* unknown: stepped over by its size */')
    w('}')
    w('}')


def read_value(w, f, m, owner, c, flex):
    """c: the cursor's C expression."""
    null = flag(f.null, m)
    w(f'{c}->field = "{owner}.{f.name}";')
    if f.array:
        size = f'{f.sub.name}_min[v]' if f.struct else least(f, flex)
        w(f'r->{f.name}_count = cursor_count({c}, {flex}, {null}, {size});')
        w(f'r->{f.name} = cursor_array({c}, a, r->{f.name}_count, sizeof *r->{f.name});')
        w(f'for (int32_t i = 0; i < r->{f.name}_count && {c}->error == STATUS_OK; i++) {{')
        read_one(w, f, f'r->{f.name}[i]', c, flex, 'false')
        w('}')
    elif f.struct and f.nullable():
        present = f'cursor_present({c}, {tagged(f)})'
        if null != 'true':
            present = f'!({null}) || {present}'
        w(f'r->{f.name}_present = {present};')
        w(f'if (r->{f.name}_present) {{')
        read_one(w, f, f'r->{f.name}', c, flex, null)
        w('}')
    else:
        read_one(w, f, f'r->{f.name}', c, flex, null)


def least(f, flex):
    """C expression for the least bytes of one element that is no struct."""
    if f.type in WIDTH:
        return str(WIDTH[f.type])
    wide = 2 if f.type == 'string' else 4
    return {'true': '1', 'false': str(wide)}.get(flex, f'{flex} ? 1 : {wide}')


def read_one(w, f, target, c, flex, null):
    if f.struct:
        w(f'{f.sub.name}_read({c}, a, v, &{target});')
    elif f.type in BLOBS:
        w(f'{target} = cursor_{accessor(f)}({c}, {flex}, {null});')
    else:
        w(f'{target} = cursor_{f.type}({c});')
