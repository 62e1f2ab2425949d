"""The whole loop by hand, as torch has it: metrics with state, an optimizer with apply, evaluation at the end."""

import numpy as np
import torch

import uncrumple as keras
from uncrumple import layers, ops

keras.utils.set_random_seed(3)
rng = np.random.default_rng(9)
x = rng.random((160, 12)).astype("float32")
y = (x.sum(axis=1) > 6).astype("int64")
data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=False)

model = keras.Sequential(
    [keras.Input((12,)), layers.Dense(16, activation="relu"), layers.Dropout(0.1), layers.Dense(2)]
)
optimizer = keras.optimizers.Adam(learning_rate=1e-2)
loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
accuracy = keras.metrics.SparseCategoricalAccuracy()
mean = keras.metrics.Mean()


def train_step(inputs, targets):
    logits = model(inputs, training=True)
    loss = loss_function(targets, logits)
    model.zero_grad()
    loss.backward()
    gradients = [v.value.grad for v in model.trainable_weights]
    with torch.no_grad():
        optimizer.apply(gradients, model.trainable_weights)
    accuracy.update_state(targets, logits)
    mean.update_state(loss)
    return loss


losses = []
for _ in range(4):
    accuracy.reset_state()
    mean.reset_state()
    for inputs, targets in loader:
        train_step(inputs, targets)
    losses.append(float(mean.result()))
print("better:", losses[-1] < losses[0])
with torch.no_grad():
    logits = model(x)
classes = ops.argmax(logits, axis=-1)
right = float(ops.mean(ops.cast(ops.equal(classes, y), "float32")))
print(int(optimizer.iterations), logits.shape, 0 <= right <= 1)

net = keras.Sequential([keras.Input((12,)), layers.Dense(4, activation="tanh"), layers.Dense(1)])
torchs = torch.optim.SGD(net.parameters(), lr=0.05)
for inputs, targets in loader:
    out = net(inputs)
    cost = torch.nn.functional.mse_loss(out[:, 0], targets.float())
    torchs.zero_grad()
    cost.backward()
    torchs.step()
print(out.shape, cost.ndim)
