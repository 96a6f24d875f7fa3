# SPDX-License-Identifier: Apache-2.0
"""<struct>_show: a message as text (print.h)."""
from .ctext import accessor
from .schema import BLOBS


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
        w(f'printer_{accessor(f)}(p, {"&" if f.type == "records" else ""}{value});')
    else:
        w(f'printer_int(p, {value});')
