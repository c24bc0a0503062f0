"""Benchmarks: each prints the times of netbuild and of a peer, and their ratio, from one run."""

import os

# As in the commands: OpenMP reads this when torch is loaded. Threads that spin while they wait take
# the core that others would run on.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
