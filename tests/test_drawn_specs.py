"""What is right is accepted, builds, trains and resolves: drawn specs that hold every key.

200 of them are in every run of the tests, 2,000 in the slow ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from drawn.bold import draw_bold
from drawn.specs import draw_spec
from pydantic import BaseModel

from netbuild.builder import build, build_optimizer, build_task
from netbuild.errors import SpecError
from netbuild.language import Spec, load
from netbuild.language.context import Locator
from netbuild.language.dump import dump_yaml
from netbuild.language.grammar import fields_of, homes
from netbuild.language.parse import parse_document
from netbuild.layers.spectrum import spectral_radius
from netbuild.training.loop import Trainer
from netbuild.yamltree.document import read

EACH = 50
FEW, ALL = range(4), range(40)  # chunks of so many specs each, which workers share
COVERING = 600  # specs in which every key occurs


def loaded(seed: int, folder: Path) -> Spec:
    """A drawn spec, read from a file that is in turn YAML of blocks and of one line."""
    path = folder / f"{seed}.yaml"
    data = draw_spec(seed, folder)
    path.write_text(json.dumps(data) if seed % 4 else dump_yaml(data))
    try:
        return load(path)
    except SpecError as error:
        pytest.fail(f"{error}\n\n{dump_yaml(data)}")


def train(spec: Spec) -> None:
    """Train to the end, which is a step or two."""
    network, training = build(spec, device="cpu"), spec.model.training
    optimizer = build_optimizer(training, network)
    assert not any(check.violations for check in network.verify())
    initial = {name: value.clone() for name, value in network.named_parameters()}
    losses = []
    trainer = Trainer(network, build_task(spec), training, optimizer, seed=spec.model.seed)
    for record in trainer.records():
        assert not any(check.violations for check in network.verify(initial))
        losses += [record.values["loss"]] if "loss" in record.values else []
    assert trainer.step >= 1
    assert all(map(math.isfinite, losses))
    assert losses


def resolves_to_itself(spec: Spec) -> None:
    assert spec.path is not None
    path = spec.path.with_name("resolved.yaml")
    path.write_text(spec.to_yaml())
    again = load(path)
    assert (again.hash, again.data) == (spec.hash, spec.data)


CHUNKS = [chunk if chunk in FEW else pytest.param(chunk, marks=pytest.mark.slow) for chunk in ALL]


@pytest.mark.parametrize("chunk", CHUNKS)
def test_right_specs_are_accepted_build_train_and_resolve(tmp_path: Path, chunk: int) -> None:
    for seed in range(chunk * EACH, (chunk + 1) * EACH):
        try:
            spec = loaded(seed, tmp_path)
            resolves_to_itself(spec)
            train(spec)
        except Exception as error:
            error.add_note(f"draw_spec({seed}, folder)")
            raise


def built_if_accepted(seed: int) -> bool:
    """Whether a bold spec is accepted; then it builds, and its constraints hold in training."""
    data = draw_bold(seed)
    try:
        spec = load(data)
    except SpecError:
        return False
    network = build(spec, device="cpu")
    assert all(bool(value.isfinite().all()) for value in network.state_dict().values())
    assert not any(check.violations for check in network.verify())
    radius = data["layers"][0].get("recurrent", {}).get("spectral_radius")
    if radius is not None:
        assert spectral_radius(network.h.recurrent.matrix()) == pytest.approx(radius, rel=2e-3)
    initial = {name: value.clone() for name, value in network.named_parameters()}
    learnt = [value for value in network.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(learnt, lr=0.1)
    network.attach(optimizer)
    for step in range(2):
        network.set_step(step)
        loss = network(torch.ones(2, 3, 2)).square().mean()
        if not loss.isfinite():
            return True  # numbers this large diverge, which is told when they do
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        assert not any(check.violations for check in network.verify(initial))
    return True


def check_bold(start: int, count: int) -> None:
    accepted = 0
    for seed in range(start, start + count):
        try:
            accepted += built_if_accepted(seed)
        except Exception as error:
            error.add_note(f"draw_bold({seed})")
            raise
    assert accepted > 0.1 * count


def test_bold_specs_are_refused_at_their_place_or_build() -> None:
    check_bold(0, 200)


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 11_000, 1000))
def test_many_bold_specs_are_refused_at_their_place_or_build(start: int) -> None:
    check_bold(start, 1000)


def sections(section: BaseModel) -> Iterator[BaseModel]:
    """A section and all below it."""
    yield section
    for value in dict(section).values():
        below = value.values() if isinstance(value, dict) else value
        for item in below if isinstance(value, dict | list) else [value]:
            if isinstance(item, BaseModel):
                yield from sections(item)


# Sections that the drawer never writes. Environments of neurogym take seconds to import and to
# read their spaces from; their tests draw them.
NEVER_DRAWN = {
    *("Neurogym", "EnvironmentSpec", "EvaluationTrials", "TargetLevels", "WholeTrials", "Windows"),
    "StartFrom",  # which needs a run
}
# A run to start from, several environments, and trackers, which are packages of their own.
NEVER_SAID = {"SpecFile.start_from", "StopWhen.of=worst_task", "Training.track"}


def drawn_words(folder: Path) -> set[str]:
    """Every `Model.key` that drawn specs give, and every `Model.key=value` of a closed list."""
    found = set()
    for seed in range(COVERING):
        data = draw_spec(seed, folder)
        path = folder / f"{seed}.yaml"
        path.write_text(json.dumps(data))
        model = parse_document(read(path), Locator()).spec  # other tests check and build it
        assert model is not None
        found |= {f"SpecFile.{key}" for key in (*data, *model.model_fields_set)}
        for section in sections(model):
            for name in section.model_fields_set:
                word = f"{type(section).__name__}.{type(section).model_fields[name].alias or name}"
                found |= {word, f"{word}={getattr(section, name)}"}
    return found


def language() -> Iterator[str]:
    """Every `Model.key` of the language, and every `Model.key=value` of a closed list."""
    for model in dict.fromkeys(home.model for home in homes()):
        for key, info in fields_of(model).items():
            yield f"{model.__name__}.{key}"
            for value in closed(info.annotation):
                yield f"{model.__name__}.{key}={value}"


def closed(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def test_drawn_specs_hold_every_key_of_the_language(tmp_path: Path) -> None:
    wanted = set(language())
    assert len(wanted) > 350
    drawn = drawn_words(tmp_path)
    wanted -= NEVER_SAID
    never = {word for word in wanted - drawn if word.partition(".")[0] in NEVER_DRAWN}
    assert sorted(wanted - drawn - never) == []
    assert {word.partition(".")[0] for word in never} == NEVER_DRAWN
