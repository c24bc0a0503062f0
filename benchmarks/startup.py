"""Start-up: `netbuild --help` and `validate` against importing what they need.

python -m benchmarks.startup. Neither of them imports torch.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.timing import alternate

SPEC = Path(__file__).parent.parent / "examples" / "digits_dale.yaml"
NETBUILD = "from netbuild.cli import main; main()"


def command(code: str, *arguments: str) -> Callable[[], None]:
    def run() -> None:
        subprocess.run(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL, check=True
        )

    return run


def main() -> None:
    seconds = alternate(
        {
            "python -c 'import typer, pydantic, yaml'": command("import typer, pydantic, yaml"),
            "netbuild --help": command(NETBUILD, "--help"),
            "netbuild validate digits_dale.yaml": command(NETBUILD, "validate", str(SPEC)),
            "python -c 'import torch'": command("import torch"),
        },
        pairs=11,
    )
    floor = next(iter(seconds.values()))
    print("start-up of a new process")
    for name, value in seconds.items():
        print(f"  {name:<42} {value * 1e3:6.0f} ms   {value / floor:.2f} x the first")


if __name__ == "__main__":
    main()
