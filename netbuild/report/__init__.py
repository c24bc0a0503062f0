"""One page about a run or an experiment, with everything in it: tables, figures, the spec itself.

`cells`, `equations`, `tex`, `diagram` and the tables of the model are words: they know the resolved
spec and its plan, and load no torch. `run` and `experiment` read what was trained.
"""
