"""What each process of `test_processes.py` does.

    python -m tests.process_worker ADDRESS PROCESSES NUMBER FOLDER
"""

import sys
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import ffjax

WORDS = ffjax.pack(["Paris", "Berlin", "Pariser", "teapots", "", "東京"], count=16)
TEXT = "Paris a teapot\nPariser\n\nBerlin 東京 unknown\n".encode()
EVERYWHERE, BY_ROWS = PartitionSpec(), PartitionSpec("rows")


def embed_and_search(emb, strings):
    vectors, found = ffjax.embed(emb, strings)
    return vectors, found, ffjax.top_k(emb, vectors, 4)


@jax.jit
def gradient(storage, emb, strings):
    def loss(storage):
        vectors, _ = ffjax.embed(emb.replace(storage=storage), strings)
        return (vectors * vectors[:, ::-1]).sum()

    return jax.grad(loss)(storage)


def searched(folder: Path, sharding: NamedSharding | None) -> dict:
    """Answers with ties, of rows that no number of processes divides, and of unknown words."""
    tied = ffjax.load(folder / "tied.fifu", mmap=True, sharding=sharding)
    queries = np.asarray(ffjax.load_storage(folder / "queries.fifu").matrix)
    answers = {"best": ffjax.top_k(tied, queries, 9)}
    answers["word"] = [result.word for result in tied.most_similar_batch(["w7"], 5)[0]]
    answers["rows"] = [tied["w7"], tied.storage[990:][:].read(slice(None))]
    emb = ffjax.load(folder / "words.fifu", mmap=True, sharding=sharding)
    return answers | {"embed": ffjax.embed(emb, WORDS)}


def mapped(folder: Path, sharding: NamedSharding | None) -> dict:
    """Rows and answers of files of other formats that are mapped, composed rows among them."""
    answers = {}
    for name in ("words.bin", "rows.npy", "rows.safetensors"):
        emb = ffjax.load(folder / name, mmap=True, sharding=sharding)
        if sharding is not None:
            size = -(-len(emb.storage) // sharding.mesh.shape["rows"])
            assert [len(x.data) for x in emb.storage.matrix.addressable_shards] == [size]
        rows, norms = emb.storage[:].read(slice(None)), np.asarray(emb.norms)
        answers[name] = [rows, norms, ffjax.top_k(emb, rows[:5], 3).rows]
    return answers


def everything(folder: Path, sharding: NamedSharding | None) -> dict:
    """Answers of what takes longer to compile."""
    emb = ffjax.load(folder / "words.fifu", mmap=True, sharding=sharding)
    queries = np.asarray(emb.storage)[:7]
    options = {"candidates": slice(2, 9), "exclude": np.array([[3, 8]] * 7, np.int32)}
    answers = {"some": ffjax.top_k(emb, queries, 4, metric="cosine", **options)}
    everywhere = None if sharding is None else NamedSharding(sharding.mesh, EVERYWHERE)
    answers["program"] = jax.jit(embed_and_search, out_shardings=everywhere)(emb, WORDS)
    answers["text"] = ffjax.embed_text(emb, TEXT)
    answers["gradient"] = np.asarray(gradient(emb.storage, emb, WORDS))
    a, b, c = (ffjax.pack([word], count=4) for word in ("Paris", "Berlin", "a"))
    for method in ("3cosadd", "3cosmul"):
        answers[method] = ffjax.analogy(emb, a, b, c, 3, method=method)
    quantized, quality = ffjax.quantize(emb, bits=2, iterations=2)
    answers["quantized"] = [np.asarray(quantized.storage), np.asarray(quality)]
    storage = quantized.storage
    if sharding is not None:
        storage = ffjax.ShardedArray(storage, sharding)
    answers["codes"] = ffjax.top_k(storage, queries[:3], 4)
    return answers


def classified(folder: Path, mesh: Mesh | None) -> dict:
    """Labels of lines that are divided over all devices."""
    classifier = ffjax.load_classifier(folder / "classifier")
    lines = ffjax.pack([f"abc {i} bca" for i in range(8)], count=8)
    labels = jax.jit(lambda model, lines: ffjax.classify(model, lines, k=2))
    if mesh is not None:
        by_line = PartitionSpec(mesh.axis_names)
        specs = {"in_specs": (EVERYWHERE, by_line), "out_specs": by_line}
        place = NamedSharding(mesh, EVERYWHERE)
        divided = jax.shard_map(labels, mesh=mesh, check_vma=False, **specs)
        labels = jax.jit(divided, out_shardings=place)
    return {"labels": labels(classifier, lines)}


def all_answers(folder: Path, sharding: NamedSharding | None, *, thorough: bool) -> dict:
    """The answers as a dictionary of arrays."""
    answers = searched(folder, sharding)
    if thorough:
        answers |= everything(folder, sharding) | mapped(folder, sharding)
        if (folder / "classifier").exists():
            answers |= classified(folder, None if sharding is None else sharding.mesh)
    leaves = jax.tree.leaves_with_path(answers)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def main(address: str, n: str, number: str, folder: str) -> None:
    """Joins the other processes, and writes the answers of this one."""
    jax.config.update("jax_num_cpu_devices", 1)
    jax.distributed.initialize(address, int(n), int(number))
    thorough = int(n) > 2
    # Of four processes two divide the rows and two the queries.
    shape = (2, 2) if thorough else (1, 2)
    mesh = Mesh(np.array(jax.devices()).reshape(shape), ("queries", "rows"))
    answers = all_answers(Path(folder), NamedSharding(mesh, BY_ROWS), thorough=thorough)
    np.savez(Path(folder) / f"{n}-{number}.npz", **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
