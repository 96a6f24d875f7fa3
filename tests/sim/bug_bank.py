#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bug bank: takes one rule at a time out of a copy of the tree and demands that the tests see it.

usage: bug_bank.py [--seed S] [--seeds N] [NAME ...]

The copy is configured once; each patch of tests/sim/bugs is applied, seeds and stories are built and run (those of the
metalog for metalog_*.patch, else those of the store), the patch is taken back. A patch that does not apply, does not build or is not found within N seeds fails the bank.
The unchanged copy runs first: it must be green, or a red patch would prove nothing.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGETS = ["tests/sim/store_seeds", "tests/sim/scenario_store_test"]
METALOG = ["tests/sim/metalog_seeds", "tests/sim/metalog_story_test", "tests/sim/metalog_quorum_test"]


def run(command, cwd, timeout):
    try:
        done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                              check=False, text=True, errors="replace")
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired:
        return -1, "hangs"


def finder(build, first, seeds):
    """Name and first line of what turns red, or None."""
    code, out = run([str(build / TARGETS[1])], build, 120)
    if code != 0:
        lines = [line.strip() for line in out.splitlines() if "Test " in line or "CHECK" in line]
        return "scenario: " + (lines[0] if lines else "exit %d" % code)
    code, out = run([str(build / TARGETS[0]), "--seed", str(first), "--seeds", str(seeds)], build, 300)
    if code != 0:
        lines = [line for line in out.splitlines() if "BROKEN" in line or "CHECK" in line]
        return "seeds: " + (lines[0] if lines else "exit %d" % code)
    return None


def metalog_finder(build):
    for command in [[METALOG[1]], [METALOG[2]], [METALOG[0], "--nodes", "1", "--seeds", "20", "--seconds", "20"],
                    [METALOG[0], "--nodes", "3", "--seeds", "20", "--seconds", "20"]]:
        code, out = run([str(build / command[0])] + command[1:], build, 300)
        if code != 0:
            lines = [line.strip() for line in out.splitlines() if "Test " in line or "broken" in line or "CHECK" in line]
            return lines[0] if lines else "exit %d" % code
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    patches = sorted((ROOT / "tests/sim/bugs").glob("*.patch"))
    if args.names:
        patches = [p for p in patches if p.stem in args.names]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="bug-bank-") as temp:
        tree, build = pathlib.Path(temp) / "tree", pathlib.Path(temp) / "build"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", "build*"))
        code, out = run(["meson", "setup", str(build), str(tree), "-Dcheck_slow=true", "--buildtype=debugoptimized"],
                        temp, 300)
        if code == 0:
            code, out = run(["ninja", "-C", str(build)] + TARGETS + METALOG, temp, 900)
        if code != 0:
            sys.exit("bug bank: the tree does not build:\n" + out[-2000:])
        found = finder(build, args.seed, args.seeds) or metalog_finder(build)
        if found is not None:
            sys.exit("bug bank: red without any patch: " + found)
        for patch in patches:
            begun = time.monotonic()
            metalog = patch.stem.startswith("metalog_")
            code, out = run(["patch", "-p1", "--no-backup-if-mismatch", "-i", str(patch)], tree, 60)
            verdict = "does not apply: " + out if code != 0 else None
            if verdict is None:
                code, out = run(["ninja", "-C", str(build)] + (METALOG if metalog else TARGETS), temp, 900)
                verdict = "does not build: " + out[-500:] if code != 0 else None
            if verdict is None:
                verdict = metalog_finder(build) if metalog else finder(build, args.seed, args.seeds)
                failed += verdict is None
            else:
                failed += 1
            print("%-44s %5.1f s  %s" % (patch.stem, time.monotonic() - begun, verdict or "NOT FOUND"), flush=True)
            if verdict is None or not verdict.startswith("does not apply"):
                run(["patch", "-R", "-p1", "--no-backup-if-mismatch", "-i", str(patch)], tree, 60)
    print("%d patches, %d not found" % (len(patches), failed))
    return 1 if failed or not patches else 0


if __name__ == "__main__":
    sys.exit(main())
