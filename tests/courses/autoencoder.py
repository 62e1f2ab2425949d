"""Autoencoders: dense, convolutional with transposed convolutions, denoising; encoder and decoder share weights."""

import numpy as np

import uncrumple as keras
from uncrumple import layers

rng = np.random.default_rng(10)
images = rng.random((48, 16, 16, 1)).astype("float32")
noisy = np.clip(images + 0.3 * rng.normal(size=images.shape), 0.0, 1.0).astype("float32")

encoder_input = keras.Input(shape=(16, 16, 1), name="img")
x = layers.Conv2D(8, 3, activation="relu", padding="same", strides=2)(encoder_input)
x = layers.Conv2D(4, 3, activation="relu", padding="same", strides=2)(x)
encoder_output = layers.Flatten()(x)
encoder = keras.Model(encoder_input, encoder_output, name="encoder")

decoder_input = keras.Input(shape=encoder.output_shape[1:], name="encoded_img")
x = layers.Reshape((4, 4, 4))(decoder_input)
x = layers.Conv2DTranspose(8, 3, strides=2, activation="relu", padding="same")(x)
x = layers.UpSampling2D(2)(x)
decoder_output = layers.Conv2D(1, 3, activation="sigmoid", padding="same")(x)
decoder = keras.Model(decoder_input, decoder_output, name="decoder")
decoder.summary()

autoencoder_input = keras.Input(shape=(16, 16, 1))
autoencoder = keras.Model(autoencoder_input, decoder(encoder(autoencoder_input)), name="autoencoder")
autoencoder.summary(expand_nested=True)
autoencoder.compile("adam", "binary_crossentropy")
history = autoencoder.fit(
    noisy, images, epochs=2, batch_size=16, shuffle=True, validation_data=(noisy, images), verbose=0
)
codes = encoder.predict(images, verbose=0)
pictures = decoder.predict(codes, verbose=0)
both = bool(np.allclose(pictures, autoencoder.predict(images, verbose=0), atol=1e-5))
print(codes.shape, pictures.shape, both)


class Anomaly(keras.Model):
    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential([layers.Dense(32, activation="relu"), layers.Dense(8, activation="relu")])
        self.decoder = keras.Sequential([layers.Dense(32, activation="relu"), layers.Dense(256, activation="sigmoid")])

    def call(self, x):
        return self.decoder(self.encoder(x))


flat = images.reshape(48, 256)
anomaly = Anomaly()
anomaly.compile(optimizer="adam", loss="mae")
found = anomaly.fit(flat, flat, epochs=2, batch_size=16, verbose=0)
reconstruction = keras.ops.convert_to_numpy(anomaly(flat))
distance = keras.ops.convert_to_numpy(keras.losses.mean_absolute_error(reconstruction, flat))
print(distance.shape, anomaly.count_params())
