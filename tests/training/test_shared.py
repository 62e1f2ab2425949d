"""Two processes train as one does: gradients, weights, metrics and history are equal."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import shared_program as program
import torch

import uncrumple as keras
from uncrumple import distribution


@pytest.fixture(scope="module")
def both():
    """What two processes, joined by gloo, found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    path = Path(__file__).with_name("shared_program.py")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    running = [
        subprocess.Popen([sys.executable, str(path), address, str(number)], stdout=-1, stderr=-1, text=True, env=env)
        for number in (0, 1)
    ]
    try:
        outputs = [one.communicate(timeout=120) for one in running]
    finally:
        for one in running:
            one.kill()
    for one, (_, errors) in zip(running, outputs):
        assert one.returncode == 0, errors[-3000:]
    return [json.loads(out.splitlines()[-1]) for out, _ in outputs]


def close(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(("key", "kwargs"), [("trained", {}), ("in_order", {"shuffle": False})])
def test_training_is_that_of_one_process(both, key, kwargs):
    expected = program.trained(**kwargs)
    for found in both:
        close(found[key]["weights"], expected["weights"])
        close(found[key]["predicted"], expected["predicted"])
        assert found[key]["history"].keys() == expected["history"].keys()
        for name, values in expected["history"].items():
            assert found[key]["history"][name] == pytest.approx(values, rel=1e-5), name
        assert found[key]["evaluated"] == pytest.approx(expected["evaluated"], rel=1e-5)
    assert both[0][key]["weights"] == both[1][key]["weights"]


def test_a_step_of_ones_own_and_an_optimizer_of_torch(both):
    expected = program.with_a_step_of_its_own()
    for found in both:
        close(found["own"]["weights"], expected["weights"])
        assert found["own"]["history"]["own"] == pytest.approx(expected["history"]["own"], rel=1e-5)


def test_weights_and_moving_averages_are_the_same_everywhere(both):
    assert both[0]["moving"] == both[1]["moving"]
    assert np.isfinite(np.concatenate([np.ravel(one) for one in both[0]["moving"]])).all()


def test_data_of_its_own_in_each_process(both):
    """8 rows here and 4 there count as 12."""
    model = program.network()
    model.fit(program.X[:12], program.Y[:12], batch_size=12, verbose=0)
    for found in both:
        close([np.array(one) for one in found["own_data"]], model.get_weights())


def test_torchs_own_wrapper_gives_the_gradients_of_one_process(both):
    model = program.plain_network()
    expected = program.gradients(model, model, slice(0, 12))
    for found in both:
        close([np.array(one) for one in found["ddp"]], [np.array(one) for one in expected])


def test_devices_and_layouts(both):
    for found in both:
        assert found["devices"] == ["cpu:0", "cpu:1"]
        assert found["local"] == [3, 2] and found["whole"] == [6, 2]


def test_what_cannot_be_shared_is_refused_in_words(both):
    for found in both:
        assert found["steps"] == (
            "The processes have 1, 2 batches per epoch.\n"
            "Expected as many in each: they average their gradients after every one.\n"
            "Fix: steps_per_epoch=..., or the same data everywhere and auto_shard_dataset=True"
        )
        assert found["small"] == (
            "A batch of 1 samples came, and 2 processes share it.\n"
            "Expected at least one sample for each.\n"
            "Fix: batch_size=2 or more: it is that of all processes together"
        )


# --- in one process ---------------------------------------------------------------------------


def test_more_devices_than_processes():
    parallel = keras.distribution.DataParallel(devices=["cpu:0", "cpu:1"])
    with parallel.scope(), pytest.raises(RuntimeError) as caught:
        program.network().fit(program.X, program.Y, verbose=0)
    assert str(caught.value) == (
        "DataParallel has 2 devices, and 1 process is there.\n"
        "Expected one process per device: torch runs them so.\n"
        "Fix: torchrun --nproc-per-node 2 program.py, and keras.distribution.initialize() in it"
    )
    assert keras.distribution.distribution() is None


def test_threads_have_let_go_of_tensors_before_work_goes_on():
    """One that lets go when Python is ending aborts the process."""
    held = []

    def operation(tensor, others, src):
        held.extend([tensor[:], others[1][:]])  # what a view belongs to is held in C++, as in a thread of gloo
        threading.Timer(0.05, held.clear).start()

    distribution.together(operation, torch.ones(2), [torch.ones(2), torch.ones(2)], src=0)
    assert not held


def test_one_device_trains_as_ever():
    with keras.distribution.DataParallel(devices=["cpu:0"]).scope():
        found = program.trained()
    assert found == program.trained()


def test_names_and_arguments_are_those_of_keras():
    import inspect

    from keras import distribution as theirs

    names = [name for name in dir(theirs) if not name.startswith("_")]
    assert sorted(keras.distribution.__all__) == names
    for name in names:
        mine, their = (inspect.signature(getattr(room, name)) for room in (keras.distribution, theirs))
        assert [(p.name, p.kind, p.default) for p in mine.parameters.values()] == [
            (p.name, p.kind, p.default) for p in their.parameters.values()
        ], name


def test_layouts_by_path():
    mesh = keras.distribution.DeviceMesh((2, 2), ["batch", "model"], [f"cpu:{n}" for n in range(4)])
    layouts = keras.distribution.LayoutMap(mesh)
    layouts["dense.*kernel"] = (None, "model")
    layouts[".*bias"] = ("model",)
    assert layouts["dense_1/kernel"].axes == (None, "model") and layouts["dense_1/kernel"].device_mesh is mesh
    assert layouts["conv/bias"].axes == ("model",) and layouts["conv/kernel"] is None
    layouts["dense_1.*"] = (None, None)
    with pytest.raises(ValueError, match="fits 2 patterns"):
        layouts["dense_1/kernel"]
    parallel = keras.distribution.DataParallel(keras.distribution.DeviceMesh((2,), ["batch"], ["cpu:0", "cpu:1"]))
    assert parallel.get_data_layout((8, 3)).axes == ("batch", None)
    assert parallel.get_variable_layout(torch.ones(3, 2)).axes == (None, None)
    assert parallel.get_tensor_layout("dense/output") is None and parallel.num_model_replicas == 2


MISTAKES = [
    (lambda d: d.list_devices("tpu"), ValueError, "list_devices got device_type='tpu'."),
    (lambda d: d.DeviceMesh((2,), ["a", "b"]), ValueError, "DeviceMesh got shape=(2,) and axis_names=['a', 'b']."),
    (
        lambda d: d.DeviceMesh((3,), ["a"], ["cpu:0"]),
        ValueError,
        "DeviceMesh got shape=(3,), which is 3 devices, and 1 of them.",
    ),
    (
        lambda d: d.TensorLayout(("b",), d.DeviceMesh((1,), ["a"], ["cpu:0"])),
        ValueError,
        "TensorLayout got the axis 'b'.",
    ),
    (
        lambda d: d.ModelParallel(layout_map=None),
        NotImplementedError,
        "ModelParallel is not available: layers compute with whole weights.",
    ),
    (lambda d: d.set_distribution("data"), ValueError, "set_distribution got 'data'."),
    (lambda d: d.DataParallel("cpu"), ValueError, "DataParallel got device_mesh='cpu'."),
    (
        lambda d: d.DeviceMesh((1,), ["a"], ["cpu:0"]).backend_mesh,
        RuntimeError,
        "has no counterpart in torch yet: this process has not joined others.",
    ),
    (lambda d: d.distribute_tensor(torch.ones(2), None), ValueError, "distribute_tensor got None as its layout."),
    (
        lambda d: d.initialize("10.0.0.1:80"),
        ValueError,
        "initialize got job_addresses='10.0.0.1:80', num_processes=None, process_id=None.",
    ),
    (
        lambda d: d.initialize("somewhere", 2, 0),
        ValueError,
        "initialize got job_addresses='somewhere', num_processes=2, process_id=0.",
    ),
]


@pytest.mark.parametrize(("make", "error", "text"), MISTAKES, ids=[text[:40] for _, _, text in MISTAKES])
def test_mistakes(make, error, text):
    with pytest.raises(error) as caught:
        make(keras.distribution)
    came, expected, fix = str(caught.value).split("\n")
    assert came.endswith(text) and expected.startswith("Expected") and fix.startswith("Fix: ")
