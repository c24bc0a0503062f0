"""Runs every benchmark: python -m benchmarks."""

from benchmarks import constraint_step, dale_regularizer, long_spec, startup, trainer_step

for module in (dale_regularizer, constraint_step, trainer_step, startup, long_spec):
    module.main()
    print()
