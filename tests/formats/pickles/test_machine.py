"""The machine that reads pickles: hostile ones are refused, and nothing of them is run."""

import os
import pickletools
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import ffjax
from ffjax.formats.io.binary import ByteSource
from ffjax.formats.load import load
from ffjax.formats.pickles import machine
from ffjax.formats.pickles.machine import Machine
from ffjax.formats.pickles.runs import RunFinder
from ffjax.formats.pickles.values import Raw, Skipped, TextRun
from tests.formats.pickles import pickle_files as files

CANARY = "ffjax_canary_module"
TOUCH = files.text("touch canary")


def hostile() -> dict[str, bytes]:
    """What runs code when it is unpickled, and what only takes memory or depth."""
    call = b"(" + TOUCH + b"t"
    return {
        "GLOBAL, REDUCE": files.name("os.system") + call + b"R.",
        "of posix": files.name("posix.system") + call + b"R.",
        "STACK_GLOBAL": b"\x8c\x02os\x8c\x06system\x93" + call + b"R.",
        "nested name": b"\x8c\x08builtins\x8c\x0eobject.__new__\x93" + call + b"R.",
        "eval": files.name("builtins.eval") + b"(" + files.text("1/0") + b"tR.",
        "exec of Python 2": files.name("__builtin__.eval") + call + b"R.",
        "getattr": files.name("builtins.getattr") + call + b"R.",
        "NEWOBJ": files.name("subprocess.Popen") + call + b"\x81.",
        "NEWOBJ_EX": files.name("subprocess.Popen") + call + b"}\x92.",
        "BUILD": files.name("builtins.exec") + b")R" + TOUCH + b"b.",
        "INST": b"(" + TOUCH + b"ios\nsystem\n.",
        "OBJ": b"(" + files.name("os.system") + TOUCH + b"o.",
        "an import": files.name(f"{CANARY}.run") + b")R.",
        "an import in gensim": files.name(f"gensim.{CANARY}.run") + b")R.",
        "NumPy's exec": files.name("numpy.testing._private.utils.runstring") + call + b"R.",
        "gensim's unpickle": files.name("gensim.utils.unpickle") + call + b"R.",
        "EXT1": b"\x82\x01.",
        "EXT2": b"\x83\x01\x00.",
        "EXT4": b"\x84\x01\x00\x00\x00.",
        "PERSID": b"Pcanary\n.",
        "BINPERSID": TOUCH + b"Q.",
        "NEXT_BUFFER": b"\x97.",
        "no opcode": b"\xff.",
        "a long text": b"\x8d" + b"\xff" * 8 + b".",
        "long bytes": b"\x8e" + (1 << 60).to_bytes(8, "little") + b".",
        "a negative length": b"T\xff\xff\xff\xff.",
        "a long frame": b"\x95" + b"\xff" * 8 + b".",
        "a long line": b"c" + b"x" * 5000,
        "a decimal of many digits": b"I" + b"9" * 900 + b"\n.",
        "a far memo": b"Nr\xff\xff\xff\xff.",
        "no memo": b"h\x07.",
        "marks": b"(" * 3000,
        "a high stack": b"N" * 3000,
        "high stacks below marks": (b"N" * 999 + b"(") * 3,
        "an empty stack": b".",
        "below the mark": b"N(\x85.",
        "half a pair": b"}(Nu.",
        "a list as a dictionary": b"](NNu.",
        "a dictionary as a list": b"}(Ne.",
        "doubled tuples": b")" + b"q\x00h\x00\x86" * 60 + b".",
        "deep tuples": b")" + b"\x85" * 5000 + b".",
        "deep lists": b"]" * 2000 + b"a" * 1999 + b".",
        "a list in itself": b"]q\x00h\x00a.",
        "a tuple in itself": b"]q\x00h\x00\x85a.",
    }


@pytest.mark.parametrize("what", hostile())
def test_hostile_pickles_are_refused(what: str, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / f"{CANARY}.py").write_text("open('canary', 'w')\ndef run(): open('canary', 'w')\n")
    path = tmp_path / "words.kv"
    path.write_bytes(files.keyed_vectors(["tea"], np.ones((1, 2), np.float32)))
    load(path)  # readers are imported when they are first used
    path.write_bytes(b"\x80\x04" + hostile()[what])
    monkeypatch.setattr(machine, "_MAX_STACK", 2500)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    modules = set(sys.modules)
    with pytest.raises(ffjax.FormatError, match="words.kv: byte .*: pickle: "):
        load(path)
    assert set(sys.modules) == modules
    assert sorted(os.listdir()) == [f"{CANARY}.py", "words.kv"]


def test_errors_name_the_opcode_and_the_class() -> None:
    with pytest.raises(ffjax.FormatError, match=r"byte 2: pickle: GLOBAL: .* got `os.system`"):
        run(b"\x80\x04cos\nsystem\n.", ())
    with pytest.raises(ffjax.FormatError, match=r"byte 3: pickle: opcode: .* got 0x69 \(INST\)"):
        run(b"\x80\x04Nios\nsystem\n.")


def test_memory_is_bounded_by_the_file() -> None:
    bombs = [b"]" * 4000, b"}" * 4000, b")" + b"q\x00h\x00\x86" * 1000]
    for bomb in bombs:
        tracemalloc.start()
        run(b"\x80\x04" + bomb + b".")
        assert tracemalloc.get_traced_memory()[1] < 300 * len(bomb) + 20_000
        tracemalloc.stop()


def run(data: bytes, packages=("gensim",)):
    value, end = Machine(ByteSource("x", data), packages).run()
    assert end == len(data)
    return value


def strings(data: bytes, values: list) -> list[bytes]:
    spans = []
    for value in values:
        if isinstance(value, TextRun):
            spans += zip(value.starts.tolist(), value.stops.tolist(), strict=True)
        else:
            spans.append(value[:2])
    return [data[start:stop] for start, stop in spans]


@pytest.mark.parametrize("frame_after", [-1, 0, 40, 99])
def test_runs_of_texts_are_read_at_once(frame_after: int) -> None:
    # The last character has the bytes with which the next text begins.
    words = [f"{i}\u350c" if i % 3 else "\u350c\x14\u350c" * (i % 5) for i in range(100)]
    data = b"\x80\x04" + files.memoized_texts(words, frame_after) + b"."
    (run_of_texts,) = run(data)
    assert strings(data, [run_of_texts]) == [word.encode() for word in words]
    # Number 0 of the memo is the list.
    again = data[:-1] + b"0h\x01h\x64\x86."
    assert strings(again, run(again)) == [words[0].encode(), words[99].encode()]
    # Without a number for each text it is read opcode by opcode.
    plain = data.replace(b"\x94\x8c\x01", b"\x8c\x01").replace(b"\x94e", b"e")
    assert strings(plain, run(plain)) == [word.encode() for word in words]


def put(number: int) -> bytes:
    return b"q" + bytes([number]) if number < 256 else b"r" + number.to_bytes(4, "little")


def get(number: int) -> bytes:
    return {b"q": b"h", b"r": b"j"}[put(number)[:1]] + put(number)[1:]


def of_protocol_2(words: list[bytes]) -> bytes:
    """A dictionary of words and objects with numbers, and a list of the words, as gensim 3 has."""
    data, number, numbers = b"\x80\x02X\5\0\0\0countq\0cgensim\nVocab\nq\1}q\2(", 3, []
    for i, word in enumerate(words):
        if word == b"count":
            numbers.append(0)
            data += get(0)
        else:
            numbers.append(number)
            data += b"X" + len(word).to_bytes(4, "little") + word + put(number)
            number += 1
        data += get(1) + b")\x81" + put(number) + b"}" + put(number + 1)
        data += b"(" + get(0) + b"K\7ub" + b"u(" * (i % 40 == 39)
        number += 2
    data += b"u](" + b"e(".join(
        b"".join(map(get, numbers[start : start + 40])) for start in range(0, len(numbers), 40)
    )
    return data + b"e\x86."


def test_words_with_objects_are_skipped_and_remembered() -> None:
    words = [b"word%d" % i + b"r?j\0\0" * (i % 7 == 3) for i in range(230)]
    for words[100] in (b"a", b"count", b"", b"long" * 500):
        data = of_protocol_2(words)
        machine = Machine(ByteSource(None, data), ("gensim",), skips_numbers=True)
        objects, listed = machine.run()[0]
        assert any(type(item) is Skipped for item in objects.items)
        assert strings(data, listed) == words
        assert any(type(item) is TextRun for item in listed)
        # Opcode by opcode.
        assert strings(data, run(data)[1]) == words


@pytest.mark.parametrize("head", [b"](", b"}q\0h\0\x86]("])
def test_runs_of_longer_texts(head: bytes) -> None:
    words = [b"%d" % i + b"X" * (i % 300) for i in range(400)]
    data, first = b"\x80\x02" + head, head.count(b"q")
    for i, word in enumerate(words):
        data += b"X" + len(word).to_bytes(4, "little") + word + put(first + i)
        data += b"e(" * (i % 100 == 99 and i < 399)
    data += b"e" + get(first + 399) + b"\x86."
    value = run(data)
    (items, last), runs = value, [x for x in value[0] if type(x) is TextRun]
    assert [len(x.starts) for x in runs] == [400]
    assert strings(data, [*items, last]) == [*words, words[-1]]
    # With a number out of order, only up to the batch before it.
    other = data.replace(b"250" + b"X" * 250 + put(first + 250), b"250" + b"X" * 250 + put(255))
    items = run(other)[0]
    assert len(items[0].starts) == 200 and strings(other, items) == words


@pytest.mark.parametrize("n_texts", [2, 40, 600])
def test_many_lists_of_texts_take_time_in_proportion_to_the_file(
    n_texts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned, window = [], RunFinder._window

    def counted(self: RunFinder, *arguments):
        scanned.append(self._window_bytes)
        return window(self, *arguments)

    monkeypatch.setattr(RunFinder, "_window", counted)
    n_lists = 6000 // n_texts
    texts = files.memoized_texts([f"{i}" for i in range(n_texts)])
    data = b"\x80\x04](" + n_lists * texts + b"e."
    assert [type(texts[0]) is TextRun for texts in run(data)] == [n_texts > 2] * n_lists
    assert sum(scanned) < 5 * len(data) + 1024 * n_lists


def test_numbers_of_words_are_skipped() -> None:
    pairs = b"".join(b"h\x00J" + i.to_bytes(4, "little") for i in range(80))
    data = b"\x80\x04Nq\x000}(" + pairs + b"u."
    machine = Machine(ByteSource(None, data), ("gensim",), skips_numbers=True)
    assert [type(item) for item in machine.run()[0].items] == [Skipped]
    assert len(run(data).items) == 160


def test_numbers_have_their_values() -> None:
    value = run(
        b"\x80\x02(K\xffM\x01\x02J\xff\xff\xff\xffG?\xe0\0\0\0\0\0\0I4294967296\nI01\n"
        b"\x8a\x00\x8a\x01\xff\x88\x89Nt."
    )
    assert value == (255, 513, -1, 0.5, 4294967296, True, 0, -1, True, False, None)


def test_objects_may_have_arguments_by_name() -> None:
    value = run(b"\x80\x04" + files.name("gensim.Model") + b")}\x92.")
    assert (value.callee.name, value.arguments) == ("gensim.Model", ())


def test_every_opcode_is_read_or_named() -> None:
    unread = (
        "DUP FLOAT LONG PERSID STRING UNICODE DICT GET INST LIST OBJ PUT EXT1 EXT2 EXT4 LONG4 "
        "NEXT_BUFFER READONLY_BUFFER"
    )
    methods = Machine(ByteSource("x", b"\x80\x04."), ("gensim",))._methods
    assert {opcode.name for opcode in pickletools.opcodes} == {*methods, *unread.split()}


def test_texts_stay_in_the_file() -> None:
    assert run(b"\x80\x04" + files.text("tea") + b".") == Raw(7, 10, True)
    assert np.shares_memory(
        np.frombuffer(data := b"\x80\x04C\x01x.", np.uint8),
        np.frombuffer(Machine(ByteSource(None, data), ()).raw(Raw(4, 5, False)), np.uint8),
    )
