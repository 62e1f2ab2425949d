"""A generator against a discriminator in one train_step, with two optimizers and a callback that draws pictures."""

import numpy as np
import torch

import uncrumple as keras
from uncrumple import layers, ops

latent_dim = 8
discriminator = keras.Sequential(
    [
        keras.Input(shape=(16, 16, 3)),
        layers.Conv2D(8, kernel_size=4, strides=2, padding="same"),
        layers.LeakyReLU(negative_slope=0.2),
        layers.Flatten(),
        layers.Dropout(0.2),
        layers.Dense(1, activation="sigmoid"),
    ],
    name="discriminator",
)
generator = keras.Sequential(
    [
        keras.Input(shape=(latent_dim,)),
        layers.Dense(4 * 4 * 8),
        layers.Reshape((4, 4, 8)),
        layers.Conv2DTranspose(8, kernel_size=4, strides=2, padding="same"),
        layers.LeakyReLU(negative_slope=0.2),
        layers.Conv2DTranspose(8, kernel_size=4, strides=2, padding="same"),
        layers.ReLU(),
        layers.Conv2D(3, kernel_size=5, padding="same", activation="sigmoid"),
    ],
    name="generator",
)
generator.summary()


class GAN(keras.Model):
    def __init__(self, discriminator, generator, latent_dim):
        super().__init__()
        self.discriminator = discriminator
        self.generator = generator
        self.latent_dim = latent_dim
        self.seed_generator = keras.random.SeedGenerator(1337)
        self.built = True

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.loss_fn = loss_fn
        self.d_loss_metric = keras.metrics.Mean(name="d_loss")
        self.g_loss_metric = keras.metrics.Mean(name="g_loss")

    @property
    def metrics(self):
        return [self.d_loss_metric, self.g_loss_metric]

    def train_step(self, real_images):
        batch_size = ops.shape(real_images)[0]
        noise = keras.random.normal((batch_size, self.latent_dim), seed=self.seed_generator)
        generated = self.generator(noise)
        combined = ops.concatenate([generated, real_images], axis=0)
        labels = ops.concatenate([ops.ones((batch_size, 1)), ops.zeros((batch_size, 1))], axis=0)
        labels = 0.9 * labels + 0.05 * keras.random.uniform(ops.shape(labels), seed=self.seed_generator)

        self.zero_grad()
        d_loss = self.loss_fn(labels, self.discriminator(combined))
        d_loss.backward()
        with torch.no_grad():
            self.d_optimizer.apply(
                [v.value.grad for v in self.discriminator.trainable_weights], self.discriminator.trainable_weights
            )

        noise = keras.random.normal((batch_size, self.latent_dim), seed=self.seed_generator)
        self.zero_grad()
        g_loss = self.loss_fn(ops.zeros((batch_size, 1)), self.discriminator(self.generator(noise)))
        g_loss.backward()
        with torch.no_grad():
            self.g_optimizer.apply(
                [v.value.grad for v in self.generator.trainable_weights], self.generator.trainable_weights
            )
        self.d_loss_metric.update_state(d_loss)
        self.g_loss_metric.update_state(g_loss)
        return {"d_loss": self.d_loss_metric.result(), "g_loss": self.g_loss_metric.result()}


class Monitor(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        noise = keras.random.normal((2, latent_dim), seed=1)
        images = self.model.generator(noise) * 255
        for number, image in enumerate(keras.ops.convert_to_numpy(images)):
            keras.utils.array_to_img(image).save(f"generated_{epoch}_{number}.png")


images = np.random.default_rng(12).random((24, 16, 16, 3)).astype("float32")
gan = GAN(discriminator, generator, latent_dim)
gan.compile(keras.optimizers.Adam(1e-4), keras.optimizers.Adam(1e-4, beta_1=0.5), keras.losses.BinaryCrossentropy())
history = gan.fit(images, epochs=2, batch_size=8, callbacks=[Monitor()], verbose=0)
print(sorted(history.history), sorted(p for p in __import__("os").listdir() if p.endswith("png")))
