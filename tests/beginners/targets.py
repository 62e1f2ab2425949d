"""Targets that do not go with the loss or with the last layer."""

import numpy as np

from beginners.table import classes, mistake, numbers, small_model

SPARSE, ONE_HOT, BINARY = "sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"


@mistake(ValueError, "y")
def class_numbers_with_categorical_crossentropy(keras):
    small_model(keras, ONE_HOT, 3, "softmax").fit(numbers(9, 4), classes(9), verbose=0)


@mistake(ValueError, "y")
def one_hot_with_sparse_crossentropy(keras):
    small_model(keras, SPARSE, 3, "softmax").fit(numbers(9, 4), np.eye(3)[classes(9)], verbose=0)


@mistake(ValueError, "y")
def classes_from_one(keras):
    small_model(keras, SPARSE, 3, "softmax").fit(numbers(9, 4), classes(9) + 1, verbose=0)


@mistake(ValueError, "y")
def more_classes_than_units(keras):
    small_model(keras, SPARSE, 3, "softmax").fit(numbers(12, 4), classes(12, 6), verbose=0)


@mistake(ValueError, "y")
def negative_classes(keras):
    small_model(keras, SPARSE, 3, "softmax").fit(numbers(9, 4), classes(9) - 1, verbose=0)


@mistake(ValueError, "y")
def more_one_hot_classes_than_units(keras):
    small_model(keras, ONE_HOT, 3, "softmax").fit(numbers(9, 4), np.eye(5)[classes(9)], verbose=0)


@mistake(ValueError, "y")
def classes_by_name(keras):
    y = np.array(["cat", "dog", "bird"])[classes(9)]
    small_model(keras, SPARSE, 3, "softmax").fit(numbers(9, 4), y, verbose=0)


@mistake(ValueError, "y")
def prices_with_crossentropy(keras):
    small_model(keras, SPARSE, 3, "softmax").fit(numbers(9, 4), numbers(9) * 100, verbose=0)


@mistake(ValueError, "y")
def scores_with_categorical_crossentropy(keras):
    small_model(keras, ONE_HOT, 3, "softmax").fit(numbers(9, 4), numbers(9, 3) * 100, verbose=0)


@mistake(ValueError, "y")
def one_number_against_three(keras):
    small_model(keras, "mse", 3).fit(numbers(9, 4), numbers(9), verbose=0)


@mistake(ValueError, "y")
def one_column_against_three(keras):
    small_model(keras, "mse", 3).fit(numbers(9, 4), numbers(9, 1), verbose=0)


@mistake(ValueError, "y")
def three_columns_against_one(keras):
    small_model(keras, "mae", 1).fit(numbers(9, 4), numbers(9, 3), verbose=0)


@mistake(ValueError, "y")
def classes_with_mean_squared_error(keras):
    small_model(keras, "mse", 10, "softmax").fit(numbers(20, 4), classes(20, 10), verbose=0)


@mistake(ValueError, "loss")
def sparse_crossentropy_on_one_unit(keras):
    small_model(keras, SPARSE, 1, "sigmoid").fit(numbers(9, 4), classes(9, 2), verbose=0)


@mistake(ValueError, "loss")
def categorical_crossentropy_on_one_unit(keras):
    small_model(keras, ONE_HOT, 1, "sigmoid").fit(numbers(9, 4), classes(9, 2), verbose=0)


@mistake(ValueError, "y")
def binary_classes_one_and_two(keras):
    small_model(keras, BINARY, 1, "sigmoid").fit(numbers(8, 4), classes(8, 2) + 1, verbose=0)


@mistake(ValueError, "y")
def binary_classes_minus_one_and_one(keras):
    small_model(keras, BINARY, 1, "sigmoid").fit(numbers(8, 4), classes(8, 2) * 2 - 1, verbose=0)


@mistake(ValueError, "y")
def three_classes_with_binary_crossentropy(keras):
    small_model(keras, BINARY, 1, "sigmoid").fit(numbers(9, 4), classes(9), verbose=0)


@mistake(ValueError, "y")
def binary_classes_against_two_units(keras):
    small_model(keras, BINARY, 2, "sigmoid").fit(numbers(8, 4), classes(8, 2), verbose=0)


@mistake(ValueError, "y")
def prices_with_binary_crossentropy(keras):
    small_model(keras, BINARY, 1, "sigmoid").fit(numbers(8, 4), numbers(8) * 100, verbose=0)


@mistake(UserWarning, "answer")
def softmax_with_from_logits(keras):
    model = small_model(keras, keras.losses.SparseCategoricalCrossentropy(from_logits=True), 3, "softmax")
    model.fit(numbers(9, 4), classes(9), verbose=0)


@mistake(UserWarning, "answer")
def sigmoid_with_from_logits(keras):
    model = small_model(keras, keras.losses.BinaryCrossentropy(from_logits=True), 1, "sigmoid")
    model.fit(numbers(8, 4), classes(8, 2), verbose=0)


@mistake(UserWarning, "answer")
def logits_without_from_logits(keras):
    small_model(keras, SPARSE, 3).fit(numbers(9, 4), classes(9), verbose=0)


@mistake(UserWarning, "answer")
def binary_logits_without_from_logits(keras):
    small_model(keras, BINARY, 1).fit(numbers(8, 4), classes(8, 2), verbose=0)


@mistake(UserWarning, "answer")
def relu_before_crossentropy(keras):
    small_model(keras, SPARSE, 3, "relu").fit(numbers(9, 4), classes(9), verbose=0)


@mistake(UserWarning, "answer")
def softmax_on_one_unit(keras):
    small_model(keras, BINARY, 1, "softmax").fit(numbers(8, 4), classes(8, 2), verbose=0)


@mistake(UserWarning, "answer")
def softmax_on_one_unit_with_mse(keras):
    small_model(keras, "mse", 1, "softmax").fit(numbers(8, 4), numbers(8), verbose=0)


@mistake(UserWarning, "answer")
def sigmoid_for_one_of_three_classes(keras):
    small_model(keras, SPARSE, 3, "sigmoid").fit(numbers(9, 4), classes(9), verbose=0)


@mistake(UserWarning, "answer")
def prices_from_a_sigmoid(keras):
    small_model(keras, "mse", 1, "sigmoid").fit(numbers(9, 4), numbers(9) * 100 + 50, verbose=0)


@mistake(UserWarning, "answer")
def negative_numbers_from_a_relu(keras):
    small_model(keras, "mse", 1, "relu").fit(numbers(9, 4), numbers(9) - 0.5, verbose=0)


@mistake(UserWarning, "accuracy")
def accuracy_of_prices(keras):
    model = small_model(keras)
    model.compile("adam", "mse", metrics=["accuracy"])
    model.fit(numbers(9, 4), numbers(9) * 100, verbose=0)


@mistake(ValueError, "targets")
def one_array_for_two_outputs(keras):
    _two_outputs(keras).fit(numbers(8, 4), numbers(8), verbose=0)


@mistake(ValueError, "price")
def missing_target_of_an_output(keras):
    _two_outputs(keras).fit(numbers(8, 4), {"kind": classes(8)}, verbose=0)


@mistake(ValueError, "kind")
def wrong_target_of_one_output(keras):
    _two_outputs(keras).fit(numbers(8, 4), {"price": numbers(8), "kind": classes(8) + 1}, verbose=0)


@mistake(ValueError, "loss")
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


@mistake(ValueError, "y")
def masks_of_another_size(keras):
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3, padding="same"), keras.layers.MaxPooling2D()]
    )
    model.compile("adam", "mse")
    model.fit(numbers(4, 16, 16, 3), numbers(4, 16, 16, 4), verbose=0)


@mistake(ValueError, "y")
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


@mistake(ValueError, "wide_loss")
def own_loss_that_does_not_fit(keras):
    def wide_loss(y_true, y_pred):
        return (y_true @ y_pred).mean()

    small_model(keras, wide_loss, 3).fit(numbers(9, 4), numbers(9, 3), verbose=0)


@mistake(ValueError, "argmax_loss")
def own_loss_without_a_gradient(keras):
    def argmax_loss(y_true, y_pred):
        return (y_true[:, 0] - y_pred.argmax(-1)).abs().float()

    small_model(keras, argmax_loss, 3).fit(numbers(9, 4), numbers(9, 3), verbose=0)


@mistake(ValueError, "silent_loss")
def own_loss_that_returns_nothing(keras):
    def silent_loss(y_true, y_pred):
        (y_true - y_pred).square().mean()

    small_model(keras, silent_loss, 3).fit(numbers(9, 4), numbers(9, 3), verbose=0)


@mistake(ValueError, "wide_metric")
def own_metric_that_does_not_fit(keras):
    def wide_metric(y_true, y_pred):
        return (y_true @ y_pred).mean()

    model = small_model(keras, "mse", 3)
    model.compile("adam", "mse", metrics=[wide_metric])
    model.fit(numbers(9, 4), numbers(9, 3), verbose=0)


@mistake(ValueError, "AUC")
def metric_that_does_not_fit(keras):
    model = small_model(keras, SPARSE, 3, "softmax")
    model.compile("adam", SPARSE, metrics=[keras.metrics.AUC()])
    model.fit(numbers(9, 4), classes(9), verbose=0)
