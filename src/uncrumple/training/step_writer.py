"""Writing a training step of a chain of dense layers down for the native kernels.

A stage that computes in bfloat16 multiplies copies of its inputs and its
kernel, made anew in each step, into float32 sums; its results are rounded
where the layers would round them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from uncrumple.kernels.dropout import limit_and_scale
from uncrumple.kernels.native import program as native_program


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
        self.d_outputs = [torch.empty(samples, stage.dense.units) for stage in stages]
        self.inputs: list[tuple[int, int]] = []
        self.dropouts: dict[int, list[int]] = {}
        self._given: list[Any] = []  # what each stage multiplies with its kernel; None stands for x
        self._kernels: list[torch.Tensor] = []

    def forward(self, index: int) -> None:
        """Multiply, add the bias, activate, drop."""
        stage, made = self.stages[index], self.made
        features, units = stage.dense.kernel.shape
        given, kernel = self._input(index), stage.dense.kernel
        if stage.half:
            kernel = torch.empty(kernel.shape, dtype=torch.bfloat16)
            made.add(native_program.NARROW, sizes=(kernel.numel(),), memory=(stage.dense.kernel, kernel))
        self._given.append(given)
        self._kernels.append(kernel)
        sums = torch.empty(self.samples, units)
        code = native_program.MULTIPLY_HALF if stage.half else native_program.MULTIPLY
        number = made.add(code, sizes=(self.samples, units, features), memory=(given, kernel, sums))
        if given is None:
            self.inputs.append((number, 0))
        if not stage.half:
            number = made.add(native_program.ACTIVATE, memory=(stage.dense.bias, sums), **self._ending(index))
            self.outputs.append(sums)
        elif index == len(self.stages) - 1:
            made.add(native_program.ROUND, sizes=(self.samples, units), memory=(stage.dense.bias, sums))
            self.outputs.append(sums)
        else:
            out = torch.empty(self.samples, units, dtype=torch.bfloat16)
            memory = (stage.dense.bias, sums, out)
            number = made.add(native_program.ACTIVATE_HALF, memory=memory, **self._ending(index))
            self.outputs.append(out)
        if stage.dropout is not None:
            self.dropouts[index] = [number]

    def _input(self, index: int) -> Any:
        """Return what stage `index` multiplies, in the type that it wants; None for x itself."""
        wanted = torch.bfloat16 if self.stages[index].half else torch.float32
        if not index:
            if wanted is torch.float32:
                return None
            features = self.stages[0].dense.kernel.shape[0]
            converted = torch.empty(self.samples, features, dtype=wanted)
            number = self.made.add(native_program.NARROW, sizes=(converted.numel(),), memory=(None, converted))
            self.inputs.append((number, 0))
            return converted
        before = self.outputs[-1]
        if before.dtype is wanted:
            return before
        converted = torch.empty(before.shape, dtype=wanted)
        code = native_program.NARROW if self.stages[index].half else native_program.WIDEN
        self.made.add(code, sizes=(before.numel(),), memory=(before, converted))
        return converted

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

    def backward(self, index: int, gradients: dict[int, torch.Tensor], further: bool) -> None:
        """Compute the gradients of a stage's weights, and, if wanted `further`, of what it was given.

        Args:
            index: Which stage.
            gradients: Where the gradients of trained weights go, by the weight's id.
            further: Whether a stage before it has trained weights.
        """
        stage, made = self.stages[index], self.made
        features, units = stage.dense.kernel.shape
        d = d_output = self.d_outputs[index]
        d_bias = gradients.get(id(stage.dense.bias))
        if stage.half:
            d = torch.empty(d_output.shape, dtype=torch.bfloat16)
            memory: tuple[Any, ...] = (self.outputs[index], d_output, d, d_bias)
            number = made.add(native_program.ACTIVATE_BACKWARD_HALF, memory=memory, **self._ending(index))
        else:
            memory = (self.outputs[index], d_output, d_bias)
            number = made.add(native_program.ACTIVATE_BACKWARD, memory=memory, **self._ending(index))
        if index in self.dropouts:
            self.dropouts[index].append(number)
        multiply = native_program.MULTIPLY_HALF if stage.half else native_program.MULTIPLY
        d_kernel = gradients.get(id(stage.dense.kernel))
        if d_kernel is not None:
            sizes, memory = (features, units, self.samples), (self._given[index], d, d_kernel)
            number = made.add(multiply, native_program.TRANSPOSE_A, sizes, memory)
            if self._given[index] is None:
                self.inputs.append((number, 0))
        if further:
            sizes, memory = (self.samples, features, units), (d, self._kernels[index], self.d_outputs[index - 1])
            made.add(multiply, native_program.TRANSPOSE_B, sizes, memory)
