"""Impossible values, and things done in the wrong order."""

from beginners.table import mistake, numbers, small_model


@mistake(ValueError, "rate")
def dropout_of_50(keras):
    keras.layers.Dropout(50)


@mistake(ValueError, "units")
def negative_units(keras):
    keras.layers.Dense(-3)


@mistake(ValueError, "units")
def units_as_text(keras):
    keras.layers.Dense("10")


@mistake(ValueError, "units")
def units_of_a_division(keras):
    keras.layers.Dense(64 / 2)


@mistake(TypeError, "units")
def dense_without_units(keras):
    keras.layers.Dense(activation="relu")


@mistake(TypeError, "kernel_size")
def conv_without_kernel_size(keras):
    keras.layers.Conv2D(32)


@mistake(ValueError, "kernel_size")
def three_sizes_for_a_flat_kernel(keras):
    keras.layers.Conv2D(32, (3, 3, 3))


@mistake(ValueError, "filters")
def zero_filters(keras):
    keras.layers.Conv2D(0, 3)


@mistake(ValueError, "strides")
def zero_strides(keras):
    keras.layers.Conv2D(8, 3, strides=0)


@mistake(ValueError, "pool_size")
def negative_pool(keras):
    keras.layers.MaxPooling2D(-2)


@mistake(ValueError, "input_dim")
def embedding_of_nothing(keras):
    keras.layers.Embedding(0, 8)


@mistake(ValueError, "layer")
def bidirectional_dense(keras):
    keras.layers.Bidirectional(keras.layers.Dense(3))


@mistake(ValueError, "shape")
def negative_input_size(keras):
    keras.Input((-28, 28))


@mistake(ValueError, "shape")
def fractional_input_size(keras):
    keras.Input((2.5,))


@mistake(ValueError, "target_shape")
def reshape_with_two_unknowns(keras):
    keras.layers.Reshape((-1, -1))


@mistake(ValueError, "learning_rate")
def negative_learning_rate(keras):
    keras.optimizers.Adam(learning_rate=-0.01)


@mistake(ValueError, "learning_rate")
def learning_rate_as_text(keras):
    keras.optimizers.Adam(learning_rate="0.01")


@mistake(ValueError, "momentum")
def momentum_above_one(keras):
    keras.optimizers.SGD(momentum=9)


@mistake(ValueError, "optimizer")
def a_number_as_the_optimizer(keras):
    small_model(keras).compile(0.001, "mse")


@mistake(ValueError, "loss")
def optimizer_and_loss_swapped(keras):
    small_model(keras).compile("mse", "adam")


@mistake(ValueError, "metrics")
def metrics_without_a_list(keras):
    small_model(keras).compile("adam", "mse", metrics="mae")


@mistake(ValueError, "label_smoothing")
def label_smoothing_of_two(keras):
    keras.losses.CategoricalCrossentropy(label_smoothing=2)


@mistake(ValueError, "patience")
def negative_patience(keras):
    keras.callbacks.EarlyStopping(patience=-1)


@mistake(ValueError, "validation_split")
def validation_split_above_one(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), validation_split=1.5)


@mistake(ValueError, "validation_split")
def validation_split_in_percent(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), validation_split=20)


@mistake(ValueError, "epochs")
def epochs_as_text(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), epochs="10")


@mistake(ValueError, "epochs")
def negative_epochs(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), epochs=-1)


@mistake(ValueError, "batch_size")
def batch_size_of_zero(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), batch_size=0)


@mistake(ValueError, "batch_size")
def fractional_batch_size(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), batch_size=32.5)


@mistake(ValueError, "batch_size")
def batch_size_of_zero_in_predict(keras):
    small_model(keras).predict(numbers(20, 4), batch_size=0)


@mistake(ValueError, "verbose")
def verbose_of_seven(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), verbose=7)


@mistake(TypeError, "callbacks")
def a_name_as_a_callback(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), callbacks=["early_stopping"])


@mistake(TypeError, "callbacks")
def a_class_as_a_callback(keras):
    small_model(keras).fit(numbers(20, 4), numbers(20), callbacks=[keras.callbacks.EarlyStopping])


@mistake(ValueError, "compile")
def fit_before_compile(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)], name="net")
    model.fit(numbers(20, 4), numbers(20))


@mistake(ValueError, "compile")
def evaluate_before_compile(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)], name="net")
    model.evaluate(numbers(20, 4), numbers(20))


@mistake(ValueError, "loss")
def compile_without_a_loss(keras):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)], name="net")
    model.compile("adam")
    model.fit(numbers(20, 4), numbers(20))


@mistake(ValueError, "net")
def fit_of_an_empty_model(keras):
    model = keras.Sequential(name="net")
    model.compile("adam", "mse")
    model.fit(numbers(20, 4), numbers(20))


@mistake(UserWarning, "hidden")
def frozen_after_compile(keras):
    model = small_model(keras)
    model.get_layer("hidden").trainable = False
    model.fit(numbers(20, 4), numbers(20), verbose=0)


@mistake(UserWarning, "trainable")
def everything_frozen(keras):
    model = small_model(keras)
    model.trainable = False
    model.compile("adam", "mse")
    model.fit(numbers(20, 4), numbers(20), verbose=0)


@mistake(ValueError, "hidden")
def weights_of_another_model(keras):
    small_model(keras).get_layer("hidden").set_weights([numbers(5, 8), numbers(8)])


@mistake(ValueError, "hidden")
def too_few_weights(keras):
    small_model(keras).get_layer("hidden").set_weights([numbers(4, 8)])


@mistake(ValueError, "index")
def layer_index_out_of_range(keras):
    small_model(keras).get_layer(index=7)


@mistake(ValueError, "dense")
def parameters_of_an_unbuilt_layer(keras):
    keras.layers.Dense(3, name="dense").count_params()


@mistake(ValueError, "name")
def a_name_with_a_slash(keras):
    keras.layers.Dense(3, name="block/dense")
