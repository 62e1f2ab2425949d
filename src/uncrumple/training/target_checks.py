"""Targets compared with the outputs of the model and with the loss: what cannot be meant is said before training."""

from __future__ import annotations

import math
from typing import Any

import torch

from uncrumple.core import own_parts, tree
from uncrumple.core.errors import explain, warn
from uncrumple.core.quick_torch import without_compiler
from uncrumple.layers import failures, symbolic
from uncrumple.training.compiled import by_output, names_of_outputs, targets_by_output
from uncrumple.training.last_layer import activation_of_output, last_layer, typed

_CROSSENTROPIES = ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy")
_OF_NUMBERS = ("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "huber", "log_cosh")
_OF_EQUAL_SHAPES = (
    *("mean_squared_logarithmic_error", "poisson", "kl_divergence", "cosine_similarity", "hinge", "squared_hinge"),
    *("categorical_hinge", "binary_focal_crossentropy", "categorical_focal_crossentropy", "dice", "tversky"),
)
_NO_PROBABILITIES = ("linear", "relu", "tanh", "leaky_relu", "elu", "gelu", "selu", "silu", "swish")
# What an activation can give at least and at most.
_REACH = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "softplus": (0.0, math.inf),
    "exponential": (0.0, math.inf),
}
# A few targets out of reach may be noise, or come from scaling by the numbers of other data.
_FEW = 0.1


def code(name: str) -> str:
    """Return the name of data as it could be typed: `validation_y` for "validation y"."""
    return name.replace(" ", "_")


def try_loss(model: Any, y: Any, y_pred: Any, sample_weight: Any) -> None:
    """Run the loss on one batch, without numbers or on made-up ones, so that what does not fit is found now."""
    loss = model._compile_loss

    def on(kind: str) -> Any:
        made = (tree.map_structure(lambda leaf: _made_up(leaf, kind), part) for part in (y_pred, y, sample_weight))
        predicted, targets, weights = made
        for leaf in tree.flatten(predicted):
            if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
                leaf.requires_grad_(True)
        with without_compiler(), torch.enable_grad():
            return loss(targets, predicted, weights)

    name = getattr(loss._only, "name", "loss") if loss.built else "loss"
    try:
        try:
            value = on("meta")
        except Exception as error:
            if symbolic.is_explained(error):
                raise
            value = on("real")
    except Exception as error:
        raise _failed("loss", name, y, y_pred, error) from None
    finally:
        for tracker in loss.metrics:
            tracker.reset_state()
    if isinstance(value, torch.Tensor) and not value.requires_grad and model.trainable_weights:
        raise ValueError(
            explain(
                f"{getattr(loss._only, '_who', f'The loss {name!r}')} gives a number that no gradient reaches.",
                "Expected torch operations on y_pred that have a gradient.",
                "no NumPy, .item(), .detach(), argmax or comparison between y_pred and what the loss returns",
            )
        )


def try_metrics(model: Any, y: Any, y_pred: Any) -> None:
    """Run each metric on one batch of made-up predictions, and reset it."""
    compiled = model._compile_metrics
    if compiled is None:
        return
    names = names_of_outputs(y_pred, model.output_names)
    targets, outputs = targets_by_output(y, names, model._compile_loss._given), by_output(y_pred, names)
    for index, metric, name, _ in compiled._entries:
        target, output = targets[index], outputs[index]
        if not isinstance(target, torch.Tensor) or not isinstance(output, torch.Tensor):
            continue
        try:
            with torch.no_grad():
                metric.update_state(target, _made_up(output, "real", target.device))
                if own_parts.is_own(metric):
                    metric.result()
        except Exception as error:
            raise _failed("metric", name, target, output, error) from None
        finally:
            metric.reset_state()


def _made_up(leaf: Any, kind: str, device: Any = None) -> Any:
    """Return a tensor like `leaf`: without numbers, or, where it has none, with 0.5 everywhere."""
    if not isinstance(leaf, torch.Tensor):
        return leaf
    if kind == "meta":
        return leaf.detach().to("meta")
    if not leaf.is_meta:
        return leaf.detach()
    made = torch.empty(leaf.shape, dtype=leaf.dtype, device=device or torch.get_default_device())
    return made.fill_(0.5 if leaf.is_floating_point() else 0)


def _failed(what: str, name: str, y: Any, y_pred: Any, error: Exception) -> Exception:
    if symbolic.is_explained(error) or getattr(error, "__notes__", None) or own_parts.is_of_the_machine(error):
        return error
    shapes = [
        " and ".join(str(tuple(leaf.shape)) for leaf in tree.flatten(part) if isinstance(leaf, torch.Tensor))
        for part in (y, y_pred)
    ]
    kind = type(error) if type(error) in (TypeError, ValueError, AttributeError, IndexError) else ValueError
    return kind(
        explain(
            f"The {what} '{name}' failed on y of shape {shapes[0]} and y_pred of shape {shapes[1]}: "
            f"{failures.in_words(error)}.",
            f"Expected a {what} that works for these shapes.",
            failures.line_of_the_user(error) or f"check whether this {what} goes with this output",
        )
    ).with_traceback(error.__traceback__)


# --- values ---------------------------------------------------------------------------------


def check_targets(model: Any, y: Any, y_pred: Any, x: Any, y_name: str, *, new: bool) -> None:
    """Compare the values of the targets with what each loss and its output can mean."""
    names = names_of_outputs(y_pred, model.output_names)
    targets, outputs = targets_by_output(y, names, model._compile_loss._given), by_output(y_pred, names)
    for index, loss, _, _ in model._compile_loss._terms:
        target, output = targets[index], outputs[index]
        if target is None or not isinstance(output, torch.Tensor):
            continue
        where = y_name if len(names) == 1 else f"{y_name}[{index if names[index] is None else repr(names[index])}]"
        kind = _kind(loss)
        if kind in _CROSSENTROPIES or kind in _OF_NUMBERS or kind in _OF_EQUAL_SHAPES:
            _check_samples(model, output, tree.flatten(x)[0].shape[0])
            _check_rank(model, index, target, output, where)
        if kind == "sparse_categorical_crossentropy":
            _check_class_numbers(target, output, where, loss)
        elif kind == "categorical_crossentropy":
            _check_one_hot(target, output, where)
        elif kind == "binary_crossentropy":
            _check_binary(target, output, where)
        elif kind in _OF_NUMBERS or kind in _OF_EQUAL_SHAPES:
            _check_same_shape(target, output, where, kind)
        if new and kind is not None:
            found = activation_of_output(model, index, x if len(names) == 1 else None)
            if kind in _CROSSENTROPIES:
                _check_activation(model, index, kind, loss, output, found)
            elif kind in _OF_NUMBERS:
                _check_reach(model, index, target, output, where, found)
                _check_accuracy(model, index, target, where)


def _kind(loss: Any) -> str | None:
    """Return the name of the measure behind a built-in loss."""
    function = getattr(loss, "fn", None)
    name = getattr(function, "__name__", None)
    return name if getattr(function, "__module__", "").startswith("uncrumple.") else None


def _check_samples(model: Any, y_pred: torch.Tensor, samples: int) -> None:
    """Find the layer of a user's own that has lost the axis of samples."""
    if y_pred.ndim and y_pred.shape[0] == samples:
        return
    layers = [] if model._graph is None else model._graph.layers
    guilty = [layer for layer in layers if _loses_samples(layer)]
    who = f"{guilty[0]._label}: its call() returned the shape {guilty[0].output.shape}" if guilty else ""
    code = own_parts.code_name(guilty[0], "call") if guilty else f"{type(model).__name__}.call"
    raise ValueError(
        explain(
            who + ", whatever the number of samples."
            if guilty
            else f"The model's output has shape {tuple(y_pred.shape)} for {samples} samples.",
            "Expected one row per sample: the first axis of the input stays the first axis of the output.",
            f"inputs.mean(-1) in place of inputs.mean(0), and inputs.shape[0] for the number of samples, in {code}",
        )
    )


def _loses_samples(layer: Any) -> bool:
    if not own_parts.is_own(layer) or len(layer._nodes) != 1 or not isinstance(layer.output, torch.Tensor):
        return False
    before = layer.input if isinstance(layer.input, torch.Tensor) else None
    return before is not None and before.shape[:1] == (None,) and tuple(layer.output.shape[:1]) != (None,)


def _check_rank(model: Any, index: int, y: torch.Tensor, y_pred: torch.Tensor, y_name: str) -> None:
    """Find the forgotten Flatten: one answer per sample wanted, a grid of answers given."""
    if y_pred.ndim <= 2 or y.ndim > 2 or y.ndim >= y_pred.ndim or y.shape[1:] == y_pred.shape[1:-1]:
        return
    layers = [] if model._graph is None else model._graph.layers
    sequences = [layer for layer in layers if getattr(layer, "return_sequences", False)]
    before = last_layer(model, index) or "the last Dense"
    fix = f"add Flatten() before {before}"
    if sequences and y_pred.ndim == 3:
        fix = f"leave out return_sequences=True in {sequences[-1]._label}, or {fix}"
    raise ValueError(
        explain(
            f"The model's output has shape {(None, *tuple(y_pred.shape)[1:])}, and {y_name} has shape "
            f"{tuple(y.shape)}: one answer per sample.",
            f"Expected an output of shape {(None, y_pred.shape[-1])}.",
            fix,
        )
    )


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
    if len(wanted) == 1 and given in ((), (1,)) and _are_class_numbers(y, wanted[0]):
        fix = f'loss="sparse_categorical_crossentropy" for classes, or Dense({units}) to predict a number'
    elif len(given) <= 1 and len(wanted) <= 1:
        fix = f"Dense({units}) as the last layer"
    elif math.prod(given) == math.prod(wanted):
        fix = f"{code(where)} = {code(where)}.reshape({(-1, *wanted)})"
    else:
        fix = f"change the layers until the output has shape {(None, *given)}, or make targets of its size"
    raise ValueError(
        explain(
            f"{where} has shape {tuple(y.shape)}, and the model's output has shape {(None, *wanted)}; "
            f"{kind} compares number by number.",
            f"Expected {where} of shape {(y.shape[0], *wanted)}.",
            fix,
        )
    )


def _are_class_numbers(y: torch.Tensor, classes: int) -> bool:
    return float(y.min()) >= 0 and float(y.max()) < classes and not (y.is_floating_point() and bool((y % 1).any()))


def _check_places(y: torch.Tensor, output: torch.Tensor, where: str, places: tuple[int, ...], wanted: str) -> None:
    """Compare the axes between samples and classes: a place of an image or a sequence each."""
    if places == tuple(output.shape)[1:-1]:
        return
    shape = (y.shape[0], *tuple(output.shape)[1:-1], *([output.shape[-1]] if wanted == "one-hot row" else []))
    raise ValueError(
        explain(
            f"{where} has shape {tuple(y.shape)}, and the model's output has shape {(None, *tuple(output.shape)[1:])}.",
            f"Expected {where} of shape {shape}: one {wanted} per place of the output.",
            f"change the layers until the output has shape {(None, *places, output.shape[-1])}"
            if places
            else f"add Flatten() before the last layer, or one {wanted} per place to {code(where)}",
        )
    )


def _check_one_unit(output: torch.Tensor, kind: str) -> None:
    if output.shape[-1] == 1:
        raise ValueError(
            explain(
                f"The loss is {kind}, and the model has one output unit.",
                "Expected one unit per class.",
                'Dense(1, activation="sigmoid") with loss="binary_crossentropy" for two classes',
            )
        )


def _check_class_numbers(y: torch.Tensor, output: torch.Tensor, where: str, loss: Any) -> None:
    classes, name = output.shape[-1], code(where)
    if y.ndim == output.ndim and y.shape[-1] == classes and classes > 1:
        raise ValueError(
            explain(
                f"{where} has shape {tuple(y.shape)}: one-hot rows; sparse_categorical_crossentropy takes class numbers.",
                f"Expected {where} of shape {tuple(y.shape)[:-1]}, with numbers from 0 to {classes - 1}.",
                'loss="categorical_crossentropy"',
            )
        )
    _check_one_unit(output, "sparse_categorical_crossentropy")
    given = tuple(y.shape)[1:]
    _check_places(
        y, output, where, given[:-1] if len(given) == output.ndim - 1 and given[-1] == 1 else given, "class number"
    )
    if y.is_floating_point() and not bool((y == y.round()).all()):
        row = int((y != y.round()).reshape(y.shape[0], -1).any(1).nonzero()[0])
        bad = float(y.reshape(y.shape[0], -1)[row][y.reshape(y.shape[0], -1)[row] % 1 != 0][0])
        raise ValueError(
            explain(
                f"{where} holds {bad:g} in row {row}, which is no class number.",
                f"Expected whole numbers from 0 to {classes - 1}.",
                'loss="mse" and Dense(1) as the last layer, to predict numbers',
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
        fix = f"{name} = {name} - 1"
    elif low >= 0:
        fix = f"Dense({high + 1}, ...) as the last layer: one unit per class"
    else:
        fix = f"names, {name} = np.unique({name}, return_inverse=True)"
    raise ValueError(
        explain(
            f"{where} holds class numbers from {low} to {high}, and the output has {classes} units.",
            f"Expected class numbers from 0 to {classes - 1}.",
            fix,
        )
    )


def _check_one_hot(y: torch.Tensor, output: torch.Tensor, where: str) -> None:
    classes, name = output.shape[-1], code(where)
    _check_one_unit(output, "categorical_crossentropy")
    if y.ndim < output.ndim or (y.shape[-1] == 1):
        raise ValueError(
            explain(
                f"{where} has shape {tuple(y.shape)}: class numbers; categorical_crossentropy takes one-hot rows.",
                f"Expected {where} of shape {(y.shape[0], *tuple(output.shape)[1:])}.",
                f'loss="sparse_categorical_crossentropy", or {name} = uncrumple.utils.to_categorical({name}, {classes})',
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
    _check_places(y, output, where, tuple(y.shape)[1:-1], "one-hot row")
    low, high = float(y.min()), float(y.max())
    if low < 0 or high > 1:
        raise ValueError(
            explain(
                f"{where} holds numbers from {low:g} to {high:g}; categorical_crossentropy takes one-hot rows.",
                "Expected 0 and 1, one 1 in each row.",
                f'{name} = uncrumple.utils.to_categorical(class_numbers, {classes}), or loss="mse" to predict numbers',
            )
        )


def _check_binary(y: torch.Tensor, output: torch.Tensor, where: str) -> None:
    units, name = output.shape[-1], code(where)
    if units > 1 and (y.ndim < output.ndim or y.shape[-1] == 1):
        raise ValueError(
            explain(
                f"{where} has shape {tuple(y.shape)}, and the output has {units} units: "
                "binary_crossentropy asks each a yes-or-no question.",
                f"Expected {where} of shape {(y.shape[0], *tuple(output.shape)[1:])}.",
                'Dense(1, activation="sigmoid") for two classes, or loss="sparse_categorical_crossentropy" for several',
            )
        )
    _check_same_shape(y, output, where, "binary_crossentropy")
    low, high = float(y.min()), float(y.max())
    if low >= 0 and high <= 1:
        return
    values = y.unique()
    if values.numel() == 2:
        fix = f"{name} = ({name} == {high:g}).astype('float32')"
    elif _are_class_numbers(y, 1000):
        fix = f'Dense({int(high) + 1}, activation="softmax") with loss="sparse_categorical_crossentropy"'
    else:
        fix = 'loss="mse" and no activation in the last layer, to predict numbers'
    raise ValueError(
        explain(
            f"{where} holds numbers from {low:g} to {high:g}; binary_crossentropy takes no and yes.",
            "Expected 0 for no and 1 for yes.",
            fix,
        )
    )


# --- the last activation --------------------------------------------------------------------


def _check_activation(model: Any, index: int, kind: str, loss: Any, output: Any, found: str | None) -> None:
    """Warn about a last activation that does not go with the loss."""
    layer = last_layer(model, index) or "The last layer"
    units = output.shape[-1]
    wanted = "sigmoid" if kind == "binary_crossentropy" else "softmax"
    from_logits = bool(getattr(loss, "from_logits", False) or getattr(loss, "_fn_kwargs", {}).get("from_logits", False))
    if found == "softmax" and units == 1:
        _warn_one_unit(model, index)
    elif from_logits and found in ("softmax", "sigmoid"):
        warn(
            f"{layer} ends with {found}, and the loss has from_logits=True, which applies {found} again.",
            f"Expected {found} in one of the two places.",
            f"from_logits=False in the loss, or no activation in {layer}",
        )
    elif not from_logits and found in _NO_PROBABILITIES:
        ends = "has no activation" if found == "linear" else f"ends with {found}"
        warn(
            f"{layer} {ends}, and {kind} takes probabilities.",
            f"Expected {wanted} in the last layer, or from_logits=True in the loss.",
            f"{typed(model, index, units, wanted)}, or {type(loss).__name__}(from_logits=True)",
        )
    elif not from_logits and found == "sigmoid" and wanted == "softmax":
        warn(
            f"{layer} ends with sigmoid, and {kind} is for one of {units} classes.",
            "Expected softmax: probabilities that sum to 1.",
            f'{typed(model, index, units, wanted)}, or loss="binary_crossentropy" if several can be true at once',
        )


def _warn_one_unit(model: Any, index: int) -> None:
    warn(
        f"{last_layer(model, index) or 'The last layer'} has one unit and softmax: its output is always 1.",
        "Expected sigmoid for one unit: a number between 0 and 1.",
        typed(model, index, 1, "sigmoid"),
    )


def _check_reach(model: Any, index: int, y: torch.Tensor, output: Any, where: str, found: str | None) -> None:
    """Warn about targets that the last activation cannot give."""
    if found == "softmax" and output.shape[-1] == 1:
        _warn_one_unit(model, index)
        return
    if found not in _REACH:
        return
    least, most = _REACH[found]
    low, high = float(y.min()), float(y.max())
    if low >= least and high <= most:
        return
    if float(((y < least) | (y > most)).float().mean()) <= _FEW:
        return
    between = f"between {least:g} and {most:g}" if most < math.inf else "never below 0"
    warn(
        f"{last_layer(model, index) or 'The last layer'} ends with {found}, whose output is {between}; "
        f"{where} holds numbers from {low:g} to {high:g}.",
        "Expected a last activation that can give these numbers.",
        f"{typed(model, index, output.shape[-1], None)} without an activation, or scale {code(where)}",
    )


def _check_accuracy(model: Any, index: int, y: torch.Tensor, where: str) -> None:
    """Warn about an accuracy of numbers that are not classes."""
    compiled = model._compile_metrics
    if compiled is None or not y.is_floating_point():
        return
    names = [name for place, metric, name, _ in compiled._entries if place == index and _is_accuracy(metric)]
    broken = y[y % 1 != 0] if names else y[:0]
    if len(broken) > _FEW * y.numel():
        warn(
            f"The metric '{names[0]}' counts exact hits, and {where} holds numbers such as {float(broken[0]):g}.",
            "Expected a metric of how far off the predictions are.",
            'metrics=["mae"]',
        )


def _is_accuracy(metric: Any) -> bool:
    return type(metric).__name__.endswith("Accuracy") and type(metric).__module__.startswith("uncrumple.")
