#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The style test: proves the rules of the source that a machine can see. Usage: style_check.py [SOURCE_ROOT]
Errors (exit 1): include direction, third-party headers outside their files, banned calls, functions over 70 lines,
files over 1,000, missing SPDX line or #pragma once, a .c that does not include its own header first, TODO without an
issue number, typedef struct. Reported only: files over 600 lines, assertions per 1,000 lines."""
import fnmatch
import pathlib
import re
import sys

LAYERS = ["base", "protocol", "storage", "replication", "broker"]
FOLDERS = LAYERS + ["clients", "tools", "tests"]
ANYTHING = ["tools/*", "tests/*"]  # may include and call what they like
LEAT = "clients/c/socket.c"  # libleat's only way out: sockets and clock; its memory is base/mem's
OUTSIDE = ANYTHING + ["clients/*/examples/*", "clients/python/*"]
FUNCTION_LINES, FILE_LINES, FILE_LINES_WARN = 70, 1000, 600

ENV = ["base/env_uring*", "base/probe*.c"]
# (headers, files that may include them)
THIRD_PARTY = [
    (["liburing.h", "liburing/*"], ["base/env_uring.c", "tests/*"]),
    (["raft.h", "raft/*"], ["replication/quorum_impl.h", "tests/*"]),
    (["protobuf-c/*", "*.pb-c.h"], ["replication/record_*code.c", "tests/*"]),
    (["lz4*.h", "zstd*.h", "zlib.h", "snappy*.h", "igzip_lib.h", "isa-l/igzip_lib.h"], ["protocol/*.c", "tests/*"]),
    (["crc.h", "isa-l.h", "isa-l/crc.h"], ["base/crc32c.c", "tests/*"]),
    (["microhttpd.h"], ["broker/http*.c"]),
    (["pthread.h", "threads.h"], ENV + OUTSIDE),
]
# (what, calls, files that may make them)
BANNED = [
    ("OS I/O", """open openat openat2 close read write readv writev pread pwrite preadv pwritev preadv2 pwritev2 lseek
        fsync fdatasync syncfs sync sync_file_range rename renameat renameat2 unlink unlinkat mkdir mkdirat rmdir opendir
        readdir stat fstat lstat fstatat statx statfs fstatfs truncate ftruncate fallocate posix_fallocate flock fcntl
        ioctl socket bind listen accept accept4 connect send sendto sendmsg recv recvfrom recvmsg poll ppoll select
        epoll_create1 epoll_ctl epoll_wait eventfd syscall fopen fdopen fread fgets fork execve system popen
        getaddrinfo freeaddrinfo gethostbyname setsockopt getsockopt""",
     ENV + OUTSIDE + ["broker/main.c", LEAT]),
    ("clock", "clock_gettime gettimeofday time clock nanosleep clock_nanosleep usleep sleep timerfd_create",
     ENV + OUTSIDE + [LEAT]),
    ("random", "rand rand_r srand random srandom drand48 lrand48 getrandom getentropy arc4random", ENV + OUTSIDE),
    ("allocation", """malloc calloc realloc reallocarray free aligned_alloc posix_memalign memalign strdup strndup asprintf
        vasprintf alloca""", ["base/mem.c", "base/arena.c", "base/buf.c", "base/sim/*"] + ENV + OUTSIDE),
    ("threads", "pthread_[a-z_]+ thrd_create", ENV + OUTSIDE),
    ("standard output", "printf vprintf puts putchar", OUTSIDE + ["broker/main.c"]),
    ("unbounded strings", "strcpy strcat sprintf vsprintf gets strtok setjmp longjmp",
     ["base/sim/*"]),
    ("environment", "getenv secure_getenv setenv",
     OUTSIDE + ["broker/main.c", "base/mem.c"]),
]
DENSITY = {"storage": 40, "replication": 40}  # CHECKs per 1,000 lines


def matches(path, patterns):
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def code_of(text):
    """The text with comments, string and character literals blanked; line numbers stay."""
    literal = r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    return re.sub(r"//[^\n]*|/\*.*?\*/|" + literal, blank, text, flags=re.S)


class Checker:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.errors, self.warnings = [], []
        self.lines, self.checks, self.files = {}, {}, 0

    def error(self, path, line, text):
        self.errors.append(f"{path}:{line}: {text}")

    def run(self):
        for folder in FOLDERS:
            for file in sorted((self.root / folder).rglob("*")):
                path = file.relative_to(self.root).as_posix()
                if not file.is_file() or "__pycache__" in path or "/corpus/" in path or "/golden/" in path:
                    continue
                text = file.read_text(encoding="utf-8", errors="replace")
                if file.suffix in (".c", ".h"):
                    self.files += 1
                    self.check_c(path, text)
                elif file.suffix in (".py", ".sh") or file.name == "meson.build" or text.startswith("#!"):
                    self.check_head(path, text)
        return not self.errors

    def check_head(self, path, text):
        if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(text.splitlines()[:3]):
            self.error(path, 1, "no SPDX-License-Identifier line in the first three")
        for number, line in enumerate(text.splitlines(), 1):
            if path != "tools/style_check.py" and path != "tests/style/style_check_test.py" and re.search(
                    r"\b(TODO|FIXME|XXX)\b(?!\s*\(?#\d+)", line):
                self.error(path, number, "TODO without an issue number (write TODO #12)")

    def check_c(self, path, text):
        code = code_of(text)
        self.check_head(path, text)
        self.check_sizes(path, text, code)
        self.check_includes(path, text)
        self.check_calls(path, code)
        for match in re.finditer(r"\btypedef\s+(struct|union|enum)\b", code):
            self.error(path, code.count("\n", 0, match.start()) + 1, f"typedef {match.group(1)}: write the tag")
        if path.endswith(".h") and not re.search(r"^#pragma once$", text, re.M):
            self.error(path, 1, "no #pragma once")
        layer = path.split("/")[0]
        self.lines[layer] = self.lines.get(layer, 0) + text.count("\n")
        self.checks[layer] = self.checks.get(layer, 0) + len(
            re.findall(r"\b(?:CHECK|CHECK_SLOW|CHECK_OK|static_assert|_Static_assert)\s*\(", code))

    def check_sizes(self, path, text, code):
        count = text.count("\n")
        if count > FILE_LINES:
            self.error(path, count, f"{count} lines, the limit is {FILE_LINES}")
        elif count > FILE_LINES_WARN:
            self.warnings.append(f"{path}: {count} lines, talk at {FILE_LINES_WARN}")
        start = None
        for number, line in enumerate(code.splitlines(), 1):
            if line.startswith("{"):
                start = number
            elif line.startswith("}") and start is not None:
                if number - start - 1 > FUNCTION_LINES:
                    self.error(path, start, f"function of {number - start - 1} lines, the limit is {FUNCTION_LINES}")
                start = None

    def check_includes(self, path, text):
        includes = [(text.count("\n", 0, m.start()) + 1, m.group(1) == "<", m.group(2))
                    for m in re.finditer(r"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"]+)[>\"]", text, re.M)]
        own = path[:-2] + ".h"
        if path.endswith(".c") and (self.root / own).exists():
            names = (own, own.split("/")[-1])
            if not includes or includes[0][2] not in names:
                self.error(path, includes[0][0] if includes else 1, f"does not include its own header {own} first")
        for line, system, name in includes:
            self.check_include(path, line, system, name)

    def check_include(self, path, line, system, name):
        for headers, files in THIRD_PARTY:
            if matches(name, headers) and not matches(path, files):
                self.error(path, line, f"{name} may be included only by {' '.join(files)}")
        if system or matches(path, ANYTHING):
            return
        layer, target = path.split("/")[0], name.split("/")[0]
        if ".." in name or (target not in FOLDERS and "/" in name):
            self.error(path, line, f'"{name}": includes are written from the root of the tree')
        elif target in FOLDERS and "/" in name:
            may = ["base", "protocol", "clients"] if layer == "clients" else LAYERS[:LAYERS.index(layer) + 1]
            if target not in may:
                self.error(path, line, f"{layer} must not include {target} (base <- protocol <- storage <- ...)")
            elif name.startswith("base/sim/") and not path.startswith("base/sim/"):
                self.error(path, line, "the simulator is for tests: nothing below tests/ and tools/ includes it")

    def check_calls(self, path, code):
        for what, calls, files in BANNED:
            if matches(path, files):
                continue
            pattern = r"(?<![\w.>])(" + "|".join(calls.split()) + r")\s*\("
            for match in re.finditer(pattern, code):
                self.error(path, code.count("\n", 0, match.start()) + 1,
                           f"{match.group(1)}(): {what} only in {' '.join(files) or 'no file at all'}")

    def report(self):
        for line in self.errors + self.warnings:
            print(line)
        for layer, want in DENSITY.items():
            if self.lines.get(layer):
                density = 1000 * self.checks[layer] / self.lines[layer]
                print(f"{layer}: {density:.0f} assertions per 1,000 lines (wanted: {want})")
        print(f"{self.files} C files, {len(self.errors)} errors, {len(self.warnings)} warnings")


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    checker = Checker(root)
    good = checker.run()
    checker.report()
    if checker.files == 0:
        print(f"no C files under {root}")
        return 1
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
