"""A training that is cut anywhere ends with the bits of one that was not."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from places import EXAMPLES
from resuming import assert_same, begun, contents, killed_at, lines, recurrent, stopped_at

import netbuild
from netbuild import durable, rundir
from netbuild.cli.options import Format
from netbuild.cli.signals import Signals
from netbuild.cli.training import Session
from netbuild.durable import read_entry
from netbuild.errors import Exit, NetbuildError
from netbuild.folders import Folder
from netbuild.runs import checkpoint, forking
from netbuild.runs.checkpoint import checkpoints
from netbuild.tasks import Batch

OPTIMIZERS = [
    {"type": "SGD", "lr": 0.1},
    {"type": "SGD", "lr": 0.05, "momentum": 0.9, "nesterov": True},
    {"type": "Adam", "lr": 0.01, "amsgrad": True},
    {"type": "AdamW", "lr": 0.01, "schedule": {"type": "cosine", "warmup": 5}},
    {"type": "RMSprop", "lr": 0.01, "momentum": 0.5},
    {"type": "RMSprop", "lr": 0.01, "schedule": {"type": "step", "every": 7, "factor": 0.5}},
    {"type": "Adagrad", "lr": 0.05, "schedule": {"type": "exponential", "factor": 0.99}},
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: "-".join(map(str, o.values()))[:20])
def test_every_optimizer_goes_on_with_the_same_bits(
    tmp_path: Path, optimizer: dict[str, Any]
) -> None:
    spec = recurrent(tmp_path, optimizer=optimizer, steps=14)
    whole = netbuild.train(spec, tmp_path / "whole")
    assert len(lines(whole.path)) == 14 + 4
    for cut in (stopped_at(5), killed_at(9)):
        run = begun(spec, tmp_path / "cut", cut)
        again = netbuild.resume(run)
        assert again.about["status"] == "finished"
        assert_same(whole, again)


@pytest.mark.parametrize("cut", [stopped_at, killed_at])
def test_after_each_step(tmp_path: Path, cut: Any) -> None:
    spec = recurrent(tmp_path, steps=16)
    whole = netbuild.train(spec, tmp_path / "whole")
    for step in (1, 4, 7, 8, 12, 15, 16):
        assert_same(whole, netbuild.resume(begun(spec, tmp_path / "cut", cut(step))))


def test_cut_again_and_again(tmp_path: Path) -> None:
    spec = recurrent(tmp_path)
    whole = netbuild.train(spec, tmp_path / "whole")
    run = begun(spec, tmp_path / "cut", stopped_at(3))
    for step in (6, 8, 15, 28):
        netbuild.resume(run, watch=stopped_at(step))
        assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    assert_same(whole, netbuild.resume(run))
    assert [each["step"] for each in netbuild.open_run(run).about["resumed"]] == [3, 6, 8, 15, 28]


def test_stages_and_their_ends(tmp_path: Path) -> None:
    stages = [
        {"name": "easy", "steps": 6, "set": {"training.batch_size": 3}},
        {
            "name": "until",
            "stop_when": {"metric": "loss", "at_most": 100, "mean_of_last": 2},
            "set": {"training.optimizer.lr": 0.002, "regularizers[rates].Lambda": 0},
        },
        {"name": "last", "steps": 5, "set": {"training.optimizer.schedule": {"type": "cosine"}}},
    ]
    spec = recurrent(tmp_path, stages=stages, evaluate={"every": 3})
    whole = netbuild.train(spec, tmp_path / "whole")
    assert whole.about["step"] == 17
    cuts = [stopped_at(step) for step in (5, 6, 7, 12, 17)]
    for cut in [*cuts, *(killed_at(step) for step in (7, 12, 15))]:
        assert_same(whole, netbuild.resume(begun(spec, tmp_path / "cut", cut)))


def test_an_early_end_counts_evaluations_from_before(tmp_path: Path) -> None:
    rule = {"metric": "loss", "at_most": 100, "mean_of_last": 5}
    spec = recurrent(tmp_path, stop_when=rule)
    whole = netbuild.train(spec, tmp_path / "whole")
    assert (whole.about["status"], whole.about["step"]) == ("stopped early", 20)
    for step in (5, 13, 20):
        assert_same(whole, netbuild.resume(begun(spec, tmp_path / "cut", killed_at(step))))


def test_a_run_that_was_saved_at_its_end_only_lacks_its_table(tmp_path: Path) -> None:
    spec = recurrent(tmp_path, steps=5)
    whole = netbuild.train(spec, tmp_path / "whole")
    copy = tmp_path / "copy"
    shutil.copytree(whole.path, copy)
    (copy / "evaluation" / "trials.parquet").unlink()
    about = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(about | {"status": "running"}))
    assert_same(whole, netbuild.resume(copy))


def test_a_finished_run_is_returned_as_it_is(small: Path, tmp_path: Path) -> None:
    run = netbuild.train(small, tmp_path / "runs")
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    assert netbuild.resume(run.path).about == run.about
    assert before == {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(
    small: Path, tmp_path: Path, whole: Path
) -> None:
    run = begun(small, tmp_path / "cut", stopped_at(20))
    newest = checkpoints(run / "checkpoints")[-1]
    (newest / "optimizer.safetensors").write_bytes(b"")
    with pytest.warns(
        RuntimeWarning, match=r"recorded digest; step-00000020 is now corrupt-step-00000020"
    ):
        again = netbuild.resume(run)
    assert_same(whole, again)
    assert [path.name[:21] for path in (run / "checkpoints").glob("corrupt-*")] == [
        "corrupt-step-00000020"
    ]


def test_without_a_checkpoint_it_begins_again(small: Path, tmp_path: Path, whole: Path) -> None:
    run = begun(small, tmp_path / "cut", killed_at(8))
    assert not checkpoints(run / "checkpoints")
    assert_same(whole, netbuild.resume(run))
    run = begun(small, tmp_path / "cut", stopped_at(20))
    for path in checkpoints(run / "checkpoints"):
        (path / "state.json").unlink()
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    with pytest.raises(NetbuildError, match=r"no checkpoint of .* is intact") as caught:
        netbuild.resume(run)
    assert caught.value.exit_code == Exit.RUN
    assert names == sorted(path.name for path in (run / "checkpoints").iterdir())
    run = begun(small, tmp_path / "cut", killed_at(8))
    (run / "initial.safetensors").write_bytes(b"else")
    with pytest.raises(NetbuildError, match="recorded digest") as caught:
        netbuild.resume(run)
    assert caught.value.exit_code == Exit.RUN


def test_what_may_be_whole_is_left_as_it_is(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that refuses to read, or a newer version's checkpoint, costs nothing."""
    run = begun(small, tmp_path / "cut", stopped_at(20))
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    for error, code in ((errno.EIO, Exit.IO), (errno.EACCES, Exit.IO)):
        with monkeypatch.context() as patch:
            patch.setattr(durable, "read_entry", failing(error))
            with pytest.raises(NetbuildError, match="cannot be read") as caught:
                netbuild.resume(run)
        assert caught.value.exit_code == code
    with monkeypatch.context() as patch:
        patch.setattr(rundir, "FORMAT", 0)
        with pytest.raises(NetbuildError, match="newer version") as caught:
            netbuild.resume(run)
    assert caught.value.exit_code == Exit.RUN
    assert names == sorted(path.name for path in (run / "checkpoints").iterdir())


def failing(code: int) -> Any:
    def read(folder: Folder, name: str, *more: Any, **options: Any) -> bytes:
        if folder.path.parent.name != "checkpoints":
            return read_entry(folder, name, *more, **options)
        raise OSError(code, os.strerror(code), str(folder.path / name))

    return read


def test_a_copy_elsewhere_goes_on_without_the_originals(
    small: Path, tmp_path: Path, whole: Path
) -> None:
    run = begun(small, tmp_path / "cut", stopped_at(10))
    elsewhere = tmp_path / "else where" / "kopie-é"
    shutil.copytree(run, elsewhere)
    small.unlink()
    (small.parent / "data.npz").unlink()
    shutil.rmtree(run)
    assert_same(whole, netbuild.resume(elsewhere))
    assert str(tmp_path) not in (elsewhere / "run.json").read_text().replace("argv", "")


def test_a_source_that_has_changed_is_told_with_both_digests(
    small: Path, tmp_path: Path, whole: Path
) -> None:
    run = begun(small, tmp_path / "runs", stopped_at(10))
    text = small.read_text()
    small.write_text(text + "# edited\n")
    with pytest.raises(
        NetbuildError, match=r"sha256 [0-9a-f]{16} then, [0-9a-f]{16} now"
    ) as caught:
        netbuild.resume(run)
    assert caught.value.exit_code == Exit.RUN
    assert "--fork" in caught.value.hint
    small.write_text(text)
    data = small.parent / "data.npz"
    kept = data.read_bytes()
    data.write_bytes(kept + b"\0")
    with pytest.raises(NetbuildError, match=r"data\.npz has changed") as caught:
        netbuild.resume(run)
    assert caught.value.hint.startswith("`--as-started` resumes with the run's own copies;")
    assert caught.value.hint.endswith("and needs the same masks")
    assert_same(whole, netbuild.resume(run, if_changed="ignore"))


def test_a_base_that_has_changed_is_told_too(small: Path, tmp_path: Path) -> None:
    top = tmp_path / "top.yaml"
    top.write_text("netbuild: 1\nextends: [small.yaml]\nname: top\n")
    run = begun(netbuild.load(top), tmp_path / "runs", stopped_at(10))
    small.write_text(small.read_text() + "# edited\n")
    with pytest.raises(NetbuildError, match=r"small\.yaml has changed"):
        netbuild.resume(run)


def test_checkpoints_of_another_run_are_not_its_own(small: Path, tmp_path: Path) -> None:
    run, other = (begun(small, tmp_path / "cut", stopped_at(n)) for n in (10, 20))
    shutil.copytree(checkpoints(other / "checkpoints")[-1], run / "checkpoints" / "step-00000020")
    with pytest.warns(RuntimeWarning, match="is of another run"):
        again = netbuild.resume(run)
    assert again.about["resumed"][0]["step"] == 10


def test_lines_that_are_missing_are_not_passed_over(small: Path, tmp_path: Path) -> None:
    run = begun(small, tmp_path / "cut", stopped_at(10))
    (run / "metrics.jsonl").write_bytes(b"")
    with pytest.raises(NetbuildError, match="bytes, and had") as caught:
        netbuild.resume(run)
    assert caught.value.exit_code == Exit.RUN
    assert checkpoints(run / "checkpoints")


def test_a_log_that_was_changed_is_not_gone_on_with(small: Path, tmp_path: Path) -> None:
    run = begun(small, tmp_path / "cut", stopped_at(20))
    newest = checkpoints(run / "checkpoints")[-1] / "network.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])  # it stays where it is, too
    whole = (run / "metrics.jsonl").read_bytes()
    (run / "metrics.jsonl").write_bytes(whole.replace(b'"lr":0.', b'"lr":1.'))
    before = contents(run)
    with pytest.raises(
        NetbuildError, match="does not begin with the lines that the run wrote"
    ) as caught:
        netbuild.resume(run)
    assert caught.value.exit_code == Exit.RUN
    assert contents(run) == before
    (run / "metrics.jsonl").write_bytes(whole)
    with pytest.warns(RuntimeWarning, match="is now corrupt-"):
        again = netbuild.resume(run)
    log = (run / "metrics.jsonl").read_bytes()
    state = checkpoint.open_checkpoint(again.checkpoint()).state
    assert (state.metrics, state.metrics_sha256) == (len(log), durable.digest(log))


@pytest.mark.parametrize("change", ["lost", "edited"])
def test_where_the_log_is_short_an_older_checkpoint_may_fit(
    small: Path, tmp_path: Path, whole: Path, change: str
) -> None:
    run = begun(small, tmp_path / "cut", killed_at(24))
    older, newer = checkpoints(run / "checkpoints")
    log = run / "metrics.jsonl"
    size = checkpoint.open_checkpoint(older).state.metrics
    odd = log.read_bytes()[: size + 5]
    odd += b"else" * 200 if change == "edited" else b""
    log.write_bytes(odd)
    reason = "had" if change == "lost" else "does not begin with the lines"
    with pytest.warns(RuntimeWarning, match=rf"{reason}.*; {newer.name} is now corrupt-"):
        again = netbuild.resume(run)
    assert again.about["resumed"][0]["step"] == int(older.name[5:])
    assert_same(whole, again)
    (copy,) = run.glob("corrupt-metrics.jsonl-*")
    assert copy.read_bytes() == odd


@pytest.mark.parametrize("change", ["longer", "shorter", "gone"])
def test_a_log_that_somebody_else_changes_ends_the_training(
    small: Path, tmp_path: Path, change: str
) -> None:
    def watch(record: Any, trainer: Any) -> None:
        if record.kind != "checkpoint":
            return
        (log,) = tmp_path.glob("runs/small/*/metrics.jsonl")
        if change == "gone":
            log.unlink()
        else:
            data = log.read_bytes()
            log.write_bytes(data + b"x" if change == "longer" else data[:-1])

    with pytest.raises(NetbuildError) as caught:
        netbuild.train(small, tmp_path / "runs", watch=watch)
    assert caught.value.exit_code == Exit.IO
    (run,) = tmp_path.glob("runs/small/*")
    assert (run / "metrics.jsonl").exists() == (change != "gone")
    assert json.loads((run / "run.json").read_text())["status"] == "failed"
    assert checkpoint.open_checkpoint(checkpoints(run / "checkpoints")[-1]).step == 10


@pytest.mark.parametrize("name", ["MKL_CBWR", "ONEDNN_MAX_CPU_ISA", "OMP_NUM_THREADS"])
def test_another_variable_of_the_libraries_is_told(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    run = begun(small, tmp_path / "cut", stopped_at(10))
    monkeypatch.setenv(name, "2")
    said: list[str] = []
    netbuild.resume(run, warn=said.append)
    assert said == [f"the last bits may differ: variables.{name} 1 then, 2 now"]


def test_another_number_of_threads_is_told(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(small, tmp_path / "cut", stopped_at(10))
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    said: list[str] = []
    again = netbuild.resume(run, warn=said.append)
    assert said == [f"the last bits may differ: threads {threads} then, {threads + 1} now"]
    assert again.about["resumed"][0]["environment"] == {"threads": threads + 1}
    assert again.about["environment"]["threads"] == threads


def test_a_task_given_in_python_is_given_again(small: Path, tmp_path: Path) -> None:
    class Drawn:
        def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
            x = torch.from_numpy(rng.normal(size=(size, 5)).astype(np.float32))
            return Batch(x, (x[:, 0] > 0).long())

    whole = netbuild.train(small, tmp_path / "whole", task=Drawn())
    run = begun(small, tmp_path / "cut", stopped_at(10), Drawn())
    with pytest.raises(NetbuildError, match="a task given in Python"):
        netbuild.resume(run)
    assert_same(whole, netbuild.resume(run, Drawn()))


def test_the_best_is_kept_and_found(small: Path, tmp_path: Path) -> None:
    rule = "training.stop_when={metric: loss, at_most: 0}"
    changes = [
        rule,
        "training.evaluate.every=3",
        "training.optimizer={type: SGD, lr: 2.0, schedule: {type: exponential, factor: 1.05}}",
    ]
    spec = netbuild.load(small, [*changes, "training.steps=60", "training.checkpoint.keep=2"])
    run = netbuild.train(spec, tmp_path / "runs")
    scores = {line["step"]: line["loss"] for line in run.metrics if line["kind"] == "evaluation"}
    best = min(scores, key=lambda step: scores[step])
    value = scores[best]
    expected = {"step": best, "stage": 0, "metric": "loss", "value": value, "loss": value}
    assert run.best == expected
    assert run.checkpoint("best").name == f"step-{best:08d}"
    assert best < 50
    kept = [path.name for path in checkpoints(run.path / "checkpoints")]
    assert kept == [f"step-{step:08d}" for step in (best, 50, 60)]
    for step in (20, 41, 59):
        again = netbuild.resume(begun(spec, tmp_path / "cut", killed_at(step)))
        assert_same(run, again)
        assert torch.equal(
            run.network(checkpoint="best").hidden.weight,
            again.network(checkpoint="best").hidden.weight,
        )


def test_what_was_trained_on_a_task_of_its_own_needs_it_again(
    small: Path, tmp_path: Path, cli: Any
) -> None:
    class Own:
        def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
            x = torch.from_numpy(rng.normal(size=(size, 5)).astype(np.float32))
            return Batch(x, (x[:, 0] > 0).long())

    run = begun(small, tmp_path / "runs", stopped_at(10), Own())
    for command in (["resume"], ["resume", "--fork"], ["reproduce"], ["evaluate"]):
        result = cli(command[0], run, *command[1:])
        assert result.code == Exit.RUN
        assert "was trained on a task given in Python" in result.err
    assert forking.newest(tmp_path / "runs", netbuild.load(small)) is None
    assert netbuild.reproduce(run, Own()).same
    new = netbuild.fork(run, tmp_path / "runs", Own())
    assert new.about["own_task"]


def test_a_folder_that_a_copy_has_lost_is_made_again(
    small: Path, tmp_path: Path, whole: Path
) -> None:
    run = begun(small, tmp_path / "cut", killed_at(8))
    for name in ("checkpoints", "evaluation", "figures"):
        (run / name).rmdir()
    assert_same(whole, netbuild.resume(run))


def test_where_all_checkpoints_are_gone_the_log_is_kept_and_it_is_told(
    small: Path, tmp_path: Path, whole: Path
) -> None:
    run = begun(small, tmp_path / "cut", stopped_at(20))
    log = (run / "metrics.jsonl").read_bytes()
    shutil.move(run / "checkpoints", tmp_path / "kept")
    (run / "checkpoints").symlink_to(tmp_path / "nowhere")
    with pytest.raises(NetbuildError, match="checkpoints is a symbolic link") as caught:
        netbuild.resume(run)
    assert caught.value.exit_code == Exit.RUN
    assert (run / "metrics.jsonl").read_bytes() == log
    (run / "checkpoints").unlink()
    with pytest.warns(RuntimeWarning, match="has no checkpoint left: it begins again"):
        again = netbuild.resume(run)
    assert_same(whole, again)
    (copy,) = run.glob("corrupt-metrics.jsonl-*")
    assert copy.read_bytes() == log


def test_one_unfinished_run_is_found_although_its_start_has_gone_on(
    small: Path, tmp_path: Path
) -> None:
    base = begun(small, tmp_path / "runs", stopped_at(10))
    tuned = tmp_path / "tuned.yaml"
    words = "start_from: {run: runs/small/latest}\n"
    tuned.write_text(small.read_text().replace("name: small", "name: tuned") + words)
    run = begun(netbuild.load(tuned), tmp_path / "runs", stopped_at(10))
    netbuild.resume(base)
    again = netbuild.load(tuned)
    assert forking.newest(tmp_path / "runs", again) == run
    for number, odd in enumerate(("[]", "null", '{"inputs": []}', "")):
        (run.parent / str(number)).mkdir()
        (run.parent / str(number) / "run.json").write_text(odd)
    assert forking.newest(tmp_path / "runs", again) == run
    changed = netbuild.load(tuned, ["training.batch_size=7"])
    assert forking.newest(tmp_path / "runs", changed) is None
    own = tmp_path / "own.yaml"
    own.write_text(small.read_text() + words)
    forking.refuse_own_latest(again)
    with pytest.raises(NetbuildError, match="the very run") as caught:
        forking.refuse_own_latest(netbuild.load(own))
    assert caught.value.exit_code == Exit.USAGE


def test_a_training_saves_unless_it_is_told_not_to(small: Path, tmp_path: Path) -> None:
    sparse = ["training.steps=510", "training.batch_size=1", "training.evaluate.every=null"]
    spec = netbuild.load(small, sparse, unset=["training.checkpoint"])
    run = begun(spec, tmp_path / "runs", killed_at(510))
    assert checkpoints(run / "checkpoints")[-1].name == "step-00000500"
    never = netbuild.load(small, ["training.checkpoint.every=null"])
    run = begun(never, tmp_path / "runs", killed_at(24))
    assert not checkpoints(run / "checkpoints")


def test_an_edited_spec_begins_anew_and_tells_of_the_run_that_waits(
    small: Path, tmp_path: Path, cli: Any
) -> None:
    run = begun(small, tmp_path / "runs", stopped_at(10))
    result = cli("train", small, "--out", tmp_path / "runs", "--resume", "--set", "seed=9")
    assert result.code == 0
    assert f"warning: {run} is unfinished, and of another spec: a new run is started" in result.err
    again = cli("train", small, "--out", tmp_path / "runs", "--resume")
    assert "warning: " not in again.err
    assert netbuild.open_run(run).about["status"] == "finished"


def test_another_version_of_netbuild_is_told(small: Path, tmp_path: Path) -> None:
    run = begun(small, tmp_path / "cut", stopped_at(10))
    about = json.loads((run / "run.json").read_text())
    about["environment"]["packages"]["netbuild"] = "0.0.9"
    (run / "run.json").write_text(json.dumps(about))
    with pytest.warns(RuntimeWarning, match=r"packages\.netbuild 0\.0\.9 then"):
        netbuild.resume(run)


def test_what_a_killed_process_would_have_pruned_goes_at_the_end(
    small: Path, tmp_path: Path
) -> None:
    run = begun(small, tmp_path / "cut", stopped_at(24))
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(about | {"status": "running"}))
    spec = netbuild.load(small, ["training.checkpoint.every=4", "training.checkpoint.keep=9"])
    whole = netbuild.train(spec, tmp_path / "whole")
    for path in checkpoints(whole.path / "checkpoints")[:2]:
        shutil.copytree(path, run / "checkpoints" / path.name)
    assert len(checkpoints(run / "checkpoints")) > 3
    netbuild.resume(run)
    assert len(checkpoints(run / "checkpoints")) <= 3  # two, and the best


@pytest.mark.parametrize("batches", ["{of: trials}", "{of: windows, steps: 20}"])
def test_trials_of_environments_are_the_same_ones(tmp_path: Path, batches: str) -> None:
    example = EXAMPLES / "ei_decision.yaml"
    changes = [
        f"task.batches={batches}",
        "training.steps=14",
        "training.batch_size=4",
        "training.log_every=1",
        "training.evaluate={every: 4, trials: 10}",
        "training.checkpoint={every: 5}",
    ]
    spec = netbuild.load(example, changes)
    whole = netbuild.train(spec, tmp_path / "whole")
    assert_same(whole, netbuild.resume(begun(spec, tmp_path / "cut", killed_at(13))))
    assert netbuild.reproduce(whole.path).same


def test_the_command_goes_on_and_says_when_nothing_is_left(
    small: Path, tmp_path: Path, whole: Path, cli: Any
) -> None:
    path = begun(small, tmp_path / "runs", stopped_at(10))
    result = cli("resume", path)
    assert result.code == 0
    assert "finished after 24 steps" in result.out
    assert "warning" not in result.err
    assert_same(whole, path)
    result = cli("resume", path)
    assert (result.code, result.err) == (0, "")
    assert result.out == f"small: finished after 24 steps; nothing is left to train\nrun: {path}\n"
    path = begun(small, tmp_path / "runs", stopped_at(10))
    small.write_text(small.read_text() + "# edited\n")
    result = cli("resume", path)
    assert result.code == Exit.RUN
    assert "small.yaml has changed since" in result.err
    assert "--fork" in result.err
    assert cli("resume", path, "--set", "seed=1").code == Exit.USAGE
    assert cli("resume", small).code == Exit.USAGE
    forked = cli("resume", path, "--fork", "--set", "training.steps=5", "--format", "json")
    assert json.loads(forked.out)["step"] == 5
    assert cli("resume", path, "--as-started", "--quiet").out == f"{path}\n"
    assert_same(whole, path)


def test_scores_of_an_earlier_step_say_so(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for step, said in ((10, " after 8 steps\n"), (24, "\nbest after 24 steps")):
        run = netbuild.open_run(begun(small, tmp_path / "runs", stopped_at(step)))
        Session(Signals(), Format.text, quiet=False).summary(run, 0.0)
        test = capsys.readouterr().out.partition("\ntest ")[2]
        assert test[test.index("loss") + len("loss 0.0000") :].startswith(said)
