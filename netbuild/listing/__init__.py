"""The runs below a folder: found, named and distinguished by their files, without torch.

`netbuild.listing.filters` knows the language of specs, and is imported where runs are chosen.
"""

from netbuild.listing.entries import COLUMNS, Entry, entries, entry, is_locked, run_folders
from netbuild.listing.names import find_run

__all__ = ["COLUMNS", "Entry", "entries", "entry", "find_run", "is_locked", "run_folders"]
