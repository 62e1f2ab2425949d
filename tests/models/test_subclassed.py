"""Layers and models of one's own: `build`, `call(training=, mask=)`, `add_weight`, `add_loss`, parts in lists, torch modules."""

import numpy as np
import pytest
import torch

import uncrumple as keras
from raised import explained, message
from uncrumple import layers

X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


@pytest.fixture(autouse=True)
def _names_count_from_the_beginning():
    keras.utils.clear_session()


class Linear(keras.Layer):
    def __init__(self, units, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.units, self.activation = units, keras.activations.get(activation)

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), regularizer="l2", name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False, dtype="int64", name="seen")

    def call(self, inputs, training=None):
        if training:
            self.seen.assign_add(1)
        return self.activation(inputs @ self.kernel + self.bias)


# --- layers -------------------------------------------------------------------------------


def test_a_layer_of_ones_own():
    layer = Linear(3, activation="relu", name="mine")
    assert not layer.built and layer.weights == []
    out = layer(X)
    assert out.shape == (20, 3) and layer.built and float(out.detach().min()) >= 0
    assert [weight.path for weight in layer.weights] == ["mine/kernel", "mine/bias", "mine/seen"]
    assert len(layer.trainable_weights) == 2 and len(layer.non_trainable_weights) == 1
    assert list(layer.state_dict()) == ["kernel", "bias", "seen"]
    assert layer.seen.dtype is torch.int64 and int(layer.seen) == 0
    layer(X, training=True)
    assert int(layer.seen) == 1
    (penalty,) = layer.losses
    torch.testing.assert_close(penalty, 0.01 * layer.kernel.square().sum())
    assert layer.compute_output_shape((None, 4)) == (None, 3)


def test_it_learns_within_a_model():
    model = keras.Sequential([keras.Input((4,)), Linear(8, "tanh"), Linear(1)])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    losses = model.fit(X, Y, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    assert int(model.layers[0].seen) == 15


def test_settings_are_remembered_without_get_config():
    layer = Linear(3, activation="relu", name="mine", trainable=False)
    config = layer.get_config()
    assert config["units"] == 3 and config["activation"] == "relu" and config["name"] == "mine"
    again = Linear.from_config(config)
    assert again.units == 3 and again.activation is keras.activations.relu and not again.trainable


def test_a_get_config_of_ones_own():
    class Scaled(keras.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, inputs):
            return inputs * self.factor

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    assert Scaled.from_config(Scaled(2.0).get_config())(torch.ones(1)).tolist() == [2.0]


def test_a_config_that_does_not_fit_the_constructor():
    class Odd(keras.Layer):
        def __init__(self, first, **kwargs):
            super().__init__(**kwargs)

        def get_config(self):
            return {"name": self.name}

    with pytest.raises(TypeError, match="Odd got no first"):
        Odd.from_config(Odd(1).get_config())


def test_build_with_several_shapes():
    class Mix(keras.Layer):
        def build(self, left_shape, right_shape):
            self.one = self.add_weight(shape=(left_shape[-1], 2))
            self.other = self.add_weight(shape=(right_shape[-1], 2))

        def call(self, left, right):
            return left @ self.one + right @ self.other

    layer = Mix()
    assert layer(torch.ones(5, 3), torch.ones(5, 4)).shape == (5, 2)
    assert layer.one.shape == (3, 2) and layer.other.shape == (4, 2)
    a, b = keras.Input((3,)), keras.Input((4,))
    assert Mix()(a, right=b).shape == (None, 2)


def test_build_with_a_list_of_shapes():
    class Mix(keras.Layer):
        def build(self, input_shape):
            assert input_shape == [(None, 3), (None, 4)]
            self.kernel = self.add_weight(shape=(input_shape[1][-1], input_shape[0][-1]))

        def call(self, inputs):
            left, right = inputs
            return left + right @ self.kernel

    assert Mix()([keras.Input((3,)), keras.Input((4,))]).shape == (None, 3)


def test_weights_made_in_the_constructor():
    class Shift(keras.Layer):
        def __init__(self):
            super().__init__()
            self.shift = self.add_weight(shape=(4,), initializer="ones")
            self.plain = torch.nn.Parameter(torch.ones(4))
            self.register_buffer("fixed", torch.full((4,), 2.0))

        def call(self, inputs):
            return inputs + self.shift + self.plain + self.fixed

    layer = Shift()
    torch.testing.assert_close(layer(X), torch.from_numpy(X) + 4)
    assert len(layer.weights) == 2 and list(layer.state_dict()) == ["shift", "plain", "fixed"]
    inputs = keras.Input((4,))
    assert keras.Model(inputs, layer(inputs))(X).shape == (20, 4)


def test_masks_come_in_and_go_on():
    class Count(keras.Layer):
        def call(self, inputs, mask=None):
            return mask.sum(1).to(inputs.dtype) if mask is not None else torch.full(inputs.shape[:1], -1.0)

    class Passing(keras.Layer):
        def __init__(self):
            super().__init__()
            self.supports_masking = True

        def call(self, inputs):
            return inputs * 2

    inputs = keras.Input((3, 2))
    model = keras.Model(inputs, Count()(Passing()(layers.Masking()(inputs))))
    x = torch.tensor([[[1.0, 1.0], [0.0, 0.0], [2.0, 0.0]]])
    assert model(x).tolist() == [2.0]
    assert Count()(x).tolist() == [-1.0]
    assert Count()(x, mask=torch.tensor([[True, False, False]])).tolist() == [1.0]


def test_a_layer_that_drops_a_mask_says_so():
    class Plain(keras.Layer):
        def call(self, inputs):
            return inputs + 1

    masked = layers.Masking()(torch.zeros(1, 2, 2))
    with pytest.warns(
        keras.UncrumpleWarning, match="Plain 'plain' got an input with a mask, and does not support masking"
    ):
        assert not hasattr(Plain()(masked), "_keras_mask")


def test_compute_mask_of_ones_own():
    class Halve(keras.Layer):
        def __init__(self):
            super().__init__()
            self.supports_masking = True

        def call(self, inputs):
            return inputs[:, ::2]

        def compute_mask(self, inputs, previous_mask):
            return None if previous_mask is None else previous_mask[:, ::2]

    out = Halve()(layers.Masking()(torch.tensor([[[1.0], [1.0], [0.0], [1.0]]])))
    assert out._keras_mask.tolist() == [[True, False]]


def test_code_that_looks_at_numbers():
    class Clip(keras.Layer):
        def call(self, inputs):
            limit = inputs.abs().max().item()
            steps = [row.sum() for row in inputs] if limit > 1e9 else []
            return inputs / (limit + 1.0) + len(steps)

    inputs = keras.Input((4,))
    model = keras.Model(inputs, Clip()(inputs))
    assert model.output_shape == (None, 4)
    torch.testing.assert_close(model(X), torch.from_numpy(X / (abs(X).max() + 1)))


def test_tensors_made_within_call():
    class Positions(keras.Layer):
        def call(self, inputs):
            length = inputs.shape[1]
            return inputs + torch.arange(length, dtype=inputs.dtype)[None, :, None] + torch.zeros(inputs.shape[0], 1, 1)

    inputs = keras.Input((None, 2))
    model = keras.Model(inputs, Positions()(inputs))
    assert model.output_shape == (None, None, 2)
    assert model(torch.zeros(1, 3, 2))[0, :, 0].tolist() == [0, 1, 2]


def test_numbers_drawn_within_call_do_not_depend_on_building():
    class Noise(keras.Layer):
        def call(self, inputs, training=None):
            return inputs + torch.randn_like(inputs) if training else inputs

    keras.utils.set_random_seed(1)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, Noise()(inputs))
    first = model(X, training=True)
    keras.utils.set_random_seed(1)
    assert torch.equal(first, torch.from_numpy(X) + torch.randn(20, 4))


# --- models -------------------------------------------------------------------------------


class Net(keras.Model):
    def __init__(self, units=5, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(units, activation="relu")
        self.blocks = [layers.Dense(units), [layers.Dense(units)]]
        self.ends = {"b": layers.Dense(2), "a": layers.Dense(1)}
        self.pair = (torch.nn.Linear(units, units), torch.nn.BatchNorm1d(units))

    def call(self, inputs, training=None):
        x = self.first(inputs)
        x = self.blocks[1][0](self.blocks[0](x))
        for module in self.pair:
            x = module(x)
        return {name: layer(x) for name, layer in self.ends.items()}


def test_parts_in_lists_dicts_and_tuples_are_found():
    model = Net()
    out = model(X)
    assert list(out) == ["b", "a"] and out["b"].shape == (20, 2)
    # five Dense, one Linear, and a BatchNorm with its running mean, variance and count
    assert len(model.weights) == 10 + 2 + 5 and len(model.trainable_weights) == 10 + 2 + 2
    assert len(list(model.parameters())) == 14
    model.compile("adam", loss={"a": "mse", "b": "mae"})
    before = model.pair[1].running_mean.clone()
    model.fit(X, {"a": Y, "b": X[:, :2]}, verbose=0)
    assert not torch.equal(before, model.pair[1].running_mean)
    assert not model.pair[1].training


def test_a_list_that_grows_later():
    class Stack(keras.Model):
        def __init__(self):
            super().__init__()
            self.blocks = []
            for _ in range(3):
                self.blocks.append(layers.Dense(4))
            self.named = {}
            self.named["last"] = layers.Dense(1)

        def call(self, inputs):
            for block in self.blocks:
                inputs = block(inputs)
            return self.named["last"](inputs)

    model = Stack()
    model(X)
    assert len(model.weights) == 8 and len(model.layers) == 4


def test_build_makes_the_weights():
    model = Net()
    model.build((None, 4))
    assert model.built and len(model.weights) == 17
    assert model.first.kernel.shape == (4, 5)


def test_fit_builds_what_was_never_called():
    model = Net()
    model.compile("sgd", loss={"a": "mse", "b": "mae"})
    history = model.fit(X, {"a": Y, "b": X[:, :2]}, verbose=0, epochs=2).history
    assert list(history) == ["a_loss", "b_loss", "loss"]


def test_inputs_in_a_dict():
    class Named(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, inputs):
            return self.dense(torch.cat([inputs["left"], inputs["right"]], -1))

    model = Named()
    model.compile(keras.optimizers.Adam(0.05), "mse")
    losses = model.fit({"left": X[:, :2], "right": X[:, 2:]}, Y, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert model.predict({"right": X[:, 2:], "left": X[:, :2]}, verbose=0).shape == (20, 1)


def test_a_functional_model_with_a_class_of_its_own():
    class Custom(keras.Model):
        def train_step(self, data):
            self.steps = getattr(self, "steps", 0) + 1
            return super().train_step(data)

    inputs = keras.Input((4,))
    model = Custom(inputs, layers.Dense(1)(inputs), name="custom")
    assert isinstance(model, Custom) and model.output_shape == (None, 1) and model.name == "custom"
    model.compile("sgd", "mse")
    model.fit(X, Y, batch_size=5, epochs=2, verbose=0)
    assert model.steps == 8


def test_a_sequential_model_with_a_class_of_its_own():
    class Stack(keras.Sequential):
        def __init__(self, units, **kwargs):
            super().__init__([layers.Dense(units), layers.Dense(1)], **kwargs)

    assert Stack(3, name="mine")(X).shape == (20, 1)


def test_a_whole_model_as_a_part():
    class Outer(keras.Model):
        def __init__(self):
            super().__init__()
            inputs = keras.Input((4,))
            self.inner = keras.Model(inputs, layers.Dropout(0.5)(inputs))
            self.stack = keras.Sequential([layers.Dense(3), layers.Dense(1)])

        def call(self, inputs, training=None):
            return self.stack(self.inner(inputs, training=training))

    model = Outer()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert len(model.weights) == 4
    np.testing.assert_array_equal(model.predict(X, verbose=0), model.predict(X, verbose=0))
    assert not torch.equal(model(X, training=True), model(X, training=True))


def test_training_reaches_layers_that_are_not_told():
    class Quiet(keras.Model):
        def __init__(self):
            super().__init__()
            self.drop = layers.Dropout(0.5)

        def call(self, inputs):
            return self.drop(inputs)

    model = Quiet()
    assert torch.equal(model(X), torch.from_numpy(X))
    assert not torch.equal(model(X, training=True), torch.from_numpy(X))
    model.train()
    assert not torch.equal(model(X), torch.from_numpy(X))
    assert torch.equal(model(X, training=False), torch.from_numpy(X))
    assert model.drop.training


@pytest.mark.parametrize("kind", ["uint8", "int64", "bool"])
def test_whole_numbers_as_data(kind):
    class Images(keras.Model):
        def __init__(self):
            super().__init__()
            self.flat, self.dense, self.conv = layers.Flatten(), layers.Dense(2), layers.Conv2D(2, 3)

        def call(self, inputs):
            return self.dense(self.flat(inputs)) + self.dense(self.flat(inputs)) * self.conv(inputs).mean()

    images = (np.random.default_rng(0).uniform(size=(6, 5, 5, 1)) * 2).astype(kind)
    model = Images()
    model.compile("sgd", "mse")
    model.fit(images, np.zeros((6, 2)), verbose=0)
    expected = model(torch.from_numpy(images.astype("float32"))).detach()
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, rtol=1e-5)


# --- precision ----------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "kind"), [("mixed_bfloat16", torch.bfloat16), ("mixed_float16", torch.float16)])
def test_a_layer_of_ones_own_computes_in_the_policys_type(policy, kind):
    layer = Linear(3, dtype=policy)
    out = layer(X)
    assert out.dtype is kind and layer.kernel.dtype is torch.float32
    assert layer.compute_dtype == policy.removeprefix("mixed_") and layer.variable_dtype == "float32"
    out.float().sum().backward()
    assert layer.kernel.grad.dtype is torch.float32


def test_a_layer_that_computes_in_double():
    layer = layers.Dense(3, dtype="float64")
    assert layer(X).dtype is torch.float64 and layer.kernel.dtype is torch.float64
    model = keras.Sequential([keras.Input((4,)), layer, layers.Dense(2)])
    assert model(X).dtype is torch.float32


def test_a_layer_that_does_not_cast():
    class Raw(keras.Layer):
        def call(self, inputs):
            return inputs

    assert Raw(autocast=False)(torch.ones(2, dtype=torch.float64)).dtype is torch.float64
    assert Raw()(torch.ones(2, dtype=torch.float64)).dtype is torch.float32
    assert Raw()(torch.ones(2, dtype=torch.int64)).dtype is torch.int64


def test_an_unknown_policy():
    with pytest.raises(ValueError, match=r"Fix: did you mean 'mixed_bfloat16'\?"):
        layers.Dense(3, dtype="mixed_bfloat61")


# --- mistakes -----------------------------------------------------------------------------


def test_super_was_forgotten():
    class Forgot(keras.Layer):
        def __init__(self):
            self.dense = layers.Dense(2)

    with pytest.raises(AttributeError, match=r"'dense' before super\(\).__init__\(\)"):
        Forgot()

    class Late(keras.Model):
        def __init__(self):
            self.units = 3

        def call(self, inputs):
            return inputs

    with pytest.raises(AttributeError, match=r"Expected super\(\).__init__\(\)"):
        Late()(X)


def test_call_was_forgotten():
    class Empty(keras.Layer):
        pass

    class EmptyModel(keras.Model):
        pass

    for made in (Empty(), EmptyModel()):
        with pytest.raises(NotImplementedError, match=r"has no call\(\) method"):
            made(X)


def test_add_weight_refuses_what_cannot_be():
    layer = layers.Dense(2, name="d")
    with pytest.raises(TypeError) as raised:
        layer.add_weight("kernel", (3, 4))
    assert explained(raised, "'d'", "'kernel'")
    with pytest.raises(ValueError, match=r"wants a weight of shape \(None, 4\), with a size that is not known"):
        layer.add_weight(shape=(None, 4))
    with pytest.raises(ValueError, match="Unknown initializer: 'zeroes'"):
        layer.add_weight(shape=(3,), initializer="zeroes")


def test_unknown_arguments():
    with pytest.raises(ValueError, match=r"Fix: did you mean 'activation='\?"):
        layers.Dense(2, activaton="relu")
    with pytest.raises(ValueError, match="unit"):
        Linear(3, unit=4)


def test_add_loss_wants_a_tensor():
    with pytest.raises(TypeError, match=r"add_loss got a function"):
        layers.Dense(2).add_loss(lambda: 1.0)


def test_a_call_that_fails_on_data_names_the_layer():
    class Wrong(keras.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(3, 2), name="kernel")

        def call(self, inputs):
            return inputs @ self.kernel

    inputs = keras.Input((4,))
    with pytest.raises(ValueError) as raised:
        Wrong(name="wrong")(inputs)
    for words in ("Wrong 'wrong'", "(None, 4)", "kernel (3, 2)", "return inputs @ self.kernel"):
        assert words in message(raised)


def test_a_model_whose_call_fails_says_where_in_fit():
    class Wrong(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs) @ torch.ones(4, 1)

    model = Wrong()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"return self\.dense"):
        model.fit(X, Y, verbose=0)
