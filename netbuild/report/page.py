"""A report as one HTML page: every text is escaped, and nothing in it can run or be fetched."""

from __future__ import annotations

import base64
from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup, escape

import netbuild
from netbuild.report.cells import Cell, Code, Doi, Math, Number, Report
from netbuild.report.equations import mathml
from netbuild.wording import one_line

LONG = 40  # characters of a name or value that may be broken anywhere
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:;()")


def page(report: Report) -> bytes:
    """The page, in UTF-8; the same report always gives the same bytes."""
    template = _environment().get_template("page.html")
    text = template.render(
        report=report,
        style=Markup(files("netbuild.report").joinpath("templates/style.css").read_text("utf-8")),
        version=netbuild.__version__,
    )
    return text.encode("utf-8", "backslashreplace")


@cache
def _environment() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("netbuild.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "cell": cell,
        "plain": one_line,
        "lines": lines,
        "data": data,
        "markup": Markup,
        "is_number": is_number,
        "heading": heading,
    }
    return found


def cell(found: Cell) -> Markup:
    """A cell as HTML."""
    if isinstance(found, list):
        return Markup("<br>").join(cell(line) for line in found)
    if isinstance(found, tuple):
        return Markup("").join(_piece(piece) for piece in found)
    return _piece(found)


def _piece(text: str) -> Markup:
    if isinstance(text, Math):
        return Markup(mathml(text))
    if isinstance(text, Doi):
        return Markup('<a href="https://doi.org/{}">{}</a>').format(_quoted(text), one_line(text))
    shown = escape(one_line(text))
    if not isinstance(text, Code):
        return shown
    look = Markup(' class="long"') if len(text) > LONG else ""
    return Markup("<code{}>{}</code>").format(look, shown)


def _quoted(text: str) -> str:
    return "".join(
        c if c in _SAFE else "".join(f"%{byte:02X}" for byte in c.encode("utf-8", "replace"))
        for c in text
    )


def heading(text: str) -> Markup:
    """The head of a column: a path may be broken after its dots."""
    return Markup(".<wbr>").join(one_line(text).split("."))


def is_number(found: Cell) -> bool:
    """Whether a cell is flush right."""
    return isinstance(found, Number)


def lines(text: str) -> str:
    """A text of several lines with everything else escaped that is not printable, tabs apart."""
    return "\n".join(
        "\t".join(one_line(part) for part in line.split("\t"))
        for line in text.replace("\r\n", "\n").split("\n")
    )


def data(content: bytes | str, kind: str) -> str:
    """A `data:` URI."""
    raw = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    return f"data:{kind};base64,{base64.b64encode(raw).decode()}"
