"""`ffjax reduce`: what `ffjax.reduce_dims` gives, in files."""

import pytest

import ffjax


@pytest.mark.parametrize("kind", ["simple", "buckets"])
def test_the_file_is_what_the_function_gives(ff, small, tmp_path, kind):
    output = tmp_path / "small.fifu"
    for options, what in (((), "squared lengths"), (("--center",), "variance")):
        result = ff("reduce", small[kind], output, "--dims", 2, *options)
        assert result.status == 0, result.err
        emb = ffjax.load(small[kind])
        assert ffjax.load(output) == ffjax.reduce_dims(emb, 2, center=bool(options))
        assert result.err.startswith(f"ffjax: 2 of {emb.dims} dimensions keep ")
        assert result.err.endswith(f" % of the {what}.\n")


def test_into_a_snapshot_and_out_of_it(ff, small, tmp_path):
    first, second = tmp_path / "small.msgpack", tmp_path / "smaller.fifu"
    assert ff("reduce", small["buckets"], first, "--dims", 3).status == 0
    assert ff("reduce", first, second, "--dims", 2).status == 0
    assert ffjax.load(second).dims == 2
    info = ff("info", first)
    assert info.status == 0 and "msgpack" in info.out


def test_bad_input(ff, small, tmp_path):
    result = ff("reduce", small["simple"], tmp_path / "x.fifu", "--dims", 5000)
    assert (
        result.status == 2 and "`--dims`: expected 1 to" in result.err and "got 5000" in result.err
    )
    result = ff("reduce", small["simple"], tmp_path / "x.nope", "--dims", 2)
    assert result.status == 2 and result.err.count("x.nope") == 1 and "`path`" not in result.err
    assert not list(tmp_path.glob("x*"))
