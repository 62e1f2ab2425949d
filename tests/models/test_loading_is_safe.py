"""Loading runs nothing, opens nothing else and takes no more memory than a file is worth.

Each test here rebuilds a file that made another library do one of these.
"""

import ast
import io
import json
import os
import subprocess
import sys
import textwrap
import threading
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import uncrumple as un
from uncrumple import layers as L
from uncrumple.core.errors import UncrumpleWarning
from uncrumple.models import load_model

SOURCES = Path(un.__file__).parent


# --- what happens while a file is loaded ------------------------------------------------------


def _is_import(frame):
    """Return whether Python is reading a module of its own or ours, used now for the first time."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap_external>":
            return True
        frame = frame.f_back
    return False


class Watch:
    """Notes what a load must never do. An audit hook cannot be taken off again, so there is one for all tests."""

    forbidden = ("exec", "marshal.", "pickle.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "socket.")
    folder = ""
    thread = None
    seen: list[str] = []

    @classmethod
    def hook(cls, event, arguments):
        if cls.thread != threading.get_ident():
            return
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            own = path.startswith((cls.folder, "/dev/null")) or ".tmp" in path or "/tmp/tmp" in path
            if not own and not path.endswith((".py", ".pyc", ".so")):
                cls.seen.append(f"open {path}")
        elif event.startswith(cls.forbidden) and not _is_import(sys._getframe(1)):
            cls.seen.append(event)
        elif event == "import" and arguments[0].split(".")[0] in ("antigravity", "evil", "telnetlib"):
            cls.seen.append(f"import {arguments[0]}")


sys.addaudithook(Watch.hook)


def refused(folder, load, *said):
    """Load, expect an error in three lines, and that nothing else happened. Returns the message."""
    Watch.seen, Watch.folder, Watch.thread = [], os.path.realpath(folder), threading.get_ident()
    try:
        with pytest.raises((ValueError, TypeError)) as caught:
            load()
    finally:
        Watch.thread = None
    text = str(caught.value)
    assert "\nFix: " in text and len(text.split("\n")) == 3, text
    assert Watch.seen == []
    for word in said:
        assert word in text, text
    return text


def small():
    return un.Sequential([un.Input((4,), name="in"), L.Dense(3, name="head")], name="small")


def keras_file(path, config, entries=None, weights=None):
    """Write a .keras file by hand."""
    if weights is None:
        small().save_weights(path.with_suffix(".weights.h5"))
        weights = path.with_suffix(".weights.h5").read_bytes()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1", "date_saved": ""}))
        archive.writestr("config.json", config if isinstance(config, (str, bytes)) else json.dumps(config))
        archive.writestr("model.weights.h5", weights)
        for name, content in (entries or {}).items():
            archive.writestr(name, content)
    return path


def described(**part):
    """Return the config of a model of one layer, with some of the layer's entries changed."""
    config = json.loads(small().to_json())
    config["config"]["layers"][1].update(part)
    return config


CODE = {"class_name": "__lambda__", "config": {"code": "4wEAAAAAAAAAAAAAAAEAAAABAAAAQwAAAHMEAAAAfABTACkBTg==\n"}}


def test_a_lambda_is_not_run(tmp_path):
    """CVE-2024-3660: the code of a Lambda layer."""
    layer = {"module": "keras.layers", "class_name": "Lambda", "registered_name": None}
    config = described(**layer, config={"name": "double", "trainable": True, "function": CODE})
    path = keras_file(tmp_path / "m.keras", config)
    for safe_mode in (True, False):
        text = refused(tmp_path, lambda safe=safe_mode: load_model(path, safe_mode=safe), "lambda in Lambda 'double'")
    assert text.split("\n")[2] == (
        "Fix: if you know what it computes, write it yourself: custom_objects={'double': lambda x: ...}"
    )


def test_a_lambda_can_be_replaced_knowingly(tmp_path):
    model = small()
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        config = json.loads(archive.read("config.json"))
        weights = archive.read("model.weights.h5")
    layer = {"module": "keras.layers", "class_name": "Lambda", "registered_name": None}
    config["config"]["layers"].append({**layer, "config": {"name": "double", "trainable": True, "function": CODE}})
    path = keras_file(tmp_path / "n.keras", config, weights=weights)
    found = load_model(path, custom_objects={"double": lambda x: 2 * x})
    x = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(found.predict(x, verbose=0), 2 * model.predict(x, verbose=0))


@pytest.mark.parametrize(
    ("module", "name", "config"),
    [
        ("antigravity", "Layer", {}),
        ("evil", "Evil", {"x": 1}),
        ("os", "system", {"command": "touch canary"}),
        ("builtins", "eval", {"source": "1"}),
        ("subprocess", "Popen", {"args": ["true"]}),
        ("uncrumple.core.registry", "CustomObjectScope", {"custom_objects": {}}),
        ("keras.utils", "get_file", {"origin": "http://127.0.0.1:9/x", "fname": "x"}),
        ("keras.config", "enable_unsafe_deserialization", {}),
        ("keras.src.saving.serialization_lib", "enable_unsafe_deserialization", {}),
        ("keras.models", "load_model", {"filepath": "/etc/passwd"}),
        ("keras.layers", "TFSMLayer", {"filepath": "/etc", "name": "x"}),
        ("keras.layers", "TorchModuleWrapper", {"module": {"class_name": "__lambda__", "config": {}}}),
        ("keras.src.utils.file_utils", "copy", {"src": "/etc/passwd", "dst": "x"}),
        ("torch", "load", {"f": "x"}),
        (["keras"], "Dense", {}),
        (None, None, {}),
    ],
    ids=str,
)
def test_nothing_is_imported_or_called_because_a_file_names_it(module, name, config, tmp_path):
    """CVE-2025-1550, -8747, -9906, -2026-1462: any module and function, or a built-in one that does harm."""
    path = keras_file(tmp_path / "m.keras", described(module=module, class_name=name, config=config))
    refused(tmp_path, lambda: load_model(path))
    function = {"module": module, "class_name": "function", "config": name, "registered_name": "function"}
    config = described()
    config["config"]["layers"][1]["config"]["activation"] = function
    path = keras_file(tmp_path / "f.keras", config)
    refused(tmp_path, lambda: load_model(path))
    assert not (tmp_path / "canary").exists() and not Path("canary").exists()


def test_a_file_does_not_say_how_it_is_to_be_read(tmp_path):
    """CVE-2025-8747, -9906: `safe_mode` or an unsafe switch in the config itself."""
    config = described()
    config["safe_mode"] = config["config"]["safe_mode"] = False
    config["config"]["layers"][1]["config"]["function"] = CODE
    refused(tmp_path, lambda: load_model(keras_file(tmp_path / "m.keras", config)))


def test_h5_files_have_the_same_guard(tmp_path):
    """CVE-2025-9905: .h5 files ignored safe_mode."""
    small().save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as h5:
        del h5.attrs["sha256"]
        config = json.loads(h5.attrs["model_config"])
        function = ["4wEAAAAAAAAAAAAAAAEAAAABAAAAQwAAAHMEAAAAfABTACkBTg==\n", None, None]
        layer = {"class_name": "Lambda", "config": {"name": "double", "function": function, "function_type": "lambda"}}
        config["config"]["layers"].append(layer)
        h5.attrs["model_config"] = json.dumps(config)
    for safe_mode in (True, False):
        refused(tmp_path, lambda safe=safe_mode: load_model(tmp_path / "m.h5", safe_mode=safe), "'double'")
    model = small()
    model.load_weights(tmp_path / "m.h5")
    found = load_model(tmp_path / "m.h5", custom_objects={"double": lambda x: 2 * x})
    x = np.ones((2, 4), "float32")
    np.testing.assert_array_equal(found.predict(x, verbose=0), 2 * model.predict(x, verbose=0))


def test_built_in_names_are_not_replaced_in_silence(tmp_path):
    """A class of the caller's with a name of Keras's is not taken for it."""

    class Dense(L.Dense):
        pass

    small().save(tmp_path / "m.keras")
    with pytest.warns(UncrumpleWarning, match="custom_objects gives 'Dense', which uncrumple has as well"):
        found = load_model(tmp_path / "m.keras", custom_objects={"Dense": Dense})
    assert type(found.layers[0]) is L.Dense
    config = described()
    del config["config"]["layers"][1]["registered_name"]
    with un.saving.custom_object_scope({"Dense": Dense}):
        assert type(load_model(keras_file(tmp_path / "n.keras", config)).layers[0]) is L.Dense


@pytest.mark.parametrize("where", ["/etc/passwd", "http://127.0.0.1:9/words.txt", "canary.txt"])
@pytest.mark.parametrize("kind", ["StringLookup", "IntegerLookup", "TextVectorization"])
def test_a_vocabulary_is_not_read_from_elsewhere(kind, where, tmp_path):
    """CVE-2025-12058: a path or an address in place of a vocabulary."""
    made = getattr(L, kind)()
    layer = un.saving.serialize_keras_object(made)
    layer["config"]["vocabulary"] = where if where != "canary.txt" else str(tmp_path.parent / where)
    (tmp_path.parent / "canary.txt").write_text("1\n2\n")
    refused(tmp_path, lambda: load_model(keras_file(tmp_path / "m.keras", described(**layer))))


# --- arrays kept elsewhere --------------------------------------------------------------------------


def external(group, canary):
    group.create_dataset("0", (4, 3), "f4", external=[(str(canary), 0, 48)])


def external_link(group, canary):
    group["0"] = h5py.ExternalLink(str(canary), "/secret")


def soft_link(group, canary):
    group["0"] = h5py.SoftLink("/layers/dense/vars/1")


def virtual(group, canary):
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource(str(canary), "secret", (4, 3))
    group.create_virtual_dataset("0", layout)


def reference(group, canary):
    group.create_dataset("0", (4, 3), h5py.ref_dtype)


def strings(group, canary):
    group.create_dataset("0", (4, 3), h5py.string_dtype())


def compound(group, canary):
    group.create_dataset("0", (4, 3), [("a", "f4"), ("b", "f4")])


ELSEWHERE = [external, external_link, soft_link, virtual, reference, strings, compound]


@pytest.mark.parametrize("kind", ELSEWHERE, ids=lambda kind: kind.__name__)
def test_arrays_come_from_the_file_alone(kind, tmp_path):
    """CVE-2026-1669 and its kin: HDF5 reads other files for external storage, links and virtual arrays."""
    folder = tmp_path / "in"
    folder.mkdir()
    canary = tmp_path / "secret.h5"
    with h5py.File(canary, "w") as h5:
        h5["secret"] = np.ones((4, 3), "f4")
    small().save_weights(folder / "w.weights.h5")
    small().save(folder / "m.h5")
    with h5py.File(folder / "w.weights.h5", "r+") as h5:
        del h5["layers/dense/vars/0"], h5.attrs["sha256"]
        kind(h5["layers/dense/vars"], canary)
    with h5py.File(folder / "m.h5", "r+") as h5:
        group = h5["model_weights/head"]
        group["0"], _ = 0, group.pop("0", None)
        del group["0"], h5.attrs["sha256"]
        group.attrs["weight_names"] = [b"0", b"1"]
        group["1"] = np.zeros(3, "f4")
        kind(group, canary)
    weights = (folder / "w.weights.h5").read_bytes()
    path = keras_file(folder / "m.keras", described(), weights=weights)
    refused(folder, lambda: small().load_weights(folder / "w.weights.h5"))
    refused(folder, lambda: load_model(path))
    refused(folder, lambda: small().load_weights(path))
    refused(folder, lambda: load_model(folder / "m.h5"))
    refused(folder, lambda: un.saving.KerasFileEditor(str(folder / "w.weights.h5")))
    refused(folder, lambda: un.saving.KerasFileEditor(str(path)))


@pytest.mark.parametrize("place", ["layers", "layers/dense", "layers/dense/vars"])
def test_groups_come_from_the_file_alone(place, tmp_path):
    for link in (h5py.SoftLink("/elsewhere"), h5py.ExternalLink("/etc/passwd", "/")):
        path = tmp_path / "w.weights.h5"
        small().save_weights(path)
        with h5py.File(path, "r+") as h5:
            h5.move(place, "elsewhere")
            h5[place] = link
        refused(tmp_path, lambda at=path: small().load_weights(at), "has a link at")


def test_shards_lie_beside_their_index(tmp_path):
    small().save_weights(tmp_path / "w.weights.json", max_shard_size=1)
    for name in ("../w_00000.weights.h5", "/etc/passwd", "a/../w_00000.weights.h5", "..\\x.weights.h5", 3, None, {}):
        index = {"metadata": {}, "weight_map": {"/layers/dense/vars": name}}
        (tmp_path / "w.weights.json").write_text(json.dumps(index))
        refused(tmp_path, lambda: small().load_weights(tmp_path / "w.weights.json"), "is not one beside it")


def test_assets_stay_in_their_folder(tmp_path):
    """CVE-2025-12060, -2026-12479: names in an archive that lead out of the folder it is unpacked to."""
    names = ["../canary", "assets/../../canary", "/tmp/canary", "assets/layers/../../../canary", "assets\\..\\canary"]
    path = keras_file(tmp_path / "m.keras", described(), dict.fromkeys(names, b"x"))
    before = set(tmp_path.parent.rglob("*"))
    load_model(path)
    assert set(tmp_path.parent.rglob("*")) == before and not Path("/tmp/canary").exists()


# --- files made to fill the memory --------------------------------------------------------------------


def _h5(fill):
    room = io.BytesIO()
    with h5py.File(room, "w") as h5:
        fill(h5)
    return room.getvalue()


def _weights(declare):
    """Return a weights file for `small` whose kernel is declared by a function."""

    def fill(h5):
        group = h5.create_group("layers/dense/vars")
        declare(group)
        group["1"] = np.zeros(3, "f4")

    return _h5(fill)


def _large_model(units, **weights):
    config = described()
    config["config"]["layers"][1]["config"]["units"] = units
    return config


def _deep(levels):
    return '{"class_name": "Sequential", "config": {"name": ' + "[" * levels + "]" * levels + "}}"


def bomb_unstored(path):
    shape = (2**14, 2**15)
    keras_file(path, _large_model(2**29), weights=_weights(lambda g: g.create_dataset("0", shape, "f4", chunks=True)))


def bomb_zeros_packed(path):
    def declare(group):
        group.create_dataset("0", (4, 2**21), "f4", compression="gzip", chunks=(4, 2**21), data=np.zeros((4, 2**21)))

    keras_file(path, _large_model(2**21), weights=_weights(declare))


def bomb_unused_unstored(path):
    """The large array is of no layer, but counts as what the file holds."""

    def fill(h5):
        h5.create_dataset("elsewhere", (2**40,), "f4", chunks=(2**20,))

    keras_file(path, _large_model(2**33), weights=_h5(fill))


def bomb_units(path):
    keras_file(path, _large_model(2**33))


def bomb_embedding(path):
    layer = un.saving.serialize_keras_object(L.Embedding(2, 3, name="head"))
    layer["config"]["input_dim"] = 2**40
    layer["build_config"] = {"input_shape": [None, 4]}
    keras_file(path, described(**layer))


def bomb_config(path):
    """64 MB of config in 64 kB of file."""
    text = json.dumps(described())
    keras_file(path, text[:-1] + ', "more": "' + "x" * 2**26 + '"}')


def bomb_config_of_lists(path):
    text = json.dumps(described())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", text[:-1] + ', "more": [' + "[]," * 3_000_000 + "[]]}")
        archive.writestr("model.weights.h5", b"x")


def bomb_deep(path):
    keras_file(path, _deep(100_000))


def bomb_rather_deep(path):
    keras_file(path, _deep(900))


def bomb_layers(path):
    config = described()
    layers = config["config"]["layers"]
    for index in range(20_000):
        layers.append({**layers[1], "config": {**layers[1]["config"], "name": f"d{index}", "units": 1}})
    keras_file(path, config)


def bomb_entries(path):
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(20_000):
            archive.writestr(f"assets/{index}", b"")


def bomb_weights_in_zip(path):
    keras_file(path, described(), weights=bytes(2**26))


def bomb_asset(path):
    keras_file(path, described(), {"assets/layers/dense/x": bytes(2**26)})


def bomb_members(path):
    def fill(h5):
        group = h5.create_group("layers/dense/vars")
        group["0"], group["1"] = np.zeros((4, 3), "f4"), np.zeros(3, "f4")
        deep = h5
        for _ in range(3):
            deep = deep.create_group("again")
        for index in range(40):  # hard links that meet again: 40**n ways through
            deep[f"up{index}"] = h5

    keras_file(path, described(units=1), weights=_h5(fill))


BOMBS = [thing for name, thing in list(globals().items()) if name.startswith("bomb_")]
LOAD = """
import sys, time, resource, warnings
warnings.simplefilter("ignore")
import uncrumple as un
from uncrumple.models import load_model
{warm}
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    start = time.process_time()
    try:
        load_model(path)
        said = "loaded"
    except (ValueError, TypeError) as error:
        said = str(error).replace(chr(10), " | ")
    except MemoryError:
        said = "MemoryError"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024
    print(f"{{time.process_time() - start:.2f}};{{grown:.0f}};{{said[:300]}}", flush=True)
"""


def test_bombs_are_refused_at_once(tmp_path):
    """CVE-2026-0897 and the like: little files that say they are large. All in one process of its own."""
    small().save(tmp_path / "good.keras")
    paths = [str(tmp_path / f"{bomb.__name__}.keras") for bomb in BOMBS]
    for bomb, path in zip(BOMBS, paths):
        bomb(Path(path))
    code = LOAD.format(warm=f"load_model({str(tmp_path / 'good.keras')!r})")
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, timeout=120, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(BOMBS), done.stderr[-2000:]
    for bomb, line in zip(BOMBS, lines):
        seconds, megabytes, said = line.split(";", 2)
        harmless = bomb in (bomb_members, bomb_asset) and said == "loaded"
        assert harmless or "Fix: " in said, (bomb.__name__, line)
        assert float(seconds) < 2 and int(megabytes) < 300, (bomb.__name__, line)


# --- the sources ------------------------------------------------------------------------------------

# Who may do what: everything else goes through them.
MAY = {
    "h5py": {"models/hdf5.py"},
    "pickle": {
        "callbacks/training_state.py",  # the name of an error of torch.load(weights_only=True), no more
        "data/pickles.py",  # a reader that knows five names, none of which is called
        "judge/asked.py",  # how many bytes a model would take
        "judge/baselines.py",  # the same
    },
}
NEVER = {"marshal", "dill", "cloudpickle", "shelve", "jsonpickle", "joblib"}


def _sources():
    return sorted(path for path in SOURCES.rglob("*.py"))


def _name(node):
    if isinstance(node, ast.Attribute):
        inner = _name(node.value)
        return f"{inner}.{node.attr}" if inner else node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _keywords(node):
    return {word.arg: word.value for word in node.keywords}


def _is(value, wanted):
    return isinstance(value, ast.Constant) and value.value is wanted


def _findings(path):
    where = path.relative_to(SOURCES).as_posix()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [(node.module or "").split(".")[0]]
        for name in names:
            if name in NEVER or where not in MAY.get(name, {where}):
                yield f"{where}:{node.lineno}: import {name}"
        if isinstance(node, ast.Attribute) and node.attr == "attrs" and where not in MAY["h5py"]:
            if not (isinstance(node.value, ast.Name) and node.value.id == "self"):
                yield f"{where}:{node.lineno}: .attrs of HDF5"
        if not isinstance(node, ast.Call):
            continue
        called, words = _name(node.func), _keywords(node)
        last = called.rpartition(".")[2]
        if called == "__import__" and node.args and isinstance(node.args[0], ast.Constant):
            continue  # of a name that stands there
        if called in (
            "eval",
            "exec",
            "compile",
            "__import__",
            "builtins.eval",
            "builtins.exec",
            "os.system",
            "os.popen",
        ):
            yield f"{where}:{node.lineno}: {called}()"
        if last in ("extractall", "unpack_archive") or (last == "extract" and "zip" in called.lower()):
            yield f"{where}:{node.lineno}: {called}()"
        if called in ("np.load", "numpy.load") and not _is(words.get("allow_pickle"), False):
            yield f"{where}:{node.lineno}: np.load without allow_pickle=False"
        if called == "torch.load" and not _is(words.get("weights_only"), True):
            yield f"{where}:{node.lineno}: torch.load without weights_only=True"
        if called in ("pickle.load", "pickle.loads", "yaml.load", "yaml.unsafe_load"):
            yield f"{where}:{node.lineno}: {called}()"
        if "shell" in words and not _is(words["shell"], False):
            yield f"{where}:{node.lineno}: shell=True"


def test_the_sources_do_nothing_of_the_kind():
    """Nearly every fix in other libraries missed a place that did the same: there is one place, and no way past it."""
    assert [line for path in _sources() for line in _findings(path)] == []


def test_the_lint_sees_what_it_looks_for(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SOURCES", tmp_path)
    bad = """
        import marshal, h5py
        from pickle import loads
        eval("1"); exec("1"); archive.extractall("x"); np.load(p); np.load(p, allow_pickle=True)
        torch.load(p); torch.load(p, weights_only=False); yaml.load(t); run(c, shell=True); os.system("x")
        h5.attrs["x"]
    """
    (tmp_path / "bad.py").write_text(textwrap.dedent(bad))
    assert len(list(_findings(tmp_path / "bad.py"))) == 14
