"""First calls: what a user waits for in a new process, without JAX's compilation cache.

Each figure is the least CPU time of the call in three processes, which a busy machine stretches
little; compiling uses up to two cores.
"""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.files import glove, real
from benchmarks.harness import Figure, row

_PROCESSES = 3
_MEASURE = """
import sys, time
import numpy as np
import ffjax
{prepare}
start = time.process_time()
{call}
print(time.process_time() - start)
"""
_FASTTEXT = "emb = ffjax.load({model!r}{mmap}); text = open({corpus!r}, 'rb').read(1 << 25)"
_VARIED = """
import time
import numpy as np
import ffjax
emb = ffjax.demo()
words = [word + "s" * (i % 3) for i, word in enumerate(emb.vocab.words[:20_000])]
lines = [" ".join(words[i % 9_000 : i % 9_000 + 1 + i % 9]) for i in range(50_000)]
def calls():
    start = time.process_time()
    for k in range(1, 201, 2):
        emb.word_similarity("berlin", k=k)
    for n in np.geomspace(1, 20_000, 50).astype(int).tolist():
        emb.embedding_batch(words[:n])
    for n in np.geomspace(1, 50_000, 50).astype(int).tolist():
        ffjax.embed_text(emb, lines[:n])
    return time.process_time() - start
print(calls() - calls())
"""


def _least(code: str) -> float:
    """The least of the numbers that a program prints in some new processes."""
    environment = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    command = [sys.executable, "-c", code]
    folder = Path(__file__).resolve().parent.parent
    options = {"env": environment, "cwd": folder, "stdout": subprocess.PIPE, "text": True}
    runs = (subprocess.run(command, check=True, **options) for _ in range(_PROCESSES))
    return min(float(run.stdout.split()[-1]) for run in runs)


def _milliseconds(prepare: str, call: str) -> Figure:
    seconds = _least(_MEASURE.format(prepare=prepare, call=call))
    return Figure(ours=seconds * 1e3, unit="ms", note="CPU time")


def _fasttext(*, mapped: bool) -> str:
    paths = {"model": str(real("ft300.bin")), "corpus": str(real("corpus.txt"))}
    return _FASTTEXT.format(mmap=", mmap=True" if mapped else "", **paths)


@row(
    issue=14,
    work="first `word_similarity` after `load`, GloVe 341,479 x 100 as .fifu",
    beside="40 ms",
    at_most=40,
)
def first_word_similarity() -> Figure:
    return _milliseconds(f"emb = ffjax.load({glove()!r})", "emb.word_similarity('berlin', k=17)")


@row(
    issue=14,
    work="first `word_similarity` after `load`, GloVe 341,479 x 100 as text",
    beside="40 ms",
    at_most=40,
)
def first_word_similarity_text() -> Figure:
    path = str(real("glove.100d.txt"))
    return _milliseconds(f"emb = ffjax.load({path!r})", "emb.word_similarity('berlin', k=17)")


@row(
    issue=14,
    work="first 8 unknown words, fastText model of 3.1 GB, mapped",
    beside="20 ms",
    at_most=20,
)
def first_unknown_words() -> Figure:
    words = [f"{word}berlinish" for word in ("un", "re", "pre", "anti", "sub", "in", "de", "co")]
    return _milliseconds(_fasttext(mapped=True), f"emb.embedding_batch({words})")


@row(
    issue=14,
    work="first 1,000 lines of the corpus, fastText model of 3.1 GB, mapped",
    beside="150 ms",
    at_most=150,
)
def first_lines_mapped() -> Figure:
    call = "ffjax.embed_text(emb, b'\\n'.join(text.split(b'\\n')[:1000]))"
    return _milliseconds(_fasttext(mapped=True), call)


@row(
    issue=14,
    work="first 100,000 lines of the corpus, fastText model in memory",
    beside="1,500 ms",
    at_most=1500,
)
def first_lines() -> Figure:
    prepare = _fasttext(mapped=False) + "; text = b'\\n'.join(text.split(b'\\n')[:100_000])"
    return _milliseconds(prepare, "ffjax.embed_text(emb, text)")


@row(
    issue=14, work="first `top_k` of 256 queries, GloVe 341,479 x 100", beside="800 ms", at_most=800
)
def first_top_k() -> Figure:
    prepare = f"emb = ffjax.load({glove()!r}); queries = emb.storage.embedding(np.arange(256))"
    return _milliseconds(prepare, "np.asarray(ffjax.top_k(emb, queries, 10).rows)")


@row(
    issue=14,
    work="200 varied calls in one process, the demo embeddings: CPU time spent compiling",
    beside="6 s",
    at_most=6,
)
def varied_calls() -> Figure:
    return Figure(ours=_least(_VARIED), unit="s", note="what the same calls take less again")


@row(issue=14, work="`warmup(ffjax.demo())`: CPU time", beside="16 s on two cores", at_most=16)
def first_warmup() -> Figure:
    seconds = _least(_MEASURE.format(prepare="emb = ffjax.demo()", call="ffjax.warmup(emb)"))
    return Figure(ours=seconds, unit="s", note="8 s of wall time on two idle cores")
