"""Data that cannot be learned from as it is."""

import numpy as np

from beginners.table import classes, mistake, numbers, small_model


@mistake(
    ValueError,
    "y has 18",
    """
    x has 20 samples and y has 18.
    Expected as many in each: row i of each belongs to sample i.
    Fix: check the lines that split or filter x and y: print(len(x), len(y))
    """,
)
def x_and_y_of_different_length(keras):
    small_model(keras).fit(numbers(20, 4), numbers(18), verbose=0)


@mistake(
    ValueError,
    "sample_weight",
    """
    x has 20 samples and sample_weight has 19.
    Expected as many in each: row i of each belongs to sample i.
    Fix: check the lines that split or filter x and sample_weight: print(len(x), len(sample_weight))
    """,
)
def weights_of_different_length(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), sample_weight=numbers(19), verbose=0)


@mistake(
    ValueError,
    "column 2",
    """
    x holds NaN in row 7, column 2.
    Expected finite numbers: one NaN turns every weight into NaN.
    Fix: rows = np.isfinite(x).all(axis=1); x, y = x[rows], y[rows]
    """,
)
def nan_in_x(keras):
    x = numbers(20, 4)
    x[7, 2] = np.nan
    small_model(keras).fit(x, numbers(20), verbose=0)


@mistake(
    ValueError,
    "column 1",
    """
    x holds infinity in row 3, column 1; 2 such values in 2 of 20 rows.
    Expected finite numbers: one infinity turns every weight into NaN.
    Fix: rows = np.isfinite(x).all(axis=1); x, y = x[rows], y[rows]
    """,
)
def infinity_in_x(keras):
    x = numbers(20, 4)
    x[3:5, 1] = np.inf
    small_model(keras).fit(x, numbers(20), verbose=0)


@mistake(
    ValueError,
    "age",
    """
    x holds NaN in row 1, column 'age'; 2 such values in 2 of 3 rows.
    Expected finite numbers: one NaN turns every weight into NaN.
    Fix: rows = np.isfinite(x).all(axis=1); x, y = x[rows], y[rows]
    """,
)
def nan_in_a_data_frame(keras):
    import pandas as pd

    x = pd.DataFrame({"height": [1.0, 2.0, 3.0], "age": [1.0, np.nan, np.nan], "a": [1, 2, 3], "b": [1, 2, 3]})
    small_model(keras).fit(x, numbers(3), verbose=0)


@mistake(
    ValueError,
    "row 5",
    """
    x holds NaN in row 5, at (2, 3, 0).
    Expected finite numbers: one NaN turns every weight into NaN.
    Fix: rows = np.isfinite(x).reshape(len(x), -1).all(axis=1); x, y = x[rows], y[rows]
    """,
)
def nan_in_an_image(keras):
    x = numbers(8, 6, 6, 1)
    x[5, 2, 3, 0] = np.nan
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, numbers(8), verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y holds NaN in row 4.
    Expected finite numbers: one NaN turns every weight into NaN.
    Fix: rows = np.isfinite(y); x, y = x[rows], y[rows]
    """,
)
def nan_in_y(keras):
    y = numbers(20)
    y[4] = np.nan
    small_model(keras).fit(numbers(20, 4), y, verbose=0)


@mistake(
    ValueError,
    "validation",
    """
    validation x holds NaN in row 0, column 0.
    Expected finite numbers: one NaN turns every weight into NaN.
    Fix: rows = np.isfinite(validation_x).all(axis=1); validation_x, validation_y = validation_x[rows], validation_y[rows]
    """,
)
def nan_in_validation_data(keras):
    x = numbers(10, 4)
    x[0, 0] = np.nan
    small_model(keras).fit(numbers(20, 4), numbers(20), validation_data=(x, numbers(10)), verbose=0)


@mistake(
    ValueError,
    "row 18",
    """
    x holds NaN in row 18, column 3.
    Expected finite numbers: one NaN turns every weight into NaN.
    Fix: rows = np.isfinite(x).all(axis=1); x, y = x[rows], y[rows]
    """,
)
def nan_in_the_part_for_validation(keras):
    x = numbers(20, 4)
    x[18, 3] = np.nan
    small_model(keras).fit(x, numbers(20), validation_split=0.2, verbose=0)


@mistake(
    ValueError,
    "validation",
    """
    validation x has 10 samples and validation y has 9.
    Expected as many in each: row i of each belongs to sample i.
    Fix: check the lines that split or filter validation x and validation y: print(len(validation_x), len(validation_y))
    """,
)
def validation_data_of_different_length(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), validation_data=(numbers(10, 4), numbers(9)), verbose=0)


@mistake(
    ValueError,
    "validation",
    """
    validation x of shape (10, 5) does not fit the input 'x' of model 'sequential'.
    Expected (None, 4).
    Fix: give validation_x 4 columns instead of 5, or build the model with Input((5,))
    """,
)
def validation_data_of_another_shape(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), validation_data=(numbers(10, 5), numbers(10)), verbose=0)


@mistake(
    ValueError,
    "validation_data",
    """
    No targets came with validation x, and the model was compiled with a loss.
    Expected y, the right answers.
    Fix: validation_data=(x_validation, y_validation)
    """,
)
def validation_data_without_y(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), validation_data=numbers(10, 4), verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x holds text, such as 'red'.
    Expected numbers.
    Fix: pandas.get_dummies(pandas.DataFrame(x)) for categories
    """,
)
def text_in_x(keras):
    small_model(keras).fit(np.array([["red", "green", "blue", "red"]] * 8), numbers(8), verbose=0)


@mistake(
    ValueError,
    "colour",
    """
    x: column 'colour' holds 'red', of type str.
    Expected columns of numbers.
    Fix: pandas.get_dummies(x, columns=['colour']) for categories
    """,
)
def text_in_a_data_frame(keras):
    import pandas as pd

    x = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0], "c": [1.0, 2.0], "colour": ["red", "green"]})
    small_model(keras).fit(x, numbers(2), verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x holds text, such as '1.5'.
    Expected numbers.
    Fix: x = x.astype('float32')
    """,
)
def numbers_as_text(keras):
    small_model(keras).fit(np.array([["1.5", "2", "3", "4"]] * 8), numbers(8), verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x holds rows of different lengths, from 2 to 4.
    Expected rows of one length, so that they fit into one tensor.
    Fix: x = uncrumple.utils.pad_sequences(x, maxlen=4)
    """,
)
def ragged_lists(keras):
    small_model(keras).fit([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0]], numbers(2), verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x holds rows of different lengths, from 3 to 4.
    Expected rows of one length, so that they fit into one tensor.
    Fix: x = uncrumple.utils.pad_sequences(x, maxlen=4)
    """,
)
def ragged_arrays(keras):
    x = np.empty(2, dtype=object)
    x[:] = [numbers(4), numbers(3)]
    small_model(keras).fit(x, numbers(2), verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x holds no samples: its shape is (0, 4).
    Expected at least one.
    Fix: check the lines that make or filter x: print(x.shape)
    """,
)
def empty_data(keras):
    small_model(keras).fit(numbers(0, 4), numbers(0), verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x is empty: [].
    Expected at least one sample.
    Fix: check what made x
    """,
)
def empty_list(keras):
    small_model(keras).fit([], [], verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x holds no samples: its shape is (0, 4).
    Expected at least one.
    Fix: check the lines that make or filter x: print(x.shape)
    """,
)
def empty_data_in_predict(keras):
    small_model(keras).predict(numbers(0, 4), verbose=0)


@mistake(
    ValueError,
    "y",
    """
    No targets came with x, and the model was compiled with a loss.
    Expected y, the right answers.
    Fix: pass y too, as in model.fit(x, y)
    """,
)
def forgotten_y(keras):
    small_model(keras).fit(numbers(20, 4), verbose=0)


@mistake(
    ValueError,
    "x",
    """
    No data: x is None.
    Expected an array of samples.
    Fix: model.fit(x, y)
    """,
)
def forgotten_x(keras):
    small_model(keras).fit(epochs=3)


@mistake(
    ValueError,
    "x",
    """
    Model 'sequential' got 2 inputs.
    Expected 1: x (None, 4).
    Fix: pass one array; targets go apart: model.fit(x, y)
    """,
)
def x_and_y_in_one_argument(keras):
    small_model(keras).fit((numbers(20, 4), numbers(20)), verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x is the text 'data.csv'.
    Expected an array, a tensor, a data frame, a data set, or a list or dict of arrays.
    Fix: pandas.read_csv('data.csv')
    """,
)
def a_file_name_as_data(keras):
    small_model(keras).fit("data.csv", verbose=0)


@mistake(
    UserWarning,
    "255",
    """
    x of shape (12, 16, 16, 3) holds whole numbers from 0 to 255: unscaled images?
    Expected numbers of about 0 to 1; larger ones make training slow or unstable.
    Fix: x = x / 255, or Rescaling(1 / 255) as the first layer
    """,
)
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


@mistake(
    ValueError,
    "words",
    """
    x holds 117 in row 7, and Embedding 'words' has 100 rows.
    Expected whole numbers from 0 to 99.
    Fix: Embedding(input_dim=118, output_dim=4)
    """,
)
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


@mistake(
    ValueError,
    "words",
    """
    x holds -1 in row 0, and Embedding 'words' has 100 rows.
    Expected whole numbers from 0 to 99.
    Fix: count from 0: x + 1
    """,
)
def negative_embedding_index(keras):
    model = keras.Sequential(
        [keras.layers.Embedding(100, 4, name="words"), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    model.fit(np.full((8, 5), -1), numbers(8), verbose=0)


@mistake(
    ValueError,
    "validation_split",
    """
    validation_split=0.2 of 1 sample leaves 0 for training and 1 for validation.
    Expected at least one in each part.
    Fix: leave out validation_split, or get more samples
    """,
)
def validation_split_of_one_sample(keras):
    small_model(keras).fit(numbers(1, 4), numbers(1), validation_split=0.2, verbose=0)


@mistake(
    ValueError,
    "validation_split",
    """
    validation_split=0.2 was given with a generator.
    Expected arrays: the last part of them is cut off.
    Fix: make two data sets, and pass one as validation_data=
    """,
)
def validation_split_of_a_generator(keras):
    small_model(keras).fit(_batches(), steps_per_epoch=2, validation_split=0.2, verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y was given together with a generator.
    Expected the generator to hand out (x, y) itself.
    Fix: remove y=, and yield (x, y)
    """,
)
def y_beside_a_generator(keras):
    small_model(keras).fit(_batches(), numbers(8), verbose=0)


@mistake(
    ValueError,
    "batch_size",
    """
    batch_size=8 was given with a generator, which makes its own batches.
    Expected no batch_size.
    Fix: remove batch_size=8; it is set where the generator is made
    """,
)
def batch_size_beside_a_generator(keras):
    small_model(keras).fit(_batches(), batch_size=8, steps_per_epoch=2, verbose=0)


@mistake(
    ValueError,
    "yield",
    """
    The data handed out a tuple of 4 parts.
    Expected (x, y), or (x, y, sample_weight).
    Fix: yield (x, y); put several inputs into a dict or list: yield ([x_1, x_2], y)
    """,
)
def generator_of_four_parts(keras):
    small_model(keras).fit(iter([(numbers(8, 4),) * 4]), verbose=0)


@mistake(
    ValueError,
    "generator",
    """
    The data handed out no batch.
    Expected at least one.
    Fix: check the generator: it may be used up
    """,
)
def generator_of_nothing(keras):
    small_model(keras).fit(iter([]), verbose=0)


def _batches():
    while True:
        yield numbers(8, 4), numbers(8)


@mistake(
    ValueError,
    "sample_weight",
    """
    sample_weight holds -0.230213 in row 1.
    Expected weights of at least 0: a negative one would unlearn.
    Fix: sample_weight = np.clip(sample_weight, 0, None)
    """,
)
def negative_sample_weights(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), sample_weight=numbers(20) - 0.5, verbose=0)


@mistake(
    ValueError,
    "class_weight",
    """
    class_weight has the key 'cat', a str.
    Expected the whole numbers that y holds.
    Fix: class_weight={0: 1.0, 1: 5.0}
    """,
)
def class_weight_by_name(keras):
    model = small_model(keras, "sparse_categorical_crossentropy", 3, "softmax")
    model.fit(numbers(9, 4), classes(9), class_weight={"cat": 1.0, "dog": 2.0}, verbose=0)


@mistake(
    ValueError,
    "class_weight",
    """
    class_weight is a list.
    Expected a dict: {class number: weight}.
    Fix: class_weight={0: 1.0, 1: 2.0, 2: 1.0}
    """,
)
def class_weight_as_a_list(keras):
    model = small_model(keras, "sparse_categorical_crossentropy", 3, "softmax")
    model.fit(numbers(9, 4), classes(9), class_weight=[1.0, 2.0, 1.0], verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x is an array of type datetime64[D].
    Expected numbers.
    Fix: days as numbers: x = (x - x.min()) / np.timedelta64(1, 'D')
    """,
)
def dates_in_x(keras):
    small_model(keras).fit(np.array([["2020-01-01"] * 4] * 8, dtype="datetime64[D]"), numbers(8), verbose=0)


@mistake(
    ValueError,
    "x",
    """
    x is the number 5.
    Expected an array, a tensor, a data frame, a data set, or a list or dict of arrays.
    Fix: x = np.array([...]), one row per sample
    """,
)
def one_number_as_x(keras):
    small_model(keras).fit(5, 3, verbose=0)
