"""The trackers of a run: which follow its training, and what they are told of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netbuild.language import Spec
from netbuild.runs.schema import RunInfo, without_nan
from netbuild.tracking.following import FOLDER, Following, followed_before
from netbuild.tracking.rows import numbers
from netbuild.tracking.trackers import Subject

PATIENCE = 600.0  # seconds that a tracker has which is sent the log of a run that has ended


def following(path: Path, spec: Spec, info: RunInfo, more: Sequence[str] | None = ()) -> Following:
    """The trackers of a training: those of its spec, those that have followed it, and `more`.

    With None in place of `more` it has none.
    """
    own = spec.model.training.track or ()
    names = () if more is None else dict.fromkeys([*own, *followed_before(path), *more])
    return Following(path, names, subject_of(path, spec, info) if names else None)


def subject_of(path: Path, spec: Spec, info: RunInfo) -> Subject:
    """What trackers are told of a run before its first step."""
    values = {_plain(where): value for where, value, _ in spec.origins()}
    return Subject(
        folder=path / FOLDER,
        id=info.id,
        project=info.name,
        name=f"{path.absolute().name}-{info.id[:6]}",
        config={"spec_hash": info.spec_hash, **values},
    )


def final_of(info: RunInfo) -> dict[str, float]:
    """The final scores, by name: `final/test/last/accuracy`."""
    scores: dict[str, Any] = {on: each.model_dump() for on, each in info.scores.items()}
    return dict(numbers("final", without_nan(scores)))


def send(path: Path, spec: Spec, info: RunInfo, names: Sequence[str]) -> list[str]:
    """Give trackers what they have not of a run that has ended; returns those that have failed."""
    found = Following(path, names, subject_of(path, spec, info))
    return found.end(info.status, final_of(info), PATIENCE)


def _plain(path: str) -> str:
    """A path without brackets, as trackers name values: `layers.hidden.tau`."""
    return re.sub(r"\[([^\]]*)\]", r".\1", path)
