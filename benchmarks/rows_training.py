"""A step of the recipes of docs/training.md at real size: 341,479 words, batches of 32 lines."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import ffjax
from benchmarks.files import glove, peer, real
from benchmarks.harness import Figure, row

SIZE, LINES = 32, 1600
Step = Callable[[Any, ffjax.Batch], Any]


def _data() -> tuple[ffjax.Embeddings, ffjax.Embeddings, list[ffjax.Batch]]:
    """The embeddings, those of the words in the text alone, and batches."""
    with open(real("corpus.txt"), encoding="utf8") as file:
        lines = [line.lower() for line in islice(file, LINES)]
    emb = ffjax.load_finalfusion(glove())
    words = {word for line in lines for word in line.split()}
    small = ffjax.select_words(emb, [word for word in emb.words if word in words])
    labels = np.random.default_rng(0).integers(0, 2, LINES)
    return emb, small, list(ffjax.batches(lines, labels, size=SIZE, key=jax.random.key(0)))


def _matrix(emb: ffjax.Embeddings) -> jax.Array:
    assert isinstance(emb.storage, ffjax.NdArray)
    return jnp.asarray(emb.storage.matrix)


def _features(emb: ffjax.Embeddings, batch: ffjax.Batch) -> jax.Array:
    vectors, found = ffjax.embed(emb, batch.strings)
    return ffjax.pool(vectors, batch.lines, SIZE, found=found)[0]


def _loss(logits: jax.Array, batch: ffjax.Batch) -> jax.Array:
    optax = peer("optax")
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch.labels)
    return losses.mean(where=batch.mask)


def _slowest(recipes: dict[str, tuple[Step, Any]], batches: list[ffjax.Batch]) -> Figure:
    """The median milliseconds of the slowest recipe's step; the note has those of all."""
    medians = {}
    for name, (step, state) in recipes.items():
        seconds = []
        for batch in batches:
            start = time.perf_counter()
            state = step(state, batch)
            jax.block_until_ready(jax.tree.leaves(state))
            seconds.append(time.perf_counter() - start)
        medians[name] = 1e3 * statistics.median(seconds[1:])
    note = ", ".join(f"{name} {ms:.2f} ms" for name, ms in medians.items())
    return Figure(ours=max(medians.values()), unit="ms", note=note)


_registered = partial(row, issue=14, beside="a bound of 4 ms", at_most=4)


@_registered(work="a step of training with optax, the slowest recipe")
def training_optax() -> Figure:
    optax = peer("optax")
    emb, small, batches = _data()
    optimizer = optax.adam(1e-3)
    layer = {"weights": jnp.zeros((emb.dims, 2))}

    def update(params: Any, state: Any, gradients: Any) -> tuple[Any, Any]:
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state

    @jax.jit
    def frozen(params: Any, state: Any, emb: Any, batch: Any) -> tuple[Any, Any]:
        def loss(params: Any) -> jax.Array:
            return _loss(_features(emb, batch) @ params["weights"], batch)

        return update(params, state, jax.grad(loss)(params))

    @jax.jit
    def selected(params: Any, state: Any, emb: Any, batch: Any) -> tuple[Any, Any]:
        def loss(params: Any) -> jax.Array:
            tuned = emb.replace(storage=ffjax.NdArray(params["rows"]))
            return _loss(_features(tuned, batch) @ params["weights"], batch)

        return update(params, state, jax.grad(loss)(params))

    @partial(jax.jit, donate_argnames="matrix")
    def in_place(matrix: Any, params: Any, state: Any, vocab: Any, batch: Any) -> tuple[Any, ...]:
        ids = ffjax.encode(vocab, batch.strings).words
        vectors, found = matrix[jnp.maximum(ids, 0)], ids >= 0

        def loss(vectors: Any, params: Any) -> jax.Array:
            pooled, _ = ffjax.pool(vectors, batch.lines, SIZE, found=found)
            return _loss(pooled @ params["weights"], batch)

        by_vector, gradients = jax.grad(loss, (0, 1))(vectors, params)
        rows = jnp.where(found, ids, len(matrix))
        matrix = matrix.at[rows].add(-0.1 * by_vector, mode="drop")
        return matrix, *update(params, state, gradients)

    with_rows = layer | {"rows": _matrix(small)}
    matrix = jnp.copy(_matrix(emb))
    recipes: dict[str, tuple[Step, Any]] = {
        "frozen": (lambda s, b: frozen(*s, emb, b), (layer, optimizer.init(layer))),
        "selected": (lambda s, b: selected(*s, small, b), (with_rows, optimizer.init(with_rows))),
        "rows alone": (
            lambda s, b: in_place(*s, emb.vocab, b),
            (matrix, layer, optimizer.init(layer)),
        ),
    }
    return _slowest(recipes, batches)


@_registered(work="a step of training with Equinox, the slower of frozen and selected")
def training_equinox() -> Figure:
    eqx, optax = peer("equinox"), peer("optax")
    emb, small, batches = _data()
    optimizer = optax.adam(1e-3)

    class Classifier(eqx.Module):
        emb: ffjax.Embeddings
        linear: Any

        def __call__(self, batch: Any) -> jax.Array:
            return jax.vmap(self.linear)(_features(self.emb, batch))

    @eqx.filter_jit
    def step(trained: Any, fixed: Any, state: Any, batch: Any) -> tuple[Any, Any]:
        def loss(trained: Any) -> jax.Array:
            return _loss(eqx.combine(trained, fixed)(batch), batch)

        updates, state = optimizer.update(eqx.filter_grad(loss)(trained), state)
        return eqx.apply_updates(trained, updates), state

    def recipe(emb: ffjax.Embeddings, frozen: bool) -> tuple[Step, Any]:
        model = Classifier(emb, eqx.nn.Linear(emb.dims, 2, key=jax.random.key(0)))
        is_trained = jax.tree.map(lambda _: False, model)
        is_trained = eqx.tree_at(lambda m: m.linear.weight, is_trained, True)
        is_trained = eqx.tree_at(lambda m: m.emb.storage.matrix, is_trained, not frozen)
        trained, fixed = eqx.partition(model, is_trained)
        return lambda s, b: step(s[0], fixed, s[1], b), (trained, optimizer.init(trained))

    return _slowest({"frozen": recipe(emb, True), "selected": recipe(small, False)}, batches)


@_registered(work="a step of training with Flax NNX, the slower of frozen and selected")
def training_nnx() -> Figure:
    nnx, optax = peer("flax.nnx"), peer("optax")
    emb, small, batches = _data()

    class Classifier(nnx.Module):
        def __init__(self, dims: int, rows: Any = None) -> None:
            self.rows = None if rows is None else nnx.Param(rows)
            self.linear = nnx.Linear(dims, 2, rngs=nnx.Rngs(0))

        def __call__(self, emb: Any, batch: Any) -> jax.Array:
            if self.rows is not None:
                emb = emb.replace(storage=ffjax.NdArray(self.rows[...]))
            return self.linear(_features(emb, batch))

    @nnx.jit
    def step(model: Any, trainer: Any, emb: Any, batch: Any) -> None:
        gradients = nnx.grad(lambda model: _loss(model(emb, batch), batch))(model)
        trainer.update(model, gradients)

    def recipe(emb: ffjax.Embeddings, rows: Any = None) -> tuple[Step, Any]:
        model = Classifier(emb.dims, rows)
        trainer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

        def call(state: Any, batch: ffjax.Batch) -> Any:
            step(model, trainer, emb, batch)
            return nnx.state(model)

        return call, None

    recipes = {"frozen": recipe(emb), "selected": recipe(small, _matrix(small))}
    return _slowest(recipes, batches)
