"""A run and what its network did: the public face of a run directory."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from netbuild.builder import build_task
from netbuild.durable import is_there, read_file, reading
from netbuild.errors import Exit, NetbuildError
from netbuild.language import Spec
from netbuild.layers import linear_maps
from netbuild.results.activity import Activity, activity_of, compute_rates
from netbuild.results.maps import LabelledMap, labelled_maps
from netbuild.results.units import units_of
from netbuild.runs.run import LARGEST_TABLE, RunFolder, Which
from netbuild.splits import TrialSet
from netbuild.tasks import Batch, Task, unseen_trials, validation_trials
from netbuild.training.losses import answers
from netbuild.training.trials import trial_columns, trial_frame


class Run(RunFolder):
    """A run directory, as `train` and `open_run` return it.

    Every method and property raises NetbuildError (exit 5) for damaged files.
    """

    @cached_property
    def task(self) -> Task:
        """The task that the run was trained on; of several stages, that of the newest checkpoint.

        Raises NetbuildError where neurogym is missing, and for a task that was given in Python.
        """
        return self._task(self.part()[1])

    def _task(self, part: Spec) -> Task:
        """The task of a stage, whose spec is `part`."""
        self.refuse_missing_task()
        return self.given_task if self.given_task is not None else build_task(part)

    def batch(
        self, trials: int | None = None, *, part: Spec | None = None, of: TrialSet = "test"
    ) -> Batch:
        """The test trials, or the validation trials, of the run; or the first `trials` of them.

        They belong to the stage whose spec is `part`, by default that of the newest checkpoint.
        Raises NetbuildError (exit 2) for validation trials of a run that has none.
        """
        part = part or self.part()[1]
        count = part.model.training.evaluate.trials if trials is None else trials
        how, separate = (self._task(part), part.model.seed, count), self.info.has_separate_test
        if of == "test":
            batch = unseen_trials(*how, separate=separate)
        else:
            found = validation_trials(*how) if separate else None
            if found is None:
                raise NetbuildError(f"{self.path} has no validation trials", Exit.USAGE)
            batch = found
        return batch if trials is None else batch.first(trials)

    def activity(self, trials: int = 500, *, checkpoint: Which = None) -> Activity:
        """The rate of every unit in the first `trials` test trials, without noise or dropout.

        Every call gives the same trials and the same bits. `checkpoint` is the step of the weights;
        None is the newest. The trials are those of the checkpoint's stage.
        """
        found = self.saved(checkpoint)
        part = self.part(found)[1]
        batch = self.batch(trials, part=part)
        rates = compute_rates(self.network_of(found), batch.inputs)
        plans = self.spec.plan.layers
        outputs = torch.from_numpy(rates[list(rates)[-1]])
        columns = trial_columns(outputs, batch, part.model.training.loss)
        units = {name: units_of(plan.gives, plans) for name, plan in plans.items()}
        return activity_of(rates, batch, columns, units=units, dt=part.model.dt)

    def trials(self, count: int | None = None) -> Any:
        """A polars DataFrame with a row for each test trial: its variables and the answer to it.

        The answers are those at the end of the training. For a run that has not ended, or with
        `count`, they are computed from the newest weights.
        """
        import polars

        path = self.path / "evaluation" / "trials.parquet"
        if count is None and (is_there(path, within=self.path) or self.info.status == "finished"):
            with reading(path, polars.exceptions.PolarsError):
                return polars.read_parquet(read_file(path, LARGEST_TABLE, within=self.path))
        found = self.saved()
        part = self.part(found)[1]
        batch = self.batch(count, part=part)
        noise = "test" if part.model.training.evaluate.noise else None
        outputs = answers(self.network_of(found), batch.inputs, noise=noise)
        return trial_frame(trial_columns(outputs, batch, part.model.training.loss))

    def maps(self, *, checkpoint: Which = None) -> dict[str, LabelledMap]:
        """The effective weights of every map, with their units: {"hidden.recurrent": ...}."""
        return labelled_maps(self.network(checkpoint=checkpoint), self.spec.plan.layers)

    def weights(self, name: str) -> Tensor | Any:
        """The effective weights of a map, e.g. "readout" or "hidden.recurrent".

        Any other parameter is found by its whole name, e.g. "readout.bias". A map in sparse storage
        is a scipy.sparse CSR array (post, pre). Raises KeyError, which lists the maps.
        """
        network = self.network()
        names = dict(network.named_parameters())
        known = name if name in names else f"{name}.weight"
        if known not in names:
            weights = [n.removesuffix(".weight") for n in names if n.endswith(".weight")]
            own = [n for n in weights if n.startswith(f"{name}.")]
            what = f"{name!r} has several maps" if own else f"there is no map {name!r}"
            raise KeyError(f"{what}; name one of {', '.join(own or weights)}")
        path, _, leaf = known.rpartition(".")
        maps = linear_maps(network)
        if leaf == "weight" and path in maps:
            return maps[path].matrix()
        return network.effective_parameter(known).detach()
