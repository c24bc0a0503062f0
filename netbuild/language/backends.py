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


Options: TypeAlias = LocalOptions | RayOptions
Place = Annotated[Options, OneOf(TELLER)]


def options_from(data: object) -> Options:
    """The options that plain data holds; raises pydantic's ValidationError."""
    found: Options = TypeAdapter(Place).validate_python(data)
    return found
