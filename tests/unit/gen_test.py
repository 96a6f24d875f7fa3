#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The message generator refuses a faulty schema file with its place and what would be right, and writes a file again only
if its text has changed. Usage: gen_test.py GEN."""
import os
import pathlib
import subprocess
import sys
import tempfile

API = 'api 1 a 0-2 flexible 2+\nrequest\n  x int32 0+\nresponse\n'
TAG = 'message a 0-2 flexible 2+\n  x int8 2+ tag '
# (text of a.msg, what the complaint must hold)
FAULTS = [
    ('', 'a file has a head and'),
    ('  x int8 0+\n', 'a.msg:1: indent by two spaces below'),
    ('apis 1 a 0 flexible 0+\n', 'a.msg:1: a file begins with one of: api KEY'),
    (API.replace('api 1 a', 'api one a'), 'a.msg:1: invalid literal'),
    ('api 1 a 0-2\n', 'a.msg:1: this line is: api KEY NAME VERSIONS flexible RANGE'),
    (API.replace('1 a', '1 b'), 'a.msg:1: the name of this file must be b.msg'),
    (API.replace('0-2', '0-'), 'a.msg:1: "0-" is no version range'),
    (API.replace('flexible', 'bendable'), 'a.msg:2: a message has: VERSIONS flexible RANGE'),
    (API.replace('flexible 2+', 'flexible 2+ advertised 0'), 'a.msg:1: unknown option advertised: use advertise'),
    (API.replace('0-2', '0+'), 'a.msg:2: a_request: the versions of a message are closed'),
    (API.replace('response\n', ''), 'a file has a head and request and response'),
    (API + 'request\n', 'a.msg:5: two of request'),
    (API + 'value\n', 'a.msg:5: "value": what may stand here is request or response'),
    (API + '  x int32\n', 'a.msg:5: a field is: name type versions'),
    (API + '  X int32 0+\n', 'a.msg:5: "X int32": names are lower case'),
    (API + '  x int32 0+ nil 0+\n', 'a.msg:5: unknown option "nil"'),
    (API + '   x int32 0+\n', 'a.msg:5: indent by two spaces'),
    (API + '    x int32 0+\n', 'a.msg:5: indent by two spaces'),
    (API + '  x int32 0+\n    y int8 0+\n', 'a_response.x: only a struct has fields'),
    (API + '  x thing 0+\n', 'a_response.x: no type "thing" and no struct of that name above'),
    (API + '  x thing 0+\n    y int8 0+\n  z thing 0+\n    y int8 0+\n', 'a_response_thing: two structs of one name'),
    (API + ''.join(f'{"  " * d}x s{d} 0+\n' for d in range(1, 10)), 'nested deeper than 8'),
    (TAG + '1\n', 'a: tags must be 0, 1, 2'),
    (TAG + '0\nmessage b 0 flexible none\n', 'a.msg:3: "message": what may stand here is an indented field'),
    ('record 1 a\nkey 0 flexible none\n', 'the name of this file must be record_a.msg'),
]
GOOD = [API, TAG + '0\n', API + '  x thing 0+\n    y int8 0+\n  z thing 0+ # again\n']


def run(gen, path, out):
    return subprocess.run([sys.executable, gen, '--out', out, path], capture_output=True, text=True)


def main():
    gen = sys.argv[1]
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, 'a.msg')
        for text, complaint in FAULTS:
            path.write_text(text)
            result = run(gen, path, directory)
            assert result.returncode == 1 and complaint in result.stderr, (text, complaint, result.stderr)
            assert 'Traceback' not in result.stderr, result.stderr
            assert os.listdir(directory) == ['a.msg'], text
        for text in GOOD:
            path.write_text(text)
            result = run(gen, path, directory)
            assert result.returncode == 0, result.stderr
        header = path.with_name('msg_a.h')
        before = header.stat().st_mtime_ns
        assert run(gen, path, directory).returncode == 0 and header.stat().st_mtime_ns == before
    print(f'{len(FAULTS)} faults named')


main()
