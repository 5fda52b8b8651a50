"""`ffjax explore`: a page with a map of the words."""

import numpy as np


def test_a_page_is_written(ff, small, tmp_path):
    page = tmp_path / "words.html"
    positions = tmp_path / "positions.npy"
    np.save(positions, np.arange(20).reshape(10, 2))
    result = ff("explore", small["simple"], "-o", page, "--projection", positions, "-k", 3)
    assert result.status == 0, result.err
    assert result.err == f"ffjax: {page}: 10 of 10 words, 0.1 MB. Open it in a browser.\n"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_bad_input(ff, small, tmp_path):
    page, text = tmp_path / "words.html", tmp_path / "text.npy"
    text.write_text("0 1")
    for projection, expected in {
        "som": "expected umap, pca, tsne, umap-learn or a file of positions, got som",
        tmp_path / "none.npy": "none.npy",
        text: "expected an array of numbers as NumPy saves it",
    }.items():
        result = ff("explore", small["simple"], "-o", page, "--projection", projection)
        assert result.status == 2 and expected in result.err, result.err
    assert not page.exists()
    result = ff("explore", small["simple"], "-o", page, "--to", "projector", "--title", "x")
    assert result.status == 2 and "doesn't take `--title`" in result.err
    for options, expected in {
        ("words.txt", "--projection", "pca"): "expected a name that ends with .html, got",
        ("words.parquet",): "expected a page (.html). `--to atlas` writes Parquet.",
        ("-",): "expected a .html file, got standard output. Name one with -o.",
        ("k2.html", "--to", "atlas"): "expected a name that ends with .parquet, got",
        ("folder", "--to", "projector", "--seed", 1): "`--to projector` doesn't take `--seed`.",
        ("k.parquet", "--to", "atlas", "--projection", "pca", "--seed", 0): (
            "`--to atlas` doesn't take `--seed` with `--projection pca`."
        ),
    }.items():
        output = options[0] if options[0] == "-" else tmp_path / options[0]
        result = ff("explore", small["simple"], "-o", output, *options[1:])
        assert result.status == 2 and expected in result.err, result.err
        assert not (tmp_path / options[0]).exists()


def test_groups_of_words_in_a_page_depend_on_the_seed(ff, small, tmp_path):
    pages = []
    for seed in (0, 1):
        page = tmp_path / f"{seed}.html"
        options = ("--projection", "pca", "--seed", seed, "--title", "x")
        assert ff("explore", small["simple"], "-o", page, *options).status == 0
        pages.append(page.read_bytes())
    assert pages[0] != pages[1]


def test_methods_are_those_of_the_library():
    from ffjax.cli.explore import METHODS
    from ffjax.transforms.projection import METHODS as ALL

    assert tuple(ALL) == METHODS


def test_other_programs(ff, small, tmp_path):
    folder, table = tmp_path / "projector", tmp_path / "words.parquet"
    for _ in range(2):
        result = ff("explore", small["simple"], "-o", folder, "--to", "projector", "-n", 7)
        assert result.status == 0, result.err
    assert len((folder / "metadata.tsv").read_text("utf-8").splitlines()) == 7
    options = ("-o", table, "--to", "atlas", "--projection", "pca")
    assert ff("explore", small["simple"], *options).status == 0
    assert table.read_bytes().startswith(b"PAR1")
