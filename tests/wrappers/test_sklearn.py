"""scikit-learn's own checks of estimators, and its tools at work on them."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import uncrumple as keras
from uncrumple.layers import Dense, Input
from uncrumple.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

QUIET = {"verbose": 0}


def network(X, y, loss="mse", units=(10,), activation=None, rate=0.001):
    keras.utils.set_random_seed(0)  # two fits begin alike, as scikit-learn's checks want it
    hidden = inputs = Input((X.shape[1],))
    for size in units:
        hidden = Dense(size, activation="relu")(hidden)
    model = keras.Model(inputs, Dense(y.shape[1], activation=activation)(hidden))
    model.compile(loss=loss, optimizer=keras.optimizers.RMSprop(rate))
    return model


CLASSIFIES = {"loss": "categorical_crossentropy", "activation": "softmax"}
A_COLUMN_PER_CLASS = "as in Keras, decision_function has a column per class for two classes as well"
FAILS = {
    "SKLearnClassifier": {
        "check_classifiers_train": A_COLUMN_PER_CLASS,
        "check_classifiers_classes": A_COLUMN_PER_CLASS,
    },
    "SKLearnRegressor": {"check_regressor_multioutput": "predictions are float32, as what the network computes"},
}


class Named:
    """`network` with a name of its own: the names of tests must not hold an address in memory."""

    def __call__(self, *args, **kwargs):
        return network(*args, **kwargs)

    def __repr__(self):
        return "network"


@parametrize_with_checks(
    [
        SKLearnClassifier(Named(), model_kwargs={**CLASSIFIES, "rate": 0.02}, fit_kwargs={"epochs": 20, **QUIET}),
        SKLearnRegressor(Named(), fit_kwargs=QUIET),
        SKLearnTransformer(Named(), fit_kwargs=QUIET),
    ],
    expected_failed_checks=lambda estimator: FAILS.get(type(estimator).__name__, {}),
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


# --- its tools ------------------------------------------------------------------------------


def labelled():
    X, y = make_classification(60, 5, n_informative=3, n_classes=3, n_clusters_per_class=1, random_state=0)
    return X, np.array(["ant", "bee", "cow"])[y]


def classifier(**kwargs):
    return SKLearnClassifier(
        network, model_kwargs={**CLASSIFIES, "rate": 0.02}, fit_kwargs={"epochs": 10, **QUIET}, **kwargs
    )


def test_labels_come_back():
    X, y = labelled()
    fitted = classifier().fit(X, y)
    assert list(fitted.classes_) == ["ant", "bee", "cow"]
    assert fitted.score(X, y) > 0.8
    assert set(fitted.predict(X)) <= set(y)
    assert (fitted.classes_[fitted.decision_function(X).argmax(1)] == fitted.predict(X)).all()
    assert fitted.epoch_ == 10 and len(fitted.history_.history["loss"]) == 10


def test_in_a_pipeline_and_cross_validation():
    X, y = labelled()
    pipeline = make_pipeline(StandardScaler(), classifier())
    assert cross_val_score(pipeline, X * 100 + 5, y, cv=3).mean() > 0.6


def test_a_search_over_settings():
    X, y = labelled()
    grid = {"model_kwargs": [{**CLASSIFIES, "units": (size,), "rate": 0.02} for size in (2, 16)]}
    search = GridSearchCV(classifier(), grid, cv=2).fit(X, y)
    assert search.best_estimator_.model_.layers[1].units in (2, 16)
    assert search.best_score_ == max(search.cv_results_["mean_test_score"])
    assert search.best_estimator_.fit_kwargs == {"epochs": 10, **QUIET}


def test_a_transformer_before_a_classifier_of_scikit_learn():
    X, y = make_classification(40, 5, random_state=0)
    embedding = SKLearnTransformer(network, fit_kwargs=QUIET)
    pipeline = make_pipeline(embedding, LogisticRegression()).fit(X, y)
    assert pipeline[:-1].transform(X).shape == (40, 1)
    assert pipeline.predict(X).shape == (40,)


def test_a_regressor_keeps_the_form_of_its_targets():
    X, y = make_regression(30, 4, random_state=0)
    assert SKLearnRegressor(network, fit_kwargs=QUIET).fit(X, y).predict(X).shape == (30,)
    assert SKLearnRegressor(network, fit_kwargs=QUIET).fit(X, y[:, None]).predict(X).shape == (30, 1)
    assert SKLearnRegressor(network, fit_kwargs=QUIET).fit(X, np.stack([y, -y], 1)).predict(X).shape == (30, 2)


def compiled():
    model = keras.Sequential([Input((4,)), Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_a_model_is_cloned_for_each_fit():
    X, y = make_regression(30, 4, random_state=0)
    model = compiled()
    before = model.get_weights()
    regressor = SKLearnRegressor(model, fit_kwargs=QUIET).fit(X, y)
    assert regressor.model_ is not model
    assert all((a == b).all() for a, b in zip(before, model.get_weights()))


def test_warm_start_goes_on():
    X, y = make_regression(30, 4, random_state=0)
    model = compiled()
    regressor = SKLearnRegressor(model, warm_start=True, fit_kwargs={"epochs": 5, **QUIET}).fit(X, y)
    assert regressor.model_ is model
    first = regressor.history_.history["loss"]
    assert regressor.fit(X, y).history_.history["loss"][0] < first[-1]
    of_function = SKLearnRegressor(network, warm_start=True, fit_kwargs=QUIET).fit(X, y)
    made = of_function.model_
    assert of_function.fit(X, y).model_ is made


def test_what_fit_is_given_comes_before_fit_kwargs_and_changes_nothing():
    X, y = make_regression(30, 4, random_state=0)
    regressor = SKLearnRegressor(network, fit_kwargs={"epochs": 3, **QUIET})
    assert regressor.fit(X, y, epochs=2).epoch_ == 2
    assert regressor.fit_kwargs == {"epochs": 3, **QUIET}
    assert clone(regressor).fit_kwargs == {"epochs": 3, **QUIET}


def test_pickled_with_its_weights():
    X, y = make_regression(30, 4, random_state=0)
    for model in (network, compiled()):
        fitted = SKLearnRegressor(model, fit_kwargs=QUIET).fit(X, y)
        again = pickle.loads(pickle.dumps(fitted))
        assert (again.predict(X) == fitted.predict(X)).all()


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda: SKLearnRegressor(keras.Sequential([Input((4,)), Dense(1)], name="net")).fit(
                np.ones((3, 4)), np.ones(3)
            ),
            RuntimeError,
            "SKLearnRegressor got the model 'net', which is not compiled.\nExpected an optimizer and a loss.\n"
            'Fix: model.compile(optimizer="adam", loss="mse") before it is wrapped',
        ),
        (
            lambda: SKLearnRegressor("net").fit(np.ones((3, 4)), np.ones(3)),
            TypeError,
            "SKLearnRegressor got 'net' as its model.\n"
            "Expected a compiled model, or a function of X and y that returns one.\n"
            "Fix: SKLearnRegressor(model=make_model)",
        ),
        (
            lambda: SKLearnRegressor(lambda X, y: None).fit(np.ones((3, 4)), np.ones(3)),
            TypeError,
            "SKLearnRegressor: its function 'model' returned NoneType.\nExpected a compiled model.\nFix: return model",
        ),
        (
            lambda: SKLearnClassifier(network).fit(np.ones((3, 4)), [1, 1, 1]),
            ValueError,
            "SKLearnClassifier got targets of one class.\n"
            "Expected two or more: a classifier can't train when only one class is present.\n"
            "Fix: train on samples of other classes too",
        ),
    ],
)
def test_mistakes(make, error, text):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == text


def test_arguments_are_those_of_keras():
    import inspect

    from keras import wrappers as theirs

    for mine in (SKLearnClassifier, SKLearnRegressor, SKLearnTransformer):
        their = inspect.signature(getattr(theirs, mine.__name__))
        found = inspect.signature(mine)
        assert [(p.name, p.default) for p in found.parameters.values()] == [
            (p.name, p.default) for p in their.parameters.values()
        ]
