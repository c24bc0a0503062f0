"""Ray: a sweep on a cluster of two machines, one of which is lost; `make ray` runs it.

Both machines of the cluster are processes on this one. The spec and its data are taken away once
the sweep has read them, so that only what was sent can be read.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars
import pytest
from experiments.conftest import EXPERIMENT, command, experiment_in, netbuild
from places import ROOT

from netbuild.errors import Exit, NetbuildError
from netbuild.experiments.ray import ray_cluster
from netbuild.language.backends import RayOptions

STEPS = 3000  # some seconds, so that a machine is lost, or a signal comes, in the middle of a run
LONG = f"""{EXPERIMENT}\
set:
  layers.hidden.output_dim: 8
  training.steps: {STEPS}
  training.evaluate.every: {STEPS // 10}
  training.checkpoint.every: {STEPS // 10}
"""
PATIENCE = 240.0  # seconds


def test_ray_is_an_extra(tmp_path: Path, cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    path = experiment_in(tmp_path)
    result = cli("sweep", tmp_path / "try.yaml", "--on", "ray", "--out", tmp_path)
    assert result.code == 10
    assert "error: `--on ray` needs Ray\n" in result.err
    assert "pip install 'netbuild[ray]'" in result.err
    assert not path.exists()


def test_an_unknown_back_end_is_told_in_a_line(
    tmp_path: Path, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    experiment_in(tmp_path)
    Path("on.yaml").write_text("backend: rai\n")
    result = cli("sweep", "try.yaml", "--on", "on.yaml", "--quiet")
    assert result.code == 3
    assert "on.yaml:1:10: error[NB105] backend: `rai` is not a known `backend`\n" in result.err
    result = cli("sweep", "try.yaml", "--on", "on.yml", "--quiet")
    assert result.code == 3
    assert "on.yml: error[NB001] cannot read" in result.err


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster of two machines with a core each, that knows nothing of this checkout."""
    pytest.importorskip("ray", reason="needs the extra `ray`")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    folder, before = Path.cwd(), os.environ.pop("PYTHONPATH", None)
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    small: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    found = Cluster(initialize_head=True, head_node_args=small | {"include_dashboard": False})
    os.chdir(folder)
    if before is not None:
        os.environ["PYTHONPATH"] = before
    yield found, small
    found.shutdown()


def until(holds: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    """Wait until something holds; fails where the process ends before."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def lose(machine: Any) -> None:
    """Kill whatever runs on a machine, at once and without notice."""
    raylet = machine.all_processes["raylet"][0].process.pid
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    killed = [raylet]
    for pid in killed:  # grows meanwhile
        killed += parents.get(pid, [])
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def statuses(path: Path) -> dict[str, str]:
    """The status of each run, by its hash."""
    return {
        file.parent.name: json.loads(file.read_text())["status"]
        for file in path.glob("runs/*/run.json")
    }


def started(folder: Path, cluster: Any, *arguments: str) -> subprocess.Popen[str]:
    """A sweep on the cluster, in a process of its own."""
    (folder / "on.yaml").write_text(f"backend: ray\naddress: {cluster.address}\n")
    return subprocess.Popen(
        command("sweep", "try.yaml", "--on", "on.yaml", *arguments),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def table_of(path: Path) -> polars.DataFrame:
    return polars.read_parquet(path / "table.parquet").drop("seconds")


def weights_of(path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.glob("runs/*/checkpoints/*/network.safetensors"))
    }


@pytest.mark.slow
def test_a_node_is_lost_and_the_tables_are_those_of_one_machine(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes, small = cluster
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    second = nodes.add_node(**small)
    path = experiment_in(tmp_path, LONG)
    began = time.monotonic()
    process = started(tmp_path, nodes)
    until(lambda: len(statuses(path)) == 2, process)
    for name in ("small.yaml", "data.npz", "try.yaml"):
        (tmp_path / name).rename(tmp_path / f"{name}.away")

    def is_half_way() -> bool:
        found = statuses(path)
        busy = [name for name, status in found.items() if status == "running"]
        saved = [list((path / "runs" / each).glob("checkpoints/step-*")) for each in busy]
        return list(found.values()).count("finished") >= 5 and len(busy) == 2 and all(saved)

    until(is_half_way, process)
    lose(second)
    killed = time.monotonic()
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "12 runs: 12 finished" in out
    ended = time.monotonic()
    lost = [log for log in path.glob("logs/*.log") if "the worker was lost" in log.read_text()]
    assert len(lost) == 1
    about = json.loads((path / "runs" / lost[0].stem / "run.json").read_text())
    steps = [each["step"] for each in about["resumed"]]
    assert len(steps) == 1
    assert 0 < steps[0] < STEPS
    print(
        f"\n12 runs in {ended - began:.1f} s; a node was killed after {killed - began:.1f} s,"
        f" its run continued elsewhere from step {steps[0]:,} of {STEPS:,}"
    )
    for name in ("small.yaml", "data.npz", "try.yaml"):
        (tmp_path / f"{name}.away").rename(tmp_path / name)
    shutil.move(path, tmp_path / "ray")
    began = time.monotonic()
    alone = netbuild(tmp_path, "sweep", "try.yaml", "--workers", 2, "--quiet")
    assert alone.returncode == 0, alone.stderr
    print(f"the same on this machine alone: {time.monotonic() - began:.1f} s")
    assert table_of(tmp_path / "ray").equals(table_of(path))
    assert weights_of(tmp_path / "ray") == weights_of(path)
    for name in ("summary.csv", "comparisons.csv", "experiment.json"):
        assert (tmp_path / "ray" / name).read_bytes() == (path / name).read_bytes()
    print("tables and weights are equal to the bit")


@pytest.mark.slow
def test_ctrl_c_saves_every_run_and_the_same_command_continues(
    cluster: Any, tmp_path: Path
) -> None:
    nodes, small = cluster
    nodes.add_node(**small)
    path = experiment_in(tmp_path, LONG)
    process = started(tmp_path, nodes, "--workers", "2")
    until(lambda: len(list(path.glob("runs/*/checkpoints/step-*"))) >= 4, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "every run saved: `netbuild sweep try.yaml` continues" in err
    found = statuses(path)
    assert "running" not in found.values()
    assert "interrupted" in found.values()
    assert f"{12 - len(found)} pending" in out
    for name, status in found.items():
        steps = [int(each.name[5:]) for each in (path / "runs" / name).glob("checkpoints/step-*")]
        about = json.loads((path / "runs" / name / "run.json").read_text())
        assert about["step"] == max(steps)
        assert (status == "finished") is (max(steps) == STEPS)
    again = started(tmp_path, nodes, "--workers", "2")
    out, err = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, err
    assert "12 runs: 12 finished" in out


BAD = """
conditions:
  signed: {}
  wild: {set: {training.optimizer: {type: SGD, lr: 1e30}, training.clip_grad_norm: null}}
baseline: signed
"""


@pytest.mark.slow
def test_failures_are_counted_with_exit_code_and_log(cluster: Any, tmp_path: Path) -> None:
    nodes, _ = cluster
    text = EXPERIMENT.partition("conditions:")[0].replace("[8, 12]", "[8]") + BAD
    path = experiment_in(tmp_path, text)
    process = started(tmp_path, nodes, "--workers", "1", "--fail-fast")
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "1 diverged" in out
    assert "4 pending" in out
    assert "diverged, exit code 8: wild, layers.hidden.output_dim=8, seed 0: " in out
    logs = [log.read_text() for log in path.glob("logs/*.log")]
    assert sum("diverged, exit code 8: " in log for log in logs) == 1


@pytest.mark.slow
def test_the_package_is_that_of_the_sweep(cluster: Any) -> None:
    import ray

    backend = ray_cluster(RayOptions(backend="ray", address=cluster[0].address), 1, 1)
    try:
        node = backend.actor.remote(["netbuild"], {})
        assert "_ray_pkg_" in ray.get(node.ready.remote())
    finally:
        backend.close()


@pytest.mark.slow
def test_a_cluster_without_room_is_told(cluster: Any) -> None:
    options = RayOptions(backend="ray", address=cluster[0].address, resources={"a100": 1})
    with pytest.raises(NetbuildError, match="CPU: 1, a100: 1") as caught:
        ray_cluster(options, None, 1)
    assert caught.value.exit_code == Exit.RESOURCES


def test_a_cluster_that_does_not_answer_is_told() -> None:
    pytest.importorskip("ray", reason="needs the extra `ray`")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(NetbuildError, match=f"Ray cluster at {address} cannot be used") as caught:
        ray_cluster(RayOptions(backend="ray", address=address), 1, 1)
    assert caught.value.exit_code == Exit.IO
