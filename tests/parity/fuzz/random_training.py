"""Training at random: what is asked of an output, losses, metrics, optimizers, schedules, callbacks."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from random_layers import Draw, layer, weights
from recipes import Part

# --- goals: what one output answers -----------------------------------------------------


@dataclasses.dataclass
class Goal:
    """What one output answers: the last layer, targets for it, and what may judge them.

    Attributes:
        kind: "numbers", "amounts" (above zero), "bits", "classes" (one-hot), "labels", "vectors" or "text" (CTC).
        units: The width of the output.
        last: The activation of the last layer.
        logits: Whether the output is logits.
        column: Whether labels and single numbers have an axis of size one at the end.
    """

    kind: str
    units: int
    last: str | None
    logits: bool
    column: bool

    def layer(self, draw: Draw) -> Part:
        return layer("Dense", weights(draw, kernel=2), units=self.units, activation=self.last)

    def targets(self, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Return targets for an output of this shape, the batch included."""
        if self.kind == "numbers":
            found = random.normal(size=shape).astype("float32")
            return found if self.column or shape[-1] > 1 else found[..., 0]
        if self.kind == "amounts":
            return (random.gamma(2.0, size=shape) + 0.2).astype("float32")
        if self.kind == "bits":
            found = random.integers(0, 2, shape)
            return found.astype(random.choice(["float32", "int32", "int64"]))
        if self.kind == "vectors":
            return random.integers(0, 3, shape[0])
        if self.kind == "text":
            return random.integers(1, shape[-1], (shape[0], 2)).astype("int32")
        labels = random.integers(0, shape[-1], shape[:-1])
        if self.kind == "classes":
            return np.eye(shape[-1], dtype="float32")[labels]
        return labels[..., None] if self.column else labels


def goal(draw: Draw, rank: int) -> Goal:
    """Return a goal for an output of this rank (without the batch)."""
    kind = draw.pick("numbers", "numbers", "amounts", "bits", "bits", "classes", "labels", "labels")
    if rank == 1 and draw.chance(0.03):
        kind = "vectors"
    if rank == 2 and draw.chance(0.05):
        kind = "text"
    logits = draw.chance(0.35)
    units = draw.randint(3, 5) if kind in ("classes", "labels", "vectors", "text") else draw.pick(1, 1, 2, 3)
    last = {
        "numbers": draw.pick(None, None, "tanh"),
        "amounts": draw.pick("softplus", "softplus", "exponential"),
        "bits": None if logits else "sigmoid",
        "classes": None if logits else "softmax",
        "labels": None if logits else "softmax",
        "vectors": None,
        "text": None,
    }[kind]
    return Goal(kind, units, last, logits, draw.chance(0.5))


# --- losses ---------------------------------------------------------------------------


def loss(draw: Draw, goal: Goal, own: bool = True) -> Any:
    """Return a loss for a goal; `own` says whether functions of the user's own may be it."""
    if draw.chance(0.3) and not goal.logits:
        names = {
            "numbers": ["mse", "mean_squared_error", "mae", "huber", "log_cosh", "MeanSquaredError"],
            "amounts": ["msle", "poisson", "mse", "mean_absolute_percentage_error"],
            "bits": ["binary_crossentropy", "mse", "BinaryCrossentropy"],
            "classes": ["categorical_crossentropy", "kl_divergence", "mse", "CategoricalCrossentropy"],
            "labels": ["sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"],
            "vectors": ["circle"],
            "text": ["ctc"],
        }
        return draw.choice(names[goal.kind])
    if own and goal.kind == "numbers" and (goal.column or goal.units > 1) and draw.chance(0.15):
        return Part("own", "squared_and_absolute")
    if goal.kind == "numbers" and draw.chance(0.1):
        return Part("function", draw.pick("mean_squared_error", "huber"), {"room": "losses"})
    name, settings = _loss(draw, goal)
    reduction = draw.pick("sum", "mean", "mean_with_sample_weight", "sum_over_batch_size")
    return Part("losses", name, settings | draw.some(0.3, reduction=reduction))


def _loss(draw: Draw, goal: Goal) -> tuple[str, dict[str, Any]]:
    logits: dict[str, Any] = {"from_logits": True} if goal.logits else {}
    smooth = draw.some(0.4, label_smoothing=draw.number(0, 0.3))
    alone = [] if goal.logits else [("MeanSquaredError", {})]
    if goal.kind == "numbers":
        return draw.pick(
            ("MeanSquaredError", {}),
            ("MeanAbsoluteError", {}),
            ("Huber", {"delta": draw.number(0.3, 1.5)}),
            ("LogCosh", {}),
            ("CosineSimilarity", {}) if goal.units > 1 else ("MeanSquaredError", {}),
        )
    if goal.kind == "amounts":
        return draw.pick(("MeanSquaredLogarithmicError", {}), ("Poisson", {}), ("MeanAbsolutePercentageError", {}))
    if goal.kind == "bits":
        focal = {"gamma": draw.number(0.5, 3), "alpha": draw.number(0.1, 0.9)}
        focal |= draw.some(0.5, apply_class_balancing=True)
        return draw.pick(
            *(2 * [("BinaryCrossentropy", logits | smooth)]),
            ("BinaryFocalCrossentropy", logits | smooth | focal),
            ("Hinge", {}),
            ("SquaredHinge", {}),
            *alone,
            *([] if goal.logits else [("Dice", {}), ("Tversky", {"alpha": 0.3, "beta": draw.number(0.3, 0.8)})]),
        )
    if goal.kind == "classes":
        more = [("KLDivergence", {}), ("Dice", {"axis": -1}), ("Tversky", {"axis": -1})]
        more = [] if goal.logits else more
        return draw.pick(
            *(2 * [("CategoricalCrossentropy", logits | smooth)]),
            ("CategoricalFocalCrossentropy", logits | smooth | {"gamma": draw.number(0.5, 3)}),
            ("CategoricalHinge", {}),
            *more,
            *alone,
        )
    if goal.kind == "labels":
        ignored = draw.some(0.2, ignore_class=draw.randint(0, goal.units - 1))
        if not goal.logits and not goal.column and draw.chance(0.15):  # Keras multiplies a column out
            return "CategoricalGeneralizedCrossEntropy", {"q": draw.number(0.2, 0.9)}
        return "SparseCategoricalCrossentropy", logits | ignored
    if goal.kind == "vectors":
        return "Circle", {"gamma": draw.number(1, 5), "margin": draw.number(0.2, 0.5)}
    return "CTC", {}


# --- metrics --------------------------------------------------------------------------


def metrics(draw: Draw, goal: Goal, own: bool = True) -> list[Any]:
    """Return up to three metrics for a goal."""
    choices = _metrics(draw, goal)
    if own and goal.kind == "numbers" and (goal.column or goal.units > 1):
        choices.append(Part("own", "largest_error"))
    return draw.sample(choices, min(len(choices), draw.pick(1, 1, 2, 3)))


def _metrics(draw: Draw, goal: Goal) -> list[Any]:
    def metric(name: str, **settings: Any) -> Part:
        return Part("metrics", name, settings)

    if goal.kind in ("vectors", "text"):
        return []
    if goal.kind == "numbers":
        found = ["mae", "mse", metric("RootMeanSquaredError"), metric("MeanSquaredError"), metric("LogCoshError")]
        if goal.units > 1:
            found += ["cosine_similarity", metric("CosineSimilarity"), metric("PearsonCorrelation")]
            found += [metric("ConcordanceCorrelation")]
        return found
    if goal.kind == "amounts":
        return ["mape", metric("MeanSquaredLogarithmicError"), metric("Poisson"), metric("MeanAbsolutePercentageError")]
    if goal.kind == "bits":
        found = ["accuracy", metric("BinaryAccuracy", threshold=draw.number(0.3, 0.7))]
        found += [metric("BinaryCrossentropy", from_logits=goal.logits), metric("Hinge"), metric("SquaredHinge")]
        found += [metric("AUC", from_logits=goal.logits, **_auc(draw))]
        if not goal.logits:
            thresholds = {"thresholds": draw.pick(0.4, [0.3, 0.6])} if draw.chance(0.5) else {}
            counts = ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives", "Precision", "Recall")
            found += [metric(draw.choice(counts), **thresholds), metric(draw.choice(counts))]
            found += [metric("BinaryIoU", threshold=draw.number(0.3, 0.7))]
            found += [metric("SensitivityAtSpecificity", specificity=draw.number(0.2, 0.8), num_thresholds=20)]
            found += [metric("SpecificityAtSensitivity", sensitivity=draw.number(0.2, 0.8))]
            found += [metric("PrecisionAtRecall", recall=draw.number(0.2, 0.8))]
            found += [metric("RecallAtPrecision", precision=draw.number(0.2, 0.8))]
        return found
    top, which = draw.randint(1, 3), draw.randrange(goal.units)
    if goal.kind == "classes":
        found = ["accuracy", metric("TopKCategoricalAccuracy", k=top), metric("CategoricalHinge")]
        found += [metric("CategoricalCrossentropy", from_logits=goal.logits), "categorical_accuracy"]
        found += [metric("OneHotMeanIoU", num_classes=goal.units), metric("Precision", top_k=top)]
        found += [metric("OneHotIoU", num_classes=goal.units, target_class_ids=[which])]
        if not goal.logits:
            found += [metric("KLDivergence"), metric("Recall", class_id=which), metric("AUC", **_auc(draw))]
        return found
    found = ["accuracy", "sparse_categorical_accuracy", metric("SparseTopKCategoricalAccuracy", k=top)]
    found += [metric("SparseCategoricalCrossentropy", from_logits=goal.logits)]
    if not goal.column:
        found += [metric("MeanIoU", num_classes=goal.units, sparse_y_pred=False)]
        found += [metric("IoU", num_classes=goal.units, target_class_ids=[which], sparse_y_pred=False)]
    return found


def flat_metrics(draw: Draw, goal: Goal) -> list[Part]:
    """Return metrics that only take outputs of rank two."""
    average = draw.pick(None, "micro", "macro", "weighted")
    if goal.kind == "numbers" and (goal.column or goal.units > 1):
        return [Part("metrics", "R2Score", {"class_aggregation": draw.pick("uniform_average", None)})]
    if goal.kind == "classes" and not goal.logits:
        return [Part("metrics", "F1Score", {"average": average})]
    if goal.kind == "bits" and not goal.logits:
        return [
            Part("metrics", "FBetaScore", {"average": average, "beta": 2.0, "threshold": 0.45}),
            Part("metrics", "AUC", {"multi_label": True, "num_labels": goal.units, "num_thresholds": 20}),
        ]
    return []


def _auc(draw: Draw) -> dict[str, Any]:
    return {
        "num_thresholds": draw.pick(20, 50, 200),
        **draw.some(0.4, curve=draw.pick("PR", "ROC")),
        **draw.some(0.3, summation_method=draw.pick("minoring", "majoring", "interpolation")),
    }


# --- optimizers -----------------------------------------------------------------------

# A fair step size for each.
RATES = {"SGD": 0.0625, "RMSprop": 0.0078125, "Adam": 0.0078125, "AdamW": 0.0078125, "Adamax": 0.015625}
RATES |= {"Adafactor": 0.015625, "Muon": 0.0078125, "ScheduleFreeAdamW": 0.015625}
RATES |= {
    "Nadam": 0.0078125,
    "Adagrad": 0.0625,
    "Adadelta": 0.5,
    "Ftrl": 0.0625,
    "Lion": 0.001953125,
    "Lamb": 0.0078125,
}


def optimizer(draw: Draw) -> Any:
    name = draw.choice([*RATES, "SGD", "SGD", "Adam", "Adam", "RMSprop"])
    # Keras does not find Lamb by name. With Ftrl's usual rate of 0.001, what it keeps are differences of square roots
    # times a thousand: no more than their first two digits are sure.
    if draw.chance(0.1) and name not in ("Lamb", "Ftrl", "ScheduleFreeAdamW"):
        return name.lower()
    settings: dict[str, Any] = {"learning_rate": rate(draw, RATES[name])}
    own: dict[str, dict[str, Any]] = {
        "SGD": {"momentum": draw.number(0.3, 0.95), "nesterov": True},
        "RMSprop": {"rho": draw.number(0.5, 0.95), "momentum": draw.number(0.2, 0.9), "centered": True},
        "Adam": {"beta_1": draw.number(0.5, 0.95), "beta_2": draw.number(0.8, 0.999), "amsgrad": True},
        "AdamW": {"beta_1": draw.number(0.5, 0.95), "weight_decay": draw.number(0.001, 0.1), "amsgrad": True},
        "Adamax": {"beta_1": draw.number(0.5, 0.95), "beta_2": draw.number(0.8, 0.999)},
        "Nadam": {"beta_1": draw.number(0.5, 0.95), "beta_2": draw.number(0.8, 0.999)},
        "Adagrad": {"initial_accumulator_value": draw.number(0.01, 0.3)},
        "Adadelta": {"rho": draw.number(0.6, 0.95)},
        "Ftrl": {
            "learning_rate_power": draw.number(-0.8, -0.3),
            "l1_regularization_strength": draw.number(0, 0.02),
            "l2_regularization_strength": draw.number(0, 0.1),
            "l2_shrinkage_regularization_strength": draw.number(0, 0.1),
            "beta": draw.number(0, 0.5),
        },
        "Lion": {"beta_1": draw.number(0.5, 0.95), "beta_2": draw.number(0.8, 0.99)},
        "Lamb": {"beta_1": draw.number(0.5, 0.95)},
        "Adafactor": {"relative_step": False, "clip_threshold": draw.number(0.5, 2), "beta_2_decay": -0.6},
        "Muon": {"momentum": draw.number(0.5, 0.95), "nesterov": False, "ns_steps": 4, "adam_lr_ratio": 2.0},
        "ScheduleFreeAdamW": {"beta_2": draw.number(0.8, 0.999), "warmup_steps": draw.randint(1, 5)},
    }
    settings |= draw.some(0.5, **own[name])
    if name == "ScheduleFreeAdamW":
        settings["beta_1"] = 1.0  # with Keras on torch, whatever it is counts as 1; ours is that of Keras on JAX
    if name not in ("SGD", "Ftrl", "Lion", "Adafactor"):
        settings |= draw.some(0.4, epsilon=draw.pick(1e-3, 1e-5, 1e-7))
    if name != "AdamW":
        settings |= draw.some(0.15, weight_decay=draw.number(0.001, 0.1))
    if draw.chance(0.3):
        clip = draw.pick("clipnorm", "clipvalue", "global_clipnorm")
        settings[clip] = draw.number(0.05, 0.6)
    if draw.chance(0.2):
        settings |= {"use_ema": True, "ema_momentum": draw.number(0.5, 0.95)}
        settings |= draw.some(0.5, ema_overwrite_frequency=draw.randint(1, 4))
    settings |= draw.some(0.15, gradient_accumulation_steps=draw.randint(2, 4))
    made = Part("optimizers", name, settings)
    if draw.chance(0.05):
        growth = {"initial_scale": 64.0, "dynamic_growth_steps": draw.randint(2, 5)}
        return Part("optimizers", "LossScaleOptimizer", {"inner_optimizer": made, **growth})
    return made


def rate(draw: Draw, usual: float) -> Any:
    """Return a learning rate, or a schedule that begins with it."""
    start = usual * draw.pick(0.5, 1.0, 2.0)
    if draw.chance(0.7):
        return start
    first = {"initial_learning_rate": start, "decay_steps": draw.randint(2, 12)}
    faster = {"decay_rate": draw.number(0.3, 0.9), **draw.some(0.4, staircase=True)}
    name, settings = draw.pick(
        ("ExponentialDecay", first | faster),
        ("InverseTimeDecay", first | faster),
        ("PolynomialDecay", first | {"power": draw.number(0.5, 2), **draw.some(0.4, cycle=True)}),
        ("CosineDecay", first | {"alpha": draw.number(0, 0.3)}),
        ("CosineDecay", first | {"warmup_target": start * 2, "warmup_steps": draw.randint(1, 5)}),
        (
            "CosineDecayRestarts",
            {"initial_learning_rate": start, "first_decay_steps": draw.randint(2, 6), "m_mul": draw.number(0.5, 1)},
        ),
        ("PiecewiseConstantDecay", {"boundaries": [2, 6], "values": [start, start / 2, start / 4]}),
    )
    return Part("optimizers.schedules", name, settings)


# --- callbacks ------------------------------------------------------------------------


def callbacks(draw: Draw, validated: bool, scheduled: bool, averaged: bool) -> list[Part]:
    """Return callbacks that change the training."""
    monitor = "val_loss" if validated and draw.chance(0.7) else "loss"
    found = []
    if draw.chance(0.2):
        more = draw.some(0.4, baseline=draw.number(0.2, 2), start_from_epoch=1, min_delta=draw.number(0, 0.1))
        stopping = {"monitor": monitor, "mode": "min", "patience": draw.randint(0, 1), "restore_best_weights": True}
        found.append(Part("callbacks", "EarlyStopping", stopping | more))
    if not scheduled and draw.chance(0.15):
        more = draw.some(0.4, cooldown=1, min_lr=0.002, min_delta=draw.number(0, 0.2))
        plateau = {"monitor": monitor, "mode": "min", "factor": draw.number(0.2, 0.8), "patience": draw.randint(0, 1)}
        found.append(Part("callbacks", "ReduceLROnPlateau", plateau | more))
    if not scheduled and draw.chance(0.12):
        found.append(Part("callbacks", "LearningRateScheduler", {"schedule": Part("own", "half_every_epoch")}))
    if averaged and draw.chance(0.4):
        found.append(Part("callbacks", "SwapEMAWeights", {"swap_on_epoch": draw.chance(0.5)}))
    return found + ([Part("callbacks", "TerminateOnNaN")] if draw.chance(0.05) else [])
