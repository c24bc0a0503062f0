"""The report of a run: its scores, its proof, and what it says of runs that have not ended."""

from __future__ import annotations

import base64
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_pages import Page, check_page

from netbuild.plots import wilson
from netbuild.report import trained as parts
from netbuild.report.cells import Listing, Report, Table
from netbuild.report.page import page
from netbuild.report.run import run_report
from netbuild.results.run import Run


def table(report: Report, caption: str) -> Table:
    blocks = [block for section in report.sections for block in section.blocks]
    return next(b for b in blocks if isinstance(b, Table) and b.caption == caption)


def changed(run: Run, folder: Path, **about: Any) -> Run:
    """A copy of a run whose `run.json` says something else."""
    copy = folder / run.path.name
    shutil.copytree(run.path, copy)
    found = json.loads((copy / "run.json").read_text())
    for name, value in about.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = value
    (copy / "run.json").write_text(json.dumps(found))
    return Run(copy)


def words(report: Report) -> str:
    return check_page(page(report)).text


def test_the_page_is_whole_and_always_the_same(trained: Run, trained_page: bytes) -> None:
    found = check_page(trained_page)
    assert page(run_report(Run(trained.path))) == trained_page
    for heading in ("Result", "Network", "Model", "Constraints and their proof", "Figures"):
        assert heading in found.text
    covered = sum(check.weights for check in trained.verify())
    assert f"None of {covered} constrained entries of step 24 violates its" in found.text
    digest = trained.info.inputs["task.file"].sha256
    assert digest in found.text
    assert [tag for tag, _ in found.tags].count("figure") == 4  # diagram, learning, two weights


def test_scores_have_the_interval_of_their_trials(trained: Run) -> None:
    final = table(run_report(trained), "Final scores")
    rows = {(str(row[0]), str(row[1])): row for row in final.rows}
    row = rows["test", "last"]
    count = 12  # of 60 samples, 80 % are trained on
    low, high = wilson(np.array(round(trained.info.accuracy * count)), np.array(count))
    assert row[-1] == str(count)
    assert row[-2] == f"{float(low):.4f} to {float(high):.4f}"


def test_the_spec_can_be_saved_and_trained_again(trained: Run, trained_page: bytes) -> None:
    found = Page(trained_page)
    links = {a["download"]: a["href"] for t, a in found.tags if t == "a" and "download" in a}
    for name in ("spec.yaml", "resolved.yaml"):
        data = base64.b64decode(links[name].partition("base64,")[2])
        assert data == (trained.path / name).read_bytes()
    listing = next(
        b for s in run_report(trained).sections for b in s.blocks
        if isinstance(b, Listing) and b.title == "Command lines"
    )  # fmt: skip
    command = shlex.split(listing.text.split("\n")[1])
    assert command == ["netbuild", "train", "spec.yaml", "--set", "training.log_every=4"]
    assert "started by a program in Python" in listing.text


def test_what_is_typed_into_a_shell_is_quoted(trained: Run, tmp_path: Path) -> None:
    hostile = "name=$(rm -rf ~); 'x'"
    run = changed(trained, tmp_path, overrides=[hostile], unset=["a b"])
    line = parts.with_changes(run.info, "spec.yaml")
    assert shlex.split(line)[3:] == ["--set", hostile, "--unset", "a b"]


def test_what_choices_were_made_on(trained: Run, tmp_path: Path) -> None:
    assert "Choices were made on the test set (NB607)" in words(run_report(trained))
    for number, (about, said) in enumerate(
        (
            ({"selected_on": "validation"}, "no choice has looked at them"),
            ({"selected_on": "training"}, "All samples were trained on"),
            ({"selected_on": None}, "Nothing was chosen by a score"),
            ({"format": 1, "selected_on": None, "scores": None}, "written in an older format"),
        )
    ):
        run = changed(trained, tmp_path / str(number), **about)
        assert said in parts.choice_note(run.info).text


def test_a_run_of_the_older_format_has_scores(trained: Run, tmp_path: Path) -> None:
    run = changed(trained, tmp_path, format=1, selected_on=None, scores=None)
    assert str(table(run_report(run), "Final scores").rows[0][0]) == "test"


@pytest.mark.parametrize("status", ["running", "diverged"])
def test_a_run_that_has_not_ended(status: str, trained: Run, tmp_path: Path) -> None:
    run = changed(trained, tmp_path, status=status, error="<b>bad</b>", scores=None)
    report = run_report(run)
    assert report.notes[0].text.endswith(" <b>bad</b>")
    assert status in words(report)
    assert table(report, "Last evaluation").rows
    assert table(report, "Constraints and their violations").rows


def test_a_run_without_a_checkpoint(trained: Run, tmp_path: Path) -> None:
    run = changed(trained, tmp_path, status="diverged", scores=None)
    shutil.rmtree(run.path / "checkpoints")
    said = words(run_report(run))
    assert "No checkpoint was saved" in said
    assert "A. Model summary" in said


def test_a_violation_is_told(trained: Run) -> None:
    from netbuild.report.proof import proof_blocks, proof_of

    network = trained.network()
    network.get_parameter("hidden.weight").data.fill_(1.0)
    first = proof_blocks(proof_of(network, trained.initial), 24)[0]
    assert first.text == "30 weights of step 24 violate a constraint."  # type: ignore[union-attr]
    assert first.tone == "warning"  # type: ignore[union-attr]


def test_signs_that_are_not_held_are_counted(decision: Run) -> None:
    from netbuild.report.proof import proof_of

    signed, wrong = proof_of(decision.network(), decision.initial).signs["readout"]
    weight = np.asarray(decision.weights("readout"))
    assert (signed, wrong) == (weight.size, int((weight < 0).sum()))


def test_fixed_points_that_were_found(decision: Run, tmp_path: Path) -> None:
    copy = tmp_path / decision.path.name
    shutil.copytree(decision.path, copy)
    (copy / "analysis").mkdir()
    np.savez(copy / "analysis" / "fixed-points.npz", fixed=np.array([True, True, False]))
    image = b"\x89PNG\r\n\x1a\n" + b"\0" * 8 + (300).to_bytes(4) + b"\0" * 4
    (copy / "analysis" / "fixed-points.png").write_bytes(image)
    (copy / "analysis" / "fixed-points-other.png").write_bytes(b"<svg onload=alert(1)>")
    found = check_page(page(run_report(Run(copy))))
    assert "2 fixed points, 1 slow point" in found.text
    images = [a for tag, a in found.tags if tag == "img"]
    assert [a["width"] for a in images] == ["96"]
    assert "Psychometric curve" in found.text
