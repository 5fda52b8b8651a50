"""`ffjax search`: the lines of a text that are nearest to a query."""

import json

import numpy as np
import pytest

import ffjax
from tests.formats.model2vec.models import arrays, write_folder

LINES = ["the bank raised its rates", "", "a cup of green tea", "12345", "flights to berlin"]


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


def test_lines_are_those_of_the_library(ff, notes):
    queries = ["coffee or milk", "airport"]
    result = ff("search", notes, *queries, "-k", 3)
    assert (result.status, result.err) == (0, "")
    emb = ffjax.demo()
    vectors, _ = ffjax.embed_text(emb, LINES)
    targets, _ = ffjax.embed_text(emb, queries)
    for i, query in enumerate(queries):
        rows = [row for row in result.rows if row[0] == query]
        numbers = [int(row[1]) - 1 for row in rows]
        assert sorted(numbers) == [0, 2, 4] and [row[2] for row in rows] == [
            LINES[number] for number in numbers
        ]
        norms = np.linalg.norm(vectors[numbers], axis=1) * np.linalg.norm(targets[i])
        cosines = vectors[numbers] @ targets[i] / norms
        scores = [float(row[3]) for row in rows]
        np.testing.assert_allclose(scores, cosines, rtol=1e-5)
        assert scores == sorted(scores, reverse=True)


def test_a_binary_file_is_an_error(ff, demo_file, tmp_path):
    result = ff("search", demo_file, "drink")
    assert result.status == 2 and result.out == ""
    assert f"{demo_file}: expected text, got a finalfusion file. Embeddings go with" in result.err
    (tmp_path / "binary").write_bytes(b"tea\0")
    result = ff("search", tmp_path / "binary", "drink")
    assert "binary: expected text, got a binary file. Embeddings go with" in result.err


def test_a_byte_order_mark_is_no_part_of_the_first_word(ff, tmp_path):
    (tmp_path / "text").write_text("tea\ncoffee\n", "utf-8-sig")
    result = ff("search", tmp_path / "text", "tea", "-k", 1)
    assert result.rows[0][:3] == ["tea", "1", "tea"]


def test_json_and_queries_from_standard_input(ff, notes):
    result = ff("search", notes, "-k", 1, "--json", stdin="coffee\n67890\n")
    first, second = map(json.loads, result.out.splitlines())
    assert first["query"] == "coffee" and first["results"][0]["line"] == 3
    assert first["results"][0]["text"] == LINES[2]
    assert second == {"query": "67890", "results": None} and result.status == 1
    assert "no answer for 67890: none of its words has a vector." in result.err
    assert "most lines" not in ff("search", notes, "67890").err


def test_other_embeddings_and_upper_case(ff, small, tmp_path):
    path = tmp_path / "text"
    path.write_text("TEA!\ncoffee\n")
    result = ff("search", path, "tea", "-e", small["simple"], "-k", 1)
    assert result.rows[0][1] == "2"
    options = ("--lowercase", "--strip-punctuation")
    result = ff("search", path, "tea", "-e", small["simple"], "-k", 1, *options)
    assert result.rows[0][1:3] == ["1", "TEA!"]


def test_bad_usage_ends_in_one_line_and_status_2(ff):
    for arguments, message in (
        (("no-such-text", "tea"), "no-such-text: No such file or directory"),
        (("-", "tea", "-e", "-"), "expected TEXT or --embeddings on standard input, got both."),
        (("-",), "standard input holds"),
    ):
        result = ff("search", *arguments)
        assert result.status == 2 and message in result.err and result.err.count("\n") == 1


def test_a_static_model(ff, notes, tmp_path):
    folder = write_folder(tmp_path / "model", arrays())
    result = ff("search", notes, "tea", "--embeddings", folder, "-k", 2)
    assert (result.status, result.err) == (0, "")
    best = ffjax.search(LINES, ["tea"], 2, embeddings=ffjax.load_static_model(folder))
    assert [int(row[1]) - 1 for row in result.rows] == best.rows[0].tolist()
    result = ff("search", notes, "tea", "--embeddings", folder, "--lowercase")
    assert result.status == 2 and "`--lowercase`" in result.err
    result = ff("similar", folder, "tea")
    assert "`ffjax embed`" in result.err
