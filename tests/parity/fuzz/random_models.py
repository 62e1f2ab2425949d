"""Whole networks at random: layers after one another, branches, layers shared, models within models."""

from __future__ import annotations

import math
import warnings
from typing import Any

import keras
import random_layers as layers
from random_layers import Draw, layer
from recipes import OPERATORS, Network, Part, Step

LARGEST = 200  # numbers in one sample of any tensor
MERGERS = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")


class Walk:
    """A network while it is drawn. Keras says what shape each step gives, and which steps it refuses."""

    def __init__(self, draw: Draw, network: Network, masked: bool = False) -> None:
        self.draw, self.network, self.may_be_masked = draw, network, masked
        self.tensors = [keras.Input(**settings) for settings in network.inputs]
        self.made: list[Any] = []
        self.at = 0  # the tensor that the next layer goes on

    @property
    def shape(self) -> tuple[int, ...]:
        return self.shape_of(self.at)

    def shape_of(self, number: int) -> tuple[int, ...]:
        return tuple(self.tensors[number].shape[1:])

    def masked(self, number: int) -> bool:
        return getattr(self.tensors[number], "_keras_mask", None) is not None

    def masks_anything(self) -> bool:
        return self.may_be_masked or "mask" in repr(self.network.steps).lower()

    def add(self, part: Part | None, *sources: int, largest: int = LARGEST, **more: Any) -> bool:
        """Add a step; return False where Keras refuses it, or what it gives is too large."""
        step = Step(part, sources or (self.at,), **more)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = part.make(keras) if part is not None else self.made[step.again]
                out = step.call(made, self.tensors)
        except (ValueError, TypeError, RuntimeError, IndexError, ZeroDivisionError):
            return False
        if any(None in each.shape[1:] or not 0 < math.prod(each.shape[1:]) <= largest for each in out):
            return False
        step.gives = len(out)
        self.network.steps.append(step)
        self.made.append(made)
        self.at = len(self.tensors)
        self.tensors += out
        return True

    def grow(self, steps: int) -> None:
        """Add this many steps at random."""
        for _ in range(6 * steps):
            if steps <= 0:
                break
            steps -= self.draw.choice(self.possible())()

    # --- one step: each method returns whether it added one ---

    def possible(self) -> list[Any]:
        rank, found = len(self.shape), [self.plain] * 8
        found += [self.merge] * 3 + [self.operator, self.shared, self.nested]
        return found + ([self.with_state, self.attention, self.attention] if rank == 2 else [])

    def plain(self) -> bool:
        draw, shape = self.draw, self.shape
        anywhere = [layers.activation_layer, layers.normalization, layers.quiet, layers.reshaping]
        by_rank = {
            1: [layers.dense] * 6 + [layers.einsum_dense, layers.spectral],
            2: [layers.dense, layers.convolution, layers.convolution, layers.pooling, layers.padding]
            + [layers.upsampling, layers.spatial_dropout, layers.at_every_step, layers.einsum_dense, layers.spectral],
            3: [layers.convolution] * 5
            + [layers.pooling, layers.padding, layers.upsampling, layers.spatial_dropout, layers.dense]
            + [layers.at_every_step, layers.convolutional_recurrent, layers.spectral],
            4: [layers.convolution, layers.convolution, layers.pooling, layers.pooling, layers.padding]
            + [layers.upsampling, layers.at_every_step, layers.convolutional_recurrent],
        }
        if len(shape) == 2 and draw.chance(0.45):
            return self.add(self.without_unroll(layers.sequence_layer(draw, draw.chance(0.6))))
        return self.add(draw.choice(by_rank[len(shape)] + anywhere)(draw, shape))

    def without_unroll(self, part: Part) -> Part:
        """Return a recurrent layer that loops where there is a mask: Keras fails to unroll a masked LSTM on torch."""
        if self.masked(self.at):
            for each in (part, *part.settings.values()):
                if isinstance(each, Part):
                    each.settings.pop("unroll", None)
        return part

    def merge(self) -> bool:
        """Join this tensor with one or two earlier ones that fit."""
        draw, shape = self.draw, self.shape
        others = [number for number in range(len(self.tensors)) if self.tensors[number].dtype == "float32"]
        same = [number for number in others if self.shape_of(number) == shape and number != self.at]
        if not same:
            beside = [n for n in others if len(self.shape_of(n)) == len(shape) and self.shape_of(n)[:-1] == shape[:-1]]
            if beside and draw.chance(0.7):
                return self.add(layer("Concatenate"), self.at, draw.choice(beside), how="list")
            if len(shape) < 3:  # a branch of the right width
                start = draw.choice(others)
                if len(self.shape_of(start)) == len(shape) and self.shape_of(start)[:-1] == shape[:-1]:
                    here = self.at
                    if self.add(layer("Dense", units=shape[-1], activation=layers.activation(draw)), start):
                        return self.add(layer("Add"), here, self.at, how="list")
            return False
        chosen = [self.at, *draw.sample(same, min(len(same), draw.pick(1, 1, 2)))]
        if draw.chance(0.15) and len(shape) < 3:
            part = layer("Dot", axes=draw.choice([-1, len(shape)]), normalize=draw.chance(0.4))
            return self.add(part, *chosen[:2], how="list")
        name = draw.choice(MERGERS)
        axis = {"axis": draw.randint(1, len(shape))} if name == "Concatenate" and draw.chance(0.3) else {}
        return self.add(layer(name, axis), *(chosen[:2] if name == "Subtract" else chosen), how="list")

    def operator(self) -> bool:
        name = self.draw.choice(list(OPERATORS))
        if name in ("plus", "minus", "times"):
            same = [n for n in range(len(self.tensors)) if self.shape_of(n) == self.shape]
            same = [n for n in same if self.tensors[n].dtype == "float32"]
            return self.add(Part("operator", name), self.at, self.draw.choice(same))
        if name in ("later", "last") and (len(self.shape) < 2 or self.shape[0] < 2):
            return False
        return self.add(Part("operator", name))

    def shared(self) -> bool:
        """Call an earlier layer again."""
        calls = [
            number
            for number, step in enumerate(self.network.steps)
            if step.part is not None
            and step.part.room != "operator"
            and step.how == "one"
            and step.gives == 1
            and self.shape_of(step.sources[0]) == self.shape
            and self.tensors[step.sources[0]].dtype == self.tensors[self.at].dtype
        ]
        return bool(calls) and self.add(None, self.at, again=self.draw.choice(calls))

    def attention(self) -> bool:
        """Let this sequence look at itself, or at another one of the same width."""
        draw, width = self.draw, self.shape[-1]
        others = [n for n in range(len(self.tensors)) if len(self.shape_of(n)) == 2 and self.shape_of(n)[-1] == width]
        others = [number for number in others if self.tensors[number].dtype == "float32"]
        other = self.at if draw.chance(0.5) else draw.choice(others)
        part, how = layers.attention(draw, width)
        sources = [self.at, other] + ([other] if draw.chance(0.3) else [])
        if how == "each" and self.masks_anything():
            # A query that sees no key: its gradient in Keras on torch is as many times too large as there are keys.
            return False
        return self.add(part, *sources, how=how, settings=draw.some(0.25, use_causal_mask=True))

    def nested(self) -> bool:
        """Add a model within the model, and sometimes call it twice."""
        draw, shape = self.draw, self.shape
        inner = Walk(draw, Network([{"shape": shape}], [], []), self.masks_anything())
        linear = draw.chance(0.5)
        for _ in range(draw.randint(1, 3)):
            inner.plain() if linear else inner.grow(1)
        if not inner.network.steps:
            return False
        if linear and all(step.gives == 1 for step in inner.network.steps):
            found = [step.part for step in inner.network.steps]
            return self.add(Part("sequential", "Sequential", {"shape": shape, "layers": found}))
        inner.network.outputs = [inner.at]
        return self.add(Part("network", "Functional", {"network": inner.network}))

    def with_state(self) -> bool:
        """Add a recurrent layer that also gives its state, and go on from one of what it gives."""
        draw, here = self.draw, self.at
        part = self.without_unroll(layers.recurrent(draw, draw.chance(0.6)))
        part.settings["return_state"] = True
        part.settings.pop("activity_regularizer", None)
        if draw.chance(0.4):  # what it begins with comes from a layer
            count, states = (2 if part.name == "LSTM" else 1), []
            for _ in range(count):
                if not self.add(layer("Dense", units=part.settings["units"], activation="tanh"), here):
                    return False
                if len(self.shape) > 1 and not self.add(layer("GlobalAveragePooling1D")):
                    return False
                states.append(self.at)
            if not self.add(part, here, state=tuple(states)):
                return False
        elif not self.add(part, here):
            return False
        self.at += draw.randrange(self.network.steps[-1].gives)
        return True
