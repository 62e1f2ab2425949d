"""Mistakes in layers and models that users write themselves."""

import numpy as np
import torch

from beginners.table import mistake, numbers


@mistake(
    ValueError,
    "Scale",
    """
    Scale 'scale' failed on an input of shape (None, 4): a matrix product needs equal inner sizes, and got 4 and 3.
    Expected operations that fit this shape; its weights: kernel (3, 8).
    Fix: look at line LINE of own_layers.py: return torch.matmul(inputs, self.kernel)
    """,
)
def wrong_matrix_product(keras):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(3, 8), name="kernel")

        def call(self, inputs):
            return torch.matmul(inputs, self.kernel)

    Scale(name="scale")(keras.Input((4,)))


@mistake(
    ValueError,
    "Scale",
    """
    Scale 'scale' failed on an input of shape (2, 4): a matrix product needs equal inner sizes, and got 4 and 3.
    Expected operations that fit this shape; its weights: kernel (3, 8).
    Fix: look at line LINE of own_layers.py: return torch.matmul(inputs, self.kernel)
    """,
)
def wrong_matrix_product_on_data(keras):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(3, 8), name="kernel")

        def call(self, inputs):
            return torch.matmul(inputs, self.kernel)

    Scale(name="scale")(numbers(2, 4))


@mistake(
    ValueError,
    "Halves",
    """
    Halves 'halves' failed on an input of shape (None, 4): 8 numbers do not fill the shape (-1, 2, 3) (tried with 2 samples).
    Expected operations that fit this shape.
    Fix: look at line LINE of own_layers.py: return inputs.reshape(-1, 2, 3)
    """,
)
def wrong_reshape(keras):
    class Halves(keras.layers.Layer):
        def call(self, inputs):
            return inputs.reshape(-1, 2, 3)

    keras.Sequential([keras.Input((4,)), Halves(name="halves")])


@mistake(
    AttributeError,
    "Scale",
    """
    Scale: its __init__ used 'dense' before super().__init__().
    Expected super().__init__() first: it makes room for weights and layers.
    Fix: super().__init__() as the first line of Scale.__init__
    """,
)
def forgotten_super_init(keras):
    class Scale(keras.layers.Layer):
        def __init__(self, units):
            self.units = units
            self.dense = keras.layers.Dense(units)

        def call(self, inputs):
            return self.dense(inputs)

    Scale(3)


@mistake(
    AttributeError,
    "Scale",
    """
    Scale: its __init__ never ran super().__init__().
    Expected super().__init__() first: it makes room for weights and layers.
    Fix: super().__init__() as the first line of Scale.__init__
    """,
)
def forgotten_super_init_with_plain_settings(keras):
    class Scale(keras.layers.Layer):
        def __init__(self, factor):
            self.factor = factor

        def call(self, inputs):
            return inputs * self.factor

    Scale(3)(numbers(2, 4))


@mistake(
    AttributeError,
    "Net",
    """
    Net: its __init__ used 'dense' before super().__init__().
    Expected super().__init__() first: it makes room for weights and layers.
    Fix: super().__init__() as the first line of Net.__init__
    """,
)
def forgotten_super_init_of_a_model(keras):
    class Net(keras.Model):
        def __init__(self):
            self.dense = keras.layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs)

    Net()


@mistake(
    TypeError,
    "add_weight",
    """
    Scale 'scale': add_weight got a shape twice, in the first place and as shape=.
    Expected the shape in the first place, and the name as name=.
    Fix: self.add_weight(shape=(...), name="...")
    """,
)
def add_weight_with_the_name_first(keras):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight("kernel", shape=(input_shape[-1], 3))

        def call(self, inputs):
            return inputs @ self.kernel

    Scale(name="scale")(keras.Input((4,)))


@mistake(
    ValueError,
    "Silent",
    """
    Silent 'silent': its call() returned None for an input of shape (None, 4).
    Expected a tensor, or a list, tuple or dict of tensors.
    Fix: return ... as the last line of Silent.call
    """,
)
def call_that_returns_nothing(keras):
    class Silent(keras.layers.Layer):
        def call(self, inputs):
            inputs * 2

    keras.Sequential([keras.Input((4,)), Silent(name="silent"), keras.layers.Dense(1)])


@mistake(
    ValueError,
    "Net",
    """
    Net 'net': its call() returned None for an input of shape (8, 4).
    Expected a tensor, or a list, tuple or dict of tensors.
    Fix: return ... as the last line of Net.call
    """,
)
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


@mistake(
    TypeError,
    "Constant",
    """
    Constant 'constant': its call() takes no input.
    Expected call() to take what the layer is called on.
    Fix: def call(self, inputs): ...
    """,
)
def call_without_an_input(keras):
    class Constant(keras.layers.Layer):
        def call(self):
            return torch.ones(2, 3)

    Constant(name="constant")(keras.Input((4,)))


@mistake(
    NotImplementedError,
    "Empty",
    """
    Empty has no call() method.
    Expected one: it is the layer's mathematics.
    Fix: def call(self, inputs): return ...
    """,
)
def no_call(keras):
    class Empty(keras.layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], 3))

    keras.Sequential([keras.Input((4,)), Empty(name="empty")])


@mistake(
    NotImplementedError,
    "Net",
    """
    Net has no call() method.
    Expected one: it says how the layers are used.
    Fix: def call(self, inputs): return self.dense(inputs)
    """,
)
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


@mistake(
    ValueError,
    "Rooted",
    """
    Rooted 'rooted' failed on an input of shape (8, 3): NumPy was used on a tensor, and gradients cannot pass through NumPy.
    Expected torch functions in call().
    Fix: look at line LINE of own_layers.py: return torch.as_tensor(np.sqrt(inputs.numpy()))
    """,
)
def numpy_on_a_tensor(keras):
    class Rooted(keras.layers.Layer):
        def call(self, inputs):
            return torch.as_tensor(np.sqrt(inputs.numpy()))

    layers = [keras.layers.Dense(3, activation="relu"), Rooted(name="rooted"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile("adam", "mse")
    model.fit(numbers(8, 4), numbers(8), verbose=0)


@mistake(
    UserWarning,
    "Scale",
    """
    Scale 'scale' uses NumPy or .item() in call(): no gradient gets to 'sequential/scale/factor'.
    Expected torch functions: weights without a gradient never learn.
    Fix: torch functions in place of NumPy's in Scale.call
    """,
)
def numpy_on_a_weight(keras):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")

        def call(self, inputs):
            return inputs * torch.as_tensor(np.sqrt(self.factor.numpy()))

    model = keras.Sequential([keras.Input((4,)), Scale(name="scale"), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(numbers(8, 4), numbers(8), verbose=0)


@mistake(
    ValueError,
    "Averaged",
    """
    Averaged 'averaged': its call() returned a float for an input of shape (None, 4).
    Expected a tensor, or a list, tuple or dict of tensors.
    Fix: torch functions in place of NumPy's, and no .item() or .numpy(), in call()
    """,
)
def call_that_returns_a_python_number(keras):
    class Averaged(keras.layers.Layer):
        def call(self, inputs):
            return inputs.mean().item()

    keras.Sequential([keras.Input((4,)), Averaged(name="averaged")])


@mistake(
    ValueError,
    "Squeezed",
    """
    Squeezed 'squeezed': its call() returned 2 axes for 2 samples and 1 for 1.
    Expected as many axes whatever the number of samples.
    Fix: name the axis: x.squeeze(-1) in place of x.squeeze()
    """,
)
def squeeze_of_all_axes(keras):
    class Squeezed(keras.layers.Layer):
        def call(self, inputs):
            return inputs.squeeze()

    model = keras.Sequential([keras.Input((1, 4)), Squeezed(name="squeezed"), keras.layers.Dense(1)])
    model.predict(numbers(1, 1, 4), verbose=0)


@mistake(
    AttributeError,
    "Scale",
    """
    Scale 'scale' has no 'kernal'.
    Expected one of N names, such as: kernel, eval, trainable.
    Fix: did you mean 'kernel'?
    """,
)
def misspelt_attribute_in_call(keras):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], 3))

        def call(self, inputs):
            return inputs @ self.kernal

    Scale(name="scale")(keras.Input((4,)))


@mistake(
    NameError,
    "Scale",
    """
    Scale 'scale' failed on an input of shape (None, 4): cannot access local variable 'factor' where it is not associated with a value.
    Expected call() to run without an error.
    Fix: look at line LINE of own_layers.py: return inputs * factor
    """,
)
def unknown_name_in_call(keras):
    class Scale(keras.layers.Layer):
        def call(self, inputs):
            if inputs.ndim == 7:
                factor = 2
            return inputs * factor

    Scale(name="scale")(keras.Input((4,)))


@mistake(
    TypeError,
    "build",
    """
    Scale 'scale': its build() takes no input shape.
    Expected build() to take the shape of the input.
    Fix: def build(self, input_shape): ...
    """,
)
def build_without_the_shape(keras):
    class Scale(keras.layers.Layer):
        def build(self):
            self.kernel = self.add_weight(shape=(4, 3))

        def call(self, inputs):
            return inputs @ self.kernel

    Scale(name="scale")(keras.Input((4,)))


@mistake(
    IndexError,
    "Scale",
    """
    Scale 'scale' failed in build() on an input of shape (None, 4): tuple index out of range.
    Expected operations that fit this shape.
    Fix: look at line LINE of own_layers.py: self.kernel = self.add_weight(shape=(input_shape[3], 3))
    """,
)
def index_error_in_build(keras):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[3], 3))

        def call(self, inputs):
            return inputs @ self.kernel

    Scale(name="scale")(keras.Input((4,)))


@mistake(
    ValueError,
    "second",
    """
    LSTM 'second' got an input of shape (None, 8).
    Expected 3 axes: (samples, time steps, features), got 2.
    Fix: if it comes after another recurrent layer, return_sequences=True on that one; otherwise x[..., None]
    """,
)
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


@mistake(
    ValueError,
    "Net",
    """
    Net 'net' failed on an input of shape (None, 4): sizes 6 and 5 do not match on axis 1.
    Expected operations that fit this shape.
    Fix: look at line LINE of own_layers.py: return self.wide(inputs) + self.narrow(inputs)
    """,
)
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


@mistake(
    ValueError,
    "words",
    """
    x holds 198 in row 99, and Embedding 'words' has 100 rows.
    Expected whole numbers from 0 to 99.
    Fix: Embedding(input_dim=199, output_dim=4)
    """,
)
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


@mistake(
    ValueError,
    "Net",
    """
    Net 'net' uses a Dense in call() that it does not own: its weights would never be trained.
    Expected layers to be made once, in __init__, as attributes.
    Fix: self.dense = Dense(...) in __init__, and self.dense(...) in call()
    """,
)
def layer_made_in_call(keras):
    class Net(keras.Model):
        def call(self, inputs):
            return keras.layers.Dense(1)(inputs)

    model = Net(name="net")
    model.compile("adam", "mse")
    model.fit(numbers(8, 4), numbers(8), verbose=0)


@mistake(
    TypeError,
    "Net",
    """
    Net got name=, which its __init__ does not hand on.
    Expected **kwargs in __init__, and super().__init__(**kwargs) in its first line.
    Fix: def __init__(self, units, **kwargs): super().__init__(**kwargs)
    """,
)
def name_that_is_not_handed_on(keras):
    class Net(keras.Model):
        def __init__(self, units):
            super().__init__()
            self.dense = keras.layers.Dense(units)

    Net(3, name="net")


@mistake(
    TypeError,
    "facto",
    """
    Scale got an unknown argument 'facto'.
    Expected one of: units, factor.
    Fix: did you mean 'factor='?
    """,
)
def argument_of_an_own_layer(keras):
    class Scale(keras.layers.Layer):
        def __init__(self, units, factor=1.0):
            super().__init__()
            self.units, self.factor = units, factor

    Scale(units=3, facto=2.0)


@mistake(
    TypeError,
    "units",
    """
    Scale got no units.
    Expected units: it has no default.
    Fix: Scale(units=32, factor=2)
    """,
)
def missing_argument_of_an_own_layer(keras):
    class Scale(keras.layers.Layer):
        def __init__(self, units, factor=1.0):
            super().__init__()
            self.units, self.factor = units, factor

    Scale(factor=2.0)


@mistake(
    RuntimeError,
    "Largest",
    """
    Largest: its __init__ never ran super().__init__(), or not first.
    Expected super().__init__() to be called first.
    Fix: super().__init__(name=name)  as the first line of __init__
    """,
)
def metric_without_super_init(keras):
    class Largest(keras.metrics.Metric):
        def __init__(self):
            self.largest = self.add_weight(name="largest", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.largest.assign(y_pred.max())

        def result(self):
            return self.largest

    Largest()


@mistake(
    TypeError,
    "Net",
    """
    Net 'net': its call() got one argument, and no 'b'.
    Expected call() to take all inputs as one: a list, a tuple or a dict.
    Fix: def call(self, inputs): x, y = inputs
    """,
)
def call_with_two_inputs(keras):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, a, b):
            return self.dense(a) + self.dense(b)

    model = Net()
    model.compile("adam", "mse")
    model.fit([numbers(8, 4), numbers(8, 4)], numbers(8), verbose=0)


@mistake(
    TypeError,
    "Dense",
    """
    Dense got a tensor of shape (2, 4) in place of its settings.
    Expected the settings first, and then a call on the tensor.
    Fix: Dense(...)(x)
    """,
)
def layer_class_used_as_a_layer(keras):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense

        def call(self, inputs):
            return self.dense(inputs)

    model = Net()
    model.compile("adam", "mse")
    model.fit(numbers(8, 4), numbers(8), verbose=0)


@mistake(
    IndexError,
    "Column",
    """
    Column 'column' failed on an input of shape (None, 4): index 5 is out of bounds for dimension 1 with size 4.
    Expected operations that fit this shape.
    Fix: look at line LINE of own_layers.py: return inputs[:, 5]
    """,
)
def index_out_of_range_in_call(keras):
    class Column(keras.layers.Layer):
        def call(self, inputs):
            return inputs[:, 5]

    keras.Sequential([keras.Input((4,)), Column(name="column")])


@mistake(
    ValueError,
    "glorot",
    """
    Unknown initializer: 'glorot'.
    Expected one of N names, such as: glorot_normal, glorot_uniform, zero.
    Fix: did you mean 'glorot_normal'?
    """,
)
def misspelt_initializer_in_build(keras):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], 3), initializer="glorot")

        def call(self, inputs):
            return inputs @ self.kernel

    Scale()(keras.Input((4,)))
