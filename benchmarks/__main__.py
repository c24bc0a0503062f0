"""Runs every benchmark: python -m benchmarks."""

from benchmarks import (
    batches,
    connectome_files,
    constraint_step,
    dale_regularizer,
    durability,
    ei_decision,
    fly_inspect,
    long_spec,
    recurrence,
    small_step,
    sparse,
    sparse_training,
    startup,
)

for module in (
    dale_regularizer,
    constraint_step,
    durability,
    recurrence,
    small_step,
    ei_decision,
    startup,
    long_spec,
    batches,
    sparse,
    sparse_training,
    connectome_files,
    fly_inspect,
):
    module.main()
    print()
