"""Labels are doubted by networks that know better, and not by those that do not."""

import numpy as np
import pytest

from uncrumple.judge import two_piles

NAMES = tuple("abcdefghij")


def piles_of(truth, answers, sure=0.97, agreed=True, count=10_000):
    """Return the piles of a network that is `sure` of `answers`, and of two others that say the same."""
    classes = max(truth.max(), answers.max()) + 1
    shares = np.full((len(truth), classes), (1 - sure) / (classes - 1))
    shares[np.arange(len(truth)), answers] = sure
    others = {"majority class": 0 * answers, "tree": answers, "SVM": answers} if agreed else {}
    return two_piles(truth, shares, NAMES[:classes], others, count=count)


def noisy(truth, share, seed=0):
    """Return answers of which this share is wrong, at random."""
    random = np.random.default_rng(seed)
    wrong = random.random(len(truth)) < share
    return np.where(wrong, (truth + random.integers(1, truth.max() + 1, len(truth))) % (truth.max() + 1), truth)


@pytest.mark.parametrize("agreed", [True, False], ids=["with others", "alone"])
@pytest.mark.parametrize("share", [0.62, 0.3, 0.2])
def test_a_network_that_is_often_wrong_doubts_no_label(share, agreed):
    truth = np.random.default_rng(1).integers(0, 10, 2000)
    found = piles_of(truth, noisy(truth, share), sure=0.995, agreed=agreed)
    assert (found.suspects, found.label_suspect, found.doubtful, found.classes) == (0, (), 0, 10)
    assert len(found.model_wrong) == found.wrong
    assert found.in_words() == (
        f"{found.wrong:,} mistakes; no label can be called suspect: the network does not tell the classes apart "
        "well enough."
    )


@pytest.mark.parametrize("agreed", [True, False], ids=["with others", "alone"])
def test_a_network_that_is_seldom_wrong_does(agreed):
    truth = np.random.default_rng(1).integers(0, 10, 2000)
    found = piles_of(truth, noisy(truth, 0.03), sure=0.995, agreed=agreed)
    assert found.suspects == found.wrong == len(found.label_suspect) > 40
    assert found.in_words() == f"{found.wrong} mistakes; {found.wrong} labels are suspect: look at these rows first."
    assert "it tells the two classes apart" in found.rule
    assert found.to_dict()["doubtful_classes"] == found.to_dict()["classes"] == 10


def test_among_many_classes_only_those_told_apart_are_doubted():
    truth = np.repeat(np.arange(10), 100)
    answers = truth.copy()
    muddled = truth >= 4  # six classes that the network confuses, and four that it knows
    answers[muddled] = 4 + noisy(truth[muddled] - 4, 0.6)
    answers[[0, 100, 200]] = [1, 2, 3]  # wrong labels among the four
    answers[[300, 5]] = [7, 8]  # of a known class, answered with one that is not: that answer proves nothing
    found = piles_of(truth, answers)
    assert [one.row for one in found.label_suspect] == [0, 100, 200]
    assert (found.doubtful, found.classes) == (4, 10)


def test_a_rare_class_that_is_called_too_often_is_no_proof():
    truth = np.repeat([0, 1], [950, 50])
    answers = truth.copy()
    answers[:60] = 1  # every second "yes" is wrong, though 94 % of all answers are right
    assert piles_of(truth, answers).suspects == 0


def test_one_wrong_label_in_a_small_class_is_still_seen():
    truth = np.repeat([0, 1, 2], 5)
    answers = truth.copy()
    answers[0] = 1
    found = piles_of(truth, answers)
    assert [one.row for one in found.label_suspect] == [0]
    assert found.in_words() == "1 mistake; 1 label is suspect: look at these rows first."


def test_classes_of_which_one_was_never_right_leave_nothing_to_doubt():
    truth = np.repeat([0, 1], [40, 10])
    assert piles_of(truth, np.zeros_like(truth)).suspects == 0
