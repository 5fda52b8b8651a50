"""What a snapshot holds, by its tree; `tree` has the layout."""

import tomllib
from typing import Any

from ffjax.formats.io.binary import ByteSource
from ffjax.formats.io.streams import Stream, open_source
from ffjax.formats.snapshot.arrays import StoredArray
from ffjax.formats.snapshot.envelope import MAGIC, read_tree

Tree = dict[str, Any]


def describe(stream: Stream) -> dict[str, Any]:
    """The kinds and shapes of the values in a snapshot; its arrays are not read."""
    with open_source(stream, magic=MAGIC) as source:
        tree = read_tree(source)
        try:
            facts = _vocab(source, tree["vocab"]) | _storage(tree["storage"])
            if tree["norms"] is not None:
                facts["norms"] = _length(tree["norms"])
            if tree["metadata"] is not None:
                facts["metadata"] = list(tomllib.loads(tree["metadata"]))
            if tree["training"] is not None:
                facts |= _training(tree["training"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            expected, got = "the tree of embeddings", f"an error: {error!r}"
            raise source.error(chunk="snapshot", expected=expected, got=got) from error
        return facts


def _vocab(source: ByteSource, tree: Tree) -> Tree:
    facts: Tree = {"vocabulary": tree["kind"], "words": _count(tree.get("words"))}
    if tree.get("rows") is not None:  # which words share
        facts["word_rows"] = _largest(source, tree["rows"]) + 1
    indexer = tree.get("indexer")
    if indexer is None:
        return facts
    hashing = indexer.get("hashing", indexer)
    facts["ngram_lengths"] = f"{hashing['min_n']} to {hashing['max_n']}"
    if "ngrams" in indexer:
        rows = _largest(source, indexer["rows"]) + 1
        return facts | {"ngrams": _count(indexer["ngrams"]), "ngram_rows": rows}
    if "n_hashes" in hashing:
        facts["hashes"] = hashing["n_hashes"]
    if "buckets" in indexer:  # those that were not pruned
        return facts | {"buckets": _length(indexer["buckets"])}
    n_buckets = hashing.get("n_buckets")
    return facts | {"buckets": 1 << hashing["bucket_exp"] if n_buckets is None else n_buckets}


def _storage(tree: Tree) -> Tree:
    kind = tree["kind"]
    if kind == "ComposedArray":
        words, ngrams = _storage(tree["own"]), tree["ngrams"]
        rows = 0 if ngrams is None else _storage(ngrams)["rows"]
        return {**words, "rows": words["rows"] + rows}
    # Of any storage the first such array has a line for each row.
    arrays = (x for x in tree.values() if isinstance(x, StoredArray) and len(x.shape) == 2)
    matrix: Any = next(arrays, None)
    rows, columns = matrix.shape
    facts = {"dims": columns, "storage": kind, "rows": rows}
    if kind != "QuantizedArray":
        return facts | {"dtype": matrix.dtype.name}
    return {
        **facts,
        "dims": tree["dims"],
        "codes_per_row": columns,
        "centroids": tree["centroids"].shape[1],
        "rotated": tree["projection"] is not None,
        "row_norms": tree["norms"] is not None,
    }


def _training(tree: Tree) -> Tree:
    output = tree["output"]
    rows = None if output is None else _storage(output)["rows"]
    return {"tokens": tree["n_tokens"], "labels": _count(tree["labels"]), "output_rows": rows}


def _count(strings: Tree | None) -> int:
    return 0 if strings is None else _length(strings["offsets"]) - 1


def _length(array: StoredArray) -> int:
    return array.shape[0]


def _largest(source: ByteSource, rows: StoredArray) -> int:
    """The largest row number in an array, -1 if it is empty."""
    chunks = (source.view(start, start + size).view("<i4") for start, size in rows.chunks)
    return max((int(chunk.max(initial=-1)) for chunk in chunks), default=-1)
