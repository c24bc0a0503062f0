"""Trackers: a process beside the training follows the run's log and sends it to where people look.

The training never waits for a tracker, and no error of a tracker reaches it. What a tracker is
given comes from the log of the run, which is cut to the last checkpoint when a run is resumed, and
the tracker says which step it has last. So its history has no gap and no duplicate.
"""
