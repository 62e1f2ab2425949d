"""Settings for the whole program, paths of variables, and scopes: values for a while, computing again, devices."""

import copy
import logging
import pickle

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple import config, layers, losses, metrics, ops
from uncrumple.core import naming


@pytest.fixture(autouse=True)
def _as_before():
    yield
    config.set_epsilon(1e-7)
    config.set_image_data_format("channels_last")
    config.set_max_epochs(None)
    config.set_max_steps_per_epoch(None)
    config.enable_interactive_logging()
    config.enable_traceback_filtering()


# --- settings ----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1e-7, 1e-3, 0.1])
def test_epsilon_is_that_of_keras_where_it_counts(value):
    import keras

    y_true, y_pred = np.array([[0.0, 1.0, 0.0]], "float32"), np.array([[0.0, 0.02, 0.98]], "float32")
    config.set_epsilon(value)
    keras.config.set_epsilon(value)
    try:
        for name in ("categorical_crossentropy", "binary_crossentropy", "kl_divergence", "poisson"):
            mine = getattr(losses, name)(y_true, y_pred)
            assert float(mine[0]) == pytest.approx(float(getattr(keras.losses, name)(y_true, y_pred)[0]), rel=1e-5)
        mine = losses.sparse_categorical_crossentropy(np.array([0]), y_pred)
        theirs = keras.losses.sparse_categorical_crossentropy(np.array([0]), y_pred)
        assert float(mine[0]) == pytest.approx(float(theirs[0]), rel=1e-5)
        weight = torch.ones(2, 2)
        mine = uc.constraints.UnitNorm()(weight).numpy()
        np.testing.assert_allclose(mine, keras.constraints.UnitNorm()(weight).numpy(), rtol=1e-6)
        np.testing.assert_allclose(ops.rms_normalization(weight).numpy(), keras.ops.rms_normalization(weight).numpy())
    finally:
        keras.config.set_epsilon(1e-7)


def test_training_takes_the_epsilon_too():
    """The native steps know 1e-7 only, and step aside."""

    def loss(value):
        config.set_epsilon(value)
        uc.utils.set_random_seed(0)
        dense = layers.Dense(3, activation="softmax", kernel_initializer=uc.initializers.Constant([[9.0, 0, 0]] * 2))
        model = uc.Sequential([uc.Input((2,)), dense])
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model.fit(np.ones((4, 2)), np.ones(4, int), verbose=0, shuffle=False).history["loss"][0]

    assert loss(0.1) == pytest.approx(-np.log(0.1), rel=1e-5)
    assert loss(1e-7) == pytest.approx(-np.log(1e-7), rel=1e-5)


def test_image_data_format_is_the_default_of_layers():
    config.set_image_data_format("channels_first")
    assert layers.Conv2D(4, 3)(uc.Input((3, 8, 8))).shape == (None, 4, 6, 6)
    assert ops.max_pool(torch.ones(1, 3, 8, 8), 2).shape == (1, 3, 4, 4)
    assert layers.MaxPooling2D(data_format="channels_last")(uc.Input((8, 8, 3))).shape == (None, 4, 4, 3)
    with pytest.raises(ValueError, match="Unknown image data format: 'channels'"):
        config.set_image_data_format("channels")


def test_short_runs():
    model = uc.Sequential([uc.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((64, 2))
    seen = []
    config.set_max_epochs(2)
    config.set_max_steps_per_epoch(3)
    count = uc.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    history = model.fit(x, x[:, :1], batch_size=4, epochs=9, verbose=0, callbacks=[count])
    assert history.epoch == [0, 1] and seen == [0, 1, 2] * 2
    assert model.predict(x, batch_size=4, verbose=0).shape == (12, 1)
    for wrong in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="Expected a whole number of at least 1"):
            config.set_max_epochs(wrong)


def test_what_is_refused():
    with pytest.raises(ValueError) as caught:
        config.enable_unsafe_deserialization()
    assert str(caught.value) == (
        "enable_unsafe_deserialization was called.\n"
        "Expected files that carry no code: what is in them is never run, and no switch changes that.\n"
        "Fix: load_model(path, custom_objects={'my_function': my_function})"
    )
    config.set_backend("torch")
    with pytest.raises(ValueError, match="set_backend got 'jax'"):
        config.set_backend("jax")
    assert not config.is_nnx_enabled()
    with pytest.raises(ImportError) as gone:
        uc.optimizers.legacy.Adam(learning_rate=0.1)
    assert str(gone.value) == (
        "optimizers.legacy.Adam is gone: Keras 3 has it no longer.\n"
        "Expected the optimizer of the same name.\nFix: optimizers.Adam(...)"
    )


def test_errors_of_own_parts_come_as_they_are_without_filtering():
    class Own(layers.Layer):
        def call(self, inputs):
            return inputs.reshape(7)

    with pytest.raises(ValueError, match=r"Own 'own.*' failed"):
        Own()(torch.ones(2))
    config.disable_traceback_filtering()
    assert not config.is_traceback_filtering_enabled()
    with pytest.raises(RuntimeError, match=r"shape '\[7\]' is invalid"):
        Own()(torch.ones(2))


def test_messages_go_to_the_log(capsys, caplog):
    from uncrumple.core.messages import print_message

    print_message("on the screen")
    uc.utils.disable_interactive_logging()
    assert not uc.utils.is_interactive_logging_enabled()
    with caplog.at_level(logging.INFO, "uncrumple"):
        print_message("in the log")
    assert capsys.readouterr().out == "on the screen\n"
    assert caplog.messages == ["in the log"]


# --- paths -------------------------------------------------------------------------------


def paths(keras):
    """The paths of the weights of several models."""

    class Block(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = keras.layers.Dense(2, name="dense")

        def build(self, shape):
            self.w = self.add_weight(shape=(2,), name="w")
            self.dense.build(shape)

        def call(self, inputs):
            return self.dense(inputs) + self.w

    class Own(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.block = Block(name="block")
            self.last = keras.layers.Dense(1, name="last")

        def call(self, inputs):
            return self.last(self.block(inputs))

    found = {}
    inputs = keras.Input((4,), name="i")
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="b")], name="inner")
    outer = keras.Model(inputs, inner(keras.layers.Dense(3, name="a")(inputs)), name="outer")
    gru = keras.layers.Bidirectional(keras.layers.GRU(2, name="g"), name="bi")
    sequential = keras.Sequential([gru], name="sequential")
    sequential.build((None, 3, 4))
    attention = keras.layers.MultiHeadAttention(2, 3, name="attention")
    attention(keras.Input((3, 4)), keras.Input((3, 4)))
    own = Own(name="own")
    own(np.ones((2, 3), "float32"))
    own.compile("adam", "mse")
    own.fit(np.ones((2, 3), "float32"), np.ones((2, 1), "float32"), verbose=0)
    for name, part in (("outer", outer), ("sequential", sequential), ("attention", attention), ("own", own)):
        found[name] = [weight.path for weight in part.weights]
    found["layers"] = [layer.path for layer in (*outer.layers, gru, own.block, own.block.dense, own.last)]
    found["optimizer"] = [variable.path for variable in own.optimizer.variables]
    with keras.name_scope("encoder"):
        found["scope"] = keras.Variable(np.ones(2, "float32"), name="v").path
    return found


def test_paths_are_those_of_keras():
    import keras

    keras.utils.clear_session()
    uc.utils.clear_session()
    assert paths(uc) == paths(keras)


def test_scopes_end_where_they_should():
    class Fails(layers.Layer):
        def build(self, shape):
            raise RuntimeError("no")

    with pytest.raises(Exception, match="no"):
        Fails()(torch.ones(2, 2))
    assert naming.current_path() == ""
    with pytest.raises(ValueError) as caught, uc.name_scope("a/b"):
        pass
    assert str(caught.value) == (
        "name_scope got name='a/b'.\nExpected a string without '/'.\nFix: name_scope(\"encoder\")"
    )


# --- with other values -------------------------------------------------------------------


def small_model():
    regularized = layers.Dense(1, kernel_regularizer="l2")
    return uc.Sequential([uc.Input((4,)), layers.Dense(3), layers.BatchNormalization(), regularized])


def test_stateless_call():
    model, x = small_model(), torch.randn(8, 4)
    trainable = [(w.detach() * 2).requires_grad_() for w in model.trainable_variables]
    fixed = [w.detach() + 1 for w in model.non_trainable_variables]
    before = [w.numpy() for w in model.weights]
    outputs, after, added = model.stateless_call(trainable, fixed, x, training=True, return_losses=True)
    (outputs.sum() + sum(added)).backward()
    assert all(w.grad is not None for w in trainable) and all(w.grad is None for w in model.weights)
    assert all(np.array_equal(a, w.numpy()) for a, w in zip(before, model.weights))
    assert not torch.equal(after[0], fixed[0])
    for weight, value in zip([*model.trainable_variables, *model.non_trainable_variables], [*trainable, *fixed]):
        weight.assign(value.detach())
    assert torch.allclose(model(x, training=True), outputs)
    assert torch.allclose(sum(model.losses), sum(added))
    assert all(torch.allclose(a, w) for a, w in zip(after, model.non_trainable_variables))


def test_stateless_call_says_what_does_not_fit():
    model = small_model()
    values = [w.detach() for w in model.trainable_variables]
    with pytest.raises(ValueError, match=r"got 5 trainable_variables.\nExpected 6, one for each"):
        model.stateless_call(values[:-1], [], torch.ones(1, 4))
    with pytest.raises(ValueError, match=r"got a value of shape \(7,\) for '.*/bias'"):
        model.stateless_call([values[0], torch.ones(7), *values[2:]], model.non_trainable_variables, torch.ones(1, 4))
    with pytest.raises(ValueError, match="is not built"):
        layers.Dense(2).stateless_call([], [], torch.ones(1, 4))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "lion"])
def test_stateless_apply(name):
    model = small_model()
    optimizer = uc.optimizers.get(name)
    optimizer.build(model.trainable_variables)
    gradients = [torch.ones_like(w) for w in model.trainable_variables]
    before = [w.numpy() for w in model.weights]
    weights, state = optimizer.stateless_apply(optimizer.variables, gradients, model.trainable_variables)
    weights, state = optimizer.stateless_apply(state, gradients, weights)
    assert all(np.array_equal(a, w.numpy()) for a, w in zip(before, model.weights))
    assert int(optimizer.iterations.numpy()) == 0
    for _ in range(2):
        optimizer.apply(gradients, model.trainable_variables)
    for value, variable in zip([*weights, *state], [*model.trainable_variables, *optimizer.variables]):
        np.testing.assert_allclose(value.numpy(), variable.numpy(), rtol=1e-6)


def test_stateless_scope():
    model = small_model()
    weight, mean = model.layers[0].kernel, model.layers[1].moving_mean
    before = weight.numpy()
    with uc.StatelessScope([(weight, np.zeros((4, 3)))], collect_losses=True) as scope:
        assert float(model.layers[0](torch.ones(1, 4)).abs().sum().detach()) == 0.0
        mean.assign(torch.ones(3))
        weight.assign_add(torch.ones(4, 3))
        layers.ActivityRegularization(l2=1.0)(torch.ones(1, 2))
        assert torch.equal(scope.get_current_value(mean), torch.ones(3))
    assert np.array_equal(weight.numpy(), before) and np.array_equal(mean.numpy(), np.zeros(3))
    assert torch.equal(scope.get_current_value(weight), torch.ones(4, 3))
    assert scope.get_current_value(model.layers[0].bias) is None
    assert len(scope.losses) == 1
    with pytest.raises(ValueError, match=r"got a value of shape \(2,\) for '.*/kernel'"):
        uc.StatelessScope([(weight, np.zeros(2))])


# --- computing again ----------------------------------------------------------------------


class Counts(layers.Layer):
    """Counts how often it is called."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs.exp()


@pytest.mark.parametrize(
    ("given", "calls"),
    [
        ({}, 2),
        ({"mode": None}, 1),
        ({"mode": "activations"}, 1),
        ({"mode": "list_of_layers", "layer_names": ["counts"]}, 2),
        ({"mode": "list_of_layers", "layer_names": ["other"]}, 1),
        ({"mode": "larger_than", "output_size_threshold": 5}, 3),
        ({"mode": "larger_than", "output_size_threshold": 6}, 2),
    ],
    ids=range(7),
)
def test_remat_scope(given, calls):
    """`larger_than` runs once more, without numbers, to see how large the output is."""
    with uc.RematScope(**given):
        layer = Counts(name="counts")
    layer = pickle.loads(pickle.dumps(copy.deepcopy(layer)))
    x = torch.ones(2, 6, requires_grad=True)
    layer(x).sum().backward()
    assert layer.calls == calls
    assert torch.allclose(x.grad, x.detach().exp())


def test_what_is_computed_again_is_the_same():
    def gradients(again):
        uc.utils.set_random_seed(0)
        with uc.RematScope("full" if again else None):
            block = uc.Sequential(
                [layers.Dense(5, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.5, seed=3),
                 layers.Dropout(0.5), layers.Dense(2)]
            )  # fmt: skip
        block.build((None, 4))
        x = torch.randn(16, 4, requires_grad=True, generator=torch.Generator().manual_seed(1))
        for _ in range(2):
            block(x, training=True).square().sum().backward()
        return [x.grad, *[w.grad for w in block.trainable_weights], *[w.detach() for w in block.non_trainable_weights]]

    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(gradients(True), gradients(False)))


def test_remat_of_a_function():
    calls = []
    x = torch.ones(3, requires_grad=True)
    uc.remat(lambda x: (calls.append(1), x.sin())[1])(x).sum().backward()
    assert len(calls) == 2 and torch.allclose(x.grad, torch.ones(3).cos())
    with pytest.raises(TypeError, match="remat got 3"):
        uc.remat(3)
    with pytest.raises(ValueError, match="RematScope got mode='all'"):
        uc.RematScope("all")


# --- other names --------------------------------------------------------------------------


def test_device_and_symbolic_scope():
    with uc.device("cpu:0") as found:
        assert found == torch.device("cpu", 0)
    with uc.SymbolicScope():
        assert layers.Dense(3)(torch.ones(2, 4)).is_meta
    assert not torch.ones(1).is_meta
    with pytest.raises(ValueError, match="device got 'nowhere'"), uc.device("nowhere"):
        pass


def test_function():
    a, b = uc.Input((2,), name="a"), uc.Input((2,), name="b")
    dense = layers.Dense(3)
    function = uc.Function([a, b], {"sum": a + b, "dense": dense(a)}, name="both")
    x = torch.ones(4, 2)
    found = function([x, x])
    assert torch.equal(found["sum"], x + x) and torch.allclose(found["dense"], dense(x))
    assert function.compute_output_shape([(7, 2), (7, 2)])["dense"] == (7, 3)
    assert dense in function.operations and len(function.inputs) == 2 and len(function.outputs) == 2


def test_own_operation():
    class Twice(uc.Operation):
        def call(self, x):
            return x * 2

    assert torch.equal(Twice()(torch.ones(2)), torch.full((2,), 2.0))
    model = uc.Model(inputs := uc.Input((2,)), Twice()(inputs))
    assert model(torch.ones(1, 2)).tolist() == [[2.0, 2.0]]


def test_metrics_of_layers():
    class Seen(layers.Layer):
        def __init__(self):
            super().__init__()
            self.mean = metrics.Mean(name="seen")
            self.inner = [metrics.Sum(name="sum")]

        def call(self, x):
            return x

    layer = Seen()
    assert [metric.name for metric in layer.metrics] == ["seen", "sum"]
    assert len(layer.metrics_variables) == 3
    assert [metric.name for metric in layers.TimeDistributed(layer).metrics] == ["seen", "sum"]
    with pytest.raises(NotImplementedError, match="add_metric was called"):
        layer.add_metric(1)


# --- a policy for each layer ----------------------------------------------------------------


def test_policy_map_in_layers_and_files():
    import keras

    def types(package):
        given = {"mha/query": package.DTypePolicy("float64"), "mha/a.*": package.DTypePolicy("float16")}
        policies = package.dtype_policies.DTypePolicyMap("float32", given)
        layer = package.layers.MultiHeadAttention(2, 3, name="mha", dtype=policies)
        layer.build((None, 3, 4), (None, 3, 4))
        written = package.dtype_policies.serialize(policies)
        assert package.dtype_policies.deserialize(written)["mha/query"].name == "float64"
        kinds = [str(weight.dtype).removeprefix("torch.") for weight in layer.weights]
        return kinds, written, policies.name, policies["mha/value"].name, list(policies), len(policies)

    assert types(uc) == types(keras)


def test_policy_map_errors():
    policies = uc.dtype_policies.DTypePolicyMap(policy_map={"a/.*": "bfloat16", "a/b.*": "float16"})
    with pytest.raises(ValueError, match=r"fits 2 keys of a DTypePolicyMap: 'a/.*', 'a/b.*'"):
        policies["a/b"]
    with pytest.raises(ValueError, match=r"has a policy for 'a/.*' already"):
        policies["a/.*"] = "float32"
    with pytest.raises(TypeError, match=r"Expected {path: policy}"):
        uc.dtype_policies.DTypePolicyMap(None, ["a"])
    config.set_dtype_policy(None)  # a policy that was set would count before floatx
    config.set_floatx("float64")
    try:
        assert policies["c"].name == "float64"
    finally:
        config.set_floatx("float32")
