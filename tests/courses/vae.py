"""A variational autoencoder: a sampling layer with a seed generator, three losses, a step of its own and add_loss."""

import numpy as np
import torch

import uncrumple as keras
from uncrumple import layers, ops

latent = 2
rng = np.random.default_rng(11)
images = rng.random((32, 16, 16, 1)).astype("float32")


class Sampler(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, z_mean, z_log_var):
        shape = ops.shape(z_mean)
        epsilon = keras.random.normal(shape, seed=self.seed_generator)
        return z_mean + ops.exp(0.5 * z_log_var) * epsilon


image_inputs = keras.Input(shape=(16, 16, 1))
x = layers.Conv2D(8, 3, activation="relu", strides=2, padding="same")(image_inputs)
x = layers.Flatten()(x)
x = layers.Dense(16, activation="relu")(x)
z_mean = layers.Dense(latent, name="z_mean")(x)
z_log_var = layers.Dense(latent, name="z_log_var")(x)
encoder = keras.Model(image_inputs, [z_mean, z_log_var], name="encoder")
encoder.summary(line_length=80)

latent_inputs = keras.Input(shape=(latent,))
x = layers.Dense(8 * 8 * 4, activation="relu")(latent_inputs)
x = layers.Reshape((8, 8, 4))(x)
x = layers.Conv2DTranspose(8, 3, activation="relu", strides=2, padding="same")(x)
decoder_outputs = layers.Conv2D(1, 3, activation="sigmoid", padding="same")(x)
decoder = keras.Model(latent_inputs, decoder_outputs, name="decoder")


class VAE(keras.Model):
    def __init__(self, encoder, decoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.sampler = Sampler()
        self.total_loss_tracker = keras.metrics.Mean(name="total_loss")
        self.reconstruction_loss_tracker = keras.metrics.Mean(name="reconstruction_loss")
        self.kl_loss_tracker = keras.metrics.Mean(name="kl_loss")

    @property
    def metrics(self):
        return [self.total_loss_tracker, self.reconstruction_loss_tracker, self.kl_loss_tracker]

    def call(self, inputs):
        mean, log_var = self.encoder(inputs)
        return self.decoder(self.sampler(mean, log_var))

    def train_step(self, data):
        mean, log_var = self.encoder(data, training=True)
        z = self.sampler(mean, log_var)
        reconstruction = self.decoder(z, training=True)
        reconstruction_loss = ops.mean(ops.sum(keras.losses.binary_crossentropy(data, reconstruction), axis=(1, 2)))
        kl_loss = -0.5 * (1 + log_var - ops.square(mean) - ops.exp(log_var))
        total_loss = reconstruction_loss + ops.mean(kl_loss)
        self.zero_grad()
        total_loss.backward()
        with torch.no_grad():
            self.optimizer.apply([w.value.grad for w in self.trainable_weights], self.trainable_weights)
        self.total_loss_tracker.update_state(total_loss)
        self.reconstruction_loss_tracker.update_state(reconstruction_loss)
        self.kl_loss_tracker.update_state(kl_loss)
        return {m.name: m.result() for m in self.metrics}


vae = VAE(encoder, decoder)
vae.compile(optimizer=keras.optimizers.Adam())
history = vae.fit(images, epochs=2, batch_size=16, verbose=0)
print(sorted(history.history))
grid = decoder.predict(np.array([[0.0, 0.5], [1.0, -1.0]]), verbose=0)


class Divergence(layers.Layer):
    def call(self, inputs):
        mean, log_var = inputs
        self.add_loss(-0.5 * ops.mean(1 + log_var - ops.square(mean) - ops.exp(log_var)))
        return mean, log_var


inputs = keras.Input((16, 16, 1))
mean, log_var = Divergence()(encoder(inputs))
with_added = keras.Model(inputs, decoder(Sampler()(mean, log_var)))
with_added.compile("adam", "mse")
added = with_added.fit(images, images, epochs=2, verbose=0)
print(len(with_added.losses), sorted(added.history), grid.shape)
