"""Random specs and connectomes that are right, and trainings in stages; a seed gives each again."""
