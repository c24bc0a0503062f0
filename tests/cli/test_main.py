"""Every command as a user meets it: output, exit code, and nothing written that was not asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import small_spec
from places import ROOT

import netbuild
from netbuild.cli.options import find_run
from netbuild.durable import digest
from netbuild.runs.checkpoint import pack


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_help_lists_every_command(cli: Any) -> None:
    result = cli("--help")
    assert result.code == 0
    for command in (
        "init",
        "validate",
        "config",
        "build",
        "inspect",
        "train",
        "plot",
        "diff",
        "schema",
        "explain",
        "analyze",
        "export",
        "runs",
        "evaluate",
    ):
        assert f" {command} " in result.out
        assert cli(command, "--help").code == 0
    assert cli("--version").out.strip() == netbuild.__version__


@pytest.mark.parametrize(
    "arguments",
    [["trian"], ["train"], ["train", "a.yaml", "--sett", "x=1"], ["plot", "x", "--kind", "?"]],
)
def test_usage_errors_are_two(cli: Any, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert result.code == 2
    assert "Traceback" not in result.err


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tests copy."""
    folder = tmp_path_factory.mktemp("trained")
    return netbuild.train(small_spec(folder), folder / "runs").path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Any:
    """A run that a test may damage."""
    return netbuild.open_run(shutil.copytree(trained, tmp_path / "runs" / "small" / trained.name))


def single_valued() -> list[tuple[str, str]]:
    """Every option of every command that takes one value, as (command, option)."""
    from typer.main import get_command

    from netbuild.cli.main import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    return [
        (name, option.opts[0])
        for name, command in commands.items()
        for option in command.params
        if option.param_type_name == "option" and not option.multiple and not option.is_flag
    ]


@pytest.mark.parametrize(("command", "option"), single_valued())
def test_an_option_of_one_value_is_not_given_twice(cli: Any, command: str, option: str) -> None:
    result = cli(command, "x.yaml", f"{option}=1", option, "2")
    assert result == (2, "", f"error: {option} is given more than once, and it takes one value\n")


def test_options_of_lists_and_flags_may_be_repeated(cli: Any, small: Path) -> None:
    changes = ("--set", "training.steps=3", "--set", "training.batch_size=4", "-q", "-q")
    assert cli("build", small, "-o", small.with_suffix(".safetensors"), *changes).code == 0


def test_validate_tells_all_problems_of_all_files(cli: Any, small: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(small.read_text().replace("output_dim: 12", "outptu_dim: 12"))
    worse = tmp_path / "worse.yaml"
    worse.write_text("netbuild: 1\nlayers: [")
    before = files_below(tmp_path)
    result = cli("validate", small, bad, worse)
    assert result.code == 3
    assert result.out == f"{small}: ok\n"
    line = bad.read_text().splitlines()[9]
    column = line.index("outptu_dim") + 1
    assert f"{bad}:10:{column}: error[NB101] layers[hidden].outptu_dim: unknown key" in result.err
    assert "did you mean `output_dim`?" in result.err
    assert f"{worse}:3:1: error[NB003]" in result.err or f"{worse}:2:" in result.err
    assert files_below(tmp_path) == before


def test_the_excerpt_underlines_the_span(cli: Any, small: Path) -> None:
    small.write_text(small.read_text().replace("type: linear, output_dim: 12", "type: liner"))
    err = cli("validate", small).err.splitlines()
    line, marks = err[1], err[2]
    start = marks.index("^")
    assert line[start : start + marks.count("^")] == "liner"


def test_validate_as_json(cli: Any, small: Path) -> None:
    assert json.loads(cli("validate", small, "--format", "json").out)["problems"] == []
    result = cli("validate", small, "--set", "training.lr=3", "--format", "json")
    record = json.loads(result.err)
    assert (record["schema_version"], record["exit_code"]) == (1, 3)
    (problem,) = record["problems"]
    assert problem["code"] == "NB101"
    assert problem["file"] == "--set #1"


def test_validate_for_github(cli: Any, small: Path) -> None:
    result = cli("validate", small, "--set", "seed=-1", "--format", "github")
    assert result.err.startswith(f"::error file={small},title=NB104::--set #1, column 6: seed: ")
    result = cli("validate", small, "--unset", "sede", "--format", "github")
    assert result.err.startswith(f"::error file={small},title=NB110::--unset #1, column 1: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plot", "x", "--kind", "accuracy"], "'--kind': 'accuracy' is not one of"),
        (["plot", "x", "--trials", "many"], "'--trials': `many` is not a whole number"),
        (["plot", "x", "--trials", "0"], "'--trials': it must be at least 1; got 0"),
        (["export", "x", "--checkpoint", "first"], "--checkpoint is best, last or a step"),
    ],
)
def test_a_word_that_is_no_choice_is_told_in_words_of_the_command_line(
    cli: Any, arguments: list[str], words: str
) -> None:
    result = cli(*arguments)
    assert result.code == 2
    assert words in " ".join(result.err.replace("│", " ").split())


def test_help_leads_out_of_a_circle(
    cli: Any, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("plot", small.name, "--kind", "rates")
    assert (result.code, "`netbuild train small.yaml`" in result.err) == (2, True)
    run = netbuild.train(small, tmp_path / "runs").path.relative_to(tmp_path)
    result = cli("plot", small.name, "--kind", "learning")
    assert "`netbuild plot small/latest --kind learning`" in result.err
    result = cli("plot", run / "resolved.yaml", "--kind", "learning")
    assert f"this is the spec of the run {run}" in result.err
    result = cli("plot", run, "--kind", "rates", "--set", "seed=2")
    assert (result.code, f"netbuild resume {run} --fork --set" in result.err) == (2, True)


def test_init_names_the_file_that_it_writes(cli: Any, tmp_path: Path) -> None:
    for name, shown in (("d.yaml", "d.yaml"), ("a\nb: 1 .yaml", "digits.yaml")):
        path = tmp_path / name
        assert cli("init", "digits", "-o", path).code == 0
        shown = str(path) if shown == name else shown
        assert f"`netbuild train {shown}`" in path.read_text()
        (tmp_path / "digits.npz").unlink()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("layers[hidden].output_dim=true", 3, "expected a whole number"),
        ("layers[hidden].name=forward", 3, "`forward`"),
        ("layers[readout].sparsity_mask=missing.npy", 4, "missing.npy"),
        ("layers[hidden].output_dim=1000000000000", 9, "GB"),
        ("device=cuda:99", 10, "cuda:99 is not there"),
    ],
)
def test_exit_codes_of_train(
    cli: Any, small: Path, tmp_path: Path, change: str, code: int, words: str
) -> None:
    before = files_below(tmp_path)
    result = cli("train", small, "--set", change, "--out", tmp_path / "runs")
    assert result.code == code
    assert words in result.err
    assert result.out == ""
    assert files_below(tmp_path) == before


def test_config_prints_what_loads_again(cli: Any, small: Path) -> None:
    text = cli("config", small, "--set", "training.batch_size=4").out
    copy = small.parent / "copy.yaml"
    copy.write_text(text)
    assert netbuild.load(copy).data == netbuild.load(small, ["training.batch_size=4"]).data
    data = json.loads(cli("config", small, "--format", "json", "--unset", "seed").out)
    assert data["seed"] == 0


def test_origins_of_every_value(cli: Any, small: Path) -> None:
    over = small.parent / "over.yaml"
    over.write_text("netbuild: 1\nextends: [small.yaml]\nseed: 5\n")
    out = cli("config", over, "--origins", "--set", "training.batch_size=4").out
    origins = dict(line.split("  # ") for line in re.sub(r" {2,}#", "  #", out).splitlines())
    assert origins["seed: 5"] == f"{over}:3:7"
    assert origins["training.batch_size: 4"] == "--set #1, column 21"
    assert origins["training.steps: 24"].startswith(f"{small}:20:")
    assert origins["layers[hidden].dale: project"] == "default"
    assert origins["layers[hidden].activation.type: relu"].startswith(f"{small}:10:")
    records = json.loads(cli("config", over, "--origins", "--format", "json").out)
    assert {"path": "device", "value": "auto", "origin": "default"} in records


def test_build_writes_the_initial_network(cli: Any, small: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for output in outputs:
        result = cli("build", small, "-o", output)
        assert result.code == 0
        assert str(output) in result.out
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_inspect_a_spec_and_a_run(cli: Any, small: Path, run: Any) -> None:
    result = cli("inspect", small)
    assert result.code == 0
    for word in ("hidden", "readout", "n_excitatory", "density", "frozen_fraction", "violations"):
        assert word in result.out
    found = json.loads(cli("inspect", run.path, "--format", "json").out)
    assert found["layers"]["hidden"]["n_connections"] == 30
    kinds = {(c["layer"], c["constraint"]): c["violations"] for c in found["constraints"]}
    assert kinds == {("hidden", "absent"): 0, ("readout", "sign"): 0, ("readout", "frozen"): 0}
    assert found["parameters"] == {
        "total": 111,
        "learnable": 70,
        "absent_or_frozen": 41,
        "fixed": 0,
    }


def test_train_prints_results_on_stdout_and_progress_on_stderr(
    cli: Any, small: Path, tmp_path: Path
) -> None:
    result = cli("train", small, "--out", tmp_path / "runs")
    assert result.code == 0
    assert "0 violations" in result.out
    assert "test accuracy" in result.out
    assert "step 24/24" in result.err
    quiet = cli("train", small, "--out", tmp_path / "runs", "--quiet")
    assert quiet.err == ""
    assert Path(quiet.out.strip()).is_dir()
    record = json.loads(cli("train", small, "--out", tmp_path / "runs", "--format", "json").out)
    assert record["violations"] == 0
    assert record["status"] == "finished"


def test_a_run_by_its_names(cli: Any, small: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("inspect", "latest").code == 5
    run = netbuild.train(small)
    for name in ("latest", "small/latest", run.path.name, run.path.name[:-2], str(run.path)):
        assert cli("inspect", name).code == 0, name
    netbuild.train(small)
    ambiguous = cli("inspect", run.path.name[:4])
    assert ambiguous.code == 5
    assert "2 runs begin with" in ambiguous.err
    assert cli("inspect", "runs").code == 5
    assert cli("inspect", "nothing-here.yaml").code == 3


def test_plot_draws_specs_and_runs(cli: Any, small: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    run = netbuild.train(small)
    for kind in ("weights", "distributions", "learning"):
        path = Path(cli("plot", run.path, "--kind", kind).out.strip())
        assert path == run.path / "figures" / f"{kind}.png"
        assert path.read_bytes().startswith(b"\x89PNG")
    assert cli("plot", small, "-o", "w.svg").out.strip() == "w.svg"
    assert b"<svg" in Path("w.svg").read_bytes()
    assert cli("plot", small, "-o", "w.gif").code == 2
    assert cli("plot", small, "--kind", "learning").code == 2


def test_schema_is_the_one_in_the_project(cli: Any, tmp_path: Path) -> None:
    text = (ROOT / "schemas" / "netbuild-1.json").read_text()
    assert cli("schema").out == text
    cli("schema", "-o", tmp_path / "schema.json")
    assert (tmp_path / "schema.json").read_text() == text


@pytest.mark.parametrize("template", ["digits", "nn4n"])
def test_init_writes_a_spec_that_validates_and_overwrites_nothing(
    cli: Any, tmp_path: Path, monkeypatch: Any, template: str
) -> None:
    monkeypatch.chdir(tmp_path)
    written = cli("init", template).out.split()
    assert f"{template}.yaml" in written
    assert cli("validate", f"{template}.yaml").code == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    again = cli("init", template)
    assert again.code == 2
    assert "exists already" in again.err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_bug_of_ours_leaves_a_report_and_no_traceback(
    cli: Any, small: Path, monkeypatch: Any
) -> None:
    from netbuild.language import checked

    monkeypatch.setattr(checked, "run_checks", lambda *_: 1 / 0)
    result = cli("validate", small)
    assert result.code == 70
    assert "Traceback" not in result.err
    report = Path(result.err.strip().rpartition(" ")[2])
    assert "ZeroDivisionError" in report.read_text()
    report.unlink()


def test_a_run_is_what_it_is(cli: Any, run: Any) -> None:
    for command in ("inspect", "plot"):
        result = cli(command, run.path, "--set", "seed=3")
        assert result.code == 2
        assert "is a run" in result.err
    assert cli("inspect", run.path, "--device", "cuda:9").code == 10
    assert cli("inspect", run.path, "--device", "tpu").code == 2
    assert cli("inspect", "no-such-thing").code == 2


def test_inspect_counts_what_violates(cli: Any, run: Any) -> None:
    path = run.path / "initial.safetensors"
    shifted = {name: tensor + 1 for name, tensor in run.initial.items() if name.endswith("weight")}
    path.write_bytes(pack({**run.initial, **shifted}, {}))
    about = json.loads((run.path / "run.json").read_text())
    about["initial_sha256"] = digest(path.read_bytes())
    (run.path / "run.json").write_text(json.dumps(about))
    found = json.loads(cli("inspect", run.path, "--format", "json").out)
    (frozen,) = [c for c in found["constraints"] if c["constraint"] == "frozen"]
    assert frozen["violations"] == frozen["weights"] > 0
    with pytest.raises(netbuild.NetbuildError, match="violate") as caught:
        netbuild.open_run(run.path)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("metrics.jsonl", "{\n"),
        ("resolved.yaml", "netbuild: ["),
        ("run.json", "{"),
        ("run.json", '{"format": 2}'),
        ("initial.safetensors", "x"),
        ("checkpoints/step-00000024/state.json", '{"sha256": {}, "step": 24}'),
    ],
)
def test_damaged_runs_are_five(cli: Any, run: Any, name: str, spoil: str) -> None:
    (run.path / name).write_text(spoil)
    arguments = (
        ["plot", run.path, "--kind", "learning"] if "metrics" in name else ["inspect", run.path]
    )
    result = cli(*arguments)
    assert result.code == 5
    assert (
        name.rpartition("/")[2].partition(".")[0] in result.err
        or "newer" in result.err
        or "checkpoint" in result.err
    )


def test_latest_is_the_newest_of_one_second(cli: Any, small: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(small.parent)
    for seed in range(6):
        run = netbuild.train(netbuild.load(small, [f"seed={seed}", "training.steps=1"]))
        assert find_run("latest") == Path("runs") / run.path.relative_to("runs")


def test_explain(cli: Any) -> None:
    result = cli("explain", "nb201")
    assert result.code == 0
    assert result.out.startswith("NB201: a matrix of the wrong shape")
    assert "Wrong:" in result.out
    assert len(cli("explain").out.splitlines()) > 30
    assert cli("explain", "NB999").code == 2


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from netbuild.cli import main; main()", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize("command", ["config", "inspect"])
def test_a_closed_pipe_is_no_failure(small: Path, command: str) -> None:
    process = start(command, small)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0


def test_paths_are_relative_to_the_spec_from_any_folder(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "some where"
    folder.mkdir()
    environment = os.environ | {"COLUMNS": "40", "NO_COLOR": "1", "TERM": "dumb"}
    process = start("validate", f"../{small.name}", cwd=folder, env=environment)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out == f"../{small.name}: ok\n"


def test_two_processes_train_to_the_same_bits(small: Path, tmp_path: Path) -> None:
    digests = []
    for number in (1, 2):
        folder = tmp_path / f"elsewhere{number}"
        folder.mkdir()
        environment = os.environ | {"PYTHONHASHSEED": str(number)}
        process = start("train", small, "--quiet", cwd=folder, env=environment)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        run = netbuild.open_run(folder / out.strip())
        digests.append([p.read_bytes() for p in sorted(run.checkpoint().glob("*.safetensors"))])
    assert digests[0] == digests[1]
