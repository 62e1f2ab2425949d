"""EarlyStopping, ReduceLROnPlateau, ModelCheckpoint: decisions are compared with Keras in tests/parity; here the rest."""

import os
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from callback_fakes import Model

from uncrumple.callbacks import EarlyStopping, LazyLogs, ModelCheckpoint, ReduceLROnPlateau
from uncrumple.core.dtypes import set_floatx
from uncrumple.core.errors import UncrumpleWarning


def lines(caught):
    return str(caught.value)


# --- settings that cannot work ------------------------------------------------------


@pytest.mark.parametrize(
    "make, kind, text",
    [
        (
            lambda: EarlyStopping(patience=-1),
            ValueError,
            "EarlyStopping got patience=-1.\nExpected a number, 0 or more.\nFix: EarlyStopping(patience=3)",
        ),
        (
            lambda: EarlyStopping(patience="3"),
            TypeError,
            "EarlyStopping got patience='3'.\nExpected a number, 0 or more.\nFix: EarlyStopping(patience=3)",
        ),
        (
            lambda: EarlyStopping(start_from_epoch=-2),
            ValueError,
            "EarlyStopping got start_from_epoch=-2.\n"
            "Expected a number, 0 or more.\n"
            "Fix: EarlyStopping(start_from_epoch=5)",
        ),
        (
            lambda: EarlyStopping(min_delta=float("nan")),
            ValueError,
            "EarlyStopping got min_delta=nan.\nExpected a number.\nFix: EarlyStopping(min_delta=0.001)",
        ),
        (
            lambda: EarlyStopping(baseline="low"),
            TypeError,
            "EarlyStopping got baseline='low'.\nExpected a number.\nFix: EarlyStopping(baseline=0.5)",
        ),
        (
            lambda: EarlyStopping(5),
            TypeError,
            "EarlyStopping got monitor=5, a int.\n"
            "Expected the name of a metric.\n"
            "Fix: EarlyStopping(monitor='val_loss')",
        ),
        (
            lambda: ReduceLROnPlateau(factor=1.0),
            ValueError,
            "ReduceLROnPlateau got factor=1.0.\n"
            "Expected a number, 0 or more, less than 1.\n"
            "Fix: ReduceLROnPlateau(factor=0.1)",
        ),
        (
            lambda: ReduceLROnPlateau(factor=-0.5),
            ValueError,
            "ReduceLROnPlateau got factor=-0.5.\n"
            "Expected a number, 0 or more, less than 1.\n"
            "Fix: ReduceLROnPlateau(factor=0.1)",
        ),
        (
            lambda: ReduceLROnPlateau(min_lr=-1),
            ValueError,
            "ReduceLROnPlateau got min_lr=-1.\nExpected a number, 0 or more.\nFix: ReduceLROnPlateau(min_lr=1e-6)",
        ),
        (
            lambda: ReduceLROnPlateau(cooldown=-1),
            ValueError,
            "ReduceLROnPlateau got cooldown=-1.\nExpected a number, 0 or more.\nFix: ReduceLROnPlateau(cooldown=2)",
        ),
        (
            lambda: ReduceLROnPlateau(min_detla=0.1),
            TypeError,
            "ReduceLROnPlateau got an unknown argument 'min_detla'.\n"
            "Expected one of: monitor, factor, patience, verbose, mode, min_delta, cooldown, min_lr.\n"
            "Fix: did you mean 'min_delta='?",
        ),
        (
            lambda: ModelCheckpoint("model"),
            ValueError,
            "ModelCheckpoint got filepath='model'.\n"
            "Expected a path that ends in '.keras'.\n"
            "Fix: ModelCheckpoint('model.keras')",
        ),
        (
            lambda: ModelCheckpoint("model.keras", save_weights_only=True),
            ValueError,
            "ModelCheckpoint got filepath='model.keras' with save_weights_only=True.\n"
            "Expected a path that ends in '.weights.h5'.\n"
            "Fix: ModelCheckpoint('model.weights.h5', save_weights_only=True)",
        ),
        (
            lambda: ModelCheckpoint(None),
            TypeError,
            "ModelCheckpoint got filepath=None, a NoneType.\nExpected a path.\nFix: ModelCheckpoint('model.keras')",
        ),
        (
            lambda: ModelCheckpoint("m.keras", save_freq="batch"),
            ValueError,
            "ModelCheckpoint got save_freq='batch'.\n"
            "Expected 'epoch', or a positive whole number of batches.\n"
            "Fix: ModelCheckpoint(..., save_freq='epoch')",
        ),
        (
            lambda: ModelCheckpoint("m.keras", initial_value_threshold="x"),
            TypeError,
            "ModelCheckpoint got initial_value_threshold='x'.\n"
            "Expected a number.\n"
            "Fix: ModelCheckpoint(initial_value_threshold=0.5)",
        ),
    ],
)
def test_settings_that_cannot_work(make, kind, text):
    with pytest.raises(kind) as caught:
        make()
    assert str(caught.value) == text


@pytest.mark.parametrize("save_freq", [0, -1, 2.5, True, None])
def test_save_freq(save_freq):
    with pytest.raises(ValueError, match="got save_freq="):
        ModelCheckpoint("m.keras", save_freq=save_freq)


def test_an_unknown_mode_is_warned_about_and_becomes_auto():
    with pytest.warns(UncrumpleWarning) as caught:
        callback = EarlyStopping(mode="maximise")
    assert str(caught[0].message) == (
        "EarlyStopping got mode='maximise'; it goes on with mode='auto'.\n"
        "Expected 'auto', 'min' or 'max'.\n"
        "Fix: EarlyStopping(mode='max')"
    )
    assert callback.mode == "auto"
    assert caught[0].filename == __file__


# --- which way is better ------------------------------------------------------------


def test_auto_mode_that_cannot_be_known_says_so():
    callback = EarlyStopping(monitor="val_acuracy")
    callback.set_model(SimpleNamespace(metrics=[SimpleNamespace(name="accuracy", _direction="up")]))
    with pytest.raises(ValueError) as caught:
        callback.on_epoch_end(0, {"val_accuracy": 1.0})
    assert str(caught.value) == (
        "EarlyStopping watches monitor='val_acuracy', and cannot tell whether more or less of it is better.\n"
        "Expected mode='min' or mode='max', or a metric of the model: accuracy, loss.\n"
        "Fix: EarlyStopping(monitor='val_acuracy', mode='max'), or mode='min' if less is better; "
        "or did you mean monitor='val_accuracy'?"
    )


@pytest.mark.parametrize(
    "monitor, more_is_better", [("val_price_mae", False), ("price_acc", True), ("val_price_loss", False)]
)
def test_metrics_of_one_output(monitor, more_is_better):
    inner = [SimpleNamespace(name="mae", _direction="down"), SimpleNamespace(name="acc", _direction="up")]
    held = SimpleNamespace(name="compile_metrics", metrics=inner)
    callback = EarlyStopping(monitor=monitor)
    callback.set_model(SimpleNamespace(metrics=[held], output_names=["price"]))
    assert callback._is_improvement(2.0, 1.0) is more_is_better


def test_a_metric_that_does_not_know_its_direction():
    callback = EarlyStopping(monitor="val_mean")
    callback.set_model(SimpleNamespace(metrics=[SimpleNamespace(name="mean", _direction=None)]))
    with pytest.raises(ValueError, match="cannot tell whether more or less of it is better"):
        callback._set_monitor_op()


def test_values_that_differ_by_less_than_float32_are_equal():
    callback = EarlyStopping(mode="min")
    assert not callback._is_improvement(0.1 - 1e-12, 0.1)
    set_floatx("float64")
    try:
        assert callback._is_improvement(0.1 - 1e-12, 0.1)
    finally:
        set_floatx("float32")


# --- a metric that is not there -----------------------------------------------------


@pytest.mark.parametrize(
    "make, logs, text",
    [
        (
            lambda: EarlyStopping(),
            {"loss": 1.0, "mae": 1.0},
            "EarlyStopping watches monitor='val_loss', which the logs do not have; it does nothing.\n"
            "Expected one of: loss, mae.\n"
            "Fix: fit(..., validation_split=0.2), or validation_data=(x, y)",
        ),
        (
            lambda: EarlyStopping("val_los", mode="min"),
            {"loss": 1.0, "val_loss": 1.0},
            "EarlyStopping watches monitor='val_los', which the logs do not have; it does nothing.\n"
            "Expected one of: loss, val_loss.\n"
            "Fix: EarlyStopping(monitor='val_loss')",
        ),
        (
            lambda: ModelCheckpoint("m.keras", "auc", save_best_only=True, mode="max"),
            {"loss": 1.0},
            "ModelCheckpoint watches monitor='auc', which the logs do not have; it saves every time.\n"
            "Expected one of: loss.\n"
            "Fix: give the model that metric: model.compile(..., metrics=[...])",
        ),
        (
            lambda: ReduceLROnPlateau("auc", mode="max"),
            {},
            "ReduceLROnPlateau watches monitor='auc', which the logs do not have; "
            "the learning rate stays as it is.\n"
            "Expected one of: learning_rate.\n"
            "Fix: give the model that metric: model.compile(..., metrics=[...])",
        ),
    ],
)
def test_a_missing_metric_is_warned_about_once_in_a_training(tmp_path, monkeypatch, make, logs, text):
    monkeypatch.chdir(tmp_path)
    callback = make()
    callback.set_model(Model())
    for _ in range(2):
        callback.on_train_begin()
        with pytest.warns(UncrumpleWarning) as caught:
            for epoch in range(4):
                callback.on_epoch_end(epoch, dict(logs))
        assert [str(one.message) for one in caught] == [text]


# --- EarlyStopping ------------------------------------------------------------------


def test_early_stopping_restores_the_weights_of_the_best_epoch_without_having_stopped(capsys):
    model = Model()
    callback = EarlyStopping("score", mode="max", patience=9, restore_best_weights=True, verbose=1)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, score in enumerate([0.1, 0.9, 0.5]):
        model.set_weights([np.full((1, 4), epoch), np.zeros(1)])
        callback.on_epoch_end(epoch, {"score": score})
    assert not model.stop_training
    callback.on_train_end()
    assert model.get_weights()[0].tolist() == [[1, 1, 1, 1]]
    assert capsys.readouterr().out == "Restoring the weights of epoch 2, the best one\n"


def test_early_stopping_keeps_no_weights_unless_asked():
    model = Model()
    model.get_weights = lambda: pytest.fail("copied weights for nothing")
    callback = EarlyStopping("loss")
    model.fit([callback], epochs=3)
    assert callback.best_weights is None


def test_early_stopping_says_when_and_what_was_best(capsys):
    callback = EarlyStopping("loss", patience=2, verbose=1)
    callback.set_model(Model())
    callback.on_train_begin()
    for epoch, loss in enumerate([1.0, 0.5, 0.7, 0.6]):
        callback.on_epoch_end(epoch, {"loss": loss})
    callback.on_train_end()
    assert capsys.readouterr().out == "Epoch 4: early stopping, loss was best in epoch 2\n"


# --- ReduceLROnPlateau --------------------------------------------------------------


def test_plateau_says_what_it_does_and_adds_to_the_logs(capsys):
    model = Model()
    callback = ReduceLROnPlateau("loss", factor=0.5, patience=1, verbose=1)
    callback.set_model(model)
    callback.on_train_begin()
    seen = []
    for epoch in range(3):
        logs = {"loss": 1.0}
        callback.on_epoch_end(epoch, logs)
        seen.append(logs["learning_rate"])
    assert seen == [0.01, 0.01, 0.005]
    assert model.optimizer.learning_rate == 0.0025
    out = capsys.readouterr().out.splitlines()
    assert out == [
        "Epoch 2: loss is on a plateau, the learning rate goes from 0.01 to 0.005",
        "Epoch 3: loss is on a plateau, the learning rate goes from 0.005 to 0.0025",
    ]


def test_plateau_reduces_each_of_several_optimizers():
    inner = [SimpleNamespace(name="a", learning_rate=1.0), SimpleNamespace(name="b", learning_rate=0.5)]
    callback = ReduceLROnPlateau("loss", factor=0.5, patience=0)
    callback.set_model(SimpleNamespace(optimizer=SimpleNamespace(optimizers=inner)))
    callback.on_train_begin()
    logs = {"loss": 1.0}
    callback.on_epoch_end(0, logs)
    callback.on_epoch_end(1, {"loss": 1.0})
    assert [one.learning_rate for one in inner] == [0.5, 0.25]
    assert logs == {"loss": 1.0, "learning_rate_a": 1.0, "learning_rate_b": 0.5}


# --- ModelCheckpoint ----------------------------------------------------------------


def test_checkpoint_makes_folders_and_fills_in_fields(tmp_path, capsys):
    model = Model()
    path = tmp_path / "a" / "b{epoch:03d}" / "{loss:.1f}.keras"
    callback = ModelCheckpoint(path, verbose=1)
    callback.set_model(model)
    callback.on_train_begin()
    assert list(tmp_path.iterdir()) == []
    callback.on_epoch_end(4, {"loss": 0.25})
    saved = str(tmp_path / "a" / "b005" / "0.2.keras")
    assert model.saved == [saved]
    assert os.path.exists(saved)
    assert capsys.readouterr().out == f"Epoch 5: saving to {saved}\n"


def test_checkpoint_says_why_it_saves_or_does_not(tmp_path, capsys):
    path = str(tmp_path / "m.keras")
    callback = ModelCheckpoint(path, "loss", save_best_only=True, verbose=1)
    callback.set_model(Model())
    callback.on_train_begin()
    for epoch, loss in enumerate([1.0, 2.0, 0.5]):
        callback.on_epoch_end(epoch, {"loss": loss})
    assert capsys.readouterr().out.splitlines() == [
        f"Epoch 1: loss is 1.00000, saving to {path}",
        "Epoch 2: loss is 2.00000, not better than 1.00000",
        f"Epoch 3: loss went from 1.00000 to 0.50000, saving to {path}",
    ]


def test_checkpoint_keeps_the_best_from_one_fit_to_the_next(tmp_path):
    model = Model()
    callback = ModelCheckpoint(tmp_path / "m.keras", "loss", save_best_only=True)
    callback.set_model(model)
    for loss in (1.0, 2.0, 0.5):
        callback.on_train_begin()
        callback.on_epoch_end(0, {"loss": loss})
    assert len(model.saved) == 2
    assert callback.best == 0.5


def test_checkpoint_by_batches_reads_no_logs_that_its_path_does_not_name(tmp_path):
    model = Model()
    callback = ModelCheckpoint(tmp_path / "{epoch}-{batch}.keras", save_freq=2)
    callback.set_model(model)
    callback.on_epoch_begin(0)
    logs = LazyLogs(lambda: pytest.fail("read the logs of a batch at which nothing is saved"))
    callback.on_train_batch_end(0, logs)
    callback.on_train_batch_end(1, {"loss": 1.0})
    assert [os.path.basename(path) for path in model.saved] == ["1-2.keras"]


def test_checkpoint_of_the_best_batch_knows_which_way_is_better(tmp_path):
    model = Model()
    callback = ModelCheckpoint(tmp_path / "{batch}.keras", "loss", save_freq=1, save_best_only=True)
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    for batch, loss in enumerate([1.0, 3.0, 0.5]):
        callback.on_train_batch_end(batch, {"loss": loss})
    assert [os.path.basename(path) for path in model.saved] == ["1.keras", "3.keras"]


def test_checkpoint_with_an_unknown_field():
    callback = ModelCheckpoint("{epoch:02d}-{val_los:.2f}.keras")
    callback.set_model(Model())
    with pytest.raises(KeyError) as caught:
        callback.on_epoch_end(0, {"loss": 1.0, "val_loss": 2.0})
    assert str(caught.value) == (
        "ModelCheckpoint cannot fill in filepath='{epoch:02d}-{val_los:.2f}.keras': there is no 'val_los'.\n"
        "Expected fields among: epoch, loss, val_loss.\n"
        "Fix: ModelCheckpoint('{epoch:02d}.keras')"
    )


def test_checkpoint_of_a_metric_with_many_values_saves_every_time(tmp_path):
    model = Model()
    callback = ModelCheckpoint(tmp_path / "m.keras", "f1", save_best_only=True, mode="max")
    callback.set_model(model)
    with pytest.warns(UncrumpleWarning, match="an array of shape \\(2,\\); it saves every time"):
        callback.on_epoch_end(0, {"f1": np.array([0.5, 0.5])})
    assert len(model.saved) == 1


def test_checkpoint_into_a_folder_that_cannot_be_written_to_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    callback = ModelCheckpoint(tmp_path / "file" / "{epoch}.keras")
    callback.set_model(Model())
    with pytest.raises(NotADirectoryError) as caught:
        callback.on_train_begin()
    assert str(caught.value) == (
        f"ModelCheckpoint cannot write {str(tmp_path / 'file')!r}: Not a directory.\n"
        "Expected to be able to write there.\n"
        "Fix: give ModelCheckpoint a path in a folder that you may write to"
    )


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs users")
def test_checkpoint_without_permission_is_refused_before_training(tmp_path):
    tmp_path.chmod(0o500)
    callback = ModelCheckpoint(tmp_path / "m.keras")
    callback.set_model(Model())
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may write anywhere; nobody may not
    try:
        with pytest.raises(PermissionError, match="Permission denied"):
            callback.on_train_begin()
    finally:
        os.seteuid(user)


def test_checkpoint_where_a_folder_is(tmp_path):
    (tmp_path / "m.keras").mkdir()
    callback = ModelCheckpoint(tmp_path / "m.keras")
    callback.set_model(Model())
    callback.on_train_begin()
    with pytest.raises(IsADirectoryError) as caught:
        callback.on_epoch_end(0, {"val_loss": 1.0})
    assert str(caught.value).splitlines()[2] == ("Fix: give ModelCheckpoint the path of a file; this one is a folder")


def test_checkpoint_on_a_full_disk(tmp_path):
    model = Model()

    def save(path, overwrite):
        raise OSError(28, "No space left on device")

    model.save = save
    callback = ModelCheckpoint(tmp_path / "m.keras")
    callback.set_model(model)
    with pytest.raises(OSError) as caught:
        callback.on_epoch_end(0, {"val_loss": 1.0})
    assert str(caught.value) == (
        f"ModelCheckpoint cannot write {str(tmp_path / 'm.keras')!r}: No space left on device.\n"
        "Expected to be able to write there.\n"
        "Fix: free some space, or give ModelCheckpoint a path on another disk"
    )
    assert caught.value.errno == 28


def test_an_error_of_saving_that_explains_itself_is_left_alone(tmp_path):
    model = Model()

    def save(path, overwrite):
        raise PermissionError("It came.\nIt was expected.\nFix: this")

    model.save = save
    callback = ModelCheckpoint(tmp_path / "m.keras")
    callback.set_model(model)
    with pytest.raises(PermissionError) as caught:
        callback.on_epoch_end(0, {"val_loss": 1.0})
    assert str(caught.value) == "It came.\nIt was expected.\nFix: this"


def test_no_warnings_where_all_is_well(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Model().fit(
            [
                EarlyStopping("loss"),
                ReduceLROnPlateau("loss"),
                ModelCheckpoint(tmp_path / "{epoch}.keras", "loss", save_best_only=True),
            ],
            epochs=2,
        )
