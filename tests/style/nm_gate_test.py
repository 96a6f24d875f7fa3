#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nm_gate.py finds planted calls: an object that reads the clock, one that allocates outside its file; and lets the
same allocation pass in mem.c. Usage: nm_gate_test.py COMPILER..."""
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import nm_gate  # noqa: E402 (a neighbour, found by the path above)

CLOCK = "#include <time.h>\nlong f(void); long f(void) { return (long)time(0); }\n"
ALLOC = "#include <stdlib.h>\nvoid *g(void); void *g(void) { return malloc(8); }\n"
PURE = "#include <string.h>\nunsigned long h(const char *s); unsigned long h(const char *s) { return strlen(s); }\n"
CASES = [("clock.c", CLOCK, 1), ("append.c", ALLOC, 1), ("mem.c", ALLOC, 0), ("pure.c", PURE, 0)]


def build(folder, compiler, name, text):
    source = folder / name
    source.write_text(text)
    obj, library = str(source) + ".o", str(source) + ".a"
    subprocess.run(compiler + ["-O0", "-c", str(source), "-o", obj], check=True)
    subprocess.run(["ar", "rcs", library, obj], check=True)
    return library


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, text, want in CASES:
            got = nm_gate.main([build(pathlib.Path(folder), sys.argv[1:], name, text)])
            if got != want:
                print(f"{name}: nm_gate answered {got}, want {want}")
                failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
