"""Text of Arrow arrays, as engines hand it to `TextStage`."""

import numpy as np
import pyarrow as pa

import ffjax
from benchmarks.files import real
from benchmarks.harness import Pair, row

_N_LINES = 100_000


@row(
    issue=17,
    work="vectors of 100,000 lines in an Arrow array, demo embeddings",
    beside="the same lines as bytes",
    at_least=0.95,
)
def text_in_arrow() -> Pair:
    with real("corpus.txt").open("rb") as file:
        lines = [file.readline().rstrip(b"\n").decode("utf8", "replace") for _ in range(_N_LINES)]
    emb, array, text = ffjax.demo(), pa.array(lines), "\n".join([*lines, ""]).encode()

    def check(ours: tuple, theirs: tuple) -> None:
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)

    return Pair(lambda: ffjax.embed_text(emb, array), lambda: ffjax.embed_text(emb, text), check)
