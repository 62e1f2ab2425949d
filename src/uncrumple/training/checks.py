"""Mistakes answered before training starts: arguments, data, and data against model and loss.

Everything here looks at shapes, or reads the data once. What cannot work is
an error; what is legal but surely wrong is a warning. Each says what came,
what was expected and the line to type.
"""

from __future__ import annotations

import inspect
import math
import numbers
from typing import Any

import torch

from uncrumple import losses as losses_room
from uncrumple import metrics as metrics_room
from uncrumple.core import tree
from uncrumple.core.errors import explain, unknown_argument, warn
from uncrumple.core.quick_torch import without_compiler
from uncrumple.data.batches import ArrayBatches, split_tail, unpack_x_y_sample_weight
from uncrumple.data.convert import to_tensors
from uncrumple.layers import symbolic
from uncrumple.training.last_layer import activation_of_output, starts_with_scaling


def raise_unknown(owner: str, function: Any, kwargs: dict[str, Any]) -> None:
    """Raise for keyword arguments that a method does not have, with did-you-mean."""
    known = [name for name, p in inspect.signature(function).parameters.items() if p.kind is not p.VAR_KEYWORD]
    raise TypeError(unknown_argument(f"{owner}()", next(iter(kwargs)), known))


# --- compile ---------------------------------------------------------------------------


def check_identifiers(loss: Any, metrics: Any, weighted_metrics: Any) -> None:
    """Look up every name that `compile` got, so that a misspelling is found there and not in `fit`."""
    shaped = ("accuracy", "acc", "crossentropy", "ce")
    for one in tree.flatten(loss):
        if (isinstance(one, str) and one.lower() not in shaped) or (
            one is not None and not callable(one) and not isinstance(one, (str, losses_room.Loss))
        ):
            losses_room.get(one)
    for argument, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
        if isinstance(given, str) or (given is not None and callable(given) and not isinstance(given, (list, dict))):
            shown = repr(given) if isinstance(given, str) else getattr(given, "__name__", type(given).__name__)
            raise ValueError(explain(f"compile got {argument}={shown}.", "Expected a list.", f"{argument}=[{shown}]"))
        for one in tree.flatten(given):
            if isinstance(one, str) and one.lower() not in shaped:
                metrics_room.get(one)


# --- arguments of fit --------------------------------------------------------------------


def check_fit_arguments(**given: Any) -> None:
    """Refuse impossible numbers."""
    share: Any
    freq: Any
    for name, minimum, optional in (
        ("batch_size", 1, True),
        ("epochs", 0, False),
        ("initial_epoch", 0, False),
        ("steps_per_epoch", 1, True),
        ("validation_steps", 1, True),
    ):
        value = given[name]
        if value is None and optional:
            continue
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
            raise ValueError(
                explain(
                    f"fit got {name}={value!r}.",
                    f"Expected a whole number of at least {minimum}.",
                    f"{name}={ {'batch_size': 32, 'epochs': 10}.get(name, minimum) }",
                )
            )
    share = given["validation_split"]
    if share is not None and (not isinstance(share, numbers.Real) or isinstance(share, bool) or not 0 <= share < 1):
        raise ValueError(
            explain(
                f"fit got validation_split={share!r}.",
                "Expected a share of the samples: at least 0, less than 1.",
                f"validation_split={share / 100:g}"
                if isinstance(share, numbers.Real) and 2 <= share < 100
                else "validation_split=0.2",
            )
        )
    if given["verbose"] not in ("auto", 0, 1, 2, True, False):
        raise ValueError(
            explain(
                f"fit got verbose={given['verbose']!r}.",
                'Expected 0, 1, 2 or "auto".',
                "verbose=2 for one line per epoch",
            )
        )
    freq = given["validation_freq"]
    if not (isinstance(freq, numbers.Integral) and freq >= 1) and not isinstance(freq, (list, tuple, set, range)):
        raise ValueError(
            explain(
                f"fit got validation_freq={freq!r}.",
                "Expected a whole number of at least 1, or a list of epochs.",
                "validation_freq=1",
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
    try:
        x, y, sample_weight = to_tensors(x, "x"), to_tensors(y, "y"), to_tensors(sample_weight, "sample_weight")
    except ValueError as error:
        if hasattr(x, "__iter__") and not hasattr(x, "__array__") and not isinstance(x, (list, tuple, dict)):
            raise ValueError(
                explain(
                    f"validation_split={share} was given with a {type(x).__name__}.",
                    "Expected arrays: the last part of them is cut off.",
                    "make two data sets, and pass one as validation_data=",
                )
            ) from None
        raise error
    from uncrumple.data.batches import check_lengths

    check_lengths(x, y, sample_weight)
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


# --- data --------------------------------------------------------------------------------


def check_data(model: Any, batches: Any, x_name: str, y_name: str) -> None:
    """Build the model, and compare it, its loss and the data; refuse what cannot work.

    The shapes are settled once for each set of shapes; values are read whenever new arrays come.
    """
    x, y, sample_weight = unpack_x_y_sample_weight(batches.first())
    whole = (
        (batches.x, batches.y, batches.sample_weight) if isinstance(batches, ArrayBatches) else (x, y, sample_weight)
    )
    signature = tree.map_structure(
        lambda leaf: (tuple(leaf.shape[1:]), leaf.dtype) if leaf is not None else None, (x, y, sample_weight)
    )
    known = model.__dict__.setdefault("_signatures_seen", {})
    key = (str(signature), id(model._compile_loss), id(model._compile_metrics))
    if key in known and isinstance(batches, ArrayBatches) and batches.steps == 1:
        return  # one batch at a time, of a kind that was looked at before
    check_finite(whole[0], x_name)
    check_finite(whole[1], y_name)
    check_finite(whole[2], "sample_weight")
    check_weights(whole[2])
    check_embeddings(model, whole[0], x_name)
    y_pred = try_out(model, x)
    if key not in known:
        warn_if_unscaled(model, whole[0], x_name)
    if y is not None and model._compile_loss is not None:
        meta_y = tree.map_structure(lambda leaf: None if leaf is None else leaf.to("meta"), y)
        _check_output_rank(model, y_pred, y)
        if not model._compile_loss.built:
            model._compile_loss.build(meta_y, y_pred)
        check_targets(model, whole[1], y_pred, x, y_name, new=key not in known)
        _try_loss(model, meta_y, y_pred, sample_weight)
        if model._compile_metrics is not None and not model._compile_metrics.built:
            model._compile_metrics.build(meta_y, y_pred)
    elif y is None and model._compile_loss is not None and type(model).train_step is _default_step():
        raise ValueError(
            explain(
                f"No targets came with {x_name}, and the model was compiled with a loss.",
                "Expected y, the right answers.",
                "model.fit(x, y, ...)",
            )
        )
    known[key] = True


def _default_step() -> Any:
    from uncrumple.training.loop import Steps

    return Steps.train_step


def check_inputs_of(model: Any, batches: Any) -> None:
    """Compare data for `predict` with the model's inputs."""
    x = unpack_x_y_sample_weight(batches.first())[0]
    if model._graph is not None:
        model._graph.arrange(x)
    if isinstance(batches, ArrayBatches):
        check_embeddings(model, batches.x, "x")


def check_finite(structure: Any, name: str) -> None:
    """Refuse NaN and infinity, naming the column and the first row."""
    for position, leaf in enumerate(tree.flatten(structure)):
        if leaf is None or not leaf.is_floating_point() or not leaf.numel() or math.isfinite(float(leaf.sum())):
            continue
        bad = ~torch.isfinite(leaf)
        count = int(bad.sum())
        if not count:
            continue  # the sum overflowed, the numbers are fine
        where = bad.nonzero()[0].tolist()
        what = "NaN" if torch.isnan(leaf[tuple(where)]) else "infinity"
        shown = name if not tree.is_nested(structure) else f"{name}[{position}]"
        place = f"row {where[0]}" + (
            f", column {where[1]}" if leaf.ndim == 2 else f", at {tuple(where[1:])}" if leaf.ndim > 2 else ""
        )
        rows = int(bad.reshape(bad.shape[0], -1).any(1).sum())
        columns = sorted(set(bad.nonzero()[:, 1].tolist())) if leaf.ndim == 2 else []
        inside = f" in column{'s' * (len(columns) != 1)} {', '.join(map(str, columns[:5]))}" if columns else ""
        raise ValueError(
            explain(
                f"{shown} holds {what} at {place}; {count} such value{'s' * (count != 1)} in {rows} of {leaf.shape[0]} rows{inside}.",
                "Expected finite numbers: one NaN turns every weight into NaN.",
                f"{name} = np.nan_to_num({name}), or drop these rows",
            )
        )


def check_weights(structure: Any) -> None:
    """Refuse negative sample weights."""
    for leaf in tree.flatten(structure):
        if leaf is not None and leaf.numel() and float(leaf.min()) < 0:
            row = int((leaf.reshape(leaf.shape[0], -1) < 0).any(1).nonzero()[0])
            raise ValueError(
                explain(
                    f"sample_weight holds {float(leaf.min()):g} (first in row {row}).",
                    "Expected weights of at least 0: a negative one would unlearn.",
                    "np.clip(sample_weight, 0, None)",
                )
            )


def check_embeddings(model: Any, structure: Any, name: str) -> None:
    """Refuse indices that an Embedding right behind an input does not have."""
    if model._graph is None:
        return
    try:
        given = model._graph.arrange(structure)
    except ValueError:
        raise
    for index, tensor in enumerate(model._graph.flat_inputs):
        for layer in model._graph.layers:
            rows = getattr(layer, "input_dim", None)
            if type(layer).__name__ != "Embedding" or rows is None:
                continue
            if not any(
                tensor is source for node in layer._nodes if node in model._graph.depths for source in node.inputs
            ):
                continue
            leaf = given[index]
            low, high = int(leaf.min()), int(leaf.max())
            if low < 0 or high >= rows:
                bad = low if low < 0 else high
                row = int(((leaf < 0) | (leaf >= rows)).reshape(leaf.shape[0], -1).any(1).nonzero()[0])
                raise ValueError(
                    explain(
                        f"{name} holds the index {bad} (first bad row: {row}), and {layer.label} has {rows} rows.",
                        f"Expected indices from 0 to {rows - 1}.",
                        f"Embedding(input_dim={high + 1}, ...)"
                        if low >= 0
                        else f"check what made {name}: indices count from 0",
                    )
                )


def warn_if_unscaled(model: Any, structure: Any, name: str) -> None:
    """Warn about images whose numbers run to 255 and that nothing scales down."""
    for leaf in tree.flatten(structure):
        if (
            leaf is None
            or leaf.ndim < 2
            or (leaf.ndim == 2 and leaf.shape[1] < 64)
            or (leaf.ndim == 3 and leaf.dtype != torch.uint8)
        ):
            continue
        part = leaf[:256]
        low, high = float(part.min()), float(part.max())
        whole = not part.is_floating_point() or bool((part == part.round()).all())
        if low >= 0 and 128 <= high <= 255 and whole and not starts_with_scaling(model):
            warn(
                f"{name} of shape {tuple(leaf.shape)} holds whole numbers from {low:g} to {high:g}: unscaled images?",
                "Expected numbers of about 0 to 1; larger ones make training slow or unstable.",
                f"{name} = {name} / 255, or Rescaling(1 / 255) as the first layer",
            )


def try_out(model: Any, x: Any) -> Any:
    """Run the model on one batch without numbers (or, for code that needs them, with), and return its outputs.

    Builds what is not built.
    """
    meta = tree.map_structure(lambda leaf: leaf.to("meta") if isinstance(leaf, torch.Tensor) else leaf, x)
    if not model.built and model._graph is None:
        if model._build_parameters and type(model).build is not _model_build():
            model.build(tree.map_structure(lambda leaf: (None, *tuple(leaf.shape)[1:]), x))
    mode = model.training
    model.eval()
    try:
        with symbolic.probing():
            return model(meta)
    except (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError) as error:
        if symbolic.is_explained(error):
            raise
    finally:
        model.train(mode)
    state = torch.get_rng_state()
    model.eval()
    try:
        with torch.no_grad():
            return model(x)
    except Exception as error:
        if symbolic.is_explained(error):
            raise
        raise model._explained(error, [tuple(leaf.shape) for leaf in tree.flatten(x)]) from None
    finally:
        torch.set_rng_state(state)
        model.train(mode)


def _model_build() -> Any:
    from uncrumple.layers.base import Layer

    return Layer.build


# --- targets against outputs and loss -------------------------------------------------------


def _check_output_rank(model: Any, y_pred: Any, y: Any) -> None:
    """Find the forgotten Flatten: one answer per sample wanted, a grid of answers given."""
    if tree.is_nested(y_pred) or tree.is_nested(y):
        return
    if y_pred.ndim > 2 and y.ndim <= 2 and y.ndim < y_pred.ndim:
        sparse = y.ndim == y_pred.ndim - 1
        if sparse and y.shape[1:] == y_pred.shape[1:-1]:
            return
        pooled = "Flatten()" if y_pred.ndim > 3 else "Flatten(), or return_sequences=False in the last recurrent layer,"
        raise ValueError(
            explain(
                f"The model's output has shape {(None, *tuple(y_pred.shape)[1:])}, and y has shape {tuple(y.shape)}: "
                f"one answer per sample.",
                "Expected an output of shape (None, classes), or (None, 1).",
                f"add {pooled} before the last Dense",
            )
        )


def _try_loss(model: Any, y: Any, y_pred: Any, sample_weight: Any) -> None:
    """Run the loss on shapes alone, so that targets of a wrong shape are found now."""
    meta = tree.map_structure(lambda leaf: leaf.to("meta") if isinstance(leaf, torch.Tensor) else leaf, y_pred)
    weight = tree.map_structure(lambda leaf: leaf.to("meta") if isinstance(leaf, torch.Tensor) else leaf, sample_weight)
    trackers = model._compile_loss.metrics
    try:
        with without_compiler(), torch.no_grad():
            model._compile_loss(y, meta, weight)
    except (RuntimeError, NotImplementedError, TypeError) as error:
        if symbolic.is_explained(error):
            raise
        # A loss of the user's that looks at values cannot be tried on shapes.
    finally:
        for tracker in trackers:
            tracker.reset_state()


def check_targets(model: Any, y: Any, y_pred: Any, x: Any, y_name: str, *, new: bool) -> None:
    """Compare the values of the targets with what each loss and its output can mean."""
    from uncrumple.training.compiled import by_output, names_of_outputs, targets_by_output

    names = names_of_outputs(y_pred, model.output_names)
    targets, outputs = targets_by_output(y, names, model._compile_loss._given), by_output(y_pred, names)
    for index, loss, _, _ in model._compile_loss._terms:
        target, output = targets[index], outputs[index]
        if target is None or not isinstance(output, torch.Tensor):
            continue
        where = y_name if len(names) == 1 else f"{y_name}[{index if names[index] is None else repr(names[index])}]"
        kind = _kind(loss)
        if kind == "sparse_categorical_crossentropy":
            _check_class_numbers(target, output, where, loss)
        elif kind == "categorical_crossentropy":
            _check_one_hot(target, output, where)
        elif kind == "binary_crossentropy":
            _check_binary(target, output, where)
        elif kind is not None:
            _check_same_shape(target, output, where, kind)
        if new:
            _check_activation(model, index, kind, loss, output, x, len(names) == 1)


def _kind(loss: Any) -> str | None:
    """Return the name of the measure behind a built-in loss."""
    function = getattr(loss, "fn", None)
    name = getattr(function, "__name__", None)
    return name if getattr(function, "__module__", "").startswith("uncrumple.") else None


def _check_same_shape(y: torch.Tensor, output: torch.Tensor, where: str, kind: str) -> None:
    wanted = tuple(output.shape)[1:]
    given = tuple(y.shape)[1:]
    if (
        given == wanted
        or (wanted and wanted[-1] == 1 and given == wanted[:-1])
        or (given and given[-1] == 1 and given[:-1] == wanted)
    ):
        return
    units = given[-1] if given else 1
    raise ValueError(
        explain(
            f"{where} has shape {tuple(y.shape)}, and the model's output has shape {(None, *wanted)}; {kind} compares them number by number.",
            f"Expected {where} of shape {(y.shape[0], *wanted)}.",
            f"let the last layer have {units} unit{'s' * (units != 1)}: Dense({units})"
            if len(given) <= 1
            else f"reshape {where} to {(y.shape[0], *wanted)}",
        )
    )


def _check_class_numbers(y: torch.Tensor, output: torch.Tensor, where: str, loss: Any) -> None:
    classes = output.shape[-1]
    if y.ndim == output.ndim and y.shape[-1] == classes and classes > 1:
        raise ValueError(
            explain(
                f"{where} has shape {tuple(y.shape)}: one-hot rows; sparse_categorical_crossentropy takes class numbers.",
                f"Expected {where} of shape {tuple(y.shape)[:-1]}, with numbers from 0 to {classes - 1}.",
                'loss="categorical_crossentropy"',
            )
        )
    if classes == 1:
        raise ValueError(
            explain(
                "sparse_categorical_crossentropy was given a model with one output unit.",
                "Expected one unit per class.",
                'Dense(1, activation="sigmoid") with loss="binary_crossentropy" for two classes',
            )
        )
    if y.is_floating_point() and not bool((y == y.round()).all()):
        row = int((y != y.round()).reshape(y.shape[0], -1).any(1).nonzero()[0])
        raise ValueError(
            explain(
                f"{where} holds {float(y.reshape(y.shape[0], -1)[row, 0]):g} in row {row}: not a class number.",
                f"Expected whole numbers from 0 to {classes - 1}.",
                'loss="mse" to predict numbers',
            )
        )
    ignored = getattr(loss, "ignore_class", None)
    kept = y if ignored is None else y[y != ignored]
    if not kept.numel():
        return
    low, high = int(kept.min()), int(kept.max())
    if low >= 0 and high < classes:
        return
    if low == 1 and high == classes:
        fix = f"{where} - 1"
        expected = f"Expected numbers from 0 to {classes - 1}, as the output has {classes} units."
    else:
        fix = (
            f"Dense({high + 1}, ...) as the last layer"
            if low >= 0
            else f"names, {where} = np.unique({where}, return_inverse=True)"
        )
        expected = f"Expected numbers from 0 to {classes - 1}: the output has {classes} units."
    raise ValueError(explain(f"{where} holds class numbers from {low} to {high}.", expected, fix))


def _check_one_hot(y: torch.Tensor, output: torch.Tensor, where: str) -> None:
    classes = output.shape[-1]
    if classes == 1:
        raise ValueError(
            explain(
                "categorical_crossentropy was given a model with one output unit.",
                "Expected one unit per class.",
                'Dense(1, activation="sigmoid") with loss="binary_crossentropy" for two classes',
            )
        )
    if y.ndim < output.ndim or (y.shape[-1] == 1):
        raise ValueError(
            explain(
                f"{where} has shape {tuple(y.shape)}: class numbers; categorical_crossentropy takes one-hot rows.",
                f"Expected {where} of shape {(y.shape[0], *tuple(output.shape)[1:])}.",
                f'loss="sparse_categorical_crossentropy", or {where} = uncrumple.utils.to_categorical({where}, {classes})',
            )
        )
    if y.shape[-1] != classes:
        raise ValueError(
            explain(
                f"{where} has {y.shape[-1]} classes (shape {tuple(y.shape)}), and the output has {classes} units.",
                "Expected as many units as classes.",
                f"Dense({y.shape[-1]}, ...) as the last layer",
            )
        )
    if float(y.min()) < 0 or float(y.max()) > 1:
        raise ValueError(
            explain(
                f"{where} holds numbers from {float(y.min()):g} to {float(y.max()):g}.",
                "Expected one-hot rows: 0 or 1, one 1 in each.",
                f'uncrumple.utils.to_categorical(class_numbers, {classes}), or loss="mse" for numbers',
            )
        )


def _check_binary(y: torch.Tensor, output: torch.Tensor, where: str) -> None:
    units = output.shape[-1]
    if (y.ndim < output.ndim and units > 1) or (y.ndim == output.ndim and y.shape[-1] == 1 and units > 1):
        raise ValueError(
            explain(
                f"{where} has shape {tuple(y.shape)}, and the output has {units} units; binary_crossentropy asks each unit a yes-or-no question.",
                f"Expected {where} of shape {(y.shape[0], *tuple(output.shape)[1:])}.",
                'loss="sparse_categorical_crossentropy" for one of several classes, or Dense(1, activation="sigmoid") for two',
            )
        )
    _check_same_shape(y, output, where, "binary_crossentropy")
    low, high = float(y.min()), float(y.max())
    if low < 0 or high > 1:
        two = y.unique().numel() == 2
        fix = (
            f"{where} = ({where} == {high:g}).astype('float32')"
            if two
            else 'loss="sparse_categorical_crossentropy" with one unit per class'
        )
        raise ValueError(
            explain(f"{where} holds numbers from {low:g} to {high:g}.", "Expected 0 for no and 1 for yes.", fix)
        )


_CROSSENTROPIES = ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy")


def _check_activation(model: Any, index: int, kind: str | None, loss: Any, output: Any, x: Any, single: bool) -> None:
    """Warn about a last activation that does not go with the loss."""
    if kind not in _CROSSENTROPIES:
        if kind in ("mean_squared_error", "mean_absolute_error") and output.shape[-1] == 1:
            if activation_of_output(model, index, x if single else None) == "softmax":
                _warn_one_unit("softmax")
        return
    found = activation_of_output(model, index, x if single else None)
    binary = kind == "binary_crossentropy"
    wanted = "sigmoid" if binary else "softmax"
    from_logits = bool(getattr(loss, "from_logits", False) or getattr(loss, "_fn_kwargs", {}).get("from_logits", False))
    if found == "softmax" and output.shape[-1] == 1:
        _warn_one_unit("softmax")
    elif from_logits and found in ("softmax", "sigmoid"):
        warn(
            f"The last layer ends with {found}, and the loss has from_logits=True: {found} would be applied twice.",
            f"Expected either {found} in the model, or from_logits=True.",
            "from_logits=False in the loss, or activation=None in the last layer",
        )
    elif not from_logits and found in ("linear", "relu", "tanh", "leaky_relu", "elu", "gelu", "selu", "silu"):
        ends = "without an activation" if found == "linear" else f"with {found}"
        warn(
            f"The last layer ends {ends}, and {kind} with from_logits=False takes probabilities.",
            f"Expected {wanted} in the last layer, or from_logits=True.",
            f'Dense({output.shape[-1]}, activation="{wanted}")',
        )


def _warn_one_unit(activation: str) -> None:
    warn(
        f"The last layer has one unit and {activation}: its output is always 1.",
        "Expected sigmoid for one unit: a number between 0 and 1.",
        'Dense(1, activation="sigmoid")',
    )
