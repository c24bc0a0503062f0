"""Writes the tables of docs/robustness.md, from the corpus and from the counts of `make faults`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
try:
    from corpus import SPECS, Row, catalogue, head_of
finally:
    sys.path.pop(0)

BEGIN, END = "<!-- the table: written by make_robustness.py -->\n", "<!-- the table ends -->\n"
HEAD = "| | input | exit | what netbuild says | tried in |\n|--:|---|--:|---|---|\n"
FAULTS = ROOT / "docs" / "faults.json"
FAULTS_BEGIN = "<!-- the faults: written by make_robustness.py -->\n"
FAULTS_END = "<!-- the faults end -->\n"
FAULTS_HEAD = "| | fault | cases | | failed | seconds |\n|--|---|--:|---|--:|--:|\n"
LONGEST = 160  # characters of a message; the files have the rest


def table() -> str:
    """The catalogue as a table, a line for each row and file."""
    lines = [line for row in catalogue() for line in lines_of(row)]
    return HEAD + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def lines_of(row: Row) -> list[list[str]]:
    """A row's number, input, exit code, message and place, once for each place."""
    lines = []
    for where in row.where:
        exit_code, said = row.exit_code, row.said
        link = f"`{where}`"
        if "::" not in where:
            head = head_of(SPECS / where)
            exit_code = head.exit_code
            messages = [message_of(line) for line in head.problems + head.warnings]
            said = messages[0] if messages else ""
            link = f"[{Path(where).stem}](../tests/specs/{where})"
        words = f"**{row.verdict}** " if row.verdict != "refused" else ""
        lines.append(
            [str(row.number), row.input, str(exit_code), (words + shown(said)).strip(), link]
        )
    return [[escaped(cell) for cell in line] for line in lines]


def message_of(line: str) -> str:
    """A problem in the head of a spec, without its place and path: `CODE what | hint`."""
    code = line.index("NB")
    path, _, rest = line[code + 6 :].partition(": ")
    return f"{line[code : code + 5]} {rest if rest and ' ' not in path else line[code + 6 :]}"


def shown(said: str) -> str:
    """A message, shortened to one line of a table."""
    text = said.replace(" | ", "; help: ")
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rpartition(' ')[0]} ..."


def escaped(cell: str) -> str:
    """Text of a table's cell."""
    return cell.replace("|", "\\|")


def faults() -> str:
    """What `make faults` has counted, as a table."""
    found = json.loads(FAULTS.read_text())
    lines = [
        [
            part["measure"],
            part["what"],
            f"{part['cases']:,}",
            ", ".join(f"{number:,} {name}" for name, number in part["numbers"].items()),
            f"{part['failed']:,}",
            f"{part['seconds']:,}",
        ]
        for part in found["parts"]
    ]
    cases = sum(part["cases"] for part in found["parts"])
    table = "".join(f"| {' | '.join(escaped(cell) for cell in line)} |\n" for line in lines)
    seconds = sum(part["seconds"] for part in found["parts"])
    where = f"{cases:,} cases in {seconds:,} s, on {found['machine']}.\n"
    return f"{FAULTS_HEAD}{table}\n{where}"


def with_table(page: str) -> str:
    """The page with its tables replaced by the current ones."""
    page = _between(page, BEGIN, table(), END)
    return _between(page, FAULTS_BEGIN, faults(), FAULTS_END)


def _between(page: str, begin: str, text: str, end: str) -> str:
    before, _, rest = page.partition(begin)
    return f"{before}{begin}{text}{end}{rest.partition(end)[2]}"


if __name__ == "__main__":
    file = ROOT / "docs" / "robustness.md"
    file.write_text(with_table(file.read_text()))
