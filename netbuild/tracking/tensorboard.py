"""TensorBoard: event files in the run's `tracking/tensorboard/`, written without torch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from netbuild.tracking.trackers import Row, Subject


class TensorBoard:
    """Writes a new event file each time, after those that are there; a row is one event."""

    def __init__(self, subject: Subject) -> None:
        self.subject, self.folder = subject, subject.folder / "tensorboard"
        self.writer: EventFileWriter

    def begin(self) -> int:
        """Open a new file; returns the last step in the files that are there."""
        before = sorted(self.folder.glob("events.out.tfevents.*"))
        last = next((step for path in reversed(before) if (step := last_step(path)) >= 0), -1)
        self.writer = EventFileWriter(str(self.folder))
        if not before:
            self._begin()
        self.writer.flush()
        return last

    def _begin(self) -> None:
        """Write the configuration, for the tabs Text and HParams."""
        config = self.subject.config
        plain = {k: v for k, v in config.items() if isinstance(v, (bool, int, float, str))}
        self._add(0, [_text("config", config.items())])
        self._add(0, hparams.hparams_pb(plain).value)

    def put(self, rows: Sequence[Row]) -> None:
        """Write an event for each row."""
        value = summary_pb2.Summary.Value
        for row in rows:
            self._add(row.step, [value(tag=k, simple_value=v) for k, v in row.values.items()])
        self.writer.flush()

    def _add(self, step: int, values: Iterable[summary_pb2.Summary.Value]) -> None:
        summary = summary_pb2.Summary(value=values)
        self.writer.add_event(event_pb2.Event(step=step, wall_time=time.time(), summary=summary))

    def end(self, status: str) -> None:
        """Close the file."""
        self.writer.close()


def last_step(path: Path) -> int:
    """The last step of the rows in an event file, -1 without any; a torn end is left out."""
    last = -1
    for event in LegacyEventFileLoader(str(path)).Load():
        if any(value.HasField("simple_value") for value in event.summary.value):
            last = max(last, event.step)
    return last


def _text(tag: str, items: Iterable[tuple[str, object]]) -> summary_pb2.Summary.Value:
    """A table that the Text tab shows."""
    lines = ["| key | value |", "|---|---|", *(f"| `{k}` | `{_cell(v)}` |" for k, v in items)]
    shape = tensor_shape_pb2.TensorShapeProto.Dim(size=1)
    return summary_pb2.Summary.Value(
        tag=tag,
        metadata=summary_pb2.SummaryMetadata(
            plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="text")
        ),
        tensor=tensor_pb2.TensorProto(
            dtype=DT_STRING,
            string_val=["\n".join(lines).encode()],
            tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=[shape]),
        ),
    )


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("`", "'").replace("\n", " ")
