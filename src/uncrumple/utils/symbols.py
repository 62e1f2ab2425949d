"""What can be asked of a symbolic tensor."""

from __future__ import annotations

from typing import Any

from uncrumple.layers.symbolic import SymbolicTensor, made_by


def is_keras_tensor(x: Any) -> bool:
    """Return whether something is a symbolic tensor, as `Input` gives.

    Example:
        >>> from uncrumple import Input
        >>> is_keras_tensor(Input((4,))), is_keras_tensor([1.0])
        (True, False)
    """
    return isinstance(x, SymbolicTensor)


def get_source_inputs(tensor: Any) -> Any:
    """Return the inputs that a symbolic tensor was computed from, each once, in a list.

    What is no symbolic tensor is returned as it is.

    Example:
        >>> from uncrumple import Input, layers
        >>> a, b = Input((4,), name="a"), Input((4,), name="b")
        >>> [source.name for source in get_source_inputs(layers.add([a, b]))]
        ['a', 'b']
    """
    if not isinstance(tensor, SymbolicTensor):
        return tensor
    node = made_by(tensor)
    if node.is_input:
        return list(node.outputs)
    found: dict[int, Any] = {}
    for part in node.inputs:
        for source in get_source_inputs(part):
            found.setdefault(id(source), source)
    return list(found.values())
