"""`ffjax demo`: what a newcomer sees first."""

import re

import numpy as np

import ffjax
from ffjax.cli import demo as module


def test_the_demo_shows_the_main_job(ff):
    result = ff("demo")
    assert result.status == 0 and result.err == ""
    out = result.out
    assert "40,000 words x 100 dimensions" in out
    quality = ffjax.demo().metadata["quality"]
    assert "float32 rows would take 17.4 MB" in out
    assert f"recall@10 {quality['recall_at_10']:.3f}" in out
    assert f'>>> emb.most_similar("{module.UNKNOWN}", topn=5)' in out and "neuroscience" in out
    assert re.search(r"not in the vocabulary: its vector is the sum of its \d+ known n-grams", out)
    # the second call, with other words, compiled nothing
    assert re.search(r"first call .*, second with other words .*: compiled\s+once", out)
    emb = ffjax.demo()
    words, rows = emb.vocab.words, np.asarray(emb.storage, np.float64)[: emb.n_words]
    for word in module.WORDS:
        best = [words[row] for row in np.argsort(-(rows @ rows[words.index(word)]))[:4]]
        assert f"{word:8} {', '.join(other for other in best if other != word)}" in out
    for (a, b, c), answer in zip(module.ANALOGIES, ("queen", "japan", "worse"), strict=True):
        assert f"{a} is to {b} as {c} is to {answer}" in out
    assert re.search(r"True: 3\.0 MB written in .* mapped in ", out)


def test_each_call_in_the_demo_is_shown_as_code_that_runs():
    code = "\n".join(line[4:] for line in module.COMPILED.splitlines())
    names = {"ffjax": ffjax, "jax": __import__("jax"), "emb": ffjax.demo()}
    body, call = code.rsplit("\n", 1)
    exec(body, names)
    assert eval(call, names).rows.shape == (4, 4)
