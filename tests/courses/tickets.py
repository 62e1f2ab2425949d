"""Several inputs and outputs: names, dicts, lists, loss weights, sample weights, class weights."""

import numpy as np

import uncrumple as keras
from uncrumple import layers

rng = np.random.default_rng(6)
size, vocabulary, tags, departments = 64, 30, 5, 3
title = keras.Input(shape=(vocabulary,), name="title")
body = keras.Input(shape=(vocabulary,), name="text_body")
tag = keras.Input(shape=(tags,), name="tags")
features = layers.Concatenate()([title, body, tag])
features = layers.Dense(16, activation="relu", name="dense_features")(features)
priority = layers.Dense(1, activation="sigmoid", name="priority")(features)
department = layers.Dense(departments, activation="softmax", name="department")(features)
model = keras.Model(inputs=[title, body, tag], outputs=[priority, department])
model.summary()

title_data = rng.integers(0, 2, (size, vocabulary))
body_data = rng.integers(0, 2, (size, vocabulary))
tags_data = rng.integers(0, 2, (size, tags))
priority_data = rng.random((size, 1))
department_data = keras.utils.to_categorical(rng.integers(0, departments, size), departments)

model.compile(
    optimizer="adam",
    loss=["mean_squared_error", "categorical_crossentropy"],
    metrics=[["mean_absolute_error"], ["accuracy"]],
)
by_list = model.fit([title_data, body_data, tags_data], [priority_data, department_data], epochs=1, verbose=0)
listed = model.evaluate([title_data, body_data, tags_data], [priority_data, department_data], verbose=0)
model.compile(
    optimizer="adam",
    loss={"priority": "mean_squared_error", "department": "categorical_crossentropy"},
    loss_weights={"priority": 2.0, "department": 0.5},
    metrics={"priority": ["mean_absolute_error"], "department": ["accuracy"]},
)
x = {"title": title_data, "text_body": body_data, "tags": tags_data}
y = {"priority": priority_data, "department": department_data}
by_name = model.fit(x, y, epochs=2, validation_split=0.25, verbose=0)
priorities, found = model.predict(x, verbose=0)
print(len(listed), sorted(by_name.history))

extended = layers.Dense(3, activation="softmax", name="difficulty")(model.layers[4].output)
bigger = keras.Model([title, body, tag], [priority, department, extended])
names = [layer.name for layer in bigger.layers]
three = bigger.predict([title_data, body_data, tags_data], verbose=0)

single = keras.Sequential([keras.Input((vocabulary,)), layers.Dense(3, activation="softmax")])
single.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
weighted = single.fit(title_data, department_data.argmax(1), class_weight={0: 1.0, 1: 2.0, 2: 4.0}, epochs=1, verbose=0)
sampled = single.fit(title_data, department_data.argmax(1), sample_weight=np.linspace(0, 1, size), epochs=1, verbose=0)
print(sorted(weighted.history), sorted(sampled.history))
