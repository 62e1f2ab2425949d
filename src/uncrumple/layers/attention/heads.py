"""What attention with several heads shares: projections, masks, and the choice of how to compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from uncrumple import constraints, initializers, regularizers
from uncrumple.core.errors import explain
from uncrumple.core.flash import is_flash_attention_enabled
from uncrumple.kernels.dense_rows import Normalization
from uncrumple.layers import checks, symbolic
from uncrumple.layers.activation_layers import Softmax
from uncrumple.layers.attention import masks, together
from uncrumple.layers.attention.attention import dropout_share
from uncrumple.layers.attention.scaled_dot_product import attend, causal_mask, window_mask
from uncrumple.layers.einsum_dense import EinsumDense
from uncrumple.layers.regularization import Dropout, _Random
from uncrumple.layers.shapes import shape_of, symbols

Shape = tuple[int | None, ...]
# What somebody may write anew for a mathematics of their own.
_REPLACEABLE = "_compute_attention", "_compute_attention_mask", "_projected", "_repeated"


class HeadsAttention(_Random):
    """The base of `MultiHeadAttention` and `GroupedQueryAttention`.

    A subclass makes the projections `_query_dense`, `_key_dense`,
    `_value_dense`, `_output_dense` and perhaps `_gate_dense` in `build`, and
    calls `_build_attention` there.
    """

    # Axes that are attended over, and those that are not; set by `_build_attention`.
    _attended: tuple[int, ...] = (1,)
    _apart: tuple[int, ...] = ()

    def __init__(
        self,
        *,
        dropout: float,
        use_bias: bool,
        sliding_window: int | None,
        flash_attention: bool | None,
        kernel_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        bias_regularizer: Any,
        activity_regularizer: Any,
        kernel_constraint: Any,
        bias_constraint: Any,
        use_gate: bool,
        seed: int | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # What the projections were built for.
        self._rank: int | None = None
        self._features: dict[str, int | None] = {}
        owner = type(self).__name__
        self.supports_masking = True
        self.dropout = dropout_share(owner, dropout)
        self.use_bias = bool(use_bias)
        self.use_gate = bool(use_gate)
        self.sliding_window = sliding_window
        if sliding_window is not None:
            self.sliding_window = checks.whole_number(owner, "sliding_window", sliding_window, example=128)
        self._flash_attention = is_flash_attention_enabled() if flash_attention is None else bool(flash_attention)
        if self._flash_attention and self.dropout:
            raise ValueError(
                explain(
                    f"{owner} got dropout={self.dropout} together with flash attention.",
                    "Expected dropout=0: the flash function cannot drop scores.",
                    "flash_attention=None, or dropout=0.0",
                )
            )
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self._activity = regularizers.get(activity_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._set_seed(seed)

    # --- building --------------------------------------------------------------------

    def _projection(
        self, equation: str, output_shape: Sequence[int | None], bias_axes: str, name: str, **settings: Any
    ) -> EinsumDense:
        """Return a projection with the settings that all of them share, and initializers of its own.

        One initializer used twice would give both the same values.
        """
        return EinsumDense(
            equation,
            output_shape=output_shape,
            bias_axes=bias_axes if self.use_bias else None,
            name=name,
            kernel_initializer=_fresh(self.kernel_initializer),
            bias_initializer=_fresh(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            activity_regularizer=self._activity,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            dtype=self._dtype_policy,
            **settings,
        )

    def _build_attention(self, attended: tuple[int, ...], rank: int) -> None:
        """Set over which axes attention goes, for inputs with `rank` axes, and what is between scores and output."""
        self._attended = attended
        self._apart = tuple(axis for axis in range(1, rank - 1) if axis not in attended)
        self._softmax = Softmax(axis=-1, dtype=self._dtype_policy)
        self._dropout_layer = Dropout(self.dropout, dtype=self._dtype_policy, seed=self.seed)

    def _finish(self, query: Shape, value: Shape, key: Shape) -> None:
        """Keep what the projections were built for."""
        self._rank = len(query)
        self._features = {"query": query[-1], "value": value[-1], "key": key[-1]}

    # --- what comes in ---------------------------------------------------------------

    def _finding_shapes(self) -> bool:
        return symbolic.state.active or symbolic.state.trying

    def _build_for(self, args: Any, kwargs: Any) -> None:
        given = {**dict(zip(self._call_parameters, args)), **kwargs}
        self._check_given(given.get("query"), given.get("value"), given.get("key"))
        super()._build_for(args, kwargs)

    def _check_given(self, query: Any, value: Any, key: Any) -> None:
        """Refuse anything but tensors, one each; the key may be missing."""
        for name, given in (("query", query), ("value", value), ("key", key)):
            if isinstance(given, torch.Tensor) or (name == "key" and given is None):
                continue
            if name == "value" and given is None:
                raise self._no_value(shape_of(query))
            several = isinstance(given, (list, tuple, dict))
            shown = (
                f"a {type(given).__name__} of {len(given)}"
                if several
                else "the layer"
                if callable(given)
                else repr(given)
            )
            raise TypeError(
                explain(
                    f"{self._label} got {shown} as its {name}.",
                    "Expected query, value and perhaps key one by one, each a tensor.",
                    f"{self.name}(query, value)",
                )
            )

    def _no_value(self, query: Shape) -> ValueError:
        return ValueError(
            explain(
                f"{self._label} got a query of shape {query} and no value.",
                "Expected both; a sequence that attends to itself is both.",
                f"{self.name}(x, x)",
            )
        )

    def _check_shapes(self, query: Shape, value: Shape, key: Shape | None) -> None:
        """Refuse shapes that do not belong together, or not to the weights; None is a size not known yet."""
        shapes = {"query": query, "value": value, "key": value if key is None else key}
        self._check_ranks(shapes)
        for axis in range(len(query) - 1):
            if axis not in self._attended:
                self._check_axis(shapes, ("query", "value"), axis, "samples" if axis == 0 else f"on axis {axis}")
            what = "samples" if axis == 0 else "steps" if len(query) == 3 else f"on axis {axis}"
            self._check_axis(shapes, ("value", "key"), axis, what)
        for name, shape in shapes.items():
            if shape[-1] is None:
                raise ValueError(
                    explain(
                        f"{self._label} got a {name} of shape {shape}.",
                        "Expected a known number of features: the weights depend on it.",
                        f"Input(({', '.join(['None'] * (len(shape) - 2))}, 64))",
                    )
                )
            wanted = self._features.get(name, shape[-1])
            if shape[-1] != wanted:
                raise ValueError(
                    explain(
                        f"{self._label} got a {name} of shape {shape}.",
                        f"Expected {wanted} features, as it was built for.",
                        f"Dense({wanted})({name}) before it, or a new {type(self).__name__}",
                    )
                )

    def _check_ranks(self, shapes: dict[str, Shape]) -> None:
        query = shapes["query"]
        if len(query) < 3:
            raise ValueError(
                explain(
                    f"{self._label} got a query of shape {query}.",
                    f"Expected at least 3 axes: (samples, steps, features), got {len(query)}.",
                    "x[:, None, :] for a single step, or x[None] for a single sample",
                )
            )
        if self._rank not in (None, len(query)):
            raise ValueError(
                explain(
                    f"{self._label} got a query of shape {query}.",
                    f"Expected {self._rank} axes, as it was built for, got {len(query)}.",
                    f"a new {type(self).__name__} for inputs with {len(query)} axes",
                )
            )
        for name, shape in shapes.items():
            if len(shape) != len(query):
                raise ValueError(
                    explain(
                        f"{self._label} got a query of shape {query} and a {name} of shape {shape}.",
                        "Expected as many axes in each.",
                        f"{name}[:, None, :] for a single step"
                        if len(shape) == 2
                        else f"bring the {name} to {len(query)} axes",
                    )
                )

    def _check_axis(self, shapes: dict[str, Shape], names: tuple[str, str], axis: int, what: str) -> None:
        one, other = (shapes[name] for name in names)
        if None in (one[axis], other[axis]) or one[axis] == other[axis] or (names[0] == "query" and one[axis] == 1):
            return
        fix = f"a {names[0]} and a {names[1]} of the same rows" if axis == 0 else "the same sequence as value and key"
        if names[0] == "query" and axis > 0:
            fix = "attention_axes with the axes on which the two may differ"
        raise ValueError(
            explain(
                f"{self._label} got a {names[0]} of shape {one} and a {names[1]} of shape {other}.",
                f"Expected as many {what} in both." if " " not in what else f"Expected the same size {what} in both.",
                fix,
            )
        )

    # --- masks -----------------------------------------------------------------------

    def _compute_attention_mask(
        self,
        query: torch.Tensor,
        value: torch.Tensor,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        use_causal_mask: bool = False,
    ) -> torch.Tensor | None:
        """Return which query sees which key, of booleans; None if each sees all.

        It has axes (samples, ..., queries, keys), and that of the heads only
        if `attention_mask` has it.
        """
        attended, order = len(self._attended), (0, *self._apart, *self._attended)
        found = None
        # The key has the steps of the value.
        for name, mask in (("query", query_mask), ("value", value_mask), ("key", key_mask)):
            mask = masks.as_mask(mask)
            if mask is not None:
                is_query = name == "query"
                masks.check_steps(self, name, mask, (query if is_query else value).shape)
                found = masks.both(found, masks.of_steps(mask, order, attended, queries=is_query), attended)
        if use_causal_mask:
            found = masks.both(found, self._causal(query, value)[None], attended)
        if self.sliding_window is not None:
            self._check_one_axis(f"sliding_window={self.sliding_window}")
            axis = self._attended[0]
            window = window_mask(query.shape[axis], value.shape[axis], self.sliding_window, query.device)
            found = masks.both(found, window[None], attended)
        attention_mask = masks.as_mask(attention_mask)
        if attention_mask is not None:
            masks.check_pairs(self, attention_mask, self._scores_shape(query, value), attended)
        return masks.both(attention_mask, found, attended)

    def _causal(self, query: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        self._check_one_axis("use_causal_mask=True")
        axis = self._attended[0]
        return causal_mask(query.shape[axis], value.shape[axis], query.device)

    def _check_one_axis(self, setting: str) -> None:
        if len(self._attended) != 1:
            raise ValueError(
                explain(
                    f"{self._label} got {setting}, and attends over the axes {self._attended}.",
                    "Expected one axis, for there to be a before and an after.",
                    f"attention_axes={self._attended[0]}, or attention_mask=...",
                )
            )

    def _scores_shape(self, query: torch.Tensor, value: torch.Tensor) -> tuple[int, ...]:
        """Return (samples, axes apart, heads, queries, keys), for tensors with the axes of the inputs."""
        before = (max(query.shape[0], value.shape[0]), *(query.shape[axis] for axis in self._apart))
        queries = tuple(query.shape[axis] for axis in self._attended)
        return (*before, self._heads, *queries, *(value.shape[axis] for axis in self._attended))

    _heads: int

    # --- mathematics -----------------------------------------------------------------

    def _compute_attention(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the output of each head, and the scores if they are asked for; override it for another mathematics.

        Args:
            query, key, value: (samples, steps, ..., heads, features): the projected inputs.
            attention_mask: As `_compute_attention_mask` returns it.
            training: Whether to drop scores.
            return_attention_scores: Whether scores are wanted.
            use_causal_mask: Whether a query sees only keys up to its own place.
        """
        attended = len(self._attended)
        shape = self._scores_shape(query, value)
        order = (0, *self._apart, query.dim() - 2, *self._attended, query.dim() - 1)
        before = len(shape) - 2 * attended  # axes that attention leaves alone
        plainly = return_attention_scores or (bool(training) and self.dropout > 0)
        if use_causal_mask and attention_mask is None and plainly:
            attention_mask, use_causal_mask = self._causal(query, value), False
        if attention_mask is not None:
            attention_mask = masks.with_heads(masks.as_mask(attention_mask), len(shape), attended)  # type: ignore[arg-type]
            if use_causal_mask:
                attention_mask = attention_mask & self._causal(query, value)
            if attended > 1:  # several axes of steps become one
                attention_mask = attention_mask.expand(*attention_mask.shape[:before], *shape[before:])
                attention_mask = attention_mask.flatten(before + attended).flatten(before, before + attended - 1)
        # Keras uses torch's fused function in these cases, and a softmax that leaves zeros in all others.
        mean_if_unseen = query.dim() == 4 and not self.dropout
        query, key, value = (x.permute(order).flatten(before, -2) for x in (query, key, value))
        scores = None
        if plainly:
            output, scores = self._with_scores(query, key, value, attention_mask, bool(training))
            scores = scores.reshape(shape)
        else:
            output = attend(
                query,
                key,
                value,
                attention_mask,
                scale=self._scale,
                causal=use_causal_mask and attention_mask is None,
                mean_if_unseen=mean_if_unseen,
                flash=self._flash_attention,
            )
        output = output.reshape(*output.shape[:before], *shape[before : before + attended], output.shape[-1])
        return output.permute(tuple(order.index(axis) for axis in range(len(order)))), scores

    def _with_scores(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, training: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        scores = torch.matmul(query * self._scale, key.transpose(-2, -1))
        scores = self._softmax(scores) if mask is None else self._softmax(scores, mask=mask)
        kept = self._dropout_layer(scores, training=training) if self.dropout else scores
        return torch.matmul(kept, value), scores

    _scale: float

    def _run(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        training: bool | None,
        return_attention_scores: bool,
        causal: bool,
    ) -> Any:
        """Project, attend, project back."""
        if return_attention_scores and self._flash_attention:
            raise ValueError(
                explain(
                    f"{self._label} got return_attention_scores=True, and uses flash attention.",
                    "Expected no scores: the flash function never has them all.",
                    f"{type(self).__name__}(..., flash_attention=None)",
                )
            )
        if query is key is value and mask is None and not return_attention_scores:
            found = self.attend_to_itself(query, training, causal)
            if found is not None:
                return found
        gate = self._gate_dense(query) if self.use_gate else None
        # A method overridden by a user may not know of use_causal_mask.
        settings = {"use_causal_mask": True} if causal else {}
        projected = self._projected(query, key, value)
        output, scores = self._compute_attention(
            projected[0],
            projected[1],
            projected[2],
            mask,
            training,
            return_attention_scores,
            **settings,
        )
        output = self._output_dense(output if gate is None else output * gate)
        return (output, scores) if return_attention_scores else output

    def attend_to_itself(
        self, x: torch.Tensor, training: bool | None, causal: bool = False, ending: Normalization | None = None
    ) -> torch.Tensor | None:
        """Return what `call(x, x)` gives, by one kernel; None where it cannot be.

        Args:
            x: (samples, steps, features), without a mask.
            training: Whether to drop scores.
            causal: Whether a query sees only keys up to its own place.
            ending: Add `x`, and normalize.
        """
        kind, base = type(self), HeadsAttention
        own = all(getattr(kind, name) is getattr(base, name) and name not in self.__dict__ for name in _REPLACEABLE)
        plain = self.sliding_window is None and self._flash_attention is None and not self.use_gate
        if not own or not plain or (training and self.dropout) or not self._rank == x.dim() == 3:
            return None
        parts = self._query_dense, self._key_dense, self._value_dense, self._output_dense
        return None if self._finding_shapes() else together.attend_to_itself(x, parts, self._scale, causal, ending)

    def _projected(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return query, key and value with heads."""
        parts = self._query_dense, self._key_dense, self._value_dense
        if query is key is value and not self._finding_shapes() and together.go_together(query, parts):
            found = together.project(query, parts)
        else:
            found = [part(given) for part, given in zip(parts, (query, key, value))]
        return found[0], self._repeated(found[1]), self._repeated(found[2])

    def _repeated(self, projected: torch.Tensor) -> torch.Tensor:
        """Return keys or values with one entry per head of the queries."""
        return projected

    def _pass_mask(self, inputs: Any, mask: Any, outputs: Any) -> None:
        super()._pass_mask(inputs, mask, outputs[0] if isinstance(outputs, tuple) else outputs)

    def compute_output_shape(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> Shape:  # type: ignore[override]
        """Return the shape of the output for the shapes of query, value and key, by running `call` without data."""
        shapes = [shape for shape in (query_shape, value_shape, key_shape) if shape is not None]
        return self.compute_output_spec(*[symbols(shape, self.compute_dtype) for shape in shapes]).shape

    # --- config ----------------------------------------------------------------------

    def _shared_config(self) -> dict[str, Any]:
        return {
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "use_gate": self.use_gate,
            "sliding_window": self.sliding_window,
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
            "kernel_regularizer": self.kernel_regularizer,
            "bias_regularizer": self.bias_regularizer,
            "activity_regularizer": self._activity,
            "kernel_constraint": self.kernel_constraint,
            "bias_constraint": self.bias_constraint,
            "seed": self.seed,
        }


def without_masks(*tensors: torch.Tensor) -> list[torch.Tensor]:
    """Return the same numbers without the masks, which the projections have no use for; what was one tensor stays one."""
    bare: dict[int, torch.Tensor] = {}
    for tensor in tensors:
        if id(tensor) not in bare:
            bare[id(tensor)] = tensor if getattr(tensor, "_keras_mask", None) is None else tensor.view_as(tensor)
    return [bare[id(tensor)] for tensor in tensors]


def _fresh(initializer: Any) -> Any:
    """Return an initializer equal to this one, that draws values of its own."""
    return (
        type(initializer).from_config(initializer.get_config()) if hasattr(initializer, "get_config") else initializer
    )
