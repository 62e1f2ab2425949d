"""Train a random model in one library, open its file in the other, train on there, and send it back.

    python tests/parity/fuzz/compare_files.py --models 150 --seed 1
    python tests/parity/fuzz/compare_files.py --seed 1 --only 17

Each model is made and trained for an epoch by one library, the writer, and
saved as `.keras`, `.h5` or `.weights.h5`. The other one, the reader, opens the
file: outputs and the state of the optimizer are those of the writer. Both
train for another epoch and go the same way. The reader saves, the writer opens
that, and both train for a third.

Numbers agree by the rule in compare_models.py. What the last bits of weights
decide is allowed here too: the writer opens its own file three times, moves
the weights by their last bit, and trains.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import dataclasses
import random
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from compare_models import AFTER, Difference, Verdict, as_tensors, differences, made, moved, nudged, numbers_in, say
from random_layers import Draw
from random_recipes import recipe
from recipes import OWN, Recipe, registered, without_lost_settings
from trials import Trials, asking

import uncrumple

FORMS = (".keras", ".keras", ".keras", ".h5", ".weights.h5")
LIBRARIES = {"keras": keras, "uncrumple": uncrumple}


class Refused(Exception):
    """Keras itself cannot do this."""


@dataclasses.dataclass
class Journey:
    """A recipe, who writes the first file, and of which form the files are."""

    recipe: Recipe
    writer: str
    form: str

    @property
    def reader(self) -> str:
        return "uncrumple" if self.writer == "keras" else "keras"

    def code(self) -> str:
        return f"{self.recipe.code()}\n# saved by {self.writer} as {self.form}, opened by {self.reader}"


def journey(seed: int, number: int) -> Journey:
    """Return journey `number` of `seed`, the same one each time."""
    draw = Draw(f"files/{seed}/{number}")
    drawn = recipe(seed, number)
    kept = {key: drawn.fitted[key] for key in ("batch_size", "sample_weight", "class_weight") if key in drawn.fitted}
    drawn = dataclasses.replace(drawn, fitted={**kept, "epochs": 1}, saved="")
    return Journey(without_lost_settings(drawn), draw.choice(list(LIBRARIES)), draw.choice(FORMS))


# --- what is done ---------------------------------------------------------------------------


def make(k: Any, asked: Journey) -> Any:
    k.utils.clear_session()
    model = asked.recipe.network.make(k) if asked.recipe.network.kind != "class" else registered(k, asked.recipe)
    if asked.recipe.network.kind == "class":
        model(as_tensors(asked.recipe.x))
    model.compile(**made(k, asked.recipe.compiled))
    return model


def train(k: Any, model: Any, asked: Journey) -> Any:
    drawn = asked.recipe
    return model.fit(drawn.x, drawn.y, shuffle=False, verbose=0, **made(k, drawn.fitted)).history


def predict(model: Any, asked: Journey) -> Any:
    return model.predict(asked.recipe.x, batch_size=7, verbose=0)


def save(model: Any, file: Path) -> None:
    if file.name.endswith(".weights.h5"):
        model.save_weights(file)
    else:
        model.save(file)


def load(k: Any, file: Path, asked: Journey) -> Any:
    """Return the model in a file, or one made anew where the file has weights alone."""
    if file.name.endswith(".weights.h5"):
        model = make(k, asked)
        model.optimizer.build(model.trainable_variables)  # what is not built takes no state
        model.load_weights(file)
        return model
    classes = dict(OWN)
    if asked.recipe.network.kind == "class":
        classes["OfItsOwn"] = type(registered(k, asked.recipe))
    return k.models.load_model(file, custom_objects=classes)


def state(model: Any) -> list[Any]:
    """Return the state of the optimizer."""
    return [np.asarray(variable.numpy()) for variable in model.optimizer.variables]


def second_epoch(k: Any, model: Any, asked: Journey) -> dict[str, Any]:
    """Train on, and return all that can be seen of it."""
    seen: dict[str, Any] = {AFTER + "history": train(k, model, asked)}
    seen |= {f"{AFTER}weight {number}": weight for number, weight in enumerate(model.get_weights())}
    seen |= {f"{AFTER}optimizer variable {number}": value for number, value in enumerate(state(model))}
    seen[AFTER + "predict"] = predict(model, asked)
    return seen


# --- comparing --------------------------------------------------------------------------------


def compare(asked: Journey) -> Verdict:
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        try:
            found = list(_compare(asked, Path(folder)))
        except Refused as error:
            return Verdict("refused", [Difference("Keras", str(error))])
        except Exception as error:
            if refused_by_keras(asked, Path(folder)):
                return Verdict("refused", [Difference("Keras", say(error))])
            return Verdict("differs", [Difference("files", say(error))])
    return Verdict("differs" if found else "agrees", found)


def refused_by_keras(asked: Journey, folder: Path) -> bool:
    """Return whether Keras cannot even train the model, or open what it has itself written."""
    try:
        model = make(keras, asked)
        train(keras, model, asked)
        save(model, folder / f"own{asked.form}")
        again = load(keras, folder / f"own{asked.form}", asked)
        if asked.form != ".h5":
            train(keras, again, asked)
        save(again, folder / f"again{asked.form}")
        again = load(keras, folder / f"again{asked.form}", asked)
        if asked.form != ".h5":
            train(keras, again, asked)
    except Exception:
        return True
    return False


def _compare(asked: Journey, folder: Path) -> Any:
    writer, reader = LIBRARIES[asked.writer], LIBRARIES[asked.reader]
    first, second = folder / f"first{asked.form}", folder / f"second{asked.form}"
    model = make(writer, asked)
    model.set_weights(moved(model.weights, asked.recipe.weights))
    train(writer, model, asked)
    if any(not np.isfinite(weight).all() for weight in model.get_weights()):
        raise Refused("trained to weights that are not numbers")
    save(model, first)
    other = load(reader, first, asked)
    yield from alike("opened", model, other, asked)
    # What Keras opens of an `.h5` file, its own too, does not train: the optimizer does not know the variables.
    may_train = asked.form != ".h5"
    if may_train or asked.writer == "keras":
        found = list(trained_alike("second epoch", writer, model, reader, other, asked, first))
        if found:
            yield from found
            return
    save(other, second)
    back = load(writer, second, asked)
    yield from alike("opened again", other, back, asked)
    if may_train:
        yield from trained_alike("third epoch", reader, other, writer, back, asked, second)


def alike(when: str, one: Any, other: Any, asked: Journey) -> Any:
    """Yield how two models differ that ought to be the same."""
    theirs, ours = [({"predict": predict(each, asked), "weights": each.get_weights()}) for each in (one, other)]
    if asked.form != ".h5" or (when == "opened" and not isinstance(other, keras.Model)):
        theirs["state"], ours["state"] = state(one), state(other)
    if asked.form != ".weights.h5":
        theirs["trainable"], ours["trainable"] = ([w.name for w in each.trainable_weights] for each in (one, other))
    yield from (told(when, each, other) for each in differences(theirs, ours))


def told(when: str, found: Difference, other: Any) -> Difference:
    """Return a difference with the names of the libraries where they belong."""
    what = found.what
    if isinstance(other, keras.Model):
        what = what.replace("uncrumple", "Keras's").replace("Keras ", "uncrumple ").replace("Keras's", "Keras")
    return Difference(f"{when}: {found.where}", what)


def trained_alike(when: str, k: Any, one: Any, other_k: Any, other: Any, asked: Journey, file: Path) -> Any:
    """Yield how two models part when both train on; `file` holds both as they are now."""
    theirs, ours = second_epoch(k, one, asked), second_epoch(other_k, other, asked)
    found = list(differences(theirs, ours))
    if not found:
        return
    first, spread = dict(numbers_in(theirs)), {}
    for seed in range(3):
        again = load(k, file, asked)
        again.set_weights(nudged(again.get_weights(), seed))
        for where, value in numbers_in(second_epoch(k, again, asked)):
            if value.size and value.shape == first[where].shape:
                moved_by = np.abs(value.astype("float64") - first[where].astype("float64"))
                spread[where] = max(spread.get(where, 0.0), 10 * float(np.nan_to_num(moved_by).max()))
    yield from (told(when, each, other) for each in differences(theirs, ours, spread))


# --- many of them -------------------------------------------------------------------------------


def main() -> int:
    asked = asking("Random models whose files go between Keras and uncrumple.", "models", 150).parse_args()
    torch.set_num_threads(1)
    trials = Trials(asked, __file__, "models")
    for number in trials:
        random.seed(0)
        drawn = journey(asked.seed, number)
        if asked.only is not None:
            print(drawn.code())
        verdict = compare(drawn)
        trials.counts[verdict.result] += 1
        if verdict.result != "agrees":
            print(f"\nModel {number} of seed {asked.seed}: {verdict.result} ({drawn.form}, written by {drawn.writer})")
            print("\n".join(f"  {each}" for each in verdict.differences[:6]))
            if verdict.result == "differs":
                print(drawn.code())
            trials.replay(number)
    return trials.end()


if __name__ == "__main__":
    sys.exit(main())
