"""A checked spec: what `load` returns, and what building, training and inspecting take."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netbuild.check.context import Context, FileRecord
from netbuild.check.data import check_task, check_training, task_width
from netbuild.check.maps import check_map
from netbuild.check.memory import check_memory
from netbuild.check.plan import LayerPlan, Plan
from netbuild.check.targets import check_regularizers
from netbuild.check.wiring import check_names, check_wiring
from netbuild.errors import Exit, NetbuildError, Place, Problem, SpecError
from netbuild.spec.document import Document, parse
from netbuild.spec.dump import dump_yaml, resolved
from netbuild.spec.layers import Linear
from netbuild.spec.load import Parsed, parse_document, parse_file
from netbuild.spec.spec import NetworkSpec


@dataclass
class Spec:
    """A spec without problems: its model, where it came from, and the files that it names.

    It is plain data and can be pickled; the arrays that its files hold are not part of what is
    pickled, and are read again, against their digests, when they are needed.
    """

    model: NetworkSpec
    path: Path | None
    text: str  # the file's own, byte for byte
    overrides: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    data_root: Path | None = None
    files: dict[str, FileRecord] = field(default_factory=dict)  # by path in the spec
    _plan: Plan | None = field(default=None, repr=False, compare=False)

    @property
    def plan(self) -> Plan:
        """The arrays and sizes that building needs; raises NetbuildError if a file has changed."""
        if self._plan is None:
            again = self._again()
            for where, record in self.files.items():
                if again.files[where].sha256 != record.sha256:
                    what = f"{record.reference} has changed since the spec was loaded"
                    raise NetbuildError(what, Exit.DATA)
            self._plan = again._plan
        assert self._plan is not None
        return self._plan

    @property
    def data(self) -> dict[str, Any]:
        """The resolved spec as plain JSON data, every default written out."""
        return resolved(self.model)

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits of the resolved spec and of the files that it names."""
        digests = {where: record.sha256 for where, record in sorted(self.files.items())}
        text = json.dumps([self.data, digests], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_yaml(self) -> str:
        """The resolved spec as YAML that loads again."""
        return dump_yaml(self.data)

    def _again(self) -> Spec:
        if self.path is None:
            document = Document("spec", parse(self.text, "spec"), Path.cwd(), self.text)
            return _checked(parse_document(document, self.overrides, self.unset), self)
        return load(self.path, set=self.overrides, unset=self.unset, data_root=self.data_root)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_plan": None}


def load(
    spec: str | Path | Mapping[str, Any],
    set: Sequence[str] = (),
    *,
    unset: Sequence[str] = (),
    data_root: str | Path | None = None,
    memory_limit: int | None = None,
) -> Spec:
    """Read and check a spec: a path, or the same as a mapping.

    `set` holds overrides `PATH=VALUE`, `unset` paths to take away. Files that the spec names lie
    in its project, or in `data_root`. `memory_limit`, in bytes, replaces what the machine has.
    Raises SpecError, which carries all problems.
    """
    root = Path(data_root) if data_root is not None else None
    if isinstance(spec, Mapping):
        text = dump_yaml(dict(spec))
        document = Document("spec", parse(text, "spec"), Path.cwd(), text)
        path, parsed = None, parse_document(document, set, unset)
    else:
        path = Path(spec)
        parsed = parse_file(path, set, unset, str(spec))
    kept = Spec(None, path, "", tuple(set), tuple(unset), root)  # type: ignore[arg-type]
    return _checked(parsed, kept, memory_limit)


def _checked(parsed: Parsed, like: Spec, memory_limit: int | None = None) -> Spec:
    context = Context(parsed, like.data_root)
    plan = run_checks(context, memory_limit)
    problems = sorted(parsed.problems + context.problems, key=lambda p: _order(p, parsed))
    if problems:
        raise SpecError(problems)
    assert parsed.spec is not None
    return Spec(
        parsed.spec,
        like.path,
        parsed.document.text,
        like.overrides,
        like.unset,
        like.data_root,
        context.files,
        plan,
    )


def run_checks(context: Context, memory_limit: int | None = None) -> Plan:
    """Everything that one field alone cannot tell, over whatever parsed."""
    check_names(context)
    check_training(context)
    width = task_width(context)
    plans = check_wiring(context, width)
    if not check_memory(context, plans, memory_limit):
        return Plan()
    for i, plan in plans.items():
        layer = context.parsed.layers[i]
        if isinstance(layer, Linear):
            plans[i] = LayerPlan(
                plan.name, plan.reads, plan.gives, check_map(context, i, layer, plan)
            )
    last = plans.get(len(context.parsed.layers) - 1)
    return Plan(
        {plan.name: plan for plan in plans.values()},
        check_regularizers(context, plans),
        check_task(context, width, last.gives if last else None),
    )


def _order(problem: Problem, parsed: Parsed) -> tuple[int, int, int]:
    """Files in the order in which they were read, then lines and columns."""
    place = problem.place or Place("")
    known = list(parsed.folders)
    rank = known.index(place.source) if place.source in known else len(known)
    return rank, place.line, place.column
