"""Embedding and Masking."""

import numpy as np
import pytest
import torch

from uncrumple.core.errors import UncrumpleWarning
from uncrumple.layers import LSTM, Embedding, Input, Masking
from uncrumple.layers.symbolic import SymbolicTensor


def message(call, kind=ValueError):
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def test_embedding_gives_the_row_of_each_number():
    table = np.arange(12.0, dtype="float32").reshape(4, 3)
    layer = Embedding(4, 3, weights=table)
    assert layer.built
    np.testing.assert_array_equal(layer(np.array([[1, 3], [0, 0]])).detach(), table[[[1, 3], [0, 0]]])
    np.testing.assert_array_equal(layer(torch.tensor([2.0])).detach(), table[[2]])  # floats that are whole numbers
    np.testing.assert_array_equal(Embedding(4, 3, weights=[table]).get_weights()[0], table)
    assert layer.input_dim == 4 and layer.output_dim == 3


def test_embedding_starts_uniform():
    layer = Embedding(500, 20, name="embedding")
    layer.build()
    values = layer.get_weights()[0]
    assert abs(values).max() <= 0.05 and abs(values).max() > 0.049 and layer.weights[0].path == "embedding/embeddings"


def test_embedding_in_mixed_precision_keeps_large_numbers_apart():
    layer = Embedding(1000, 2, dtype="mixed_bfloat16")
    out = layer(np.array([[997.0, 998.0]], dtype="float32"))  # bfloat16 could not tell these apart
    assert out.dtype is torch.bfloat16 and not torch.equal(out[0, 0], out[0, 1])
    assert layer.embeddings.dtype is torch.float32


def test_a_number_without_a_vector_is_named():
    layer = Embedding(10, 4, name="words")
    assert message(lambda: layer(torch.tensor([[3, 25]])), IndexError) == (
        "Embedding 'words' got the number 25, for which it has no vector.\n"
        "Expected whole numbers from 0 to 9 (input_dim=10).\n"
        "Fix: Embedding(input_dim=26, output_dim=4): the largest number plus 1"
    )
    assert message(lambda: layer(torch.tensor([[3, -1]])), IndexError) == (
        "Embedding 'words' got the number -1, for which it has no vector.\n"
        "Expected whole numbers from 0 to 9 (input_dim=10).\n"
        "Fix: number the tokens from 0; -1 or the like needs a number of its own"
    )


@pytest.mark.parametrize(
    ("make", "first", "fix"),
    [
        (lambda: Embedding(0, 4), "Embedding got input_dim=0.", "Embedding(input_dim=1000)"),
        (lambda: Embedding(10, 4.5), "Embedding got output_dim=4.5.", "Embedding(output_dim=64)"),
        (lambda: Embedding(10, 4, lora_rank=0), "Embedding got lora_rank=0.", "Embedding(lora_rank=4)"),
        (
            lambda: Embedding(10, 4, quantization_config=8),
            "quantize got config=8.",
            "quantize(config=Int8QuantizationConfig())",
        ),
        (lambda: Masking("0"), "Masking got mask_value='0'.", "Masking(mask_value=0.0)"),
    ],
)
def test_impossible_settings(make, first, fix):
    lines = message(make).split("\n")
    assert lines[0] == first and lines[1].startswith("Expected ") and lines[2] == f"Fix: {fix}"


def test_the_old_input_length_is_taken_with_a_warning():
    with pytest.warns(UncrumpleWarning, match="input_length has no effect"):
        assert Embedding(5, 2, input_length=10)(torch.zeros(1, 3)).shape == (1, 3, 2)


def test_masks_are_made_where_asked_and_go_on():
    ids = torch.tensor([[3, 0, 5], [1, 2, 0]])
    assert not hasattr(Embedding(6, 4)(ids), "_keras_mask")
    out = Embedding(6, 4, mask_zero=True)(ids)
    assert out._keras_mask.tolist() == [[True, False, True], [True, True, False]]
    sequence = LSTM(2, return_sequences=True)(out)
    assert torch.equal(sequence._keras_mask, out._keras_mask)
    assert torch.equal(sequence[0, 1], sequence[0, 0])  # a masked step repeats the output before
    assert not hasattr(LSTM(2)(out), "_keras_mask")


def test_masking_marks_and_clears_time_steps():
    x = torch.tensor([[[1.0, 2.0], [-1.0, -1.0], [-1.0, 3.0]]])
    out = Masking(mask_value=-1.0)(x)
    assert out._keras_mask.tolist() == [[True, False, True]]
    assert out.tolist() == [[[1.0, 2.0], [0.0, 0.0], [-1.0, 3.0]]]
    low = Masking(mask_value=0.1, dtype="bfloat16")(torch.tensor([[[0.1], [0.2]]]))
    assert low._keras_mask.tolist() == [[False, True]]


def test_masks_of_symbolic_tensors():
    found = LSTM(2, return_sequences=True)(Embedding(6, 4, mask_zero=True)(Input((None,), dtype="int32")))
    assert isinstance(found, SymbolicTensor) and found.shape == (None, None, 2)
    assert all(probe._keras_mask.shape == probe.shape[:2] for probe in found._probes)
    assert Embedding(6, 4)(Input((3, 5))).shape == (None, 3, 5, 4)


def test_the_regularizer_and_constraint_belong_to_the_table():
    layer = Embedding(6, 4, embeddings_regularizer="l2", embeddings_constraint="non_neg")
    layer(torch.tensor([1]))
    torch.testing.assert_close(layer.losses[0], 0.01 * layer.embeddings.square().sum())
    assert layer.embeddings.constraint is layer.embeddings_constraint
