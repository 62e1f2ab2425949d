"""Recurrent layers: a cell computes one time step, `RNN` runs it over a sequence."""

from uncrumple.layers.recurrent.bidirectional import Bidirectional
from uncrumple.layers.recurrent.conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
from uncrumple.layers.recurrent.gru import GRU, GRUCell
from uncrumple.layers.recurrent.lstm import LSTM, LSTMCell
from uncrumple.layers.recurrent.rnn import RNN
from uncrumple.layers.recurrent.simple import SimpleRNN, SimpleRNNCell
from uncrumple.layers.recurrent.stacked import StackedRNNCells

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Bidirectional",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "GRUCell",
    "LSTMCell",
    "SimpleRNN",
    "SimpleRNNCell",
    "StackedRNNCells",
]
