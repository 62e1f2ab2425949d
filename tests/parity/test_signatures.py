"""Every class and function of Keras's that a network is made of is here, with the same arguments in the same order."""

from __future__ import annotations

import importlib
import inspect

import pytest

ROOMS = [
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "optimizers.schedules",
    "activations",
    "initializers",
    "regularizers",
    "constraints",
    "callbacks",
]

# {room: {name: why there is none here}}
OTHER_BACKENDS = "it is made of another backend's parts"
MISSING = {
    "layers": {
        **dict.fromkeys(("FlaxLayer", "JaxLayer", "TFSMLayer"), OTHER_BACKENDS),
    },
    "callbacks": {"OrbaxCheckpoint": OTHER_BACKENDS},
}

# {(room, name): (arguments that differ, why)}: ours may take more than Keras's, or take it under a plainer default.
ONE_FOR_ALL = "1 stands for (1, 1) and (1, 1, 1); the classes share one constructor"
DIFFERENT = {
    **{
        ("layers", name): ({"strides", "dilation_rate"}, ONE_FOR_ALL)
        for name in (
            *("Conv2D", "Conv3D", "Convolution2D", "Convolution3D", "Conv2DTranspose", "Convolution2DTranspose"),
            *("DepthwiseConv2D", "SeparableConv2D", "SeparableConvolution2D"),
        )
    },
    ("layers", "InputSpec"): ({"meaning"}, "words for the axes, last, for messages"),
    ("layers", "LayerNormalization"): ({"rms_scaling"}, "Keras takes it out of **kwargs"),
    **{
        ("layers", f"SpatialDropout{rank}D"): ({"kwargs"}, "also takes trainable= and the like, as every layer")
        for rank in (1, 2, 3)
    },
    ("losses", "categorical_generalized_cross_entropy"): ({"q"}, "the class's default, so that its name can be used"),
}


def room_of(package, room):
    return importlib.import_module(f"{package}.{room}")


def public(room):
    return [name for name in dir(room_of("keras", room)) if not name.startswith("_") and callable(_thing(room, name))]


def _thing(room, name):
    return getattr(room_of("keras", room), name)


def arguments(thing):
    """Return {name: (kind, default)}, in order."""
    function = thing.__init__ if isinstance(thing, type) else thing
    return {
        parameter.name: (parameter.kind.name, parameter.default)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != "self"
    }


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_is_missing(room):
    here = room_of("uncrumple", room)
    missing = {name for name in public(room) if not hasattr(here, name)}
    assert missing - set(MISSING.get(room, {})) == set()


@pytest.mark.parametrize("room", ROOMS)
def test_the_same_arguments(room):
    here, wrong = room_of("uncrumple", room), []
    for name in public(room):
        if not hasattr(here, name) or name in MISSING.get(room, {}):
            continue
        mine, their = arguments(getattr(here, name)), arguments(_thing(room, name))
        differ = DIFFERENT.get((room, name), (set(), ""))[0]
        if differ:  # an entry that is true no longer has to go
            assert mine != their, f"{room}.{name} is equal now"
        keep = [{key: value for key, value in one.items() if key not in differ} for one in (mine, their)]
        if list(keep[0].items()) != list(keep[1].items()):
            wrong.append((name, {key: mine.get(key) for key in mine if mine.get(key) != their.get(key)}, list(their)))
    assert wrong == []


def layers_to_call():
    here = room_of("uncrumple", "layers")
    return [name for name in public("layers") if hasattr(_thing("layers", name), "call") and hasattr(here, name)]


@pytest.mark.parametrize("name", layers_to_call())
def test_layers_are_called_alike(name):
    """Names and order of what `call` takes; `training` may be False by default where Keras says None."""
    mine = list(inspect.signature(getattr(room_of("uncrumple", "layers"), name).call).parameters)
    their = list(inspect.signature(_thing("layers", name).call).parameters)
    if name in ("Dense", "EinsumDense"):
        their.remove("training")  # for quantization
    if name == "InputLayer":
        mine.remove("args")  # it gives back what it gets
    if name == "StackedRNNCells":
        their.remove("kwargs")
    assert mine == their


def test_masks_are_computed_alike():
    """By position everywhere, and by name where Keras says `mask`."""
    wrong = []
    for name in layers_to_call():
        both = (_thing("layers", name), getattr(room_of("uncrumple", "layers"), name))
        their, mine = (inspect.signature(cls.compute_mask).parameters for cls in both)
        if ("mask" in their) != ("mask" in mine) or len(their) != len(mine):
            wrong.append((name, list(mine), list(their)))
    assert wrong == []


def test_how_copies_are_joined_is_a_name_that_keras_knows():
    from uncrumple import layers

    with pytest.raises(ValueError) as caught:
        layers.Layer().add_weight(shape=(2,), aggregation="average")
    assert str(caught.value) == (
        "add_weight got aggregation='average'.\n"
        "Expected 'none', 'mean', 'sum', 'only_first_replica' or None.\n"
        "Fix: add_weight(..., aggregation='none')"
    )
