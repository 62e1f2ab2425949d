"""`Model(inputs, outputs)`: several inputs and outputs, shared layers, models within models."""

import numpy as np
import pytest
import torch

import uncrumple as keras
from raised import explained, message
from uncrumple import layers

X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")


@pytest.fixture(autouse=True)
def _names_count_from_the_beginning():
    keras.utils.clear_session()


def two_towers(structure=list):
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    joined = layers.concatenate([layers.Dense(5)(left), layers.Dense(5)(right)])
    outputs = [layers.Dense(2, name="first")(joined), layers.Dense(1, name="second")(joined)]
    if structure is dict:
        return keras.Model({"l": left, "r": right}, {"one": outputs[0], "two": outputs[1]})
    return keras.Model(structure([left, right]), structure(outputs), name="towers")


# --- inputs and outputs in every arrangement ------------------------------------------------


def test_lists_tuples_and_names():
    model = two_towers()
    a, b = X, X[:, :3]
    first, second = model([a, b])
    assert first.shape == (20, 2) and second.shape == (20, 1)
    for given in ((a, b), {"left": a, "right": b}, {"right": b, "left": a}, {"left": a, "right": b, "unused": a}):
        out = model(given)
        assert torch.equal(out[0], first) and torch.equal(out[1], second)
    assert model.output_names == ["first", "second"] and model.input_names == ["left", "right"]
    assert isinstance(two_towers(tuple)((a, b)), tuple)


def test_dicts():
    model = two_towers(dict)
    a, b = X, X[:, :3]
    out = model({"l": a, "r": b})
    assert list(out) == ["one", "two"] and out["one"].shape == (20, 2)
    by_input_name = model({"left": a, "right": b})
    assert torch.equal(by_input_name["two"], out["two"])
    predicted = model.predict({"r": b, "l": a}, verbose=0)
    np.testing.assert_allclose(predicted["one"], out["one"].detach(), rtol=1e-6)
    assert model.output_names == ["one", "two"]


def test_nested_structures():
    a, b, c = keras.Input((2,)), keras.Input((2,)), keras.Input((2,))
    model = keras.Model([a, {"b": b, "c": (c,)}], {"sum": a + b, "rest": [c * 2.0, (a,)]})
    one, two, three = torch.ones(3, 2), torch.full((3, 2), 2.0), torch.full((3, 2), 3.0)
    out = model([one, {"c": (three,), "b": two}])
    assert torch.equal(out["sum"], one + two) and torch.equal(out["rest"][0], 2 * three)
    assert torch.equal(out["rest"][1][0], one)
    by_name = keras.Model({"a": a, "b": [b, (c,)]}, a + b + c)
    assert torch.equal(by_name({"b": [two, (three,)], "a": one}), one + two + three)


def test_one_input_in_a_list():
    inputs = keras.Input((4,))
    model = keras.Model([inputs], [layers.Dense(2)(inputs)])
    assert model(X).shape == model([X]).shape == (20, 2)  # as in Keras: the output, not a list of one
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], verbose=0)


def test_an_input_that_is_an_output():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, [inputs, layers.Dense(2)(inputs)])
    assert torch.equal(model(X)[0], torch.from_numpy(X))
    assert keras.Model(inputs, inputs)(X).shape == (20, 4)


def test_an_input_that_nothing_uses():
    used, unused = keras.Input((4,)), keras.Input((2,), name="unused")
    model = keras.Model([used, unused], layers.Dense(2)(used))
    assert model([X, X[:, :2]]).shape == (20, 2)
    assert "unused" in [layer.name for layer in model.layers]


def test_a_layer_called_with_other_tensors_by_keyword():
    class Blend(keras.Layer):
        def call(self, inputs, other=None, share=0.5):
            return inputs * share + other * (1 - share)

    a, b = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([a, b], Blend()(a, other=b, share=0.25))
    torch.testing.assert_close(model([X, 2 * X]), torch.from_numpy(X * 0.25 + 2 * X * 0.75))
    with keras.utils.custom_object_scope({"Blend": Blend}):
        again = type(model).from_config(model.get_config())
    torch.testing.assert_close(again([X, 2 * X]), model([X, 2 * X]))


def test_layers_with_several_outputs():
    class Split(keras.Layer):
        def call(self, inputs):
            return inputs[:, :2], {"rest": inputs[:, 2:]}

    inputs = keras.Input((5,))
    head, tail = Split()(inputs)
    assert head.shape == (None, 2) and tail["rest"].shape == (None, 3)
    model = keras.Model(inputs, layers.concatenate([tail["rest"], head]))
    x = torch.arange(10.0).reshape(2, 5)
    assert model(x)[0].tolist() == [2, 3, 4, 0, 1]


def test_operators_and_torch_functions_are_layers():
    inputs = keras.Input((3, 4))
    outputs = torch.softmax(-(inputs[:, 0] ** 2) / 2 + 1, dim=-1)
    outputs = torch.cat([outputs, 1 - outputs], dim=1).reshape(-1, 2, 4)
    assert outputs.shape == (None, 2, 4)
    model = keras.Model(inputs, outputs)
    x = torch.randn(5, 3, 4)
    half = torch.softmax(-(x[:, 0] ** 2) / 2 + 1, -1)
    torch.testing.assert_close(model(x), torch.cat([half, 1 - half], 1).reshape(-1, 2, 4))
    assert model.get_layer("get_item") and model.get_layer("softmax") and model.get_layer("cat")
    assert len(model.layers) == 1


def test_axes_of_unknown_length():
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, layers.GlobalAveragePooling1D()(layers.Dense(4)(inputs)))
    assert model.output_shape == (None, 4)
    assert model(torch.ones(2, 7, 3)).shape == model(torch.ones(2, 1, 3)).shape == (2, 4)
    image = keras.Input((None, None, 1))
    assert layers.Conv2D(4, 3, padding="same")(image).shape == (None, None, None, 4)


def test_a_fixed_batch_size():
    inputs = keras.Input((4,), batch_size=5)
    model = keras.Model(inputs, layers.Dense(2)(inputs))
    assert model.output_shape == (5, 2) and model(X[:5]).shape == (5, 2)
    with pytest.raises(ValueError, match=r"Expected \(5, 4\)"):
        model(X)


def test_a_missing_or_extra_last_axis_of_one():
    inputs = keras.Input((4, 1))
    model = keras.Model(inputs, layers.Flatten()(inputs))
    assert model(X).shape == (20, 4)
    flat = keras.Input((4,))
    assert keras.Model(flat, flat * 1.0)(X[..., None]).shape == (20, 4)


def test_types_of_inputs():
    tokens = keras.Input((3,), dtype="int32")
    model = keras.Model(tokens, layers.Embedding(5, 2)(tokens))
    for kind in ("int64", "int32", "uint8", "float32"):
        assert model(np.array([[0, 1, 4]], kind)).shape == (1, 3, 2)
    numbers = keras.Input((3,))
    model = keras.Model(numbers, numbers * 2.0)
    for kind in ("int64", "bool", "uint8"):
        assert model(np.array([[0, 1, 1]], kind)).tolist() == [[0, 2, 2]]


# --- sharing and nesting --------------------------------------------------------------------


def test_a_shared_layer_counts_once_and_runs_twice():
    left, right, shared = keras.Input((4,)), keras.Input((4,)), layers.Dense(3)
    one, other = shared(left), shared(right)
    model = keras.Model([left, right], one - other)
    assert len(model.weights) == 2 and len(model.layers) == 3
    assert float(model([X, X]).detach().abs().max()) == 0
    with pytest.raises(AttributeError) as raised:
        _ = shared.output
    assert explained(raised, "'dense'", "2 times")


def test_parts_of_one_model_in_another():
    inputs = keras.Input((4,))
    middle = layers.Dense(3, name="middle")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="end")(middle))
    head = keras.Model(model.input, model.get_layer("middle").output)
    assert head(X).shape == (20, 3) and len(head.weights) == 2
    model.get_layer("middle").kernel.assign(np.zeros((4, 3)))
    assert float(head(X).detach().abs().max()) == 0


def test_a_model_that_begins_in_the_middle_of_another():
    inputs = keras.Input((4,))
    middle = layers.Dense(3, name="middle")(inputs)
    end = layers.Dense(2, name="end")(middle)
    model = keras.Model(inputs, end)
    tail = keras.Model(middle, model.output)
    assert [layer.name for layer in tail.layers][1:] == ["end"] and len(tail.weights) == 2
    assert tail.input_shape == (None, 3)
    torch.testing.assert_close(tail(keras.Model(inputs, middle)(X)), model(X))
    again = type(tail).from_config(tail.get_config())
    assert again.output_shape == (None, 2)
    assert model(X).shape == (20, 2)


def test_a_model_called_like_a_layer():
    inner_input = keras.Input((4,))
    inner = keras.Model(inner_input, [layers.Dense(3)(inner_input), layers.Dropout(0.5)(inner_input)], name="inner")
    outer_input = keras.Input((4,))
    a, b = inner(outer_input)
    outer = keras.Model(outer_input, layers.concatenate([a, b]))
    assert outer(X).shape == (20, 7) and len(outer.weights) == 2
    assert outer.get_layer("inner") is inner
    assert torch.equal(outer(X), outer(X)) and not torch.equal(outer(X, training=True), outer(X, training=True))
    called = inner(torch.from_numpy(X))
    assert len(called) == 2


def test_deep_models():
    inputs = x = keras.Input((2,))
    for _ in range(400):
        x = x + 1.0
    model = keras.Model(inputs, x)
    assert model(torch.zeros(1, 2)).tolist() == [[400.0, 400.0]]


def test_weights_tied_by_hand():
    class Tied(keras.Layer):
        def __init__(self, dense, **kwargs):
            super().__init__(**kwargs)
            self.dense = dense

        def call(self, inputs):
            return inputs @ self.dense.kernel.t()

    inputs, dense = keras.Input((4,)), layers.Dense(2)
    hidden = dense(inputs)
    model = keras.Model(inputs, Tied(dense)(hidden))
    assert len(model.weights) == 2 and model(X).shape == (20, 4)
    model.compile(keras.optimizers.Adam(0.05), "mse")
    losses = model.fit(X, X, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


# --- what is refused ------------------------------------------------------------------------


def test_an_output_that_depends_on_another_input():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    with pytest.raises(ValueError, match=r"the outputs depend on .*'b'.* not among.*\nExpected .*\nFix: Model\("):
        keras.Model(a, a + b)


def test_layers_of_one_name():
    inputs = keras.Input((4,))
    with pytest.raises(ValueError) as raised:
        keras.Model(inputs, layers.Dense(2, name="same")(layers.Dense(2, name="same")(inputs)))
    assert explained(raised, "'functional'", "'same'")


def test_things_that_are_not_symbolic():
    inputs = keras.Input((4,))
    with pytest.raises(ValueError) as raised:
        keras.Model(inputs, torch.ones(2, 4))
    assert explained(raised, "(2, 4)")
    with pytest.raises(ValueError, match=r"Model got .*Dense.* among its inputs or outputs"):
        keras.Model(inputs, layers.Dense(2))


def test_half_of_the_arguments():
    with pytest.raises(ValueError, match="Model got inputs without outputs"):
        keras.Model(keras.Input((4,)))
    with pytest.raises(ValueError, match="outputs without inputs"):
        keras.Model(outputs=keras.Input((4,)))


def test_the_wrong_number_or_names_of_inputs():
    model = two_towers()
    with pytest.raises(ValueError) as raised:
        model(X)
    assert explained(raised, "'towers'", "1 input", "left", "right")
    with pytest.raises(ValueError) as raised:
        model({"left": X, "rigth": X})
    assert explained(raised, "'towers'", "left", "rigth", "'right' is missing")
    with pytest.raises(ValueError, match="for its input 'right'"):
        model([X, X])


def test_a_module_with_weights_of_its_own_on_a_symbolic_tensor():
    with pytest.raises(TypeError) as raised:
        torch.nn.Linear(4, 2)(keras.Input((4,)))
    assert explained(raised, "(2, 4)", "TorchModuleWrapper")


def test_numbers_that_are_not_there_yet():
    inputs = keras.Input((4,), name="x")
    for use in (float, bool, len, list, np.asarray):
        with pytest.raises(TypeError, match=r"'x' of shape \(None, 4\) was used in .*, but it holds no numbers yet"):
            use(inputs)


def test_a_mistake_is_found_in_the_line_that_makes_it():
    class Careless(keras.Layer):
        def call(self, inputs):
            return inputs @ torch.ones(3, 2)

    with pytest.raises(ValueError) as raised:
        Careless(name="careless")(keras.Input((4,)))
    first, _, third = message(raised).split("\n")
    assert first.startswith("Careless 'careless'") and "(None, 4)" in first
    assert third.startswith("Fix: look at line ") and "return inputs @ torch.ones(3, 2)" in third
