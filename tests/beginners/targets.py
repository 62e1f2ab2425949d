"""Targets that do not go with the loss or with the last layer."""

import numpy as np

from beginners.table import classes, mistake, numbers, small_model

SPARSE, ONE_HOT, BINARY = "sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"


@mistake(
    ValueError,
    "y",
    """
    y has shape (9,): class numbers; categorical_crossentropy takes one-hot rows.
    Expected y of shape (9, 3).
    Fix: loss="sparse_categorical_crossentropy", or y = uncrumple.utils.to_categorical(y, 3)
    """,
)
def class_numbers_with_categorical_crossentropy(keras):
    small_model(keras, ONE_HOT, 3, "softmax").fit(numbers(9, 4), classes(9), verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y has shape (9, 3): one-hot rows; sparse_categorical_crossentropy takes class numbers.
    Expected y of shape (9,), with numbers from 0 to 2.
    Fix: loss="categorical_crossentropy"
    """,
)
def one_hot_with_sparse_crossentropy(keras):
    small_model(keras, SPARSE, 3, "softmax").fit(numbers(9, 4), np.eye(3)[classes(9)], verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y holds class numbers from 1 to 3, and the output has 3 units.
    Expected class numbers from 0 to 2.
    Fix: y = y - 1
    """,
)
def classes_from_one(keras):
    small_model(keras, SPARSE, 3, "softmax").fit(numbers(9, 4), classes(9) + 1, verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y holds class numbers from 0 to 5, and the output has 3 units.
    Expected class numbers from 0 to 2.
    Fix: Dense(6, ...) as the last layer: one unit per class
    """,
)
def more_classes_than_units(keras):
    small_model(keras, SPARSE, 3, "softmax").fit(numbers(12, 4), classes(12, 6), verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y holds class numbers from -1 to 1, and the output has 3 units.
    Expected class numbers from 0 to 2.
    Fix: names, y = np.unique(y, return_inverse=True)
    """,
)
def negative_classes(keras):
    small_model(keras, SPARSE, 3, "softmax").fit(numbers(9, 4), classes(9) - 1, verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y has 5 classes (shape (9, 5)), and the output has 3 units.
    Expected as many units as classes.
    Fix: Dense(5, ...) as the last layer
    """,
)
def more_one_hot_classes_than_units(keras):
    small_model(keras, ONE_HOT, 3, "softmax").fit(numbers(9, 4), np.eye(5)[classes(9)], verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y holds text, such as 'cat'.
    Expected numbers.
    Fix: names, y = np.unique(y, return_inverse=True), which numbers the words from 0
    """,
)
def classes_by_name(keras):
    y = np.array(["cat", "dog", "bird"])[classes(9)]
    small_model(keras, SPARSE, 3, "softmax").fit(numbers(9, 4), y, verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y holds 63.6962 in row 0, which is no class number.
    Expected whole numbers from 0 to 2.
    Fix: loss="mse" and Dense(1) as the last layer, to predict numbers
    """,
)
def prices_with_crossentropy(keras):
    small_model(keras, SPARSE, 3, "softmax").fit(numbers(9, 4), numbers(9) * 100, verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y holds numbers from 0.27385 to 99.721; categorical_crossentropy takes one-hot rows.
    Expected 0 and 1, one 1 in each row.
    Fix: y = uncrumple.utils.to_categorical(class_numbers, 3), or loss="mse" to predict numbers
    """,
)
def scores_with_categorical_crossentropy(keras):
    small_model(keras, ONE_HOT, 3, "softmax").fit(numbers(9, 4), numbers(9, 3) * 100, verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y has shape (9,), and the model's output has shape (None, 3); mean_squared_error compares number by number.
    Expected y of shape (9, 3).
    Fix: Dense(1) as the last layer
    """,
)
def one_number_against_three(keras):
    small_model(keras, "mse", 3).fit(numbers(9, 4), numbers(9), verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y has shape (9, 1), and the model's output has shape (None, 3); mean_squared_error compares number by number.
    Expected y of shape (9, 3).
    Fix: Dense(1) as the last layer
    """,
)
def one_column_against_three(keras):
    small_model(keras, "mse", 3).fit(numbers(9, 4), numbers(9, 1), verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y has shape (9, 3), and the model's output has shape (None, 1); mean_absolute_error compares number by number.
    Expected y of shape (9, 1).
    Fix: Dense(3) as the last layer
    """,
)
def three_columns_against_one(keras):
    small_model(keras, "mae", 1).fit(numbers(9, 4), numbers(9, 3), verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y has shape (20,), and the model's output has shape (None, 10); mean_squared_error compares number by number.
    Expected y of shape (20, 10).
    Fix: loss="sparse_categorical_crossentropy" for classes, or Dense(1) to predict a number
    """,
)
def classes_with_mean_squared_error(keras):
    small_model(keras, "mse", 10, "softmax").fit(numbers(20, 4), classes(20, 10), verbose=0)


@mistake(
    ValueError,
    "loss",
    """
    The loss is sparse_categorical_crossentropy, and the model has one output unit.
    Expected one unit per class.
    Fix: Dense(1, activation="sigmoid") with loss="binary_crossentropy" for two classes
    """,
)
def sparse_crossentropy_on_one_unit(keras):
    small_model(keras, SPARSE, 1, "sigmoid").fit(numbers(9, 4), classes(9, 2), verbose=0)


@mistake(
    ValueError,
    "loss",
    """
    The loss is categorical_crossentropy, and the model has one output unit.
    Expected one unit per class.
    Fix: Dense(1, activation="sigmoid") with loss="binary_crossentropy" for two classes
    """,
)
def categorical_crossentropy_on_one_unit(keras):
    small_model(keras, ONE_HOT, 1, "sigmoid").fit(numbers(9, 4), classes(9, 2), verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y holds numbers from 1 to 2; binary_crossentropy takes no and yes.
    Expected 0 for no and 1 for yes.
    Fix: y = (y == 2).astype('float32')
    """,
)
def binary_classes_one_and_two(keras):
    small_model(keras, BINARY, 1, "sigmoid").fit(numbers(8, 4), classes(8, 2) + 1, verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y holds numbers from -1 to 1; binary_crossentropy takes no and yes.
    Expected 0 for no and 1 for yes.
    Fix: y = (y == 1).astype('float32')
    """,
)
def binary_classes_minus_one_and_one(keras):
    small_model(keras, BINARY, 1, "sigmoid").fit(numbers(8, 4), classes(8, 2) * 2 - 1, verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y holds numbers from 0 to 2; binary_crossentropy takes no and yes.
    Expected 0 for no and 1 for yes.
    Fix: Dense(3, activation="softmax") with loss="sparse_categorical_crossentropy"
    """,
)
def three_classes_with_binary_crossentropy(keras):
    small_model(keras, BINARY, 1, "sigmoid").fit(numbers(9, 4), classes(9), verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y has shape (8,), and the output has 2 units: binary_crossentropy asks each a yes-or-no question.
    Expected y of shape (8, 2).
    Fix: Dense(1, activation="sigmoid") for two classes, or loss="sparse_categorical_crossentropy" for several
    """,
)
def binary_classes_against_two_units(keras):
    small_model(keras, BINARY, 2, "sigmoid").fit(numbers(8, 4), classes(8, 2), verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y holds numbers from 1.65276 to 91.2756; binary_crossentropy takes no and yes.
    Expected 0 for no and 1 for yes.
    Fix: loss="mse" and no activation in the last layer, to predict numbers
    """,
)
def prices_with_binary_crossentropy(keras):
    small_model(keras, BINARY, 1, "sigmoid").fit(numbers(8, 4), numbers(8) * 100, verbose=0)


@mistake(
    UserWarning,
    "answer",
    """
    Dense 'answer' ends with softmax, and the loss has from_logits=True, which applies softmax again.
    Expected softmax in one of the two places.
    Fix: from_logits=False in the loss, or no activation in Dense 'answer'
    """,
)
def softmax_with_from_logits(keras):
    model = small_model(keras, keras.losses.SparseCategoricalCrossentropy(from_logits=True), 3, "softmax")
    model.fit(numbers(9, 4), classes(9), verbose=0)


@mistake(
    UserWarning,
    "answer",
    """
    Dense 'answer' ends with sigmoid, and the loss has from_logits=True, which applies sigmoid again.
    Expected sigmoid in one of the two places.
    Fix: from_logits=False in the loss, or no activation in Dense 'answer'
    """,
)
def sigmoid_with_from_logits(keras):
    model = small_model(keras, keras.losses.BinaryCrossentropy(from_logits=True), 1, "sigmoid")
    model.fit(numbers(8, 4), classes(8, 2), verbose=0)


@mistake(
    UserWarning,
    "answer",
    """
    Dense 'answer' has no activation, and sparse_categorical_crossentropy takes probabilities.
    Expected softmax in the last layer, or from_logits=True in the loss.
    Fix: Dense(3, activation="softmax"), or SparseCategoricalCrossentropy(from_logits=True)
    """,
)
def logits_without_from_logits(keras):
    small_model(keras, SPARSE, 3).fit(numbers(9, 4), classes(9), verbose=0)


@mistake(
    UserWarning,
    "answer",
    """
    Dense 'answer' has no activation, and binary_crossentropy takes probabilities.
    Expected sigmoid in the last layer, or from_logits=True in the loss.
    Fix: Dense(1, activation="sigmoid"), or BinaryCrossentropy(from_logits=True)
    """,
)
def binary_logits_without_from_logits(keras):
    small_model(keras, BINARY, 1).fit(numbers(8, 4), classes(8, 2), verbose=0)


@mistake(
    UserWarning,
    "answer",
    """
    Dense 'answer' ends with relu, and sparse_categorical_crossentropy takes probabilities.
    Expected softmax in the last layer, or from_logits=True in the loss.
    Fix: Dense(3, activation="softmax"), or SparseCategoricalCrossentropy(from_logits=True)
    """,
)
def relu_before_crossentropy(keras):
    small_model(keras, SPARSE, 3, "relu").fit(numbers(9, 4), classes(9), verbose=0)


@mistake(
    UserWarning,
    "answer",
    """
    Dense 'answer' has one unit and softmax: its output is always 1.
    Expected sigmoid for one unit: a number between 0 and 1.
    Fix: Dense(1, activation="sigmoid")
    """,
)
def softmax_on_one_unit(keras):
    small_model(keras, BINARY, 1, "softmax").fit(numbers(8, 4), classes(8, 2), verbose=0)


@mistake(
    UserWarning,
    "answer",
    """
    Dense 'answer' has one unit and softmax: its output is always 1.
    Expected sigmoid for one unit: a number between 0 and 1.
    Fix: Dense(1, activation="sigmoid")
    """,
)
def softmax_on_one_unit_with_mse(keras):
    small_model(keras, "mse", 1, "softmax").fit(numbers(8, 4), numbers(8), verbose=0)


@mistake(
    UserWarning,
    "answer",
    """
    Dense 'answer' ends with sigmoid, and sparse_categorical_crossentropy is for one of 3 classes.
    Expected softmax: probabilities that sum to 1.
    Fix: Dense(3, activation="softmax"), or loss="binary_crossentropy" if several can be true at once
    """,
)
def sigmoid_for_one_of_three_classes(keras):
    small_model(keras, SPARSE, 3, "sigmoid").fit(numbers(9, 4), classes(9), verbose=0)


@mistake(
    UserWarning,
    "answer",
    """
    Dense 'answer' ends with sigmoid, whose output is between 0 and 1; y holds numbers from 51.6528 to 141.276.
    Expected a last activation that can give these numbers.
    Fix: Dense(1) without an activation, or scale y
    """,
)
def prices_from_a_sigmoid(keras):
    small_model(keras, "mse", 1, "sigmoid").fit(numbers(9, 4), numbers(9) * 100 + 50, verbose=0)


@mistake(
    UserWarning,
    "answer",
    """
    Dense 'answer' ends with relu, whose output is never below 0; y holds numbers from -0.483472 to 0.412756.
    Expected a last activation that can give these numbers.
    Fix: Dense(1) without an activation, or scale y
    """,
)
def negative_numbers_from_a_relu(keras):
    small_model(keras, "mse", 1, "relu").fit(numbers(9, 4), numbers(9) - 0.5, verbose=0)


@mistake(
    UserWarning,
    "accuracy",
    """
    The metric 'accuracy' counts exact hits, and y holds numbers such as 63.6962.
    Expected a metric of how far off the predictions are.
    Fix: metrics=["mae"]
    """,
)
def accuracy_of_prices(keras):
    model = small_model(keras)
    model.compile("adam", "mse", metrics=["accuracy"])
    model.fit(numbers(9, 4), numbers(9) * 100, verbose=0)


@mistake(
    ValueError,
    "targets",
    """
    The model has 2 outputs, and y has targets for 1.
    Expected one array of targets per output: ['kind', 'price'].
    Fix: y = [y_kind, y_price]
    """,
)
def one_array_for_two_outputs(keras):
    _two_outputs(keras).fit(numbers(8, 4), numbers(8), verbose=0)


@mistake(
    ValueError,
    "price",
    """
    The output 'price' has a loss and no targets.
    Expected targets for every output that has a loss.
    Fix: y = {'kind': ..., 'price': ...}
    """,
)
def missing_target_of_an_output(keras):
    _two_outputs(keras).fit(numbers(8, 4), {"kind": classes(8)}, verbose=0)


@mistake(
    ValueError,
    "kind",
    """
    y['kind'] holds class numbers from 1 to 3, and the output has 3 units.
    Expected class numbers from 0 to 2.
    Fix: y['kind'] = y['kind'] - 1
    """,
)
def wrong_target_of_one_output(keras):
    _two_outputs(keras).fit(numbers(8, 4), {"price": numbers(8), "kind": classes(8) + 1}, verbose=0)


@mistake(
    ValueError,
    "loss",
    """
    compile got 3 entries in loss.
    Expected 2, one per output: ['kind', 'price'].
    Fix: loss = [..., ...] with 2 entries
    """,
)
def three_losses_for_two_outputs(keras):
    model = _two_outputs(keras)
    model.compile("adam", ["mse", SPARSE, "mse"])
    model.fit(numbers(8, 4), [numbers(8), classes(8)], verbose=0)


def _two_outputs(keras):
    inputs = keras.Input((4,))
    price = keras.layers.Dense(1, name="price")(inputs)
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(inputs)
    model = keras.Model(inputs, {"price": price, "kind": kind})
    model.compile("adam", {"price": "mse", "kind": SPARSE})
    return model


@mistake(
    ValueError,
    "y",
    """
    y has shape (4, 16, 16, 4), and the model's output has shape (None, 8, 8, 4); mean_squared_error compares number by number.
    Expected y of shape (4, 8, 8, 4).
    Fix: change the layers until the output has shape (None, 16, 16, 4), or make targets of its size
    """,
)
def masks_of_another_size(keras):
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3, padding="same"), keras.layers.MaxPooling2D()]
    )
    model.compile("adam", "mse")
    model.fit(numbers(4, 16, 16, 3), numbers(4, 16, 16, 4), verbose=0)


@mistake(
    ValueError,
    "y",
    """
    y has shape (4, 16, 16), and the model's output has shape (None, 8, 8, 3).
    Expected y of shape (4, 8, 8): one class number per place of the output.
    Fix: change the layers until the output has shape (None, 16, 16, 3)
    """,
)
def segmentation_masks_of_another_size(keras):
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(3, 3, padding="same", activation="softmax"),
        ]
    )
    model.compile("adam", SPARSE)
    model.fit(numbers(4, 16, 16, 3), classes(4 * 16 * 16).reshape(4, 16, 16), verbose=0)


@mistake(
    ValueError,
    "wide_loss",
    """
    The loss 'wide_loss' failed on y of shape (9, 3) and y_pred of shape (9, 3): a matrix product needs equal inner sizes, and got 3 and 9.
    Expected a loss that works for these shapes.
    Fix: look at line LINE of targets.py: return (y_true @ y_pred).mean()
    """,
)
def own_loss_that_does_not_fit(keras):
    def wide_loss(y_true, y_pred):
        return (y_true @ y_pred).mean()

    small_model(keras, wide_loss, 3).fit(numbers(9, 4), numbers(9, 3), verbose=0)


@mistake(
    ValueError,
    "argmax_loss",
    """
    The loss 'argmax_loss' gives a number that no gradient reaches.
    Expected torch operations on y_pred that have a gradient.
    Fix: no NumPy, .item(), .detach(), argmax or comparison between y_pred and what the loss returns
    """,
)
def own_loss_without_a_gradient(keras):
    def argmax_loss(y_true, y_pred):
        return (y_true[:, 0] - y_pred.argmax(-1)).abs().float()

    small_model(keras, argmax_loss, 3).fit(numbers(9, 4), numbers(9, 3), verbose=0)


@mistake(
    ValueError,
    "silent_loss",
    """
    The loss 'silent_loss' returned None.
    Expected a tensor: one number per sample, or one number.
    Fix: return ... as the last line of silent_loss
    """,
)
def own_loss_that_returns_nothing(keras):
    def silent_loss(y_true, y_pred):
        (y_true - y_pred).square().mean()

    small_model(keras, silent_loss, 3).fit(numbers(9, 4), numbers(9, 3), verbose=0)


@mistake(
    ValueError,
    "wide_metric",
    """
    The metric 'wide_metric' failed on y of shape (9, 3) and y_pred of shape (9, 3): a matrix product needs equal inner sizes, and got 3 and 9.
    Expected a metric that works for these shapes.
    Fix: look at line LINE of targets.py: return (y_true @ y_pred).mean()
    """,
)
def own_metric_that_does_not_fit(keras):
    def wide_metric(y_true, y_pred):
        return (y_true @ y_pred).mean()

    model = small_model(keras, "mse", 3)
    model.compile("adam", "mse", metrics=[wide_metric])
    model.fit(numbers(9, 4), numbers(9, 3), verbose=0)


@mistake(
    ValueError,
    "AUC",
    """
    AUC got y_true of shape (9,) and y_pred of shape (9, 3).
    Expected two equal shapes; values are never repeated to make them fit.
    Fix: y = to_categorical(y, 3), or end the model with one unit, Dense(1).
    """,
)
def metric_that_does_not_fit(keras):
    model = small_model(keras, SPARSE, 3, "softmax")
    model.compile("adam", SPARSE, metrics=[keras.metrics.AUC()])
    model.fit(numbers(9, 4), classes(9), verbose=0)
