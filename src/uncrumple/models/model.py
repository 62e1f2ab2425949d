"""`Model`: a layer that can be compiled, trained, evaluated and saved.

A façade: each method checks what it was given and hands over to one function.
"""

from __future__ import annotations

import importlib
from typing import Any

from uncrumple.core import registry, sharing
from uncrumple.core.arguments import takes_no_other, unknown_of
from uncrumple.core.errors import explain
from uncrumple.layers.base import Layer
from uncrumple.models import compiling, running
from uncrumple.models.graph import Graph
from uncrumple.models.inference import predict_at_once
from uncrumple.models.network import Network
from uncrumple.models.reported import metrics_of
from uncrumple.training import loop
from uncrumple.training.compiled import CompiledLoss, CompiledMetrics


class Model(Network, loop.Steps):
    """A network with inputs and outputs.

    Three ways to make one: `Model(inputs, outputs)` from symbolic tensors;
    `Sequential` from a list of layers; or a class of your own that makes
    layers in `__init__` and uses them in `call`.

    Args:
        inputs: Symbolic tensor(s) from `Input`: one, a list, or a dict.
        outputs: Symbolic tensor(s) computed from them.
        name: Name of the model.

    Example:
        >>> import torch
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
        self._graph = None
        self.compiled = False
        self.optimizer: Any = None
        self.loss: Any = None
        self.stop_training = False
        self.stop_evaluating = False
        self.stop_predicting = False
        self.steps_per_execution = 1
        self.run_eagerly = False
        self.jit_compile = False
        self.history: Any = None
        self._loss_tracker: Any = None
        self._compile_loss: CompiledLoss | None = None
        self._compile_metrics: CompiledMetrics | None = None
        self._given_metrics: tuple[Any, Any] = (None, None)
        self._scales_loss = False
        self._when_testing: dict[str, Any] = {}
        self._seen_losses = 0
        self._regularized = None
        self._metrics_cache: list[Any] | None = None
        self._initial_epoch: int | None = None
        self._initial_step: int | None = None
        self._plan: Any = None

    # --- metrics ---------------------------------------------------------------------------

    @property
    def metrics(self) -> list[Any]:
        """The metrics: the loss, those of `compile`, and those that layers hold."""
        return metrics_of(self) if self._metrics_cache is None else self._metrics_cache

    @property
    def metrics_names(self) -> list[str]:
        return [metric.name for metric in self.metrics]

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
            run_eagerly: True records no steps of a model on a GPU; elsewhere torch always runs eagerly.
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
        compiling.compile_model(
            self,
            optimizer,
            loss,
            loss_weights,
            metrics,
            weighted_metrics,
            run_eagerly,
            steps_per_execution,
            jit_compile,
            auto_scale_loss,
        )

    def _trainable_state(self) -> dict[str, bool]:
        return {layer.name: layer.trainable for layer in self._flatten_layers() if isinstance(layer, Layer)}

    def get_compile_config(self) -> dict[str, Any] | None:
        """Return what `compile` was given, as plain data."""
        return compiling.config_of(self)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config` says, and prepare the optimizer for the weights."""
        compiling.compile_from_config(self, config)

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
        prepared = running.prepare_fit(
            self,
            x,
            y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight,
            sample_weight=sample_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            validation_freq=validation_freq,
            diagnose=diagnose,
        )
        with prepared as given:
            return loop.fit(self, *given)

    def _prepare(self, training: Any, validation: Any = None, *, learn: bool, again: bool = True) -> None:
        """Build what is not built, look at the data, and refuse what cannot work, before anything runs."""
        running.prepare(self, training, validation, learn=learn, again=again)

    def _require_compiled(self, method: str) -> None:
        running.require_compiled(self, method)

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
        return running.evaluate(self, x, y, batch_size, verbose, sample_weight, steps, callbacks, return_dict)

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
        return running.predict(self, x, batch_size, verbose, steps, callbacks)

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Learn from one batch; return its loss and metrics."""
        return running.on_batch(self, "train_on_batch", x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Return the loss and metrics of one batch, without learning."""
        return running.on_batch(self, "test_on_batch", x, y, sample_weight, None, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch, as NumPy arrays."""
        return self.predict(x, batch_size=2**62, verbose=0)

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
            >>> import os, tempfile, torch
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


def _is_functional(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return len(args) >= 2 or (len(args) == 1 and "outputs" in kwargs) or ("inputs" in kwargs and "outputs" in kwargs)
