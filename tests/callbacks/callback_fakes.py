"""A small stand-in for a model, with what callbacks look at."""

import random

import numpy as np
import torch

from uncrumple.callbacks import CallbackList, LazyLogs


class Loss:
    """A running mean, as the loss tracker of a model is one."""

    name = "loss"
    _direction = "down"

    def __init__(self):
        self.variables = [torch.zeros(()), torch.zeros(())]

    def reset(self):
        for variable in self.variables:
            variable.zero_()

    def update(self, value):
        self.variables[0] += value
        self.variables[1] += 1

    def result(self):
        return self.variables[0] / self.variables[1]


class Adam(torch.optim.Adam):
    built = True

    @property
    def learning_rate(self):
        return self.param_groups[0]["lr"]

    @learning_rate.setter
    def learning_rate(self, value):
        self.param_groups[0]["lr"] = float(value)

    @property
    def iterations(self):
        states = list(self.state.values())
        return int(states[0]["step"]) if states else 0


class Model(torch.nn.Module):
    """A network of one layer with dropout, whose training draws random numbers of three kinds."""

    name = "fake"
    built = True

    def __init__(self, features=4):
        super().__init__()
        self.stop_training = False
        self.dense = torch.nn.Linear(features, 1)
        self.dropout = torch.nn.Dropout(0.5)
        self.dropout.generator = None  # made when it is first needed
        self.optimizer = Adam(self.parameters(), lr=0.01)
        self.metrics = [Loss()]
        self.layers = [self.dense]
        self.saved = []

    @property
    def trainable_variables(self):
        return list(self.parameters())

    def get_weights(self):
        return [weight.detach().numpy().copy() for weight in self.parameters()]

    def set_weights(self, weights):
        with torch.no_grad():
            for weight, value in zip(self.parameters(), weights):
                weight.copy_(torch.as_tensor(value))

    def save(self, path, overwrite=True):
        self.saved.append(path)
        with open(path, "w") as file:
            file.write("model")

    save_weights = save

    def summary(self, print_fn=print):
        print_fn('Model: "fake"\n dense   5 parameters')

    def train_step(self, batch):
        if self.dropout.generator is None:
            self.dropout.generator = torch.Generator().manual_seed(7)
        mask = torch.bernoulli(torch.full((1, 4), 0.5), generator=self.dropout.generator)
        noise = random.random() + np.random.normal() + torch.randn(()).item()
        loss = (self.dense(self.dropout(batch) * mask) - noise).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.metrics[0].update(loss.detach())
        return LazyLogs(lambda: {"loss": self.metrics[0].result()})

    def fit(self, callbacks, epochs=3, steps=5, stop=lambda epoch, step: False):
        """Train as the real loop does: shuffled data, hooks, and a start in the middle where a callback asks for it."""
        callbacks = CallbackList(callbacks, add_history=True, model=self, verbose=0, epochs=epochs, steps=steps)
        data = torch.linspace(-1, 1, steps * 4).reshape(steps, 4)
        self.stop_training = False
        callbacks.on_train_begin()
        initial_epoch, initial_step = getattr(self, "_initial_epoch", None) or 0, getattr(self, "_initial_step", None)
        logs = {}
        for epoch in range(initial_epoch, epochs):
            self.metrics[0].reset()
            callbacks.on_epoch_begin(epoch)
            for step, place in enumerate(torch.randperm(steps)):
                if epoch == initial_epoch and step < (initial_step or 0):
                    continue
                if stop(epoch, step):
                    raise KeyboardInterrupt
                if callbacks.has_train_batch_hooks:
                    callbacks.on_train_batch_begin(step)
                batch_logs = self.train_step(data[place : place + 1])
                if callbacks.has_train_batch_hooks:
                    callbacks.on_train_batch_end(step, batch_logs)
                if self.stop_training:
                    break
            logs = {"loss": self.metrics[0].result()}
            callbacks.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        callbacks.on_train_end(logs)
        return self.history
