"""Tables as LaTeX: everything from outside is escaped, and the file compiles."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_pages import HOSTILE

from netbuild.report.cells import Code, Doi, Math, Number, Report, Section, Table
from netbuild.report.run import run_report
from netbuild.report.tex import PACKAGES, escaped, tex
from netbuild.results.run import Run

BAD = r"\input{/etc/passwd} \write18{ls} $x$ a_b^c & # % ~ -- ?` [x] * \\ {" + HOSTILE
DOCUMENT = rf"""\documentclass{{article}}
\usepackage[T1]{{fontenc}}\usepackage{{textcomp}}
\usepackage{{{",".join(PACKAGES)}}}
\begin{{document}}
\input{{tables.tex}}
\end{{document}}
"""
COMMANDS = re.compile(r"\\[A-Za-z]+|\\.", re.DOTALL)
OURS = {
    *(r"\textbackslash", r"\textasciitilde", r"\textasciicircum", r"\textless", r"\textgreater"),
    *(r"\textbar", r"\textquotedbl", r"\textquotesingle", r"\textasciigrave", r"\{", r"\}", r"\$"),
    *(r"\&", r"\#", r"\_", r"\%", r"\ldots", r"\times", r"\pm", r"\Lambda", r"\alpha"),
}


def report_of(text: str) -> Report:
    rows = [(Code(text), [text, (text, Number("1"))], (Math(r"\frac{1}{2}"), Doi("10.1/a_b")))]
    rows += [(text, "[x]", "*")]
    return Report(text, text, [], [Section("a", "A", [Table(text, (text, "b", "c"), rows)])])


def balance(text: str) -> int:
    """How many braces are open at the end; none may be closed before it is opened."""
    depth = 0
    for found in re.findall(r"\\.|[{}]", text):
        depth += (found == "{") - (found == "}")
        assert depth >= 0
    return depth


@given(st.text(st.sampled_from("\\{}$&#_%~^<>|\"'`-[]*é中\u202e\x00 a1"), max_size=30))
def test_escaped_text_has_no_command_but_those_of_the_table(text: str) -> None:
    found = escaped(text)
    assert set(COMMANDS.findall(found)) <= OURS
    assert balance(found) == 0
    plain = COMMANDS.sub("", found)
    assert not re.search(r"[&#%~_^]", plain)


def test_the_tables_of_hostile_text() -> None:
    lines = tex(report_of(BAD)).decode().split("\n")
    assert all(" " <= c <= "~" for line in lines if line.startswith("%") for c in line)
    found = "\n".join(line for line in lines if not line.startswith("%"))
    assert balance(found) == 0
    assert r"\input" not in found
    assert r"\write" not in found
    body = found.partition(r"\endhead")[2]
    assert body.count(r"\\") == 2  # one for each row
    assert not re.search(r"\\\\\s*[\[*]", found)


def test_the_tables_of_a_run(trained: Run) -> None:
    found = tex(run_report(trained)).decode()
    assert balance(found) == 0
    assert found.count(r"\begin{longtable}") == found.count(r"\end{longtable}") > 10
    for caption in ("A. Model summary", "E. Regularizers", "Final scores"):
        assert rf"\caption{{{caption}}}" in found


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_reads_them(tmp_path: Path, trained: Run) -> None:
    for report in (report_of(BAD), run_report(trained)):
        (tmp_path / "tables.tex").write_bytes(tex(report))
        (tmp_path / "main.tex").write_text(DOCUMENT)
        words = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
        result = subprocess.run(words, cwd=tmp_path, capture_output=True, check=False)
        assert result.returncode == 0, result.stdout[-2000:]
