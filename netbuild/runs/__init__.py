"""Run directories: how they are written while a network trains, and how they are read again."""
