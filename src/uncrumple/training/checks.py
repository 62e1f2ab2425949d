"""Mistakes answered before training starts: arguments, data, and data against model and loss.

Everything here looks at shapes, or reads the data once. What cannot work is
an error; what is legal but surely wrong is a warning. Each says what came,
what was expected and the line to type.
"""

from __future__ import annotations

import numbers
from typing import Any

from uncrumple import losses as losses_room
from uncrumple import metrics as metrics_room
from uncrumple import optimizers as optimizers_room
from uncrumple.callbacks.monitor import MonitorCallback
from uncrumple.core import registry, tree
from uncrumple.core.errors import explain, warn
from uncrumple.data.batches import ArrayBatches, unpack_x_y_sample_weight
from uncrumple.data.disk import first_rows, to_arrays
from uncrumple.data.from_arguments import check_lengths, split_tail
from uncrumple.training.data_checks import (
    check_embeddings,
    check_finite,
    check_gradients,
    check_weights,
    refuse_text,
    try_out,
    warn_if_unscaled,
)
from uncrumple.training.first_numbers import check_first_numbers
from uncrumple.training.target_checks import check_targets, try_loss, try_metrics

# --- compile ---------------------------------------------------------------------------


def check_identifiers(optimizer: Any, loss: Any, metrics: Any, weighted_metrics: Any) -> None:
    """Look up every name that `compile` got, so that a misspelling is found there and not in `fit`."""
    shaped = ("accuracy", "acc", "crossentropy", "ce")
    for one in tree.flatten(loss):
        if _is_optimizer(one):
            given = repr(one) if isinstance(one, str) else type(one).__name__
            other = repr(optimizer) if isinstance(optimizer, str) else "..."
            raise ValueError(
                explain(
                    f"compile got loss={given}, which is an optimizer.",
                    "Expected the optimizer first and the loss second.",
                    f"model.compile(optimizer={given}, loss={other})",
                )
            )
        if (isinstance(one, str) and one.lower() not in shaped) or (
            one is not None and not callable(one) and not isinstance(one, (str, losses_room.Loss))
        ):
            losses_room.get(one)
    for argument, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
        if isinstance(given, str) or (given is not None and callable(given) and not isinstance(given, (list, dict))):
            shown = repr(given) if isinstance(given, str) else getattr(given, "__name__", type(given).__name__)
            raise ValueError(explain(f"compile got {argument}={shown}.", "Expected a list.", f"{argument}=[{shown}]"))
        for one in tree.flatten(given):
            if isinstance(one, str) and one.lower() in shaped:
                continue
            if isinstance(one, str) or not (one is None or callable(one)):
                metrics_room.get(one)


def _is_optimizer(one: Any) -> bool:
    if isinstance(one, str):
        return one.lower() in {name.lower() for name in registry.builtins("optimizers")}
    return isinstance(one, optimizers_room.Optimizer)


# --- arguments of fit, evaluate and predict ------------------------------------------------

# Least value, and a value to type.
_WHOLE = {
    "batch_size": (1, 32),
    "epochs": (0, 10),
    "initial_epoch": (0, 0),
    "steps_per_epoch": (1, 100),
    "validation_steps": (1, 10),
    "validation_batch_size": (1, 32),
    "steps": (1, 10),
}


def check_arguments(method: str, **given: Any) -> None:
    """Refuse impossible values of arguments of `fit`, `evaluate` and `predict`."""
    for name, value in given.items():
        if name in _WHOLE:
            _check_whole(method, name, value)
    share, frequency = given.get("validation_split"), given.get("validation_freq", 1)
    if share is not None and (not isinstance(share, (int, float)) or isinstance(share, bool) or not 0 <= share < 1):
        percent = isinstance(share, (int, float)) and 2 <= share < 100
        raise ValueError(
            explain(
                f"{method} got validation_split={share!r}.",
                "Expected a share of the samples: at least 0, less than 1.",
                f"validation_split={share / 100:g}" if percent else "validation_split=0.2",
            )
        )
    if given["verbose"] not in ("auto", 0, 1, 2, True, False):
        raise ValueError(
            explain(
                f"{method} got verbose={given['verbose']!r}.",
                'Expected 0, 1, 2 or "auto".',
                "verbose=2 for one line per epoch, verbose=0 for none",
            )
        )
    listed = isinstance(frequency, (list, tuple, set, range))
    if not listed and not (isinstance(frequency, numbers.Integral) and int(frequency) >= 1):
        raise ValueError(
            explain(
                f"{method} got validation_freq={frequency!r}.",
                "Expected a whole number of at least 1, or a list of epochs.",
                "validation_freq=1",
            )
        )


def _check_whole(method: str, name: str, value: Any) -> None:
    least, example = _WHOLE[name]
    if value is None and name not in ("epochs", "initial_epoch"):
        return
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < least:
        try:
            meant = int(float(value))
        except (TypeError, ValueError):
            meant = -1
        raise ValueError(
            explain(
                f"{method} got {name}={value!r}.",
                f"Expected a whole number of at least {least}.",
                f"{name}={meant if meant >= max(least, 1) else example}",
            )
        )


def split_for_validation(
    x: Any, y: Any, sample_weight: Any, validation_data: Any, share: float
) -> tuple[Any, Any, Any, Any]:
    """Cut the validation part off the end of arrays, if `validation_split` asks for it."""
    if not share or validation_data is not None:
        if isinstance(validation_data, (tuple, list)) and len(validation_data) not in (1, 2, 3):
            raise ValueError(
                explain(
                    f"validation_data has {len(validation_data)} parts.",
                    "Expected (x, y), or (x, y, sample_weight).",
                    "validation_data=(x_validation, y_validation)",
                )
            )
        return x, y, sample_weight, validation_data
    if getattr(x, "_is_raw_data", False):
        raise ValueError(
            explain(
                f"validation_split={share} was given with data of the kind {type(x).__name__}.",
                "Expected parts of it: its last rows may all be of one class.",
                "parts = uncrumple.data.split(x); fit(parts.train, validation_data=parts.validation)",
            )
        )
    if hasattr(x, "__iter__") and not hasattr(x, "__array__") and not isinstance(x, (list, tuple, dict, str)):
        raise ValueError(
            explain(
                f"validation_split={share} was given with a {type(x).__name__}.",
                "Expected arrays: the last part of them is cut off.",
                "make two data sets, and pass one as validation_data=",
            )
        )
    x, y, sample_weight = to_arrays(x, "x", text=True), to_arrays(y, "y"), to_arrays(sample_weight, "sample_weight")
    check_lengths(x, y, sample_weight)
    # Here, where rows have the numbers that the user knows them by.
    check_finite(first_rows(x), "x", "x, y")
    check_finite(first_rows(y), "y", "x, y")
    train, validation = split_tail(x, y, sample_weight, share)
    return (*train, validation)


def warn_if_trainable_changed(model: Any) -> None:
    """Warn if layers were frozen or thawed after `compile`."""
    before, now = model._trainable_when_compiled, model._trainable_state()
    changed = [name for name, value in now.items() if name in before and before[name] is not value]
    if changed:
        model._trainable_when_compiled = now
        shown = ", ".join(f"'{name}'" for name in changed[:3]) + (", ..." if len(changed) > 3 else "")
        state = "trainable" if now[changed[0]] else "frozen"
        warn(
            f"trainable was changed after compile(): {shown} {'is' if len(changed) == 1 else 'are'} {state} now.",
            "Expected compile() after it; the optimizer trains what was trainable when it was first used.",
            "model.compile(...) again, then fit",
        )


def check_monitors(model: Any, callbacks: Any, validation: bool) -> None:
    """Tell callbacks that watch a metric which there will be, so that they can say now what they miss.

    Nothing is told where other code may log more: a `train_step` or a callback of the user's own.
    """
    if type(model).train_step is not _default_step():
        return
    if not all(type(callback).__module__.startswith("uncrumple.") for callback in callbacks):
        return
    names = [name for metric in model.metrics for name in (getattr(metric, "names", None) or [metric.name])]
    if validation:
        names += [f"val_{name}" for name in names]
    for callback in callbacks:
        if isinstance(callback, MonitorCallback):
            callback.check_monitor(names)


# --- data --------------------------------------------------------------------------------


def check_data(model: Any, batches: Any, x_name: str = "x", y_name: str = "y", *, again: bool = True) -> None:
    """Build the model, and compare it, its loss and the data; refuse what cannot work.

    Args:
        model: The model.
        batches: The data.
        x_name, y_name: What they are called, for messages.
        again: Whether to read the values of data whose shapes are known already: not for single batches.
    """
    x, y, sample_weight = unpack_x_y_sample_weight(batches.first())
    whole = (x, y, sample_weight)
    if isinstance(batches, ArrayBatches):
        whole = first_rows((batches.x, batches.y, batches.sample_weight))
    signature = tree.map_structure(
        lambda leaf: (tuple(leaf.shape[1:]), leaf.dtype) if leaf is not None else None, (x, y, sample_weight)
    )
    known = model.__dict__.setdefault("_signatures_seen", {})
    key = (str(signature), id(model._compile_loss), id(model._compile_metrics))
    if key in known and not again:
        return
    refuse_text(model, x, x_name)
    together = f"{x_name}, {y_name}" if y is not None else x_name
    if not any(getattr(layer, "_fills_gaps", False) for layer in model._flatten_layers()):
        check_finite(whole[0], x_name, together)
    check_finite(whole[1], y_name, together)
    check_finite(whole[2], "sample_weight")
    check_weights(whole[2])
    if _has_steps_only(model):
        return
    if model._graph is not None:
        model._take_other_sizes(x)
        model._graph.arrange(x, x_name, getattr(batches, "samples", None))
    y_pred = try_out(model, x)
    check_embeddings(model, whole[0], x_name)
    training = x_name == "x"  # what is wrong with the model is said once, not for the validation data again
    if key not in known:
        check_gradients(model, x)
        if training or not known.get("unscaled"):
            known["unscaled"] = warn_if_unscaled(model, whole[0], x_name)
    if y is not None and model._compile_loss is not None:
        _build_compiled(model, y, y_pred)
        check_targets(model, whole[1], y_pred, x, y_name, new=key not in known and training)
        if key not in known:
            try_loss(model, y, y_pred, sample_weight)
            try_metrics(model, y, y_pred)
            if training and again:
                check_first_numbers(model, x, y, sample_weight)
    elif y is None and model._compile_loss is not None and type(model).train_step is _default_step():
        fix = "pass y too, as in model.fit(x, y)" if x_name == "x" else "validation_data=(x_validation, y_validation)"
        raise ValueError(
            explain(
                f"No targets came with {x_name}, and the model was compiled with a loss.",
                "Expected y, the right answers.",
                fix,
            )
        )
    known[key] = True


def _build_compiled(model: Any, y: Any, y_pred: Any) -> None:
    """Settle which loss and which metrics belong to which output."""
    meta = tree.map_structure(lambda leaf: None if leaf is None else leaf.to("meta"), y)
    for compiled in (model._compile_loss, model._compile_metrics):
        if compiled is not None and not compiled.built:
            compiled.build(meta, y_pred)


def _default_step() -> Any:
    from uncrumple.training.loop import Steps

    return Steps.train_step


def _has_steps_only(model: Any) -> bool:
    """Return whether a model has a `train_step` or `test_step` of its own and no `call`, as a GAN or an autoencoder may."""
    from uncrumple.training.loop import Steps

    own_steps = type(model).train_step is not Steps.train_step or type(model).test_step is not Steps.test_step
    return own_steps and model._graph is None and type(model).call.__module__ == "uncrumple.models.network"


def check_inputs_of(model: Any, batches: Any) -> None:
    """Compare data for `predict` with the model's inputs."""
    x = unpack_x_y_sample_weight(batches.first())[0]
    refuse_text(model, x, "x")
    if model._graph is not None:
        model._take_other_sizes(x)
        model._graph.arrange(x, "x", getattr(batches, "samples", None))
    if isinstance(batches, ArrayBatches):
        check_embeddings(model, first_rows(batches.x), "x")
