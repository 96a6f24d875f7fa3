#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/faults.md against the tests: every case it names exists, every story and row case is named there, no id of a rule
or row is missing, and every planted bug names a case that exists. Usage: faults_check.py SOURCE_ROOT.

Ends with its own test: the same page with one name misspelt, one row taken out, one case not listed must be refused."""
import pathlib
import re
import sys

LISTED = ("scenario_", "fault_")  # programs whose every case must stand in the page; a row case of others: LISTED_CASES
LISTED_CASES = {"rows_test": r"[BCR]\d+ "}
ROWS = ["%s%d" % (kind, n) for kind, last in (("D", 34), ("P", 15), ("C", 7), ("B", 22), ("R", 11))
        for n in range(1, last + 1)]
RULES = ["A%d" % n for n in range(1, 13)] + ["rule D%d" % n for n in range(1, 15)]


class Tests:
    def __init__(self, root):
        self.cases = {}
        for path in root.glob("tests/**/*_test.c"):
            text = path.read_text()
            if "TEST_MAIN(" in text:
                tail = text[text.index("TEST_MAIN("):]
                self.cases[path.stem[:-len("_test")]] = re.findall(r'\{\s*"([^"]+)",', tail)
        for path in [*root.glob("tests/integration/*_test.py"), *root.glob("tests/style/*_test.py")]:
            self.cases[path.stem] = re.findall(r"""["']([^"'%]+)""", path.read_text())
        self.patches = sorted(root.glob("tests/sim/bugs/*.patch"))


def first_cells(page, heading):
    """First cells of the table rows under the headings that begin so."""
    cells, on = [], False
    for line in page.splitlines():
        if line.startswith("## "):
            on = line[3:].startswith(heading)
        elif on and line.startswith("| ") and not line.startswith(("| row", "| rule |")):
            cells.append((line.split("|")[1].strip(), line))
    return cells


def check(page, tests):
    errors, named = [], set()
    for line in page.splitlines():
        if not line.startswith("| "):
            continue
        for program, case in re.findall(r'(\w+) "([^"]+)"', line):
            named.add((program, case))
            if program not in tests.cases:
                errors.append("no program %s" % program)
            elif not any(c == case or (program.endswith("_test") and c.startswith(case)) for c in tests.cases[program]):
                errors.append('%s has no case "%s"' % (program, case))
    for program, cases in tests.cases.items():
        if program.startswith(LISTED):
            errors += ['%s "%s" is not listed' % (program, c) for c in cases if (program, c) not in named]
    for program, pattern in LISTED_CASES.items():
        errors += ['%s "%s" is not listed' % (program, c) for c in tests.cases[program]
                   if re.match(pattern, c) and (program, c) not in named]
    rows = first_cells(page, "Rows")
    for row in ROWS:
        lines = [line for cell, line in rows if re.match(row + r"\b", cell)]
        if len(lines) != 1:
            errors.append("row %s stands there %d times" % (row, len(lines)))
    for cell, line in first_cells(page, "Rows: "):
        row = cell.split()[0]
        if not re.search(r'"%s\b' % row, line):
            errors.append("row %s: no case carries its id" % row)
    rules = " ".join(cell for cell, _ in first_cells(page, "Rules"))
    waiting = re.search(r"^Not storage.*?(?=^## )", page, re.M | re.S)
    for rule in RULES:
        if not re.search(rule + r"\b", rules) and not (waiting and re.search(rule.split()[-1] + r"\b", waiting[0])):
            errors.append("%s is missing" % rule)
    return errors


def check_patches(root, tests):
    errors = []
    for path in tests.patches:
        found = re.search(r'^Found-by: (\w+)(?: "([^"]+)"| --.*)?$', path.read_text(), re.M)
        if found is None:
            errors.append("%s: no Found-by" % path.name)
        elif not any(root.glob("tests/sim/%s.c" % found[1])):
            errors.append("%s: no program %s" % (path.name, found[1]))
        elif found[2] and not any(c.startswith(found[2]) for c in tests.cases.get(found[1][:-len("_test")], [])):
            errors.append('%s: %s has no case "%s"' % (path.name, found[1], found[2]))
    return errors


def self_test(page, tests):
    """What must be noticed; returns what was not."""
    name = next(c for c in tests.cases["scenario_a1"])
    variants = {
        "a misspelt name": page.replace(name, name + "x"),
        "a row that is gone": re.sub(r"^\| D12 .*\n", "", page, flags=re.M),
        "a rule that is gone": re.sub(r"^\| A7 .*\n", "", page, flags=re.M),
        "a row of the wire that is gone": re.sub(r"^\| B11 .*\n", "", page, flags=re.M),
        "a row without its case": re.sub(r"^(\| D13 [^|]*\|).*$", r"\1 by hand |", page, flags=re.M),
    }
    return ["self-test: %s is not noticed" % what for what, text in variants.items() if not check(text, tests)]


def main():
    root = pathlib.Path(sys.argv[1])
    tests, page = Tests(root), (root / "docs/faults.md").read_text()
    errors = check(page, tests) + check_patches(root, tests) + self_test(page, tests)
    for error in errors:
        print("docs/faults.md: " + error)
    print("%d cases, %d patches, %d errors" % (sum(map(len, tests.cases.values())), len(tests.patches), len(errors)))
    return 1 if errors or not tests.patches else 0


if __name__ == "__main__":
    sys.exit(main())
