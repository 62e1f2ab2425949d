"""`PyDataset`: batches in order whatever makes them, epochs announced, failures named."""

import os
import threading

import numpy as np
import pytest
import torch

import uncrumple as uc
from uncrumple.core.errors import UncrumpleWarning
from uncrumple.core.seeds import set_random_seed
from uncrumple.data.batches import EndlessEpochs, StreamBatches
from uncrumple.data.py_dataset import batches_of
from uncrumple.utils import PyDataset, Sequence


class Numbers(PyDataset):
    """Batches of one number each, and a diary."""

    def __init__(self, count=6, **kwargs):
        super().__init__(**kwargs)
        self.count, self.diary = count, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return np.full((2, 1), index, "float32"), np.full((2, 1), np.random.rand(), "float32")

    def on_epoch_begin(self):
        self.diary.append("begin")

    def on_epoch_end(self):
        self.diary.append("end")


class Endless(Numbers):
    @property
    def num_batches(self):
        return None


def message(raised):
    return str(raised.value)


def compiled():
    model = uc.Sequential([uc.Input((1,)), uc.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


WAYS = {
    "alone": {},
    "threads": {"workers": 3, "max_queue_size": 4},
    "a process": {"workers": 1, "use_multiprocessing": True},
    "processes": {"workers": 2, "use_multiprocessing": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_batches_come_in_order_whatever_makes_them(way):
    data = Numbers(**WAYS[way])
    assert [int(x[0, 0]) for x, _ in batches_of(data, shuffle=False)] == list(range(6))
    set_random_seed(1)
    orders = [[int(x[0, 0]) for x, _ in batches_of(data, shuffle=True)] for _ in range(2)]
    assert all(sorted(order) == list(range(6)) for order in orders) and orders[0] != orders[1]
    set_random_seed(1)
    assert [int(x[0, 0]) for x, _ in batches_of(Numbers(), shuffle=True)] == orders[0]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("uncrumple")]


def test_random_numbers_do_not_depend_on_the_number_of_processes():
    def drawn(workers):
        set_random_seed(2)
        data = Numbers(workers=workers, use_multiprocessing=True)
        return [[y[0, 0].item() for _, y in batches_of(data, shuffle=False)] for _ in range(2)]

    one, two = drawn(1), drawn(2)
    assert one == two and len({value for epoch in one for value in epoch}) == 12  # and no two are equal


@pytest.mark.parametrize("way", WAYS)
def test_models_take_it(way):
    data, model = Numbers(**WAYS[way]), compiled()
    history = model.fit(data, epochs=3, verbose=0, validation_data=Numbers(2, **WAYS[way]))
    assert len(history.history["loss"]) == len(history.history["val_loss"]) == 3
    assert data.diary == ["begin", "end"] * 3
    assert model.predict(data, verbose=0).shape == (12, 1)
    model.evaluate(data, verbose=0)
    assert data.diary == ["begin", "end"] * 5


def test_the_same_history_as_with_arrays():
    class Slices(PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            rows = slice(8 * index, 8 * index + 8)
            return x[rows], y[rows]

    x = np.random.rand(32, 1).astype("float32")
    y = 3 * x
    histories = []
    for given in ((Slices(),), (Slices(workers=2),), (x, y)):
        set_random_seed(0)
        histories.append(
            compiled().fit(*given, shuffle=False, verbose=0, epochs=2, batch_size=8 if len(given) > 1 else None).history
        )
    assert histories[0] == histories[1] == histories[2]


def test_data_without_an_end_needs_steps():
    data, model = Endless(workers=2), compiled()
    with pytest.raises(ValueError) as raised:
        model.fit(data, verbose=0)
    assert message(raised) == (
        "The Endless goes on for ever, and nothing says where an epoch ends.\n"
        "Expected a number of steps.\n"
        "Fix: steps_per_epoch=100 in fit(), validation_steps=10 for validation data, steps=10 elsewhere"
    )
    data = Endless()
    epochs = EndlessEpochs(StreamBatches(data), 4)
    seen = [int(batch[0][0, 0]) for _ in range(2) for batch in epochs.epoch()]
    assert seen == list(range(8)) and data.diary == ["begin", "end"] * 2
    assert len(model.fit(data, steps_per_epoch=3, epochs=2, verbose=0).history["loss"]) == 2


def test_training_that_stops_within_an_epoch_ends_it():
    class Stop(uc.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    data = Numbers()
    compiled().fit(data, verbose=0, callbacks=[Stop()])
    assert data.diary == ["begin", "end"]


def test_what_an_epoch_begins_with_is_there_for_its_first_batch():
    class Ordered(Numbers):
        def on_epoch_begin(self):
            super().on_epoch_begin()
            self.values = np.full((3, 2, 1), len(self.diary), "float32")

        def __getitem__(self, index):
            seen.append(float(self.values[index, 0, 0]))
            return self.values[index], self.values[index]

    seen = []
    compiled().fit(Ordered(3), epochs=2, verbose=0, shuffle=False)
    assert seen == [1, 1, 1, 3, 3, 3]


# --- mistakes ------------------------------------------------------------------------------------


def test_a_failure_names_the_class_and_the_batch():
    class Broken(Numbers):
        def __getitem__(self, index):
            return np.zeros(3)[index + 10]

    for way in WAYS.values():
        with pytest.raises(IndexError) as raised:
            compiled().fit(Broken(**way), verbose=0, shuffle=False)
        assert message(raised).startswith("Broken.__getitem__() failed for batch 0: index 10 is out of bounds")


def test_a_process_that_dies_is_reported():
    class Deadly(Numbers):
        def __getitem__(self, index):
            os._exit(1)

    with pytest.raises(RuntimeError) as raised:
        list(batches_of(Deadly(workers=1, use_multiprocessing=True), shuffle=False))
    assert message(raised) == (
        "A process that made batches of Deadly ended: it crashed, or there was not enough memory.\n"
        "Expected it to return a batch.\n"
        "Fix: Deadly(use_multiprocessing=False) shows where; or fewer workers"
    )


def test_a_constructor_that_forgets_the_base_class():
    class Forgetful(PyDataset):
        def __init__(self):
            pass

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return np.ones((2, 1)), np.ones((2, 1))

    with pytest.warns(UncrumpleWarning) as caught:
        compiled().fit(Forgetful(), verbose=0)
    assert len(caught) == 1 and str(caught[0].message) == (
        "Forgetful.__init__() does not call super().__init__().\n"
        "Expected workers, use_multiprocessing and max_queue_size to be set there.\n"
        "Fix: super().__init__(**kwargs) as its first line"
    )


def test_settings_and_missing_methods():
    assert Sequence is PyDataset
    with pytest.raises(ValueError) as raised:
        Numbers(workers=-1)
    assert message(raised) == "Numbers got workers=-1.\nExpected a whole number of at least 0.\nFix: workers=1"
    with pytest.raises(ValueError, match="max_queue_size=0"):
        Numbers(max_queue_size=0)
    with pytest.raises(NotImplementedError, match="neither __len__\\(\\) nor num_batches"):
        PyDataset().num_batches  # noqa: B018
    with pytest.raises(NotImplementedError, match="has no __getitem__"):
        PyDataset()[0]
    with pytest.raises(ValueError, match="batch_size=4 was given with a Numbers"):
        compiled().fit(Numbers(), batch_size=4)


def test_class_weights_reach_the_batches():
    class Labelled(Numbers):
        def __getitem__(self, index):
            return torch.ones(2, 1), torch.tensor([0, 1])

    batch = next(StreamBatches(Labelled(), {1: 5.0}).epoch())
    assert batch[2].tolist() == [1.0, 5.0]
