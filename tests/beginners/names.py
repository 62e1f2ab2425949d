"""Misspelt names of anything."""

from beginners.table import classes, mistake, numbers, small_model


@mistake(ValueError, "activation")
def activation(keras):
    keras.layers.Dense(3, activation="sofmax")


@mistake(ValueError, "loss")
def loss(keras):
    small_model(keras, loss="sparse_categorial_crossentropy")


@mistake(ValueError, "metric")
def metric(keras):
    small_model(keras).compile("adam", "mse", metrics=["acuracy"])


@mistake(ValueError, "optimizer")
def optimizer(keras):
    small_model(keras).compile("adm", "mse")


@mistake(ValueError, "initializer")
def initializer(keras):
    keras.layers.Dense(3, kernel_initializer="he_nromal")


@mistake(ValueError, "regularizer")
def regularizer(keras):
    keras.layers.Dense(3, kernel_regularizer="l3")


@mistake(ValueError, "constraint")
def constraint(keras):
    keras.layers.Dense(3, kernel_constraint="max_nrom")


@mistake(ValueError, "padding")
def padding(keras):
    keras.layers.Conv2D(8, 3, padding="smae")


@mistake(ValueError, "data_format")
def data_format(keras):
    keras.layers.Conv2D(8, 3, data_format="channel_last")


@mistake(ValueError, "merge_mode")
def merge_mode(keras):
    keras.layers.Bidirectional(keras.layers.LSTM(8), merge_mode="concatenate")


@mistake(ValueError, "reduction")
def reduction(keras):
    keras.losses.MeanSquaredError(reduction="avg")


@mistake(ValueError, "policy")
def dtype_policy(keras):
    keras.layers.Dense(3, dtype="mixed_flaot16")


@mistake(ValueError, "policy")
def global_policy(keras):
    keras.mixed_precision.set_global_policy("mixed_bf16")


@mistake(ValueError, "dtype")
def dtype(keras):
    keras.Input((4,), dtype="int23")


@mistake(ValueError, "'unit'")
def argument_of_dense(keras):
    keras.layers.Dense(unit=3)


@mistake(ValueError, "return_sequence")
def argument_of_lstm(keras):
    keras.layers.LSTM(8, return_sequence=True)


@mistake(ValueError, "lr")
def argument_of_adam(keras):
    keras.optimizers.Adam(lr=0.01)


@mistake(TypeError, "from_logit")
def argument_of_a_loss(keras):
    keras.losses.SparseCategoricalCrossentropy(from_logit=True)


@mistake(TypeError, "treshold")
def argument_of_a_metric(keras):
    keras.metrics.Precision(treshold=0.3)


@mistake(TypeError, "patince")
def argument_of_a_callback(keras):
    keras.callbacks.EarlyStopping(patince=3)


@mistake(TypeError, "factor")
def argument_of_a_regularizer(keras):
    keras.regularizers.L2(factor=0.1)


@mistake(TypeError, "stdev")
def argument_of_an_initializer(keras):
    keras.initializers.RandomNormal(stdev=0.1)


@mistake(TypeError, "decay_step")
def argument_of_a_schedule(keras):
    keras.optimizers.schedules.ExponentialDecay(0.1, decay_step=100, decay_rate=0.9)


@mistake(TypeError, "shap")
def argument_of_input(keras):
    keras.Input(shap=(4,))


@mistake(TypeError, "epoch")
def argument_of_fit(keras):
    small_model(keras).fit(numbers(8, 4), numbers(8), epoch=5)


@mistake(TypeError, "metric")
def argument_of_compile(keras):
    small_model(keras).compile("adam", "mse", metric=["mae"])


@mistake(TypeError, "batchsize")
def argument_of_evaluate(keras):
    small_model(keras).evaluate(numbers(8, 4), numbers(8), batchsize=4)


@mistake(TypeError, "batchsize")
def argument_of_predict(keras):
    small_model(keras).predict(numbers(8, 4), batchsize=4)


@mistake(ValueError, "layer")
def layer_of_a_model(keras):
    small_model(keras).get_layer("hiden")


@mistake(AttributeError, "layers")
def class_of_layers(keras):
    keras.layers.Dens(3)


@mistake(AttributeError, "losses")
def class_of_losses(keras):
    keras.losses.MeanSquareError()


@mistake(AttributeError, "metrics")
def class_of_metrics(keras):
    keras.metrics.Acuracy()


@mistake(AttributeError, "optimizers")
def class_of_optimizers(keras):
    keras.optimizers.Adm(0.001)


@mistake(AttributeError, "callbacks")
def class_of_callbacks(keras):
    keras.callbacks.EarlyStoping()


@mistake(AttributeError, "activations")
def function_of_activations(keras):
    keras.layers.Dense(3, activation=keras.activations.sofmax)


@mistake(AttributeError, "utils")
def function_of_utils(keras):
    keras.utils.to_categorial(classes(6))


@mistake(AttributeError, "datasets")
def data_set(keras):
    keras.datasets.mnits.load_data()


@mistake(AttributeError, "initializers")
def class_of_initializers(keras):
    keras.initializers.HeNormall()


@mistake(AttributeError, "Sequentail")
def name_in_the_package(keras):
    keras.Sequentail([])


@mistake(AttributeError, "complie")
def method_of_a_model(keras):
    small_model(keras).complie("adam", "mse")


@mistake(AttributeError, "get_wieghts")
def method_of_a_layer(keras):
    keras.layers.Dense(3, name="dense").get_wieghts()


@mistake(ImportError, "Dens")
def import_of_a_class(keras):
    exec(f"from {keras.__name__}.layers import Dens")


@mistake(ValueError, "answr")
def output_name_in_loss(keras):
    inputs = keras.Input((4,))
    outputs = {"price": keras.layers.Dense(1)(inputs), "answer": keras.layers.Dense(1)(inputs)}
    model = keras.Model(inputs, outputs)
    model.compile("adam", {"price": "mse", "answr": "mse"})
    model.fit(numbers(8, 4), {"price": numbers(8), "answer": numbers(8)}, verbose=0)


@mistake(ValueError, "val_acc")
def monitor(keras):
    model = small_model(keras, "sparse_categorical_crossentropy", 3, "softmax")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping(monitor="val_acc")
    model.fit(numbers(9, 4), classes(9), validation_split=0.4, callbacks=[stop], verbose=0)


@mistake(UserWarning, "val_acuracy")
def monitor_with_a_mode(keras):
    model = small_model(keras, "sparse_categorical_crossentropy", 3, "softmax")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    keep = keras.callbacks.ModelCheckpoint("model.keras", monitor="val_acuracy", mode="max", save_best_only=True)
    model.fit(numbers(9, 4), classes(9), validation_split=0.4, callbacks=[keep], verbose=0)


@mistake(UserWarning, "val_loss")
def monitor_without_validation(keras):
    stop = keras.callbacks.EarlyStopping(monitor="val_loss")
    small_model(keras).fit(numbers(9, 4), numbers(9), callbacks=[stop], verbose=0)
