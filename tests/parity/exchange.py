"""Files between Keras and uncrumple: what each writes, the other reads."""

import keras
import numpy as np

import uncrumple


def exchanged(mine, theirs, answers, folder, atol):
    """Write both models, read each where the other was made, compare what they answer; return what was read.

    Args:
        mine: A model of this package, and
        theirs: one of Keras.
        answers: Returns what a model of either says to the data of the test.
        folder: Where the files are written.
        atol: How far the answers may be apart.

    Returns:
        (theirs as read here, mine as read by Keras).
    """
    theirs.save(folder / "theirs.keras")
    mine.save(folder / "mine.keras")
    here = uncrumple.saving.load_model(folder / "theirs.keras")
    there = keras.saving.load_model(folder / "mine.keras")
    np.testing.assert_allclose(answers(here), answers(theirs), atol=atol)
    np.testing.assert_allclose(answers(there), answers(mine), atol=atol)
    return here, there
