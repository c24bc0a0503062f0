# `make demo` and `make test` are all that a newcomer needs.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check format bench fuzz faults reproduce fly ray slurm trackers slow clean

demo: .venv/installed
	$(BIN)/netbuild train examples/digits_dale.yaml

# Bytecode is written whatever the environment says: without it each of the processes that the tests
# start compiles the package again. `worksteal` keeps the tests of a file, and what they share,
# in one worker.
test: check
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist worksteal

check: .venv/developer
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/developer
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/developer
	$(BIN)/pip install --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks

# Reads random specs and data files, for SECONDS each, in JOBS processes.
SECONDS ?= 600
JOBS ?= 1
fuzz: .venv/developer
	$(BIN)/python tests/fuzz_specs.py $(SECONDS) --jobs $(JOBS); specs=$$?; \
	$(BIN)/python tests/fuzz_files.py $(SECONDS) --jobs $(JOBS) && \
	$(BIN)/python tests/fuzz_connectomes.py $(SECONDS) --jobs $(JOBS) && exit $$specs

# Disturbs trainings (kills, full disks, damaged files), for half an hour; writes docs/faults.json.
faults: .venv/developer
	$(BIN)/python tests/faults

# Reproduces published results in about 7 minutes; docs/reproductions.md has the numbers.
reproduce: .venv/developer
	$(BIN)/python -m pytest -m slow -s tests/test_reproductions.py tests/analysis/test_study.py

# Trains both connectomes and the control of C. elegans: some minutes, 3 GB of memory.
fly: .venv/developer
	$(BIN)/netbuild train examples/celegans/celegans.yaml
	$(BIN)/netbuild train examples/celegans/rewired.yaml
	$(BIN)/python examples/fly_scale/generate.py
	$(BIN)/netbuild inspect examples/fly_scale/fly.yaml --by super_class
	$(BIN)/netbuild train examples/fly_scale/fly.yaml

# Trains with every tracker, kills the trainings and reads back what the trackers have: several minutes.
trackers: .venv/developer
	$(BIN)/pip install --quiet -c constraints.txt -e '.[tensorboard,wandb,mlflow,trackio]'
	$(BIN)/python -m pytest -m 'slow or not slow' tests/tracking

# Sweeps on SLURM itself, started for this user on this machine, with time limits that are too short
# for the runs: several minutes. On Debian: apt-get install slurmctld slurmd slurm-client munge.
slurm: .venv/developer
	$(BIN)/pip install --quiet -c constraints.txt -e '.[slurm]'
	$(BIN)/python -m pytest -m slow -s -rs tests/experiments/test_slurm.py

# Trains 12 runs on a Ray cluster of two machines (processes of this one), of which one is killed.
ray: .venv/developer
	$(BIN)/pip install --quiet -c constraints.txt -e '.[ray]'
	$(BIN)/python -m pytest -m slow -s tests/experiments/test_ray.py

# All tests that take minutes. Those of published connectomes need files that pip downloads.
slow: .venv/developer
	$(BIN)/python -m pytest -m slow

clean:
	rm -rf .venv runs .mypy_cache .ruff_cache .pytest_cache

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e .
	touch $@

.venv/developer: .venv/installed
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@
