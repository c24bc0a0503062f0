"""The tables of an experiment: a row for each run, for each setting, and for each comparison."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from netbuild.drawing.table import FORMULA
from netbuild.experiments import statistics
from netbuild.experiments.folder import About, ExperimentFolder, PointInfo
from netbuild.experiments.rows import Row, Rows

if TYPE_CHECKING:
    import polars

COUNTED = ("n_diverged", "n_failed", "n_dropped", "n_left")  # of a summary
Records = list[dict[str, Any]]


def table(about: About, rows: Rows) -> polars.DataFrame:
    """A row for each point: its condition and parameters, and what its run says.

    Scores that a run does not have are null; `score` is the one that the experiment compares.
    """
    import polars

    found: Records = []
    known = {point.hash: rows.of(point.hash) for point in about.points}
    names = sorted({name for row in known.values() for name in row.scores})
    for point in about.points:
        row = known[point.hash]
        found.append(
            {
                **settings_of(about, point),
                "seed": point.seed,
                "status": status_of(point, row),
                "score": row.score(about.score),
                **{name: row.scores.get(name) for name in names},
                "best_step": row.best_step,
                "step": row.step,
                "seconds": row.seconds,
                "exit_code": row.exit_code,
                "error": row.error,
                "path": f"runs/{point.hash}",
            }
        )
    types = {"condition": polars.String, "draw": polars.Int64, "seed": polars.Int64}
    types |= {"status": polars.String, "path": polars.String, "error": polars.String}
    types |= dict.fromkeys(("score", *names, "seconds"), polars.Float64)
    types |= dict.fromkeys(("best_step", "step", "exit_code"), polars.Int64)
    columns = list(found[0]) if found else list(types)
    overrides = {name: kind for name, kind in types.items() if name in columns}
    return polars.DataFrame(
        {name: _column([record[name] for record in found]) for name in columns},
        schema_overrides=overrides,
        strict=False,
    )


def _column(values: Sequence[Any]) -> list[Any]:
    """Values of one type: where they differ, or are sections, they are text."""
    from netbuild.language.dump import inline

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} or (len(kinds) == 1 and kinds <= {str, bool}):
        return [float(v) if float in kinds and v is not None else v for v in values]
    return [None if value is None else inline(value) for value in values]


def settings_of(about: About, point: PointInfo) -> dict[str, Any]:
    """What a point's setting is, as columns."""
    found: dict[str, Any] = {}
    if about.conditions:
        found["condition"] = point.condition
    if any(each.draw is not None for each in about.points):
        found["draw"] = point.draw
    paths = (*about.parameters, *about.derived)
    return found | {path: point.parameters.get(path) for path in paths}


def status_of(point: PointInfo, row: Row) -> str:
    """The status of a point's run; "dropped" where it fell behind and was not trained on."""
    return "dropped" if point.dropped is not None and not row.is_settled else row.status


def summary(
    about: About, rows: Rows, by: Sequence[str] = (), score: str | None = None
) -> polars.DataFrame:
    """A row for each setting and score: how many runs, their mean, spread, median and interval.

    The replicates of a setting are its seeds; of an ensemble of null models, its draws and seeds.
    `by` are the columns that settings are told apart by, in place of all. With `score`, there are
    the rows of this score alone.
    """
    groups: dict[tuple[Any, ...], list[PointInfo]] = {}
    for point in about.points:
        key = tuple(_hashable(value) for value in key_of(about, point, by).values())
        groups.setdefault(key, []).append(point)
    found: Records = []
    for own in groups.values():
        known = [rows.of(point.hash) for point in own]
        states = [status_of(point, row) for point, row in zip(own, known, strict=True)]
        names = sorted({name for row in known for name in row.scores}) or [about.score]
        names.sort(key=lambda name: name != about.score)
        for name in names if score is None else [score]:
            values = [value for row in known if (value := row.score(name)) is not None]
            said = statistics.summary(values, *map(str, key_of(about, own[0], by).values()), name)
            found.append(
                {
                    **{k: _text(v) for k, v in key_of(about, own[0], by).items()},
                    "score": name,
                    "n": said.n,
                    "n_diverged": states.count("diverged"),
                    "n_failed": states.count("failed") + states.count("damaged"),
                    "n_dropped": states.count("dropped"),
                    "n_left": sum(s in ("pending", "running", "interrupted") for s in states),
                    "mean": said.mean,
                    "sd": said.sd,
                    "sem": said.sem,
                    "median": said.median,
                    "ci_low": said.low,
                    "ci_high": said.high,
                }
            )
    return _frame(found, ("mean", "sd", "sem", "median", "ci_low", "ci_high"))


def _frame(found: Records, numbers: Sequence[str]) -> polars.DataFrame:
    import polars

    frame = polars.DataFrame(found, infer_schema_length=None)
    return frame.with_columns(
        polars.col(name).cast(polars.Float64) for name in numbers if name in frame.columns
    )


def _hashable(value: Any) -> Any:
    return _text(value) if isinstance(value, (dict, list)) else value


def _text(value: Any) -> Any:
    from netbuild.language.dump import inline

    return inline(value) if isinstance(value, (dict, list)) else value


def key_of(about: About, point: PointInfo, by: Sequence[str] = ()) -> dict[str, Any]:
    """What tells a setting from the others; the draws of an ensemble are its replicates."""
    beside = ("draw", *about.derived)
    found = {k: v for k, v in settings_of(about, point).items() if k not in beside}
    return {name: found.get(name) for name in by} if by else found


def comparisons(about: About, rows: Rows) -> polars.DataFrame | None:
    """A row for each setting that is compared with the baseline, whose parameters are the same.

    Replicates are paired by their seeds; the draws of an ensemble by the seed of their training.
    Of an ensemble, `rank` says how the baseline stands among its null models. None without a
    baseline.
    """
    if about.baseline is None:
        return None
    groups: dict[tuple[Any, ...], dict[str, list[PointInfo]]] = {}
    for point in about.points:
        key = tuple(_hashable(v) for v in point.parameters.values())
        groups.setdefault(key, {}).setdefault(point.condition, []).append(point)
    found: Records = []
    for conditions in groups.values():
        base = _by_seed(about, rows, conditions.get(about.baseline, []))
        for name in about.conditions:
            if name != about.baseline and name in conditions:
                found.append(_compared(about, rows, conditions[name], base))
    adjusted = statistics.holm([record["p"] for record in found])
    for record, p in zip(found, adjusted, strict=True):
        record["p_holm"] = p
    numbers = ("mean", "baseline_mean", "difference", "ci_low", "ci_high", "effect")
    return _frame(found, (*numbers, "p", "p_holm", "rank_p"))


def _by_seed(about: About, rows: Rows, points: Sequence[PointInfo]) -> dict[int, float]:
    """The mean score of each seed, over the draws of an ensemble."""
    found: dict[int, list[float]] = {}
    for point in points:
        value = rows.of(point.hash).score(about.score)
        if value is not None:
            found.setdefault(point.seed, []).append(value)
    return {seed: sum(values) / len(values) for seed, values in found.items()}


def _compared(
    about: About, rows: Rows, points: Sequence[PointInfo], base: Mapping[int, float]
) -> dict[str, Any]:
    point = points[0]
    own = _by_seed(about, rows, points)
    seeds = [seed for seed in own if seed in base]
    names = (point.condition, *map(str, point.parameters.values()))
    ones, others = [own[s] for s in seeds], [base[s] for s in seeds]
    said = statistics.difference(ones, others, *names)
    place, of, p = _rank(about, rows, points, base)
    return {
        **{k: _text(v) for k, v in key_of(about, point).items()},
        "baseline": about.baseline,
        "score": about.score,
        "n": said.n,
        "mean": sum(ones) / len(ones) if ones else None,
        "baseline_mean": sum(others) / len(others) if others else None,
        "difference": said.mean,
        "ci_low": said.low,
        "ci_high": said.high,
        "effect": said.effect,
        "p": said.p,
        "p_holm": None,
        "rank": place,
        "rank_of": of,
        "rank_p": p,
    }


def _rank(
    about: About, rows: Rows, points: Sequence[PointInfo], base: Mapping[int, float]
) -> tuple[int | None, int | None, float | None]:
    """The rank of the baseline among null models, of how many, and its p; None for no ensemble."""
    draws: dict[int, list[float]] = {}
    for point in points:
        value = rows.of(point.hash).score(about.score)
        if point.draw is not None and value is not None:
            draws.setdefault(point.draw, []).append(value)
    if not draws or not base:
        return None, None, None
    nulls = [sum(values) / len(values) for values in draws.values()]
    measured = sum(base.values()) / len(base)
    p = statistics.rank_p(measured, nulls, minimizes=about.minimizes)
    return round(p * (len(nulls) + 1)), len(nulls) + 1, p


# Files


def csv_bytes(frame: polars.DataFrame) -> bytes:
    """A table as CSV, in which no text begins as a formula of a spreadsheet does."""
    import polars

    text = polars.col(polars.String)
    looks = text.str.contains(FORMULA.pattern)
    escaped = polars.when(looks).then(polars.lit("'") + text).otherwise(text)
    buffer = io.BytesIO()
    safe = frame.with_columns(escaped.name.keep()) if polars.String in frame.dtypes else frame
    safe.rename(lambda n: f"'{n}" if FORMULA.match(n) else n).write_csv(buffer)
    return buffer.getvalue()


def write_tables(folder: ExperimentFolder, about: About, rows: Rows) -> None:
    """Write `table.parquet`, `table.csv`, `summary.csv` and `comparisons.csv`."""
    from netbuild import durable

    runs = table(about, rows)
    buffer = io.BytesIO()
    runs.write_parquet(buffer)
    files = {"table.parquet": buffer.getvalue(), "table.csv": csv_bytes(runs)}
    files["summary.csv"] = csv_bytes(summary(about, rows))
    compared = comparisons(about, rows)
    if compared is not None and len(compared):
        files["comparisons.csv"] = csv_bytes(compared)
    with durable.io_errors(f"cannot write {folder.path}"):
        for name, data in files.items():
            durable.replace_file(folder.path / name, data)
    rows.save()
