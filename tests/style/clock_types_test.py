#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""C4: the two clocks are two types. A wall time where a monotonic one belongs, and the reverse, must not compile; the
right one must. Usage: clock_types_test.py ROOT CC ..."""
import subprocess
import sys

USES = [  # name, code, compiles
    ("C4 a monotonic time stays one", "struct mono_ns a = {1}, b = mono_add(a, 5); return b.v == 6;", True),
    ("C4 a wall time is no deadline", "struct wall_ms w = {1}; return (int)mono_add(w, 5).v;", False),
    ("C4 a monotonic time is no timestamp", "struct mono_ns m = {1}; struct wall_ms w = m; return (int)w.v;", False),
    ("C4 they are not compared", "struct mono_ns m = {1}; struct wall_ms w = {1}; return m == w;", False),
    ("C4 a number is no time", "struct mono_ns m = mono_add(5, 5); return (int)m.v;", False),
]


def main():
    root, *cc = sys.argv[1:]
    failed = 0
    for name, code, compiles in USES:
        source = '#include "base/clock.h"\nint use(void);\nint use(void)\n{\n    %s\n}\n' % code
        done = subprocess.run([*cc, "-std=gnu17", "-I", root, "-fsyntax-only", "-x", "c", "-"], input=source, text=True,
                              capture_output=True, check=False)
        fine = (done.returncode == 0) == compiles
        failed += not fine
        print("%s: %s" % (name, "ok" if fine else "FAILED\n" + done.stderr))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
