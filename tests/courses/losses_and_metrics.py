"""Losses and metrics called by hand on small numbers: what the lecture shows on the board."""

import numpy as np

import uncrumple as keras
from uncrumple import ops

y_true, y_pred = np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([[0.6, 0.4], [0.4, 0.6]])
values = {}
for name in (
    "MeanSquaredError",
    "MeanAbsoluteError",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Huber",
    "LogCosh",
    "KLDivergence",
    "CosineSimilarity",
    "Hinge",
    "SquaredHinge",
    "CategoricalHinge",
    "Poisson",
    "MeanAbsolutePercentageError",
    "MeanSquaredLogarithmicError",
    "BinaryFocalCrossentropy",
    "Dice",
    "Tversky",
):
    values[name] = round(float(getattr(keras.losses, name)()(y_true, y_pred)), 4)
print(values)
print([round(float(v), 4) for v in keras.losses.mean_squared_error(y_true, y_pred)])
print(round(float(keras.losses.MeanSquaredError(reduction="sum")(y_true, y_pred, sample_weight=[0.7, 0.3])), 4))
per_sample = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)(
    np.array([1, 0]), np.array([[1.0, 2.0, 3.0], [0.1, 0.2, 0.3]])
)
print(per_sample.shape, [round(float(v), 4) for v in per_sample])

accuracy = keras.metrics.BinaryAccuracy(threshold=0.5)
accuracy.update_state([0, 1, 1, 1], [0.1, 0.9, 0.4, 0.8])
print(round(float(accuracy.result()), 4))
measures = {}
for name in (
    "Precision",
    "Recall",
    "AUC",
    "TruePositives",
    "FalseNegatives",
    "MeanSquaredError",
    "RootMeanSquaredError",
    "CosineSimilarity",
    "BinaryIoU",
    "R2Score",
):
    metric = getattr(keras.metrics, name)()
    arguments = ([[0.0], [1.0], [1.0], [0.0]], [[0.2], [0.7], [0.4], [0.6]])
    metric.update_state(*arguments)
    metric.update_state(*arguments)
    measures[metric.name] = round(float(metric.result()), 4)
    metric.reset_state()
print(measures)
top = keras.metrics.TopKCategoricalAccuracy(k=2)
top.update_state([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.0, 0.95]])
mean = keras.metrics.Mean()
for value in (1, 2, 6):
    mean(value)
print(float(top.result()), float(mean.result()))

x = ops.convert_to_tensor([[1.0, 2.0], [3.0, 4.0]])
print(ops.matmul(x, ops.transpose(x)).tolist(), ops.softmax(x).shape, ops.one_hot([0, 2], 3).tolist())
print(
    ops.sum(x, axis=0).tolist(),
    ops.reshape(x, (-1,)).tolist(),
    ops.where(x > 2, x, 0.0).tolist(),
    ops.argmax(x, axis=1).tolist(),
)
v = keras.Variable(ops.zeros((2,)), name="v")
v.assign_add([1.0, 2.0])
print(v.shape, ops.convert_to_numpy(v).tolist(), v.trainable, keras.activations.relu(ops.array([-1.0, 2.0])).tolist())
