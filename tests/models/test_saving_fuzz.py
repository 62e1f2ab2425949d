"""Files at random: what is saved comes back, and what is damaged is refused in words."""

import copy
import json
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import uncrumple as un
from uncrumple import layers as L
from uncrumple.models import load_model

quick = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def model():
    inputs = un.Input((6, 4), name="data")
    x = L.Conv1D(3, 2, padding="same")(inputs)[:, 1:]
    x = L.Dense(4, name="twice")(x)
    x = L.BatchNormalization()(L.GlobalAveragePooling1D()(x) * 2)
    inner = un.Sequential([un.Input((4,)), L.Dense(3, kernel_regularizer="l2"), L.Dropout(0.1)])
    made = un.Model(inputs, inner(x))
    made.compile(un.optimizers.AdamW(un.optimizers.schedules.CosineDecay(0.1, 10)), un.losses.Huber(), metrics=["mae"])
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return one good file of each kind, as {suffix: bytes}, a folder, and a model for weights."""
    folder = tmp_path_factory.mktemp("files")
    made = model()
    made.save(folder / "good.keras")
    made.save_weights(folder / "good.weights.h5")
    made.save_weights(folder / "good.safetensors")
    kinds = {suffix: (folder / f"good{suffix}").read_bytes() for suffix in (".keras", ".weights.h5", ".safetensors")}
    with zipfile.ZipFile(folder / "good.keras") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    return kinds, entries, folder, made


def is_refused_in_words(load):
    """Return whether loading raised one of our errors; any other error fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            load()
        except (ValueError, TypeError, OSError) as error:
            assert "\nFix: " in str(error), error
            return True
    return False


@st.composite
def damage(draw):
    """Return a function that damages bytes: cuts them off, takes some out, or changes some."""
    kind = draw(st.sampled_from(["cut", "take out", "flip"]))
    places = draw(st.lists(st.floats(0, 0.999), min_size=1, max_size=5))
    bit, length = draw(st.integers(0, 7)), draw(st.integers(1, 64))

    def apply(data):
        start = int(places[0] * len(data))
        if kind == "cut":
            return data[:start]
        if kind == "take out":
            return data[:start] + data[start + length :]
        changed = bytearray(data)
        for place in places:
            changed[int(place * len(data))] ^= 1 << bit
        return bytes(changed)

    return apply


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".safetensors"])
@quick
@given(apply=damage())
def test_damaged_bytes_are_refused_or_harmless(files, suffix, apply):
    kinds, _, folder, made = files
    path = folder / f"damaged{suffix}"
    path.write_bytes(apply(kinds[suffix]))
    is_refused_in_words(lambda: load_model(path) if suffix == ".keras" else made.load_weights(path))


@quick
@given(share=st.floats(0, 0.999), suffix=st.sampled_from([".keras", ".weights.h5", ".safetensors"]))
def test_a_part_of_a_file_is_always_refused(files, share, suffix):
    kinds, _, folder, made = files
    path = folder / f"part{suffix}"
    path.write_bytes(kinds[suffix][: int(share * len(kinds[suffix]))])
    assert is_refused_in_words(lambda: load_model(path) if suffix == ".keras" else made.load_weights(path))


def _places(part, path=()):
    yield path
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in items:
        yield from _places(value, (*path, key))


ODD = st.sampled_from(
    [None, True, -1, 0, 3, 10**12, 2**70, 1.5, float("nan"), "", "relu", "../x", [], {}, [None], [[]]]
    + [{"class_name": "Dense", "config": {}}, {"class_name": "__numpy__", "config": {"value": [1], "dtype": "O"}}]
    + [{"class_name": "function", "config": "load_model"}, {"class_name": "__lambda__", "config": {"value": "4w=="}}]
    + [{"class_name": "__tensor__", "config": {"value": [1], "dtype": "x"}}, ["data", 0, 0], ["data", 5, 5]]
)


@settings(quick, max_examples=80)
@given(which=st.integers(0, 10**6), value=ODD, remove=st.booleans())
def test_a_config_with_anything_in_it_is_refused_or_harmless(files, which, value, remove):
    _, entries, folder, _ = files
    config = json.loads(entries["config.json"])
    places = list(_places(config))[1:]
    path = places[which % len(places)]
    owner = config
    for key in path[:-1]:
        owner = owner[key]
    if remove:
        del owner[path[-1]]
    else:
        owner[path[-1]] = copy.deepcopy(value)
    with zipfile.ZipFile(folder / "odd.keras", "w") as archive:
        for name, content in entries.items():
            if name != "metadata.json":  # which has the checksums of what is there
                archive.writestr(name, json.dumps(config) if name == "config.json" else content)
    is_refused_in_words(lambda: load_model(folder / "odd.keras"))


LAYERS = [
    st.builds(
        L.Dense,
        st.integers(1, 6),
        activation=st.sampled_from([None, "relu", "softmax", "gelu"]),
        use_bias=st.booleans(),
        kernel_initializer=st.sampled_from(["glorot_uniform", "he_normal", "orthogonal"]),
        kernel_regularizer=st.sampled_from([None, "l2"]),
    ),
    st.builds(L.Dropout, st.floats(0, 0.9)),
    st.builds(L.BatchNormalization, center=st.booleans(), momentum=st.floats(0.5, 0.99)),
    st.builds(L.LayerNormalization, epsilon=st.floats(1e-6, 1e-2)),
    st.builds(L.Activation, st.sampled_from(["tanh", "sigmoid", "swish"])),
    st.builds(L.LeakyReLU, st.floats(0, 0.5)),
    st.builds(L.Rescaling, st.floats(-2, 2), offset=st.floats(-2, 2)),
    st.builds(lambda units: un.Sequential([L.Dense(units)]), st.integers(1, 4)),
]


@quick
@given(layers=st.lists(st.one_of(LAYERS), min_size=1, max_size=6), width=st.integers(1, 5), seed=st.integers(0, 2**31))
def test_whatever_is_saved_predicts_the_same(tmp_path_factory, layers, width, seed):
    made = un.Sequential([un.Input((width,)), *layers, L.Dense(2)])
    made.compile("adam", "mse")
    x = np.random.default_rng(seed).normal(size=(4, width)).astype("float32")
    made.fit(x, np.zeros((4, *made.output_shape[1:])), verbose=0)
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    made.save(path)
    again = load_model(path)
    np.testing.assert_array_equal(again.predict(x, verbose=0), made.predict(x, verbose=0))
    for one, other in zip(again.optimizer.variables, made.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    weights = path.with_suffix(".weights.h5")
    made.save_weights(weights)
    again.set_weights([np.zeros_like(weight) for weight in again.get_weights()])
    again.load_weights(weights)
    np.testing.assert_array_equal(again.predict(x, verbose=0), made.predict(x, verbose=0))
