"""Writing a training step of a chain of dense layers down for the native kernels.

A stage that computes in bfloat16 rounds its inputs and its kernel while it
multiplies them into float32 sums; its results are rounded where the layers
would round them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from uncrumple.kernels.dropout import limit_and_scale
from uncrumple.kernels.native import program as native_program

Tensors = dict[int, torch.Tensor]


class Stage(NamedTuple):
    """A dense layer, its activation, the dropout behind it, and whether all that is computed in bfloat16."""

    dense: Any
    activation: str
    dropout: Any
    half: bool


def weights_of(stage: Stage) -> list[Any]:
    return [weight for weight in (stage.dense.kernel, stage.dense.bias) if weight is not None]


class StepWriter:
    """Writes the operations of one batch size.

    Args:
        samples: How many samples a batch has.
        stages: What the network consists of.

    Attributes:
        made: The program so far.
        outputs: What each stage gives, in its type; the last one's sums in float32.
        inputs: Where the address of x belongs: numbers of operations, and of their arguments.
        dropouts: For each stage with dropout, the operations that its seed belongs to.
    """

    def __init__(self, samples: int, stages: list[Stage]) -> None:
        self.samples, self.stages = samples, stages
        self.made = native_program.Program()
        self.outputs: list[torch.Tensor] = []
        self.d_outputs = [torch.empty(samples, stage.dense.units, device="cpu") for stage in stages]
        self.inputs: list[tuple[int, int]] = []
        self.dropouts: dict[int, list[int]] = {}
        self._given: list[Any] = []  # what each stage multiplies with its kernel; None stands for x

    def forward(self, index: int) -> None:
        """Multiply, add the bias, activate, drop."""
        stage, made = self.stages[index], self.made
        features, units = stage.dense.kernel.shape
        given = self._input(index)
        self._given.append(given)
        sums = torch.empty(self.samples, units, device="cpu")
        sizes, memory = (self.samples, units, features), (given, stage.dense.kernel, sums)
        number = made.add(*self._multiplication(index, wide_b=True), sizes, memory)
        if given is None:
            self.inputs.append((number, 0))
        if not stage.half:
            number = made.add(native_program.ACTIVATE, memory=(stage.dense.bias, sums), **self._ending(index))
            self.outputs.append(sums)
        elif index == len(self.stages) - 1:
            made.add(native_program.ROUND, sizes=(self.samples, units), memory=(stage.dense.bias, sums))
            self.outputs.append(sums)
        else:
            out = torch.empty(self.samples, units, dtype=torch.bfloat16, device="cpu")
            memory = (stage.dense.bias, sums, out)
            number = made.add(native_program.ACTIVATE_HALF, memory=memory, **self._ending(index))
            self.outputs.append(out)
        if stage.dropout is not None:
            self.dropouts[index] = [number]

    def _input(self, index: int) -> Any:
        """Return what stage `index` multiplies; None for x itself. Only bfloat16 is rounded on the way."""
        if not index:
            return None
        before = self.outputs[-1]
        if before.dtype is torch.float32 or self.stages[index].half:
            return before
        converted = torch.empty(before.shape, device="cpu")
        self.made.add(native_program.WIDEN, sizes=(before.numel(),), memory=(before, converted))
        return converted

    def _multiplication(
        self, index: int, flags: int = 0, wide_a: bool | None = None, wide_b: bool = False
    ) -> tuple[int, int]:
        """Return the code and the flags of a product of a stage: of what it is given, unless `wide_a` is said."""
        if not self.stages[index].half:
            return native_program.MULTIPLY, flags
        if wide_a is None:
            given = self._given[index]
            wide_a = given is None or given.dtype is torch.float32
        flags |= native_program.WIDE_A * wide_a | native_program.WIDE_B * wide_b
        return native_program.PRODUCT, flags

    def _ending(self, index: int) -> dict[str, Any]:
        """Return the activation and the dropout of a stage, as operations are told."""
        stage = self.stages[index]
        # The last activation belongs to the loss: together they have a simpler gradient.
        name = "linear" if index == len(self.stages) - 1 else stage.activation
        limit, scale = limit_and_scale(stage.dropout.rate) if stage.dropout is not None else (0, 1.0)
        return {
            "flags": native_program.ACTIVATIONS[name],
            "sizes": (self.samples, stage.dense.units, 0, limit),
            "scale": scale,
        }

    def crossentropy(self, totals: list[torch.Tensor]) -> int:
        """Compute the loss, what metrics add up, and the gradient of the last sums; return the operation's number."""
        last = self.outputs[-1]
        softmax = self.stages[-1].activation == "softmax"
        if softmax:
            self.made.add(native_program.SOFTMAX, sizes=last.shape, memory=(last,))
        return self.made.add(
            native_program.CROSSENTROPY,
            flags=0 if softmax else native_program.FROM_LOGITS,
            sizes=last.shape,
            memory=(last, None, self.d_outputs[-1], *totals),
        )

    def backward(self, index: int, gradients: Tensors, further: bool, moves: dict[int, Any] | None = None) -> None:
        """Compute the gradients of a stage's weights, and, if wanted `further`, of what it was given.

        Args:
            index: Which stage.
            gradients: Where the gradients of trained weights go, by the weight's id.
            further: Whether a stage before it has trained weights.
            moves: Adam's running means and settings, by the weight's id, for weights that it is to move at once,
                while their gradient is near.
        """
        moves = moves or {}
        stage, made = self.stages[index], self.made
        features, units = stage.dense.kernel.shape
        d = d_output = self.d_outputs[index]
        d_bias = gradients.get(id(stage.dense.bias))
        if stage.half:
            d = torch.empty(d_output.shape, dtype=torch.bfloat16, device="cpu")
            memory: tuple[Any, ...] = (self.outputs[index], d_output, d, d_bias)
            number = made.add(native_program.ACTIVATE_BACKWARD_HALF, memory=memory, **self._ending(index))
        else:
            memory = (self.outputs[index], d_output, d_bias)
            number = made.add(native_program.ACTIVATE_BACKWARD, memory=memory, **self._ending(index))
        if index in self.dropouts:
            self.dropouts[index].append(number)
        if further:  # before the kernel moves
            sizes, memory = (self.samples, features, units), (d, stage.dense.kernel, self.d_outputs[index - 1])
            made.add(*self._multiplication(index, native_program.TRANSPOSE_B, False, True), sizes, memory)
        kernel, bias = stage.dense.kernel, stage.dense.bias
        d_kernel, move = gradients.get(id(kernel)), moves.get(id(kernel))
        if d_kernel is not None:
            code, flags = self._multiplication(index, native_program.TRANSPOSE_A)
            memory = (self._given[index], d, d_kernel)
            if move is not None and code == native_program.PRODUCT:
                memory += native_program.adam_weight(kernel, d_kernel, *move[:2]), move[2]
            number = made.add(code, flags, (features, units, self.samples), memory)
            if self._given[index] is None:
                self.inputs.append((number, 0))
            if move is not None and code != native_program.PRODUCT:
                made.add(native_program.ADAM, sizes=(kernel.numel(),), memory=(kernel, d_kernel, *move))
        move = moves.get(id(bias))
        if move is not None:
            made.add(native_program.ADAM, sizes=(bias.numel(),), memory=(bias, d_bias, *move))
