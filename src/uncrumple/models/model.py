"""`Model`: a layer that can be compiled, trained, evaluated and saved.

A façade: each method checks what it was given and hands over to one function.
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import torch

from uncrumple import metrics as metrics_room
from uncrumple import optimizers
from uncrumple.callbacks import CallbackList
from uncrumple.callbacks.logs import plain_logs
from uncrumple.core import naming, own_parts, own_values, registry, sharing, tree
from uncrumple.core.allocator import freed_memory_kept
from uncrumple.core.arguments import takes_no_other, unknown_of
from uncrumple.core.dtypes import dtype_policy
from uncrumple.core.errors import explain, unknown_name, warn
from uncrumple.core.settings import max_epochs
from uncrumple.data.batches import EndlessEpochs, make_batches, unpack_x_y_sample_weight
from uncrumple.layers import failures, symbolic
from uncrumple.layers.base import Layer
from uncrumple.layers.modes import calls, told
from uncrumple.layers.operation import Operation
from uncrumple.layers.shapes import symbols
from uncrumple.layers.weights import Added
from uncrumple.models.graph import Graph
from uncrumple.models.inference import predict_at_once
from uncrumple.training import checks, loop, own_steps
from uncrumple.training.compiled import CompiledLoss, CompiledMetrics
from uncrumple.training.shared import quiet_elsewhere


class Model(Layer, loop.Steps):
    """A network with inputs and outputs.

    Three ways to make one: `Model(inputs, outputs)` from symbolic tensors;
    `Sequential` from a list of layers; or a class of your own that makes
    layers in `__init__` and uses them in `call`.

    Args:
        inputs: Symbolic tensor(s) from `Input`: one, a list, or a dict.
        outputs: Symbolic tensor(s) computed from them.
        name: Name of the model.

    Example:
        >>> from uncrumple.layers import Dense, Input
        >>> inputs = Input((4,))
        >>> model = Model(inputs, Dense(3, activation="softmax")(inputs))
        >>> model(torch.ones(2, 4)).shape
        torch.Size([2, 3])
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and _is_functional(args, kwargs):
            from uncrumple.models.functional import Functional

            return super().__new__(Functional, *args, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        inputs, outputs = kwargs.pop("inputs", None), kwargs.pop("outputs", None)
        if args:
            inputs, args = args[0], args[1:]
        if args:
            outputs, args = args[0], args[1:]
        if args:
            kwargs["name"] = args[0]
        super().__init__(**kwargs)
        self._start()
        if (inputs is None) != (outputs is None):
            raise ValueError(
                explain(
                    f"{type(self).__name__} got {'inputs without outputs' if outputs is None else 'outputs without inputs'}.",
                    "Expected both, or neither.",
                    "Model(inputs=inputs, outputs=outputs)",
                )
            )
        if inputs is not None:
            self._set_graph(Graph(inputs, outputs, self.name))

    def _start(self) -> None:
        self._graph: Graph | None = None
        self.compiled = False
        self.optimizer: Any = None
        self.loss: Any = None
        self.stop_training = False
        self.stop_evaluating = False
        self.stop_predicting = False
        self.steps_per_execution = 1
        self.history: Any = None
        self._loss_tracker: Any = None
        self._compile_loss: CompiledLoss | None = None
        self._compile_metrics: CompiledMetrics | None = None
        self._given_metrics: tuple[Any, Any] = (None, None)
        self._scales_loss = False
        self._when_testing: dict[str, Any] = {}
        self._seen_losses = 0
        self._regularized: list[Any] | None = None
        self._metrics_cache: list[Any] | None = None
        self._initial_epoch: int | None = None
        self._initial_step: int | None = None
        self._plan: Any = None

    def _set_graph(self, graph: Graph) -> None:
        self._graph = graph
        for layer in graph.layers:
            self._register(layer)
        self.built = True
        self.supports_masking = True

    def _register(self, layer: Any) -> None:
        """Make a layer a part of the model.

        `state_dict` knows it by its name, or, if it has none of its own, by its class and a number within the
        model: the number in its name depends on what else the program has made.
        """
        if any(layer is part for part in self._modules.values()):
            return
        kind = naming.to_snake_case(type(layer).__name__)
        key = kind if re.fullmatch(rf"{kind}(_\d+)?", layer.name) else layer.name.replace(".", "_")
        free, count = key, 0
        while free in self._modules or free in self.__dict__ or hasattr(type(self), free):
            count += 1
            free = f"{key}_{count}"
        self._modules[free] = layer

    # --- calling -----------------------------------------------------------------------

    _runs = False  # it is being fitted, evaluated or the like: see layers/modes.py
    _infers = False  # after model.eval(), until model.train()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if calls.inside:
            return super().__call__(*args, **kwargs)
        if self._seen_losses != Added.count:
            self._clear_losses()
            self.__dict__["_seen_losses"] = Added.count  # nn.Module's way to set an attribute is long
        was_told = calls.told
        calls.inside, calls.told = True, was_told or self._runs or self._infers
        try:
            return super().__call__(*args, **kwargs)
        finally:
            calls.inside, calls.told = False, was_told

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Compute the outputs. A class of your own overrides it."""
        if self._graph is None:
            raise NotImplementedError(
                explain(
                    f"{type(self).__name__} has no call() method.",
                    "Expected one: it says how the layers are used.",
                    "def call(self, inputs): return self.dense(inputs)",
                )
            )
        given = self._graph.arrange(inputs)
        if mask is not None:
            for tensor, one in zip(given, tree.flatten(mask)):
                if one is not None and not hasattr(tensor, "_keras_mask"):
                    tensor._keras_mask = one
        return self._graph.run(given)

    def _take_other_sizes(self, inputs: Any) -> None:
        """Make ready for inputs of other sizes than at the first call: see `Sequential`."""

    def build(self, input_shape: Any) -> None:
        """Make all weights for inputs of this shape, by running `call` without data."""
        if self._graph is None:
            self._trace(symbols(input_shape, self.compute_dtype))

    def _trace(self, inputs: Any) -> Any:
        """Run on symbolic inputs, so that every layer inside is built; return symbolic outputs."""
        with symbolic.at_home(), self._within():
            was_built, self.built = self.built, True
            try:
                outputs = symbolic.run_on_probes(self, (inputs,), {})
            except BaseException as error:
                self.built = was_built
                failure = failures.explained(self, error, (inputs,)) if isinstance(error, Exception) else None
                if failure is None:
                    raise
                raise failure from None
        return outputs

    def _build_for(self, args: Any, kwargs: Any) -> None:
        if type(self).build is not Model.build:
            super()._build_for(args, kwargs)
        self.built = True  # layers inside are built as `call` reaches them
        if args and all(isinstance(leaf, torch.Tensor) for leaf in tree.flatten(args[0])):
            self._build_shapes = {"input_shape": tree.map_structure(lambda x: (None, *tuple(x.shape)[1:]), args[0])}
            self._build_kinds = tree.map_structure(lambda x: x.dtype, args[0])

    def _pass_mask(self, inputs: Any, mask: Any, outputs: Any) -> None:
        """The layers inside have put masks on the outputs already."""

    @property
    def layers(self) -> list[Any]:
        """The layers of the model, in order; operators such as `x + 1` are left out, as in Keras."""
        if self._graph is not None:
            return [layer for layer in self._graph.layers if not isinstance(layer, Operation)]
        return [
            layer for layer in self._flatten_layers(include_self=False, recursive=False) if isinstance(layer, Layer)
        ]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """Return a layer by its name or its place.

        Raises:
            ValueError: There is none; the message says which is meant.
        """
        if (name is None) == (index is None):
            raise ValueError(
                explain(
                    "get_layer got both a name and an index, or neither.",
                    "Expected one of them.",
                    'model.get_layer("dense")',
                )
            )
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(
                    explain(
                        f"get_layer got index={index}.",
                        f"Expected 0 to {len(self.layers) - 1}: the model has {len(self.layers)} layers.",
                        "model.summary() lists them",
                    )
                )
            return self.layers[index]
        layers = self.layers if self._graph is None else self._graph.layers
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(unknown_name("layer", str(name), [layer.name for layer in layers]))

    @property
    def inputs(self) -> Any:
        return None if self._graph is None else list(self._graph.flat_inputs)

    @property
    def outputs(self) -> Any:
        return None if self._graph is None else list(self._graph.flat_outputs)

    @property
    def input(self) -> Any:
        return self._graph.inputs if self._graph is not None else super().input

    @property
    def output(self) -> Any:
        return self._graph.outputs if self._graph is not None else super().output

    @property
    def input_shape(self) -> Any:
        return tree.map_structure(lambda tensor: tensor.shape, self.input)

    @property
    def output_shape(self) -> Any:
        return tree.map_structure(lambda tensor: tensor.shape, self.output)

    @property
    def input_names(self) -> list[str]:
        return [] if self._graph is None else list(self._graph.input_names)

    @property
    def output_names(self) -> list[str] | None:
        """Names of the outputs: the keys of a dict, else the layers that made them."""
        if self._graph is None:
            return None
        if isinstance(self._graph.outputs, dict) and len(self._graph.outputs) == len(self._graph.flat_outputs):
            return sorted(self._graph.outputs)
        return [tensor.keras_history[0].name for tensor in self._graph.flat_outputs]

    # --- losses and metrics ----------------------------------------------------------------

    def _extra_losses(self) -> list[Any]:
        """Return the losses of `add_loss` and of regularizers."""
        if self._regularized is None:
            self._regularized = [w for w in self.weights if getattr(w, "regularizer", None) is not None]
        found: list[Any] = []
        if self._seen_losses != Added.count:
            for layer in self._flatten_layers():
                if isinstance(layer, Layer):
                    found += layer._losses
        found += [own_values.penalty(one.regularizer, one) for one in self._regularized if one.requires_grad]
        return found

    @property
    def metrics(self) -> list[Any]:
        """The metrics: the loss, those of `compile`, and those that layers hold."""
        if self._metrics_cache is not None:
            return self._metrics_cache
        found: list[Any] = []
        if self.compiled:
            found.append(self._loss_tracker)
            if self._compile_metrics is not None:
                found.append(self._compile_metrics)
            if self._compile_loss is not None:
                found += self._compile_loss.metrics
        own = [self, *[layer for layer in self._flatten_layers(include_self=False) if not isinstance(layer, Model)]]
        for layer in own:
            for name, value in vars(layer).items():
                held = name not in _OWN_METRICS and tree.is_nested(value) and not name.startswith("_")
                for part in tree.flatten(value) if held else [value]:
                    if isinstance(part, metrics_room.Metric) and name not in _OWN_METRICS:
                        found.append(part)
        return list({id(metric): metric for metric in found}.values())

    @property
    def metrics_names(self) -> list[str]:
        return [metric.name for metric in self.metrics]

    def train(self, mode: bool = True) -> Any:
        """Set whether layers behave as in training, as torch's `train`; nothing is done where all do already."""
        if mode and self._infers:
            self._infers = False
        if all(module.training is mode for module in self.modules()):
            return self
        return super().train(mode)

    def eval(self) -> Any:
        """Let all layers infer, those that change images at random too, until `train()`; as torch's `eval`."""
        self._infers = True
        return self.train(False)

    # --- compile ---------------------------------------------------------------------------

    @takes_no_other
    def compile(  # type: ignore[override]
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        **unknown: Any,
    ) -> None:
        """Say how the model learns.

        Compiling again without a loss keeps the loss, and without metrics the metrics, as in Keras;
        `metrics=[]` leaves them out.

        Args:
            optimizer: Name or object.
            loss: Name, function or object; for several outputs a list, or a dict by output name.
                A list of losses for one output stands for their sum.
            loss_weights: Weight of each output's loss.
            metrics: What to report besides the loss, without sample weights: a list, or one list per output.
            weighted_metrics: What to report with sample weights.
            run_eagerly: Kept with the model; torch always runs eagerly.
            steps_per_execution: Callbacks are called at every n-th batch.
            jit_compile: True runs the network through `torch.compile`; "auto" and False do not.
            auto_scale_loss: Scale the loss under the policy `mixed_float16`, where small gradients underflow.

        Raises:
            ValueError: A name is not known; the message says which is meant.

        Example:
            >>> from uncrumple.models import Sequential
            >>> from uncrumple.layers import Dense
            >>> model = Sequential([Dense(3, activation="softmax")])
            >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        """
        if unknown:
            raise unknown_of(Model.compile, unknown)
        if isinstance(steps_per_execution, bool) or not isinstance(steps_per_execution, int) or steps_per_execution < 1:
            raise ValueError(
                explain(
                    f"compile got steps_per_execution={steps_per_execution!r}.",
                    "Expected a whole number of at least 1.",
                    "steps_per_execution=1",
                )
            )
        checks.check_identifiers(optimizer, loss, metrics, weighted_metrics)
        if loss is None:
            loss = self.loss
            loss_weights = getattr(self, "loss_weights", None) if loss_weights is None else loss_weights
        if metrics is None and weighted_metrics is None:
            metrics, weighted_metrics = self._given_metrics
        self._given_metrics = metrics, weighted_metrics
        optimizer = optimizers.get(optimizer)
        if auto_scale_loss and _computes_in_half(self) and isinstance(optimizer, optimizers.Optimizer):
            if not isinstance(optimizer, optimizers.LossScaleOptimizer):
                optimizer = optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
        self._compile_config = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile is True,
        }
        self.optimizer = optimizer
        self.loss = loss
        self.loss_weights = loss_weights
        self.run_eagerly = run_eagerly
        self.steps_per_execution = steps_per_execution
        self.jit_compile = jit_compile is True
        if self.jit_compile:
            torch.nn.Module.compile(self)
        else:
            self._compiled_call_impl = None
        self._scales_loss = hasattr(optimizer, "scale_loss")
        self._compile_loss = CompiledLoss(loss, loss_weights, self.output_names) if loss is not None else None
        self._compile_metrics = (
            CompiledMetrics(metrics, weighted_metrics, self.output_names, loss)
            if metrics is not None or weighted_metrics is not None
            else None
        )
        self._loss_tracker = metrics_room.Mean(name="loss")
        self._when_testing = (
            {"training": False} if "training" in inspect.signature(self.compute_loss).parameters else {}
        )
        self._metrics_cache = None
        self._trainable_when_compiled = self._trainable_state()
        self.compiled = True

    def _trainable_state(self) -> dict[str, bool]:
        return {layer.name: layer.trainable for layer in self._flatten_layers() if isinstance(layer, Layer)}

    def get_compile_config(self) -> dict[str, Any] | None:
        """Return what `compile` was given, as plain data."""
        if not self.compiled or not hasattr(self.optimizer, "get_config"):  # optimizers of torch have no config
            return None
        return registry.serialize_dict(self._compile_config)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config` says, and prepare the optimizer for the weights."""
        if type(self).compile is not Model.compile:
            warn(
                f"Model '{self.name}' was not compiled: {type(self).__name__} has a compile() of its own.",
                "Expected compile() to take what Model.compile takes.",
                "model.compile(...) after loading",
            )
            return
        settings = {name: registry.deserialize_keras_object(value) for name, value in config.items()}
        if settings.get("optimizer") is None and "optimizer" in settings:
            del settings["optimizer"]
        self.compile(**settings)
        if self.built and hasattr(self.optimizer, "build"):
            self.optimizer.build(self.trainable_variables)

    # --- training --------------------------------------------------------------------------

    @takes_no_other
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        *,
        diagnose: bool = False,
        **unknown: Any,
    ) -> Any:
        """Train the model.

        Args:
            x: Arrays, tensors, data frames, or a list or dict of them for several inputs; or a torch
                data set, `DataLoader` or generator that hands out (x, y) or (x, y, sample_weight).
            y: Targets; not with sources that hand them out.
            batch_size: Samples per step, 32 by default.
            epochs: Train up to the epoch of this number.
            verbose: 0 silent, 1 live progress, 2 one line per epoch; "auto" is 1.
            callbacks: List of callbacks.
            validation_split: Share of the samples, taken from the end before shuffling, to validate on.
            validation_data: (x, y) or (x, y, sample_weight), or a source that hands them out.
            shuffle: Draw the samples in a new order each epoch.
            class_weight: {class number: weight}.
            sample_weight: One weight per sample.
            initial_epoch: Number of the first epoch, to go on with earlier training.
            steps_per_epoch: Batches per epoch; the next epoch goes on with the batch after.
            validation_steps: Batches per validation.
            validation_batch_size: By default `batch_size`.
            validation_freq: Validate every n-th epoch, or after the epochs in this list (counted from 1).
            diagnose: Watch the model while it learns, and say once what goes wrong: what was seen, where, the
                number and its limit, why it matters, and one thing to try. See docs/diagnosis.md.

        Returns:
            A `History`: `.history` holds one list per metric, `.findings` what `diagnose` found.

        Raises:
            ValueError: The model is not compiled, or data and model do not fit. Nothing was trained then.
        """
        if unknown:
            raise unknown_of(Model.fit, unknown)
        self._require_compiled("fit")
        checks.check_arguments(
            "fit",
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            validation_split=validation_split,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
        )
        limit = max_epochs()
        epochs = epochs if limit is None else min(epochs, limit)
        checks.warn_if_trainable_changed(self)
        x, y, sample_weight, validation_data = checks.split_for_validation(
            x, y, sample_weight, validation_data, validation_split
        )
        training = make_batches(
            x, y, sample_weight, batch_size=batch_size, shuffle=shuffle, class_weight=class_weight, training=True
        )
        validation = None
        if validation_data is not None:
            parts = (
                unpack_x_y_sample_weight(validation_data)
                if isinstance(validation_data, (tuple, list))
                else (validation_data, None, None)
            )
            streams = not isinstance(validation_data, (tuple, list))
            size = None if streams else validation_batch_size or batch_size
            validation = make_batches(*parts, batch_size=size, prefix="validation ")
        self._prepare(training, validation, learn=True)
        epochs_of_training = EndlessEpochs(training, steps_per_epoch)
        verbose = quiet_elsewhere(verbose)
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(
                callbacks,
                add_history=True,
                add_progbar=verbose != 0,
                model=self,
                verbose=verbose,
                epochs=epochs,
                steps=epochs_of_training.steps,
                batch_size=training.batch_size,
            )
        checks.check_monitors(self, callbacks.callbacks, validation is not None)
        epochs_of_validation = EndlessEpochs(validation, validation_steps) if validation is not None else None
        diagnosis = None
        if diagnose:
            from uncrumple.training.diagnosis import Diagnosis

            diagnosis = Diagnosis(
                self,
                epochs_of_training,
                epochs_of_validation,
                loud=verbose != 0,
                callbacks=callbacks.callbacks,
            )
            callbacks.append(diagnosis)
        try:
            with told(self):
                return loop.fit(
                    self,
                    epochs_of_training,
                    epochs_of_validation,
                    callbacks,
                    initial_epoch,
                    epochs,
                    validation_freq,
                    diagnosis,
                )
        except Exception as error:
            failure = own_steps.explained(self, error)
            if failure is None:
                raise
            raise failure from None
        finally:
            self.train(False)
            if diagnosis is not None:
                callbacks.callbacks.remove(diagnosis)

    def _prepare(self, training: Any, validation: Any = None, *, learn: bool, again: bool = True) -> None:
        """Build what is not built, look at the data, and refuse what cannot work, before anything runs."""
        device = next((weight.device for weight in self.weights), torch.get_default_device())
        training.to(device)
        checks.check_data(self, training, again=again)
        if validation is not None:
            validation.to(device)
            checks.check_data(self, validation, "validation x", "validation y")
        if learn and hasattr(self.optimizer, "build") and not getattr(self.optimizer, "built", False):
            weights = self.trainable_variables
            if weights:  # a model with a train_step of its own may make them there
                _build(self.optimizer, weights)
        self._regularized = None
        self._metrics_cache = None
        self._metrics_cache = self.metrics

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:
            raise ValueError(
                explain(
                    f"Model '{self.name}': {method}() was called before compile().",
                    "Expected an optimizer and a loss first.",
                    f'model.compile(optimizer="adam", loss="mse"), then model.{method}(...)',
                )
            )

    @takes_no_other
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **unknown: Any,
    ) -> Any:
        """Return the loss and the metrics on data, without learning.

        Args:
            x, y, sample_weight, batch_size, verbose, callbacks: As for `fit`.
            steps: Number of batches; all by default.
            return_dict: Return {name: value} instead of a list.

        Returns:
            The loss if there are no metrics, else [loss, metric, ...]; Python floats.
        """
        if unknown:
            raise unknown_of(Model.evaluate, unknown)
        self._require_compiled("evaluate")
        checks.check_arguments("evaluate", batch_size=batch_size, verbose=verbose, steps=steps)
        batches = make_batches(x, y, sample_weight, batch_size=batch_size)
        self._prepare(batches, learn=False)
        epochs = EndlessEpochs(batches, steps)
        verbose = quiet_elsewhere(verbose)
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(
                callbacks, add_progbar=verbose != 0, model=self, verbose=verbose, epochs=1, steps=epochs.steps
            )
        learning = self.training  # a callback may ask in the midst of training
        try:
            with told(self):
                logs = loop.evaluate(self, epochs, callbacks)
        except Exception as error:
            failure = own_steps.explained(self, error)
            if failure is None:
                raise
            raise failure from None
        finally:
            self.train(learning)
        return logs if return_dict else self._in_order(logs)

    @takes_no_other
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        **unknown: Any,
    ) -> Any:
        """Return the outputs for data, as NumPy arrays.

        Args:
            x, batch_size, verbose, callbacks: As for `fit`.
            steps: Number of batches; all by default.
        """
        if unknown:
            raise unknown_of(Model.predict, unknown)
        if callbacks is None and steps is None and type(verbose) is int and verbose == 0:
            found = predict_at_once(self, x, batch_size)
            if found is not None:
                return found
        checks.check_arguments("predict", batch_size=batch_size, verbose=verbose, steps=steps)
        batches = make_batches(x, batch_size=batch_size)
        if any(True for _ in self.parameters()):
            batches = batches.to(next(self.parameters()).device)
        checks.check_inputs_of(self, batches)
        epochs = EndlessEpochs(batches, steps)
        if not isinstance(callbacks, CallbackList):
            callbacks = CallbackList(
                callbacks, add_progbar=verbose != 0, model=self, verbose=verbose, epochs=1, steps=epochs.steps
            )
        learning = self.training
        try:
            with told(self), freed_memory_kept():
                return loop.predict(self, epochs, callbacks)
        except Exception as error:
            failure = own_steps.explained(self, error)
            if failure is None:
                raise
            raise failure from None
        finally:
            self.train(learning)

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Learn from one batch; return its loss and metrics."""
        return self._on_batch("train_on_batch", x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Return the loss and metrics of one batch, without learning."""
        return self._on_batch("test_on_batch", x, y, sample_weight, None, return_dict)

    def _on_batch(self, method: str, x: Any, y: Any, sample_weight: Any, class_weight: Any, return_dict: bool) -> Any:
        self._require_compiled(method)
        batches = make_batches(x, y, sample_weight, class_weight=class_weight, batch_size=2**62)
        learn = method == "train_on_batch"
        self._prepare(batches, learn=learn, again=False)
        self.reset_metrics()
        learning = self.training
        self.train(learn)
        batch = loop.as_handed(next(batches.epoch()))
        try:
            with told(self), torch.set_grad_enabled(learn and torch.is_grad_enabled()):
                if learn:
                    loop.plan_steps(self)
                logs = self.train_step(batch) if learn else self.test_step(batch)
        except Exception as error:
            failure = own_steps.explained(self, error)
            if failure is None:
                raise
            raise failure from None
        finally:
            self.train(learning)
        results = plain_logs(logs)
        return results if return_dict else self._in_order(results)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch, as NumPy arrays."""
        return self.predict(x, batch_size=2**62, verbose=0)

    def _in_order(self, logs: dict[str, Any]) -> Any:
        """Return logs as Keras lists them: by the metrics' own names as they stand in `metrics`, then the rest by name."""
        names = []
        for metric in self.metrics:
            inner = metric.metrics if isinstance(metric, CompiledMetrics) else [metric]
            names += [one.name for one in inner]
        values = [logs[name] for name in names if name in logs]
        values += [logs[name] for name in sorted(logs) if name not in names]
        return values[0] if len(values) == 1 else values

    # --- looking, saving -------------------------------------------------------------------

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print the layers with their output shapes and numbers of weights.

        Args:
            line_length: Width in characters; by default that of the terminal.
            positions: Relative ends of the columns.
            print_fn: Function that is called with the text instead of `print`.
            expand_nested: Show the layers within models and within layers too.
            show_trainable: Add a column that says which layers are trained.
            layer_range: (first, last) layer names (patterns) to show.
        """
        from uncrumple.models.summary import print_summary

        print_summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    def trace(self, x: Any, **settings: Any) -> Any:
        """Return the way of data through the model: shapes, parameters, and the arithmetic of one number per layer.

        Args:
            x: Samples, as for `predict`.
            settings: `layer`, `unit`, `sample`, `time_step`, `training`: see `uncrumple.explain.trace`.

        Returns:
            A `Trace`; `print(model.trace(x))` shows it.
        """
        # A room above this one, so it is opened only when somebody asks to see.
        return importlib.import_module("uncrumple.explain").trace(self, x, **settings)

    def step_through(self, x: Any, y: Any = None, **settings: Any) -> Any:
        """Return one forward and backward pass with its numbers: prediction, cost, chain rule, update.

        The model stays as it was.

        Args:
            x, y: Samples and targets, as for `fit`.
            settings: `weight`, `sample_weight`, `sample`: see `uncrumple.explain.step_through`.

        Returns:
            A `Step`; `print(model.step_through(x, y))` shows it.
        """
        return importlib.import_module("uncrumple.explain").step_through(self, x, y, **settings)

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Save the whole model (layers, weights, optimizer, what `compile` was given) as a `.keras` or `.h5` file.

        Args:
            filepath: Path that ends in `.keras`, or in `.h5` for the form of Keras 2.
            overwrite: Replace a file that is there; otherwise raise.
            zipped: Must be None or True.
        """
        from uncrumple.models.saving import save_model

        save_model(self, filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(
        self, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None, **kwargs: Any
    ) -> None:
        """Save the weights as a `.weights.h5` or `.safetensors` file, or as several of at most `max_shard_size` GB."""
        from uncrumple.models.saving import save_weights

        save_weights(self, filepath, overwrite=overwrite, max_shard_size=max_shard_size, **kwargs)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Load weights that `save_weights` or Keras wrote."""
        from uncrumple.models.saving import load_weights

        load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: Any = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write what the model computes as a program that runs without this package and without Python code.

        It is written for any number of samples, and for any size of the other axes that are None.

        Args:
            filepath: Path of the file; for "torch" it ends in `.pt2`.
            format: "torch", a program that `torch.export.load` reads, or "onnx", which needs
                `pip install "uncrumple[onnx]"`. Keras's other formats, its default included, are refused in words.
            verbose: Whether a line says that the file was written; None says it.
            input_signature: What the model is called on: a list with an `InputSpec` (shape and dtype), an `Input`
                or a tensor per argument. By default what the model was built for.
            kwargs: For "onnx" `opset_version` (18 to 23, by default 23); for "torch" what `torch.export.export`
                takes, such as `dynamic_shapes`.

        Raises:
            ValueError: The format or an argument is not one of these, or the model was not built.
            RuntimeError: The model does something that the format cannot express.
            ImportError: The packages for ONNX are not installed.

        Example:
            >>> import os, tempfile
            >>> from uncrumple.layers import Dense, Input
            >>> from uncrumple.models import Sequential
            >>> model = Sequential([Input((4,)), Dense(3)])
            >>> path = os.path.join(tempfile.mkdtemp(), "model.pt2")
            >>> model.export(path, format="torch", verbose=False)
            >>> torch.export.load(path).module()(torch.ones(5, 4)).shape
            torch.Size([5, 3])
        """
        from uncrumple.models.exporting import export_model

        export_model(self, filepath, format, verbose, input_signature, **kwargs)

    def quantize(self, mode: str | None = None, config: Any = None, filters: Any = None, **kwargs: Any) -> None:
        """Keep the large weights of the layers as int8: a quarter of the memory, and products of whole numbers.

        Args:
            mode: "int8".
            config: `Int8QuantizationConfig`, for quantizers of one's own.
            filters: Which layers: a regular expression for their names, a list of these, or a function of the layer.
            kwargs: `type_check=False` takes subclasses of Dense and the like as well.
        """
        from uncrumple.models.quantizing import quantize

        quantize(self, mode, config, filters, **kwargs)

    def to_json(self, **kwargs: Any) -> str:
        """Return the architecture as JSON text, without weights."""
        import json

        return json.dumps(sharing.write(lambda: registry.serialize_keras_object(self)), **kwargs)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
        """Return a model with these settings; of a functional model's config, that model.

        Args:
            config: What `get_config()` returned.
            custom_objects: {name: class or function} that the config may name.
        """
        if cls is Model and {"layers", "input_layers", "output_layers"} <= config.keys():
            from uncrumple.models.functional import Functional

            return Functional.from_config(config, custom_objects)
        return super().from_config(config, custom_objects)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if type(self).get_config is Model.get_config and type(self).__init__ is not Model.__init__:
            return self._with_given_arguments(config)
        return config


def _build(optimizer: Any, weights: list[Any]) -> None:
    """Let an optimizer take the weights; one that a user wrote is named if it fails there."""
    try:
        optimizer.build(weights)
    except Exception as error:
        failure = None
        if own_parts.is_own(optimizer):
            failure = own_parts.failed(
                own_parts.named("optimizer", type(optimizer), optimizer.name),
                error,
                on=" in build()",
                expected="Expected build() to take the weights, and to make a state for them.",
                fix='super().build(variables); self.add_optimizer_variables(variables, "velocity")',
            )
        if failure is None:
            raise
        raise failure from None


_OWN_METRICS = ("_loss_tracker", "_compile_metrics", "_metrics_cache", "_compile_loss")


def _is_functional(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return len(args) >= 2 or (len(args) == 1 and "outputs" in kwargs) or ("inputs" in kwargs and "outputs" in kwargs)


def _computes_in_half(model: Model) -> bool:
    policies = [dtype_policy(), *[layer.dtype_policy for layer in model._flatten_layers() if isinstance(layer, Layer)]]
    return any(policy.name == "mixed_float16" for policy in policies)
