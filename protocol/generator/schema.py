# SPDX-License-Identifier: Apache-2.0
"""Schema files -> Schema: what a file declares, its messages, their structs and fields. A fault ends the run with
file:line and what would be right."""
import re
import sys

WIDTH = {'bool': 1, 'int8': 1, 'int16': 2, 'uint16': 2, 'int32': 4, 'uint32': 4, 'int64': 8, 'float64': 8, 'uuid': 16}
BLOBS = ('string', 'bytes', 'records')
MAX_VERSION, MAX_DEPTH = 32767, 8
NEVER = (1, 0)
WORD = re.compile(r'^[a-z][a-z0-9_]*$')
HEADS = {'api': 'api KEY NAME VERSIONS flexible RANGE [advertise RANGE]', 'record': 'record TYPE NAME',
         'message': 'message NAME VERSIONS flexible RANGE'}
PARTS = {'api': ('request', 'response'), 'record': ('key', 'value'), 'message': ('message',)}


class SchemaError(Exception):
    pass


def parse_range(text):
    if text == 'none':
        return NEVER
    m = re.match(r'^(\d+)(?:(\+)|-(\d+))?$', text)
    if not m:
        raise SchemaError(f'"{text}" is no version range: use 3, 3-7, 3+ or none')
    low = int(m[1])
    return (low, MAX_VERSION if m[2] else int(m[3]) if m[3] else low)


def flexible_from(text):
    return parse_range(text)[0] if text != 'none' else MAX_VERSION


def within(version, r):
    return r[0] <= version <= r[1]


def camel(name):
    return ''.join(w.capitalize() for w in name.split('_'))


class Struct:
    def __init__(self, name, fields):
        self.name, self.fields = name, fields


class Field:
    """sub: the Struct of a struct field, set when its message is complete."""

    def __init__(self, line):
        words = line.split(None, 3)
        if len(words) < 3:
            raise SchemaError('a field is: name type versions [null RANGE] [tag N] [= default]')
        self.name, kind, versions = words[:3]
        self.array = kind.startswith('[]')
        self.type = kind.removeprefix('[]')
        self.struct = self.type not in WIDTH and self.type not in BLOBS
        self.versions, self.null, self.tag, self.default = parse_range(versions), NEVER, None, None
        self.fields, self.sub = [], None
        if not WORD.match(self.name) or not WORD.match(self.type):
            raise SchemaError(f'"{self.name} {self.type}": names are lower case with underscores')
        self._options(words[3] if len(words) > 3 else '')

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
    """One C struct with its codec. structs: children before parents, top last."""

    def __init__(self, name, versions, flexible):
        self.name, self.versions, self.flexible = name, versions, flexible
        self.fields, self.structs, self.top = [], [], None
        if versions[1] == MAX_VERSION or versions[0] > versions[1]:
            raise SchemaError(f'{name}: the versions of a message are closed: 3 or 3-7')

    def close(self):
        self.top = self._collect(self.name, self.fields, 1)

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
        if any(s.name == name for s in self.structs):
            raise SchemaError(f'{name}: two structs of one name')
        self.structs.append(Struct(name, fields))
        return self.structs[-1]

    def _again(self, name, f):
        for s in self.structs:
            if s.name == f'{self.name}_{f.type}':
                return s
        raise SchemaError(f'{name}.{f.name}: no type "{f.type}" and no struct of that name above')


class Schema:
    """kind: api, record or message. number: API key or record type. advertise: of an API only."""

    def __init__(self, path):
        self.path, self.kind, self.parts = path, None, {}
        stack = None
        for number, raw in enumerate(path.read_text().splitlines(), 1):
            line = raw.split('#', 1)[0].rstrip()
            try:
                if line.startswith(' '):
                    self._field(line, stack)
                elif line:
                    stack = self._line(line.split(), stack)
            except (SchemaError, ValueError) as e:
                sys.exit(f'{path}:{number}: {e}')
        try:
            self._close()
        except SchemaError as e:
            sys.exit(f'{path}: {e}')

    def _line(self, words, stack):
        if self.kind is None:
            self._head(words)
            return self._part('message', self.name, words[2:]) if self.kind == 'message' else None
        right = PARTS[self.kind] if self.kind != 'message' else ['an indented field']
        if words[0] not in right:
            raise SchemaError(f'"{words[0]}": what may stand here is {" or ".join(right)}')
        return self._part(words[0], f'{self.name}_{words[0]}', self.versions if self.kind == 'api' else words[1:])

    def _head(self, words):
        if words[0] not in HEADS:
            raise SchemaError('a file begins with one of: ' + '; '.join(HEADS.values()))
        self.kind = words[0]
        if len(words) < len(HEADS[self.kind].split(' [')[0].split()):
            raise SchemaError(f'this line is: {HEADS[self.kind]}')
        self.number, self.name = (None, words[1]) if self.kind == 'message' else (int(words[1]), words[2])
        stem = f'record_{self.name}' if self.kind == 'record' else self.name
        if self.path.stem != stem:
            raise SchemaError(f'the name of this file must be {stem}.msg')
        if self.kind == 'api':
            self.versions = words[3:6]
            options = dict(zip(words[6::2], words[7::2]))
            self.advertise = parse_range(options.pop('advertise', words[3]))
            if options:
                raise SchemaError(f'unknown option {sorted(options)[0]}: use advertise')

    def _part(self, part, name, words):
        """words: VERSIONS flexible RANGE. The fields' stack of the new message comes back."""
        if len(words) != 3 or words[1] != 'flexible':
            raise SchemaError('a message has: VERSIONS flexible RANGE')
        if part in self.parts:
            raise SchemaError(f'two of {part}')
        self.parts[part] = Message(name, parse_range(words[0]), flexible_from(words[2]))
        return [self.parts[part].fields]

    def _field(self, line, stack):
        indent = len(line) - len(line.lstrip())
        if stack is None or indent % 2 or not 0 < indent // 2 <= len(stack):
            raise SchemaError('indent by two spaces below the message or a struct field')
        del stack[indent // 2:]
        f = Field(line.strip())
        stack[-1].append(f)
        stack.append(f.fields)

    def _close(self):
        if self.kind is None or tuple(self.parts) != PARTS[self.kind]:
            raise SchemaError('a file has a head and ' + ' and '.join(PARTS[self.kind or 'api']))
        self.messages = list(self.parts.values())
        for m in self.messages:
            m.close()
