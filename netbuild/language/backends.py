"""The keys of the file that `sweep --on FILE.yaml` takes: a back end and its options.

A back end that is named without a file has the defaults of its options.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from netbuild.language.base import Model, NonNegative, OneOf, Positive, key

TELLER = "backend"  # the key that tells such a file from a spec
Workers = Annotated[int, Field(ge=1, le=10**6)] | None
_WORKERS = "how many runs are trained at once; `--workers` takes precedence"


class LocalOptions(Model):
    """Processes on this machine."""

    backend: Literal["local"]
    workers: Workers = key(None, f"{_WORKERS}; as many as cores, when left out", 4)


class RayOptions(Model):
    """A Ray cluster; the keys of resources are called as Ray calls them."""

    backend: Literal["ray"]
    workers: Workers = key(
        None, f"{_WORKERS}; as many as the cluster has room for, when left out", 100
    )
    address: Annotated[str, Field(min_length=1, max_length=1024)] | None = key(
        None,
        "the address of the cluster, or `auto` for that which this machine belongs to; when left"
        " out that of `RAY_ADDRESS`, else a new cluster on this machine alone",
        "10.0.0.1:6379",
    )
    num_cpus: Positive | None = key(
        None, "cores of a run; the `threads` of the spec, when left out", 2
    )
    num_gpus: NonNegative = key(0.0, "GPUs of a run", 1)
    memory: Positive | None = key(None, "bytes of memory that are set aside for a run", 4e9)
    resources: dict[str, Positive] = key(
        {}, "other resources of a run, by the names that the cluster gives them", {"a100": 1}
    )
    env_vars: dict[str, str] = key(
        {}, "environment variables of the workers", {"OPENBLAS_NUM_THREADS": "1"}
    )


Count = Annotated[int, Field(ge=1, le=10**6)]
# A line of the job's script; a line break would begin another one.
Line = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\r\n]*$")]


class SlurmOptions(Model):
    """A SLURM cluster; the keys are those of submitit, by which the jobs are submitted."""

    backend: Literal["slurm"]
    slurm_array_parallelism: Workers = key(
        None, f"{_WORKERS}; all of them, as far as the cluster has room, when left out", 100
    )
    timeout_min: Count = key(
        60, "minutes until a job must leave its place; its run is saved, and queued again", 240
    )
    slurm_signal_delay_s: Count = key(90, "seconds before that time at which the run is saved", 120)
    cpus_per_task: Count | None = key(
        None, "cores of a run; the `threads` of the spec, when left out", 2
    )
    mem_gb: Positive | None = key(None, "gigabytes of memory of a run", 4)
    gpus_per_node: Count | None = key(None, "GPUs of a run", 1)
    slurm_partition: Line | None = key(None, "the partition, or several with commas", "gpu")
    slurm_account: Line | None = key(None, "the account that is charged", "lab")
    slurm_qos: Line | None = key(None, "the quality of service", "long")
    slurm_constraint: Line | None = key(None, "features that a node must have", "gpu80")
    slurm_gres: Line | None = key(None, "generic resources of a run", "gpu:a100:1")
    slurm_mem_per_cpu: Line | None = key(None, "memory for each core, with its unit", "4G")
    slurm_nodelist: Line | None = key(None, "the nodes that may be used", "node[01-04]")
    slurm_exclude: Line | None = key(None, "the nodes that are not used", "node07")
    slurm_dependency: Line | None = key(None, "jobs that come first", "afterok:1234")
    slurm_comment: Line | None = key(None, "a comment on the jobs", "revision 2")
    slurm_mail_type: Line | None = key(None, "what SLURM sends mail about", "FAIL")
    slurm_mail_user: Line | None = key(None, "who gets that mail", "me@example.org")
    slurm_setup: list[Line] = key(
        [], "commands of the shell that come before each training", ["module load cuda"]
    )
    slurm_srun_args: list[Line] = key([], "more options of `srun`", ["--cpu-bind=none"])
    slurm_additional_parameters: dict[str, Line | int | float | bool] = key(
        {}, "more options of `sbatch`", {"nice": 100}
    )

    @property
    def workers(self) -> int | None:
        """How many runs are trained at once; None for as many as the cluster has room for."""
        return self.slurm_array_parallelism


Options: TypeAlias = LocalOptions | RayOptions | SlurmOptions
Place = Annotated[Options, OneOf(TELLER)]


def options_from(data: object) -> Options:
    """The options that plain data holds; raises pydantic's ValidationError."""
    found: Options = TypeAdapter(Place).validate_python(data)
    return found
