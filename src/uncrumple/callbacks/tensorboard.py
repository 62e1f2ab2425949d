"""Curves, histograms, pictures, embeddings and profiles for TensorBoard."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import torch

from uncrumple.callbacks import files
from uncrumple.callbacks.callback import Callback, Logs
from uncrumple.callbacks.learning_rate_scheduler import log_learning_rates
from uncrumple.callbacks.logs import as_float
from uncrumple.core.errors import explain, warn


class TensorBoard(Callback):
    """Write what TensorBoard shows; look at it with `tensorboard --logdir logs`.

    Needs `pip install "uncrumple[tensorboard]"`.

    Training goes to the folder `train` and validation to `validation` within
    `log_dir`: `epoch_...` curves by epoch, `batch_...` by batch (counted from
    1 through all epochs), `evaluation_..._vs_iterations` by steps of the optimizer.

    Args:
        log_dir: The folder to write to.
        histogram_freq: Every how many epochs to write histograms of all weights; 0 never.
        write_graph: Whether to write the model's summary, as text.
        write_images: Whether to write weights as pictures along with the histograms.
        write_steps_per_second: Whether to write the speed, of epochs and
            (with `update_freq`) of batches.
        update_freq: `"epoch"`, or write batch curves too: `"batch"` for every
            batch, a number for every so many. Each such batch is waited for.
        profile_batch: The batch to profile, or (first, last), counted from 1;
            0 for none. Written as a trace of torch's profiler.
        embeddings_freq: Every how many epochs to write the `Embedding` layers' vectors; 0 never.
        embeddings_metadata: The file with a label for each vector, one in a
            line, or {layer name: file}; sought also in `log_dir`. If lines
            have several columns (tabs between), the first line names them.

    Raises:
        ImportError: TensorBoard is not installed; raised when training begins.

    Example:
        >>> board = TensorBoard("logs", update_freq=100, profile_batch=(10, 20))
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        super().__init__()
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = _whole("histogram_freq", histogram_freq)
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = _update_freq(update_freq)
        self.embeddings_freq = _whole("embeddings_freq", embeddings_freq)
        self.embeddings_metadata = embeddings_metadata
        self._profiled = _profiled(profile_batch)
        self._writers: dict[str, Any] = {}
        self._summary_due = False
        self._in_fit = False
        self._batch = 0
        self._batch_began = 0.0
        self._epoch_began = (0, 0.0)
        self._profiler: Any = None

    def _idle_batch_hooks(self) -> tuple[Any, ...]:
        mine = TensorBoard
        if self._profiled or (self.update_freq != "epoch" and self.write_steps_per_second):
            return ()
        begin = mine.on_train_batch_begin
        return (begin,) if self.update_freq != "epoch" else (begin, mine.on_train_batch_end)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self._close()
        self._summary_due = self.write_graph

    # --- training -------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        _summary_writer()
        files.check_writable(self.log_dir, "TensorBoard")
        if self.embeddings_freq:
            self._check_metadata()
        self._in_fit = True
        self._batch = 0
        self._write_summary()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._in_fit = False
        self._stop_profiler()
        self._close()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.write_steps_per_second:
            self._epoch_began = (int(self.model.optimizer.iterations), perf_counter())

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._write_summary()
        self._write_epoch(epoch, {} if logs is None else logs)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            self._write_embeddings(epoch)
        self._flush()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._batch_began = perf_counter()
        if self._profiled and self._profiler is None and self._batch + 1 == self._profiled[0]:
            self._start_profiler()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._batch += 1
        if self._profiler is not None and self._profiled and self._batch >= self._profiled[1]:
            self._stop_profiler()
        if self.update_freq == "epoch" or self._batch % int(self.update_freq):
            return
        writer = self._writer("train")
        if self.write_steps_per_second:
            writer.add_scalar("batch_steps_per_second", 1 / max(perf_counter() - self._batch_began, 1e-9), self._batch)
        for name, value in _scalars({} if logs is None else logs):
            writer.add_scalar(f"batch_{name}", value, self._batch)

    def on_test_end(self, logs: Logs | None = None) -> None:
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None and hasattr(optimizer, "iterations"):
            step = int(optimizer.iterations)
            for name, value in _scalars({} if logs is None else logs):
                self._writer("validation").add_scalar(f"evaluation_{name}_vs_iterations", value, step)
        if self._in_fit:
            return
        self._close()

    # --- what is written ------------------------------------------------------------

    def _write_epoch(self, epoch: int, logs: Logs) -> None:
        if not logs:
            return
        of_training = {name: value for name, value in logs.items() if not name.startswith("val_")}
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None:
            log_learning_rates(getattr(optimizer, "inner_optimizer", optimizer), of_training)
        if self.write_steps_per_second:
            steps, began = self._epoch_began
            seconds = max(perf_counter() - began, 1e-9)
            of_training["steps_per_second"] = (int(self.model.optimizer.iterations) - steps) / seconds
        for name, value in _scalars(of_training):
            self._writer("train").add_scalar(f"epoch_{name}", value, epoch)
        for name, value in _scalars(logs):
            if name.startswith("val_"):
                self._writer("validation").add_scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)

    def _write_summary(self) -> None:
        """Write the model's summary once, as soon as the model is built."""
        if self._summary_due and getattr(self.model, "built", True):
            self._summary_due = False
            lines: list[str] = []
            self.model.summary(print_fn=lambda text, *_, **__: lines.append(str(text)))
            # Four spaces: TensorBoard reads Markdown, where they keep columns in line.
            text = "\n".join("    " + line for line in "\n".join(lines).splitlines())
            self._writer("train").add_text("model", text, 0)

    def _write_weights(self, epoch: int) -> None:
        writer = self._writer("train")
        for layer in self.model.layers:
            for weight in layer.weights:
                name = weight.path.replace(":", "_")
                value = weight.detach().float().cpu()
                # add_histogram refuses NaN; one bad weight must not end the training.
                finite = value[torch.isfinite(value)]
                if finite.numel():
                    writer.add_histogram(f"{name}/histogram", finite, epoch)
                if self.write_images and (pictures := _pictures(value)) is not None:
                    writer.add_images(f"{name}/image", pictures, epoch, dataformats="NHWC")

    def _write_embeddings(self, epoch: int) -> None:
        for layer in self._embedding_layers():
            path = self._metadata_path(layer.name)
            labels, header = _labels(path) if path else (None, None)
            vectors = layer.embeddings.detach().float().cpu()
            if labels is not None and len(labels) != len(vectors):
                raise ValueError(
                    explain(
                        f"TensorBoard found {len(labels)} labels in {path!r} for the layer '{layer.name}'.",
                        f"Expected one for each of its {len(vectors)} vectors.",
                        f"write {len(vectors)} lines into the file",
                    )
                )
            self._writer("train").add_embedding(
                vectors, metadata=labels, metadata_header=header, global_step=epoch, tag=layer.name
            )

    def _embedding_layers(self) -> Iterator[Any]:
        for layer in self.model.layers:
            table = getattr(layer, "embeddings", None)
            if isinstance(table, torch.Tensor) and table.ndim == 2:
                yield layer

    def _metadata_path(self, layer_name: str) -> str | None:
        given = self.embeddings_metadata
        path = given.get(layer_name) if isinstance(given, dict) else given
        if path is None:
            return None
        found = os.path.join(self.log_dir, path)
        return found if not os.path.exists(path) and os.path.exists(found) else os.fspath(path)

    def _check_metadata(self) -> None:
        names = [layer.name for layer in self._embedding_layers()]
        if isinstance(self.embeddings_metadata, dict):
            unknown = [name for name in self.embeddings_metadata if name not in names]
            if unknown:
                raise ValueError(
                    explain(
                        f"TensorBoard got embeddings_metadata for {unknown}.",
                        f"Expected names of Embedding layers of the model: {', '.join(names) or 'it has none'}.",
                        "give the layer that name: Embedding(..., name='words')",
                    )
                )
        for name in names:
            path = self._metadata_path(name)
            if path is not None and not os.path.isfile(path):
                raise FileNotFoundError(
                    explain(
                        f"TensorBoard found no file {path!r} with the labels for the layer '{name}'.",
                        "Expected a text file with one label in each line.",
                        "write it before training, or leave embeddings_metadata out",
                    )
                )

    # --- profile --------------------------------------------------------------------

    def _start_profiler(self) -> None:
        kinds = [torch.profiler.ProfilerActivity.CPU]
        if torch.cuda.is_available():
            kinds.append(torch.profiler.ProfilerActivity.CUDA)
        folder = os.path.join(self.log_dir, "train")
        try:
            profiler = torch.profiler.profile(
                activities=kinds, on_trace_ready=torch.profiler.tensorboard_trace_handler(folder)
            )
            profiler.start()
        except Exception as error:
            # Somebody else may be profiling; no reason to end a training.
            self._warn_profiler("start", error)
            self._profiled = None
        else:
            self._profiler = profiler

    def _stop_profiler(self) -> None:
        profiler, self._profiler = self._profiler, None
        if profiler is not None:
            try:
                profiler.stop()
            except Exception as error:
                self._warn_profiler("stop", error)

    def _warn_profiler(self, what: str, error: Exception) -> None:
        warn(
            f"TensorBoard could not {what} torch's profiler: {error}",
            "Expected no other profiler to be at work.",
            "profile_batch=0",
        )

    # --- writers --------------------------------------------------------------------

    def _writer(self, name: str) -> Any:
        if name not in self._writers:
            self._writers[name] = _summary_writer()(os.path.join(self.log_dir, name))
        return self._writers[name]

    def _flush(self) -> None:
        for writer in self._writers.values():
            writer.flush()

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            explain(
                f"The callback TensorBoard needs the package tensorboard: {error}.",
                "Expected it to be installed.",
                'pip install "uncrumple[tensorboard]"',
            )
        ) from error
    return SummaryWriter


def _scalars(logs: Logs) -> Iterator[tuple[str, float]]:
    for name, value in logs.items():
        value = as_float(value)
        if isinstance(value, float):
            yield name, value


def _pictures(value: torch.Tensor) -> torch.Tensor | None:
    """Return a weight as grey pictures: (pictures, height, width, 1), or None if it has too many axes.

    Up to two axes make one picture, wider than it is high; the last of three counts the pictures.
    """
    value = torch.nan_to_num(value.squeeze())
    if value.ndim > 3:
        return None
    if value.ndim == 3:
        value = value.permute(2, 0, 1)
    else:
        value = value.reshape(1, -1) if value.ndim < 2 else value if value.shape[0] <= value.shape[1] else value.T
        value = value[None]
    low, high = value.min(), value.max()
    value = (value - low) / (high - low) if high > low else torch.zeros_like(value)
    return value[..., None]


def _labels(path: str) -> tuple[list[Any], list[str] | None]:
    with open(path, encoding="utf-8") as file:
        rows = file.read().splitlines()
    if any("\t" in row for row in rows):
        header, *table = (row.split("\t") for row in rows)
        return table, header
    return rows, None


def _whole(name: str, value: Any) -> int:
    with contextlib.suppress(TypeError, ValueError):
        if int(value) == value and value >= 0:
            return int(value)
    raise ValueError(
        explain(
            f"TensorBoard got {name}={value!r}.",
            "Expected a number of epochs, or 0 for never.",
            f"TensorBoard({name}=1)",
        )
    )


def _update_freq(value: Any) -> str | int:
    if value == "epoch":
        return "epoch"
    if value == "batch":
        return 1
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ValueError(
        explain(
            f"TensorBoard got update_freq={value!r}.",
            "Expected 'epoch', 'batch', or a number of batches.",
            "TensorBoard(update_freq='epoch')",
        )
    )


def _profiled(value: Any) -> tuple[int, int] | None:
    """Return (first, last) batch to profile, or None. The older spelling "10,20" is fine too."""
    with contextlib.suppress(TypeError, ValueError, IndexError):
        parts = value.split(",") if isinstance(value, str) else value if isinstance(value, (tuple, list)) else [value]
        first, last = int(parts[0]), int(parts[-1])
        if len(parts) <= 2 and (first, last) == (0, 0):
            return None
        if len(parts) <= 2 and 1 <= first <= last:
            return first, last
    raise ValueError(
        explain(
            f"TensorBoard got profile_batch={value!r}.",
            "Expected a batch counted from 1, or (first, last), or 0 for none.",
            "TensorBoard(profile_batch=(10, 20))",
        )
    )
