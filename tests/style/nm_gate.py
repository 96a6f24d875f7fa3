#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the libraries below env may call, read from their undefined symbols (nm): no OS I/O, clock, random, thread or
allocation outside the files named here. The style check reads the source; this reads what the compiler made of it, so
a macro or a renamed call does not slip through. Usage: nm_gate.py LIBRARY.a..."""
import fnmatch
import os
import re
import subprocess
import sys

# Symbols any object may name: pure C library functions and what the compiler and the sanitizers add.
ANYWHERE = """
mem* __mem* str* __str* bcmp __isoc99_sscanf __isoc23_* snprintf vsnprintf __snprintf_chk __vsnprintf_chk
qsort bsearch abort __assert_fail __stack_chk_fail __errno_location *__ctype_*_loc tolower toupper isalpha isdigit
log log2 log10 exp exp2 pow sqrt floor ceil lround llround ldexp frexp ldexpl
__asan_* __ubsan_* __tsan_* __sanitizer_* _GLOBAL_OFFSET_TABLE_ __tls_get_addr __gcov_* __emutls_* __popcount*2
XXH3_64bits XXH3_64bits_withSeed XXH3_128bits*
__mul*3 __div*3 __mod*3 __udiv*3 __umod*3 crc32_iscsi*
""".split()

# (object file, symbols it may name besides): each line is an exception of the style guide, with its reason.
EXCEPTIONS = [
    ("mem.c.o", "malloc calloc realloc free aligned_alloc posix_memalign mmap munmap madvise getenv"),  # the allocator and its switch
    ("arena.c.o", "malloc calloc realloc free aligned_alloc"),
    ("buf.c.o", "malloc calloc realloc free aligned_alloc posix_memalign"),
    ("check.c.o", "fprintf vfprintf __fprintf_chk __vfprintf_chk fputs fputc fwrite fflush stderr write"),  # last words
    ("log.c.o", "fprintf vfprintf __fprintf_chk __vfprintf_chk fputs fputc fwrite fflush stderr"),
    ("socket.c.o", """clock_gettime poll socket connect close sendmsg recv setsockopt getsockopt getaddrinfo
        freeaddrinfo"""),  # libleat's way out
    ("quorum*.c.o", "raft_*"),  # the consensus engine, its heap ours
    ("record_*code.c.o", "leat__metadata__* protobuf_c_*"),
    ("codec*.c.o", "LZ4* ZSTD_* snappy_* inflate* deflate* crc32 compress* uncompress* isal_*"),
]


def run_nm(library, option):
    """Yields (object, symbol) of an archive, thin or not."""
    text = subprocess.run(["nm", "-A", option, library], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        match = re.match(r"^(.*?):\s*(?:[0-9a-f]+\s+)?[A-Za-z?]\s+(\S+)$", line)
        if match:
            yield os.path.basename(match.group(1).split(":")[-1]), match.group(2).split("@")[0]


def allowed(obj, symbol):
    extra = [s for pattern, symbols in EXCEPTIONS if fnmatch.fnmatch(obj, pattern) for s in symbols.split()]
    return any(fnmatch.fnmatchcase(symbol, pattern) for pattern in ANYWHERE + extra)


def main(libraries):
    ours = {symbol for library in libraries for _, symbol in run_nm(library, "--defined-only")}
    bad, seen = set(), 0
    for library in libraries:
        for obj, symbol in run_nm(library, "-u"):
            seen += 1
            if symbol not in ours and not allowed(obj, symbol):
                bad.add((os.path.basename(library), obj, symbol))
    for library, obj, symbol in sorted(bad):
        print(f"{library}: {obj} calls {symbol}, which only env and the files in nm_gate.py's table may")
    print(f"{seen} undefined symbols in {len(libraries)} libraries, {len(bad)} not allowed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
