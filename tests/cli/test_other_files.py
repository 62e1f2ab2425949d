"""Files in other encodings, text that a language model never saw, and runs that are moved together with their data."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from command_lines import run
from raw_files import passengers, photos

from uncrumple.cli.main import main
from uncrumple.core.errors import UncrumpleWarning
from uncrumple.data import Text
from uncrumple.experiment import Source, read_run, versus, written
from uncrumple.experiment.asking import check_text
from uncrumple.experiment.versus import evaluate

QUICK = ("--budget", "1", "--check-seconds", "0", "--no-preflight", "--quiet")
TOWNS = ("Zürich", "Genève", "Málaga")


def towns(folder, name="towns.csv", encoding="cp1252", rows=120):
    random = np.random.default_rng(0)
    lines = ["town,size,said,kind"]
    for row in range(rows):
        town = TOWNS[row % 3]
        lines.append(
            f"{town},{random.normal():.3f},{town} ist schön und groß {row},{'größer' if row % 3 else 'kleiner'}"
        )
    (folder / name).write_bytes("\n".join(lines).encode(encoding))
    return folder / name


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a table that is not UTF-8, a text, and a short run on each."""
    folder = tmp_path_factory.mktemp("other")
    verse = folder / "verse.txt"
    verse.write_text("to be or not to be, that is the question " * 40)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(written, "page", lambda *_: "<html></html>")
        patched.setattr(written, "_figures", lambda *_: {})
        main(["train", str(verse), "--steps", "20", "--epochs", "2", *QUICK, "--out", str(folder / "runs" / "verse")])
        line = ["train", str(towns(folder)), "--target", "kind", "--leave-out", "said", "--encoding", "cp1252"]
        main([*line, "--epochs", "3", *QUICK, "--out", str(folder / "runs" / "towns")])
    return folder


# --- encodings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-be", "latin-1"])
def test_a_table_is_read_in_the_encoding_that_is_named(encoding, tmp_path, capsys):
    path = towns(tmp_path, encoding=encoding)
    code, _, err = run("check", path, "--target", "kind", "--only", "class-names", capsys=capsys)
    assert (code == 2 and "towns.csv, line 2: byte" in err) or encoding == "utf-16-be"  # which is told by its zeros
    ask = ("check", path, "--target", "kind", "--encoding", encoding, "--only", "class-names")
    code, out, _ = run(*ask, capsys=capsys)
    assert code == 0 and "größer" in out and "Always answering 'größer'" in out


def test_texts_in_a_table_and_texts_in_files_are_too(tmp_path, capsys):
    path = towns(tmp_path)
    assert "schön" in Text(path, text="said", target="kind", encoding="cp1252").raw[0]
    ask = ("check", path, "--text", "said", "--target", "kind", "--encoding", "cp1252", "--only", "broken-encoding")
    code, out, _ = run(*ask, capsys=capsys)
    assert code == 0 and "nothing found" in out
    for kind in ("a", "b"):
        (tmp_path / "texts" / kind).mkdir(parents=True)
        for place in range(12):
            (tmp_path / "texts" / kind / f"{place}.txt").write_bytes(f"schön {kind} {place}".encode("cp1252"))
    assert "--encoding cp1252" in run("check", tmp_path / "texts", capsys=capsys)[2]
    code, _, err = run(
        "check", tmp_path / "texts", "--encoding", "cp1252", "--only", "class-names", "--seconds", 5, capsys=capsys
    )
    assert code == 0, err


def test_a_run_knows_how_its_data_is_written_and_other_files_are_named_anew(made, capsys):
    folder = made / "runs" / "towns"
    assert json.loads((folder / "run.json").read_text())["source"]["options"]["encoding"] == "cp1252"
    code, out, _ = run("evaluate", folder, "--json", capsys=capsys)
    assert code == 0 and json.loads(out)["rows"] == 18
    for command in ("evaluate", "predict", "explain"):
        more = ("--only", "confusion") if command == "explain" else ()
        code, _, err = run(command, folder, made / "towns.csv", *more, capsys=capsys)
        assert code == 2 and "Fix: --encoding cp1252 for files of older Windows programs" in err
        code, out, _ = run(command, folder, made / "towns.csv", "--encoding", "cp1252", "--json", *more, capsys=capsys)
        assert code == 0 and json.loads(out)
    # UTF-8 would be readable as cp1252, with other words: the run's encoding is not taken for it.
    towns(made, "new.csv", encoding="utf-8")
    answers = {}
    for name, more in (("towns.csv", ("--encoding", "cp1252")), ("new.csv", ())):
        code, out, _ = run("predict", folder, made / name, *more, "--json", capsys=capsys)
        answers[name] = [one["probability"] for one in json.loads(out)["answers"]]
    assert answers["new.csv"] == pytest.approx(answers["towns.csv"])


def test_an_encoding_that_cannot_be_meant_is_refused(made, capsys, tmp_path):
    pictures = photos(tmp_path, count=4)
    for line, said in (
        (("train", made / "towns.csv", "--encoding", "cp125"), "'cp125' is not an encoding such as cp1252"),
        (("train", made / "towns.csv", "--encoding", "base64"), "'base64' is not an encoding"),
        (("train", pictures, "--encoding", "cp1252"), "--encoding was given, and"),
        (("check", tmp_path / "t.parquet", "--encoding", "cp1252"), "is not a file of characters."),
        (("check", "iris", "--encoding", "cp1252"), "'iris' is the name of a data set."),
        (("evaluate", made / "runs" / "towns", "--encoding", "cp1252"), "--encoding was given, and no file."),
        (("predict", made / "runs" / "towns", "--encoding", "cp1252"), "--encoding was given, and no file."),
        (("explain", made / "runs" / "towns", "--encoding", "cp1252"), "--encoding was given, and no file."),
        (("compare", made / "runs" / "towns", "--encoding", "cp1252"), "--encoding was given, and what is compared"),
    ):
        (tmp_path / "t.parquet").write_bytes(b"PAR1")
        code, _, err = run(*line, capsys=capsys)
        assert code == 2 and said in err, (line, err)


# --- other rows with answers --------------------------------------------------------------------


def test_a_language_model_is_evaluated_on_another_text(made, capsys):
    folder = made / "runs" / "verse"
    (made / "other.txt").write_text("that is the question to be or not, be " * 30, newline="\r\n")
    (made / "rare.txt").write_text("q" * 100)  # one character in 41 of what it learnt from
    code, out, _ = run("evaluate", folder, made / "other.txt", "--json", capsys=capsys)
    found = json.loads(out)
    assert code == 0 and found["rows"] == 56 and found["test_uses"] is None and found["confusion"] is None
    bits = found["scores"]["bits_per_symbol"]
    assert bits["low"] <= bits["score"] <= bits["high"] < 4
    assert found["scores"]["perplexity"]["score"] == pytest.approx(2 ** bits["score"])
    assert evaluate(read_run(folder), made / "rare.txt").scores["bits_per_symbol"].score > bits["score"]
    code, out, _ = run("evaluate", folder, made / "verse.txt", capsys=capsys)
    assert code == 0 and "with the rows that it learned from" in " ".join(out.split())


def test_the_bits_of_a_text_are_those_of_the_network_character_by_character(made):
    found = read_run(made / "runs" / "verse")
    text = "to be or not to be, that is the quest"
    (made / "short.txt").write_text(text)
    rows, steps = [text[:20]], 20
    shares = found.model.predict(np.array(rows, dtype=object), verbose=0)[0]
    names = found.settings["class_names"]
    wanted = -np.log2([shares[place, names.index(text[place + 1])] for place in range(steps)]).mean()
    assert evaluate(found, made / "short.txt").scores["bits_per_symbol"].score == pytest.approx(wanted, rel=1e-5)
    # A character that was never learnt is no answer that could be right: it is not counted, and that is said.
    (made / "short.txt").write_text(text.replace("be or", "b€ or"))
    shares = found.model.predict(np.array([text[:20].replace("be or", "b€ or")], dtype=object), verbose=0)[0]
    told = [place for place in range(steps) if place != 3]
    wanted = -np.log2([shares[place, names.index(text[place + 1])] for place in told]).mean()
    again = evaluate(found, made / "short.txt")
    assert again.scores["bits_per_symbol"].score == pytest.approx(wanted, rel=1e-5)
    assert again.where.endswith("short.txt, without 1 of 20 characters, which the network never saw")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("few.txt", "to be", "few.txt has 5 characters. Expected more than 20: the network reads stretches of 20."),
        ("han.txt", "漢字" * 30, "han.txt has no character that the network has learnt."),
        ("gone.txt", None, "gone.txt is not there."),
    ],
)
def test_a_text_that_cannot_be_evaluated(name, content, said, made, capsys):
    if content is not None:
        (made / name).write_text(content, encoding="utf-8")
    code, _, err = run("evaluate", made / "runs" / "verse", made / name, capsys=capsys)
    assert code == 2 and said in err


def test_a_few_rows_of_a_table_are_evaluated_whatever_else_is_in_it(made, capsys):
    """One row holds one value per column, and columns that the network does not take may be missing."""
    (made / "few.csv").write_text("size,kind,town\n0.5,größer,Zürich\n,,Zürich\n0.1,größer,Genève\n", encoding="utf-8")
    code, out, err = run("evaluate", made / "runs" / "towns", made / "few.csv", "--json", capsys=capsys)
    assert code == 0, err
    assert json.loads(out)["rows"] == 2
    for content, said in (
        ("size,town\n1,Bern\n", "Unknown column: 'kind'"),
        ("size,town,kind\n1,Bern,\n", "The column 'kind' of"),
        ("size,kind\n1,kleiner\n", "no column 'town'"),
        ("size,town,kind\n1,Bern,mittel\n", "Unknown class: 'mittel'"),
    ):
        (made / "few.csv").write_text(content)
        code, _, err = run("evaluate", made / "runs" / "towns", made / "few.csv", capsys=capsys)
        assert code == 2 and said in err
    code, _, err = run("evaluate", made / "runs" / "towns", made, capsys=capsys)
    assert code == 2 and "is a folder, and the network was trained on a table." in err


@pytest.mark.parametrize("strange", ["-inf", "Infinity", "1e999", "much"])
def test_an_answer_that_is_no_number_is_named(strange, tmp_path):
    file = tmp_path / "houses.csv"
    file.write_text(f"size,price\n1,3\n2,{strange}\n")
    run = SimpleNamespace(
        preparation=SimpleNamespace(read=lambda columns: {"size": columns["size"]}, meaning={"target": "price"}),
        source=SimpleNamespace(options={"target": "price"}),
        settings={"task": "regression"},
    )
    with pytest.raises(ValueError, match=f"holds '{strange}'"):
        versus._rows_of_table(run, file, None)


# --- prompts ---------------------------------------------------------------------------------------


def test_characters_that_were_never_learnt_are_named(made, capsys):
    folder = made / "runs" / "verse"
    code, out, err = run("predict", folder, "--prompt", "to b€ or Ł€", "--length", 4, "--json", capsys=capsys)
    assert code == 0 and json.loads(out)["answers"][0]["text"] == "to b€ or Ł€"
    assert "Warning: The network never saw '€', 'Ł': left out of the text that it goes on from." in err
    code, _, err = run("predict", folder, "--prompt", "ŁŁ €", "--length", 4, capsys=capsys)
    assert code == 2 and "'ŁŁ €' has no character that the network has learnt. Expected some of ,abehinoqrstu" in err
    for fine in ("to be", " ", "\n"):
        code, _, err = run("predict", folder, "--prompt", fine, "--length", 4, capsys=capsys)
        assert code == 0 and not err
    with pytest.warns(UncrumpleWarning, match="and 3 more"):
        check_text(read_run(folder).preparation, "to be ABCDEFGHIJKLM")


# --- runs that are moved -----------------------------------------------------------------------


def test_a_run_that_is_moved_with_its_data_finds_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(written, "page", lambda *_: "<html></html>")
    monkeypatch.setattr(written, "_figures", lambda *_: {})
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    passengers(old)
    line = ("train", old / "passengers.csv", "--target", "Survived", "--epochs", 1, *QUICK)
    assert run(*line, "--runs-dir", old / "runs", capsys=capsys)[0] == 0
    shutil.move(old, new)
    folder = new / "runs" / "passengers"
    code, out, _ = run("evaluate", folder, "--json", capsys=capsys)
    assert code == 0 and json.loads(out)["rows"] == 45
    assert read_run(folder).source.data == str((new / "passengers.csv").resolve())
    # From within, by a relative name; looks at the test part are counted beside the run all the same.
    monkeypatch.chdir(folder)
    code, out, _ = run("evaluate", ".", "--json", capsys=capsys)
    assert code == 0 and json.loads(out)["test_uses"] == 3
    # The absolute path comes first; where neither is there, the absolute one is named.
    old.mkdir()
    shutil.copy(new / "passengers.csv", old)
    assert read_run(folder).source.data == str((old / "passengers.csv").resolve())
    shutil.rmtree(old)
    (new / "passengers.csv").unlink()
    code, _, err = run("evaluate", folder, capsys=capsys)
    assert code == 2 and f"{old / 'passengers.csv'}, which is no longer there." in err


def test_a_run_of_an_older_version_is_read(made, tmp_path, capsys):
    shutil.copytree(made / "runs" / "towns", tmp_path / "towns")
    settings = json.loads((tmp_path / "towns" / "run.json").read_text())
    assert settings["source"].pop("from_run") == {"data": "../../towns.csv"}
    for odd in ("elsewhere", {"data": 3}):
        (tmp_path / "towns" / "run.json").write_text(
            json.dumps({**settings, "source": {**settings["source"], "data": "/not/there", "from_run": odd}})
        )
        code, _, err = run("evaluate", tmp_path / "towns", capsys=capsys)
        assert code == 2 and "run.json is damaged" in err
    (tmp_path / "towns" / "run.json").write_text(json.dumps(settings))
    code, out, _ = run("evaluate", tmp_path / "towns", "--json", capsys=capsys)
    assert code == 0 and json.loads(out)["rows"] == 18


def test_the_way_from_a_run_to_files_and_labels(tmp_path):
    for name in ("x-idx3-ubyte", "y-idx1-ubyte"):
        (tmp_path / name).write_bytes(b"\0\0")
    source = Source.of(str(tmp_path / "x-idx3-ubyte"), {"labels": str(tmp_path / "y-idx1-ubyte")})
    ways = source.seen_from(tmp_path / "runs" / "x")
    assert ways == {"data": "../../x-idx3-ubyte", "labels": "../../y-idx1-ubyte"}
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    shutil.move(tmp_path, moved)
    (moved / "runs" / "x").mkdir(parents=True)
    again = Source.from_dict({**source.to_dict(), "from_run": ways}, moved / "runs" / "x")
    assert again.data == str((moved / "x-idx3-ubyte").resolve())
    assert again.options["labels"] == str((moved / "y-idx1-ubyte").resolve())
    assert Source("iris").seen_from(moved) == {}
    assert Source.from_dict(source.to_dict()).data == source.data
