"""Environments of cognitive tasks, as numpy arrays: the only part that knows neurogym.

- recipe: what a task draws its trials from, as plain data
- registry: the environments that there are, and one instance of each; imports neurogym, lazily
- player: one environment that gives one trial after the other
- renewal: how one becomes as good as new, for a fraction of the price of another
- trials: batches of whole trials, padded
- windows: batches cut from a stream of trials, as neurogym's own `Dataset` cuts them
- facts: what can be known of an environment before any training, for the checks
- worker: a process that prepares batches ahead of the training
"""

from netbuild.environments.drawn import Drawn
from netbuild.environments.facts import (
    Facts,
    facts_of,
    overruled,
    parameters_of,
    periods_of,
    settable,
)
from netbuild.environments.player import EnvironmentFailed, Player
from netbuild.environments.recipe import Environment, Levels, Recipe
from netbuild.environments.registry import environment_names
from netbuild.environments.trials import draw_trials
from netbuild.environments.windows import WindowSource

__all__ = [
    "Drawn",
    "Environment",
    "EnvironmentFailed",
    "Facts",
    "Levels",
    "Player",
    "Recipe",
    "WindowSource",
    "draw_trials",
    "environment_names",
    "facts_of",
    "overruled",
    "parameters_of",
    "periods_of",
    "settable",
]
