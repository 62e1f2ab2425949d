"""Misspelt names of anything."""

from beginners.table import classes, mistake, numbers, small_model


@mistake(
    ValueError,
    "activation",
    """
    Unknown activation: 'sofmax'.
    Expected one of N names, such as: softmax, log_softmax, sparsemax.
    Fix: did you mean 'softmax'?
    """,
)
def activation(keras):
    keras.layers.Dense(3, activation="sofmax")


@mistake(
    ValueError,
    "loss",
    """
    Unknown loss: 'sparse_categorial_crossentropy'.
    Expected one of N names, such as: sparse_categorical_crossentropy, categorical_crossentropy.
    Fix: did you mean 'sparse_categorical_crossentropy'?
    """,
)
def loss(keras):
    small_model(keras, loss="sparse_categorial_crossentropy")


@mistake(
    ValueError,
    "metric",
    """
    Unknown metric: 'acuracy'.
    Expected one of N names, such as: accuracy, binary_accuracy, acc, categorical_accuracy.
    Fix: did you mean 'accuracy'?
    """,
)
def metric(keras):
    small_model(keras).compile("adam", "mse", metrics=["acuracy"])


@mistake(
    ValueError,
    "optimizer",
    """
    Unknown optimizer: 'adm'.
    Expected one of N names, such as: Adam, AdamW, Nadam, Adamax, Lamb.
    Fix: did you mean 'Adam'?
    """,
)
def optimizer(keras):
    small_model(keras).compile("adm", "mse")


@mistake(
    ValueError,
    "initializer",
    """
    Unknown initializer: 'he_nromal'.
    Expected one of N names, such as: he_normal, normal, lecun_normal, he_uniform, truncated_normal.
    Fix: did you mean 'he_normal'?
    """,
)
def initializer(keras):
    keras.layers.Dense(3, kernel_initializer="he_nromal")


@mistake(
    ValueError,
    "regularizer",
    """
    Unknown regularizer: 'l3'.
    Expected one of: L1, l1, l1_l2, L1L2, l1l2, L2, l2, orthogonal_regularizer, OrthogonalRegularizer.
    Fix: did you mean 'l2'?
    """,
)
def regularizer(keras):
    keras.layers.Dense(3, kernel_regularizer="l3")


@mistake(
    ValueError,
    "constraint",
    """
    Unknown constraint: 'max_nrom'.
    Expected one of: max_norm, MaxNorm, min_max_norm, MinMaxNorm, non_neg, NonNeg, unit_norm, UnitNorm.
    Fix: did you mean 'max_norm'?
    """,
)
def constraint(keras):
    keras.layers.Dense(3, kernel_constraint="max_nrom")


@mistake(
    ValueError,
    "padding",
    """
    Conv2D got padding='smae'.
    Expected 'valid' or 'same'.
    Fix: Conv2D(..., padding='same')
    """,
)
def padding(keras):
    keras.layers.Conv2D(8, 3, padding="smae")


@mistake(
    ValueError,
    "data_format",
    """
    Conv2D got data_format='channel_last'.
    Expected 'channels_last' or 'channels_first'.
    Fix: Conv2D(..., data_format='channels_last')
    """,
)
def data_format(keras):
    keras.layers.Conv2D(8, 3, data_format="channel_last")


@mistake(
    ValueError,
    "merge_mode",
    """
    Bidirectional got merge_mode='concatenate'.
    Expected 'concat', 'sum', 'ave', 'mul' or None.
    Fix: Bidirectional(..., merge_mode='concat')
    """,
)
def merge_mode(keras):
    keras.layers.Bidirectional(keras.layers.LSTM(8), merge_mode="concatenate")


@mistake(
    ValueError,
    "reduction",
    """
    Unknown reduction: 'avg'.
    Expected one of: mean, mean_with_sample_weight, none, sum, sum_over_batch_size.
    Fix: use one of these names
    """,
)
def reduction(keras):
    keras.losses.MeanSquaredError(reduction="avg")


@mistake(
    ValueError,
    "policy",
    """
    Unknown dtype policy: 'mixed_flaot16'.
    Expected one of: bfloat16, float16, float32, float64, mixed_bfloat16, mixed_float16.
    Fix: did you mean 'mixed_float16'?
    """,
)
def dtype_policy(keras):
    keras.layers.Dense(3, dtype="mixed_flaot16")


@mistake(
    ValueError,
    "policy",
    """
    Unknown dtype policy: 'mixed_bf16'.
    Expected one of: bfloat16, float16, float32, float64, mixed_bfloat16, mixed_float16.
    Fix: did you mean 'mixed_bfloat16'?
    """,
)
def global_policy(keras):
    keras.mixed_precision.set_global_policy("mixed_bf16")


@mistake(
    ValueError,
    "dtype",
    """
    Unknown dtype: 'int23'.
    Expected one of: bfloat16, bool, float16, float32, float64, int16, int32, int64, int8, uint8.
    Fix: did you mean 'int32'?
    """,
)
def dtype(keras):
    keras.Input((4,), dtype="int23")


@mistake(
    ValueError,
    "'unit'",
    """
    Dense got an unknown argument 'unit'.
    Expected one of 19 arguments, such as: units, use_bias, quantization_config.
    Fix: did you mean 'units='?
    """,
)
def argument_of_dense(keras):
    keras.layers.Dense(unit=3)


@mistake(
    ValueError,
    "return_sequence",
    """
    LSTM got an unknown argument 'return_sequence'.
    Expected one of 30 arguments, such as: return_sequences, return_state, use_cudnn.
    Fix: did you mean 'return_sequences='?
    """,
)
def argument_of_lstm(keras):
    keras.layers.LSTM(8, return_sequence=True)


@mistake(
    ValueError,
    "lr",
    """
    Adam got an unknown argument 'lr'.
    Expected one of 15 arguments, such as: learning_rate, amsgrad, ema_overwrite_frequency.
    Fix: did you mean 'learning_rate='?
    """,
)
def argument_of_adam(keras):
    keras.optimizers.Adam(lr=0.01)


@mistake(
    TypeError,
    "from_logit",
    """
    SparseCategoricalCrossentropy got an unknown argument 'from_logit'.
    Expected one of: from_logits, ignore_class, reduction, axis, name, dtype.
    Fix: did you mean 'from_logits='?
    """,
)
def argument_of_a_loss(keras):
    keras.losses.SparseCategoricalCrossentropy(from_logit=True)


@mistake(
    TypeError,
    "treshold",
    """
    Precision got an unknown argument 'treshold'.
    Expected one of: thresholds, top_k, class_id, name, dtype.
    Fix: did you mean 'thresholds='?
    """,
)
def argument_of_a_metric(keras):
    keras.metrics.Precision(treshold=0.3)


@mistake(
    TypeError,
    "patince",
    """
    EarlyStopping got an unknown argument 'patince'.
    Expected one of: monitor, min_delta, patience, verbose, mode, baseline, restore_best_weights, start_from_epoch.
    Fix: did you mean 'patience='?
    """,
)
def argument_of_a_callback(keras):
    keras.callbacks.EarlyStopping(patince=3)


@mistake(
    TypeError,
    "factor",
    """
    L2 got an unknown argument 'factor'.
    Expected one of: l2.
    Fix: did you mean 'l2='?
    """,
)
def argument_of_a_regularizer(keras):
    keras.regularizers.L2(factor=0.1)


@mistake(
    TypeError,
    "stdev",
    """
    RandomNormal got an unknown argument 'stdev'.
    Expected one of: mean, stddev, seed.
    Fix: did you mean 'stddev='?
    """,
)
def argument_of_an_initializer(keras):
    keras.initializers.RandomNormal(stdev=0.1)


@mistake(
    TypeError,
    "decay_step",
    """
    ExponentialDecay got an unknown argument 'decay_step'.
    Expected one of: initial_learning_rate, decay_steps, decay_rate, staircase, name.
    Fix: did you mean 'decay_steps='?
    """,
)
def argument_of_a_schedule(keras):
    keras.optimizers.schedules.ExponentialDecay(0.1, decay_step=100, decay_rate=0.9)


@mistake(
    TypeError,
    "shap",
    """
    Input() got an unknown argument 'shap'.
    Expected one of: shape, batch_size, dtype, sparse, ragged, batch_shape, name, tensor, optional.
    Fix: did you mean 'shape='?
    """,
)
def argument_of_input(keras):
    keras.Input(shap=(4,))


@mistake(
    TypeError,
    "epoch",
    """
    fit() got an unknown argument 'epoch'.
    Expected one of 17 arguments, such as: epochs, initial_epoch, steps_per_epoch.
    Fix: did you mean 'epochs='?
    """,
)
def argument_of_fit(keras):
    small_model(keras).fit(numbers(8, 4), numbers(8), epoch=5)


@mistake(
    TypeError,
    "metric",
    """
    compile() got an unknown argument 'metric'.
    Expected one of 9 arguments, such as: metrics, weighted_metrics, optimizer.
    Fix: did you mean 'metrics='?
    """,
)
def argument_of_compile(keras):
    small_model(keras).compile("adam", "mse", metric=["mae"])


@mistake(
    TypeError,
    "batchsize",
    """
    evaluate() got an unknown argument 'batchsize'.
    Expected one of: x, y, batch_size, verbose, sample_weight, steps, callbacks, return_dict.
    Fix: did you mean 'batch_size='?
    """,
)
def argument_of_evaluate(keras):
    small_model(keras).evaluate(numbers(8, 4), numbers(8), batchsize=4)


@mistake(
    TypeError,
    "batchsize",
    """
    predict() got an unknown argument 'batchsize'.
    Expected one of: x, batch_size, verbose, steps, callbacks.
    Fix: did you mean 'batch_size='?
    """,
)
def argument_of_predict(keras):
    small_model(keras).predict(numbers(8, 4), batchsize=4)


@mistake(
    ValueError,
    "layer",
    """
    Unknown layer: 'hiden'.
    Expected one of: answer, hidden, x.
    Fix: did you mean 'hidden'?
    """,
)
def layer_of_a_model(keras):
    small_model(keras).get_layer("hiden")


@mistake(
    AttributeError,
    "layers",
    """
    uncrumple.layers has no 'Dens'.
    Expected one of N names, such as: Dense, EinsumDense, Identity.
    Fix: did you mean 'Dense'?
    """,
)
def class_of_layers(keras):
    keras.layers.Dens(3)


@mistake(
    AttributeError,
    "losses",
    """
    uncrumple.losses has no 'MeanSquareError'.
    Expected one of N names, such as: MeanSquaredError, MeanAbsoluteError, MeanSquaredLogarithmicError.
    Fix: did you mean 'MeanSquaredError'?
    """,
)
def class_of_losses(keras):
    keras.losses.MeanSquareError()


@mistake(
    AttributeError,
    "metrics",
    """
    uncrumple.metrics has no 'Acuracy'.
    Expected one of N names, such as: Accuracy, BinaryAccuracy, CategoricalAccuracy.
    Fix: did you mean 'Accuracy'?
    """,
)
def class_of_metrics(keras):
    keras.metrics.Acuracy()


@mistake(
    AttributeError,
    "optimizers",
    """
    uncrumple.optimizers has no 'Adm'.
    Expected one of N names, such as: Adam, AdamW, Nadam, Adamax, Lamb.
    Fix: did you mean 'Adam'?
    """,
)
def class_of_optimizers(keras):
    keras.optimizers.Adm(0.001)


@mistake(
    AttributeError,
    "callbacks",
    """
    uncrumple.callbacks has no 'EarlyStoping'.
    Expected one of N names, such as: EarlyStopping, ProgbarLogger, ModelCheckpoint.
    Fix: did you mean 'EarlyStopping'?
    """,
)
def class_of_callbacks(keras):
    keras.callbacks.EarlyStoping()


@mistake(
    AttributeError,
    "activations",
    """
    uncrumple.activations has no 'sofmax'.
    Expected one of N names, such as: softmax, log_softmax, sparsemax.
    Fix: did you mean 'softmax'?
    """,
)
def function_of_activations(keras):
    keras.layers.Dense(3, activation=keras.activations.sofmax)


@mistake(
    AttributeError,
    "utils",
    """
    uncrumple.utils has no 'to_categorial'.
    Expected one of N names, such as: to_categorical, img_to_array, is_keras_tensor.
    Fix: did you mean 'to_categorical'?
    """,
)
def function_of_utils(keras):
    keras.utils.to_categorial(classes(6))


@mistake(
    AttributeError,
    "datasets",
    """
    uncrumple.datasets has no 'mnits'.
    Expected one of: boston_housing, california_housing, cifar10, cifar100, fashion_mnist, imdb, mnist, reuters.
    Fix: did you mean 'mnist'?
    """,
)
def data_set(keras):
    keras.datasets.mnits.load_data()


@mistake(
    AttributeError,
    "initializers",
    """
    uncrumple.initializers has no 'HeNormall'.
    Expected one of N names, such as: HeNormal, LecunNormal, HeUniform, TruncatedNormal, GlorotNormal.
    Fix: did you mean 'HeNormal'?
    """,
)
def class_of_initializers(keras):
    keras.initializers.HeNormall()


@mistake(
    AttributeError,
    "Sequentail",
    """
    uncrumple has no 'Sequentail'.
    Expected one of N names, such as: Sequential, utils, Quantizer.
    Fix: did you mean 'Sequential'?
    """,
)
def name_in_the_package(keras):
    keras.Sequentail([])


@mistake(
    AttributeError,
    "complie",
    """
    Sequential 'sequential' has no 'complie'.
    Expected one of N names, such as: compile, compiled, jit_compile, compute_loss, compute_mask.
    Fix: did you mean 'compile'?
    """,
)
def method_of_a_model(keras):
    small_model(keras).complie("adam", "mse")


@mistake(
    AttributeError,
    "get_wieghts",
    """
    Dense 'dense' has no 'get_wieghts'.
    Expected one of N names, such as: get_weights, set_weights, weights, trainable_weights, add_weight.
    Fix: did you mean 'get_weights'?
    """,
)
def method_of_a_layer(keras):
    keras.layers.Dense(3, name="dense").get_wieghts()


@mistake(
    ImportError,
    "Dens",
    """
    uncrumple.layers has no 'Dens'.
    Expected one of N names, such as: Dense, EinsumDense, Identity.
    Fix: did you mean 'Dense'?
    """,
)
def import_of_a_class(keras):
    exec(f"from {keras.__name__}.layers import Dens")


@mistake(
    ValueError,
    "answr",
    """
    compile got loss for the output 'answr', which the model does not have.
    Expected one of: answer, price.
    Fix: did you mean 'answer'?
    """,
)
def output_name_in_loss(keras):
    inputs = keras.Input((4,))
    outputs = {"price": keras.layers.Dense(1)(inputs), "answer": keras.layers.Dense(1)(inputs)}
    model = keras.Model(inputs, outputs)
    model.compile("adam", {"price": "mse", "answr": "mse"})
    model.fit(numbers(8, 4), {"price": numbers(8), "answer": numbers(8)}, verbose=0)


@mistake(
    ValueError,
    "val_acc",
    """
    EarlyStopping watches monitor='val_acc', which this training will not log; it does nothing.
    Expected one of: loss, accuracy, val_loss, val_accuracy.
    Fix: EarlyStopping(monitor='val_accuracy')
    """,
)
def monitor(keras):
    model = small_model(keras, "sparse_categorical_crossentropy", 3, "softmax")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping(monitor="val_acc")
    model.fit(numbers(9, 4), classes(9), validation_split=0.4, callbacks=[stop], verbose=0)


@mistake(
    UserWarning,
    "val_acuracy",
    """
    ModelCheckpoint watches monitor='val_acuracy', which this training will not log; it saves every time.
    Expected one of: loss, accuracy, val_loss, val_accuracy.
    Fix: ModelCheckpoint(monitor='val_accuracy')
    """,
)
def monitor_with_a_mode(keras):
    model = small_model(keras, "sparse_categorical_crossentropy", 3, "softmax")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    keep = keras.callbacks.ModelCheckpoint("model.keras", monitor="val_acuracy", mode="max", save_best_only=True)
    model.fit(numbers(9, 4), classes(9), validation_split=0.4, callbacks=[keep], verbose=0)


@mistake(
    UserWarning,
    "val_loss",
    """
    EarlyStopping watches monitor='val_loss', which this training will not log; it does nothing.
    Expected one of: loss.
    Fix: fit(..., validation_split=0.2), or validation_data=(x, y)
    """,
)
def monitor_without_validation(keras):
    stop = keras.callbacks.EarlyStopping(monitor="val_loss")
    small_model(keras).fit(numbers(9, 4), numbers(9), callbacks=[stop], verbose=0)
