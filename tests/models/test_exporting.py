"""What `export` writes computes what the model computes, for any number of samples, without this package."""

import inspect
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exported_models import KINDS, LONG, as_argument, data, made

import uncrumple as keras
from uncrumple import layers as L
from uncrumple.kernels import recurrent_onnx

QUICK = ("dense", "convolutions", "simple_rnn", "branches", "named_inputs", "written")


def close(found, expected):
    for one, other in zip(found, keras.tree.flatten(expected), strict=True):
        other = other.detach().numpy()
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-6 * max(1, np.abs(other).max()))


def through_onnx(path, arrays):
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {one.name: array for one, array in zip(session.get_inputs(), arrays, strict=True)})


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in KINDS])
def test_a_program_of_torch(name, tmp_path):
    model, path = made(name), tmp_path / "model.pt2"
    model.export(path, format="torch", verbose=False)
    program = torch.export.load(path)
    for limits in program.range_constraints.values():
        assert limits.upper > 10**9, "written for few samples only"
    for samples in (7, 1):
        given = as_argument(model, data(model, samples))
        close([one.detach().numpy() for one in keras.tree.flatten(program.module()(given))], model(given))


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in KINDS])
def test_an_onnx_file(name, tmp_path):
    model, path = made(name), str(tmp_path / "model.onnx")
    model.export(path, format="onnx", verbose=False)
    onnx.checker.check_model(path)
    for samples in (7, 1):
        arrays = data(model, samples)
        close(through_onnx(path, arrays), model(as_argument(model, arrays)))


@pytest.mark.parametrize("name", LONG)
def test_onnx_for_sequences_of_any_length(name, tmp_path):
    model, path = made(name), str(tmp_path / "model.onnx")
    model.export(path, format="onnx", verbose=False)
    for samples, length in ((3, 5), (1, 11)):
        arrays = data(model, samples, length)
        close(through_onnx(path, arrays), model(as_argument(model, arrays)))


def test_recurrent_layers_are_operators_of_onnx(tmp_path):
    path = str(tmp_path / "model.onnx")
    made("bidirectional").export(path, format="onnx", verbose=False)
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds.count("LSTM") == 2 and kinds.count("GRU") == 2
    assert not recurrent_onnx.wanted()


def test_names_in_an_onnx_file(tmp_path):
    path = str(tmp_path / "model.onnx")
    made("named_inputs").export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    assert [(one.name, one.shape) for one in session.get_inputs()] == [("left", ["batch", 4]), ("right", ["batch", 3])]
    assert [(one.name, one.shape) for one in session.get_outputs()] == [("end", ["batch", 1]), ("sum", ["batch", 2])]
    made("long_lstm").export(path, format="onnx", verbose=False)
    (only,) = onnxruntime.InferenceSession(path).get_inputs()
    assert only.shape == ["batch", f"{only.name}_1", 3]


@pytest.mark.parametrize("opset", [18, pytest.param(23, marks=pytest.mark.slow)])
def test_versions_of_onnx(opset, tmp_path):
    model, path = made("lstm"), str(tmp_path / "model.onnx")
    model.export(path, format="onnx", verbose=False, opset_version=opset)
    assert {one.domain: one.version for one in onnx.load(path).opset_import}[""] == opset
    arrays = data(model, 2)
    close(through_onnx(path, arrays), model(as_argument(model, arrays)))


def test_files_do_not_say_where_they_were_made(tmp_path):
    model = made("dense")
    for format, name in (("onnx", "model.onnx"), ("torch", "model.pt2")):
        model.export(tmp_path / name, format=format, verbose=False)
        held = (tmp_path / name).read_bytes()
        assert b"base.py" not in held and str(tmp_path.parent).encode() not in held


def test_a_program_runs_without_this_package(tmp_path):
    model = made("lstm")
    model.export(tmp_path / "model.pt2", format="torch", verbose=False)
    code = (
        "import sys; sys.modules['uncrumple'] = None\n"
        "import torch\n"
        f"program = torch.export.load({str(tmp_path / 'model.pt2')!r})\n"
        "print(program.module()(torch.ones(2, 6, 3)).tolist())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    close([np.array(eval(out), dtype="float32")], model(torch.ones(2, 6, 3)))


def test_the_model_is_as_it_was(tmp_path, capsys):
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, activity_regularizer="l2"), L.Dropout(0.5), L.Dense(2)])
    model.compile("sgd", "mse")
    x = np.ones((8, 4), "float32")
    model.train()
    model.export(tmp_path / "model.pt2", format="torch")
    assert capsys.readouterr().out == f"Saved '{tmp_path / 'model.pt2'}' (torch.export).\n"
    assert all(layer.training for layer in model.layers) and model.losses == []
    model.fit(x, x[:, :2], verbose=0)
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    assert capsys.readouterr() == ("", "")


def test_trained_in_training_mode_it_infers(tmp_path):
    model = made("dense")
    model.train()
    model.export(tmp_path / "model.pt2", format="torch", verbose=False)
    x = torch.from_numpy(data(model, 3)[0])
    model.eval()
    close([torch.export.load(tmp_path / "model.pt2").module()(x).detach().numpy()], model(x))


def test_a_compiled_model(tmp_path):
    model = made("dense")
    model.compile("sgd", "mse", jit_compile=True)
    model.export(tmp_path / "model.pt2", format="torch", verbose=False)
    assert model._compiled_call_impl is not None


@pytest.mark.parametrize(
    "signature",
    [
        lambda: [keras.InputSpec(shape=(None, 8, 3))],
        lambda: keras.InputSpec(shape=(None, 8, 3), dtype="float32"),
        lambda: [keras.Input((8, 3))],
        lambda: [torch.zeros(5, 8, 3)],
    ],
)
def test_what_it_is_called_on_may_be_said(signature, tmp_path):
    model = made("long_lstm")
    given = signature()
    model.export(tmp_path / "model.pt2", format="torch", verbose=False, input_signature=given)
    x = torch.randn(5, 8, 3)
    close([torch.export.load(tmp_path / "model.pt2").module()(x).detach().numpy()], model(x))


def test_dynamic_shapes_in_torchs_words(tmp_path):
    model = made("dense")
    shapes = {0: torch.export.Dim("batch", min=1, max=64)}
    model.export(tmp_path / "model.pt2", format="torch", verbose=False, dynamic_shapes=shapes)
    (limits,) = torch.export.load(tmp_path / "model.pt2").range_constraints.values()
    assert limits.upper == 64


class Looks(keras.Model):
    def __init__(self):
        super().__init__(name="looks")
        self.dense = L.Dense(2)

    def call(self, inputs):
        return self.dense(inputs) * float(inputs.sum())


def looks():
    model = Looks()
    model(torch.ones(2, 3))
    return model


def small():
    return keras.Sequential([keras.Input((4,)), L.Dense(3)], name="small")


MISTAKES = {
    "default": (
        lambda p: small().export(p + "/small"),
        ValueError,
        "Model 'small': export got format='tf_saved_model': it needs TensorFlow, which is not here.\n"
        'Expected format="torch" (a .pt2 file for torch.export.load) or format="onnx".\n'
        "Fix: model.export('small.onnx', format=\"onnx\")",
    ),
    "litert": (
        lambda p: small().export(p + "/small.pt2", format="litert"),
        ValueError,
        "Model 'small': export got format='litert': it needs TensorFlow's converter, which is not here.\n"
        'Expected format="torch" (a .pt2 file for torch.export.load) or format="onnx".\n'
        "Fix: model.export('small.pt2', format=\"torch\")",
    ),
    "misspelled": (
        lambda p: small().export(p + "/small", format="pytorch"),
        ValueError,
        "Model 'small': export got format='pytorch'.\n"
        'Expected format="torch" (a .pt2 file for torch.export.load) or format="onnx".\n'
        "Fix: model.export('small.pt2', format=\"torch\")",
    ),
    "ending": (
        lambda p: small().export("small.bin", format="torch"),
        ValueError,
        "Model 'small': export got the path 'small.bin'.\nExpected a path that ends in .pt2, as torch wants it.\n"
        "Fix: model.export('small.pt2', format=\"torch\")",
    ),
    "option": (
        lambda p: small().export(p + "/small.onnx", format="onnx", opset=18),
        TypeError,
        "export(format=\"onnx\") got an unknown argument 'opset'.\nExpected one of: opset_version.\n"
        "Fix: did you mean 'opset_version='?",
    ),
    "opset": (
        lambda p: small().export(p + "/small.onnx", format="onnx", opset_version=5),
        ValueError,
        "Model 'small': export got opset_version=5.\nExpected a whole number from 18 to 23.\n"
        'Fix: model.export("model.onnx", format="onnx", opset_version=23)',
    ),
    "not_built": (
        lambda p: keras.Sequential([L.Dense(3)], name="new").export(p + "/new.onnx", format="onnx"),
        ValueError,
        "Model 'new' has not seen an input yet, so it is not known what to write down.\n"
        "Expected a model that was called on data, or an input_signature.\n"
        "Fix: model(x) before model.export(...), or input_signature=[InputSpec(shape=(None, 4))]",
    ),
    "signature": (
        lambda p: small().export(p + "/small.onnx", format="onnx", input_signature=[(None, 4)]),
        ValueError,
        "Model 'small' got None in its input_signature.\n"
        "Expected an InputSpec with a shape, an Input, or a tensor, for each input.\n"
        'Fix: input_signature=[InputSpec(shape=(None, 4), dtype="float32")]',
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name, tmp_path):
    make, error, text = MISTAKES[name]
    with pytest.raises(error) as caught:
        make(str(tmp_path))
    assert str(caught.value) == text
    assert list(tmp_path.iterdir()) == []


def test_a_length_that_a_program_of_torch_cannot_leave_open(tmp_path):
    with pytest.raises(RuntimeError) as caught:
        made("long_lstm").export(tmp_path / "model.pt2", format="torch")
    assert str(caught.value).endswith(
        "Expected a model that torch can follow without numbers, for any size of the axes that are None.\n"
        "Fix: input_signature=[InputSpec(shape=(None, 20, 3))], with the size that will come"
    )


def test_a_length_that_onnx_cannot_leave_open(tmp_path):
    model = keras.Sequential([keras.Input((None, 3)), L.LSTM(2, activation="relu")])
    with pytest.raises(RuntimeError, match="sequences of unknown length cannot be written step by step"):
        model.export(tmp_path / "model.onnx", format="onnx")


def test_a_model_that_looks_at_numbers(tmp_path):
    with pytest.raises(RuntimeError) as caught:
        looks().export(tmp_path / "model.onnx", format="onnx")
    came, _, fix = str(caught.value).split("\n")
    assert came.startswith("Model 'looks' could not be written as a program: ")
    assert fix == "Fix: torch functions only in call(): no .item(), no .numpy(), no `if` on a tensor's numbers"
    assert not recurrent_onnx.wanted()


def test_what_onnx_does_not_have(tmp_path):
    class Exponential(L.Layer):
        def call(self, inputs):
            return torch.linalg.matrix_exp(inputs)

    model = keras.Sequential([keras.Input((4, 4)), Exponential()], name="exponential")
    with pytest.raises(RuntimeError) as caught:
        model.export(tmp_path / "model.onnx", format="onnx")
    came, _, fix = str(caught.value).split("\n")
    assert came.startswith("Model 'exponential' cannot be written as ONNX: ") and "linalg_matrix_exp" in came
    assert fix == 'Fix: model.export("model.pt2", format="torch"), or another layer in its place'


def test_the_packages_for_onnx_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError) as caught:
        small().export(tmp_path / "model.onnx", format="onnx")
    assert str(caught.value) == (
        'export(format="onnx") needs the packages onnx and onnxscript, which are not installed.\n'
        "Expected the extra `onnx`.\n"
        'Fix: pip install "uncrumple[onnx]"'
    )


def test_arguments_are_those_of_keras():
    import keras as theirs

    mine, their = (inspect.signature(one.export).parameters for one in (keras.Model, theirs.Model))
    assert [(p.name, p.default) for p in mine.values()] == [(p.name, p.default) for p in their.values()]


# --- archives -----------------------------------------------------------------------------------


def test_several_programs_in_a_folder(tmp_path):
    model = made("dense")
    archive = keras.export.ExportArchive()
    spec = [keras.InputSpec(shape=(None, 4))]
    served = archive.track_and_add_endpoint("serve", model, spec)
    archive.add_endpoint("logits", lambda x: torch.log(model(x)) * 2, spec)
    archive.add_variable_collection("kernels", [model.weights[0]])
    model.weights[-1].assign_add([1.0, 2.0, 3.0])  # the files hold the weights as they are when written
    archive.write_out(tmp_path / "all", verbose=False)
    x = torch.randn(3, 4)
    close([served(x).detach().numpy()], model(x))
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == [
        *("kernels.safetensors", "logits.pt2", "serve.pt2")
    ]
    serve, logits = (torch.export.load(tmp_path / "all" / f"{name}.pt2").module() for name in ("serve", "logits"))
    close([serve(x).detach().numpy()], model(x))
    close([logits(x).detach().numpy()], torch.log(model(x)) * 2)
    assert len(archive.variables) == len(model.weights)
    assert len(archive.trainable_variables) + len(archive.non_trainable_variables) == len(model.weights)
    from safetensors.torch import load_file

    assert torch.equal(load_file(tmp_path / "all" / "kernels.safetensors")["0"], model.weights[0].detach())


def test_an_endpoint_with_two_arguments(tmp_path):
    layer = L.Dense(2)
    layer.build((None, 3))
    archive = keras.export.ExportArchive()
    specs = [keras.InputSpec(shape=(None, 3)), keras.InputSpec(shape=(None, 2))]
    found = archive.add_endpoint("both", lambda a, b: layer(a) * b, specs)
    a, b = torch.randn(4, 3), torch.randn(4, 2)
    close([found(a, b).detach().numpy()], layer(a) * b)


ARCHIVE_MISTAKES = [
    (lambda a: a.track("model"), ValueError, "ExportArchive.track got 'model'."),
    (lambda a: a.track(L.Dense(2, name="d")), ValueError, "ExportArchive.track got Dense 'd', which is not built."),
    (lambda a: a.add_endpoint("s", small()), ValueError, "ExportArchive: the endpoint 's' has no input_signature."),
    (lambda a: a.add_endpoint("../s", small()), ValueError, "ExportArchive got the name '../s'."),
    (
        lambda a: [a.add_variable_collection("s", []), a.add_variable_collection("s", [])],
        ValueError,
        "ExportArchive got the name 's' twice.",
    ),
    (
        lambda a: a.add_endpoint("s", small(), [keras.InputSpec(shape=(None, 4))], is_static=True),
        TypeError,
        "ExportArchive.add_endpoint got 'is_static', which is for JAX.",
    ),
    (lambda a: a.write_out("folder"), ValueError, "ExportArchive.write_out was called before there was an endpoint."),
    (lambda a: a.write_out("folder", options={}), ValueError, "ExportArchive.write_out got options={}."),
    (
        lambda a: a.add_variable_collection("s", 3),
        ValueError,
        "ExportArchive.add_variable_collection got int as its variables.",
    ),
]


@pytest.mark.parametrize(("make", "error", "text"), ARCHIVE_MISTAKES, ids=[text[:45] for *_, text in ARCHIVE_MISTAKES])
def test_mistakes_with_archives(make, error, text):
    with pytest.raises(error) as caught:
        make(keras.export.ExportArchive())
    came, expected, fix = str(caught.value).split("\n")
    assert came == text and expected.startswith("Expected") and fix.startswith("Fix: ")
