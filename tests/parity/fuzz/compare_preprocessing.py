"""Random stacks of layers that prepare and change data, in Keras and in uncrumple: what comes out when predicting.

    python tests/parity/fuzz/compare_preprocessing.py --models 150 --seed 1
    python tests/parity/fuzz/compare_preprocessing.py --seed 1 --only 17

RandomCrop is left out: outside training, Keras 3.15.1 announces a shape of the
size that is asked for and gives images back as they are; here they get the size.

Layers that change data at random do nothing to the data here but what they do
outside training (cut, resize, convert). Each stack is made anew by both
libraries, gives the same numbers, is saved by one of them, and gives them
again when the other has opened the file.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from compare_models import Difference, Verdict, differences, say
from random_layers import Draw, layer
from recipes import Part
from trials import Trials, asking

import uncrumple

Drawn = tuple[tuple[int, ...], list[Part], np.ndarray]


# --- what is drawn ----------------------------------------------------------------------------


def images(draw: Draw, random: np.random.Generator) -> Drawn:
    """Return a stack for images."""
    shape = (draw.randint(4, 10), draw.randint(4, 10), 3)
    parts = [_on_images(draw) for _ in range(draw.randint(1, 4))]
    return shape, parts, (random.random((3, *shape)) * 255).astype("float32")


def _on_images(draw: Draw) -> Part:
    size = {"height": draw.randint(2, 12), "width": draw.randint(2, 12)}
    how = draw.pick("nearest", "bilinear", "bicubic")
    factor, both = draw.number(0.0, 0.6), [draw.number(0.0, 0.3), draw.number(0.3, 0.9)]
    fill = draw.some(0.5, fill_mode=draw.pick("constant", "reflect", "wrap", "nearest"), fill_value=draw.number(0, 9))
    ranged = draw.some(0.3, value_range=(0, draw.pick(255, 300)))
    ways = draw.pick({}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True})
    return draw.pick(
        layer("Resizing", ways, draw.some(0.3, antialias=True), interpolation=how, **size),
        layer("CenterCrop", **size),
        layer("Rescaling", scale=draw.pick(1 / 255, 2.0), offset=draw.number(-1, 1)),
        layer("Normalization", mean=draw.number(0, 100), variance=draw.number(1, 90), invert=draw.chance(0.3)),
        layer("Normalization", mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0]),
        layer("RandomFlip", mode=draw.pick("horizontal", "vertical", "horizontal_and_vertical")),
        layer("RandomRotation", fill, factor=factor),
        layer("RandomZoom", fill, height_factor=factor),
        layer("RandomTranslation", fill, height_factor=factor, width_factor=factor),
        layer("RandomShear", fill, x_factor=both, y_factor=factor),
        layer("RandomPerspective", factor=factor, scale=0.3),
        layer("RandomElasticTransform", factor=factor),
        layer("RandomContrast", ranged, factor=factor),
        layer("RandomBrightness", ranged, factor=factor),
        layer("RandomSaturation", ranged, factor=factor),
        layer("RandomHue", ranged, factor=factor),
        layer("RandomSharpness", ranged, factor=factor),
        layer("RandomColorDegeneration", ranged, factor=factor),
        layer("RandomColorJitter", ranged, brightness_factor=factor, contrast_factor=factor),
        layer("RandomGrayscale", factor=factor),
        layer("RandomInvert", ranged, factor=factor),
        layer("RandomPosterization", factor=draw.randint(1, 8), value_range=(0, 255)),
        layer("RandomGaussianBlur", factor=factor, kernel_size=3),
        layer("RandomErasing", factor=factor),
        layer("Solarization", draw.some(0.5, addition_factor=draw.number(0, 50)), ranged),
        layer("AutoContrast", ranged),
        layer("Equalization", value_range=(0, 255)),
        layer("RandAugment", value_range=(0, 255), num_ops=draw.randint(1, 3)),
        layer("AugMix", value_range=(0, 255)),
        layer("MixUp"),
        layer("CutMix"),
    )


def numbers(draw: Draw, random: np.random.Generator) -> Drawn:
    """Return a stack for rows of numbers."""
    shape = (draw.randint(1, 5),)
    bounds = sorted(draw.number(-2, 2) for _ in range(draw.randint(1, 5)))
    first = draw.pick(
        [layer("Normalization", mean=draw.number(-1, 1), variance=draw.number(0.1, 3))],
        [layer("Normalization", axis=None, mean=0.5, variance=2.0, invert=True)],
        [layer("Rescaling", scale=draw.number(-1, 2), offset=draw.number(-1, 1))],
        [layer("Discretization", bin_boundaries=bounds, output_mode=draw.pick("int", "multi_hot", "count"))],
        [layer("Discretization", bin_boundaries=bounds), layer("Rescaling", scale=2.0)],
    )
    return shape, first, random.normal(size=(4, *shape)).astype("float32") * 1.5


def classes(draw: Draw, random: np.random.Generator) -> Drawn:
    """Return a stack for whole numbers."""
    mode = draw.pick("multi_hot", "one_hot", "count")
    shape, tokens = ((1,) if mode == "one_hot" else (draw.randint(1, 5),)), draw.randint(2, 7)
    part = layer("CategoryEncoding", num_tokens=tokens, output_mode=mode)
    return shape, [part], random.integers(0, tokens, (4, *shape)).astype("int32")


def sounds(draw: Draw, random: np.random.Generator) -> Drawn:
    """Return a layer for waves."""
    length = draw.pick(16, 32)
    spectrum = {"fft_length": length, "sequence_stride": draw.pick(4, 8)} | draw.some(0.4, sequence_length=length // 2)
    mel = {"sampling_rate": 1000, "num_mel_bins": draw.randint(4, 10), "min_freq": 10, "max_freq": 450}
    steps = {"frame_length": length, "frame_step": draw.pick(4, 8), "fft_length": length}
    steps["mode"] = draw.pick("log", "magnitude", "psd", "real", "imag", "angle")
    wave = random.normal(size=(2, 100)).astype("float32")
    if draw.chance(0.5):
        return (100,), [layer("MelSpectrogram", mel, spectrum)], wave
    return (100, 1), [layer("STFTSpectrogram", steps, draw.some(0.4, expand_dims=True))], wave[..., None]


def drawn(seed: int, number: int) -> Drawn:
    """Return stack `number` of `seed`, the same one each time: the shape of a sample, the layers, the data."""
    draw, random = Draw(f"preprocessing/{seed}/{number}"), np.random.default_rng([seed, number, 3])
    return draw.choice([images, images, images, numbers, classes, sounds])(draw, random)


def code(asked: Drawn) -> str:
    return f"k.Sequential([k.Input({asked[0]}, dtype={str(asked[2].dtype)!r}), *{asked[1]}])"


# --- comparing --------------------------------------------------------------------------------


def make(k: Any, asked: Drawn) -> Any:
    k.utils.clear_session()
    shape, parts, x = asked
    return k.Sequential([k.Input(shape, dtype=str(x.dtype)), *[part.make(k) for part in parts]])


def look(model: Any, x: np.ndarray) -> dict[str, Any]:
    shapes = [list(layer.output.shape) for layer in model.layers if not isinstance(layer.output, (list, dict))]
    return {"shapes": shapes, "predict": model.predict(x, verbose=0)}


def unreadable(there: Any, file: Path) -> bool:
    """Return whether Keras cannot open what it has itself written."""
    try:
        there.save(file)
        keras.models.load_model(file)
    except Exception:
        return True
    return False


def compare(asked: Drawn, number: int = 0) -> Verdict:
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        try:
            there = make(keras, asked)
            theirs = look(there, asked[2])
        except Exception as error:
            return Verdict("refused", [Difference("Keras", say(error))])
        try:
            here = make(uncrumple, asked)
            found = list(differences(theirs, look(here, asked[2])))
            file = Path(folder) / "model.keras"
            if not found:
                writer, reader = (there, uncrumple) if number % 2 else (here, keras)
                writer.save(file)
                opened = look(reader.models.load_model(file), asked[2])
                found = [Difference(f"from the file: {d.where}", d.what) for d in differences(theirs, opened)]
        except Exception as error:
            if unreadable(there, Path(folder) / "own.keras"):
                return Verdict("refused", [Difference("Keras", say(error))])
            found = [Difference("uncrumple", say(error))]
    return Verdict("differs" if found else "agrees", found)


def main() -> int:
    asked = asking("Random stacks of preprocessing layers: do Keras and uncrumple agree?", "models", 150).parse_args()
    torch.set_num_threads(1)
    trials = Trials(asked, __file__, "stacks")
    for number in trials:
        stack = drawn(asked.seed, number)
        verdict = compare(stack, number)
        trials.counts[verdict.result] += 1
        if verdict.result == "differs" or asked.only is not None:
            print(f"\nStack {number} of seed {asked.seed}: {verdict.result}\n{code(stack)}")
            print("\n".join(f"  {each}" for each in verdict.differences[:4]))
            trials.replay(number)
    return trials.end()


if __name__ == "__main__":
    sys.exit(main())
