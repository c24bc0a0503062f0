"""Benchmarks: each prints the times of netbuild and of a peer, and their ratio, from one run."""
