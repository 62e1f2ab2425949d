"""Muon: momentum whose matrices are made orthogonal; Adam for everything else."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from uncrumple.core.errors import explain
from uncrumple.optimizers import checks
from uncrumple.optimizers.adam import fused_adam, no_steps, one_minus_power, plain_adam
from uncrumple.optimizers.base import Optimizer
from uncrumple.optimizers.blocks import same_layout
from uncrumple.optimizers.state import Setting, Tensors


class Muon(Optimizer):
    """Step along the momentum with all its singular values brought near to 1.

    For weights with two axes: m = momentum * m + g; n = g + momentum * m with
    `nesterov`, else n = m; n is divided by its Euclidean length, and then
    `ns_steps` times replaced by a * n + (b * A + c * A²) n with A = n nᵀ
    (a Newton-Schulz iteration), which leaves its directions and makes their
    sizes alike; then w = w - lr * n * sqrt(larger side) * rms_rate.

    All other weights, embeddings, and layers in `exclude_layers` follow `Adam`
    at the rate lr * adam_lr_ratio. The last layer of a classifier is best
    among them: `exclude_layers=["output"]`.

    Almost all the time goes into products of matrices, in the type of the
    weights, as in Keras. `torch.set_float32_matmul_precision("medium")` makes
    them several times faster and less exact, which the iteration bears well.

    Args:
        learning_rate: Float, schedule, or function that returns a float.
        adam_beta_1: Share of the old mean gradient that Adam keeps, 0 to below 1.
        adam_beta_2: Share of the old mean square that Adam keeps, 0 to below 1.
        adam_weight_decay: The weight decay of Adam's weights; None means none.
        epsilon: Keeps Adam's division finite.
        weight_decay: The weight decay of Muon's weights; None means none. This
            argument and those up to `name` are explained in `Optimizer`.
        exclude_layers: Regular expressions; weights with one in their path follow Adam.
        exclude_embeddings: Whether weights with `embedding` in their path follow Adam.
        muon_a: a of the iteration.
        muon_b: b of the iteration.
        muon_c: c of the iteration.
        adam_lr_ratio: Adam's learning rate in units of Muon's.
        momentum: Share of the old momentum that Muon keeps, 0 to 1.
        ns_steps: How often to iterate.
        nesterov: Whether to look ahead by one step of momentum.
        rms_rate: Typical size of an entry of the step, in units of the learning
            rate, which makes rates for Adam fit; None leaves the two factors out.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural
    networks", 2024, https://kellerjordan.github.io/posts/muon/; Liu et al.,
    "Muon is Scalable for LLM Training", 2025, https://arxiv.org/abs/2502.16982

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(2, 2))
        >>> optimizer = Muon(learning_rate=0.1, rms_rate=None)
        >>> optimizer.build([weight])
        >>> (weight * torch.tensor([[5.0, 0.0], [0.0, -0.1]])).sum().backward()
        >>> optimizer.step()
        >>> weight.detach().diagonal()
        tensor([-0.0697,  0.0682])
    """

    momentum = Setting("momentum")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
            loss_scale_factor=loss_scale_factor,
            gradient_accumulation_steps=gradient_accumulation_steps,
            name=name,
            **kwargs,
        )
        owner, anything = type(self).__name__, -math.inf
        self.adam_beta_1 = checks.number(owner, "adam_beta_1", adam_beta_1, 0, 1, below=True, example=0.9)
        self.adam_beta_2 = checks.number(owner, "adam_beta_2", adam_beta_2, 0, 1, below=True, example=0.999)
        self.adam_weight_decay = checks.optional(owner, "adam_weight_decay", adam_weight_decay, example=0.004)
        self.epsilon = checks.number(owner, "epsilon", epsilon, 0, example=1e-7)
        self.exclude_layers = _patterns(owner, exclude_layers)
        self.exclude_embeddings = bool(exclude_embeddings)
        self.muon_a = checks.number(owner, "muon_a", muon_a, anything, example=3.4445)
        self.muon_b = checks.number(owner, "muon_b", muon_b, anything, example=-4.775)
        self.muon_c = checks.number(owner, "muon_c", muon_c, anything, example=2.0315)
        self.adam_lr_ratio = checks.number(owner, "adam_lr_ratio", adam_lr_ratio, 0, example=1)
        self.momentum = checks.number(owner, "momentum", momentum, 0, 1, example=0.95)
        self.ns_steps = checks.whole(owner, "ns_steps", ns_steps, 1, example=5)
        self.nesterov = bool(nesterov)
        self.rms_rate = checks.optional(owner, "rms_rate", rms_rate, above=True, example=0.2)
        self._fused = False
        self._steps: Tensors = []

    def build(self, var_list: Iterable[torch.Tensor]) -> None:
        """Take the weights; keep a momentum for each, and a mean square for those that follow Adam."""
        if self.built:
            return
        super().build(var_list)
        for weight in self._weights:
            self._add_slot(weight, "momentum")
            if self._follows_adam(weight):
                self._add_slot(weight, "velocity")
        self._slot_names = ["momentum", "velocity"]
        self._gather_slots()

    def _follows_adam(self, weight: torch.Tensor) -> bool:
        path = self._name_of(weight)
        return (
            weight.dim() != 2
            or (self.exclude_embeddings and "embedding" in path.lower())
            or any(re.search(pattern, path) for pattern in self.exclude_layers)
        )

    def _settle(self) -> None:
        super()._settle()
        self._decay_is_fused = True  # in `update_weights`, for each kind has its own
        self._fused = self._can_fuse()
        if self._fused:
            self._steps = no_steps(len(self._weights), self._device)

    def update_weights(self, weights: Tensors, gradients: Tensors, learning_rate: float, slots: list[Tensors]) -> None:
        """Move all weights: matrices of one shape together, and all that follow Adam together."""
        momenta, squares = slots
        matrices = [place for place, square in enumerate(squares) if square is None]
        if matrices:
            self._follow_muon(learning_rate, *_at(matrices, weights, gradients, momenta))
        if len(matrices) < len(weights):
            others = [place for place, square in enumerate(squares) if square is not None]
            self._follow_adam(learning_rate, *_at(others, weights, gradients, momenta, squares))

    def _follow_muon(self, learning_rate: float, weights: Tensors, gradients: Tensors, momenta: Tensors) -> None:
        if self.weight_decay:
            self._decay(weights, self.weight_decay * learning_rate)
        momentum = self.momentum
        torch._foreach_mul_(momenta, momentum)
        torch._foreach_add_(momenta, gradients)
        ahead = torch._foreach_add(gradients, momenta, alpha=momentum) if self.nesterov else momenta
        groups: dict[Any, list[int]] = {}
        for place, one in enumerate(ahead):
            groups.setdefault((one.device, one.dtype, min(one.shape), max(one.shape)), []).append(place)
        for (_, _, _, larger), places in groups.items():
            # Lying ones as they are and standing ones turned: the products are of the shorter side.
            lying = [one if one.shape[0] <= one.shape[1] else one.T for one in (ahead[place] for place in places)]
            steps = self._orthogonal(torch.stack(lying))
            rate = learning_rate if self.rms_rate is None else learning_rate * math.sqrt(larger) * self.rms_rate
            for place, step in zip(places, steps):
                weight = weights[place]
                weight.sub_(step if weight.shape[0] <= weight.shape[1] else step.T, alpha=rate)

    def _orthogonal(self, matrices: torch.Tensor) -> torch.Tensor:
        """Return matrices (n, rows, columns), with rows <= columns, with singular values near to 1."""
        matrices /= torch.linalg.vector_norm(matrices, dim=(-2, -1), keepdim=True) + 1e-7
        for _ in range(self.ns_steps):
            square = matrices @ matrices.mT
            polynomial = torch.baddbmm(square, square, square, beta=self.muon_b, alpha=self.muon_c)
            matrices = torch.baddbmm(matrices, polynomial, matrices, beta=self.muon_a)
        return matrices

    def _follow_adam(
        self, learning_rate: float, weights: Tensors, gradients: Tensors, means: Tensors, squares: Tensors
    ) -> None:
        beta_1, beta_2 = self.adam_beta_1, self.adam_beta_2
        update = int(self.iterations) + 1
        correction_1 = one_minus_power(beta_1, update, self._dtype)
        correction_2 = one_minus_power(beta_2, update, self._dtype)
        rate = learning_rate * self.adam_lr_ratio * math.sqrt(correction_2) / correction_1
        decay = (self.adam_weight_decay or 0.0) * learning_rate
        fused = self._fused and same_layout(weights, gradients, means, squares)
        if decay and (self._decays is not None or not fused or not rate):
            self._decay(weights, decay)
            decay = 0.0
        if fused:
            fused_adam(weights, gradients, means, squares, [], self._steps, rate, beta_1, beta_2, self.epsilon, decay)
        else:
            plain_adam(weights, gradients, means, squares, [], rate, beta_1, beta_2, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        """Return the settings that make an equal optimizer, without its state."""
        return {
            **super().get_config(),
            "adam_beta_1": self.adam_beta_1,
            "adam_beta_2": self.adam_beta_2,
            "epsilon": self.epsilon,
            "exclude_layers": self.exclude_layers,
            "muon_a": self.muon_a,
            "muon_b": self.muon_b,
            "muon_c": self.muon_c,
            "adam_lr_ratio": self.adam_lr_ratio,
            "momentum": self.momentum,
            "ns_steps": self.ns_steps,
            "nesterov": self.nesterov,
            "exclude_embeddings": self.exclude_embeddings,
            "adam_weight_decay": self.adam_weight_decay,
            "rms_rate": self.rms_rate,
        }


def _at(places: list[int], *lists: Tensors) -> list[Tensors]:
    return [[one[place] for place in places] for one in lists]


def _patterns(owner: str, given: Any) -> list[str]:
    """Return the regular expressions as a list; a single one counts as a list of one."""
    patterns = [given] if isinstance(given, str) else list(given or ())
    for pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise ValueError(
                explain(
                    f"{owner} got exclude_layers with {pattern!r}: {error}.",
                    "Expected parts of the paths of weights, or regular expressions.",
                    'exclude_layers=["output"]',
                )
            ) from error
    return patterns
