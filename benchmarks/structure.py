"""`python -m benchmarks.structure`: the size of the package and the length of its main paths.

| figure | meaning |
| --- | --- |
| code lines | lines of `ffjax/` except blank lines, comments and docstrings |
| files entered | files of `ffjax/` with a function that runs during the first call |
| opened | how often `load` opens the file of a model |
| `encode` | time for a million tokens packed 64 bytes wide, over the same packed narrow |
| fusions | kernels in the compiled program of `embed` |

Each measured figure comes from a fresh process.
"""

import ast
import inspect
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "ffjax"
N_TOKENS = 1_000_000
LONG_WORD = "x" * 60


def sizes() -> dict[str, str]:
    """Lines and characters of the package."""
    files = sorted(PACKAGE.rglob("*.py"))
    lengths = [len(file.read_text(encoding="utf8").splitlines()) for file in files]
    code = [line for file in files for line in code_lines(file.read_text(encoding="utf8"))]
    not_modules = {"__init__.py", "__main__.py", "__init__.pyi", "py.typed", "data", "__pycache__"}
    return {
        "code lines": f"{len(code):,}",
        "all lines": f"{sum(lengths):,}",
        "characters in a code line, mean": f"{mean(map(len, code)):.1f}",
        "entries at the top of ffjax/": str(len(set(os.listdir(PACKAGE)) - not_modules)),
        "longest module; median": f"{max(lengths)}; {median(lengths):.0f}",
    }


def code_lines(source: str) -> list[str]:
    r"""The lines of a module except blank lines, comments and docstrings, stripped.

    Examples:
        >>> code_lines('def f():\n    "What it does."\n\n    return 1  # always\n')
        ['def f():', 'return 1  # always']
    """
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                docstring = node.body[0]
                docstrings.update(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    return [
        line.strip()
        for number, line in enumerate(source.splitlines(), start=1)
        if number not in docstrings and line.strip() and not line.strip().startswith("#")
    ]


def files_entered(call: Callable[[], Any]) -> set[str]:
    """The files of the package in which a function runs during a call, imports aside."""
    entered: set[str] = set()

    def profile(frame: Any, event: str, _: Any) -> None:
        # Neither modules nor bodies of classes, which run when they are imported, are functions.
        if event == "call" and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
            entered.add(frame.f_code.co_filename)

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return {name for name in entered if Path(name).is_relative_to(PACKAGE)}


def embed_path() -> dict[str, str]:
    """Files entered by the first `embed` of a batch with unknown words."""
    from ffjax import embed, pack

    emb = _fasttext_embeddings()
    strings = pack(["tea", "teapots", "coffee"])
    entered = files_entered(lambda: embed(emb, strings))
    return {"files entered by the first `embed` with unknown words": str(len(entered))}


def load_path() -> dict[str, str]:
    """Files entered by `load` of a fastText model, and how often it opens the model."""
    from ffjax import load, write_fasttext

    n_opened = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.bin")
        write_fasttext(path, _fasttext_embeddings())

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal n_opened
            n_opened += event == "open" and arguments[0] in (path, path.encode())

        sys.addaudithook(count)
        entered = files_entered(lambda: load(path))
    label = "files entered by `load` of a fastText model; times it is opened"
    return {label: f"{len(entered)}; {n_opened}"}


def encode_ratio() -> dict[str, str]:
    """The time of `encode` for tokens of which a few are long, over the same without those."""
    import jax

    import ffjax

    emb = ffjax.demo()
    n_words = emb.n_words
    frequencies = 1 / np.arange(1, n_words + 1)  # Zipf's law
    ids = np.random.default_rng(0).choice(n_words, N_TOKENS, p=frequencies / frequencies.sum())
    words = emb.vocab.words
    tokens = [words[i] if len(words[i]) <= 16 else "the" for i in ids.tolist()]
    with_long_words = [LONG_WORD, *tokens[1:-1], LONG_WORD]
    batches = [jax.device_put(ffjax.pack(words)) for words in (tokens, with_long_words)]
    seconds: list[list[float]] = [[], []]
    for _ in range(8):
        for samples, strings in zip(seconds, batches, strict=True):
            begin = time.perf_counter()
            jax.block_until_ready(ffjax.encode(emb.vocab, strings))
            samples.append(time.perf_counter() - begin)
    narrow, wide = (median(samples[1:]) for samples in seconds)  # the first call compiles
    widths = " over ".join(str(strings.bytes.shape[1]) for strings in reversed(batches))
    ratio = f"{wide / narrow:.2f} ({wide * 1e3:.0f} ms over {narrow * 1e3:.0f} ms)"
    return {f"`encode` of a million tokens, bytes wide: {widths}": ratio}


def fusions() -> dict[str, str]:
    """Kernels in the compiled programs of `embed`, by width of the batch."""
    import jax

    import ffjax

    buckets = _embeddings(ffjax.FinalfusionBucketVocab, ffjax.FinalfusionHashIndexer(10, 3, 6))
    floret = _embeddings(lambda _, indexer: ffjax.FloretVocab(indexer), ffjax.FloretIndexer(1000))
    fasttext = _fasttext_embeddings()
    names = {"demo": ffjax.demo(), "fastText": fasttext, "buckets": buckets, "floret": floret}
    counts = {}
    for name, emb in names.items():
        for width in (16, 64):
            strings = ffjax.pack(["tea"] * 1024, width=width)
            program = jax.jit(ffjax.embed).lower(emb, strings).compile()
            label = f"fusions of `embed`, {name}, {width} bytes wide"
            counts[label] = str((program.as_text() or "").count(" fusion("))
    return counts


def _fasttext_embeddings() -> Any:
    """Small embeddings whose unknown words have n-grams."""
    import ffjax

    return _embeddings(ffjax.FastTextVocab, ffjax.FastTextIndexer(1000, 3, 6))


def _embeddings(kind: Callable[..., Any], indexer: Any) -> Any:
    import ffjax

    vocab = kind(["tea", "coffee", "pot"], indexer)
    rows = np.random.default_rng(0).standard_normal((vocab.upper_bound, 8))
    return ffjax.Embeddings(ffjax.NdArray(rows.astype(np.float32)), vocab)


FIGURES = (sizes, embed_path, load_path, encode_ratio, fusions)


def main() -> None:
    """Prints the figures, or those of the function that the first argument names."""
    if sys.argv[1:]:
        (figure,) = (figure for figure in FIGURES if figure.__name__ == sys.argv[1])
        for label, value in figure().items():
            print(f"| {label} | {value} |")
        return
    print("| figure | now |\n| --- | ---: |", flush=True)
    for figure in FIGURES:
        command = [sys.executable, "-m", "benchmarks.structure", figure.__name__]
        subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
