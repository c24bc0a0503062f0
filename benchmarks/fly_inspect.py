"""`netbuild inspect` of a network of the size of a fly's brain, against its unavoidable parts.

    python -m benchmarks.fly_inspect [--connections 15000000] [--pairs 3]

examples/fly_scale/generate.py writes the files into a temporary folder. The floor is two
processes: one that reads the masks (the edge list and the node table) and one that starts torch.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.startup import NETBUILD, command
from benchmarks.timing import alternate

FLY = Path(__file__).parent.parent / "examples" / "fly_scale"
READ = """\
import sys
from pathlib import Path
from netbuild.connectomes import read_connectome
from netbuild.language.connectome import Connectome
folder = Path(sys.argv[1])
signs = {"ACH": 1, "GABA": -1, "GLUT": -1}
words = Connectome.model_validate({"edges": {"file": "edges"}, "signs": signs})
read_connectome(folder / "edges.parquet", folder / "neurons.parquet", words)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=15_000_000)
    parser.add_argument("--pairs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = [sys.executable, str(FLY / "generate.py"), "--out", name]
        count = ["--connections", str(given.connections)]
        subprocess.run([*made, *count], stdout=subprocess.DEVNULL, check=True)
        spec = shutil.copy(FLY / "fly.yaml", folder)
        seconds = alternate(
            {
                "netbuild inspect fly.yaml": command(NETBUILD, "inspect", str(spec)),
                "reading its masks": command(READ, name),
                "import torch": command("import torch"),
            },
            pairs=given.pairs,
        )
    ours, masks, torch = seconds.values()
    print(f"inspect of 139,255 units, {given.connections:,} connections")
    for what, value in seconds.items():
        print(f"  {what:<28} {value:6.2f} s")
    print(f"  ours / (masks + torch)       {ours / (masks + torch):6.2f}")


if __name__ == "__main__":
    main()
