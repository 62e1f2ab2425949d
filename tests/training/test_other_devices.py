"""Devices, as far as they can be seen without one: `meta` stands for the other device, or for the default one."""

import types

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import uncrumple as keras
from uncrumple import layers
from uncrumple.core import devices, dtypes, own_parts
from uncrumple.data.batches import ArrayBatches, DiskBatches
from uncrumple.layers import failures

META = torch.device("meta")
random = np.random.default_rng(0)
X = random.normal(size=(24, 8)).astype("float32")
Y = (X.sum(1) > 0).astype("int32")
TOKENS = random.integers(0, 9, (24, 6))
IMAGES = random.random((24, 10, 10, 3)).astype("float32")


# --- names, and what is known about a device ---------------------------------------------------


@pytest.mark.parametrize("name", ["gpu:0", "GPU:0", "/gpu:0", "device:gpu:0", "cuda:0", torch.device("cuda", 0)])
def test_names_of_a_gpu(name):
    with keras.device(name) as found:
        assert found == torch.device("cuda", 0) == torch.get_default_device()


def test_a_name_that_no_device_has():
    with pytest.raises(ValueError) as raised, keras.device("gpux"):
        pass
    assert str(raised.value) == ('device got \'gpux\'.\nExpected the name of a device.\nFix: "cpu", "gpu:0" or "mps"')


def test_free_memory_counts_what_torch_holds_and_does_not_use(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda where: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda where: 700)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda where: 300)
    assert devices.free_memory(torch.device("cuda:0")) == 1400
    assert devices.free_memory(META) is None and devices.free_memory(torch.device("mps")) is None


def test_the_fastest_precision_is_that_of_the_device(monkeypatch, capsys):
    """Asked on the CPU before, asked again on a GPU."""
    monkeypatch.setattr(dtypes, "multiplies_bfloat16", lambda where: where.type == "cuda")
    dtypes._fastest_policy.cache_clear()
    try:
        assert dtypes._fastest_policy(torch.device("cpu")) == "float32"
        assert dtypes._fastest_policy(torch.device("cuda:0")) == "mixed_bfloat16"
        assert dtypes._fastest_policy(torch.device("cuda:0")) == "mixed_bfloat16"
    finally:
        dtypes._fastest_policy.cache_clear()
    assert capsys.readouterr().out.count("which this CUDA multiplies natively") == 1


# --- weights that are made after `.to()` ---------------------------------------------------------


def test_a_layer_without_weights_makes_them_where_it_was_sent():
    dense = layers.Dense(3).to("meta")
    dense.build((None, 4))
    assert {weight.device for weight in dense.weights} == {META}


def test_and_so_do_those_that_it_makes_within():
    attention = layers.MultiHeadAttention(2, 3).to("meta")
    attention.build((None, 2, 3), (None, 2, 3))
    assert len(attention.weights) == 8 and {weight.device for weight in attention.weights} == {META}


def test_and_those_of_a_model():
    model = keras.Sequential([layers.Dense(4), layers.Dense(2)]).to("meta")
    assert model(torch.ones(2, 3, device="meta")).device == META
    assert {weight.device for weight in model.weights} == {META}


def test_the_last_place_counts_and_a_type_is_no_place():
    dense = layers.Dense(3).to("meta").to("cpu").double()
    dense.build((None, 4))
    assert dense.kernel.device.type == "cpu" and dense.kernel.dtype is torch.float64
    plain = layers.Dense(3).double()
    assert plain._home is None


def test_a_new_part_of_a_layer_that_was_sent_away():
    class Own(layers.Layer):
        def build(self, shape):
            self.inner = layers.Dense(2)

        def call(self, x):
            return self.inner(x)

    own = Own().to("meta")
    own(torch.ones(2, 3, device="meta"))
    assert {weight.device for weight in own.weights} == {META}


# --- another default device than that of the model ---------------------------------------------


def known(network):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(network())
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


NETWORKS = {
    "dense": (lambda: [keras.Input((8,)), layers.Dense(16, "relu"), layers.Dropout(0.2), layers.Dense(2)], X),
    "normalized": (
        lambda: [
            *[keras.Input((8,)), layers.Dense(16), layers.BatchNormalization(), layers.ReLU()],
            *[layers.LayerNormalization(), layers.Dropout(0.2), layers.Dense(2)],
        ],
        X,
    ),
    "convolutional": (
        lambda: [
            *[keras.Input((10, 10, 3)), layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D()],
            *[layers.Dropout(0.2), layers.Conv2D(16, 3, activation="relu"), layers.GlobalMaxPooling2D()],
            layers.Dense(2),
        ],
        IMAGES,
    ),
    "text": (
        lambda: [
            *[keras.Input((6,)), layers.Embedding(9, 32), layers.Conv1D(32, 3, activation="relu")],
            *[layers.GlobalMaxPooling1D(), layers.Dense(2)],
        ],
        TOKENS,
    ),
    "recurrent": (
        lambda: [
            *[keras.Input((6,)), layers.Embedding(9, 32, mask_zero=True), layers.LSTM(32, return_sequences=True)],
            *[layers.Bidirectional(layers.GRU(32)), layers.Dense(2)],
        ],
        TOKENS,
    ),
}


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_native_kernels_work_in_memory_of_the_cpu(name, policy):
    """They are handed addresses: with a GPU as the default device, its memory would end the program."""
    network, x = NETWORKS[name]
    keras.config.set_dtype_policy(policy)
    try:
        expected, model = known(network), known(network)
        losses = []
        for one, default in ((expected, torch.device("cpu")), (model, META)):
            keras.utils.set_random_seed(1)
            batch = torch.from_numpy(x), torch.from_numpy(Y)
            one.train_on_batch(*batch)
            with default:
                one.train()
                logs = [one.train_step(batch) for _ in range(2)][-1]
                losses.append(float(logs["loss"]))
                one.train(False)
        assert losses[0] == losses[1]
        for mine, theirs in zip(model.get_weights(), expected.get_weights()):
            np.testing.assert_array_equal(mine, theirs)
    finally:
        keras.config.set_dtype_policy(None)


def test_a_mask_stays_where_the_tokens_are():
    embedding = layers.Embedding(9, 4, mask_zero=True)
    with META:
        assert embedding.compute_mask(torch.zeros(2, 3, dtype=torch.int64, device="cpu")).device.type == "cpu"


def test_a_variable_made_while_shapes_are_found_has_its_numbers():
    with META:
        assert keras.Variable([1.0, 2.0]).numpy().tolist() == [1.0, 2.0]


# --- data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffle", [False, True])
def test_data_without_room_goes_batch_after_batch(monkeypatch, shuffle):
    monkeypatch.setattr("uncrumple.data.batches.free_memory", lambda device: 2 * X.nbytes)  # and y, so it is too much
    batches = ArrayBatches(torch.from_numpy(X), torch.from_numpy(Y), batch_size=7, shuffle=shuffle).to(META)
    assert batches.x.device.type == batches.y.device.type == "cpu"
    drawn = [*batches.epoch(), batches.first()]
    assert [len(batch[0]) for batch in drawn] == [7, 7, 7, 3, 7]
    assert {leaf.device for batch in drawn for leaf in batch} == {META}
    back = list(batches.to(torch.device("cpu")).epoch())
    assert {leaf.device.type for batch in back for leaf in batch} == {"cpu"}


@pytest.mark.parametrize("room", [None, 10 * X.nbytes])
def test_data_with_room_is_drawn_there(monkeypatch, room):
    monkeypatch.setattr("uncrumple.data.batches.free_memory", lambda device: room)
    batches = ArrayBatches(torch.from_numpy(X), torch.from_numpy(Y), batch_size=7).to(META)
    assert batches.x.device == batches.y.device == META and batches._device is None


def test_files_are_moved_as_they_are_read(tmp_path):
    np.save(tmp_path / "x.npy", X)
    from uncrumple.data.disk import to_arrays

    x = to_arrays(np.load(tmp_path / "x.npy", mmap_mode="r"), "x")
    batches = DiskBatches(x, torch.from_numpy(Y), batch_size=7).to(META)
    assert {leaf.device for batch in [*batches.epoch(), batches.first()] for leaf in batch} == {META}


# --- what is said ---------------------------------------------------------------------------------


class There(torch.Tensor):
    """A tensor that says it is on a GPU."""

    device = torch.device("cuda:0")


def test_an_input_on_another_device_than_the_weights():
    dense = layers.Dense(2, name="dense")
    dense.build((None, 3))
    error = RuntimeError(
        "Expected all tensors to be on the same device, but got mat1 is on cuda:0, different from other tensors on cpu "
        "(when checking argument in method wrapper_CUDA_addmm)"
    )
    said = failures.explained(dense, error, (torch.ones(4, 3).as_subclass(There),))
    assert str(said) == (
        "Dense 'dense' has weights on cpu and got an input on cuda:0.\n"
        "Expected weights and input on one device.\n"
        'Fix: x.to("cpu") for a tensor of your own; model.to("cpu") if the layers of the model lie apart'
    )


def test_a_lack_of_memory_is_left_to_torch():
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    assert own_parts.is_of_the_machine(error)
    assert failures.explained(layers.Dense(2), error, (torch.ones(2, 2),)) is None


# --- nothing waits ------------------------------------------------------------------------------------


class Reads(TorchDispatchMode):
    """Counts how often a number is read from a tensor: on a GPU each time is a wait."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, kinds, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", "lion", "nadam", "adafactor"])
def test_a_step_reads_no_number(optimizer):
    """The loss and the metrics are read when somebody looks at them."""
    network, x = NETWORKS["normalized"]
    model = keras.Sequential([layer for layer in network() if not isinstance(layer, layers.Dropout)])
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 100)
    chosen = type(keras.optimizers.get(optimizer))(schedule, clipnorm=1.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(chosen, loss, metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)])
    batch = torch.from_numpy(x), torch.from_numpy(Y)
    model.train_on_batch(*batch)
    model.train()
    with Reads() as reads:
        logs = [model.train_step(batch) for _ in range(3)][-1]
    assert reads.count == 0
    with Reads() as reads:
        assert float(logs["loss"]) > 0
    assert reads.count == 3  # one for each that is shown


def test_float16_reads_one_number_a_step():
    """Whether the gradients are finite decides if there is a step."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = known(lambda: [keras.Input((8,)), layers.Dense(4, "relu"), layers.Dense(2)])
        batch = torch.from_numpy(X), torch.from_numpy(Y)
        model.train_on_batch(*batch)
        model.train()
        with Reads() as reads:
            for _ in range(3):
                model.train_step(batch)
    finally:
        keras.config.set_dtype_policy(None)
    assert reads.count == 3


def test_predictions_are_joined_in_memory():
    """On a GPU one large piece would need the room of all predictions once more."""
    from uncrumple.training.loop import _joined

    far = types.SimpleNamespace(dtype=torch.float32, cpu=lambda: torch.ones(2, 3))
    assert _joined([far, far]).shape == (4, 3)


# --- several processes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "arguments", "chosen"),
    [
        ({"RANK": "5", "LOCAL_RANK": "1"}, (), 1),
        ({}, ("localhost:1234", 8, 6), 2),  # two computers with four GPUs each
    ],
)
def test_each_process_takes_a_gpu_of_its_own(monkeypatch, variables, arguments, chosen):
    """And they can talk about what is not on a GPU: NCCL alone refuses that."""
    told = {}
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", lambda number: told.update(gpu=number))
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda backend, **_: told.update(backend=backend))
    keras.distribution.initialize(*arguments)
    assert told == {"gpu": chosen, "backend": "cpu:gloo,cuda:nccl"}


def test_the_order_of_samples_does_not_depend_on_the_default_device():
    batches = ArrayBatches(torch.from_numpy(X), batch_size=24, shuffle=True)
    torch.manual_seed(3)
    (expected,) = next(batches.epoch())
    torch.manual_seed(3)
    with META:
        (found,) = next(batches.epoch())
    assert torch.equal(found, expected)
