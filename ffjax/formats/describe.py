"""What a file holds, as far as its head says; importing this does not import JAX."""

from typing import Any

from ffjax._internal.file_arguments import check_same_dims
from ffjax.formats import registry
from ffjax.formats.detect import open_file
from ffjax.formats.io.binary import File

# What people are shown for the names that files and this library use.
_VOCABULARIES = {
    "SimpleVocab": "words",
    "BucketVocab": "words, n-grams in finalfusion's buckets",
    "FinalfusionBucketVocab": "words, n-grams in finalfusion's buckets",
    "FastTextVocab": "words, n-grams in fastText's buckets",
    "ExplicitVocab": "words, stored n-grams",
    "FloretVocab": "n-grams in floret's buckets",
}
_STORAGES = {"NdArray": "plain", "Int8Array": "int8", "QuantizedArray": "quantized"}
# In this order.
_FACTS = (
    "format layout tokenizer chunks vocabulary words repeated_words word_rows ngram_lengths ngrams "
    "ngram_rows buckets hashes dims storage rows dtype codes_per_row centroids rotated row_norms "
    "norms metadata tokens normalized labels first_labels output_rows loss word_ngrams"
).split()


def describe(
    path: File,
    format: str | None = None,
    *,
    lossy: bool = False,
    dims: int | None = None,
    member: str | None = None,
    words: File | None = None,
    vectors: str | None = None,
) -> dict[str, Any]:
    """The format of a file and what it holds; only text without a header is read as a whole."""
    options = {"lossy": lossy, "dims": dims, "words": words, "vectors": vectors}
    with open_file(path, format, member, options) as (stream, entry):
        facts = registry.call(entry.describe, stream, format=entry.name, **options)
    if "dims" in facts:
        check_same_dims(facts["dims"], dims)
    for name, shown in (("vocabulary", _VOCABULARIES), ("storage", _STORAGES)):
        if name in facts:
            # finalfusion's chunks of subword vocabularies have longer names.
            facts[name] = shown.get(facts[name].replace("Subword", ""), facts[name])
    facts["format"] = entry.name
    # Facts of other formats come last.
    return {name: facts[name] for name in dict.fromkeys((*_FACTS, *facts)) if name in facts}
