"""Models as scikit-learn's estimators: in its pipelines, searches and cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from uncrumple.core.errors import answer_misspellings, explain
from uncrumple.models.cloning import clone_model
from uncrumple.models.model import Model


class _Wrapper(BaseEstimator):
    """What the three have in common: a model, made or cloned for each `fit`."""

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        tags.target_tags.required = True
        return tags

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Any:
        """Train a new model on (X, y).

        Args:
            X: Array (samples, features).
            y: Array (samples,) or (samples, outputs).
            kwargs: What `Model.fit` takes besides; they come before those of `fit_kwargs`.
        """
        X, y = self._checked(X, y)
        targets = self._targets(y)
        model = self._model_for(X, targets)
        self.history_ = model.fit(X, targets, **{**(self.fit_kwargs or {}), **kwargs})
        self.model_ = model
        return self

    def predict(self, X: Any) -> Any:
        """Return the predictions for X, in the form that the targets had."""
        return self._as_targets(self._outputs(X))

    @property
    def epoch_(self) -> int:
        """The number of epochs that the last `fit` has trained."""
        return len(self.history_.epoch) if hasattr(self, "history_") else 0

    def _checked(self, X: Any, y: Any) -> tuple[Any, Any]:
        return validate_data(self, X, y, multi_output=True, y_numeric=False)

    def _targets(self, y: np.ndarray) -> np.ndarray:
        """Return what the network learns to give: two axes, and what `predict` returns to is kept in mind."""
        if type_of_target(y, raise_unknown=True):
            self._flat_targets = y.ndim == 1
        return y.reshape(len(y), -1)

    def _as_targets(self, outputs: np.ndarray) -> np.ndarray:
        return outputs[:, 0] if self._flat_targets and outputs.ndim == 2 and outputs.shape[1] == 1 else outputs

    def _outputs(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "model_")
        X = validate_data(self, X, reset=False)
        return self.model_.predict(X, verbose=0)

    def _model_for(self, X: np.ndarray, targets: np.ndarray) -> Any:
        owner = type(self).__name__
        if self.warm_start and hasattr(self, "model_"):
            return self.model_
        if isinstance(self.model, Model):
            model = self.model if self.warm_start else clone_model(self.model)
        elif callable(self.model):
            model = self.model(X=X, y=targets, **(self.model_kwargs or {}))
            if not isinstance(model, Model):
                raise TypeError(
                    explain(
                        f"{owner}: its function 'model' returned {type(model).__name__}.",
                        "Expected a compiled model.",
                        "return model",
                    )
                )
        else:
            raise TypeError(
                explain(
                    f"{owner} got {self.model!r} as its model.",
                    "Expected a compiled model, or a function of X and y that returns one.",
                    f"{owner}(model=make_model)",
                )
            )
        if not model.compiled or model.loss is None or model.optimizer is None:
            raise RuntimeError(
                explain(
                    f"{owner} got the model '{model.name}', which is not compiled.",
                    "Expected an optimizer and a loss.",
                    'model.compile(optimizer="adam", loss="mse") before it is wrapped',
                )
            )
        return model


class SKLearnClassifier(ClassifierMixin, _Wrapper):
    """A model as scikit-learn's classifier.

    Labels of any kind become one-hot rows (samples, classes), in the order of `classes_`; the model needs one output
    per class and a loss for one-hot targets, such as `categorical_crossentropy`.

    Args:
        model: A compiled model, of which each `fit` trains a clone with new weights, or a function that is called
            with X, y (the one-hot rows) and `model_kwargs` and returns a compiled model.
        warm_start: Whether `fit` goes on with the weights of the `fit` before, or of the model itself.
        model_kwargs: What the function is called with besides X and y.
        fit_kwargs: What `Model.fit` is called with besides X and y, such as `{"epochs": 10}`.

    Attributes:
        model_: The trained model.
        history_: What `Model.fit` returned.
        classes_: The labels.

    Shapes: X (samples, features); y and predictions (samples,).

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> def network(X, y, units=8):
        ...     model = Sequential([Input(X.shape[1:]), Dense(units, "relu"), Dense(y.shape[1], "softmax")])
        ...     model.compile("adam", "categorical_crossentropy")
        ...     return model
        >>> X = np.array([[0.0], [1.0], [0.1], [0.9]])
        >>> classifier = SKLearnClassifier(network, model_kwargs={"units": 16}, fit_kwargs={"verbose": 0})
        >>> classifier.fit(X, ["no", "yes", "no", "yes"]).predict(X).shape
        (4,)
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the outputs of the model as they are, one column per class."""
        return self._outputs(X)

    def _checked(self, X: Any, y: Any) -> tuple[Any, Any]:
        return validate_data(self, X, y)

    def _targets(self, y: np.ndarray) -> np.ndarray:
        kind = type_of_target(y, raise_unknown=True)
        if kind not in ("binary", "multiclass"):
            # scikit-learn's own checks look for its words.
            raise ValueError(
                explain(
                    f"SKLearnClassifier got targets of the kind '{kind}'. Unknown label type: {kind}.",
                    "Expected one label per sample: binary or multiclass.",
                    "SKLearnRegressor(model), for numbers",
                )
            )
        self.classes_, places = np.unique(y, return_inverse=True)
        if len(self.classes_) == 1:
            raise ValueError(
                explain(
                    "SKLearnClassifier got targets of one class.",
                    "Expected two or more: a classifier can't train when only one class is present.",
                    "train on samples of other classes too",
                )
            )
        return np.eye(len(self.classes_), dtype="float32")[places]

    def _as_targets(self, outputs: np.ndarray) -> np.ndarray:
        if outputs.ndim != 2 or outputs.shape[1] != len(self.classes_):
            raise ValueError(
                explain(
                    f"SKLearnClassifier: the model returned the shape {outputs.shape}.",
                    f"Expected one column per class: (samples, {len(self.classes_)}).",
                    f'Dense({len(self.classes_)}, activation="softmax") as the last layer',
                )
            )
        return self.classes_[outputs.argmax(axis=1)]


class SKLearnRegressor(RegressorMixin, _Wrapper):
    """A model as scikit-learn's regressor.

    Args:
        model: A compiled model, of which each `fit` trains a clone with new weights, or a function that is called
            with X, y (two axes) and `model_kwargs` and returns a compiled model.
        warm_start: Whether `fit` goes on with the weights of the `fit` before, or of the model itself.
        model_kwargs: What the function is called with besides X and y.
        fit_kwargs: What `Model.fit` is called with besides X and y, such as `{"epochs": 10}`.

    Attributes:
        model_: The trained model.
        history_: What `Model.fit` returned.

    Shapes: X (samples, features); y and predictions (samples,) or (samples, outputs).

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((2,)), Dense(1)])
        >>> model.compile("adam", "mse")
        >>> X = np.ones((4, 2))
        >>> SKLearnRegressor(model, fit_kwargs={"verbose": 0}).fit(X, [1.0, 2.0, 3.0, 4.0]).predict(X).shape
        (4,)
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        tags.target_tags.multi_output = True
        return tags

    def _checked(self, X: Any, y: Any) -> tuple[Any, Any]:
        return validate_data(self, X, y, multi_output=True, y_numeric=True)


class SKLearnTransformer(TransformerMixin, _Wrapper):
    """A model as scikit-learn's transformer: its outputs are features for the next step of a pipeline.

    Args:
        model: A compiled model, of which each `fit` trains a clone with new weights, or a function that is called
            with X, y (two axes) and `model_kwargs` and returns a compiled model.
        warm_start: Whether `fit` goes on with the weights of the `fit` before, or of the model itself.
        model_kwargs: What the function is called with besides X and y.
        fit_kwargs: What `Model.fit` is called with besides X and y, such as `{"epochs": 10}`.

    Attributes:
        model_: The trained model.
        history_: What `Model.fit` returned.

    Shapes: X (samples, features); `transform` returns (samples, outputs of the model).

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> from uncrumple.models import Sequential
        >>> model = Sequential([Input((2,)), Dense(3)])
        >>> model.compile("adam", "mse")
        >>> X = np.ones((4, 2))
        >>> SKLearnTransformer(model, fit_kwargs={"verbose": 0}).fit(X, np.ones((4, 3))).transform(X).shape
        (4, 3)
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def transform(self, X: Any) -> np.ndarray:
        """Return the outputs of the model for X."""
        return self._outputs(X)


__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]

answer_misspellings(__name__)
