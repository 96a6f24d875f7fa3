#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bug bank: takes one rule at a time out of a copy of the tree and demands that the tests see it.

usage: bug_bank.py [--search] [--shard K/N] [NAME ...]

Each patch of tests/sim/bugs begins with two lines: what it takes out, and `Found-by: PROGRAM ARGUMENTS`, a program of
tests/sim that must turn red with it (a scenario by its name, or store_seeds with a range). The copy is configured once;
each patch is applied, that program is built and run, the patch is taken back. A patch that does not apply, does not
build or is not found fails the bank. Each command runs on the unchanged copy first: it must be green, or a red patch
would prove nothing. --search: for a new patch, every scenario and then 200 seeds; prints what found it. --shard 1/2: every
second patch.
"""
import argparse
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEARCH_SEEDS = ["store_seeds", "--seed", "20", "--seeds", "200"]


def run(command, cwd, timeout):
    try:
        done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                              check=False, text=True, errors="replace")
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        return -1, "hangs"


class Patch:
    def __init__(self, path):
        self.path, self.name = path, path.stem
        head = path.read_text().split("\n--- ", 1)[0]
        found = re.search(r"^Found-by: (.+)$", head, re.M)
        self.command = shlex.split(found[1]) if found else None


class Bank:
    def __init__(self, temp):
        self.tree, self.build = temp / "tree", temp / "build"
        self.green = set()
        shutil.copytree(ROOT, self.tree, ignore=shutil.ignore_patterns(".git", "build*"))
        code, out = run(["meson", "setup", str(self.build), str(self.tree), "-Dcheck_slow=true", "--buildtype=plain",
                         "-Doptimization=1"], temp, 300)
        if code != 0:
            sys.exit("bug bank: the tree cannot be configured:\n" + out[-2000:])
        self.scenarios = sorted(p.stem for p in (self.tree / "tests/sim").glob("scenario_*_test.c"))

    def make(self, command):
        return run(["ninja", "-C", str(self.build), "tests/sim/" + command[0]], self.build, 900)

    def red(self, command):
        """The first telling line if that program fails."""
        code, out = run([str(self.build / "tests/sim" / command[0])] + command[1:], self.build, 300)
        if code == 0:
            return None
        told = [line.strip() for line in out.splitlines()
                if re.search(r"Test .* had failures|CHECK failed|BROKEN|no start:", line)]
        return told[0] if told else "exit %d" % code

    def apply(self, patch, reverse):
        return run(["patch", "-p1", "--no-backup-if-mismatch", "-i", str(patch.path)] + ["-R"] * reverse, self.tree, 60)

    def require_green(self, command):
        if tuple(command) in self.green:
            return
        code, out = self.make(command)
        if code != 0:
            sys.exit("bug bank: the tree does not build:\n" + out[-2000:])
        red = self.red(command)
        if red is not None:
            sys.exit("bug bank: %s is red without any patch: %s" % (" ".join(command), red))
        self.green.add(tuple(command))

    def try_patch(self, patch, commands):
        """None: not found; else what was seen."""
        for command in commands:
            self.require_green(command)
        code, out = self.apply(patch, False)
        if code != 0:
            return "ERROR: does not apply: " + out
        verdict = None
        for command in commands:
            code, out = self.make(command)
            if code != 0:
                verdict = "ERROR: does not build: " + out[-800:]
                break
            red = self.red(command)
            if red is not None:
                verdict = "%s: %s" % (shlex.join(command), red)
                break
        self.apply(patch, True)
        return verdict


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--search", action="store_true")
    parser.add_argument("--shard", default="1/1")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    k, n = (int(x) for x in args.shard.split("/"))
    patches = [Patch(p) for p in sorted((ROOT / "tests/sim/bugs").glob("*.patch"))]
    if args.names:
        patches = [p for p in patches if p.name in args.names]
    patches = patches[k - 1::n]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="bug-bank-") as temp:
        bank = Bank(pathlib.Path(temp))
        everything = [[name] for name in bank.scenarios] + [SEARCH_SEEDS]
        for patch in patches:
            begun = time.monotonic()
            if patch.command is None and not args.search:
                verdict = "ERROR: no Found-by line"
            else:
                verdict = bank.try_patch(patch, everything if args.search else [patch.command])
            failed += verdict is None or verdict.startswith("ERROR")
            print("%-48s %5.1f s  %s" % (patch.name, time.monotonic() - begun, verdict or "NOT FOUND"), flush=True)
    print("%d patches, %d not found" % (len(patches), failed))
    return 1 if failed or not patches else 0


if __name__ == "__main__":
    sys.exit(main())
