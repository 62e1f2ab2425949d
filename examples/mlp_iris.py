"""The Keras workflow, step by step, with a dense network on Iris. Runs offline in a second.

python examples/mlp_iris.py
"""

from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

import uncrumple as keras
from uncrumple import layers

keras.utils.set_random_seed(1)

# 0. Prepare the data: features in one array, class numbers in another; 30 rows set apart, 10 of each class.
iris = load_iris()
x_train, x_test, y_train, y_test = train_test_split(
    iris.data, iris.target, test_size=30, stratify=iris.target, random_state=0
)

# 1. Create the model. The statistics for scaling come from the training rows alone.
scaling = layers.Normalization()
scaling.adapt(x_train)
model = keras.Sequential([keras.Input((4,)), scaling])

# 2. Add layers.
model.add(layers.Dense(10, activation="relu"))
model.add(layers.Dense(10, activation="relu"))
model.add(layers.Dense(3, activation="softmax"))
model.summary()

# 3. Compile: how to learn, what to make small, what to show.
model.compile(optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])

# 4. Fit.
history = model.fit(x_train, y_train, epochs=40, batch_size=16, validation_split=0.2, verbose=0)
print(f"loss: {history.history['loss'][0]:.3f} after the first epoch, {history.history['loss'][-1]:.3f} after the last")

# 5. Evaluate on rows that training never saw.
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"test: loss {loss:.3f}, accuracy {accuracy:.3f}")

# 6. Predict: one probability per class.
probabilities = model.predict(x_test[:5], verbose=0)

# 7. Decode: from probabilities back to names.
for row, truth in zip(probabilities, y_test):
    best = row.argmax()
    print(f"{iris.target_names[best]:11} ({row[best]:.0%})   really {iris.target_names[truth]}")

assert accuracy >= 0.9, f"accuracy fell to {accuracy:.3f}"
