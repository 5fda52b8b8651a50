"""`ffjax reduce`: what `ffjax.reduce_dims` gives, in files."""

import pytest

import ffjax


@pytest.mark.parametrize("kind", ["simple", "buckets"])
def test_the_file_is_what_the_function_gives(ff, small, tmp_path, kind):
    output = tmp_path / "small.fifu"
    for options, what in (((), "squared lengths"), (("--center",), "variance")):
        done = ff("reduce", small[kind], output, "--dims", 2, *options)
        assert done.status == 0, done.err
        emb = ffjax.load(small[kind])
        assert ffjax.load(output) == ffjax.reduce_dims(emb, 2, center=bool(options))
        assert done.err.startswith(f"ffjax: 2 of {emb.dims} dimensions keep ")
        assert done.err.endswith(f" % of the {what}.\n")


def test_into_a_snapshot_and_out_of_it(ff, small, tmp_path):
    first, second = tmp_path / "small.msgpack", tmp_path / "smaller.fifu"
    assert ff("reduce", small["buckets"], first, "--dims", 3).status == 0
    assert ff("reduce", first, second, "--dims", 2).status == 0
    assert ffjax.load(second).dims == 2
    found = ff("info", first)
    assert found.status == 0 and "msgpack" in found.out


def test_bad_input(ff, small, tmp_path):
    done = ff("reduce", small["simple"], tmp_path / "x.fifu", "--dims", 5000)
    assert done.status == 2 and "`--dims`: expected 1 to" in done.err and "got 5000" in done.err
    done = ff("reduce", small["simple"], tmp_path / "x.nope", "--dims", 2)
    assert done.status == 2 and done.err.count("x.nope") == 1 and "`path`" not in done.err
    assert not list(tmp_path.glob("x*"))
