"""`ffjax neighbours`: the neighbours of all words."""

import pytest


def test_neighbours(ff, small, tmp_path):
    pq, path = pytest.importorskip("pyarrow.parquet"), tmp_path / "near.parquet"
    result = ff("neighbours", small["simple"], "-k", 2, "-o", path)
    assert (result.status, result.err) == (0, f"ffjax: {path}: neighbours of 10 words.\n")
    table = pq.read_table(path).to_pydict()
    nearest = ff("similar", small["simple"], "tea", "-k", 2).rows
    assert table["neighbours"][0] == [row[1] for row in nearest]


def test_bad_input(ff, small, tmp_path):
    result = ff("neighbours", small["simple"], "-o", tmp_path / "n.csv")
    assert result.status == 2 and "expected a name that ends with .parquet, got" in result.err
    result = ff("neighbours", small["simple"], "-o", "-")
    assert (result.status, result.err) == (
        2,
        "ffjax: error: expected a .parquet file, got standard output. Name one with -o.\n",
    )
