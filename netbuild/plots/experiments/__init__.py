"""A file for each figure of an experiment: its name, and what its runs show together."""
