"""Runs every benchmark: python -m benchmarks."""

from benchmarks import (
    constraint_step,
    dale_regularizer,
    ei_decision,
    long_spec,
    recurrence,
    startup,
    trainer_step,
)

for module in (
    dale_regularizer,
    constraint_step,
    trainer_step,
    recurrence,
    ei_decision,
    startup,
    long_spec,
):
    module.main()
    print()
