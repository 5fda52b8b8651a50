"""Options and rows that cannot be quantized."""

import jax
import numpy as np
import pytest

import ffjax
from tests.transforms.quantize.test_quantize import FEW, WORDS, embeddings, matrix


def never(*at):
    """For `progress=`: rows may be read, but no work may begin."""
    assert at[0] == "Reading"


@pytest.mark.usefixtures("as_users_see")
@pytest.mark.parametrize(
    "options, error, message",
    [
        (
            {"method": "lsq"},
            ValueError,
            r"`method`: expected one of 'pq', 'opq', 'int8', 'bfloat16', got 'lsq'\.",
        ),
        (
            {"subquantizers": 5},
            ValueError,
            r"`subquantizers`: expected a divisor of the 12 dimensions \(1, 2, 3, 4",
        ),
        ({"subquantizers": 0}, ValueError, r"`subquantizers`: expected 1 or more, got 0\."),
        (
            {"subquantizers": 2.0},
            TypeError,
            r"`subquantizers`: expected a whole number, got float 2\.0\. Leave it out",
        ),
        ({"bits": 9}, ValueError, r"`bits`: expected 1 to 8, since a code is a byte, got 9\."),
        ({"bits": 0}, ValueError, r"`bits`: expected 1 or more, got 0\."),
        ({"bits": True}, TypeError, r"`bits`: expected a whole number, got bool True\."),
        ({"iterations": 0}, ValueError, r"`iterations`: expected 1 or more, got 0\."),
        ({"attempts": "2"}, TypeError, r"`attempts`: expected a whole number, got str '2'\."),
        (
            {"sample": 20, "bits": 5},
            ValueError,
            r"`sample`: expected at least 32 rows, one for each centroid, got 20",
        ),
        ({"normalize": 1}, TypeError, r"`normalize`: expected True, False or None, got int\."),
        (
            {"key": 3},
            TypeError,
            r"`key`: expected one key, as `jax.random.key\(0\)` makes it, got int 3\.",
        ),
        (
            {"key": jax.random.split(jax.random.key(0))},
            TypeError,
            r"`key`: expected one key, .*, got shape \(2,\) of",
        ),
        (
            {"key": np.zeros(3, np.uint32)},
            TypeError,
            r"`key`: expected one key, .*, got shape \(3,\) of uint32\.",
        ),
        (
            {"method": "int8", "bits": 8},
            TypeError,
            r"`bits`: expected None with 'int8', .* not trained, got 8\.",
        ),
        (
            {"method": "bfloat16", "normalize": True},
            TypeError,
            r"`normalize`: expected None with 'bfloat16'",
        ),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        ffjax.quantize(embeddings(), progress=never, **{"method": "pq", **options})


@pytest.mark.usefixtures("as_users_see")
def test_bad_rows():
    few = ffjax.Embeddings(ffjax.NdArray(matrix(5)), ffjax.SimpleVocab(WORDS[:5]))
    with pytest.raises(
        ValueError, match=r"expected at least 256 rows, .* of 8 bits, got 5\. Take `bits=2` or less"
    ):
        ffjax.quantize(few, progress=never)
    none = ffjax.Embeddings(ffjax.NdArray(np.empty((0, 4), np.float32)), ffjax.SimpleVocab([]))
    with pytest.raises(
        ValueError, match=r"`embeddings`: expected some rows, got a storage of shape \(0, 4\)"
    ):
        ffjax.quantize(none, progress=never)
    for bad, got in ((np.nan, "NaN or infinity"), (-np.inf, "NaN or infinity"), (1e20, r"1e\+20")):
        rows = matrix()
        rows[17, 3] = bad
        emb = ffjax.Embeddings(ffjax.NdArray(rows), ffjax.SimpleVocab(WORDS))
        with pytest.raises(
            ValueError, match=rf"expected finite numbers below 1e\+17, got {got} in row 17\."
        ):
            ffjax.quantize(emb, progress=never, **FEW)
    for method in ("int8", "bfloat16"):
        rows = matrix()
        rows[17, 3] = np.nan
        emb = ffjax.Embeddings(ffjax.NdArray(rows), ffjax.SimpleVocab(WORDS))
        with pytest.raises(
            ValueError,
            match=r"`embeddings`: expected finite numbers, got NaN or infinity in row 17\.",
        ):
            ffjax.quantize(emb, method, progress=never)
    for function in (ffjax.quantize, ffjax.reconstruct):
        with pytest.raises(
            TypeError, match=r"`embeddings`: expected Embeddings, such as .*, got NdArray\."
        ):
            function(embeddings().storage)


def test_one_row_is_an_error_that_says_so():
    emb = ffjax.Embeddings(ffjax.NdArray(np.ones((1, 4), np.float32)), ffjax.SimpleVocab(["w"]))
    with pytest.raises(
        ValueError, match=r"expected at least 2 rows, one for each centroid of 1 bits, got 1\.$"
    ):
        ffjax.quantize(emb, bits=1)
