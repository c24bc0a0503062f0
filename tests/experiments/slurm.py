"""SLURM itself on this machine, for this user, in a folder of its own and without systemd."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from getpass import getuser
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
PATIENCE = 60.0  # seconds
# The machine seems to have 8 cores, so that runs are slow and their time limits come. A job that is
# queued again waits as long as a credential lasts.
CONFIGURATION = """\
ClusterName=proof
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=30
MinJobAge=3600
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The programs that this machine lacks; those of administrators may not be in the PATH."""
    return [name for name in PROGRAMS if found(name) is None]


def found(name: str) -> str | None:
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


class Cluster:
    """A cluster of one node; its commands are told by the environment where it is."""

    def __enter__(self) -> Cluster:
        # Not below pytest's folder: the path of a socket has at most 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.environment = os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf")}
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        text = CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0],
            user=getuser(),
            folder=self.folder,
            ports=_free_ports(2),
        )
        (self.folder / "slurm.conf").write_text(text)
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        places = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log"}
        places["seed-file"] = "seed"
        options = [f"--{option}={self.folder}/munge.{end}" for option, end in places.items()]
        self._run("munged", "--force", *options)
        self._run("slurmctld", "-f", str(self.folder / "slurm.conf"))
        self._run("slurmd", "-f", str(self.folder / "slurm.conf"))
        end = time.monotonic() + PATIENCE
        while "idle" not in self.ask("sinfo", "--noheader", "--format=%T"):
            assert time.monotonic() < end, (self.folder / "slurmctld.log").read_text()
            time.sleep(0.2)

    def _run(self, name: str, *options: str) -> None:
        program = found(name)
        assert program is not None
        subprocess.run([program, *options], env=self.environment, check=True, timeout=PATIENCE)

    def ask(self, *words: str) -> str:
        """What a command of SLURM prints; nothing where it fails."""
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, check=False
        )
        return done.stdout

    def restarts(self) -> dict[str, int]:
        """How often each task of all arrays was queued again."""
        said = self.ask("scontrol", "--oneliner", "show", "job")
        form = r"ArrayJobId=(\d+) ArrayTaskId=(\d+) .*?Restarts=(\d+)"
        return {f"{job}_{task}": int(count) for job, task, count in re.findall(form, said)}

    def __exit__(self, *_: object) -> None:
        self.ask("scancel", "--user", getuser())
        end = time.monotonic() + PATIENCE
        while self.ask("squeue", "--noheader") and time.monotonic() < end:
            time.sleep(0.2)  # what still ran would be left without a cluster
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            for name in ("slurmd", "slurmctld", "munge"):
                with suppress(OSError, ValueError):
                    _end(int((self.folder / f"{name}.pid").read_text()))


def _end(pid: int) -> None:
    """End a process, and wait until it has ended."""
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    with suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.kill(pid, 0)
            time.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
