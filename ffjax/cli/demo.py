"""`ffjax demo`: the main job, on the embeddings inside the package."""

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

import ffjax
from ffjax.cli.files import keep_programs
from ffjax.cli.output import answer_table, console

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

    Loads the embeddings, looks words up, finds nearest neighbours (of an
    unknown word too) and solves analogies, without compiling; compiles a batch
    of queries with jax.jit; and saves and loads the embeddings again. All
    times are measured while it runs.

    Examples:
      ffjax demo
    """
    begin = time.perf_counter()
    import jax

    keep_programs()
    print(f"ffjax {ffjax.__version__}, jax {jax.__version__} on {jax.devices()[0].device_kind}")
    _head("Open", ">>> emb = ffjax.demo()")
    took, emb = _timed(ffjax.demo)
    metadata = dict(emb.metadata or {})
    print(f"{metadata['name']}: {emb.n_words:,} words x {emb.dims} dimensions, {took}")
    size, recall = len(emb.storage) * emb.dims * 4 / 1e6, metadata["quality"]["recall_at_10"]
    print(f"float32 rows would take {size:.1f} MB; these codes have recall@10 {recall:.3f}")

    _head("Look up", f'>>> emb["{WORDS[0]}"].shape')
    took, vector = _timed(emb.__getitem__, WORDS[0])
    print(f"{vector.shape} in {took}")

    for title, word in (("Nearest neighbours", WORDS[0]), ("An unknown word", UNKNOWN)):
        _head(title, f'>>> emb.most_similar("{word}", topn=5)')
        took, results = _timed(lambda word=word: emb.most_similar(word, topn=5))
        answers = [{"word": word, "similarity": score} for word, score in results]
        console().print(answer_table(answers))
        print(f"in {took}: nothing is compiled for one word")
    n_ngrams = len(emb.vocab.subword_rows(UNKNOWN))
    print(f"not in the vocabulary: its vector is the sum of its {n_ngrams} known n-grams")

    _head("Analogies", '>>> emb.analogy("{}", "{}", "{}", k=1)'.format(*ANALOGIES[0]))
    for a, b, c in ANALOGIES:
        ((word, score),) = emb.analogy(a, b, c, k=1) or []
        print(f"{a} is to {b} as {c} is to {word} ({score:.3f})")

    _head("A batch inside jax.jit: words in, rows out", COMPILED)
    _compiled(emb)

    _head("Save and load again", SAVED)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "mine.fifu")
        write_took, _ = _timed(emb.write, path)
        size = os.path.getsize(path) / 1e6
        took, mapped = _timed(lambda: ffjax.load_finalfusion(path, mmap=True))
        is_equal = mapped == emb
        del mapped  # some systems do not delete a mapped file
    print(f"{is_equal}: {size:.1f} MB written in {write_took}, mapped in {took}")
    print(f"\nThe demo took {_time(time.perf_counter() - begin)}. Next: ffjax similar demo tea\n")


def _compiled(emb: "ffjax.Embeddings") -> None:
    """Runs `COMPILED` twice, with other words, and counts the traces."""
    import jax

    n_traces = 0

    @jax.jit
    def neighbours(emb: Any, strings: Any) -> Any:
        nonlocal n_traces
        n_traces += 1  # runs once for each program that is compiled
        vectors, _ = ffjax.embed(emb, strings)
        return ffjax.top_k(emb, vectors, k=4)

    def call(words: Any) -> Any:
        return jax.block_until_ready(neighbours(emb, ffjax.pack(words)))

    (first, best), (second, _) = _timed(call, WORDS), _timed(call, OTHER_WORDS)
    words = emb.vocab.words
    for word, ids in zip(WORDS, best.rows.tolist(), strict=False):
        print(f"{word:8} {', '.join(words[row] for row in ids if words[row] != word)}")
    times = "once" if n_traces == 1 else f"{n_traces} times"
    print(f"first call {first}, second with other words {second}: compiled {times}")


def _head(title: str, code: str) -> None:
    from rich.rule import Rule
    from rich.text import Text

    terminal = console()
    terminal.print()
    terminal.print(Rule(Text(title, "bold"), align="left", style="dim"))
    for line in code.splitlines():
        terminal.print(Text(line[:4], "dim") + Text(line[4:], "green"))


def _timed(work: Callable[..., Any], *arguments: Any) -> tuple[str, Any]:
    begin = time.perf_counter()
    result = work(*arguments)
    return _time(time.perf_counter() - begin), result


def _time(seconds: float) -> str:
    """A duration with a suitable unit."""
    scale, unit = (1, "s") if seconds >= 1 else (1e3, "ms") if seconds >= 1e-3 else (1e6, "µs")
    value = seconds * scale
    return f"{value:.1f} {unit}" if value < 10 else f"{value:,.0f} {unit}"
