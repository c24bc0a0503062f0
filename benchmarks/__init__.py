"""Benchmarks: each module prints ours, the peer's and their ratio, measured in one run."""
