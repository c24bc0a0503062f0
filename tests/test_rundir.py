"""The layout of a run directory: names of checkpoints, and the seal of a state."""

from __future__ import annotations

import pytest

from netbuild.rundir import as_object, checkpoint_name, sealed, step_of, unsealed


@pytest.mark.parametrize("step", [0, 7, 500, 123_456_789, 10**15])
def test_a_checkpoint_has_one_name(step: int) -> None:
    assert step_of(checkpoint_name(step)) == step


@pytest.mark.parametrize(
    "name", ["step-", "step-7", "step-000000007", "step-0000000x", "step-٠٠٠٠٠٠٠٧", "corrupt-1", ""]
)
def test_no_other_name_is_that_of_a_checkpoint(name: str) -> None:
    assert step_of(name) is None


def test_a_state_comes_out_of_its_seal_and_no_other_bytes_do() -> None:
    state = {"step": 3, "best": {"step": 2, "value": 0.5}}
    data = sealed(state)
    assert unsealed(data) == state
    for wrong in (data.replace(b"3", b"4", 1), data + b"\n", b"{}", b"[]", b"{", b"[" * 10**5):
        with pytest.raises(ValueError):  # noqa: PT011
            unsealed(wrong)


def test_json_that_is_no_mapping_is_refused() -> None:
    assert as_object(b'{"a": 1}') == {"a": 1}
    for wrong in (b"3", b"\xff", b"[" * 10**5):
        with pytest.raises(ValueError):  # noqa: PT011
            as_object(wrong)
