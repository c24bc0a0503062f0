"""Training: steps and stages as a stream of records, by `training.loop.Trainer`."""
