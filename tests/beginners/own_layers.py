"""Mistakes in layers and models that users write themselves."""

import numpy as np
import torch

from beginners.table import mistake, numbers


@mistake(ValueError, "Scale")
def wrong_matrix_product(keras):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(3, 8), name="kernel")

        def call(self, inputs):
            return torch.matmul(inputs, self.kernel)

    Scale(name="scale")(keras.Input((4,)))


@mistake(ValueError, "Scale")
def wrong_matrix_product_on_data(keras):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(3, 8), name="kernel")

        def call(self, inputs):
            return torch.matmul(inputs, self.kernel)

    Scale(name="scale")(numbers(2, 4))


@mistake(ValueError, "Halves")
def wrong_reshape(keras):
    class Halves(keras.layers.Layer):
        def call(self, inputs):
            return inputs.reshape(-1, 2, 3)

    keras.Sequential([keras.Input((4,)), Halves(name="halves")])


@mistake(AttributeError, "Scale")
def forgotten_super_init(keras):
    class Scale(keras.layers.Layer):
        def __init__(self, units):
            self.units = units
            self.dense = keras.layers.Dense(units)

        def call(self, inputs):
            return self.dense(inputs)

    Scale(3)


@mistake(AttributeError, "Scale")
def forgotten_super_init_with_plain_settings(keras):
    class Scale(keras.layers.Layer):
        def __init__(self, factor):
            self.factor = factor

        def call(self, inputs):
            return inputs * self.factor

    Scale(3)(numbers(2, 4))


@mistake(AttributeError, "Net")
def forgotten_super_init_of_a_model(keras):
    class Net(keras.Model):
        def __init__(self):
            self.dense = keras.layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs)

    Net()


@mistake(TypeError, "add_weight")
def add_weight_with_the_name_first(keras):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight("kernel", shape=(input_shape[-1], 3))

        def call(self, inputs):
            return inputs @ self.kernel

    Scale(name="scale")(keras.Input((4,)))


@mistake(ValueError, "Silent")
def call_that_returns_nothing(keras):
    class Silent(keras.layers.Layer):
        def call(self, inputs):
            inputs * 2

    keras.Sequential([keras.Input((4,)), Silent(name="silent"), keras.layers.Dense(1)])


@mistake(ValueError, "Net")
def model_call_that_returns_nothing(keras):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, inputs):
            self.dense(inputs)

    model = Net()
    model.compile("adam", "mse")
    model.fit(numbers(8, 4), numbers(8), verbose=0)


@mistake(TypeError, "Constant")
def call_without_an_input(keras):
    class Constant(keras.layers.Layer):
        def call(self):
            return torch.ones(2, 3)

    Constant(name="constant")(keras.Input((4,)))


@mistake(NotImplementedError, "Empty")
def no_call(keras):
    class Empty(keras.layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], 3))

    keras.Sequential([keras.Input((4,)), Empty(name="empty")])


@mistake(NotImplementedError, "Net")
def no_call_in_a_model(keras):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def forward_pass(self, inputs):
            return self.dense(inputs)

    model = Net()
    model.compile("adam", "mse")
    model.fit(numbers(8, 4), numbers(8), verbose=0)


@mistake(ValueError, "Rooted")
def numpy_on_a_tensor(keras):
    class Rooted(keras.layers.Layer):
        def call(self, inputs):
            return torch.as_tensor(np.sqrt(inputs))

    layers = [keras.layers.Dense(3, activation="relu"), Rooted(name="rooted"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile("adam", "mse")
    model.fit(numbers(8, 4), numbers(8), verbose=0)


@mistake(UserWarning, "Scale")
def numpy_on_a_weight(keras):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")

        def call(self, inputs):
            return inputs * torch.as_tensor(np.sqrt(self.factor.numpy()))

    model = keras.Sequential([keras.Input((4,)), Scale(name="scale"), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(numbers(8, 4), numbers(8), verbose=0)


@mistake(ValueError, "Averaged")
def call_that_returns_a_python_number(keras):
    class Averaged(keras.layers.Layer):
        def call(self, inputs):
            return inputs.mean().item()

    keras.Sequential([keras.Input((4,)), Averaged(name="averaged")])


@mistake(ValueError, "Squeezed")
def squeeze_of_all_axes(keras):
    class Squeezed(keras.layers.Layer):
        def call(self, inputs):
            return inputs.squeeze()

    model = keras.Sequential([keras.Input((1, 4)), Squeezed(name="squeezed"), keras.layers.Dense(1)])
    model.predict(numbers(1, 1, 4), verbose=0)


@mistake(AttributeError, "Scale")
def misspelt_attribute_in_call(keras):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], 3))

        def call(self, inputs):
            return inputs @ self.kernal

    Scale(name="scale")(keras.Input((4,)))


@mistake(NameError, "Scale")
def unknown_name_in_call(keras):
    class Scale(keras.layers.Layer):
        def call(self, inputs):
            return inputs * factor  # noqa: F821

    Scale(name="scale")(keras.Input((4,)))


@mistake(TypeError, "build")
def build_without_the_shape(keras):
    class Scale(keras.layers.Layer):
        def build(self):
            self.kernel = self.add_weight(shape=(4, 3))

        def call(self, inputs):
            return inputs @ self.kernel

    Scale(name="scale")(keras.Input((4,)))


@mistake(IndexError, "Scale")
def index_error_in_build(keras):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[3], 3))

        def call(self, inputs):
            return inputs @ self.kernel

    Scale(name="scale")(keras.Input((4,)))


@mistake(ValueError, "second")
def layers_of_a_model_that_do_not_fit(keras):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = keras.layers.LSTM(8, name="first")
            self.second = keras.layers.LSTM(8, name="second")

        def call(self, inputs):
            return self.second(self.first(inputs))

    model = Net()
    model.compile("adam", "mse")
    model.fit(numbers(8, 5, 4), numbers(8, 8), verbose=0)


@mistake(ValueError, "Net")
def wrong_sum_in_a_model(keras):
    class Net(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.wide = keras.layers.Dense(6)
            self.narrow = keras.layers.Dense(5)

        def call(self, inputs):
            return self.wide(inputs) + self.narrow(inputs)

    model = Net(name="net")
    model.compile("adam", "mse")
    model.fit(numbers(8, 4), numbers(8, 5), verbose=0)


@mistake(ValueError, "words")
def embedding_index_out_of_range_in_a_model(keras):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.words = keras.layers.Embedding(100, 4, name="words")
            self.answer = keras.layers.Dense(1)

        def call(self, inputs):
            return self.answer(self.words(inputs[:, 0]))

    model = Net()
    model.compile("adam", "mse")
    model.fit(np.arange(200).reshape(100, 2), numbers(100), batch_size=16, verbose=0)


@mistake(ValueError, "Net")
def layer_made_in_call(keras):
    class Net(keras.Model):
        def call(self, inputs):
            return keras.layers.Dense(1)(inputs)

    model = Net(name="net")
    model.compile("adam", "mse")
    model.fit(numbers(8, 4), numbers(8), verbose=0)


@mistake(TypeError, "Net")
def name_that_is_not_handed_on(keras):
    class Net(keras.Model):
        def __init__(self, units):
            super().__init__()
            self.dense = keras.layers.Dense(units)

    Net(3, name="net")


@mistake(TypeError, "unit")
def argument_of_an_own_layer(keras):
    class Scale(keras.layers.Layer):
        def __init__(self, units, factor=1.0):
            super().__init__()
            self.units, self.factor = units, factor

    Scale(units=3, facto=2.0)


@mistake(TypeError, "units")
def missing_argument_of_an_own_layer(keras):
    class Scale(keras.layers.Layer):
        def __init__(self, units, factor=1.0):
            super().__init__()
            self.units, self.factor = units, factor

    Scale(factor=2.0)


@mistake(RuntimeError, "Largest")
def metric_without_super_init(keras):
    class Largest(keras.metrics.Metric):
        def __init__(self):
            self.largest = self.add_weight(name="largest", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.largest.assign(y_pred.max())

        def result(self):
            return self.largest

    Largest()
