"""A run by its name: a folder, a unique beginning, the name of its spec, or `latest`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from netbuild.errors import Exit, NetbuildError
from netbuild.listing.entries import Entry, entry, newest_checkpoint, run_folders
from netbuild.rundir import LATEST
from netbuild.wording import did_you_mean, show

MOST_SHOWN = 8  # of the runs that a name fits
SHORTEST = 4  # letters that find the hash, or the last part, of a folder's name
_FOLDER = re.compile(r"\d{8}T\d{6}Z-(?P<hash>[0-9a-f]+)-(?P<own>[0-9a-f]+)")


def find_run(target: str, root: Path = Path("runs")) -> Path | None:
    """The run that a target names, or None when it names none; raises NetbuildError for several.

    A folder that holds `run.json`. Else, below `root`, or below the folder that the target begins
    with: the newest run that has a checkpoint for `latest` or `NAME/latest`, or the only run whose
    folder begins with the target, whose spec is called so or begins so, or whose spec's hash or
    last letters begin so.
    """
    path = Path(target)
    if (path / "run.json").is_file():
        return path
    if path.is_file():
        return None
    below, _, last = target.rstrip("/").rpartition("/")
    homes = [Path(below), root / below] if below else [root]
    home, runs = _home(homes)
    if last == LATEST:
        return _latest(runs, below, home, root)
    found, how = _fitting(runs, last, home, whole=path.is_dir())
    if len(found) == 1:
        return found[0]
    if found:
        raise _several(found, target, how)
    if path.is_dir():
        raise _no_run(path)
    if path.suffix in (".yaml", ".yml"):
        return None
    hint = _alike(target, root) or f"runs are looked for below {home}"
    raise NetbuildError(f"{show(target)} is neither a spec nor a run", Exit.USAGE, hint)


def _home(homes: Sequence[Path]) -> tuple[Path, list[Path]]:
    """The first of some folders that holds runs, and these: in it, or one level further down."""
    for home in homes:
        try:
            runs = [run for run in run_folders(home, 2) if run != home]
        except OSError:
            continue
        if runs:
            return home, runs
    return homes[-1], []


def _latest(runs: Sequence[Path], below: str, home: Path, root: Path) -> Path:
    if not runs:
        what = f"there is no run of `{show(below)}`" if below else "there is no run yet"
        hint = (_alike(below, root) if below else "") or f"looked below {home}"
        raise NetbuildError(what, Exit.RUN, hint)
    saved = [run for run in runs if newest_checkpoint(run) is not None]
    newest = max(map(entry, saved or runs), key=_when)
    return newest.path


def _when(each: Entry) -> tuple[str, str]:
    """When a run was started; two of one moment have names in no order."""
    return each.started or "", str(each.path)


def _fitting(runs: Sequence[Path], text: str, home: Path, *, whole: bool) -> tuple[list[Path], str]:
    """The runs that a text names, in the first of these ways that names any; and which it is.

    `whole`: only as the name of a spec, since the text is also that of a folder.
    """

    def spec(run: Path) -> str:
        return run.parent.name if run.parent != home else ""

    def is_part(run: Path) -> bool:
        parts = _FOLDER.fullmatch(run.name)
        found = parts.groups() if parts is not None and len(text) >= SHORTEST else ()
        return any(part.startswith(text) for part in found)

    ways: dict[str, Callable[[Path], bool]] = {
        "are of": lambda run: spec(run) == text,
        "begin with": lambda run: run.name.startswith(text),
        "are of specs that begin with": lambda run: spec(run).startswith(text),
        "have a hash or last letters that begin with": is_part,
    }
    for how, fits in list(ways.items())[: 1 if whole else None]:
        if text and (found := [run for run in runs if fits(run)]):
            return found, how
    return [], ""


def _several(found: Sequence[Path], target: str, how: str) -> NetbuildError:
    newest = sorted(map(entry, found), key=_when, reverse=True)
    lines = [f"  {each.path}  {_state(each)}" for each in newest[:MOST_SHOWN]]
    if len(newest) > MOST_SHOWN:
        lines.append(f"  ... and {len(newest) - MOST_SHOWN:,} more")
    what = "\n".join([f"{len(found):,} runs {how} {show(target)}, newest first:", *lines])
    specs = {run.parent for run in found}
    latest = f"{found[0].parent.name}/{LATEST}" if len(specs) == 1 else LATEST
    return NetbuildError(what, Exit.RUN, f"write more of the name, or `{latest}`")


def _state(each: Entry) -> str:
    """How a run stands, in a few words."""
    step = f", step {each.step:,}" if each.step is not None else ""
    score = f", accuracy {each.accuracy:.4f}" if each.accuracy is not None else ""
    return f"{show(each.status)}{step}{score}"


def _no_run(folder: Path) -> NetbuildError:
    """The error for a folder that exists but is not a run: its hint says which runs are below."""
    count = 0
    with suppress(OSError):
        count = len(list(run_folders(folder)))
    below = "is 1 run" if count == 1 else f"are {count:,} runs"
    hint = f"below it {below}; the newest is {folder / LATEST}" if count else "no run is below it"
    return NetbuildError(f"{folder} is not a run directory", Exit.RUN, hint)


def _alike(text: str, root: Path) -> str:
    """A hint that names the spec with the most similar name."""
    try:
        names = {run.parent.name for run in run_folders(root, 2) if run.parent != root}
    except OSError:
        return ""
    return did_you_mean(text, sorted(names))
