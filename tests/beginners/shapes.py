"""Layers that do not fit together, and data that does not fit them."""

from beginners.table import classes, mistake, numbers, small_model


@mistake(
    ValueError,
    "conv",
    """
    Conv2D 'conv' got an input of shape (None, 28, 28).
    Expected 4 axes: (samples, height, width, channels), got 3.
    Fix: add the channel axis: x = x[..., None], and Input((28, 28, 1))
    """,
)
def missing_channel_axis(keras):
    keras.Sequential([keras.Input((28, 28)), keras.layers.Conv2D(8, 3, name="conv")])


@mistake(
    ValueError,
    "conv",
    """
    Conv2D 'conv' got an input of shape (None, 784).
    Expected 4 axes: (samples, height, width, channels), got 2.
    Fix: Reshape((28, 28, 1)) before it
    """,
)
def flat_images_into_conv(keras):
    keras.Sequential([keras.Input((784,)), keras.layers.Conv2D(8, 3, name="conv")])


@mistake(
    ValueError,
    "conv",
    """
    Conv2D 'conv' got an input of shape (None, 32, 28, 28, 1).
    Expected 4 axes: (samples, height, width, channels), got 5.
    Fix: leave the number of samples out of Input: Input((28, 28, 1)); TimeDistributed(Conv2D(...)) for films
    """,
)
def batch_size_inside_input(keras):
    keras.Sequential([keras.Input((32, 28, 28, 1)), keras.layers.Conv2D(8, 3, name="conv")])


@mistake(
    ValueError,
    "x",
    """
    x of shape (100, 4) does not fit the input 'x' of model 'sequential'.
    Expected (None, 100, 4).
    Fix: x[None] for one sample; Input((4,)) if these are 100 samples
    """,
)
def batch_size_inside_input_of_dense(keras):
    model = keras.Sequential([keras.Input((100, 4), name="x"), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(numbers(100, 4), numbers(100, 1), verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x of shape (8, 28, 28) does not fit the input 'x' of model 'sequential'.
    Expected (None, 28, 28, 3).
    Fix: x = np.stack([x] * 3, axis=-1) for grey images, or build the model with Input((28, 28, 1))
    """,
)
def images_without_channel_axis(keras):
    model = keras.Sequential(
        [keras.Input((28, 28, 3), name="x"), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    model.fit(numbers(8, 28, 28), numbers(8, 1), verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x of shape (8, 3, 28, 28) does not fit the input 'x' of model 'sequential'.
    Expected (None, 28, 28, 3).
    Fix: x = x.transpose(0, 2, 3, 1), which puts the axes in order
    """,
)
def channels_first_images(keras):
    model = keras.Sequential(
        [keras.Input((28, 28, 3), name="x"), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    model.fit(numbers(8, 3, 28, 28), numbers(8, 1), verbose=0)


@mistake(
    ValueError,
    "conv",
    """
    Conv2D 'conv' got an input of shape (8, 3, 28, 28).
    Expected 3 on the last axis, got 28.
    Fix: move the channels to the end: x = x.transpose(0, 2, 3, 1)
    """,
)
def channels_first_images_without_input(keras):
    conv = keras.layers.Conv2D(4, 3, name="conv")
    conv(numbers(8, 28, 28, 3))
    conv(numbers(8, 3, 28, 28))


@mistake(
    ValueError,
    "reader",
    """
    LSTM 'reader' got an input of shape (None, 10).
    Expected 3 axes: (samples, time steps, features), got 2.
    Fix: Input((10, 1)) and x = x[..., None], if axis 1 is time
    """,
)
def features_into_lstm(keras):
    keras.Sequential([keras.Input((10,)), keras.layers.LSTM(8, name="reader")])


@mistake(
    ValueError,
    "second",
    """
    LSTM 'second' got an input of shape (None, 8).
    Expected 3 axes: (samples, time steps, features), got 2.
    Fix: LSTM(8, return_sequences=True) for 'first'
    """,
)
def stacked_lstms_without_return_sequences(keras):
    keras.Sequential([keras.Input((10, 4)), keras.layers.LSTM(8, name="first"), keras.layers.LSTM(8, name="second")])


@mistake(
    ValueError,
    "second",
    """
    GRU 'second' got an input of shape (None, 16).
    Expected 3 axes: (samples, time steps, features), got 2.
    Fix: Bidirectional(GRU(8, return_sequences=True)) for 'first'
    """,
)
def stacked_lstm_in_functional_model(keras):
    inputs = keras.Input((10, 4))
    x = keras.layers.Bidirectional(keras.layers.GRU(8), name="first")(inputs)
    x = keras.layers.Dropout(0.1)(x)
    keras.layers.GRU(8, name="second")(x)


@mistake(
    ValueError,
    "output",
    """
    The model's output has shape (None, 26, 26, 3), and y has shape (6,): one answer per sample.
    Expected an output of shape (None, 3).
    Fix: add Flatten() before Dense 'answer'
    """,
)
def forgotten_flatten(keras):
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(4, 3),
            keras.layers.Dense(3, activation="softmax", name="answer"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(numbers(6, 28, 28, 1), classes(6), verbose=0)


@mistake(
    ValueError,
    "output",
    """
    The model's output has shape (None, 10, 1), and y has shape (6,): one answer per sample.
    Expected an output of shape (None, 1).
    Fix: leave out return_sequences=True in LSTM 'lstm', or add Flatten() before Dense 'answer'
    """,
)
def return_sequences_before_one_answer(keras):
    model = keras.Sequential(
        [keras.Input((10, 4)), keras.layers.LSTM(8, return_sequences=True), keras.layers.Dense(1, name="answer")]
    )
    model.compile("adam", "mse")
    model.fit(numbers(6, 10, 4), numbers(6), verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x of shape (20, 5) does not fit the input 'x' of model 'sequential'.
    Expected (None, 4).
    Fix: give x 4 columns instead of 5, or build the model with Input((5,))
    """,
)
def wrong_number_of_features(keras):
    small_model(keras).fit(numbers(20, 5), numbers(20), verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x of shape (20, 5) does not fit the input 'x' of model 'sequential'.
    Expected (None, 4).
    Fix: give x 4 columns instead of 5, or build the model with Input((5,))
    """,
)
def wrong_number_of_features_in_predict(keras):
    small_model(keras).predict(numbers(20, 5), verbose=0)


@mistake(
    ValueError,
    "dense",
    """
    Dense 'dense' got an input of shape (2, 6).
    Expected 4 on the last axis, got 6.
    Fix: give it 4 features, or build the model again with Input((6,))
    """,
)
def wrong_number_of_features_in_a_call(keras):
    dense = keras.layers.Dense(3, name="dense")
    dense(numbers(2, 4))
    dense(numbers(2, 6))


@mistake(
    ValueError,
    "x",
    """
    x of shape (8, 28, 28) does not fit the input 'x' of model 'sequential'.
    Expected (None, 784).
    Fix: x = x.reshape(len(x), 784), or begin the model with Input((28, 28)) and Flatten()
    """,
)
def images_into_a_dense_model(keras):
    small_model(keras, features=784).fit(numbers(8, 28, 28), numbers(8), verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x of shape (4,) does not fit the input 'x' of model 'sequential'.
    Expected (None, 4).
    Fix: x[None] for one sample
    """,
)
def one_sample_without_batch_axis(keras):
    small_model(keras).predict(numbers(4), verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x of shape (28, 28, 3) does not fit the input 'x' of model 'sequential'.
    Expected (None, 28, 28, 3).
    Fix: x[None] for one sample
    """,
)
def one_image_without_batch_axis(keras):
    model = keras.Sequential([keras.Input((28, 28, 3), name="x"), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.predict(numbers(28, 28, 3), verbose=0)


@mistake(
    ValueError,
    "pool_4",
    """
    MaxPooling2D 'pool_4' shrinks its input of shape (None, 1, 1, 1) to nothing: a window of (2, 2) does not fit.
    Expected height and width of at least 2.
    Fix: padding="same", or fewer pooling layers before it
    """,
)
def images_that_shrink_to_nothing(keras):
    layers = [keras.layers.MaxPooling2D(name=f"pool_{n}") for n in range(5)]
    keras.Sequential([keras.Input((12, 12, 1)), *layers[1:]])


@mistake(
    ValueError,
    "conv",
    """
    Conv2D 'conv' shrinks its input of shape (None, 4, 4, 1) to nothing: a kernel of (5, 5) does not fit.
    Expected height and width of at least 5.
    Fix: padding="same", or fewer pooling layers before it
    """,
)
def kernel_larger_than_image(keras):
    keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(8, 5, name="conv")])


@mistake(
    ValueError,
    "both",
    """
    Concatenate 'both' got inputs of shapes (None, 10, 4) and (None, 12, 4).
    Expected equal sizes on every axis but -1; axis 1 has 10 and 12.
    Fix: Concatenate(axis=1)
    """,
)
def concatenation_that_does_not_fit(keras):
    a, b = keras.Input((10, 4)), keras.Input((12, 4))
    keras.layers.Concatenate(name="both")([a, b])


@mistake(
    ValueError,
    "both",
    """
    Concatenate 'both' got inputs of shapes (None, 10, 4) and (None, 4).
    Expected as many axes in each.
    Fix: Flatten()(x1) first, which has the most axes
    """,
)
def concatenation_of_ranks(keras):
    a, b = keras.Input((10, 4)), keras.Input((4,))
    keras.layers.Concatenate(name="both")([a, b])


@mistake(
    ValueError,
    "both",
    """
    Concatenate 'both' got one tensor of shape (None, 4).
    Expected a list of tensors.
    Fix: Concatenate()([x1, x2])
    """,
)
def concatenation_of_one_tensor(keras):
    keras.layers.Concatenate(name="both")(keras.Input((4,)))


@mistake(
    ValueError,
    "sum",
    """
    Add 'sum' got inputs of shapes (None, 64) and (None, 32).
    Expected equal sizes, or 1; axis 1 has 32 and 64.
    Fix: Dense(64)(x2) brings it to 64 features, or Concatenate()([...]) keeps both
    """,
)
def addition_that_does_not_fit(keras):
    inputs = keras.Input((32,))
    x = keras.layers.Dense(64)(inputs)
    keras.layers.Add(name="sum")([x, inputs])


@mistake(
    ValueError,
    "32",
    """
    Add 'add' failed on inputs of shapes (None, 64) and (None, 32): sizes 64 and 32 do not match on axis 1.
    Expected shapes that fit.
    Fix: look at line LINE of shapes.py: keras.layers.Dense(64)(inputs) + inputs
    """,
)
def plus_that_does_not_fit(keras):
    inputs = keras.Input((32,))
    keras.layers.Dense(64)(inputs) + inputs


@mistake(
    ValueError,
    "skip",
    """
    Concatenate 'skip' got inputs of shapes (None, 24, 24, 3) and (None, 25, 25, 3).
    Expected equal sizes on every axis but -1; axis 1 has 24 and 25.
    Fix: ZeroPadding2D(((0, 1), (0, 1)))(x1), or images whose sides halve without a rest
    """,
)
def skip_connection_of_odd_sizes(keras):
    inputs = keras.Input((25, 25, 3))
    x = keras.layers.MaxPooling2D()(inputs)
    x = keras.layers.UpSampling2D()(x)
    keras.layers.Concatenate(name="skip")([x, inputs])


@mistake(
    ValueError,
    "shaped",
    """
    Reshape 'shaped' got an input of shape (None, 784).
    Expected 756 numbers per sample, for target_shape=(28, 27); these are 784.
    Fix: Reshape((28, 28))
    """,
)
def reshape_that_does_not_fit(keras):
    keras.Sequential([keras.Input((784,)), keras.layers.Reshape((28, 27), name="shaped")])


@mistake(
    ValueError,
    "answer",
    """
    Dense 'answer' wants a weight of shape (None, 1), with a size that is not known.
    Expected whole numbers: a weight cannot depend on the batch or on a length of None.
    Fix: put a number in place of None in Input, or GlobalAveragePooling1D() in place of Flatten()
    """,
)
def flatten_of_unknown_length(keras):
    keras.Sequential([keras.Input((None, 4)), keras.layers.Flatten(), keras.layers.Dense(1, name="answer")])


@mistake(
    ValueError,
    "pooled",
    """
    GlobalAveragePooling2D 'pooled' got an input of shape (None, 64).
    Expected 4 axes: (samples, height, width, channels), got 2.
    Fix: put it before Flatten(), or leave it out: no axes are left to pool
    """,
)
def global_pooling_of_features(keras):
    keras.Sequential([keras.Input((64,)), keras.layers.GlobalAveragePooling2D(name="pooled")])


@mistake(
    ValueError,
    "steps",
    """
    TimeDistributed 'steps' got an input of shape (None, 64).
    Expected at least 3 axes, got 2.
    Fix: use Dense itself, without TimeDistributed, for inputs without steps
    """,
)
def time_distributed_without_time(keras):
    keras.Sequential([keras.Input((64,)), keras.layers.TimeDistributed(keras.layers.Dense(2), name="steps")])


@mistake(
    ValueError,
    "same",
    """
    Model 'functional' has two layers named 'same': Dense and Dense.
    Expected a different name for each layer.
    Fix: Dense(..., name='same_2')
    """,
)
def duplicate_layer_names(keras):
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, name="same")(inputs)
    keras.Model(inputs, keras.layers.Dense(1, name="same")(x))


@mistake(
    ValueError,
    "dense",
    """
    Sequential 'sequential' has a layer named 'dense' already.
    Expected a different name for each layer.
    Fix: make a new Dense, or use Model(inputs, outputs) to share one
    """,
)
def one_layer_twice_in_a_stack(keras):
    dense = keras.layers.Dense(4, name="dense")
    keras.Sequential([keras.Input((4,)), dense, dense])


@mistake(
    ValueError,
    "Input",
    """
    Sequential 'sequential' got an Input after 1 other layer.
    Expected Input in front.
    Fix: Sequential([Input(shape), ...])
    """,
)
def input_in_the_middle(keras):
    keras.Sequential([keras.layers.Dense(4), keras.Input((4,)), keras.layers.Dense(4)])


@mistake(
    TypeError,
    "Dense",
    """
    Sequential 'sequential' got the class Dense.
    Expected a layer.
    Fix: Dense(...), with brackets and its arguments
    """,
)
def a_class_in_place_of_a_layer(keras):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense])


@mistake(
    TypeError,
    "relu",
    """
    Sequential 'sequential' got 'relu', of type str.
    Expected a layer.
    Fix: Activation('relu')
    """,
)
def a_name_in_place_of_a_layer(keras):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), "relu"])


@mistake(
    TypeError,
    "Sequential",
    """
    Sequential got 2 arguments, of which the second is Dense 'answer'.
    Expected all layers in one list.
    Fix: Sequential([Dense(...), Dense(...)])
    """,
)
def layers_without_a_list(keras):
    keras.Sequential(keras.layers.Dense(8), keras.layers.Dense(1, name="answer"))


@mistake(
    ValueError,
    "b",
    """
    Model 'functional': the outputs depend on the Input 'b', which is not among its inputs.
    Expected every Input that is used, and got: a.
    Fix: Model(inputs=[a, b], outputs=...)
    """,
)
def forgotten_input_in_model(keras):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    keras.Model(a, keras.layers.Dense(1)(keras.layers.Concatenate()([a, b])))


@mistake(
    ValueError,
    "Model",
    """
    Model got the layer Dense 'answer' among its inputs or outputs.
    Expected what Input() or a layer returned.
    Fix: call the layer: outputs = answer(inputs)
    """,
)
def a_layer_in_place_of_outputs(keras):
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(1, name="answer"))


@mistake(
    ValueError,
    "Input",
    """
    Input got no shape.
    Expected the shape of one sample, without the batch.
    Fix: Input(shape=(28, 28, 1))
    """,
)
def input_without_a_shape(keras):
    keras.Sequential([keras.Input(), keras.layers.Dense(1)])


@mistake(
    ValueError,
    "Input",
    """
    Input got an array of shape (10, 4) as its shape.
    Expected the shape of one sample, without the number of samples.
    Fix: Input((4,))
    """,
)
def input_with_data(keras):
    keras.Sequential([keras.Input(numbers(10, 4)), keras.layers.Dense(1)])


@mistake(
    ValueError,
    "b",
    """
    Model 'pair' got 1 input.
    Expected 2: a (None, 4), b (None, 4).
    Fix: pass a list, [a, b], or a dict by these names
    """,
)
def one_array_for_two_inputs(keras):
    _two_inputs(keras).fit(numbers(8, 4), numbers(8), verbose=0)


@mistake(
    ValueError,
    "inputs",
    """
    Model 'pair' got 3 inputs.
    Expected 2: a (None, 4), b (None, 4).
    Fix: pass a list, [a, b], or a dict by these names
    """,
)
def three_arrays_for_two_inputs(keras):
    _two_inputs(keras).fit([numbers(8, 4)] * 3, numbers(8), verbose=0)


@mistake(
    ValueError,
    "'b'",
    """
    Model 'pair' got inputs named 'B', 'a'; 'b' is missing.
    Expected inputs named 'a', 'b'.
    Fix: {'a': ..., 'b': ...}
    """,
)
def misspelt_input_name(keras):
    _two_inputs(keras).fit({"a": numbers(8, 4), "B": numbers(8, 4)}, numbers(8), verbose=0)


def _two_inputs(keras):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    model = keras.Model([a, b], keras.layers.Dense(1)(keras.layers.Concatenate()([a, b])), name="pair")
    model.compile("adam", "mse")
    return model


@mistake(
    TypeError,
    "condition",
    """
    'greater_output' of shape (None, 4) was used in a condition (if, and, or, while), but it holds no numbers yet.
    Expected layers and torch functions only, while a model is put together.
    Fix: move this line into the call() method of a Layer of your own
    """,
)
def if_on_a_symbolic_tensor(keras):
    inputs = keras.Input((4,), name="x")
    if inputs > 0:
        keras.layers.Dense(1)(inputs)


@mistake(
    TypeError,
    "dense",
    """
    Dense 'dense' got 5.0.
    Expected a tensor or an array, with one row per sample.
    Fix: dense(np.array([[5.0]]))
    """,
)
def a_python_number_into_a_layer(keras):
    keras.layers.Dense(3, name="dense")(5.0)


@mistake(
    TypeError,
    "dense",
    """
    Dense 'dense' got [1.0, 2.0, 3.0].
    Expected a tensor or an array, with one row per sample.
    Fix: dense(np.array([[1.0, 2.0, 3.0]]))
    """,
)
def a_list_into_a_layer(keras):
    keras.layers.Dense(3, name="dense")([1.0, 2.0, 3.0])


@mistake(
    TypeError,
    "answer",
    """
    Dense 'answer' got the layer Dense 'hidden'.
    Expected a tensor: what a layer returns when it is called.
    Fix: answer(hidden(x))
    """,
)
def a_layer_on_a_layer(keras):
    keras.layers.Dense(1, name="answer")(keras.layers.Dense(8, name="hidden"))


@mistake(
    TypeError,
    "Dense",
    """
    Dense got a tensor of shape (None, 4) in place of its settings.
    Expected the settings first, and then a call on the tensor.
    Fix: Dense(...)(x)
    """,
)
def a_tensor_in_place_of_settings(keras):
    keras.layers.Dense(keras.Input((4,)))


@mistake(
    TypeError,
    "Flatten",
    """
    Flatten got a tensor of shape (2, 3, 3) in place of its settings.
    Expected the settings first, and then a call on the tensor.
    Fix: Flatten(...)(x)
    """,
)
def flatten_of_an_array(keras):
    keras.layers.Flatten(numbers(2, 3, 3))


@mistake(
    TypeError,
    "dense",
    """
    Dense 'dense' takes 1 argument, and got 2.
    Expected one tensor, or one list of tensors.
    Fix: dense(x); Concatenate()([x1, x2]) makes one tensor of two
    """,
)
def two_tensors_into_dense(keras):
    keras.layers.Dense(3, name="dense")(numbers(2, 4), numbers(2, 4))


@mistake(
    TypeError,
    "both",
    """
    Concatenate 'both' got 5 among its inputs.
    Expected tensors, with one row per sample each.
    Fix: x + 5 or x * 5, for arithmetic with a number
    """,
)
def a_number_into_a_concatenation(keras):
    keras.layers.Concatenate(name="both")([keras.Input((4,)), 5])


@mistake(
    TypeError,
    "net",
    """
    Model 'net' got a list of numbers.
    Expected a tensor or an array, with one row per sample.
    Fix: net(np.array(...)), or net.predict(...), which takes lists
    """,
)
def a_list_of_lists_into_a_model(keras):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)], name="net")([[1.0, 2.0, 3.0, 4.0]])


@mistake(
    TypeError,
    "Sequential",
    """
    Sequential 'sequential' got a list with 2 entries.
    Expected a layer.
    Fix: one flat list: Sequential([..., ...])
    """,
)
def a_list_of_layers_in_a_list(keras):
    keras.Sequential([[keras.layers.Dense(8), keras.layers.Dense(1)]])


@mistake(
    ValueError,
    "reader",
    """
    LSTM 'reader' got an input of shape (None, 10).
    Expected 3 axes: (samples, time steps, features), got 2.
    Fix: Input((10, 1)) and x = x[..., None], if axis 1 is time
    """,
)
def input_shape_without_features(keras):
    keras.Sequential([keras.layers.LSTM(8, input_shape=(10,), name="reader")])
