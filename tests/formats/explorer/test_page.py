"""What the explorer's page holds, read back as the page itself reads it."""

import base64
import json
import re
import zlib

import jax
import numpy as np
import pytest

import ffjax

N, DIMS, K = 600, 6, 5
RNG = np.random.default_rng(5)
WORDS = [f"w{i}" for i in range(N - 4)] + ['</script><b>"', "日本", "a\nb", "tea & cake"]
ROWS = RNG.normal(size=(N, DIMS)).astype(np.float32)
ROWS[7] = 0
EMB = ffjax.from_vectors(WORDS, ROWS)


def blocks(page):
    """The blocks of a page, inflated."""
    pattern = r'<script type="application/octet-stream" id="data-(\w+)">([^<]*)</script>'
    matches = re.findall(pattern, page.content.decode())
    return {name: zlib.decompress(base64.b64decode(text)) for name, text in matches}


@pytest.fixture(scope="module")
def page():
    return ffjax.explore(EMB, projection="pca", neighbors=K, title="<tea>")


@pytest.fixture(scope="module")
def data(page):
    return blocks(page)


def unplaned(block, n_bytes):
    planes = np.frombuffer(block, np.uint8).reshape(n_bytes, -1).astype(np.int64)
    return sum(plane << (8 * i) for i, plane in enumerate(planes))


def test_words_and_facts(data):
    assert json.loads(data["words"]) == WORDS
    about = json.loads(data["about"])
    assert about["projection"] == "principal components"
    assert about.items() >= {"title": "<tea>", "total": N, "dims": DIMS, "k": K}.items()


def test_neighbors_are_exact(data):
    unit = ROWS / np.maximum(np.linalg.norm(ROWS, axis=1, keepdims=True), 1e-9)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    rows = unplaned(data["neighbors"], 3).reshape(N, K)
    steps = unplaned(data["scores"], 2).reshape(N, K)
    scores = (2000 - steps.cumsum(1)) / 1000 - 1
    best = -np.sort(-cosines, axis=1)[:, :K]
    nonzero = np.delete(np.arange(N), 7)
    np.testing.assert_allclose(scores[nonzero], best[nonzero], atol=6e-4)
    at_rows = np.take_along_axis(cosines[nonzero], rows[nonzero], 1)
    np.testing.assert_allclose(at_rows, best[nonzero], atol=1e-6)
    assert (rows[7] == 0xFFFFFF).all()  # a zero vector has none


def test_positions_are_those_of_the_components_with_y_downwards(data):
    centered = ROWS / np.maximum(np.linalg.norm(ROWS, axis=1, keepdims=True), 1e-9)
    centered = centered - centered.mean(0)
    axes = np.linalg.svd(centered, full_matrices=False)[2][:2]
    axes *= np.sign(axes[np.arange(2), abs(axes).argmax(1)])[:, None]
    expected = centered @ axes.T * [1, -1]
    positions = np.frombuffer(data["positions"], "<u2").reshape(N, 2).astype(float)
    for axis in range(2):
        assert np.corrcoef(expected[:, axis], positions[:, axis])[0, 1] > 0.98


def test_codes_are_near_the_unit_rows(data):
    about = json.loads(data["about"])
    shape = about["quantizers"], about["centroids"], about["width"]
    codebooks = np.frombuffer(data["codebooks"], "<f4").reshape(shape)
    codes = np.frombuffer(data["codes"], np.uint8).reshape(N, shape[0])
    decoded = np.concatenate([book[codes[:, i]] for i, book in enumerate(codebooks)], axis=1)
    unit = ROWS / np.maximum(np.linalg.norm(ROWS, axis=1, keepdims=True), 1e-9)
    assert ((decoded[:, :DIMS] - unit) ** 2).sum(1).mean() < 0.01


def test_norms_are_those_of_the_rows(data):
    norms = np.frombuffer(data["norms"], "<f4")
    np.testing.assert_allclose(norms, np.linalg.norm(ROWS, axis=1), rtol=1e-6)


def test_the_title_is_escaped_and_nothing_is_fetched(page):
    text = page.content.decode()
    assert "<title>&lt;tea&gt; · ffjax</title>" in text
    assert not re.search(r'(?:src|href)="(?!data:|#)', text.split("<script>")[0])


def test_the_same_key_gives_the_same_page(page):
    again = EMB.explore(projection="pca", neighbors=K, title="<tea>", key=jax.random.key(0))
    assert again.content == page.content


def test_it_is_saved_and_shown_in_notebooks(page, tmp_path):
    path = tmp_path / "words.html"
    page.save(path)
    assert path.read_bytes() == page.content
    assert page._repr_html_().startswith('<iframe srcdoc="&lt;!doctype html&gt;')


def test_given_positions_and_few_words():
    few = ffjax.from_vectors(["a", "b", "c"], ROWS[:3])
    data = blocks(few.explore(projection=np.array([[0, 0], [1, 0], [0, 1]]), neighbors=9))
    positions = np.frombuffer(data["positions"], "<u2").reshape(3, 2)
    assert positions[1, 0] > positions[0, 0] and positions[2, 1] < positions[0, 1]  # y points down
    assert json.loads(data["about"])["k"] == 2
    one = blocks(ffjax.from_vectors(["a"], ROWS[:1]).explore())
    assert json.loads(one["about"])["k"] == 0


def test_words_that_share_a_row_are_all_shown():
    pruned, _ = ffjax.prune(ffjax.from_vectors(WORDS[:20], ROWS[20:40]), 10)
    data = blocks(pruned.explore(projection="pca", neighbors=3))
    assert json.loads(data["words"]) == WORDS[:20]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"limit": 0}, ValueError, "`limit`"),
        ({"projection": "som"}, ValueError, "'umap', 'pca', 'tsne', 'umap-learn' or positions"),
        ({"projection": np.zeros((3, 2))}, ValueError, r"shape \[600, 2\].*got float64 \[3, 2\]"),
        (
            {"projection": np.append(np.zeros((N - 1, 2)), [[1, np.nan]], 0)},
            ValueError,
            r"`projection`: expected finite numbers .*, got \[ 1. nan\] in row 599",
        ),
        ({"neighbors": 0}, ValueError, "`neighbors`"),
    ],
)
def test_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        ffjax.explore(EMB, **options)


def test_vectors_to_place_must_be_finite():
    rows = np.where(np.arange(3)[:, None] == 1, np.inf, ROWS[:3])
    emb = ffjax.Embeddings(ffjax.NdArray(rows), ffjax.SimpleVocab(["a", "b", "c"]))
    with pytest.raises(ValueError, match="got NaN or infinity in the vector of 'b'"):
        emb.explore(projection="pca")
