"""Run directories: what is written while a network trains, and what is made of it afterwards."""

from netbuild.runs.forking import fork
from netbuild.runs.reproduction import Comparison, reproduce
from netbuild.runs.resuming import resume
from netbuild.runs.run import Run, open_run
from netbuild.runs.start import train

__all__ = ["Comparison", "Run", "fork", "open_run", "reproduce", "resume", "train"]
