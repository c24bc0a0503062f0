"""Writes the table of docs/robustness.md from the corpus: python docs/make_robustness.py."""

from __future__ import annotations

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
LONGEST = 160  # characters of what is said; the files have the rest


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
    """A problem of a head without its place and path: `CODE what | hint`."""
    code = line.index("NB")
    path, _, rest = line[code + 6 :].partition(": ")
    return f"{line[code : code + 5]} {rest if rest and ' ' not in path else line[code + 6 :]}"


def shown(said: str) -> str:
    """What is said, on one line of a table."""
    text = said.replace(" | ", "; help: ")
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rpartition(' ')[0]} ..."


def escaped(cell: str) -> str:
    """Text of a table's cell."""
    return cell.replace("|", "\\|")


def with_table(page: str) -> str:
    """A page with its table written anew."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    file = ROOT / "docs" / "robustness.md"
    file.write_text(with_table(file.read_text()))
