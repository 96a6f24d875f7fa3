#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sums up meson's testlog.json: minutes per suite, the names of failed and skipped tests, and as the very last line
`N passed, N failed, N skipped`. Usage: test_summary.py testlog.json EXIT_CODE_OF_MESON_TEST"""
import json
import sys

PASSED = {"OK", "EXPECTEDFAIL"}


def reason_of(entry):
    """The last line a skipped test said: why it could not run."""
    text = (entry.get("stdout") or "") + "\n" + (entry.get("stderr") or "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:160] if lines else "no reason given"


def main():
    entries = []
    try:
        with open(sys.argv[1], encoding="utf-8") as log:
            entries = [json.loads(line) for line in log if line.strip()]
    except FileNotFoundError:
        pass
    meson_code = int(sys.argv[2])

    seconds = {}
    passed, failed, skipped = 0, 0, 0
    for entry in entries:
        suite, _, name = entry["name"].rpartition(" / ")  # "leat:unit / base"
        suite = suite.split(":")[-1] or "-"
        seconds[suite] = seconds.get(suite, 0.0) + entry["duration"]
        if entry["result"] in PASSED:
            passed += 1
        elif entry["result"] == "SKIP":
            skipped += 1
            print(f"SKIPPED {suite}/{name}: {reason_of(entry)}")
        else:
            failed += 1
            print(f"FAILED  {suite}/{name}: {entry['result']}")
    for suite in sorted(seconds):
        print(f"suite {suite}: {seconds[suite]:.1f} s of test time")
    if meson_code != 0 and failed == 0:
        failed += 1
        print(f"FAILED  meson test ended with exit code {meson_code}")
    if not entries and failed == 0:
        failed += 1
        print("FAILED  no test ran")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
