"""Classifiers that the real fastText trains, and comparisons of answers with its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.formats.fasttext.files import quiet_fasttext
from tests.training import SAME_MEMORY

N_LABELS = 300
ALPHABETS = ("abcdefghij", "ийклмнопр", "αβγδεζηθ", "あいうえおかき", "कखगघङचछ", "😀😁😂é")
# Loss and layout; quantized ones have the options of `quantize` too.
MODELS = {
    "softmax": dict(loss="softmax"),
    "softmax-chars": dict(loss="softmax", minn=2, maxn=4),
    "softmax-bigrams": dict(loss="softmax", wordNgrams=2),
    "hs-chars": dict(loss="hs", minn=1, maxn=3),
    "hs-trigrams": dict(loss="hs", wordNgrams=3, minn=2, maxn=3),
    "ova": dict(loss="ova", wordNgrams=2, minn=3, maxn=3),
    "ns": dict(loss="ns"),
    "softmax-quantized": dict(loss="softmax", quantize=dict(qnorm=True)),
    "hs-pruned": dict(loss="hs", minn=2, maxn=4, quantize=dict(cutoff=900, qnorm=True)),
    "softmax-pruned-bigrams": dict(loss="softmax", wordNgrams=2, quantize=dict(cutoff=2500)),
    "ova-pruned": dict(loss="ova", wordNgrams=2, minn=3, maxn=4, quantize=dict(cutoff=3000)),
    "hs-qout": dict(loss="hs", minn=2, maxn=3, quantize=dict(cutoff=900, qnorm=True, qout=True)),
    "softmax-qout": dict(loss="softmax", minn=2, maxn=3, quantize=dict(qout=True)),
    "no-line-end": dict(loss="softmax", wordNgrams=2, minn=2, maxn=3, ends=False),
}
TRAIN = """
import sys, fasttext, numpy as np
fasttext.FastText.eprint = lambda *_: None
folder, models = sys.argv[1], eval(sys.argv[2])
for name, settings in models.items():
    quantize, ends = settings.pop("quantize", None), settings.pop("ends", True)
    text = folder + ("/text" if ends else "/text-without-end")
    options = dict(dim=10, epoch=2, lr=0.5, bucket=5000, thread=1, verbose=0, minCount=1)
    model = fasttext.train_supervised(text, **options, **settings)
    assert np.abs(model.get_input_matrix()).max() < 30
    if quantize is not None:
        model.quantize(**quantize)
    model.save_model(folder + "/" + name)
"""
HOSTILE = [
    "",
    " \t \v",
    "</s>",
    "abc </s> иии",
    "</s></s> abc",
    "__label__l1",
    "__label__unknown abc __label__l2 x__label__l3",
    "__label__",
    "\0",
    "abc\0abc abc\r\x0b",
    "\u200b\ufeff",
    "é" * 700,
    "\x80\xff",
    "abc" * 2000,
    "𝔘𝔫𝔦 👩‍👩‍👧 🏳️‍🌈",
    "a",
    "<a> < > <",
]


def sentences(n: int, seed: int) -> list[tuple[str, str]]:
    """Labels with lines of words that are more frequent in lines of this label."""
    rng = np.random.default_rng(seed)
    words = np.random.default_rng(0)
    pools = []
    for label in range(N_LABELS):
        letters = list(ALPHABETS[label % len(ALPHABETS)])
        pools.append(["".join(words.choice(letters, words.integers(1, 7))) for _ in range(8)])
    lines = []
    for _ in range(n):
        label = int(rng.integers(N_LABELS) * rng.random())
        pool = pools[label] + pools[int(rng.integers(N_LABELS))][:2]
        lines.append((f"__label__l{label}", " ".join(rng.choice(pool, rng.integers(1, 9)))))
    return lines


def train(folder: Path) -> Path:
    """Trains all models into a folder; each has the name of its entry."""
    quiet_fasttext()
    lines = [f"{label} {text}" for label, text in sentences(4000, 1)]
    (folder / "text").write_text("\n".join(lines) + "\n", encoding="utf8")
    # With one line there is no `</s>` among the words.
    (folder / "text-without-end").write_text(" ".join(lines), encoding="utf8")
    command = [sys.executable, "-c", TRAIN, str(folder), repr(MODELS)]
    subprocess.run(command, check=True, env=os.environ | SAME_MEMORY)
    return folder


def check_same(ours, theirs, unsure, threshold: float, k: int, atol: float) -> None:
    """Checks labels, order and scores of one text; `unsure` are labels that need not agree."""
    our_labels, our_scores = ours
    their_labels, their_scores = theirs
    if unsure:
        expected = dict(zip(their_labels, their_scores, strict=True))
        for label, score in zip(our_labels, our_scores, strict=True):
            if label in expected and label not in unsure:
                assert abs(score - expected[label]) <= atol
        return
    n = min(len(our_labels), len(their_labels))
    if len(our_labels) != len(their_labels):
        # Those that only one of both has lie on the threshold.
        rest = [*our_scores[n:], *their_scores[n:]]
        assert max(abs(score - max(threshold, 0) - 1e-5) for score in rest) <= 2e-6
    scores = np.array(their_scores[:n], np.float64)
    np.testing.assert_allclose(our_scores[:n], scores, atol=atol, rtol=0)
    for i in np.flatnonzero(np.array(our_labels[:n]) != np.array(their_labels[:n])).tolist():
        ties = [abs(scores[i] - scores[j]) for j in (i - 1, i + 1) if 0 <= j < n]
        is_last = i == n - 1 and n == k  # it may tie with the first that is left out
        assert is_last or min(ties) <= atol, (i, our_labels[i], their_labels[i], scores[i])
