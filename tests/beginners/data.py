"""Data that cannot be learned from as it is."""

import numpy as np

from beginners.table import classes, mistake, numbers, small_model


@mistake(ValueError, "y has 18")
def x_and_y_of_different_length(keras):
    small_model(keras).fit(numbers(20, 4), numbers(18), verbose=0)


@mistake(ValueError, "sample_weight")
def weights_of_different_length(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), sample_weight=numbers(19), verbose=0)


@mistake(ValueError, "column 2")
def nan_in_x(keras):
    x = numbers(20, 4)
    x[7, 2] = np.nan
    small_model(keras).fit(x, numbers(20), verbose=0)


@mistake(ValueError, "column 1")
def infinity_in_x(keras):
    x = numbers(20, 4)
    x[3:5, 1] = np.inf
    small_model(keras).fit(x, numbers(20), verbose=0)


@mistake(ValueError, "age")
def nan_in_a_data_frame(keras):
    import pandas as pd

    x = pd.DataFrame({"height": [1.0, 2.0, 3.0], "age": [1.0, np.nan, np.nan], "a": [1, 2, 3], "b": [1, 2, 3]})
    small_model(keras).fit(x, numbers(3), verbose=0)


@mistake(ValueError, "row 5")
def nan_in_an_image(keras):
    x = numbers(8, 6, 6, 1)
    x[5, 2, 3, 0] = np.nan
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, numbers(8), verbose=0)


@mistake(ValueError, "y")
def nan_in_y(keras):
    y = numbers(20)
    y[4] = np.nan
    small_model(keras).fit(numbers(20, 4), y, verbose=0)


@mistake(ValueError, "validation")
def nan_in_validation_data(keras):
    x = numbers(10, 4)
    x[0, 0] = np.nan
    small_model(keras).fit(numbers(20, 4), numbers(20), validation_data=(x, numbers(10)), verbose=0)


@mistake(ValueError, "row 18")
def nan_in_the_part_for_validation(keras):
    x = numbers(20, 4)
    x[18, 3] = np.nan
    small_model(keras).fit(x, numbers(20), validation_split=0.2, verbose=0)


@mistake(ValueError, "validation")
def validation_data_of_different_length(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), validation_data=(numbers(10, 4), numbers(9)), verbose=0)


@mistake(ValueError, "validation")
def validation_data_of_another_shape(keras):
    small_model(keras).fit(
        numbers(20, 4), numbers(20), validation_data=(numbers(10, 5), numbers(10)), verbose=0
    )


@mistake(ValueError, "validation_data")
def validation_data_without_y(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), validation_data=numbers(10, 4), verbose=0)


@mistake(ValueError, "x")
def text_in_x(keras):
    small_model(keras).fit(np.array([["red", "green", "blue", "red"]] * 8), numbers(8), verbose=0)


@mistake(ValueError, "colour")
def text_in_a_data_frame(keras):
    import pandas as pd

    x = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0], "c": [1.0, 2.0], "colour": ["red", "green"]})
    small_model(keras).fit(x, numbers(2), verbose=0)


@mistake(ValueError, "x")
def numbers_as_text(keras):
    small_model(keras).fit(np.array([["1.5", "2", "3", "4"]] * 8), numbers(8), verbose=0)


@mistake(ValueError, "x")
def ragged_lists(keras):
    small_model(keras).fit([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0]], numbers(2), verbose=0)


@mistake(ValueError, "x")
def ragged_arrays(keras):
    x = np.empty(2, dtype=object)
    x[:] = [numbers(4), numbers(3)]
    small_model(keras).fit(x, numbers(2), verbose=0)


@mistake(ValueError, "x")
def empty_data(keras):
    small_model(keras).fit(numbers(0, 4), numbers(0), verbose=0)


@mistake(ValueError, "x")
def empty_list(keras):
    small_model(keras).fit([], [], verbose=0)


@mistake(ValueError, "x")
def empty_data_in_predict(keras):
    small_model(keras).predict(numbers(0, 4), verbose=0)


@mistake(ValueError, "y")
def forgotten_y(keras):
    small_model(keras).fit(numbers(20, 4), verbose=0)


@mistake(ValueError, "x")
def forgotten_x(keras):
    small_model(keras).fit(epochs=3)


@mistake(ValueError, "x")
def x_and_y_in_one_argument(keras):
    small_model(keras).fit((numbers(20, 4), numbers(20)), verbose=0)


@mistake(ValueError, "x")
def a_file_name_as_data(keras):
    small_model(keras).fit("data.csv", verbose=0)


@mistake(UserWarning, "255")
def unscaled_images(keras):
    images = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3)).astype("uint8")
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images, classes(12), verbose=0)


@mistake(ValueError, "words")
def embedding_index_out_of_range(keras):
    words = np.arange(40).reshape(8, 5) * 3
    model = keras.Sequential(
        [
            keras.Input((5,), dtype="int32", name="x"),
            keras.layers.Embedding(100, 4, name="words"),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    model.fit(words, numbers(8), verbose=0)


@mistake(ValueError, "words")
def negative_embedding_index(keras):
    model = keras.Sequential(
        [keras.layers.Embedding(100, 4, name="words"), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    model.fit(np.full((8, 5), -1), numbers(8), verbose=0)


@mistake(ValueError, "validation_split")
def validation_split_of_one_sample(keras):
    small_model(keras).fit(numbers(1, 4), numbers(1), validation_split=0.2, verbose=0)


@mistake(ValueError, "validation_split")
def validation_split_of_a_generator(keras):
    small_model(keras).fit(_batches(), steps_per_epoch=2, validation_split=0.2, verbose=0)


@mistake(ValueError, "y")
def y_beside_a_generator(keras):
    small_model(keras).fit(_batches(), numbers(8), verbose=0)


@mistake(ValueError, "batch_size")
def batch_size_beside_a_generator(keras):
    small_model(keras).fit(_batches(), batch_size=8, steps_per_epoch=2, verbose=0)


@mistake(ValueError, "yield")
def generator_of_four_parts(keras):
    small_model(keras).fit(iter([(numbers(8, 4),) * 4]), verbose=0)


@mistake(ValueError, "generator")
def generator_of_nothing(keras):
    small_model(keras).fit(iter([]), verbose=0)


def _batches():
    while True:
        yield numbers(8, 4), numbers(8)


@mistake(ValueError, "sample_weight")
def negative_sample_weights(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), sample_weight=numbers(20) - 0.5, verbose=0)


@mistake(ValueError, "class_weight")
def class_weight_by_name(keras):
    model = small_model(keras, "sparse_categorical_crossentropy", 3, "softmax")
    model.fit(numbers(9, 4), classes(9), class_weight={"cat": 1.0, "dog": 2.0}, verbose=0)


@mistake(ValueError, "class_weight")
def class_weight_as_a_list(keras):
    model = small_model(keras, "sparse_categorical_crossentropy", 3, "softmax")
    model.fit(numbers(9, 4), classes(9), class_weight=[1.0, 2.0, 1.0], verbose=0)
