"""R6: the power goes while a training runs, or while one is resumed."""

from __future__ import annotations

import hashlib
import json
import random
import signal
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from faults import end
from faults.disk import Story, Tree, read_tree, states, story_of, tree_of, write_tree
from faults.lab import Counts, Lab, cleared, recovered, train
from faults.specs import SHORT

KILL = int(signal.SIGKILL)
CUT = 16  # the step in which the training that is resumed is killed


class State(tuple[int, str, Tree]):
    """The call that was the last, what became of what was pending, and what the disk holds."""

    def __str__(self) -> str:
        return f"after call {self[0]}, {self[1]}"


def power_loss(lab: Lab, most: int = 500) -> Counts:
    """R6: every state from which a training is resumed must have all that counted as saved."""
    counts = Counts("R6", "power lost: unsynced writes and entries missing, torn or reordered")
    spec = lab.spec("linear", **SHORT)
    reference = lab.reference(spec)
    out = lab.new()
    out.mkdir()
    story = recorded(lab, out, train(spec, out))
    counts.add(calls=story.calls, marks=len(story.marks))

    def check(state: State) -> list[str]:
        call, _, tree = state
        out = lab.new()
        write_tree(tree, out)
        had_ended = _has_ended(out)
        run, found = recovered(lab, spec, out, story.acked(call))
        found += _cleared_up(end.amiss(run, reference), had_ended)
        cleared(out)
        return found

    lab.each(counts, drawn(story, most, random.Random(6)), check)
    return counts


def _nothing(run: Path) -> None:
    """The training was killed, and has written lines after its newest checkpoint."""


def _damage(run: Path) -> None:
    """A bit of the newest checkpoint has flipped: it will be set aside."""
    path = end.checkpoints(run)[-1] / end.TENSORS[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _lose_lines(run: Path) -> None:
    """The log has not all that the newest checkpoint tells of: it is copied, that set aside."""
    log = run / "metrics.jsonl"
    log.write_bytes(log.read_bytes()[: end.logged(end.checkpoints(run)[-1]) - 1])


HARMS = (_nothing, _damage, _lose_lines)


def in_a_resume(lab: Lab, most: int = 240) -> Counts:
    """R6: the same of a resume, which cuts the log, sets a checkpoint aside and copies the log."""
    counts = Counts("R6", "power lost in a resume: the log cut, a checkpoint set aside, a log kept")
    for harm in HARMS:
        _resumed(lab, counts, harm, most // len(HARMS))
    return counts


def _resumed(lab: Lab, counts: Counts, harm: Callable[[Path], None], most: int) -> None:
    spec = lab.spec("linear", **SHORT)
    reference = lab.reference(spec)
    out = lab.new()
    lab.run(*train(spec, out), healthy=True, signal_at=(CUT, KILL))
    (run,) = end.runs_in(out)
    newest = end.step_of(end.checkpoints(run)[-1])
    harm(run)
    saved = end.newest(run)
    log = (run / "metrics.jsonl").read_bytes()
    (used,) = [path for path in end.checkpoints(run) if end.step_of(path) == saved]
    assert end.logged(used) < len(log), "no line is to be cut"
    assert (saved == newest) == (harm is _nothing), "the wrong checkpoint is whole"
    story = recorded(lab, out, ["resume", run, "--quiet"], saved)
    counts.add(calls=story.calls)

    def check(state: State) -> list[str]:
        call, _, tree = state
        out = lab.new()
        write_tree(tree, out)
        (run,) = end.runs_in(out)
        had_ended = _has_ended(out)
        counts.add(with_one_set_aside=len(end.set_aside(run)), with_a_copy=len(end.logs(run)) - 1)
        # A checkpoint that was to be set aside may be lost when a whole one has taken its name.
        replaced = saved < newest <= end.newest(run)
        warned = harm is not _nothing
        _, found = recovered(lab, spec, out, story.acked(call), warned=warned)
        if harm is _lose_lines and log not in [path.read_bytes() for path in end.logs(run)[1:]]:
            found.append("the log as it was found is lost")
        aside = len(end.set_aside(run))
        wanted = aside if replaced and aside <= 1 else int(saved < newest)
        found += _cleared_up(end.amiss(run, reference, wanted), had_ended)
        cleared(out)
        return [f"{harm.__name__.strip('_')}: {each}" for each in found]

    lab.each(counts, drawn(story, most, random.Random(7)), check)
    cleared(out)


def recorded(lab: Lab, out: Path, argv: list[object], saved: int = -1) -> Story:
    """The story of a command; raises ValueError if some of it was not seen."""
    before, report = read_tree(out), lab.new()
    shim = {"folder": str(out), "mode": "record", "report": str(report)}
    outcome = lab.run(*argv, shim=shim)
    assert outcome.code == 0, outcome.said
    story = story_of(json.loads(report.read_text())["trace"], out, before, saved)
    if tree_of(story, story.changes) != read_tree(out):
        raise ValueError("the calls that were seen do not make the files that are there")
    return story


def drawn(story: Story, most: int, rng: random.Random) -> list[State]:
    """So many different states: up to half of them plain ones, the others drawn."""
    seen: set[tuple[str, int]] = set()

    def is_new(state: tuple[int, str, Tree]) -> bool:
        call, _, tree = state
        text = json.dumps({k: v if v is None else v.hex() for k, v in sorted(tree.items())})
        key = hashlib.sha256(text.encode()).hexdigest(), story.acked(call)
        return not (key in seen or seen.add(key))  # type: ignore[func-returns-value]

    found = states(story, rng)
    plain = list(filter(is_new, islice(found, 2 * story.calls)))
    rng.shuffle(plain)
    plain = plain[: most // 2]
    others = islice(filter(is_new, found), most - len(plain))
    return [State(state) for state in [*plain, *others]]


def _has_ended(out: Path) -> bool:
    """Whether there is a run that has finished."""
    try:
        return any(end.about(run)["status"] == "finished" for run in end.runs_in(out))
    except ValueError:  # its run.json is damaged, which is found when it is gone on with
        return False


def _cleared_up(amiss: list[str], had_ended: bool) -> list[str]:
    """What is amiss; where nothing was to be done, nothing was to be cleared up."""
    return [each for each in amiss if not (had_ended and each.startswith("left over"))]
