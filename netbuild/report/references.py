"""The publications that reports cite, by the name that the tables of a report have for them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from netbuild.report.cells import Doi, Row, Table

NORDLIE = "Nordlie 2009"
SONG = "Song 2016"
WILSON_COWAN = "Wilson 1972"
YANG = "Yang 2019"
NEUROGYM = "NeuroGym"
MASLOV = "Maslov 2002"
ADAM = "Kingma 2015"
ADAMW = "Loshchilov 2019"

_ARXIV = "10.48550/arXiv."
REFERENCES: dict[str, tuple[str, str]] = {  # the text, and the DOI
    NORDLIE: (
        "Nordlie, Gewaltig & Plesser 2009. Towards reproducible descriptions of neuronal network"
        " models. PLoS Computational Biology 5(8): e1000456.",
        "10.1371/journal.pcbi.1000456",
    ),
    SONG: (
        "Song, Yang & Wang 2016. Training excitatory-inhibitory recurrent neural networks for"
        " cognitive tasks. PLoS Computational Biology 12(2): e1004792.",
        "10.1371/journal.pcbi.1004792",
    ),
    WILSON_COWAN: (
        "Wilson & Cowan 1972. Excitatory and inhibitory interactions in localized populations of"
        " model neurons. Biophysical Journal 12: 1-24.",
        "10.1016/S0006-3495(72)86068-5",
    ),
    YANG: (
        "Yang, Joglekar, Song, Newsome & Wang 2019. Task representations in neural networks trained"
        " to perform many cognitive tasks. Nature Neuroscience 22: 297-306.",
        "10.1038/s41593-018-0310-2",
    ),
    NEUROGYM: (
        "Molano-Mazon et al. 2022. NeuroGym: an open resource for developing and sharing"
        " neuroscience tasks. PsyArXiv.",
        "10.31234/osf.io/aqc9n",
    ),
    MASLOV: (
        "Maslov & Sneppen 2002. Specificity and stability in topology of protein networks."
        " Science 296: 910-913.",
        "10.1126/science.1065103",
    ),
    ADAM: (
        "Kingma & Ba 2015. Adam: a method for stochastic optimization. ICLR.",
        f"{_ARXIV}1412.6980",
    ),
    ADAMW: (
        "Loshchilov & Hutter 2019. Decoupled weight decay regularization. ICLR.",
        f"{_ARXIV}1711.05101",
    ),
}
_DOI = re.compile(r"\b10\.\d{4,9}/[-._;()/:A-Za-z0-9]+")
MOST = 50  # identifiers of one text


def named_in(text: str) -> list[str]:
    """The identifiers that a text names, each once, in their order."""
    found = (match.rstrip(".,;:") for match in _DOI.findall(text))
    balanced = (doi if doi.count("(") == doi.count(")") else doi.rstrip(")") for doi in found)
    return list(dict.fromkeys(balanced))[:MOST]


def references(cited: Iterable[str], text: str) -> Table:
    """The publications that the parts of a model cite, and those that the spec's text names."""
    rows: list[Row] = []
    for key in dict.fromkeys(cited):
        words, doi = REFERENCES[key]
        rows.append((key, (f"{words} doi ", Doi(doi))))
    known = {doi.lower() for _, doi in REFERENCES.values()}
    rows += [("named in the spec", Doi(d)) for d in named_in(text) if d.lower() not in known]
    return Table("Publications", (), rows, (0.22, 0.78))
