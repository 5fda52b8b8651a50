"""`ffjax demo`: the main job, on the embeddings inside the package."""

import os
import tempfile
import time
from collections.abc import Callable
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any, TypeVar

from ffjax.cli.output import answer_table, number

if TYPE_CHECKING:
    from rich.console import Console

    from ffjax import Embeddings

T = TypeVar("T")

WORDS = ("berlin", "coffee", "jazz", "physics")
OTHER_WORDS = ("tokyo", "bread", "poetry", "biology")
COMPILED = f"""\
>>> @jax.jit
... def neighbours(emb, strings):
...     vectors, found = ffjax.embed(emb, strings)
...     return ffjax.top_k(emb, vectors, k=4)
>>> neighbours(emb, ffjax.pack({list(WORDS)}))"""
SAVED = """\
>>> emb.write("mine.fifu")
>>> ffjax.load_finalfusion("mine.fifu", mmap=True) == emb"""
UNKNOWN = "neuropharmacology"
ANALOGIES = (("man", "king", "woman"), ("paris", "france", "tokyo"), ("good", "better", "bad"))


def demo() -> None:
    """Show what ffjax does, on the embeddings inside the package.

    Opens them, says how small they are and what that costs, looks words up,
    compiles a batch of queries with jax.jit, finds nearest neighbours, also of
    an unknown word, and analogies, and saves and loads the embeddings again.
    All times are measured while it runs.

    Examples:
      ffjax demo
    """
    begin = time.perf_counter()
    from rich.console import Console

    console = Console(highlight=False)
    with console.status("Starting JAX"):
        import jax

        device = jax.devices()[0]
        import ffjax
    console.print(
        f"[bold]ffjax {ffjax.__version__}[/] · jax {jax.__version__} on {device.device_kind} ({device.platform})"
        f" · imported in {_time(time.perf_counter() - begin)}"
    )
    emb = _open(console)
    _look_up(console, emb)
    _compiled(console, emb)
    _similar(console, emb)
    _unknown(console, emb)
    _analogies(console, emb)
    _save(console, emb)
    console.print(f"\nAll of it took {_time(time.perf_counter() - begin)}. Now yours: [bold]ffjax info FILE[/]\n")


def _open(console: "Console") -> "Embeddings":
    import ffjax

    _head(console, "Open", ">>> emb = ffjax.demo()")
    seconds, emb = _timed(ffjax.demo)
    source = (emb.metadata or {}).get("name", "")
    _say(console, f"{source}: {emb.n_words:,} words x {emb.dims} dimensions, read in {_time(seconds)}")
    with as_file(files("ffjax") / "data" / "demo.fifu") as path:
        size = os.path.getsize(path)
    plain = emb.storage.shape[0] * emb.dims * 4
    recall = (emb.metadata or {})["quality"]["recall_at_10"]
    _say(console, f"{size / 1e6:.2f} MB with words and n-grams; the rows in float32 would take {plain / 1e6:.1f} MB")
    _say(console, f"recall@10 {recall:.3f}: so many of the ten nearest words are those of GloVe's own rows")
    return emb


def _look_up(console: "Console", emb: "Embeddings") -> None:
    word = WORDS[0]
    _head(console, "Look up", f'>>> emb["{word}"]')
    vector = emb[word]
    repeats = 2000
    seconds, _ = _timed(lambda: [emb[word] for _ in range(repeats)])
    shown = ", ".join(f"{number:.4f}" for number in vector[:4])
    _say(console, f"[{shown}, ...] shape {vector.shape}, {_time(seconds / repeats)} a word")


def _compiled(console: "Console", emb: "Embeddings") -> None:
    import jax

    import ffjax

    _head(console, "A batch inside jax.jit: words in, rows out", COMPILED)
    traces = []

    @jax.jit
    def neighbours(emb: Any, strings: Any) -> Any:
        traces.append(strings)  # runs when it is traced, so once for each program that is compiled
        vectors, _ = ffjax.embed(emb, strings)
        return ffjax.top_k(emb, vectors, k=4)

    def call(words: Any) -> Any:
        return jax.block_until_ready(neighbours(emb, ffjax.pack(words)))

    first, best = _timed(lambda: call(WORDS))
    second, _ = _timed(lambda: call(OTHER_WORDS))
    words = emb.vocab.words
    for word, rows in zip(WORDS, best.rows.tolist(), strict=False):
        names = ", ".join(words[row] for row in rows if words[row] != word)
        _say(console, f"[cyan]{word:8}[/] {names}", markup=True)
    times = "once" if len(traces) == 1 else f"{len(traces)} times"
    _say(console, f"first call {_time(first)} with compiling, other words then {_time(second)}: compiled {times}")
    many = words * 6
    embed = jax.jit(lambda emb, strings: ffjax.embed(emb, strings)[0])
    strings = ffjax.pack(many)
    jax.block_until_ready(embed(emb, strings))
    seconds, _ = _timed(lambda: jax.block_until_ready(embed(emb, strings)))
    _say(console, f"vectors of {len(many):,} words in {_time(seconds)}, {_time(seconds / len(many))} a word")


def _similar(console: "Console", emb: "Embeddings") -> None:
    word = WORDS[0]
    _head(console, "Nearest neighbours", f'>>> emb.word_similarity("{word}", k=5)')
    emb.word_similarity(word, k=5)
    seconds, found = _timed(lambda: emb.word_similarity(word, k=5))
    console.print(answer_table([(result.word, number(result.similarity)) for result in found or []]))
    _say(console, f"over all words, in {_time(seconds)}")


def _unknown(console: "Console", emb: "Embeddings") -> None:
    _head(console, "An unknown word", f'>>> emb.word_similarity("{UNKNOWN}", k=5)')
    found = emb.word_similarity(UNKNOWN, k=5) or []
    console.print(answer_table([(result.word, number(result.similarity)) for result in found]))
    if UNKNOWN not in emb:
        rows = len(emb.vocab.subword_rows(UNKNOWN))  # type: ignore[attr-defined]
        _say(console, f"not in the vocabulary: its vector is the sum of its {rows} known n-grams")


def _analogies(console: "Console", emb: "Embeddings") -> None:
    _head(console, "Analogies", '>>> emb.analogy("{}", "{}", "{}", k=1)'.format(*ANALOGIES[0]))
    for a, b, c in ANALOGIES:
        best = (emb.analogy(a, b, c, k=1) or [])[0]
        _say(console, f"{a} is to {b} as {c} is to [bold cyan]{best.word}[/] ({best.similarity:.3f})", markup=True)


def _save(console: "Console", emb: "Embeddings") -> None:
    import ffjax

    _head(console, "Save and load again", SAVED)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "mine.fifu")
        written, _ = _timed(lambda: emb.write(path))
        size = os.path.getsize(path) / 1e6
        read, again = _timed(lambda: ffjax.load_finalfusion(path, mmap=True))
        same = again == emb
        del again  # some systems keep a file that is mapped
    _say(console, f"{same}: {size:.1f} MB written in {_time(written)}, mapped in {_time(read)}")


def _head(console: "Console", title: str, code: str) -> None:
    from rich.rule import Rule
    from rich.text import Text

    console.print()
    console.print(Rule(Text(title, "bold"), align="left", style="dim"))
    for line in code.splitlines():
        console.print(Text(line[:4], "dim") + Text(line[4:], "green"))


def _say(console: "Console", text: str, *, markup: bool = False) -> None:
    console.print(f"  {text}", markup=markup)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def _time(seconds: float) -> str:
    """A duration with a fitting unit.

    Examples:
        >>> _time(0.0000021), _time(0.0123), _time(2.5)
        ('2.1 µs', '12 ms', '2.5 s')
    """
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6), ("ns", 1e9)):
        if seconds * factor >= 1 or unit == "ns":
            value = seconds * factor
            return f"{value:.1f} {unit}" if value < 10 else f"{value:,.0f} {unit}"
    return ""
