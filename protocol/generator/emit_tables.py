# SPDX-License-Identifier: Apache-2.0
"""message_tables.c: the tables that message.h declares, a row per schema file."""
from .ctext import LICENSE, Writer
from .schema import camel


def emit_tables(schemas):
    w = Writer()
    w(LICENSE)
    w('/* Generated: one row per schema file. */')
    w('#include "protocol/message.h"')
    for s in schemas:
        w(f'#include "protocol/msg_{s.path.stem}.h"')
    w()
    by_number = sorted((s for s in schemas if s.kind != 'message'), key=lambda s: s.number)
    table(w, 'api_info', 'api', [api_row(s) for s in by_number if s.kind == 'api'])
    table(w, 'group_record', 'group_record', [record_row(s) for s in by_number if s.kind == 'record'])
    plain = sorted((s for s in schemas if s.kind == 'message'), key=lambda s: s.name)
    table(w, 'message_type *const', 'plain_message', [f'&{s.name}_type' for s in plain])
    return w.text()


def table(w, row_type, name, rows):
    w(f'const struct {row_type} {name}_table[] = {{')
    for row in rows:
        w(row + ',')
    w('};')
    w(f'const uint32_t {name}_count = sizeof {name}_table / sizeof {name}_table[0];')
    w()


def api_row(s):
    m = s.messages[0]
    return (f'{{{s.number}, "{camel(s.name)}", {m.versions[0]}, {m.versions[1]}, {m.flexible}, {s.advertise[0]}, '
            f'{s.advertise[1]}, &{s.name}_request_type, &{s.name}_response_type}}')


def record_row(s):
    return f'{{{s.number}, "{camel(s.name)}", &{s.name}_key_type, &{s.name}_value_type}}'
