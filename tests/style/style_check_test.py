#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The style check finds each planted violation, in the file it was planted in, and nothing in a clean tree."""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tools"))
import style_check  # noqa: E402 (found by the path above)

SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
LONG = "int f(void)\n{\n" + "    g();\n" * 71 + "}\n"
EDGE = "int f(void)\n{\n" + "    g();\n" * 70 + "}\n"
# path, text after the SPDX line, a piece of the expected error (None: no error)
CASES = [
    ("base/up.c", '#include "storage/store.h"\n', "base must not include storage"),
    ("storage/up.c", '#include "broker/main.h"\n', "storage must not include broker"),
    ("storage/down.c", '#include "base/status.h"\n#include "protocol/batch.h"\n', None),
    ("clients/c/leat.c", '#include "storage/store.h"\n', "clients must not include storage"),
    ("clients/c/conn.c", "int f(int fd)\n{\n    return recv(fd, 0, 0, 0);\n}\n", "recv(): OS I/O"),
    ("clients/c/heap.c", "void *f(void)\n{\n    return malloc(1);\n}\n", "malloc(): allocation"),
    ("clients/c/socket.c", "int f(int fd)\n{\n    return recv(fd, 0, time(0), 0);\n}\n", None),
    ("clients/c/examples/hello.c", '#include <leat.h>\nint main(void)\n{\n    return puts("x");\n}\n', None),
    ("storage/sim.c", '#include "base/sim/sim.h"\n', "simulator is for tests"),
    ("storage/dots.c", '#include "../base/status.h"\n', "from the root"),
    ("tests/unit/any_test.c", '#include "storage/x.h"\n#include <stdio.h>\nint f(void) { return puts("x"); }\n', None),
    ("storage/ring.c", "#include <liburing.h>\n", "liburing.h may be included only"),
    ("storage/lz.c", "#include <lz4frame.h>\n", "lz4frame.h may be included only"),
    ("protocol/lz.h", "#pragma once\n#include <lz4frame.h>\n", "lz4frame.h may be included only"),
    ("broker/quorum.c", "#include <raft.h>\n", "raft.h may be included only"),
    ("storage/io.c", "int f(int fd)\n{\n    return fsync(fd);\n}\n", "fsync(): OS I/O"),
    ("storage/clock.c", "long f(void)\n{\n    return time(NULL);\n}\n", "time(): clock"),
    ("broker/dice.c", "int f(void)\n{\n    return rand ();\n}\n", "rand(): random"),
    ("protocol/heap.c", "void *f(void)\n{\n    return malloc(1);\n}\n", "malloc(): allocation"),
    ("base/mem.c", "void *f(void)\n{\n    return malloc(1);\n}\n", None),
    ("broker/thread.c", "void f(void)\n{\n    pthread_mutex_lock(&m);\n}\n", "pthread_mutex_lock(): threads"),
    ("storage/say.c", 'void f(void)\n{\n    printf("x");\n}\n', "printf(): standard output"),
    ("storage/quoted.c", '/* malloc( */ // free(1)\nconst char *s = "fsync(";\nint x = y->read(1) + z.write(2);\n', None),
    ("base/long.c", LONG, "function of 71 lines"),
    ("base/edge.c", EDGE, None),
    ("base/big.c", "int x;\n" * 1000, "the limit is 1000"),
    ("base/once.h", "int x;\n", "no #pragma once"),
    ("base/own.h", "#pragma once\n", None),
    ("base/own.c", '#include <stdio.h>\n#include "base/own.h"\n', "own header base/own.h first"),
    ("base/todo.c", "// TODO later\n", "TODO without an issue"),
    ("base/todo_issue.c", "// TODO #12 later\n", None),
    ("base/def.c", "typedef struct x x_t;\n", "typedef struct"),
]


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, text, _ in CASES:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(SPDX + text)
        (root / "base/bare.c").write_text("int x;\n")
        checker = style_check.Checker(root)
        checker.run()
        for path, _, want in CASES + [("base/bare.c", "", "no SPDX")]:
            got = [e for e in checker.errors if e.startswith(path + ":")]
            good = not got if want is None else len(got) == 1 and want in got[0]
            if not good:
                print(f"{path}: want {want!r}, got {got}")
                failures += 1
    print(f"{len(CASES) + 1} cases, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
