"""Impossible values, and things done in the wrong order."""

from beginners.table import mistake, numbers, small_model


@mistake(
    ValueError,
    "rate",
    """
    Dropout got rate=50.
    Expected a number from 0 to 1.
    Fix: Dropout(0.5)
    """,
)
def dropout_of_50(keras):
    keras.layers.Dropout(50)


@mistake(
    ValueError,
    "units",
    """
    Dense got units=-3.
    Expected a whole number of at least 1.
    Fix: Dense(units=3)
    """,
)
def negative_units(keras):
    keras.layers.Dense(-3)


@mistake(
    ValueError,
    "units",
    """
    Dense got units='10'.
    Expected a whole number of at least 1.
    Fix: Dense(units=10)
    """,
)
def units_as_text(keras):
    keras.layers.Dense("10")


@mistake(
    ValueError,
    "units",
    """
    Dense got units=32.0.
    Expected a whole number of at least 1.
    Fix: Dense(units=32)
    """,
)
def units_of_a_division(keras):
    keras.layers.Dense(64 / 2)


@mistake(
    TypeError,
    "units",
    """
    Dense got no units.
    Expected units: it has no default.
    Fix: Dense(units=32, activation='relu')
    """,
)
def dense_without_units(keras):
    keras.layers.Dense(activation="relu")


@mistake(
    TypeError,
    "kernel_size",
    """
    Conv2D got no kernel_size.
    Expected kernel_size: it has no default.
    Fix: Conv2D(32, kernel_size=3)
    """,
)
def conv_without_kernel_size(keras):
    keras.layers.Conv2D(32)


@mistake(
    ValueError,
    "kernel_size",
    """
    Conv2D got kernel_size=(3, 3, 3).
    Expected a whole number of at least 1, or 2 of them.
    Fix: Conv2D(..., kernel_size=(3, 3))
    """,
)
def three_sizes_for_a_flat_kernel(keras):
    keras.layers.Conv2D(32, (3, 3, 3))


@mistake(
    ValueError,
    "filters",
    """
    Conv2D got filters=0.
    Expected a whole number of at least 1.
    Fix: Conv2D(filters=32)
    """,
)
def zero_filters(keras):
    keras.layers.Conv2D(0, 3)


@mistake(
    ValueError,
    "strides",
    """
    Conv2D got strides=0.
    Expected a whole number of at least 1, or 2 of them.
    Fix: Conv2D(..., strides=(1, 1))
    """,
)
def zero_strides(keras):
    keras.layers.Conv2D(8, 3, strides=0)


@mistake(
    ValueError,
    "pool_size",
    """
    MaxPooling2D got pool_size=-2.
    Expected a whole number of at least 1, or 2 of them.
    Fix: MaxPooling2D(..., pool_size=(2, 2))
    """,
)
def negative_pool(keras):
    keras.layers.MaxPooling2D(-2)


@mistake(
    ValueError,
    "input_dim",
    """
    Embedding got input_dim=0.
    Expected a whole number of at least 1.
    Fix: Embedding(input_dim=1000)
    """,
)
def embedding_of_nothing(keras):
    keras.layers.Embedding(0, 8)


@mistake(
    ValueError,
    "layer",
    """
    Bidirectional got layer=Dense 'dense', which has no 'go_backwards'.
    Expected a recurrent layer.
    Fix: Bidirectional(LSTM(32)), or Bidirectional(RNN(cell)) for a cell of your own
    """,
)
def bidirectional_dense(keras):
    keras.layers.Bidirectional(keras.layers.Dense(3))


@mistake(
    ValueError,
    "shape",
    """
    Input got shape=(-28, 28).
    Expected whole numbers above 0, or None; -28 is neither.
    Fix: shape=(28, 28)
    """,
)
def negative_input_size(keras):
    keras.Input((-28, 28))


@mistake(
    ValueError,
    "shape",
    """
    Input got shape=(2.5,).
    Expected whole numbers above 0, or None; 2.5 is neither.
    Fix: shape=(28, 28, 1)
    """,
)
def fractional_input_size(keras):
    keras.Input((2.5,))


@mistake(
    ValueError,
    "target_shape",
    """
    Reshape got target_shape=(-1, -1).
    Expected whole numbers without the batch, at most one of them -1.
    Fix: Reshape((28, 28, 1))
    """,
)
def reshape_with_two_unknowns(keras):
    keras.layers.Reshape((-1, -1))


@mistake(
    ValueError,
    "learning_rate",
    """
    Adam got learning_rate=-0.01.
    Expected a number with learning_rate >= 0.
    Fix: learning_rate=0.01
    """,
)
def negative_learning_rate(keras):
    keras.optimizers.Adam(learning_rate=-0.01)


@mistake(
    ValueError,
    "learning_rate",
    """
    Adam got learning_rate='0.01' (str).
    Expected a float, a LearningRateSchedule, or a function without arguments that returns a float.
    Fix: learning_rate=0.01
    """,
)
def learning_rate_as_text(keras):
    keras.optimizers.Adam(learning_rate="0.01")


@mistake(
    ValueError,
    "momentum",
    """
    SGD got momentum=9.
    Expected a number with 0 <= momentum <= 1.
    Fix: momentum=0.9
    """,
)
def momentum_above_one(keras):
    keras.optimizers.SGD(momentum=9)


@mistake(
    ValueError,
    "optimizer",
    """
    The optimizer is 0.001, of type float.
    Expected a name, a config, or an optimizer.
    Fix: optimizer='adam', or optimizer=Adam(0.001)
    """,
)
def a_number_as_the_optimizer(keras):
    small_model(keras).compile(0.001, "mse")


@mistake(
    ValueError,
    "loss",
    """
    compile got loss='adam', which is an optimizer.
    Expected the optimizer first and the loss second.
    Fix: model.compile(optimizer='adam', loss='mse')
    """,
)
def optimizer_and_loss_swapped(keras):
    small_model(keras).compile("mse", "adam")


@mistake(
    ValueError,
    "metrics",
    """
    compile got metrics='mae'.
    Expected a list.
    Fix: metrics=['mae']
    """,
)
def metrics_without_a_list(keras):
    small_model(keras).compile("adam", "mse", metrics="mae")


@mistake(
    ValueError,
    "label_smoothing",
    """
    CategoricalCrossentropy got label_smoothing=2.
    Expected 0 <= label_smoothing <= 1.
    Fix: CategoricalCrossentropy(label_smoothing=0.1)
    """,
)
def label_smoothing_of_two(keras):
    keras.losses.CategoricalCrossentropy(label_smoothing=2)


@mistake(
    ValueError,
    "patience",
    """
    EarlyStopping got patience=-1.
    Expected a number, 0 or more.
    Fix: EarlyStopping(patience=3)
    """,
)
def negative_patience(keras):
    keras.callbacks.EarlyStopping(patience=-1)


@mistake(
    ValueError,
    "validation_split",
    """
    fit got validation_split=1.5.
    Expected a share of the samples: at least 0, less than 1.
    Fix: validation_split=0.2
    """,
)
def validation_split_above_one(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), validation_split=1.5)


@mistake(
    ValueError,
    "validation_split",
    """
    fit got validation_split=20.
    Expected a share of the samples: at least 0, less than 1.
    Fix: validation_split=0.2
    """,
)
def validation_split_in_percent(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), validation_split=20)


@mistake(
    ValueError,
    "epochs",
    """
    fit got epochs='10'.
    Expected a whole number of at least 0.
    Fix: epochs=10
    """,
)
def epochs_as_text(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), epochs="10")


@mistake(
    ValueError,
    "epochs",
    """
    fit got epochs=-1.
    Expected a whole number of at least 0.
    Fix: epochs=10
    """,
)
def negative_epochs(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), epochs=-1)


@mistake(
    ValueError,
    "batch_size",
    """
    fit got batch_size=0.
    Expected a whole number of at least 1.
    Fix: batch_size=32
    """,
)
def batch_size_of_zero(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), batch_size=0)


@mistake(
    ValueError,
    "batch_size",
    """
    fit got batch_size=32.5.
    Expected a whole number of at least 1.
    Fix: batch_size=32
    """,
)
def fractional_batch_size(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), batch_size=32.5)


@mistake(
    ValueError,
    "batch_size",
    """
    predict got batch_size=0.
    Expected a whole number of at least 1.
    Fix: batch_size=32
    """,
)
def batch_size_of_zero_in_predict(keras):
    small_model(keras).predict(numbers(20, 4), batch_size=0)


@mistake(
    ValueError,
    "verbose",
    """
    fit got verbose=7.
    Expected 0, 1, 2 or "auto".
    Fix: verbose=2 for one line per epoch, verbose=0 for none
    """,
)
def verbose_of_seven(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), verbose=7)


@mistake(
    TypeError,
    "callbacks",
    """
    callbacks[0] is the string 'early_stopping'.
    Expected a callback object.
    Fix: EarlyStopping(), the object instead of a name
    """,
)
def a_name_as_a_callback(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), callbacks=["early_stopping"])


@mistake(
    TypeError,
    "callbacks",
    """
    callbacks[0] is the class EarlyStopping.
    Expected a callback object.
    Fix: EarlyStopping(), with its arguments in the brackets
    """,
)
def a_class_as_a_callback(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), callbacks=[keras.callbacks.EarlyStopping])


@mistake(
    ValueError,
    "compile",
    """
    Model 'net': fit() was called before compile().
    Expected an optimizer and a loss first.
    Fix: model.compile(optimizer="adam", loss="mse"), then model.fit(...)
    """,
)
def fit_before_compile(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)], name="net")
    model.fit(numbers(20, 4), numbers(20))


@mistake(
    ValueError,
    "compile",
    """
    Model 'net': evaluate() was called before compile().
    Expected an optimizer and a loss first.
    Fix: model.compile(optimizer="adam", loss="mse"), then model.evaluate(...)
    """,
)
def evaluate_before_compile(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)], name="net")
    model.evaluate(numbers(20, 4), numbers(20))


@mistake(
    ValueError,
    "loss",
    """
    Model 'net' has no loss to compute.
    Expected a loss in compile(), or add_loss() in a layer.
    Fix: model.compile(optimizer="adam", loss="mse")
    """,
)
def compile_without_a_loss(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)], name="net")
    model.compile("adam")
    model.fit(numbers(20, 4), numbers(20))


@mistake(
    ValueError,
    "net",
    """
    Sequential 'net' has no layers.
    Expected at least one.
    Fix: model.add(Dense(10))
    """,
)
def fit_of_an_empty_model(keras):
    model = keras.Sequential(name="net")
    model.compile("adam", "mse")
    model.fit(numbers(20, 4), numbers(20))


@mistake(
    UserWarning,
    "hidden",
    """
    trainable was changed after compile(): 'hidden' is frozen now.
    Expected compile() after it; the optimizer trains what was trainable when it was first used.
    Fix: model.compile(...) again, then fit
    """,
)
def frozen_after_compile(keras):
    model = small_model(keras)
    model.get_layer("hidden").trainable = False
    model.fit(numbers(20, 4), numbers(20), verbose=0)


@mistake(
    UserWarning,
    "trainable",
    """
    Model 'sequential' has no weights to train: all are frozen, or it has none.
    Expected at least one trainable weight.
    Fix: layer.trainable = True, then model.compile(...) again
    """,
)
def everything_frozen(keras):
    model = small_model(keras)
    model.trainable = False
    model.compile("adam", "mse")
    model.fit(numbers(20, 4), numbers(20), verbose=0)


@mistake(
    ValueError,
    "hidden",
    """
    Dense 'hidden': weight 'sequential/hidden/kernel' has shape (4, 8), set_weights got (5, 8).
    Expected arrays of the same shapes as get_weights() returns.
    Fix: set_weights(other.get_weights()) from a layer with the same settings
    """,
)
def weights_of_another_model(keras):
    small_model(keras).get_layer("hidden").set_weights([numbers(5, 8), numbers(8)])


@mistake(
    ValueError,
    "hidden",
    """
    Dense 'hidden' has 2 weights and set_weights got 1 array.
    Expected one array per weight, in the order of get_weights().
    Fix: set_weights(other.get_weights())
    """,
)
def too_few_weights(keras):
    small_model(keras).get_layer("hidden").set_weights([numbers(4, 8)])


@mistake(
    ValueError,
    "index",
    """
    get_layer got index=7.
    Expected 0 to 1: the model has 2 layers.
    Fix: model.summary() lists them
    """,
)
def layer_index_out_of_range(keras):
    small_model(keras).get_layer(index=7)


@mistake(
    ValueError,
    "dense",
    """
    Dense 'dense' has no weights yet: it was never built.
    Expected it to know the shape of its input.
    Fix: call it on data first, or begin the model with Input(shape)
    """,
)
def parameters_of_an_unbuilt_layer(keras):
    keras.layers.Dense(3, name="dense").count_params()


@mistake(
    ValueError,
    "name",
    """
    Dense got name='block/dense'.
    Expected a string without '/'.
    Fix: name="dense"
    """,
)
def a_name_with_a_slash(keras):
    keras.layers.Dense(3, name="block/dense")


@mistake(
    TypeError,
    "activation",
    """
    The activation is 3, of type int.
    Expected the name of an activation, or the activation itself, or a function.
    Fix: a name, such as 'relu'
    """,
)
def a_number_as_the_activation(keras):
    keras.layers.Dense(3, activation=3)


@mistake(
    TypeError,
    "loss",
    """
    The loss is 3, of type int.
    Expected the name of a loss, or the loss itself, or a function.
    Fix: a name, such as 'mse'
    """,
)
def a_number_as_the_loss(keras):
    small_model(keras).compile("adam", 3)


@mistake(
    TypeError,
    "metric",
    """
    The metric is 3, of type int.
    Expected the name of a metric, or the metric itself, or a function.
    Fix: a name, such as 'mse'
    """,
)
def a_number_as_a_metric(keras):
    small_model(keras).compile("adam", "mse", metrics=[3])


@mistake(
    ValueError,
    "optimizer",
    """
    The optimizer is the class Adam.
    Expected a name, a config, or an optimizer.
    Fix: optimizer=Adam()
    """,
)
def a_class_as_the_optimizer(keras):
    small_model(keras).compile(keras.optimizers.Adam, "mse")


@mistake(
    ValueError,
    "sample_weight",
    """
    mse got sample weights (or a mask) of shape (20, 3) for losses of shape (20,).
    Expected one weight per sample, or one per loss.
    Fix: sample_weight of shape (20,)
    """,
)
def three_weights_a_sample(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), sample_weight=numbers(20, 3), verbose=0)


@mistake(
    ValueError,
    "y",
    """
    No targets came with x, and the model was compiled with a loss.
    Expected y, the right answers.
    Fix: pass y too, as in model.fit(x, y)
    """,
)
def evaluate_without_y(keras):
    small_model(keras).evaluate(numbers(20, 4), verbose=0)
