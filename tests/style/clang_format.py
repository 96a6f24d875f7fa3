#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every .c and .h of the tree stands as clang-format 14 would write it. Usage: clang_format.py SOURCE_ROOT.
Exit 77 (skipped) when clang-format-14 is not installed: other versions format differently."""
import pathlib
import shutil
import subprocess
import sys

FOLDERS = ["base", "protocol", "storage", "replication", "broker", "clients", "tools", "tests"]


def main():
    root = pathlib.Path(sys.argv[1])
    tool = shutil.which("clang-format-14")
    if tool is None:
        print("clang-format-14 is not installed")
        return 77
    sources = sorted(str(p) for f in FOLDERS for p in (root / f).rglob("*.[ch]"))
    if not sources:
        print(f"no sources under {root}")
        return 1
    code = subprocess.run([tool, "--dry-run", "-Werror", "--style=file"] + sources, cwd=root, check=False).returncode
    print(f"{len(sources)} files")
    return 1 if code else 0


if __name__ == "__main__":
    sys.exit(main())
