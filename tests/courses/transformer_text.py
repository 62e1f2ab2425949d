"""A transformer encoder that classifies texts: positions, multi-head attention with masks, get_config, saving."""

import numpy as np

import uncrumple as keras
from uncrumple import layers, ops


class PositionalEmbedding(layers.Layer):
    def __init__(self, sequence_length, input_dim, output_dim, **kwargs):
        super().__init__(**kwargs)
        self.token_embeddings = layers.Embedding(input_dim=input_dim, output_dim=output_dim)
        self.position_embeddings = layers.Embedding(input_dim=sequence_length, output_dim=output_dim)
        self.sequence_length = sequence_length
        self.input_dim = input_dim
        self.output_dim = output_dim

    def call(self, inputs):
        positions = ops.arange(0, ops.shape(inputs)[-1], 1)
        return self.token_embeddings(inputs) + self.position_embeddings(positions)

    def compute_mask(self, inputs, mask=None):
        return ops.not_equal(inputs, 0)

    def get_config(self):
        config = super().get_config()
        config.update(
            {"output_dim": self.output_dim, "sequence_length": self.sequence_length, "input_dim": self.input_dim}
        )
        return config


class TransformerEncoder(layers.Layer):
    def __init__(self, embed_dim, dense_dim, num_heads, **kwargs):
        super().__init__(**kwargs)
        self.embed_dim = embed_dim
        self.dense_dim = dense_dim
        self.num_heads = num_heads
        self.attention = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.dense_proj = keras.Sequential([layers.Dense(dense_dim, activation="relu"), layers.Dense(embed_dim)])
        self.layernorm_1 = layers.LayerNormalization()
        self.layernorm_2 = layers.LayerNormalization()
        self.supports_masking = True

    def call(self, inputs, mask=None):
        if mask is not None:
            mask = mask[:, None, :]
        attention_output = self.attention(inputs, inputs, attention_mask=mask)
        proj_input = self.layernorm_1(inputs + attention_output)
        return self.layernorm_2(proj_input + self.dense_proj(proj_input))

    def get_config(self):
        config = super().get_config()
        config.update({"embed_dim": self.embed_dim, "num_heads": self.num_heads, "dense_dim": self.dense_dim})
        return config


vocab_size, sequence_length, embed_dim = 60, 12, 16
rng = np.random.default_rng(13)
tokens = rng.integers(1, vocab_size, (48, sequence_length))
tokens[:, 8:] = 0
labels = rng.integers(0, 2, 48)
inputs = keras.Input(shape=(None,), dtype="int64")
x = PositionalEmbedding(sequence_length, vocab_size, embed_dim)(inputs)
x = TransformerEncoder(embed_dim, 32, 2)(x)
x = layers.GlobalMaxPooling1D()(x)
x = layers.Dropout(0.5)(x)
outputs = layers.Dense(1, activation="sigmoid")(x)
model = keras.Model(inputs, outputs)
model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy", keras.metrics.AUC(name="auc")])
model.summary(line_length=100)
history = model.fit(
    tokens,
    labels,
    validation_split=0.25,
    epochs=2,
    callbacks=[keras.callbacks.ModelCheckpoint("encoder.keras", save_best_only=True)],
    verbose=0,
)
loaded = keras.models.load_model(
    "encoder.keras",
    custom_objects={"TransformerEncoder": TransformerEncoder, "PositionalEmbedding": PositionalEmbedding},
)
results = loaded.evaluate(tokens, labels, verbose=0)
print(len(results), sorted(history.history))
attention = layers.MultiHeadAttention(2, 4)
mixed, scores = attention(ops.ones((1, 3, 8)), ops.ones((1, 5, 8)), return_attention_scores=True)
causal = attention(ops.ones((1, 3, 8)), ops.ones((1, 3, 8)), use_causal_mask=True)
print(mixed.shape, scores.shape, causal.shape)
