"""Models as drawings."""

import shutil

import numpy as np
import pytest

import uncrumple as uc
from uncrumple import layers
from uncrumple.utils import Config, get_source_inputs, is_keras_tensor, legacy, model_to_dot, plot_model


def model():
    a, b = uc.Input((4,), name="a"), uc.Input((3,), name="b<&>")
    inner = uc.Sequential([uc.Input((4,)), layers.Dense(3, activation="relu", name="hidden")], name="inner")
    inner.trainable = False
    return uc.Model([a, b], layers.Add(name="sum")([inner(a), b]), name="outer")


def edges(graph):
    return sorted((edge.get_source(), edge.get_destination()) for edge in graph.get_edges())


@pytest.mark.parametrize("given", [{}, {"show_shapes": True, "show_dtype": True, "show_trainable": True}], ids=range(2))
def test_a_graph_of_pydot(given):
    made = model()
    graph = model_to_dot(made, **given)
    nodes = {node.get_name().strip('"') for node in graph.get_nodes()} & {str(id(layer)) for layer in made.layers}
    assert len(nodes) == 4 and len(edges(graph)) == 3
    text = graph.to_string()
    assert "<b>b&lt;&amp;&gt;</b> (InputLayer)" in text
    assert ("Output shape: <b>(None, 3)</b>" in text) == bool(given)
    assert ("<b>Non-trainable</b>" in text) == bool(given)
    assert model_to_dot(made, subgraph=True).obj_dict["name"].startswith("cluster")


def test_nested_models(tmp_path):
    made = model()
    plot_model(made, tmp_path / "m.dot", expand_nested=True, show_layer_names=True, show_layer_activations=True)
    text = (tmp_path / "m.dot").read_text()
    inner = made.get_layer("inner")
    assert f'subgraph "cluster_{id(inner)}"' in text and "Activation: <b>relu</b>" in text
    start, hidden, total = inner._stack[0], inner.layers[0], made.get_layer("sum")
    for one, other in ((made.layers[0], start), (start, hidden), (hidden, total)):
        assert f'"{id(one)}" -> "{id(other)}"' in text
    assert str(id(inner)) not in text.replace(f"cluster_{id(inner)}", "")


def test_what_is_refused(tmp_path, monkeypatch):
    made = model()
    with pytest.raises(ValueError, match="plot_model got rankdir='up'"):
        plot_model(made, rankdir="up")
    with pytest.raises(ValueError, match="plot_model got an unknown argument 'show_shape'"):
        plot_model(made, show_shape=True)
    with pytest.raises(ValueError, match="is not built"):
        plot_model(uc.Sequential([layers.Dense(2)]))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ImportError) as caught:
        plot_model(made, "m.png")
    assert str(caught.value) == (
        "plot_model needs the program 'dot' of Graphviz, which is not installed.\n"
        "Expected it, to draw; only the text of the drawing needs nothing.\n"
        "Fix: install Graphviz (https://graphviz.org/download), or to_file='m.dot'"
    )


def test_a_class_of_ones_own_is_one_box(tmp_path):
    class Own(uc.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

    own = Own()
    own(np.ones((1, 2), "float32"))
    plot_model(own, tmp_path / "m.dot")
    assert (tmp_path / "m.dot").read_text().count("label=") == 1


def test_config_is_that_of_keras():
    import keras

    for cls in (Config, keras.utils.Config):
        config = cls(b=1)
        config.a = 2
        config["c"] = 3
        assert (config.a, config["b"], len(config), list(config), "c" in config) == (2, 1, 3, ["a", "b", "c"], True)
        assert config.to_json() == '{"b": 1, "a": 2, "c": 3}' and config.get("d", 5) == 5
        del config["c"]
        config.freeze()
        for change in (lambda c: setattr(c, "a", 1), lambda c: c.pop("a"), lambda c: c.update(a=1)):
            with pytest.raises(ValueError, match="frozen"):
                change(config)
        config.unfreeze()
        config.update(a=7)
        assert config.as_dict() == {"b": 1, "a": 7} and config.pop("a") == 7
    with pytest.raises(AttributeError, match="did you mean 'rate'"):
        Config(rate=1).rat  # noqa: B018


def test_symbolic_names():
    a, b = uc.Input((2,)), uc.Input((2,))
    assert is_keras_tensor(a * 2) and not is_keras_tensor(np.ones(2))
    assert [tensor is part for tensor, part in zip(get_source_inputs((a + b) * a), (a, b))] == [True, True]
    assert get_source_inputs(3) == 3


def test_legacy_names():
    import keras

    for package, part in ((uc, legacy), (keras, keras.utils.legacy)):
        written = part.serialize_keras_object(package.initializers.Constant(2.0))
        assert written == {"class_name": "Constant", "config": {"value": 2.0}}
    known = {"Constant": uc.initializers.Constant}  # what Keras 3.15 wrote, it cannot read: an AttributeError
    assert legacy.deserialize_keras_object(written, known).value == 2.0
    with pytest.raises(ValueError, match="did you mean 'Constant'"):
        uc.legacy.saving.deserialize_keras_object("Constan", known, printable_module_name="initializer")
