"""A process that has imported everything, and forks one child for each case; and its client.

A case then costs some ten milliseconds and not the seconds that an import of torch takes. No
operation of torch is run before a fork.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent.parent
PATIENCE = 60.0  # seconds that a case may take


@dataclass(frozen=True)
class Outcome:
    """How a child ended: its exit code, or minus the signal that ended it, and what it printed."""

    code: int
    said: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Server:
    """Runs cases one after another; several servers run them beside each other."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(TESTS)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __call__(self, **job: Any) -> Outcome:
        """Run one case in a new child process; the keys are those of `actions.act`.

        `signals` is a list of (seconds after the start, number) that are sent to it.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the server of cases has ended")
        return Outcome(**json.loads(answer))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def serve() -> None:
    """Read jobs from standard input, one JSON object a line, and answer each with an outcome."""
    import torch

    from faults import actions

    torch.set_num_threads(1)
    actions.load_all()
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        print(json.dumps(_forked(json.loads(line))), flush=True)


def _forked(job: dict[str, Any]) -> dict[str, Any]:
    from faults import actions

    signals = sorted(job.pop("signals", []))
    said, said_in = os.pipe()
    told, told_in = os.pipe()
    child = os.fork()
    if not child:
        code = 70
        try:
            os.close(said)
            os.close(told)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(said_in, 1)
            os.dup2(said_in, 2)
            # The server's own know the files that they were opened on.
            sys.stdout, sys.stderr = (open(n, "w", 1, closefd=False) for n in (1, 2))  # noqa: SIM115
            os.write(told_in, b"\n")
            code, values = actions.act(**job)
            os.write(told_in, json.dumps(values).encode())
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(said_in)
    os.close(told_in)
    return _watched(child, said, told, signals)


def _watched(child: int, said: int, told: int, signals: list[Any]) -> dict[str, Any]:
    """Read what a child says, and send it signals, until it has ended."""
    texts = {said: b"", told: b""}
    os.read(told, 1)  # it has begun
    began = time.monotonic()
    end = began + PATIENCE
    open_still = {said, told}
    while open_still:
        due = began + signals[0][0] if signals else end
        ready, _, _ = select.select(list(open_still), [], [], max(0.0, due - time.monotonic()))
        for descriptor in ready:
            data = os.read(descriptor, 1 << 16)
            texts[descriptor] += data
            if not data:
                open_still.discard(descriptor)
        if not ready and signals:
            os.kill(child, signals.pop(0)[1])
        elif not ready and time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(said)
    os.close(told)
    values = json.loads(texts[told]) if texts[told] else {}
    return {
        "code": os.waitstatus_to_exitcode(status),
        "said": texts[said].decode(errors="replace"),
        "values": values,
        "seconds": time.monotonic() - began,
    }


if __name__ == "__main__":
    serve()
