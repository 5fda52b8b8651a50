"""`ffjax quantize` and `ffjax reconstruct`: what the library gives, in files."""

import json
import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

import ffjax

FEW = ("--bits", 3, "--iterations", 2, "--subquantizers", 4)


@pytest.fixture
def words_file(tmp_path):
    """400 words of 12 dimensions, not of unit length."""
    rows = np.random.default_rng(0).standard_normal((400, 12)).astype(np.float32)
    path = tmp_path / "words.fifu"
    words = ffjax.SimpleVocab([f"word{i}" for i in range(400)])
    ffjax.Embeddings(ffjax.NdArray(rows), words).write(path)
    return path


@pytest.mark.parametrize("kind", ["simple", "buckets"])
@pytest.mark.parametrize("method", ["pq", "opq"])
def test_what_the_library_gives(ff, small, words_file, tmp_path, kind, method):
    source = words_file if kind == "simple" else small[kind]
    output = tmp_path / "small.fifu"
    result = ff("quantize", source, output, "--method", method, *FEW, "--seed", 3)
    assert result.status == 0 and not result.err
    expected, quality = ffjax.quantize(
        ffjax.load(source),
        method,
        bits=3,
        iterations=2,
        subquantizers=4,
        key=jax.random.key(3),
    )
    assert ffjax.load(output) == expected
    shown = dict(result.rows)
    assert shown["bytes before"] == str(source.stat().st_size)
    assert shown["bytes after"] == str(output.stat().st_size)
    names = ("mean squared error", "mean cosine", "recall of 10 nearest")
    assert [shown[name] for name in names] == [str(float(f"{x:.6g}")) for x in quality]


def test_json(ff, words_file, tmp_path):
    result = ff("quantize", words_file, tmp_path / "small.fifu", *FEW, "--json")
    values = json.loads(result.out)
    assert list(values) == [
        *("bytes before", "bytes after", "compression ratio"),
        *("mean squared error", "mean cosine", "recall of 10 nearest"),
    ]
    assert result.status == 0 and 0 < values["mean cosine"] < 1


def test_a_file_may_replace_its_source(ff, words_file):
    before = words_file.stat().st_size
    result = ff("quantize", words_file, words_file, *FEW)
    assert result.status == 0 and dict(result.rows)["bytes before"] == str(before)
    assert isinstance(ffjax.load(words_file).storage, ffjax.QuantizedArray)


def test_lengths_may_stay_in_the_rows(ff, words_file, tmp_path):
    for options, has_norms in (((), True), (("--no-keep-lengths",), False)):
        output = tmp_path / "small.fifu"
        assert ff("quantize", words_file, output, *FEW, *options).status == 0
        assert (ffjax.load(output).storage.norms is not None) == has_norms


@pytest.mark.filterwarnings("default")
def test_an_unusual_default_is_reported_in_one_line(ff, tmp_path):
    rows = np.random.default_rng(0).standard_normal((20, 7)).astype(np.float32)
    ffjax.Embeddings(ffjax.NdArray(rows), ffjax.SimpleVocab([f"word{i}" for i in range(20)])).write(
        tmp_path / "x.fifu"
    )
    result = ff("quantize", tmp_path / "x.fifu", tmp_path / "y.fifu", "--bits", 2)
    assert result.status == 0 and result.err.count("\n") == 1
    assert (
        result.err.startswith("ffjax: `--subquantizers`: 7 dimensions have neither")
        and "takes 7 bytes" in result.err
    )
    assert "Give `--subquantizers` (1, 7)" in result.err
    assert not ff(
        "quantize", tmp_path / "x.fifu", tmp_path / "y.fifu", "--bits", 2, "--subquantizers", 7
    ).err


@pytest.mark.usefixtures("as_users_see")
def test_bad_input(ff, small, tmp_path):
    output = tmp_path / "small.fifu"
    for options, message in (
        (
            ("--subquantizers", 5, "--bits", 3),
            "`--subquantizers`: expected a divisor of the 12 dimensions",
        ),
        (
            ("--subquantizers", 4),
            "expected at least 256 rows, one for each centroid of 8 bits, got 10.",
        ),
        (("--bits", 3, "--sample", 2), "`--sample`: expected at least 8 rows"),
        (
            ("--method", "int8", "--to", "msgpack", "--bits", 3),
            "`--bits`: expected None with 'int8'",
        ),
        (
            ("--method", "int8", "--to", "msgpack", "--no-keep-lengths"),
            "`--no-keep-lengths`: expected None with 'int8'",
        ),
        (("--method", "int8"), "expected a format that can store int8 codes, msgpack"),
        (("--seed", 1 << 64), "'--seed'"),
    ):
        result = ff("quantize", small["simple"], output, *options)
        assert result.status == 2 and message in result.err and result.err.count("\n") == 1, (
            result.err
        )
        assert not list(tmp_path.iterdir())
    result = ff("quantize", small["simple"], "-", "--to", "finalfusion", "--json", *FEW)
    assert (
        result.status == 2
        and "expected a file as the output, since --json prints, got standard output" in result.err
    )
    result = ff("quantize", small["simple"], tmp_path / "none" / "x.fifu", *FEW)
    assert result.status == 2 and not list(tmp_path.iterdir())
    assert ff("quantize", small["simple"], output, "--bits", 9).status == 2


def test_an_interrupted_run_leaves_the_old_file(ff, small, tmp_path, monkeypatch):
    output = tmp_path / "small.fifu"
    output.write_bytes(b"old")

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("ffjax.transforms.pq_training.step", stop)
    assert ff("quantize", small["simple"], output, *FEW).status == 130
    assert [path.name for path in tmp_path.iterdir()] == [
        "small.fifu"
    ] and output.read_bytes() == b"old"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals are sent as POSIX does")
@pytest.mark.parametrize("output", ["small.fifu", "small.msgpack"])
def test_ctrl_c_in_training_leaves_nothing(tmp_path, output):
    rows = np.random.default_rng(0).standard_normal((300, 4)).astype(np.float32)
    ffjax.Embeddings(ffjax.NdArray(rows), ffjax.SimpleVocab([f"w{i}" for i in range(300)])).write(
        tmp_path / "x.fifu"
    )
    # Says when the training has begun, which would take days.
    code = (
        "import sys, ffjax.transforms.pq_training as pq\n"
        "step = pq.step\n"
        "pq.step = lambda *a: print('training', flush=True) or step(*a)\n"
        "sys.exit(__import__('ffjax.cli').cli.main(sys.argv[1:]))"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "quantize",
        tmp_path / "x.fifu",
        tmp_path / output,
        "-i",
        "1000000000",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"training\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, b"")
    assert [path.name for path in tmp_path.iterdir()] == ["x.fifu"]


@pytest.mark.parametrize("method", ["pq", "opq", "int8", "bfloat16"])
def test_through_pipes(ff, pipe, small, tmp_path, method):
    source, trained = tmp_path / "small.msgpack", method in ("pq", "opq")
    options = ("--bits", 3, "-i", 2) if trained else ()
    assert ff("quantize", small["buckets"], source, "--method", method, *options).status == 0
    expected = ffjax.load(source)
    for to in ("msgpack", "finalfusion") if trained else ("msgpack",):
        status, data, err = pipe("convert", source, "-", "--to", to)
        assert (status, err) == (0, "")
        assert ff("convert", "-", tmp_path / "back.msgpack", stdin=data) == (0, "", "")
        assert ffjax.load(tmp_path / "back.msgpack") == expected
        assert type(ffjax.load(tmp_path / "back.msgpack").storage) is type(expected.storage)
    status, plain, _ = pipe(
        "reconstruct", "-", "-", "--to", "finalfusion", stdin=source.read_bytes()
    )
    assert status == 0
    (tmp_path / "plain.fifu").write_bytes(plain)
    assert ffjax.load(tmp_path / "plain.fifu") == ffjax.reconstruct(expected)


def test_reconstruct(ff, small, tmp_path):
    quantized, plain = tmp_path / "small.fifu", tmp_path / "plain.fifu"
    assert ff("quantize", small["buckets"], quantized, *FEW).status == 0
    assert ff("reconstruct", quantized, plain).status == 0
    old, new = ffjax.load(quantized), ffjax.load(plain)
    assert isinstance(new.storage, ffjax.NdArray) and (new.vocab, new.metadata) == (
        old.vocab,
        old.metadata,
    )
    np.testing.assert_allclose(np.asarray(new.storage), np.asarray(old.storage), rtol=1e-6)


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        ("x.vec", (), "expected a format that can store pq codes, finalfusion or msgpack"),
        ("x.fifu", ("--method", "int8"), "expected a format that can store int8 codes, msgpack"),
        ("x.xyz", (), "expected a name whose ending tells the format"),
        ("none/x.fifu", (), "none"),
    ],
)
def test_a_bad_output_is_found_before_training(ff, tmp_path, output, options, message):
    """So many steps would take hours."""
    source = tmp_path / "words.txt"
    rows = np.random.default_rng(0).standard_normal((300, 4))
    source.write_text("".join(f"w{i} {' '.join(map(str, row))}\n" for i, row in enumerate(rows)))
    trained = () if "int8" in options else ("-i", "100000000")
    result = ff("quantize", source, tmp_path / output, *options, *trained)
    assert result.status == 2 and message in result.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["words.txt"]


def test_a_size_chooses_the_settings_that_fit(ff, words_file, tmp_path):
    """A file of just the size that other settings take, and one byte less."""
    output, options = tmp_path / "small.fifu", ("--bits", 3, "-i", 2)
    sizes = {}
    for method in ("pq", "opq"):
        for n_codes in (4, 3):
            settings = ("--method", method, "--subquantizers", n_codes)
            assert ff("quantize", words_file, output, *settings, *options).status == 0
            sizes[method, n_codes] = output.stat().st_size
    assert sizes["opq", 4] > sizes["opq", 3] > sizes["pq", 4] > sizes["pq", 3]
    for size, (method, n_codes) in (
        (sizes["opq", 4], ("opq", 4)),
        (sizes["opq", 4] - 1, ("pq", 4)),
        (sizes["pq", 4] - 1, ("pq", 3)),
    ):
        result = ff("quantize", words_file, output, "--max-size", size, *options)
        assert result.err == f"ffjax: chose --method {method} --subquantizers {n_codes}.\n"
        assert output.stat().st_size == sizes[method, n_codes] and result.status == 0
    size = f"{sizes['opq', 4] / 1000}kB"
    result = ff("quantize", words_file, output, "--max-size", size, "--method", "pq", *options)
    assert "chose --method pq --subquantizers 4" in result.err


def test_the_largest_msgpack_file_that_fits(ff, words_file, tmp_path):
    output, sizes = tmp_path / "small.msgpack", {}
    for method in ("bfloat16", "int8"):
        assert ff("quantize", words_file, output, "-m", method).status == 0
        sizes[method] = output.stat().st_size
    for size, method in ((sizes["bfloat16"], "bfloat16"), (sizes["bfloat16"] - 1, "int8")):
        result = ff("quantize", words_file, output, "--max-size", size)
        assert result.err == f"ffjax: chose --method {method}.\n"
        assert output.stat().st_size == sizes[method] and result.status == 0


def test_a_size_that_nothing_fits_is_bad_input(ff, words_file, tmp_path):
    output = tmp_path / "small.fifu"
    for arguments, message in (
        (("--max-size", "100"), "bytes, which the words and the smallest codes take, got 100."),
        (("--max-size", "20 elephants"), "expected a size such as 20MB, got 20 elephants."),
        (("--max-size", "1MB", "-s", 4), "expected --max-size or --subquantizers, got both."),
    ):
        result = ff("quantize", words_file, output, *arguments)
        assert result.status == 2 and message in result.err and result.err.count("\n") == 1
        assert not output.exists()
