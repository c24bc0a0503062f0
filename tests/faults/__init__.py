"""The battery of faults: trainings that are killed, starved and damaged, and end the same."""
