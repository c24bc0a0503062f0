"""Environments of cognitive tasks, as numpy arrays: the only part that knows neurogym.

- recipe: where the trials of a task come from, as plain data
- registry: the environments that there are, and instances of them; imports neurogym, lazily
- player: one environment that gives one trial after the other, and how it is reset
- trials: batches of whole trials, padded
- windows: batches cut from streams of trials, as neurogym's own `Dataset` cuts them
- facts: what can be known of an environment before any training, for the checks
- worker: a process that makes batches ahead of the training, and the pipes to it
"""
