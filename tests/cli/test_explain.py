"""`netbuild explain`: every code, and what it means."""

from __future__ import annotations

from typing import Any

from netbuild.explanations import EXPLANATIONS


def test_explain(cli: Any) -> None:
    result = cli("explain", "nb201")
    assert result.code == 0
    assert result.out.startswith("NB201: a matrix of the wrong shape")
    assert "Wrong:" in result.out
    assert len(cli("explain").out.splitlines()) > 30
    assert cli("explain", "NB999").code == 2


def test_every_code_is_listed_and_explained(cli: Any) -> None:
    assert [line.split()[0] for line in cli("explain").out.splitlines()] == list(EXPLANATIONS)
    for code, explanation in EXPLANATIONS.items():
        out = cli("explain", f"[{code.lower()}]").out
        assert out.startswith(f"{code}: {explanation.title}\n")
        assert all(len(line) < 80 for line in out.partition("\nWrong:")[0].splitlines()[1:])
        assert ("Wrong:" in out) == bool(explanation.wrong)
        assert "\nRight:\n\n    " in out
        assert out.isprintable() or "\x07" not in out
