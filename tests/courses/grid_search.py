"""scikit-learn searches over networks: a wrapper, a pipeline, cross-validation and a grid."""

import numpy as np
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import uncrumple as keras
from uncrumple import layers
from uncrumple.wrappers import SKLearnClassifier, SKLearnRegressor

rng = np.random.default_rng(23)
x = rng.normal(size=(48, 4)).astype("float32")
y = (x[:, 0] + x[:, 1] > 0).astype("int64")


def classifier(X, y, hidden=(8,), optimizer="adam"):
    inputs = keras.Input((X.shape[1],))
    h = inputs
    for size in hidden:
        h = layers.Dense(size, activation="relu")(h)
    outputs = layers.Dense(y.shape[1] if y.ndim > 1 else 1, activation="softmax")(h)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def regressor(X, y):
    model = keras.Sequential([keras.Input((X.shape[1],)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


network = SKLearnClassifier(model=classifier, model_kwargs={"hidden": (8,)}, fit_kwargs={"epochs": 2, "verbose": 0})
pipeline = make_pipeline(StandardScaler(), network)
pipeline.fit(x, y)
predicted = pipeline.predict(x)
scores = cross_val_score(network, x, y, cv=2)
search = GridSearchCV(network, {"model_kwargs": [{"hidden": (4,)}, {"hidden": (4, 4), "optimizer": "rmsprop"}]}, cv=2)
search.fit(x, y)
amounts = SKLearnRegressor(regressor, fit_kwargs={"epochs": 1, "verbose": 0}).fit(x, y).predict(x)
print(predicted.shape, scores.shape, sorted(search.best_params_), amounts.shape)
