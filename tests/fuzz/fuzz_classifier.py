"""fastText's supervised models as classifiers: errors that are documented, or sane answers."""

from unittest.mock import patch

import ffjax
from ffjax.formats.fasttext import dictionary
from tests.formats.fasttext import files
from tests.fuzz.classifier_texts import check_answers
from tests.fuzz.fasttext_files import quantized, write

_SMALL = {"dims": 2, "buckets": 3, "kind": files.SUPERVISED, "labels": ["__label__x", "y", "z"]}
SEEDS = [
    *(files.model(["tea", "</s>"], loss=loss, word_ngrams=2, **_SMALL) for loss in (1, 2, 3, 4)),
    files.model(["a"], max_n=0, version=11, **_SMALL),
    quantized(3, norms=False, pruned=True),
    quantized(2, norms=True, pruned=False),
]


@patch.object(dictionary, "_MIN_WINDOW_BYTES", 32)
def target(data: bytes) -> None:
    """Opens a model, mapped and from memory, and classifies a few texts."""
    path = write(data)
    for mmap in (False, True):
        try:
            classifier = ffjax.load_classifier(path, mmap=mmap)
        except ffjax.FormatError as error:
            assert error.chunk and error.expected and error.got
        except ValueError as error:
            assert "expected" in str(error) and "got" in str(error)
        else:
            check_answers(classifier)
