"""Writes the table of docs/diagnostics.md from diag.def and the titles of docs/diagnostics/*.md
(`make docs`); with --check only says whether it is current. Standard library only."""
import pathlib
import re
import sys

SRC = pathlib.Path(__file__).resolve().parents[2]
ROW = re.compile(r'^DIAG\(\w+, "(\w+)", SEV_(\w+), (NULL|"\w+")', re.M)
MARKS = ("<!-- made by make docs -->\n", "<!-- end -->\n")


def table():
    yield "| code | level | lint | means |\n|---|---|---|---|\n"
    rows = ROW.findall((SRC / "src" / "support" / "diag.def").read_text())
    for code, level, lint in sorted(rows, key=lambda r: r[0][1:]):
        page = SRC / "docs" / "diagnostics" / f"{code}.md"
        title = page.read_text().split("\n", 1)[0].split(": ", 1)[1] if page.exists() else ""
        lint = "" if lint == "NULL" else "`%s`" % lint.strip('"')
        yield f"| [{code}](diagnostics/{code}.md) | {level.lower()} | {lint} | {title} |\n"


def main():
    path = SRC / "docs" / "diagnostics.md"
    text = path.read_text()
    before, rest = text.split(MARKS[0])
    new = before + MARKS[0] + "\n" + "".join(table()) + "\n" + MARKS[1] + rest.split(MARKS[1])[1]
    if new == text:
        return 0
    if "--check" in sys.argv:
        print("docs/diagnostics.md is not current: make docs")
        return 1
    path.write_text(new)
    return 0


sys.exit(main())
