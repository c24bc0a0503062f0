"""The report of an experiment: every run counts, and what diverged is listed."""

from __future__ import annotations

import shutil
from pathlib import Path

from report_pages import check_page

from netbuild.experiments.experiment import open_experiment
from netbuild.report.cells import Table
from netbuild.report.experiment import experiment_report
from netbuild.report.page import page
from netbuild.report.tex import tex


def test_the_report_of_an_experiment(swept: Path) -> None:
    report = experiment_report(open_experiment(swept))
    found = check_page(page(report))
    assert report.subtitle == "experiment of 6 runs: 3 diverged, 3 finished"
    assert report.notes[0].text.startswith("3 runs diverged or failed.")
    tables = {b.caption: b for s in report.sections for b in s.blocks if isinstance(b, Table)}
    scores = tables["test_accuracy"]
    place = {name: scores.head.index(name) for name in ("N", "N diverged", "Mean", "95 % interval")}
    calm, wild = scores.rows
    assert [calm[place["N"]], calm[place["N diverged"]]] == ["3", "0"]
    assert [wild[place["N"]], wild[place["N diverged"]]] == ["0", "3"]
    assert " to " in calm[place["95 % interval"]]
    assert [wild[place["Mean"]], wild[place["95 % interval"]]] == ["-", "-"]
    others = tables["Other scores"]
    assert others.head[:2] == ("condition", "score")
    assert others.head[2:] == ("N", "N diverged", "Mean", "SD", "95 % interval")
    lost = tables["Runs that diverged or failed"]
    assert len(lost.rows) == 3
    assert {row[lost.head.index("Exit code")] for row in lost.rows} == {"8"}
    assert len(tables["Runs"].rows) == 6
    checked = tables["Constraints and their violations in all runs"]
    assert {row[2] for row in checked.rows} == {"3"}
    assert {row[4] for row in checked.rows} == {"0"}
    assert "10.1000/made.up" in found.text
    assert "A. Model summary" in tables
    assert tex(report).count(rb"\begin{longtable}") == sum(bool(t.rows) for t in tables.values())
    assert page(experiment_report(open_experiment(swept))) == page(report)


def test_an_experiment_whose_runs_are_gone(swept: Path, tmp_path: Path) -> None:
    copy = tmp_path / "try"
    shutil.copytree(swept, copy)
    shutil.rmtree(copy / "runs")
    (copy / "index.json").unlink(missing_ok=True)
    for log in (copy / "logs").iterdir():
        log.unlink()
    report = experiment_report(open_experiment(copy))
    found = check_page(page(report))
    assert "6 of 6 runs have not ended" in found.text
    assert "No run has begun" in found.text
