"""Frozen and fine-tuned embeddings in models of plain JAX, Equinox and Flax NNX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ffjax

optax = pytest.importorskip("optax")
LINES = ["good tea", "bad tea", "goodish cake", "baddish cake"]
LABELS = jnp.array([1, 0, 1, 0])
OWNERS = jnp.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4], jnp.int32)
BATCH = ffjax.pack(" ".join(LINES).split(), count=10)
STEPS = 60


def embeddings():
    vocab = ffjax.FinalfusionBucketVocab(
        ["good", "bad", "tea", "cake"], ffjax.FinalfusionHashIndexer(6, 3, 4)
    )
    matrix = np.random.default_rng(0).standard_normal((vocab.upper_bound, 8)).astype(np.float32)
    return ffjax.Embeddings(ffjax.NdArray(matrix), vocab)


def features(emb):
    vectors, found = ffjax.embed(emb, BATCH)
    return ffjax.pool(vectors, OWNERS, 4, found=found)[0]


def cross_entropy(logits):
    return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()


def with_rows(emb, rows):
    return emb.replace(storage=ffjax.NdArray(rows))


def optax_alone(emb, frozen):
    params = {"weights": jnp.zeros((8, 2))} | ({} if frozen else {"rows": emb.storage.matrix})

    def loss(params, emb):
        emb = with_rows(emb, params["rows"]) if "rows" in params else emb
        return cross_entropy(features(emb) @ params["weights"])

    optimizer = optax.sgd(1.0)
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, emb):
        value, gradients = jax.value_and_grad(loss)(params, emb)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, value

    for _ in range(STEPS):
        params, state, value = step(params, state, emb)
        yield float(value), emb if frozen else with_rows(emb, params["rows"])


def equinox(emb, frozen):
    eqx = pytest.importorskip("equinox")

    class Classifier(eqx.Module):
        emb: ffjax.Embeddings
        linear: eqx.nn.Linear

        def __call__(self):
            return jax.vmap(self.linear)(features(self.emb))

    model = Classifier(emb, eqx.nn.Linear(8, 2, key=jax.random.key(0)))
    learns = jax.tree.map(lambda _: False, model)
    learns = eqx.tree_at(
        lambda m: m.linear, learns, jax.tree.map(eqx.is_inexact_array, model.linear)
    )
    if not frozen:
        learns = eqx.tree_at(lambda m: m.emb.storage.matrix, learns, True)
    optimizer = optax.sgd(1.0)
    state = optimizer.init(eqx.filter(model, learns))

    @eqx.filter_jit
    def step(model, state):
        moving, fixed = eqx.partition(model, learns)
        value, gradients = eqx.filter_value_and_grad(
            lambda moving: cross_entropy(eqx.combine(moving, fixed)())
        )(moving)
        updates, state = optimizer.update(gradients, state)
        return eqx.apply_updates(model, updates), state, value

    for _ in range(STEPS):
        model, state, value = step(model, state)
        yield float(value), model.emb


def flax_nnx(emb, frozen):
    nnx = pytest.importorskip("flax.nnx")

    class Classifier(nnx.Module):
        def __init__(self, rows, rngs):
            self.rows = (nnx.Variable if frozen else nnx.Param)(rows)
            self.linear = nnx.Linear(rows.shape[1], 2, rngs=rngs)

        def __call__(self, emb):
            return self.linear(features(with_rows(emb, self.rows[...])))

    model = Classifier(emb.storage.matrix, nnx.Rngs(0))
    trainer = nnx.Optimizer(model, optax.sgd(1.0), wrt=nnx.Param)

    @nnx.jit
    def step(model, trainer, emb):
        where = nnx.DiffState(0, nnx.Param)
        value, gradients = nnx.value_and_grad(
            lambda model: cross_entropy(model(emb)), argnums=where
        )(model)
        trainer.update(model, gradients)
        return value

    for _ in range(STEPS):
        value = step(model, trainer, emb)
        yield float(value), with_rows(emb, model.rows[...])


@pytest.mark.parametrize(
    ("library", "frozen"),
    [
        (optax_alone, True),
        (optax_alone, False),
        (equinox, False),
        (flax_nnx, True),
        pytest.param(equinox, True, marks=pytest.mark.exhaustive),
        pytest.param(flax_nnx, False, marks=pytest.mark.exhaustive),
    ],
)
def test_a_classifier_learns_and_its_embeddings_can_be_saved_at_any_step(library, frozen, tmp_path):
    emb = embeddings()
    losses, snapshots = zip(*library(emb, frozen), strict=True)
    assert losses[-1] < 0.5 * losses[0]
    middle, last = snapshots[STEPS // 2], snapshots[-1]
    middle.write(tmp_path / "middle.fifu")
    assert ffjax.load(tmp_path / "middle.fifu") == middle
    for word in ("good", "goodish"):  # known, and known by its n-grams alone
        moved = np.abs(last[word] - emb[word]).max()
        assert moved == 0 if frozen else moved > 0.01
    # Rows that no line reads do not change.
    rows = {emb.vocab[word] for word in ("good", "bad", "tea", "cake")}
    rows |= {row for word in ("goodish", "baddish") for row in emb.vocab[word]}
    unread = sorted(set(range(emb.vocab.upper_bound)) - rows)
    np.testing.assert_array_equal(last.storage.embedding(unread), emb.storage.embedding(unread))


def test_updates_of_the_rows_of_a_batch_alone_are_those_of_sgd():
    """As docs/training.md writes them, for a word that occurs twice and an unknown one."""
    rng = np.random.default_rng(0)
    emb = ffjax.from_vectors(["good", "bad", "tea", "cake"], rng.standard_normal((4, 8)))
    weights = jnp.asarray(rng.standard_normal((8, 2)), jnp.float32)
    batch = next(ffjax.batches(["good tea", "bad tea", "odd cake"], [1, 0, 1], size=4))

    def loss(vectors, found):
        pooled, _ = ffjax.pool(vectors, batch.lines, 4, found=found)
        losses = optax.softmax_cross_entropy_with_integer_labels(pooled @ weights, batch.labels)
        return losses.mean(where=batch.mask)

    @jax.jit
    def dense(matrix):
        def of_rows(matrix):
            return loss(*ffjax.embed(with_rows(emb, matrix), batch.strings))

        return matrix - 0.1 * jax.grad(of_rows)(matrix)

    @jax.jit
    def alone(matrix):
        ids = ffjax.encode(emb.vocab, batch.strings).words
        by_vector = jax.grad(loss)(matrix[jnp.maximum(ids, 0)], ids >= 0)
        rows = jnp.where(ids >= 0, ids, len(matrix))
        return matrix.at[rows].add(-0.1 * by_vector, mode="drop")

    matrix = emb.storage.matrix
    np.testing.assert_allclose(alone(matrix), dense(matrix), rtol=1e-6)
    assert np.abs(alone(matrix) - matrix).max() > 1e-3
