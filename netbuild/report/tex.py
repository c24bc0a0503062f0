"""The tables of a report as LaTeX, for a supplement: `booktabs` and `longtable`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netbuild.report.cells import Cell, Code, Doi, Math, Report, Table
from netbuild.wording import one_line

PACKAGES = ("amsmath", "array", "booktabs", "longtable")
_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "_": r"\_", "%": r"\%", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}", "`": r"\textasciigrave{}", "-": "{-}", "–": "--",
    "[": "{[}", "]": "{]}", "*": "{*}", "Λ": r"$\Lambda$",
    "α": r"$\alpha$", "±": r"$\pm$", "×": r"$\times$", "…": r"\ldots{}",
}  # fmt: skip
_BREAKS = "/._=:;,-"  # characters of names and values after which a line may end


def tex(report: Report) -> bytes:
    """The tables of a report, in its order, to be read by `\\input`."""
    head = [
        "% Tables of a model and its training, written by `netbuild report --tex`.",
        f"% The document needs \\usepackage{{{','.join(PACKAGES)}}} and,"
        " with pdfTeX, \\usepackage[T1]{fontenc}, \\usepackage{textcomp}.",
        f"% {_comment(report.title)}: {_comment(report.subtitle)}",
        "",
    ]
    found = (b for section in report.sections for b in section.blocks if isinstance(b, Table))
    body = [line for table in found if table.rows for line in _table(table)]
    return ("\n".join([*head, *body]) + "\n").encode("utf-8", "backslashreplace")


def _comment(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def _table(table: Table) -> Iterator[str]:
    count = len(table.head) or len(table.rows[0])
    widths = table.widths or (1 / count,) * count
    room = 1 - 0.025 * (count - 1)  # what the space between columns leaves
    columns = "".join(
        rf">{{\raggedright\arraybackslash}}p{{{w * room:.3f}\linewidth}}" for w in widths
    )
    head = " & ".join(rf"\textbf{{{escaped(name, breaks=_BREAKS)}}}" for name in table.head)
    size = "footnotesize" if count < 7 else "scriptsize"
    yield rf"{{\{size}\setlength{{\tabcolsep}}{{0.0125\linewidth}}"
    yield rf"\begin{{longtable}}{{@{{}}{columns}@{{}}}}"
    yield rf"\caption{{{escaped(table.caption)}}}\\"
    yield r"\toprule"
    yield from [rf"{head} \\", r"\midrule"] if head else []
    yield r"\endhead"
    for row in table.rows:
        yield " & ".join(_cell(each) for each in row) + r" \\"
    yield r"\bottomrule"
    yield r"\end{longtable}}"
    yield ""


def _cell(found: Cell) -> str:
    if isinstance(found, list):
        return r" \newline ".join(map(_cell, found))
    return "".join(map(_piece, found)) if isinstance(found, tuple) else _piece(found)


def _piece(text: str) -> str:
    if isinstance(text, Math):
        return f"${text}$"
    if isinstance(text, Code):
        return rf"\texttt{{{escaped(text, breaks=_BREAKS)}}}"
    return escaped(text, breaks="/" if isinstance(text, Doi) else "")


def escaped(text: str, breaks: Iterable[str] = "") -> str:
    """Text that TeX sets as it is; a letter beyond Latin-1 is written as its code, `\\u4e2d`."""
    after = set(breaks)
    return "".join(_letter(c) + (r"\allowbreak{}" if c in after else "") for c in one_line(text))


def _letter(letter: str) -> str:
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    if letter < "\u0080" or "\u00c0" <= letter <= "\u00ff":
        return letter
    code = letter.encode("unicode_escape").decode()
    return "".join(_ESCAPES.get(c, c) for c in code)
