"""Where the tests, and the files that they read, are."""

from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
EXAMPLES = ROOT / "examples"


def files_below(folder: Path) -> set[str]:
    """The files and folders below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
