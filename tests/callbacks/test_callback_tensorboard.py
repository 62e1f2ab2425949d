import builtins
import json
import sys
from types import SimpleNamespace

import pytest
import torch
from callback_fakes import Model

from uncrumple.callbacks import TensorBoard
from uncrumple.core.errors import UncrumpleWarning

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


class Fake(Model):
    """With paths on its weights, a layer of embeddings, and validation."""

    def __init__(self):
        super().__init__()
        kernel = SimpleNamespace(path="dense/kernel", detach=lambda: self.dense.weight.detach())
        embeddings = torch.arange(6.0).reshape(3, 2)
        self.layers = [
            SimpleNamespace(name="dense", weights=[kernel]),
            SimpleNamespace(name="words", weights=[], embeddings=embeddings),
        ]


def train(board, epochs=2, steps=3, model=None):
    model = model or Fake()
    model.fit([board], epochs=epochs, steps=steps)
    return model


def read(folder):
    events = accumulator.EventAccumulator(
        str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0, "histograms": 0}
    )
    events.Reload()
    return events


def curve(folder, name):
    return [(event.step, event.value) for event in read(folder).Scalars(name)]


def test_epochs(tmp_path):
    model = train(TensorBoard(tmp_path))
    points = curve(tmp_path / "train", "epoch_loss")
    assert [step for step, _ in points] == [0, 1]
    assert [value for _, value in points] == pytest.approx(model.history.history["loss"])
    assert [value for _, value in curve(tmp_path / "train", "epoch_learning_rate")] == pytest.approx([0.01, 0.01])
    assert read(tmp_path / "train").Tags()["scalars"] == ["epoch_loss", "epoch_learning_rate"]


def test_validation_has_a_folder_of_its_own(tmp_path):
    board, model = TensorBoard(tmp_path, write_graph=False), Fake()
    board.set_model(model)
    board.on_train_begin()
    board.on_test_end({"loss": 0.25})
    board.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.25})
    board.on_train_end()
    assert curve(tmp_path / "validation", "epoch_loss") == [(0, 0.25)]
    assert curve(tmp_path / "validation", "evaluation_loss_vs_iterations") == [(0, 0.25)]
    assert curve(tmp_path / "train", "epoch_loss") == [(0, 0.5)]


def test_evaluation_by_itself_is_complete_at_its_end(tmp_path):
    board = TensorBoard(tmp_path, write_graph=False)
    board.set_model(Fake())
    board.on_test_begin()
    board.on_test_end({"loss": 0.25})
    assert curve(tmp_path / "validation", "evaluation_loss_vs_iterations") == [(0, 0.25)]


@pytest.mark.parametrize("update_freq, steps", [("batch", [1, 2, 3, 4, 5, 6]), (1, [1, 2, 3, 4, 5, 6]), (4, [4])])
def test_batches(tmp_path, update_freq, steps):
    train(TensorBoard(tmp_path, update_freq=update_freq, write_steps_per_second=True))
    assert [step for step, _ in curve(tmp_path / "train", "batch_loss")] == steps
    speeds = curve(tmp_path / "train", "batch_steps_per_second")
    assert [step for step, _ in speeds] == steps
    assert all(speed > 0 for _, speed in speeds)
    assert len(curve(tmp_path / "train", "epoch_steps_per_second")) == 2


def test_no_batches_by_default(tmp_path):
    train(TensorBoard(tmp_path))
    assert not [name for name in read(tmp_path / "train").Tags()["scalars"] if name.startswith("batch")]


def test_the_summary_is_written_as_text_once_the_model_is_built(tmp_path):
    train(TensorBoard(tmp_path / "a"))
    text = read(tmp_path / "a" / "train").Tensors("model/text_summary")[0].tensor_proto.string_val[0].decode()
    assert text == '    Model: "fake"\n     dense   5 parameters'
    train(TensorBoard(tmp_path / "b", write_graph=False))
    assert read(tmp_path / "b" / "train").Tags()["tensors"] == []
    board, model = TensorBoard(tmp_path / "c"), Fake()
    model.built = False
    board.set_model(model)
    board.on_train_begin()
    assert not (tmp_path / "c").exists()
    model.built = True
    board.on_epoch_end(0, {"loss": 1.0})
    board.on_train_end()
    assert len(read(tmp_path / "c" / "train").Tensors("model/text_summary")) == 1


def test_histograms_and_pictures_of_weights(tmp_path):
    train(TensorBoard(tmp_path, histogram_freq=2, write_images=True), epochs=3)
    events = read(tmp_path / "train")
    assert [event.step for event in events.Histograms("dense/kernel/histogram")] == [0, 2]
    picture = events.Images("dense/kernel/image")[0]
    assert (picture.width, picture.height) == (4, 1)


@pytest.mark.parametrize(
    "shape, pictures, height, width",
    [
        ((), 1, 1, 1),
        ((5,), 1, 1, 5),
        ((4, 2), 1, 2, 4),
        ((2, 4), 1, 2, 4),
        ((3, 3, 1, 8), 8, 3, 3),
        ((1, 5, 1), 1, 1, 5),
    ],
)
def test_which_pictures_a_weight_makes(shape, pictures, height, width):
    from uncrumple.callbacks.tensorboard import _pictures

    made = _pictures(torch.randn(shape))
    assert tuple(made.shape) == (pictures, height, width, 1)
    assert made.min() >= 0 and made.max() <= 1


def test_weights_of_four_axes_make_no_picture():
    from uncrumple.callbacks.tensorboard import _pictures

    assert _pictures(torch.randn(3, 3, 2, 4)) is None


def test_a_weight_that_is_nan_does_not_end_the_training(tmp_path):
    model = Fake()
    torch.nn.init.constant_(model.dense.weight, float("nan"))
    train(TensorBoard(tmp_path, histogram_freq=1, write_images=True), model=model)
    assert read(tmp_path / "train").Tags()["histograms"] == []


def test_embeddings_with_labels(tmp_path):
    (tmp_path / "words.txt").write_text("the\ncat\nsat\n")
    board = TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"words": "words.txt"})
    train(board, epochs=1)
    folder = tmp_path / "train" / "00000" / "words"
    assert (folder / "metadata.tsv").read_text().split() == ["the", "cat", "sat"]
    rows = (folder / "tensors.tsv").read_text().splitlines()
    assert [[float(number) for number in row.split("\t")] for row in rows] == [[0, 1], [2, 3], [4, 5]]


def test_labels_of_several_columns(tmp_path):
    path = tmp_path / "words.tsv"
    path.write_text("word\tcount\nthe\t3\ncat\t1\nsat\t1\n")
    train(TensorBoard(tmp_path / "logs", embeddings_freq=1, embeddings_metadata=str(path)), epochs=1)
    written = (tmp_path / "logs" / "train" / "00000" / "words" / "metadata.tsv").read_text()
    assert written.splitlines()[:2] == ["word\tcount", "the\t3"]


def test_labels_that_do_not_fit(tmp_path):
    (tmp_path / "words.txt").write_text("the\ncat\n")
    with pytest.raises(ValueError) as caught:
        train(TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata="words.txt"))
    assert str(caught.value) == (
        f"TensorBoard found 2 labels in {str(tmp_path / 'words.txt')!r} for the layer 'words'.\n"
        "Expected one for each of its 3 vectors.\n"
        "Fix: write 3 lines into the file"
    )


def test_labels_for_a_layer_that_is_not_there(tmp_path):
    with pytest.raises(ValueError) as caught:
        train(TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"word": "words.txt"}))
    assert str(caught.value) == (
        "TensorBoard got embeddings_metadata for ['word'].\n"
        "Expected names of Embedding layers of the model: words.\n"
        "Fix: give the layer that name: Embedding(..., name='words')"
    )


def test_labels_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"TensorBoard found no file 'words\.txt' with the labels"):
        train(TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata="words.txt"))


@pytest.mark.parametrize("batches", [2, (2, 4), "2,4"])
def test_a_profile_is_a_trace_with_the_work_of_those_batches(tmp_path, batches):
    train(TensorBoard(tmp_path, write_graph=False, profile_batch=batches))
    (trace,) = (tmp_path / "train").glob("*.pt.trace.json")
    steps = [event for event in json.loads(trace.read_text())["traceEvents"] if event.get("name") == "aten::linear"]
    assert len(steps) == (1 if batches == 2 else 3)


def test_a_profile_that_training_does_not_reach_the_end_of(tmp_path):
    train(TensorBoard(tmp_path, write_graph=False, profile_batch=(2, 100)))
    assert len(list((tmp_path / "train").glob("*.pt.trace.json"))) == 1


def test_another_profiler_at_work_costs_a_warning(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError("busy")

    monkeypatch.setattr(torch.profiler, "profile", refuse)
    with pytest.warns(UncrumpleWarning, match="TensorBoard could not start torch's profiler: busy"):
        train(TensorBoard(tmp_path, profile_batch=1))


@pytest.mark.parametrize(
    "settings, text",
    [
        (
            {"update_freq": "batches"},
            "TensorBoard got update_freq='batches'.\n"
            "Expected 'epoch', 'batch', or a number of batches.\n"
            "Fix: TensorBoard(update_freq='epoch')",
        ),
        (
            {"update_freq": 0},
            "TensorBoard got update_freq=0.\n"
            "Expected 'epoch', 'batch', or a number of batches.\n"
            "Fix: TensorBoard(update_freq='epoch')",
        ),
        (
            {"histogram_freq": -1},
            "TensorBoard got histogram_freq=-1.\n"
            "Expected a number of epochs, or 0 for never.\n"
            "Fix: TensorBoard(histogram_freq=1)",
        ),
        (
            {"embeddings_freq": "epoch"},
            "TensorBoard got embeddings_freq='epoch'.\n"
            "Expected a number of epochs, or 0 for never.\n"
            "Fix: TensorBoard(embeddings_freq=1)",
        ),
    ],
)
def test_settings_that_cannot_work(settings, text):
    with pytest.raises(ValueError) as caught:
        TensorBoard(**settings)
    assert str(caught.value) == text


@pytest.mark.parametrize("profile_batch", [-1, (5, 2), (1, 2, 3), "a", (0, 3), None, ()])
def test_profile_batch(profile_batch):
    with pytest.raises(ValueError, match="Expected a batch counted from 1, or \\(first, last\\), or 0 for none"):
        TensorBoard(profile_batch=profile_batch)


def test_without_tensorboard_training_does_not_begin(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == "tensorboard" or name == "torch.utils.tensorboard":
            raise ModuleNotFoundError("No module named 'tensorboard'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    board = TensorBoard(tmp_path)
    board.set_model(Fake())
    with pytest.raises(ImportError) as caught:
        board.on_train_begin()
    assert str(caught.value) == (
        "The callback TensorBoard needs the package tensorboard: No module named 'tensorboard'.\n"
        "Expected it to be installed.\n"
        'Fix: pip install "uncrumple[tensorboard]"'
    )


def test_tensorboard_is_not_imported_before_it_is_used():
    import subprocess

    code = "import sys, uncrumple.callbacks as c; c.TensorBoard(); print('tensorboard' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_folder_that_cannot_be_written_to_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="TensorBoard cannot write"):
        train(TensorBoard(tmp_path / "file"))
