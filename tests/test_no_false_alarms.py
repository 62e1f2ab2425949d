"""Correct code trains without an error and without a warning: the checks before training raise no false alarm."""

import warnings

import numpy as np
import pytest
import torch

import uncrumple as keras
from beginners.table import classes, numbers

SETUPS = []


def setup(make):
    SETUPS.append(make)
    return make


def fitted(model, x, y=None, loss="mse", metrics=None, **kwargs):
    model.compile("adam", loss, metrics=metrics)
    model.fit(x, y, epochs=1, verbose=0, **kwargs)
    return model


def stack(*layers):
    return keras.Sequential(list(layers))


dense = keras.layers.Dense


@setup
def network_for_classes():
    model = stack(keras.Input((4,)), dense(8, activation="relu"), dense(3, activation="softmax"))
    x, y = numbers(20, 4), classes(20)
    model = fitted(model, x, y, "sparse_categorical_crossentropy", ["accuracy"], validation_split=0.2)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)


@setup
def classes_in_a_column():
    model = stack(keras.Input((4,)), dense(3, activation="softmax"))
    fitted(model, numbers(9, 4), classes(9)[:, None].astype("float32"), "sparse_categorical_crossentropy", ["accuracy"])


@setup
def fewer_classes_in_the_data_than_units():
    fitted(
        stack(keras.Input((4,)), dense(10, activation="softmax")),
        numbers(9, 4),
        classes(9),
        "sparse_categorical_crossentropy",
    )


@setup
def class_that_is_ignored():
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    fitted(stack(keras.Input((4,)), dense(2, activation="softmax")), numbers(9, 4), classes(9) - 1, loss)


@setup
def one_hot_rows_with_label_smoothing():
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    fitted(
        stack(keras.Input((4,)), dense(3, activation="softmax")),
        numbers(9, 4),
        np.eye(3)[classes(9)],
        loss,
        ["accuracy"],
    )


@setup
def soft_labels():
    y = numbers(9, 3) / numbers(9, 3).sum(1, keepdims=True)
    fitted(stack(keras.Input((4,)), dense(3, activation="softmax")), numbers(9, 4), y, "categorical_crossentropy")


@setup
def logits():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    fitted(stack(keras.Input((4,)), dense(3)), numbers(9, 4), classes(9), loss, ["accuracy"])


@setup
def binary_logits():
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    fitted(stack(keras.Input((4,)), dense(1)), numbers(9, 4), classes(9, 2), loss)


@setup
def softmax_as_a_layer():
    fitted(
        stack(keras.Input((4,)), dense(3), keras.layers.Softmax()),
        numbers(9, 4),
        classes(9),
        "sparse_categorical_crossentropy",
    )


@setup
def softmax_as_an_activation_layer():
    model = stack(keras.Input((4,)), dense(3), keras.layers.Activation("softmax"))
    fitted(model, numbers(9, 4), classes(9), "sparse_categorical_crossentropy")


@setup
def yes_or_no():
    model = stack(keras.Input((4,)), dense(8, activation="relu"), dense(1, activation="sigmoid"))
    fitted(model, numbers(9, 4), classes(9, 2), "binary_crossentropy", ["accuracy", keras.metrics.AUC()])


@setup
def yes_or_no_as_booleans_in_a_column():
    model = stack(keras.Input((4,)), dense(1, activation="sigmoid"))
    fitted(model, numbers(9, 4), classes(9, 2)[:, None] == 1, "binary_crossentropy")


@setup
def several_labels_at_once():
    y = (numbers(9, 5) > 0.5).astype("int32")
    fitted(stack(keras.Input((4,)), dense(5, activation="sigmoid")), numbers(9, 4), y, "binary_crossentropy")


@setup
def regression():
    model = stack(keras.Input((4,)), dense(8, activation="relu"), dense(1))
    fitted(model, numbers(9, 4), numbers(9) * 100 - 50, "mse", ["mae"])


@setup
def regression_onto_a_column_in_float64():
    fitted(stack(keras.Input((4,)), dense(1)), numbers(9, 4).astype("float64"), numbers(9, 1).astype("float64"), "mae")


@setup
def three_numbers_at_once():
    fitted(stack(keras.Input((4,)), dense(3)), numbers(9, 4), numbers(9, 3), keras.losses.Huber())


@setup
def sigmoid_for_shares():
    fitted(stack(keras.Input((4,)), dense(1, activation="sigmoid")), numbers(9, 4), numbers(9), "mse")


@setup
def counts_from_a_softplus():
    fitted(stack(keras.Input((4,)), dense(1, activation="softplus")), numbers(9, 4), classes(9) * 10, "poisson")


@setup
def embeddings_with_a_circle_loss():
    normed = keras.layers.UnitNormalization()
    fitted(stack(keras.Input((4,)), dense(8), normed), numbers(9, 4), classes(9), keras.losses.Circle())


@setup
def labels_shorter_than_what_is_read():
    model = stack(keras.Input((12, 4)), keras.layers.LSTM(8, return_sequences=True), dense(5, activation="softmax"))
    fitted(model, numbers(4, 12, 4), classes(12).reshape(4, 3) + 1, keras.losses.CTC())


@setup
def network_without_input():
    fitted(
        stack(dense(8, activation="relu"), dense(3, activation="softmax")),
        numbers(9, 4),
        classes(9),
        "sparse_categorical_crossentropy",
    )


@setup
def convolutional_network_on_bytes_with_rescaling():
    images = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3)).astype("uint8")
    model = stack(
        keras.Input((16, 16, 3)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.MaxPooling2D(),
        keras.layers.Dropout(0.3),
        keras.layers.Flatten(),
        dense(3, activation="softmax"),
    )
    fitted(model, images, classes(12), "sparse_categorical_crossentropy", ["accuracy"], validation_split=0.25)


@setup
def grey_images_without_the_axis_of_one_channel():
    model = stack(keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3), keras.layers.GlobalAveragePooling2D(), dense(1))
    fitted(model, numbers(6, 8, 8), numbers(6))


@setup
def images_of_any_size():
    model = stack(keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3), keras.layers.GlobalMaxPooling2D(), dense(1))
    fitted(model, numbers(4, 9, 12, 3), numbers(4))


@setup
def recurrent_network():
    model = stack(
        keras.Input((10, 4)),
        keras.layers.LSTM(8, return_sequences=True),
        keras.layers.Bidirectional(keras.layers.GRU(4)),
        dense(1),
    )
    fitted(model, numbers(6, 10, 4), numbers(6))


@setup
def one_label_per_step():
    model = stack(keras.Input((None, 4)), keras.layers.LSTM(8, return_sequences=True), dense(3, activation="softmax"))
    fitted(model, numbers(6, 10, 4), classes(60).reshape(6, 10), "sparse_categorical_crossentropy", ["accuracy"])


@setup
def one_number_per_step():
    model = stack(keras.Input((10, 4)), keras.layers.LSTM(8, return_sequences=True), dense(1))
    fitted(model, numbers(6, 10, 4), numbers(6, 10))


@setup
def words_with_a_mask():
    words = np.random.default_rng(0).integers(0, 50, (8, 7))
    model = stack(
        keras.Input((7,)),
        keras.layers.Embedding(50, 4, mask_zero=True),
        keras.layers.LSTM(4),
        dense(1, activation="sigmoid"),
    )
    fitted(model, words, classes(8, 2), "binary_crossentropy")


@setup
def words_averaged():
    words = np.random.default_rng(0).integers(0, 200, (8, 70))  # as many as an image would have
    model = stack(keras.layers.Embedding(200, 4), keras.layers.GlobalAveragePooling1D(), dense(3, activation="softmax"))
    fitted(model, words, classes(8), "sparse_categorical_crossentropy")


@setup
def autoencoder():
    images = numbers(6, 8, 8, 1)
    model = stack(
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
        keras.layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"),
    )
    fitted(model, images, images, "binary_crossentropy")
    fitted(model, images, images, "mse")


@setup
def segmentation_with_a_class_per_pixel():
    model = stack(keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 3, padding="same", activation="softmax"))
    masks = classes(4 * 64).reshape(4, 8, 8)
    fitted(model, numbers(4, 8, 8, 3), masks, "sparse_categorical_crossentropy", ["accuracy"])
    fitted(model, numbers(4, 8, 8, 3), masks[..., None], "sparse_categorical_crossentropy")
    fitted(model, numbers(4, 8, 8, 3), np.eye(3)[masks], "categorical_crossentropy")


@setup
def segmentation_of_one_kind():
    model = stack(keras.Input((8, 8, 3)), keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid"))
    fitted(model, numbers(4, 8, 8, 3), classes(256, 2).reshape(4, 8, 8), "binary_crossentropy")


@setup
def two_inputs_and_two_outputs():
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    x = keras.layers.Concatenate()([dense(4)(a), dense(4)(b)])
    x = keras.layers.Add()([x, dense(8)(x)]) * 2 + 1
    price, kind = dense(1, name="price")(x), dense(3, activation="softmax", name="kind")(x)
    model = keras.Model([a, b], {"price": price, "kind": kind})
    loss = {"price": "mse", "kind": "sparse_categorical_crossentropy"}
    y = {"price": numbers(8), "kind": classes(8)}
    fitted(model, {"a": numbers(8, 4), "b": numbers(8, 3)}, y, loss, {"kind": ["accuracy"], "price": ["mae"]})
    fitted(model, [numbers(8, 4), numbers(8, 3)], y, loss)


@setup
def users_and_films():
    class Recommender(keras.Model):
        def __init__(self):
            super().__init__()
            self.users = keras.layers.Embedding(20, 4)
            self.films = keras.layers.Embedding(10, 4)

        def call(self, inputs):
            return torch.sigmoid((self.users(inputs[:, 0]) * self.films(inputs[:, 1])).sum(-1, keepdim=True))

    pairs = np.stack([np.arange(40) % 20, np.arange(40) % 10], axis=1)
    fitted(Recommender(), pairs, numbers(40), "binary_crossentropy")


@setup
def own_layers_in_lists_and_private_attributes():
    class Tower(keras.layers.Layer):
        def __init__(self, depth=2, **kwargs):
            super().__init__(**kwargs)
            self._blocks = [dense(4, activation="relu") for _ in range(depth)]
            self.norms = {"last": keras.layers.LayerNormalization()}

        def build(self, input_shape):
            self.scale = self.add_weight(shape=(4,), initializer="ones", name="scale")

        def call(self, inputs, training=None):
            for block in self._blocks:
                inputs = block(inputs)
            return self.norms["last"](inputs) * self.scale

    model = stack(keras.Input((4,)), Tower(name="tower"), dense(1))
    fitted(model, numbers(8, 4), numbers(8))
    assert len(model.get_layer("tower").weights) == 7


@setup
def own_model_that_looks_at_numbers():
    class Switch(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = dense(1), dense(1)

        def call(self, inputs):
            both = self.first(inputs) + self.second(inputs)
            return both * 2 if float(inputs.mean()) > 0 else both

    fitted(Switch(), numbers(8, 4), numbers(8))


@setup
def own_training_step():
    class Own(keras.Sequential):
        def train_step(self, data):
            x, y = data
            loss = (self(x)[:, 0] - y).abs().mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            return {"distance": loss.detach()}

    stop = keras.callbacks.EarlyStopping(monitor="distance", mode="min")
    fitted(Own([keras.Input((4,)), dense(1)]), numbers(8, 4), numbers(8), None, callbacks=[stop])


@setup
def own_loss_and_metric():
    def furthest(y_true, y_pred):
        return (y_true - y_pred).abs().amax(-1)

    def share_above(y_true, y_pred):
        return float((y_pred > y_true).float().mean())

    fitted(stack(keras.Input((4,)), dense(3)), numbers(9, 4), numbers(9, 3), furthest, [share_above])


@setup
def own_callback_that_logs_more():
    class Extra(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_score"] = 0.5

    stop = keras.callbacks.EarlyStopping(monitor="val_score", mode="max")
    fitted(stack(keras.Input((4,)), dense(1)), numbers(8, 4), numbers(8), callbacks=[Extra(), stop])


@setup
def callbacks_of_every_day():
    model = stack(keras.Input((4,)), dense(3, activation="softmax"))
    callbacks = [
        keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True),
        keras.callbacks.EarlyStopping(monitor="val_accuracy", patience=2),
        keras.callbacks.ReduceLROnPlateau(monitor="loss"),
    ]
    data = (numbers(9, 4), classes(9))
    fitted(model, *data, "sparse_categorical_crossentropy", ["accuracy"], validation_data=data, callbacks=callbacks)


@setup
def weights_of_samples_and_classes():
    model = stack(keras.Input((4,)), dense(3, activation="softmax"))
    fitted(model, numbers(9, 4), classes(9), "sparse_categorical_crossentropy", sample_weight=numbers(9))
    fitted(model, numbers(9, 4), classes(9), "sparse_categorical_crossentropy", class_weight={0: 1.0, 1: 2.0, 2: 0.0})


@setup
def generator():
    def batches():
        while True:
            yield numbers(8, 4), numbers(8)

    fitted(stack(keras.Input((4,)), dense(1)), batches(), steps_per_epoch=3)


@setup
def torch_data_loader():
    data = torch.utils.data.TensorDataset(torch.rand(20, 4), torch.rand(20))
    loader = torch.utils.data.DataLoader(data, batch_size=8)
    fitted(stack(keras.Input((4,)), dense(1)), loader, validation_data=loader)


@setup
def data_frames():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(numbers(8, 4), columns=list("abcd"))
    fitted(stack(keras.Input((4,)), dense(1)), frame, pd.Series(numbers(8)), validation_split=0.25)


@setup
def lists_of_numbers():
    fitted(stack(keras.Input((2,)), dense(1)), [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [1.0, 1.0, 0.0])


@setup
def batch_of_one():
    fitted(stack(keras.Input((4,)), dense(1)), numbers(1, 4), numbers(1))


@setup
def frozen_before_compile():
    base = stack(keras.Input((4,)), dense(8, activation="relu"))
    base.trainable = False
    fitted(stack(keras.Input((4,)), base, dense(1)), numbers(8, 4), numbers(8))


@setup
def mixed_precision():
    inputs = keras.Input((4,))
    x = dense(8, activation="relu", dtype="mixed_bfloat16")(inputs)
    model = keras.Model(inputs, dense(3, activation="softmax", dtype="float32")(x))
    fitted(model, numbers(9, 4), classes(9), "sparse_categorical_crossentropy", ["accuracy"])


@setup
def torch_module_inside():
    model = stack(keras.Input((4,)), keras.layers.TorchModuleWrapper(torch.nn.Linear(4, 8)), dense(1))
    fitted(model, numbers(8, 4), numbers(8))


@setup
def whole_numbers_in_a_table():
    table = np.random.default_rng(0).integers(0, 200, (20, 8))  # ages, counts: no image
    fitted(stack(keras.Input((8,)), dense(1)), table, numbers(20))


@pytest.mark.parametrize("make", SETUPS, ids=lambda make: make.__name__)
def test_correct_code_says_nothing(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make()


def test_warnings_come_once_a_fit():
    model = stack(keras.Input((4,)), dense(3))
    validation = (numbers(6, 4), classes(6).astype("int32")[:, None])
    with pytest.warns(keras.UncrumpleWarning) as caught:
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(numbers(9, 4), classes(9), epochs=3, verbose=0, validation_data=validation)
        model.fit(numbers(9, 4), classes(9), epochs=3, verbose=0, validation_split=0.4)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_scaled_training_images_and_unscaled_validation_images():
    """Told apart: what is wrong with both is said once, what is wrong with one is said of that one."""
    model = stack(keras.Input((8, 8, 1)), keras.layers.Flatten(), dense(3, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy")
    images, kinds = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1)).astype("uint8"), classes(12)
    with pytest.warns(keras.UncrumpleWarning, match=r"^validation x of shape") as caught:
        model.fit(images / 255, kinds, validation_data=(images, kinds), verbose=0)
    assert len(caught) == 1
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.warns(keras.UncrumpleWarning, match=r"^x of shape") as caught:
        model.fit(images, kinds, validation_data=(images.astype("float32"), kinds), verbose=0)
    assert len(caught) == 1


def test_indices_in_a_part_of_the_data():
    """Validation data are the end of the arrays: their indices are read there, not at the beginning."""

    class Recommender(keras.Model):
        def __init__(self):
            super().__init__()
            self.films = keras.layers.Embedding(10, 4, name="films")

        def call(self, inputs):
            return self.films(inputs[:, 1]).sum(-1, keepdim=True)

    pairs = np.stack([np.arange(40) * 100, np.arange(40) % 10], axis=1)
    model = fitted(Recommender(), pairs, numbers(40), validation_split=0.25)
    pairs[37, 1] = 10
    assert len(model.predict(torch.as_tensor(pairs)[:37], verbose=0)) == 37
    assert len(model.predict(torch.as_tensor(pairs)[38:], verbose=0)) == 2
    with pytest.raises(ValueError, match=r"^x holds 10 in row 1, and Embedding 'films' has 10 rows"):
        model.predict(torch.as_tensor(pairs)[36:], verbose=0)
    with pytest.raises(ValueError, match=r"^validation x holds 10 in row 7, "):
        model.fit(pairs, numbers(40), validation_split=0.25, verbose=0)
