"""Labels as columns of Arrow, made from arrays of NumPy without objects of Python's."""

from typing import Any

import numpy as np

from ffjax.functional.classify import Labels


def label_columns(names: list[str], answers: Labels, *, has_lists: bool) -> tuple[Any, Any]:
    """Labels and their scores: lists of them, or the first ones, null where there is none."""
    import pyarrow as pa

    if not has_lists:
        missing = answers.counts == 0
        labels = pa.array(np.maximum(answers.ids[:, 0], 0), mask=missing)
        scores = pa.array(answers.scores[:, 0], pa.float32(), mask=missing)
        return pa.array(names, pa.string()).take(labels), scores
    is_answer = np.arange(answers.ids.shape[1]) < answers.counts[:, None]
    offsets = np.append(0, np.cumsum(answers.counts)).astype(np.int32)
    labels = pa.array(names, pa.string()).take(pa.array(answers.ids[is_answer]))
    scores = pa.array(answers.scores[is_answer], pa.float32())
    return pa.ListArray.from_arrays(offsets, labels), pa.ListArray.from_arrays(offsets, scores)
