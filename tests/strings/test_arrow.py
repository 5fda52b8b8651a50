"""Packing Arrow arrays."""


import pytest

from ffjax import pack
from ffjax.strings.text import as_lines, cut
from tests.strings.test_pack import RAW, WORDS


class TestArrow:
    @pytest.fixture(autouse=True)
    def _pyarrow(self):
        self.pa = pytest.importorskip("pyarrow")

    def kinds(self):
        pa = self.pa
        return [
            pa.array(WORDS, pa.string()),
            pa.array(WORDS, pa.large_string()),
            pa.array(RAW, pa.binary()),
            pa.array(RAW, pa.large_binary()),
            pa.array(WORDS, pa.string_view()),
            pa.array(WORDS).dictionary_encode(),
            pa.array(["skipped", *WORDS, "too"]).slice(1, len(WORDS)),
            pa.chunked_array([WORDS[:3], [], WORDS[3:]], pa.string()),
        ]

    def test_all_kinds(self):
        for array in self.kinds():
            assert pack(array) == pack(WORDS), array.type

    def test_nulls_are_fillers_and_no_array_is_too_short(self):
        batch = pack(self.pa.array(["a", None, "b"]))
        assert batch.lengths.tolist() == [1, -1, 1, -1] and not batch.bytes[1].any()
        assert len(pack(self.pa.array([], self.pa.string()))) == 0
        assert len(pack(self.pa.chunked_array([], self.pa.string()))) == 0
        assert pack(self.pa.nulls(2)).lengths.tolist() == [-1] * 4

    def test_bytes_are_read_where_they_are(self, monkeypatch):
        """The buffer that words are gathered from is pyarrow's own."""
        from ffjax.strings import pack as packing

        seen = []
        pack_views = packing.pack_views

        def spied(words, *sizes):
            seen.append(words.data)
            return pack_views(words, *sizes)

        monkeypatch.setattr(packing, "pack_views", spied)
        array = self.pa.array(WORDS)
        pack(array)
        pack(self.pa.chunked_array([array]))
        address = array.buffers()[2].address
        assert [data.ctypes.data for data in seen] == [address, address]

    def test_the_capsule_interface_is_all_that_is_asked_for(self):
        class Stream:
            def __init__(self, array):
                self.array = array

            def __arrow_c_stream__(self, requested_schema=None):
                return self.array.__arrow_c_stream__(requested_schema)

        assert pack(Stream(self.pa.chunked_array([WORDS]))) == pack(WORDS)

    def test_other_types_are_refused(self):
        with pytest.raises(TypeError, match="`words`: expected Arrow strings or binary, got int64"):
            pack(self.pa.array([1, 2]))


def test_without_pyarrow_the_error_names_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    arrow = type("Arrow", (), {"__arrow_c_array__": None})()
    with pytest.raises(
        ImportError, match=r"`words`: Arrow data needs the extra `arrow`"
    ):
        pack(arrow)


class TestLines:
    """Texts of Arrow as lines: the bytes that a list of the same texts gives."""

    TEXTS = ["tea", "", "for\ntwo", "Zürich ΟΔΟΣ", "\n", None, "a\0b", "\U0001f600" * 9]

    @pytest.fixture(autouse=True)
    def _pyarrow(self):
        self.pa = pytest.importorskip("pyarrow")

    @pytest.mark.parametrize("newline", [" ", ""])
    @pytest.mark.parametrize("lowercase", [False, True])
    def test_lines_are_those_of_a_list(self, newline, lowercase):
        pa = self.pa
        expected = as_lines([text or "" for text in self.TEXTS], lowercase, newline)
        array = pa.array(self.TEXTS)
        for texts in (
            array,
            array.cast(pa.large_string()),
            array.cast(pa.string_view()),
            array.cast(pa.binary()),
            array.dictionary_encode(),
            pa.array(["x", *self.TEXTS, "y"])[1:-1],
            pa.chunked_array([array[:2], array[2:2], array[2:]]),
        ):
            assert as_lines(texts, lowercase, newline) == expected
        assert as_lines(array[:0]) == as_lines(pa.chunked_array([], pa.string())) == b""

    def test_line_feeds_are_an_error_or_kept_apart(self):
        texts = self.pa.array(["tea", None, "for\ntwo", "\n"])
        with pytest.raises(ValueError, match="`texts`: expected one line .*in text 2. Remove"):
            as_lines(texts)
        assert as_lines(texts[:2]) == b"tea\n\n"
        raw = self.pa.array([b"\xff\n", b"\xfe"])
        assert as_lines(raw, newline=" ") == b"\xff \n\xfe\n"

    def test_texts_are_cut_after_characters(self):
        texts = self.pa.array(["Zürich", None, "tea"])
        for n in (0, 2, 3, 99):
            assert cut(texts, n).to_pylist() == ["Zürich"[:n], None, "tea"[:n]]
        assert cut(self.pa.array([b"\xff\xfe\xfd"]), 2) == ["\udcff\udcfe"]
