"""Layers that do not fit together, and data that does not fit them."""

from beginners.table import classes, mistake, numbers, small_model


@mistake(ValueError, "conv")
def missing_channel_axis(keras):
    keras.Sequential([keras.Input((28, 28)), keras.layers.Conv2D(8, 3, name="conv")])


@mistake(ValueError, "conv")
def flat_images_into_conv(keras):
    keras.Sequential([keras.Input((784,)), keras.layers.Conv2D(8, 3, name="conv")])


@mistake(ValueError, "conv")
def batch_size_inside_input(keras):
    keras.Sequential([keras.Input((32, 28, 28, 1)), keras.layers.Conv2D(8, 3, name="conv")])


@mistake(ValueError, "x")
def batch_size_inside_input_of_dense(keras):
    model = keras.Sequential([keras.Input((100, 4), name="x"), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(numbers(100, 4), numbers(100, 1), verbose=0)


@mistake(ValueError, "x")
def images_without_channel_axis(keras):
    model = keras.Sequential(
        [keras.Input((28, 28, 3), name="x"), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    model.fit(numbers(8, 28, 28), numbers(8, 1), verbose=0)


@mistake(ValueError, "x")
def channels_first_images(keras):
    model = keras.Sequential(
        [keras.Input((28, 28, 3), name="x"), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    model.fit(numbers(8, 3, 28, 28), numbers(8, 1), verbose=0)


@mistake(ValueError, "conv")
def channels_first_images_without_input(keras):
    conv = keras.layers.Conv2D(4, 3, name="conv")
    conv(numbers(8, 28, 28, 3))
    conv(numbers(8, 3, 28, 28))


@mistake(ValueError, "reader")
def features_into_lstm(keras):
    keras.Sequential([keras.Input((10,)), keras.layers.LSTM(8, name="reader")])


@mistake(ValueError, "second")
def stacked_lstms_without_return_sequences(keras):
    keras.Sequential(
        [keras.Input((10, 4)), keras.layers.LSTM(8, name="first"), keras.layers.LSTM(8, name="second")]
    )


@mistake(ValueError, "second")
def stacked_lstm_in_functional_model(keras):
    inputs = keras.Input((10, 4))
    x = keras.layers.Bidirectional(keras.layers.GRU(8), name="first")(inputs)
    x = keras.layers.Dropout(0.1)(x)
    keras.layers.GRU(8, name="second")(x)


@mistake(ValueError, "output")
def forgotten_flatten(keras):
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), keras.layers.Conv2D(4, 3), keras.layers.Dense(3, activation="softmax", name="answer")]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(numbers(6, 28, 28, 1), classes(6), verbose=0)


@mistake(ValueError, "output")
def return_sequences_before_one_answer(keras):
    model = keras.Sequential(
        [keras.Input((10, 4)), keras.layers.LSTM(8, return_sequences=True), keras.layers.Dense(1, name="answer")]
    )
    model.compile("adam", "mse")
    model.fit(numbers(6, 10, 4), numbers(6), verbose=0)


@mistake(ValueError, "x")
def wrong_number_of_features(keras):
    small_model(keras).fit(numbers(20, 5), numbers(20), verbose=0)


@mistake(ValueError, "x")
def wrong_number_of_features_in_predict(keras):
    small_model(keras).predict(numbers(20, 5), verbose=0)


@mistake(ValueError, "dense")
def wrong_number_of_features_in_a_call(keras):
    dense = keras.layers.Dense(3, name="dense")
    dense(numbers(2, 4))
    dense(numbers(2, 6))


@mistake(ValueError, "x")
def images_into_a_dense_model(keras):
    small_model(keras, features=784).fit(numbers(8, 28, 28), numbers(8), verbose=0)


@mistake(ValueError, "x")
def one_sample_without_batch_axis(keras):
    small_model(keras).predict(numbers(4), verbose=0)


@mistake(ValueError, "x")
def one_image_without_batch_axis(keras):
    model = keras.Sequential([keras.Input((28, 28, 3), name="x"), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.predict(numbers(28, 28, 3), verbose=0)


@mistake(ValueError, "pool_4")
def images_that_shrink_to_nothing(keras):
    layers = [keras.layers.MaxPooling2D(name=f"pool_{n}") for n in range(5)]
    keras.Sequential([keras.Input((12, 12, 1)), *layers[1:]])


@mistake(ValueError, "conv")
def kernel_larger_than_image(keras):
    keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(8, 5, name="conv")])


@mistake(ValueError, "both")
def concatenation_that_does_not_fit(keras):
    a, b = keras.Input((10, 4)), keras.Input((12, 4))
    keras.layers.Concatenate(name="both")([a, b])


@mistake(ValueError, "both")
def concatenation_of_ranks(keras):
    a, b = keras.Input((10, 4)), keras.Input((4,))
    keras.layers.Concatenate(name="both")([a, b])


@mistake(ValueError, "both")
def concatenation_of_one_tensor(keras):
    keras.layers.Concatenate(name="both")(keras.Input((4,)))


@mistake(ValueError, "sum")
def addition_that_does_not_fit(keras):
    inputs = keras.Input((32,))
    x = keras.layers.Dense(64)(inputs)
    keras.layers.Add(name="sum")([x, inputs])


@mistake(ValueError, "32")
def plus_that_does_not_fit(keras):
    inputs = keras.Input((32,))
    keras.layers.Dense(64)(inputs) + inputs


@mistake(ValueError, "skip")
def skip_connection_of_odd_sizes(keras):
    inputs = keras.Input((25, 25, 3))
    x = keras.layers.MaxPooling2D()(inputs)
    x = keras.layers.UpSampling2D()(x)
    keras.layers.Concatenate(name="skip")([x, inputs])


@mistake(ValueError, "shaped")
def reshape_that_does_not_fit(keras):
    keras.Sequential([keras.Input((784,)), keras.layers.Reshape((28, 27), name="shaped")])


@mistake(ValueError, "answer")
def flatten_of_unknown_length(keras):
    keras.Sequential([keras.Input((None, 4)), keras.layers.Flatten(), keras.layers.Dense(1, name="answer")])


@mistake(ValueError, "pooled")
def global_pooling_of_features(keras):
    keras.Sequential([keras.Input((64,)), keras.layers.GlobalAveragePooling2D(name="pooled")])


@mistake(ValueError, "steps")
def time_distributed_without_time(keras):
    keras.Sequential([keras.Input((64,)), keras.layers.TimeDistributed(keras.layers.Dense(2), name="steps")])


@mistake(ValueError, "same")
def duplicate_layer_names(keras):
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, name="same")(inputs)
    keras.Model(inputs, keras.layers.Dense(1, name="same")(x))


@mistake(ValueError, "dense")
def one_layer_twice_in_a_stack(keras):
    dense = keras.layers.Dense(4, name="dense")
    keras.Sequential([keras.Input((4,)), dense, dense])


@mistake(ValueError, "Input")
def input_in_the_middle(keras):
    keras.Sequential([keras.layers.Dense(4), keras.Input((4,)), keras.layers.Dense(4)])


@mistake(TypeError, "Dense")
def a_class_in_place_of_a_layer(keras):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense])


@mistake(TypeError, "relu")
def a_name_in_place_of_a_layer(keras):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), "relu"])


@mistake(TypeError, "Sequential")
def layers_without_a_list(keras):
    keras.Sequential(keras.layers.Dense(8), keras.layers.Dense(1, name="answer"))


@mistake(ValueError, "b")
def forgotten_input_in_model(keras):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    keras.Model(a, keras.layers.Dense(1)(keras.layers.Concatenate()([a, b])))


@mistake(ValueError, "Model")
def a_layer_in_place_of_outputs(keras):
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(1, name="answer"))


@mistake(ValueError, "Input")
def input_without_a_shape(keras):
    keras.Sequential([keras.Input(), keras.layers.Dense(1)])


@mistake(ValueError, "Input")
def input_with_data(keras):
    keras.Sequential([keras.Input(numbers(10, 4)), keras.layers.Dense(1)])


@mistake(ValueError, "b")
def one_array_for_two_inputs(keras):
    _two_inputs(keras).fit(numbers(8, 4), numbers(8), verbose=0)


@mistake(ValueError, "inputs")
def three_arrays_for_two_inputs(keras):
    _two_inputs(keras).fit([numbers(8, 4)] * 3, numbers(8), verbose=0)


@mistake(ValueError, "'b'")
def misspelt_input_name(keras):
    _two_inputs(keras).fit({"a": numbers(8, 4), "B": numbers(8, 4)}, numbers(8), verbose=0)


def _two_inputs(keras):
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    model = keras.Model([a, b], keras.layers.Dense(1)(keras.layers.Concatenate()([a, b])), name="pair")
    model.compile("adam", "mse")
    return model


@mistake(TypeError, "x")
def if_on_a_symbolic_tensor(keras):
    inputs = keras.Input((4,), name="x")
    if inputs > 0:
        keras.layers.Dense(1)(inputs)


@mistake(TypeError, "dense")
def a_python_number_into_a_layer(keras):
    keras.layers.Dense(3, name="dense")(5.0)


@mistake(TypeError, "dense")
def a_list_into_a_layer(keras):
    keras.layers.Dense(3, name="dense")([1.0, 2.0, 3.0])
