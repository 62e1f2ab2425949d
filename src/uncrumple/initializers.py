"""Initializers: the values that weights start from.

An initializer is called with a shape and a dtype and returns a tensor on
torch's default device. A random one draws from a generator of its own, which
its seed starts afresh at every call: the same instance therefore gives the
same values for the same shape. Without a seed it takes one, when it is made,
from Python's `random`, so that `set_random_seed` governs it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from uncrumple.core import registry
from uncrumple.core.arguments import NamesItsArguments
from uncrumple.core.devices import default_device
from uncrumple.core.dtypes import torch_dtype
from uncrumple.core.errors import answer_misspellings, explain, unknown_name
from uncrumple.core.naming import to_snake_case
from uncrumple.core.seeds import generator

# The standard deviation of a standard normal that is cut at -2 and 2.
_TRUNCATED_STDDEV = 0.87962566103423978


class Initializer(NamesItsArguments):
    """Base class: subclass it, and return a tensor of `shape` from `__call__`.

    w = initializer(shape, dtype).

    Example:
        >>> class Sevens(Initializer):
        ...     def __call__(self, shape, dtype=None):
        ...         return torch.full(tuple(shape), 7.0)
        >>> Sevens()((2,))
        tensor([7., 7.])
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        raise NotImplementedError(
            explain(
                f"{type(self).__name__} has no __call__ method.",
                "Expected an initializer to return a tensor of the shape asked for.",
                f"add def __call__(self, shape, dtype=None) to {type(self).__name__}",
            )
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make an equal initializer."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Return an initializer made with the arguments in `config`."""
        return cls(**config)

    def clone(self) -> Any:
        """Return a new initializer with the same arguments; an unseeded one gets a new seed."""
        return type(self).from_config(self.get_config())

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


class Zeros(Initializer):
    """Start from zeros.

    w = 0.

    Example:
        >>> Zeros()((2,))
        tensor([0., 0.])
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return torch.zeros(tuple(shape), dtype=torch_dtype(dtype))


class Ones(Initializer):
    """Start from ones.

    w = 1.

    Example:
        >>> Ones()((2,))
        tensor([1., 1.])
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return torch.ones(tuple(shape), dtype=torch_dtype(dtype))


class Constant(Initializer):
    """Start from one number, or from an array that broadcasts to the shape.

    w = value.

    Args:
        value: The number or array.

    Example:
        >>> Constant(3.0)((2,))
        tensor([3., 3.])
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        kind = torch_dtype(dtype)
        return torch.as_tensor(self.value, dtype=kind, device=default_device()).expand(tuple(shape)).clone()

    def get_config(self) -> dict[str, Any]:
        return {"value": registry.serialize_keras_object(self.value)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constant:
        return cls(registry.deserialize_keras_object(config["value"]))


class Identity(Initializer):
    """Start from the identity matrix times `gain`; only for weights of two axes.

    w = gain where row = column, else 0.

    Args:
        gain: The number on the diagonal.

    Example:
        >>> Identity()((2, 2))
        tensor([[1., 0.],
                [0., 1.]])
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        if len(shape) != 2:
            raise ValueError(
                explain(
                    f"Identity got shape={tuple(shape)}.",
                    "Expected a matrix: a shape of two axes.",
                    'initializer="orthogonal", which takes any shape of two axes or more',
                )
            )
        return self.gain * torch.eye(*shape, dtype=torch_dtype(dtype))

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


class STFT(Initializer):
    """Start from the waves of a short-time Fourier transform, for a convolution of kernel (frame, 1, bins).

    w[n, 0, k] = window[n] * cos(-2 * pi * n * k / fft_length), or sin; fft_length = 2 * (bins - 1).

    Args:
        side: `"real"` for cosines or `"imag"` for sines.
        window: Name of a window of `scipy.signal`, an array of `frame_length` numbers, or None.
        scaling: `"density"`, `"spectrum"` or None: by what the window is divided.
        periodic: Whether a window given by name repeats without a seam.

    Example:
        >>> STFT(window=None)((4, 1, 3))[:, 0, 2]
        tensor([ 1., -1.,  1., -1.])
    """

    def __init__(
        self, side: str = "real", window: Any = "hann", scaling: str | None = "density", periodic: bool = False
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(unknown_name("STFT side", side, ("real", "imag")))
        if scaling not in (None, "density", "spectrum"):
            raise ValueError(unknown_name("STFT scaling", str(scaling), ("density", "spectrum")))
        if isinstance(window, str):
            _scipy_window(window, 4, periodic)
        self.side = side
        self.window = window
        self.scaling = scaling
        self.periodic = periodic

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        kind = torch_dtype(dtype)
        frame_length, _, bins = shape
        time = torch.arange(frame_length, dtype=kind).reshape(-1, 1, 1)
        frequency = torch.arange(bins, dtype=kind).reshape(1, 1, -1) / ((bins - 1) * 2)
        angle = -2 * time * frequency * math.pi
        kernel = torch.cos(angle) if self.side == "real" else torch.sin(angle)
        if self.window is not None:
            window = self.window
            if isinstance(window, str):
                window = _scipy_window(window, frame_length, self.periodic)
            window = torch.as_tensor(window, dtype=kind, device=kernel.device)
            if tuple(window.shape) != (frame_length,):
                raise ValueError(
                    explain(
                        f"STFT got a window of shape {tuple(window.shape)}.",
                        f"Expected one number per sample of a frame: ({frame_length},).",
                        'window="hann"',
                    )
                )
            kernel = kernel * window.reshape(-1, 1, 1)
            if self.scaling == "density":
                kernel = kernel / window.square().sum().sqrt()
            elif self.scaling == "spectrum":
                kernel = kernel / window.abs().sum()
        return kernel.expand(tuple(shape)).clone()

    def get_config(self) -> dict[str, Any]:
        return {"side": self.side, "window": self.window, "periodic": self.periodic, "scaling": self.scaling}


def _scipy_window(name: str, length: int, periodic: bool) -> np.ndarray:
    # scipy comes with scikit-learn; importing it here keeps the package's own import quick.
    from scipy.signal import get_window

    return get_window(name, length, periodic)


class RandomInitializer(Initializer):
    """Base class of the initializers that draw: keeps the seed and starts a generator from it.

    Args:
        seed: A whole number, a seed generator, or None for one drawn from Python's `random`.

    Example:
        >>> issubclass(RandomNormal, RandomInitializer)
        True
    """

    def __init__(self, seed: Any = None) -> None:
        self._init_seed = seed
        if seed is None:
            seed = random.randint(1, 10**9)
        elif isinstance(seed, dict):
            seed = registry.deserialize_keras_object(seed)
        if isinstance(seed, np.integer):
            seed = int(seed)
        if not hasattr(seed, "next") and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ValueError(
                explain(
                    f"{type(self).__name__} got seed={seed!r}.",
                    "Expected a whole number, a SeedGenerator, or None.",
                    f"{type(self).__name__}(seed=0)",
                )
            )
        self.seed = seed

    def _draw(self, shape: Sequence[int], dtype: Any, fill: Any) -> torch.Tensor:
        """Return a tensor that `fill(tensor, generator)` has filled; half types are drawn as float32."""
        kind = torch_dtype(dtype)
        device = default_device()
        drawn_as = torch.float32 if kind.itemsize < 4 else kind
        out = torch.empty(tuple(shape), dtype=drawn_as, device=device)
        if device.type != "meta":
            seed = self.seed if isinstance(self.seed, int) else int(sum(int(part) for part in self.seed.next()))
            fill(out, generator(seed, device))
        return out.to(kind)

    def _normal(self, shape: Sequence[int], dtype: Any, mean: float, stddev: float) -> torch.Tensor:
        return self._draw(shape, dtype, lambda out, source: out.normal_(mean, stddev, generator=source))

    def _truncated(self, shape: Sequence[int], dtype: Any, mean: float, stddev: float) -> torch.Tensor:
        low, high = mean - 2 * stddev, mean + 2 * stddev
        return self._draw(
            shape,
            dtype,
            lambda out, source: torch.nn.init.trunc_normal_(out, mean, stddev, low, high, generator=source),
        )

    def _uniform(self, shape: Sequence[int], dtype: Any, low: float, high: float) -> torch.Tensor:
        return self._draw(shape, dtype, lambda out, source: out.uniform_(low, high, generator=source))

    def get_config(self) -> dict[str, Any]:
        return {"seed": registry.serialize_keras_object(self._init_seed)}


def _check_spread(owner: str, name: str, value: float) -> None:
    if not value >= 0:
        raise ValueError(explain(f"{owner} got {name}={value!r}.", f"Expected {name} >= 0.", f"{owner}({name}=0.05)"))


class RandomNormal(RandomInitializer):
    """Draw from a normal distribution.

    w ~ N(mean, stddev**2).

    Args:
        mean: Its mean.
        stddev: Its standard deviation.
        seed: Whole number for values that repeat, or None.

    Example:
        >>> bool(abs(RandomNormal(mean=5.0, seed=0)((1000,)).mean() - 5) < 0.01)
        True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        _check_spread(type(self).__name__, "stddev", stddev)
        self.mean = mean
        self.stddev = stddev
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return self._normal(shape, dtype, self.mean, self.stddev)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomNormal):
    """Draw from a normal distribution without what is farther than two standard deviations from the mean.

    w ~ N(mean, stddev**2), drawn again where |w - mean| > 2 * stddev.

    Args:
        mean: Mean of the distribution.
        stddev: Its standard deviation before the tails are cut off; what remains has 0.88 times that.
        seed: Whole number for values that repeat, or None.

    Example:
        >>> bool(TruncatedNormal(stddev=1.0, seed=0)((1000,)).abs().max() <= 2)
        True
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return self._truncated(shape, dtype, self.mean, self.stddev)


class RandomUniform(RandomInitializer):
    """Draw evenly between two bounds.

    w ~ U(minval, maxval).

    Args:
        minval: Lower bound.
        maxval: Upper bound.
        seed: Whole number for values that repeat, or None.

    Example:
        >>> values = RandomUniform(seed=0)((1000,))
        >>> bool((values.abs() <= 0.05).all())
        True
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        if not minval <= maxval:
            raise ValueError(
                explain(
                    f"RandomUniform got minval={minval!r}, maxval={maxval!r}.",
                    "Expected minval <= maxval.",
                    "RandomUniform(minval=-0.05, maxval=0.05)",
                )
            )
        self.minval = minval
        self.maxval = maxval
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        return self._uniform(shape, dtype, self.minval, self.maxval)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


class VarianceScaling(RandomInitializer):
    """Draw with a variance that fits the size of the layer: scale / n.

    n is the number of inputs (`"fan_in"`), of outputs (`"fan_out"`) or their
    mean (`"fan_avg"`), so that signals neither fade nor explode from layer to layer.

    Args:
        scale: Positive factor.
        mode: Which n.
        distribution: `"truncated_normal"` (cut at two standard deviations and
            widened to the wanted variance), `"untruncated_normal"` or `"uniform"`.
        seed: Whole number for values that repeat, or None.
        input_axes: Axes that count as inputs, where the kernel's layout is unusual.
        output_axes: Axes that count as outputs; give both or neither.

    Example:
        >>> values = VarianceScaling(scale=1.0, seed=0)((400, 100))
        >>> round(float(values.std()), 3)
        0.05
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        owner = type(self).__name__
        if not scale > 0:
            raise ValueError(explain(f"{owner} got scale={scale!r}.", "Expected scale > 0.", f"{owner}(scale=1.0)"))
        if mode not in _MODES:
            raise ValueError(unknown_name(f"{owner} mode", mode, _MODES))
        distribution = distribution.lower()
        distribution = "truncated_normal" if distribution == "normal" else distribution
        if distribution not in _DISTRIBUTIONS:
            raise ValueError(unknown_name(f"{owner} distribution", distribution, _DISTRIBUTIONS))
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.input_axes = input_axes
        self.output_axes = output_axes
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "truncated_normal":
            return self._truncated(shape, dtype, 0.0, math.sqrt(variance) / _TRUNCATED_STDDEV)
        if self.distribution == "untruncated_normal":
            return self._normal(shape, dtype, 0.0, math.sqrt(variance))
        limit = math.sqrt(3.0 * variance)
        return self._uniform(shape, dtype, -limit, limit)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class _NamedScaling(VarianceScaling):
    """A `VarianceScaling` whose scale, mode and distribution are fixed by its name."""

    _settings: tuple[float, str, str]

    def __init__(
        self,
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self._settings, seed=seed, input_axes=input_axes, output_axes=output_axes)

    def get_config(self) -> dict[str, Any]:
        return {**RandomInitializer.get_config(self), "input_axes": self.input_axes, "output_axes": self.output_axes}


class GlorotUniform(_NamedScaling):
    """Draw evenly within sqrt(6 / (fan_in + fan_out)): the usual start of a kernel.

    Args:
        seed: Whole number for values that repeat, or None.
        input_axes, output_axes: As in `VarianceScaling`.

    Source: Glorot and Bengio, 2010.

    Example:
        >>> bool(GlorotUniform(seed=0)((2, 4)).abs().max() <= 1.0)
        True
    """

    _settings = (1.0, "fan_avg", "uniform")


class GlorotNormal(_NamedScaling):
    """Draw from a truncated normal of variance 2 / (fan_in + fan_out).

    Args:
        seed: Whole number for values that repeat, or None.
        input_axes, output_axes: As in `VarianceScaling`.

    Source: Glorot and Bengio, 2010.

    Example:
        >>> GlorotNormal(seed=0)((2, 4)).shape
        torch.Size([2, 4])
    """

    _settings = (1.0, "fan_avg", "truncated_normal")


class LecunUniform(_NamedScaling):
    """Draw evenly within sqrt(3 / fan_in).

    Args:
        seed: Whole number for values that repeat, or None.
        input_axes, output_axes: As in `VarianceScaling`.

    Source: LeCun et al., Efficient BackProp, 1998.

    Example:
        >>> bool(LecunUniform(seed=0)((3, 4)).abs().max() <= 1.0)
        True
    """

    _settings = (1.0, "fan_in", "uniform")


class LecunNormal(_NamedScaling):
    """Draw from a truncated normal of variance 1 / fan_in; goes with `selu`.

    Args:
        seed: Whole number for values that repeat, or None.
        input_axes, output_axes: As in `VarianceScaling`.

    Source: LeCun et al., Efficient BackProp, 1998.

    Example:
        >>> LecunNormal(seed=0)((3, 4)).shape
        torch.Size([3, 4])
    """

    _settings = (1.0, "fan_in", "truncated_normal")


class HeUniform(_NamedScaling):
    """Draw evenly within sqrt(6 / fan_in); goes with `relu`.

    Args:
        seed: Whole number for values that repeat, or None.
        input_axes, output_axes: As in `VarianceScaling`.

    Source: He et al., 2015, arXiv:1502.01852.

    Example:
        >>> bool(HeUniform(seed=0)((6, 4)).abs().max() <= 1.0)
        True
    """

    _settings = (2.0, "fan_in", "uniform")


class HeNormal(_NamedScaling):
    """Draw from a truncated normal of variance 2 / fan_in; goes with `relu`.

    Args:
        seed: Whole number for values that repeat, or None.
        input_axes, output_axes: As in `VarianceScaling`.

    Source: He et al., 2015, arXiv:1502.01852.

    Example:
        >>> HeNormal(seed=0)((6, 4)).shape
        torch.Size([6, 4])
    """

    _settings = (2.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """Start from a random matrix whose rows or columns are orthogonal and of length `gain`.

    A shape of more than two axes is filled as the matrix (all but the last, last).

    Args:
        gain: Length of the vectors.
        seed: Whole number for values that repeat, or None.

    Source: Saxe et al., 2014, arXiv:1312.6120.

    Example:
        >>> q = Orthogonal(seed=0)((3, 3))
        >>> torch.allclose(q @ q.T, torch.eye(3), atol=1e-5)
        True
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        self.gain = gain
        super().__init__(seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        if len(shape) < 2:
            raise ValueError(
                explain(
                    f"Orthogonal got shape={tuple(shape)}.",
                    "Expected a shape of two axes or more: a vector has nothing to be orthogonal to.",
                    'initializer="zeros" for a bias',
                )
            )
        kind = torch_dtype(dtype)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        # The factorisation exists for float32 and float64 only.
        drawn = self._normal((max(rows, columns), min(rows, columns)), kind, 0.0, 1.0)
        q, r = torch.linalg.qr(drawn.float() if kind.itemsize < 4 else drawn)
        # Fixing the signs makes every orthogonal matrix equally likely.
        q = q * torch.sign(torch.diagonal(r))
        q = q.T if rows < columns else q
        return (self.gain * q).reshape(tuple(shape)).to(kind)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain}


def compute_fans(
    shape: Sequence[int], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """Return how many inputs and outputs a weight of this shape joins.

    Args:
        shape: (..., inputs, outputs); the leading axes are those of a convolution's window.
        input_axes: The axes to multiply for the inputs instead; give both or neither.
        output_axes: The axes to multiply for the outputs instead.

    Example:
        >>> compute_fans((3, 3, 16, 32))
        (144, 288)
    """
    shape = tuple(shape)
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


constant = Constant
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
identity = IdentityInitializer = Identity
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
ones = Ones
orthogonal = OrthogonalInitializer = Orthogonal
random_normal = RandomNormal
random_uniform = RandomUniform
stft = STFTInitializer = STFT
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
zeros = Zeros

_ALL = (
    *(Constant, GlorotNormal, GlorotUniform, HeNormal, HeUniform, Identity, LecunNormal, LecunUniform, Ones),
    *(Orthogonal, RandomNormal, RandomUniform, STFT, TruncatedNormal, VarianceScaling, Zeros),
)
registry.add_builtins("initializers", _ALL)
_BY_NAME: dict[str, Any] = {
    **{cls.__name__: cls for cls in _ALL},
    **{to_snake_case(cls.__name__): cls for cls in _ALL},
    "IdentityInitializer": Identity,
    "OrthogonalInitializer": Orthogonal,
    "STFTInitializer": STFT,
    "normal": RandomNormal,
    "uniform": RandomUniform,
    "one": Ones,
    "zero": Zeros,
}


def get(identifier: Any) -> Any:
    """Return the initializer that a name, config, class, function, array or None stands for.

    An array or a tensor becomes a function that returns it, for that shape only.

    Args:
        identifier: A name, a config, an initializer, a class or function, or None.

    Raises:
        ValueError: The name is not known; the message says which is meant.

    Example:
        >>> get("zeros")((2,))
        tensor([0., 0.])
    """
    if isinstance(identifier, (torch.Tensor, np.ndarray, np.generic)):
        return _as_given(identifier)
    if isinstance(identifier, dict):
        return deserialize(identifier)
    return registry.get("initializer", identifier, _BY_NAME)


def _as_given(value: Any) -> Any:
    def initialize(shape: Sequence[int], dtype: Any = None) -> torch.Tensor:
        if tuple(shape) != tuple(value.shape):
            raise ValueError(
                explain(
                    f"The initial value has shape {tuple(value.shape)}, and the weight {tuple(shape)}.",
                    "Expected the two to be equal.",
                    f"value.reshape({tuple(shape)}), if it holds the same numbers",
                )
            )
        return torch.as_tensor(value, dtype=torch_dtype(dtype), device=default_device()).detach().clone()

    return initialize


def serialize(initializer: Any) -> Any:
    """Return the config of an initializer.

    Args:
        initializer: An initializer.

    Example:
        >>> serialize(Zeros())["class_name"]
        'Zeros'
    """
    return registry.serialize_keras_object(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the initializer that `serialize` described.

    Args:
        config: What `serialize` returned.
        custom_objects: {name: class or function} for what is not built in.

    Example:
        >>> deserialize({"class_name": "Constant", "config": {"value": 2.0}})((1,))
        tensor([2.])
    """
    with registry.CustomObjectScope(custom_objects or {}):
        if not isinstance(config, dict):
            return get(config)
        # Old files name a built-in class without its module, sometimes in snake case.
        name = config.get("class_name")
        if config.get("module") or name not in _BY_NAME or registry.get_registered_object(name) is not None:
            return registry.deserialize_keras_object(config)
        return _BY_NAME[name].from_config(config.get("config") or {})


answer_misspellings(__name__)
