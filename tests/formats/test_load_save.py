"""`load` and `save`: which format a file is in, which one a name asks for, and what is not lost in silence."""

from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.formats.detect import FORMATS, detect
from ffjax.formats.first_words import first_words
from ffjax.formats.streams import open_bytes

ROWS = np.array([[3, 4], [0.5, -0.25]], np.float32)


def simple(**parts) -> ffjax.Embeddings:
    return ffjax.Embeddings(ffjax.NdArray(ROWS), ffjax.SimpleVocab(["one", "two"]), **parts)


def fasttext() -> ffjax.Embeddings:
    rows = np.random.default_rng(0).standard_normal((12, 2)).astype(np.float32)
    return ffjax.Embeddings(ffjax.NdArray(rows), ffjax.FastTextVocab(["one", "two"], ffjax.FastTextIndexer(10, 3, 4)))


def quantized() -> ffjax.Embeddings:
    pq = ffjax.PQ(np.array([[[1], [2]], [[3], [4]]], np.float32), None)
    return ffjax.Embeddings(
        ffjax.QuantizedArray(pq, np.array([[0, 1], [1, 0]], np.uint8)), ffjax.SimpleVocab(["one", "two"])
    )


@pytest.mark.parametrize(
    ("raw", "format"),
    [
        (b"FiFu", "finalfusion"),
        (b"\xba\x16\x4f\x2f\x0c\x00\x00\x00", "fasttext"),
        (b"1 2\nx \x00\x00\x00\x00\x00\x00\x80\x3f\n", "word2vec"),
        (b"1 2\nx \n\n\n\n\x01\n\n\n", "word2vec"),
        (b"1 2\nx", "word2vec"),
        (b"1 300\nx " + b"\x3d\x3e1." * 300, "word2vec"),
        (b"1 2\nx 0.5 1\n", "textdims"),
        (b"1 2\nNew York 0.5 1\n", "textdims"),
        (b"1 2 \r\nx 0.5 1 \r\n", "textdims"),
        (b"1 2\nx 0.5\n", "textdims"),  # a value is missing, which the reader of text says
        (b"1 2\nx 0.5 1", "textdims"),
        (b"0 300\n", "textdims"),
        (b"5 1\n6 2\n7 3\n8 1\n9 2\n0 1\n", "textdims"),
        (b"5 3\n6 2\n", "text"),  # numbers for words, and one value each
        (b"x 0.5 1\n", "text"),
        (b"x 0.5", "text"),
        (b"5 0.5\n", "text"),
        (b"broken\nx 0.5 1\n", "text"),
        ("\u00a0 0.5 1\n".encode(), "text"),
        (b"\xff\xfe 0.5 1\n", "text"),
        (b"x" + b" 0.25" * 20_000 + b"\n", "text"),  # one line longer than what is looked at first
        (b"1 20000\nx" + b" 0.25" * 20_000 + b"\n", "textdims"),
        (b"2 2 3 4 1 2166136261 < >\n0 1 2\n1 3 4\n", "floret"),
        (b"2 2 3 4 1 2166136261 < >", "floret"),
        (b"2 2 3 4 1 2166136261 1 2\n0 1 2\n1 3 4\n", "floret"),  # digits for markers
        (b"1 2 3 4 5 6 7 8\n2 3 4 5 6 7 8 9\n", "text"),  # a word and seven whole numbers
        (b"0 2 3 4 5 6 7 8\n1 2 3 4 5 6 7 8\n", "text"),
        (b"3 2\nfoo 1\nbar 5", "text"),  # one value each, and neither three rows nor two values
        (b"9 300\nfoo 1\nbar 5\n", "text"),
        (b"2 2\nfoo 1\nbar 5\n", "textdims"),  # two rows, as the first line says, of too few values
        (b"3 2\nfoo 1\nNew York 5\nbar 2 4\n", "textdims"),
        ("\ufeff1 2\nx 0.5 1\n".encode(), "textdims"),
        ("\ufeffx 0.5 1\n".encode(), "text"),
        ("\ufeff2 2 3 4 1 2166136261 < >\n0 1 2\n1 3 4\n".encode(), "floret"),
    ],
)
def test_detection(raw: bytes, format: str) -> None:
    stream = open_bytes(raw)
    assert detect(stream) == format
    assert stream.position == 0
    assert format in FORMATS


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "got an empty file$"),
        (b"\x00\x01\x02", r"got b'\\x00\\x01\\x02'. If it is one of them all the same, say which with `format=`."),
        (b"no numbers here\nand none there\n", "got b'no numbers here"),
        (b"\x80\x04\x95" + bytes(100), r"got b'\\x80\\x04\\x95.*It may be a pickle, as gensim's own `save` writes"),
        (b"\x93NUMPY\x01\x00", "NumPy array, which has no words"),
        (b"<!DOCTYPE html>", "It may be a web page"),
        ("x 0.5\n".encode("utf-16"), "It may be text in UTF-16. Convert it"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize x\n", "Git LFS"),
        (b"x 0.5\x00 1\n", "got b'x 0.5"),
    ],
)
def test_unknown_files(raw: bytes, message: str) -> None:
    tried = "expected finalfusion .*, fastText .*, word2vec or text with dimensions .*, floret .*, or text .*"
    with pytest.raises(ffjax.FormatError, match=tried + message) as info:
        detect(open_bytes(raw))
    assert info.value.offset == 0


def test_the_name_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "vectors.fifu"
    path.write_bytes(b"1 2\nx 0.5 1\n")
    assert ffjax.load(path).vocab.words == ["x"]


def test_format_overrides(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(b"5 3\n6 2\n")
    assert ffjax.load(path).vocab.words == ["5", "6"]
    with pytest.raises(ffjax.FormatError, match="expected 5 rows|rows: expected"):
        ffjax.load(path, format="textdims")
    with pytest.raises(ffjax.FormatError, match="magic"):
        ffjax.load(path, format="finalfusion")
    with pytest.raises(ffjax.FormatError, match="magic"):
        ffjax.load(path, format="fasttext")
    with pytest.raises(ffjax.FormatError, match="rows: expected"):
        ffjax.load(path, format="word2vec")
    with pytest.raises(ffjax.FormatError, match="header: expected"):
        ffjax.load(path, format="floret")
    with pytest.raises(ValueError, match="`format`: expected one of 'finalfusion', .*, or None, got 'glove'"):
        ffjax.load(path, format="glove")


def test_lossy(tmp_path: Path) -> None:
    for raw in (b"x\xff 0.5 1\n", b"1 2\nx\xff 0.5 1\n", b"1 1\nx\xff \x00\x00\x80\x3f\n"):
        path = tmp_path / "vectors"
        path.write_bytes(raw)
        with pytest.raises(ffjax.FormatError, match="expected UTF-8"):
            ffjax.load(path)
        assert ffjax.load(path, lossy=True).vocab.words == ["x\ufffd"]


@pytest.mark.parametrize("limit", [0, 1, 2, 3])
@pytest.mark.parametrize("format", ["finalfusion", "word2vec", "text", "textdims"])
def test_limit(tmp_path: Path, format: str, limit: int) -> None:
    path = tmp_path / "vectors"
    ffjax.save(simple(), path, format=format)
    emb = ffjax.load(path, limit=limit)
    assert emb.vocab.words == ["one", "two"][:limit]
    assert emb.storage.shape == (min(limit, 2), 2)


def test_limit_of_embeddings_with_subwords(tmp_path: Path) -> None:
    path = tmp_path / "vectors.fifu"
    indexer = ffjax.FinalfusionHashIndexer(3, 3, 3)
    rows = np.arange(22, dtype=np.float32).reshape(11, 2)
    whole = ffjax.Embeddings(
        ffjax.NdArray(rows),
        ffjax.FinalfusionBucketVocab(["tea", "cup", "pot"], indexer),
        ffjax.Norms(np.ones(3, np.float32)),
    )
    ffjax.save(whole, path)
    for mmap in (False, True):
        emb = ffjax.load(path, limit=1, mmap=mmap)
        assert emb.vocab == ffjax.FinalfusionBucketVocab(["tea"], indexer)
        np.testing.assert_array_equal(np.asarray(emb.storage), rows[[0, *range(3, 11)]])
        assert len(emb.norms) == 1
        np.testing.assert_array_equal(emb["coffee"], whole["coffee"])


def test_limit_where_words_share_rows() -> None:
    rows = np.arange(10, dtype=np.float32).reshape(5, 2)
    vocab = ffjax.ExplicitVocab(["a", "b", "c", "d"], ffjax.ExplicitIndexer(["<a", "b>"], 2, 2), rows=[2, 0, 2, 1])
    emb = ffjax.Embeddings(ffjax.NdArray(rows), vocab, ffjax.Norms(np.array([1, 2, 3], np.float32)))
    short = first_words(emb, 3)
    assert short.vocab.words == ["a", "b", "c"]
    for word in "abc":
        np.testing.assert_array_equal(short[word], emb[word])
        assert short.embedding_with_norm(word)[1] == emb.embedding_with_norm(word)[1]
    np.testing.assert_array_equal(np.asarray(short.storage), rows[[0, 2, 3, 4]])


def test_limit_of_quantized_embeddings(tmp_path: Path) -> None:
    path = tmp_path / "vectors.fifu"
    ffjax.save(quantized(), path)
    emb = ffjax.load(path, limit=1)
    assert isinstance(emb.storage, ffjax.QuantizedArray)
    np.testing.assert_array_equal(np.asarray(emb.storage), np.asarray(quantized().storage)[:1])


def test_limit_of_floret_tables(tmp_path: Path) -> None:
    path = tmp_path / "table.floret"
    ffjax.save(ffjax.Embeddings(ffjax.NdArray(ROWS), ffjax.FloretVocab(ffjax.FloretIndexer(2))), path)
    with pytest.raises(ValueError, match="`limit`: expected None for a floret table, which has no words, got 1"):
        ffjax.load(path, limit=1)
    ffjax.save(ffjax.load(path), tmp_path / "table.fifu")
    with pytest.raises(ValueError, match="`limit`: expected None for floret embeddings, which have no words, got 1"):
        ffjax.load(tmp_path / "table.fifu", limit=1)


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.fifu", "finalfusion"),
        ("a.w2v", "word2vec"),
        ("a.txt", "text"),
        ("a.TXT", "text"),
        ("a.vec", "textdims"),
        ("a.dims", "textdims"),
    ],
)
def test_names(tmp_path: Path, name: str, format: str) -> None:
    ffjax.save(simple(), tmp_path / name)
    with open(tmp_path / name, "rb") as file:
        assert detect(open_bytes(file.read())) == format


def test_bin_is_fasttext_for_vocabularies_of_fasttext(tmp_path: Path) -> None:
    ffjax.save(fasttext(), tmp_path / "a.bin")
    assert isinstance(ffjax.load(tmp_path / "a.bin").vocab, ffjax.FastTextVocab)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "a.bin",
            "`path`: expected a name that ends with .fifu .finalfusion., .*got .*`.bin` may be word2vec or fastText",
        ),
        ("a", "Say which format with `format=`"),
        ("a.xyz", "Say which format with `format=`"),
        ("a.txt.gz", "Files are written as they are; compress it afterwards"),
    ],
)
def test_names_that_say_nothing(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ffjax.save(simple(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_bad_formats(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`format`: expected one of 'finalfusion'.*got 'glove'"):
        ffjax.save(simple(), tmp_path / "a", format="glove")
    with pytest.raises(ValueError, match="`format`: expected one of .* for a descriptor, got None"):
        ffjax.save(simple(), 1)
    with pytest.raises(TypeError, match="drop_everything"):
        ffjax.save(simple(), tmp_path / "a.txt", drop_everything=True)


WRITERS = {"word2vec": ffjax.write_word2vec, "text": ffjax.write_text, "textdims": ffjax.write_text_dims}


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize(
    ("make", "lost", "options"),
    [
        (fasttext, "n-grams", {"drop_subwords"}),
        (lambda: simple(metadata=ffjax.Metadata({"a": 1})), "metadata", {"drop_metadata"}),
        (lambda: simple(training=ffjax.Training([1, 2])), "what training left", {"drop_training"}),
        (quantized, "quantized vectors", {"reconstruct"}),
        (
            lambda: fasttext().replace(metadata=ffjax.Metadata({"a": 1}), training=ffjax.Training([1, 2])),
            "n-grams and metadata and what training left",
            {"drop_subwords", "drop_metadata", "drop_training"},
        ),
    ],
    ids=["subwords", "metadata", "training", "quantized", "all"],
)
def test_nothing_is_lost_in_silence(tmp_path: Path, format: str, make, lost: str, options: set[str]) -> None:
    emb, path = make(), tmp_path / "vectors"
    with pytest.raises(ValueError, match=f"which is all that .* hold, got {lost}") as info:
        WRITERS[format](path, emb)
    assert all(f"`{option}=True`" in str(info.value) for option in options)
    for missing in options:
        with pytest.raises(ValueError, match=f"Allow what is to be lost with `{missing}=True`"):
            WRITERS[format](path, emb, **{option: option != missing for option in options})
    assert not path.exists()
    WRITERS[format](path, emb, **dict.fromkeys(options, True))
    back = ffjax.load(path)
    assert back.vocab.words == emb.vocab.words
    rows = np.asarray(back.storage) * np.asarray(back.norms)[:, None]
    np.testing.assert_allclose(rows, np.asarray(emb.storage)[:2], rtol=1e-6)


@pytest.mark.parametrize("format", WRITERS)
def test_norms_are_multiplied_in_unless_told_otherwise(tmp_path: Path, format: str) -> None:
    path = tmp_path / "vectors"
    emb = simple(norms=ffjax.Norms(np.array([2, 0.5], np.float32)))
    for unnormalize, expected in ((True, ROWS * [[2], [0.5]]), (False, ROWS)):
        WRITERS[format](path, emb, unnormalize=unnormalize)
        back = ffjax.load(path)
        np.testing.assert_allclose(np.asarray(back.storage) * np.asarray(back.norms)[:, None], expected, rtol=1e-6)


@pytest.mark.parametrize("format", WRITERS)
def test_words_that_share_rows(tmp_path: Path, format: str) -> None:
    emb = ffjax.Embeddings(ffjax.NdArray(ROWS), ffjax.SimpleVocab(["a", "b", "c"], rows=[1, 0, 1]))
    WRITERS[format](tmp_path / "vectors", emb)
    back = ffjax.load(tmp_path / "vectors")
    np.testing.assert_allclose(np.asarray(back.storage) * np.asarray(back.norms)[:, None], ROWS[[1, 0, 1]], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_other_types_of_numbers(tmp_path: Path, dtype: str) -> None:
    import jax.numpy as jnp

    emb = ffjax.Embeddings(ffjax.NdArray(jnp.asarray(ROWS, dtype)), ffjax.SimpleVocab(["one", "two"]))
    for format, write in WRITERS.items():
        write(tmp_path / format, emb)
        back = ffjax.load(tmp_path / format)
        np.testing.assert_allclose(np.asarray(back.storage) * np.asarray(back.norms)[:, None], ROWS, rtol=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b\nc"], "expected words without line feeds, since text files can't hold them, got 'b\\\\nc'"),
        (["a", "python 2.7"], "expected words that a reader can tell from values, got 'python 2.7'"),
        (["a", "x\t-1"], "expected words that a reader can tell from values"),
    ],
)
def test_words_that_text_cannot_hold(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ffjax.write_text(tmp_path / "a.txt", ffjax.Embeddings(ffjax.NdArray(ROWS), ffjax.SimpleVocab(words)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words", [["New York", ""], [" ", "\u00a0"], ["a ", " b"], ["\r", "windows 10"], ["日本", "\x00"]]
)
def test_words_that_text_can_hold(tmp_path: Path, words: list[str]) -> None:
    emb = ffjax.Embeddings(ffjax.NdArray(ROWS), ffjax.SimpleVocab(words))
    for write, read in ((ffjax.write_text, ffjax.load_text), (ffjax.write_text_dims, ffjax.load_text_dims)):
        write(tmp_path / "a", emb)
        assert read(tmp_path / "a", dims=2).vocab.words == words


def test_separators(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    ffjax.write_text(path, simple(), sep="\t")
    assert path.read_bytes() == b"one\t3.0 4.0\ntwo\t0.5 -0.25\n"
    assert ffjax.load(path).vocab.words == ["one", "two"]
    for sep in ("", "\n", " \n"):
        with pytest.raises(ValueError, match="`sep`: expected spaces or tabs"):
            ffjax.write_text(path, simple(), sep=sep)


def test_an_old_file_stays_until_the_new_one_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ffjax.formats import text_write

    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(rows: np.ndarray) -> list[bytes]:
        raise RuntimeError("the power went")

    monkeypatch.setattr(text_write, "format_rows", fail)
    with pytest.raises(RuntimeError, match="the power went"):
        ffjax.write_text(path, simple())
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


# Byte order marks, lone carriage returns, first lines that are rows, and nothing to write


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\ufeff2 2\none 3 4\ntwo 1 0\n", ["one", "two"]),
        ("\ufeffone 3 4\ntwo 1 0\n", ["one", "two"]),
        ("\ufeff 3 4\ntwo 1 0\n", ["\ufeff", "two"]),  # a word of its own
        ("2 2\n\ufeffone 3 4\ntwo 1 0\n", ["\ufeffone", "two"]),
        ("one 3 4\n\ufefftwo 1 0\n", ["one", "\ufefftwo"]),
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_first_word(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "marked"
    path.write_text(text, encoding="utf-8")
    emb = ffjax.load(path)
    assert emb.vocab.words == words
    np.testing.assert_allclose(np.asarray(emb.norms), [5, 1])


def test_errors_behind_a_byte_order_mark_have_the_byte_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "marked"
    path.write_text("\ufeffone 3 4\ntwo x 0\n", encoding="utf-8")
    with pytest.raises(ffjax.FormatError, match="byte 15: .*expected a decimal number, got 'x'") as info:
        ffjax.load_text(path, dims=2)
    assert path.read_bytes()[info.value.offset :].startswith(b"x")


def test_a_floret_table_behind_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "marked"
    path.write_text("\ufeff2 2 3 4 1 2166136261 < >\n0 1.0 0.0\n1 0.0 1.0\n", encoding="utf-8")
    assert ffjax.load(path).storage.shape == (2, 2)


@pytest.mark.parametrize("word", ["\ufeffone", "\ufeff"])
def test_a_first_word_with_a_byte_order_mark_comes_back_or_is_refused(tmp_path: Path, word: str) -> None:
    path = tmp_path / "marked"
    emb = ffjax.Embeddings(ffjax.NdArray(np.eye(2, dtype=np.float32)), ffjax.SimpleVocab([word, "two"]))
    ffjax.write_text_dims(path, emb)
    assert ffjax.load(path).vocab.words == [word, "two"]
    if word == "\ufeff":
        ffjax.write_text(path, emb)
        assert ffjax.load(path).vocab.words == [word, "two"]
    else:
        with pytest.raises(ValueError, match="words that a reader can tell from values, got '.ufeffone'"):
            ffjax.write_text(path, emb)


@pytest.mark.parametrize(
    ("raw", "at"),
    [
        (b"one 3 4\rtwo 1 0\r", 7),
        (b"2 2\rone 3 4\rtwo 1 0", 3),
        (b"2 2 3 4 1 2166136261 < >\r0 1.0 0.0\r1 0.0 1.0\r", 24),
    ],
)
def test_lines_that_end_with_a_carriage_return_alone(tmp_path: Path, raw: bytes, at: int) -> None:
    path = tmp_path / "classic"
    path.write_bytes(raw)
    with pytest.raises(ffjax.FormatError, match="got lines that end with CR alone. Convert them first") as info:
        ffjax.load(path)
    assert info.value.offset == at


def test_carriage_returns_before_line_feeds_and_in_words(tmp_path: Path) -> None:
    path = tmp_path / "dos"
    path.write_bytes(b"one 3 4\r\nt\rwo 1 0\r\n")
    assert ffjax.load(path).vocab.words == ["one", "t\rwo"]
    path.write_bytes(b"t\rwo 1 0\n")
    assert ffjax.load(path).vocab.words == ["t\rwo"]
    words = ffjax.SimpleVocab(["x 1\ry"])
    with pytest.raises(ValueError, match="words that a reader can tell from values"):
        ffjax.write_text(path, ffjax.Embeddings(ffjax.NdArray(np.ones((1, 2), np.float32)), words))


@pytest.mark.parametrize("raw", [b"3 1\nfoo 1\n", b"3 1\nfoo-with-a-long-name 1\n", b"1 1\nfoo 1\nbar 2\n"])
def test_a_first_line_that_may_be_a_row(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "vectors"
    path.write_bytes(raw)
    with pytest.raises(ffjax.FormatError, match="If that line is a word and its value, .* with `format=`"):
        ffjax.load(path)
    assert ffjax.load(path, format="text").n_words == raw.count(b"\n")


def _empty(format: str, words: list[str], dims: int) -> ffjax.Embeddings:
    vocab, n_rows = ffjax.SimpleVocab(words), len(words)
    if format == "fasttext":
        vocab, n_rows = ffjax.FastTextVocab(words, ffjax.FastTextIndexer(2, 3, 4)), n_rows + 2
    if format == "floret":
        vocab, n_rows = ffjax.FloretVocab(ffjax.FloretIndexer(2, 3, 4)), 2
    return ffjax.Embeddings(ffjax.NdArray(np.ones((n_rows, dims), np.float32)), vocab)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("words", "dims"), [(["one", "two"], 0), ([], 3), ([], 0)])
def test_what_is_written_of_nothing_can_be_read(tmp_path: Path, format: str, words: list[str], dims: int) -> None:
    path = tmp_path / "nothing"
    emb = _empty(format, words, dims)
    if format not in ("finalfusion", "msgpack") and not dims:
        with pytest.raises(ValueError, match="expected vectors of 1 dimension or more, .* got 0. finalfusion"):
            ffjax.save(emb, path, format=format)
    elif format == "text":
        with pytest.raises(ValueError, match="got an empty vocabulary. Write text with dimensions"):
            ffjax.save(emb, path, format=format)
    else:
        ffjax.save(emb, path, format=format)
        for read in (ffjax.load(path, format=format), ffjax.load(path)):
            assert read.storage.shape == emb.storage.shape and read.vocab.words == emb.vocab.words
        return
    assert not path.exists()
