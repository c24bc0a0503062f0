"""Formulas: the subset of TeX that reports are written in, as MathML, which browsers draw."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[0-9]+(?:\.[0-9]+)?|\s+|.")
_NAMES = {
    "alpha": "α", "eta": "η", "theta": "θ", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "Lambda": "Λ",
    **{name: name for name in ("max", "min", "tanh", "exp", "ln", "cos")},
    "ell": "ℓ", "infty": "∞",
}  # fmt: skip
_SIGNS = {
    "leftarrow": "←", "cdot": "·", "in": "∈", "sim": "∼", "ge": "≥", "le": "≤", "ne": "≠",
    "times": "×", "to": "→", "top": "⊤", "pm": "±", "langle": "⟨", "rangle": "⟩",
    "lvert": "|", "rvert": "|", "lVert": "‖", "rVert": "‖", "{": "{", "}": "}",
    "sum": "∑", "dots": "…",
}  # fmt: skip
_SPACES = {"quad": "1em", "qquad": "2em", ",": "0.17em", ";": "0.28em"}
_CALLIGRAPHIC = {"N": "𝒩", "U": "𝒰", "L": "ℒ"}
_PLAIN = {"<": "&lt;", ">": "&gt;", "-": "−", "&": "&amp;"}


def mathml(tex: str) -> str:
    """A formula as a MathML element; raises ValueError for what the subset does not have.

    The subset: letters, numbers, `_`, `^`, `{}`, `\\frac`, `\\sqrt`, `\\bar`, `\\mathrm`, `\\text`,
    `\\mathcal`, Greek letters, and the signs and functions in the tables above.
    """
    parser = _Parser(tex)
    found = parser.row("")
    return f'<math displaystyle="true">{found}</math>'


class _Parser:
    """Reads tokens one after another; each method returns MathML."""

    def __init__(self, tex: str) -> None:
        self.tex = tex
        self.tokens = [token for token in _TOKEN.findall(tex) if not token.isspace()]
        self.at = 0

    def row(self, end: str) -> str:
        """What stands before `end`, which is read too."""
        parts: list[str] = []
        while self.at < len(self.tokens):
            if self.tokens[self.at] == end:
                self.at += 1
                return "".join(parts)
            parts.append(self.scripted())
        if end:
            raise ValueError(f"a brace is not closed in {self.tex}")
        return "".join(parts)

    def scripted(self) -> str:
        """One atom with its indices."""
        base, low, high = self.atom(), "", ""
        while self.at < len(self.tokens) and self.tokens[self.at] in ("_", "^"):
            mark = self.tokens[self.at]
            self.at += 1
            if mark == "_":
                low = self.atom()
            else:
                high = self.atom()
        if low and high:
            return f"<msubsup>{base}{low}{high}</msubsup>"
        if low:
            return f"<msub>{base}{low}</msub>"
        return f"<msup>{base}{high}</msup>" if high else base

    def atom(self) -> str:
        """A letter, a number, a sign, a group, or a command with its arguments."""
        token = self.next()
        if token == "{":
            return f"<mrow>{self.row('}')}</mrow>"
        if token.startswith("\\"):
            return self.command(token[1:])
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token.isalpha():
            return f"<mi>{token}</mi>"
        if token in "^_}":
            raise ValueError(f"`{token}` out of place in {self.tex}")
        return self.operator(token)

    def operator(self, token: str) -> str:
        """A sign of one character; brackets keep their size, and a minus may be a sign alone."""
        before = self.tokens[self.at - 2] if self.at > 1 else "("
        look = ""
        if token in "([":
            look = ' form="prefix" stretchy="false"'
        elif token in ")]":
            look = ' form="postfix" stretchy="false"'
        elif token == "-" and before in ("(", "=", "{", ",", "["):
            look = ' form="prefix"'
        elif token == "/":
            look = ' lspace="0" rspace="0"'
        return f"<mo{look}>{_PLAIN.get(token, token)}</mo>"

    def command(self, name: str) -> str:
        """What a command means."""
        if name == "frac":
            return f"<mfrac>{self.atom()}{self.atom()}</mfrac>"
        if name == "sqrt":
            return f"<msqrt>{self.atom()}</msqrt>"
        if name == "bar":
            return f'<mover accent="true">{self.atom()}<mo>¯</mo></mover>'
        if name in ("mathrm", "text"):
            kind = 'mi mathvariant="normal"' if name == "mathrm" else "mtext"
            return f"<{kind}>{self.words()}</{kind.split()[0]}>"
        if name == "mathcal":
            return f"<mi>{_CALLIGRAPHIC[self.words()]}</mi>"
        if name in _NAMES:
            return f"<mi>{_NAMES[name]}</mi>"
        if name in _SPACES:
            return f'<mspace width="{_SPACES[name]}"></mspace>'
        if name in _SIGNS:
            look = {"l": ' form="prefix" stretchy="false"', "r": ' form="postfix" stretchy="false"'}
            fence = look[name[0]] if name[1:] in ("vert", "Vert") else ""
            return f"<mo{fence}>{_SIGNS[name]}</mo>"
        raise ValueError(f"\\{name} is not in the subset of TeX: {self.tex}")

    def words(self) -> str:
        """The text in the braces that follow; spaces are not kept, `~` is one."""
        if self.next() != "{":
            raise ValueError(f"a brace is missing in {self.tex}")
        parts: list[str] = []
        while (token := self.next()) != "}":
            parts.append("\u00a0" if token == "~" else _PLAIN.get(token, token))
        return "".join(parts)

    def next(self) -> str:
        """The next token."""
        if self.at >= len(self.tokens):
            raise ValueError(f"{self.tex} ends too early")
        self.at += 1
        return str(self.tokens[self.at - 1])
