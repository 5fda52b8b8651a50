"""What every classifier must answer, whatever is in its file."""

import numpy as np

TEXTS = ["", "tea", "a b tea \u00e9 </s> x", "__label__x tea __label__new", "b" * 70, "\0 a"]


def check_answers(classifier):
    """Checks the shapes and ranges of answers, and that k only cuts them."""
    matrix = classifier.probabilities(TEXTS)
    assert matrix.shape == (len(TEXTS), len(classifier.labels))
    assert ((matrix >= 0) & (matrix < 1.01)).all()
    for k, threshold in ((1, 0.0), (-1, -1.0), (2, 0.5)):
        labels, scores = classifier.predict(TEXTS, k, threshold, "replace")
        assert len(labels) == len(scores) == len(TEXTS)
        for names, row, expected in zip(labels, scores, matrix, strict=True):
            assert len(names) == len(row) <= (len(expected) if k < 0 else k)
            assert (np.diff(row) <= 0).all() and np.isin(row, expected).all()
