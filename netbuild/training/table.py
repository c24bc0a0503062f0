"""One row a test trial, as Parquet: what was asked and what the network chose."""

from __future__ import annotations

import io

from torch.nn import functional

from netbuild.layers import Network
from netbuild.tasks import Batch
from netbuild.training.losses import answers


def trial_table(network: Network, batch: Batch, loss: str) -> bytes:
    """The trials of a batch with the network's answers, as the bytes of a Parquet file."""
    import polars  # a tenth of a second, and only the end of a training needs it

    output = answers(network, batch.inputs).cpu()
    columns = {name: list(values) for name, values in (batch.trials or {}).items()}
    targets = batch.targets.cpu()
    if loss == "cross_entropy" and output.dim() == 2:
        choice = output.argmax(-1)
        columns |= {
            "target": targets.tolist(),
            "choice": choice.tolist(),
            "correct": (choice == targets).tolist(),
        }
    else:
        target = targets if loss == "cross_entropy" else targets.reshape(output.shape)
        if loss == "cross_entropy":
            errors = functional.cross_entropy(
                output.flatten(0, -2), target.reshape(-1), reduction="none"
            )
            errors = errors.reshape(target.shape)
        else:
            errors = (output - target).square().mean(-1)
        columns["loss"] = errors.reshape(len(output), -1).mean(-1).tolist()
    buffer = io.BytesIO()
    polars.DataFrame(columns).write_parquet(buffer)
    return buffer.getvalue()
