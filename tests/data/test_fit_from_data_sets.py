"""fit, evaluate and predict with data sets of every kind."""

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple.core.seeds import set_random_seed
from uncrumple.data import AUTOTUNE, Dataset
from uncrumple.utils import image_dataset_from_directory, save_img, text_dataset_from_directory

X = np.random.RandomState(0).rand(40, 3).astype("float32")
Y = X.sum(1, keepdims=True)


def compiled(loss="mse", units=1, **settings):
    set_random_seed(0)
    model = uc.Sequential([uc.Input((3,)), uc.layers.Dense(units, **settings)])
    model.compile("adam", loss)
    return model


def test_data_sets_train_as_arrays_do():
    histories = []
    for data in (
        Dataset.from_tensor_slices((X, Y)).batch(8),
        Dataset.from_tensor_slices((X, Y)).map(lambda x, y: (x, y), AUTOTUNE).batch(8).cache().prefetch(AUTOTUNE),
        torch.utils.data.DataLoader(Dataset.from_tensor_slices((X, Y)).batch(8), batch_size=None),
        None,
    ):
        model = compiled()
        given = (X, Y) if data is None else (data,)
        size = {"batch_size": 8} if data is None else {}
        history = model.fit(
            *given, epochs=3, verbose=0, shuffle=False, validation_data=(X, Y) if data is None else data, **size
        )
        found = history.history["loss"] + history.history["val_loss"] + [model.evaluate(*given, verbose=0, **size)]
        found.append(model.predict(X if data is None else data, verbose=0).sum())
        histories.append(found)
    for found in histories[:3]:
        np.testing.assert_allclose(found, histories[3], rtol=1e-6)


def test_shuffled_training_repeats_itself():
    def trained():
        model = compiled()
        data = Dataset.from_tensor_slices((X, Y)).shuffle(40).batch(8)
        return model.fit(
            data.map(lambda x, y: (x + 0.1 * torch.randn_like(x), y), 4).prefetch(2), epochs=3, verbose=0
        ).history

    assert trained() == trained()


def test_an_endless_data_set_is_cut_into_epochs():
    data = Dataset.from_tensor_slices((X, Y)).batch(8).repeat()
    assert len(compiled().fit(data, steps_per_epoch=7, epochs=2, verbose=0).history["loss"]) == 2
    with pytest.raises(ValueError) as raised:
        compiled().fit(data, verbose=0)
    assert str(raised.value) == (
        "The Dataset goes on for ever, and nothing says where an epoch ends.\n"
        "Expected a number of steps.\n"
        "Fix: steps_per_epoch=100 in fit(), validation_steps=10 for validation data, steps=10 elsewhere"
    )


def test_single_samples_and_other_arguments_are_refused():
    data = Dataset.from_tensor_slices((X, Y))
    with pytest.raises(ValueError) as raised:
        compiled().fit(data, verbose=0)
    assert str(raised.value) == "The Dataset hands out single samples.\nExpected batches.\nFix: dataset.batch(32)"
    with pytest.raises(ValueError, match="batch_size=3 was given with a Dataset"):
        compiled().fit(data.batch(8), batch_size=3)
    with pytest.raises(ValueError, match="y was given together with a Dataset"):
        compiled().fit(data.batch(8), Y)
    with pytest.raises(ValueError, match=r"validation_split=0.2 was given with a Dataset"):
        compiled().fit(data.batch(8), validation_split=0.2)
    with pytest.raises(ValueError, match="The data handed out no batch"):
        compiled().fit(data.take(0).batch(8), verbose=0)


def test_class_weights_and_dicts_of_inputs():
    set_random_seed(0)
    a, b = uc.Input((3,), name="a"), uc.Input((3,), name="b")
    model = uc.Model([a, b], uc.layers.Dense(2, activation="softmax")(uc.layers.Add()([a, b])))
    model.compile("adam", "sparse_categorical_crossentropy")
    labels = np.arange(40) % 2
    data = Dataset.from_tensor_slices(({"a": X, "b": X}, labels)).batch(8)
    losses = [
        model.fit(data, verbose=0, class_weight=weight).history["loss"][0] for weight in (None, {0: 10.0, 1: 10.0})
    ]
    assert losses[1] > 5 * losses[0]


@pytest.fixture
def images(tmp_path):
    for name, shade in (("dark", 20), ("light", 220)):
        (tmp_path / name).mkdir()
        for number in range(8):
            save_img(tmp_path / name / f"{number}.png", np.full((10, 12, 3), shade + number), scale=False)
    return tmp_path


def test_a_folder_of_images_is_learnt(images):
    set_random_seed(1)
    training, validation = image_dataset_from_directory(
        images, image_size=(8, 8), batch_size=4, validation_split=0.25, subset="both", seed=1, verbose=False
    )
    model = uc.Sequential(
        [
            uc.layers.Rescaling(1 / 255),
            uc.layers.Conv2D(4, 3, activation="relu"),
            uc.layers.GlobalAveragePooling2D(),
            uc.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(uc.optimizers.Adam(0.1), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(training, epochs=15, validation_data=validation, verbose=0).history
    assert history["val_accuracy"][-1] == 1.0
    assert model.predict(validation, verbose=0).shape == (4, 1)
    assert model.evaluate(validation, verbose=0)[1] == 1.0


def test_a_bad_image_stops_training_with_its_name(images):
    path = images / "dark" / "3.png"
    path.write_bytes(path.read_bytes()[:45])
    data = image_dataset_from_directory(images, image_size=(8, 8), batch_size=4, verbose=False)
    model = uc.Sequential([uc.layers.Rescaling(1 / 255), uc.layers.Flatten(), uc.layers.Dense(2)])
    model.compile("adam", uc.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError) as raised:
        model.fit(data, verbose=0)
    assert str(raised.value).startswith(f"{path} is damaged: ")


def test_texts_pass_through_functions(tmp_path):
    for name in ("neg", "pos"):
        (tmp_path / name).mkdir()
        for number in range(4):
            (tmp_path / name / f"{number}.txt").write_text(name * (number + 1))
    data = text_dataset_from_directory(tmp_path, batch_size=4, verbose=False)

    def features(x, y):
        return torch.tensor([[len(text), text.count("n"), text.count("p")] for text in x.tolist()]).float(), y

    model = compiled("sparse_categorical_crossentropy", 2, activation="softmax")
    assert len(model.fit(data.map(features), epochs=2, verbose=0).history["loss"]) == 2
