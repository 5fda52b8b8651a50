"""What gensim, fastText and spaCy call things, and what to write here instead."""

from collections.abc import Mapping
from typing import Any


def _by_name(table: dict[str, str]) -> dict[str, str]:
    return {name: instead for instead, names in table.items() for name in names.split()}


# What to write for embeddings called `emb`, and the attributes of their models and vectors.
ATTRIBUTES = _by_name(
    {
        "ffjax.add_words(emb, [word], [vector])": "add add_vector set_vector",
        "ffjax.add_words(emb, words, vectors)": "add_vectors",
        "emb.distances(vector, words), which is one less the cosine": "cosine_similarities",
        "emb.vectors": "data syn0 values",
        "1 - emb.similarity(a, b)": "distance",
        "ffjax.evaluate.analogies(emb, path)": "evaluate_word_analogies",
        "ffjax.evaluate.similarity(emb, path)": "evaluate_word_pairs",
        "emb.norms; nothing needs to be filled": "fill_norms",
        "emb.key_to_index[word]": "find get_index",
        "ffjax.from_bytes(data)": "from_bytes",
        "ffjax.load(path)": "from_disk load load_word2vec_format",
        "emb.analogy(b, a, c), for a - b + c": "get_analogies",
        "emb.embedding_batch(words)": "get_batch",
        "emb.dims": "get_dimension vectors_length",
        "np.asarray(emb.storage)": "get_input_matrix",
        "emb.storage[row]": "get_input_vector",
        "emb.training.labels.index(label)": "get_label_id",
        "emb.training.labels": "get_labels labels",
        "ffjax.embed_text(emb, [text])": "get_mean_vector",
        "emb.vectors, which have unit length after `load` and `from_vectors`": (
            "get_normed_vectors vectors_norm"
        ),
        "emb.training.output": "get_output_matrix",
        "emb.vocab.subword_indices(word, with_ngrams=True)": "get_subword_id",
        "emb.vocab.subwords(word) and emb.vocab.subword_rows(word)": "get_subwords",
        "emb.training.counts, for the counts of a fastText model": "get_vecattr set_vecattr",
        "emb[word]": "get_vector get_word_vector vector word_vec",
        "emb.key_to_index.get(word, -1)": "get_word_id",
        "emb.words": "get_words index2entity index2word keys strings",
        "word in emb": "has_index_for",
        "emb.get(word) is not None": "has_vector",
        "nothing: rows have unit length after `load` and `from_vectors`": "init_sims",
        "ffjax.select_words(ffjax.load(path), words)": "intersect_word2vec_format",
        "emb.storage, whose type says so": "is_quantized",
        "zip(emb.words, emb.vectors)": "items",
        "emb.vocab.word_index": "key2row",
        "emb.vocab.max_n": "maxn",
        "emb.vocab.min_n": "minn",
        "emb.analogy(a, b, c, method='3cosmul')": "most_similar_cosmul",
        "max(words, key=lambda other: emb.similarity(word, other))": "most_similar_to_given",
        "emb.n_words": "n_keys",
        "emb.metadata": "name",
        "ffjax.load_classifier(path).predict(texts, k)": "predict",
        "ffjax.prune(emb, n)": "prune_vectors",
        "ffjax.quantize(emb)": "quantize",
        "emb.doesnt_match(words) for the last of them": "rank_by_centrality",
        "emb.similarity(a, b) and emb.most_similar(a)": "relative_cosine_similarity",
        "ffjax.select_words(emb, words)": "resize resize_vectors vectors_for_all",
        "ffjax.save(emb, path)": "save save_model to_disk",
        "ffjax.write_word2vec(path, emb), or ffjax.write_text_dims for text": (
            "save_word2vec_format"
        ),
        "(emb.n_words, emb.dims)": "shape",
        "emb.most_similar(word)": "similar_by_key similar_by_word",
        "emb.most_similar(vector)": "similar_by_vector",
        "emb.vectors.size": "size",
        "ffjax.select_words(emb, words), in the order of the words": "sort_by_descending_frequency",
        "ffjax.load_classifier(path).test(labelled_file)": "test test_label",
        "ffjax.to_bytes(emb)": "to_bytes",
        "jax.device_put(emb, device)": "to_ops",
        "ffjax.from_vectors(words, matrix), which does so": "unit_normalize_all",
        "emb.norms[row]": "vector_norm",
        "emb.n_similarity(words_a, words_b), which compares the means": "wmdistance",
        "emb.closer_than(a, b)": "words_closer_than",
        "the embeddings themselves: `emb.most_similar(word)`": "wv",
    }
)

# The same for names of their modules.
MODULE_NAMES = _by_name(
    {
        "ffjax.load(path)": (
            "FastText FastTextKeyedVectors Word2Vec Word2VecKeyedVectors "
            "load_model load_word2vec_format"
        ),
        "ffjax.load(path), or ffjax.from_vectors(words, matrix)": "KeyedVectors",
        "ffjax.load_fasttext(path)": "load_facebook_model load_facebook_vectors",
        "text.split()": "tokenize",
        "fasttext.train_supervised, and ffjax.load_classifier(path) for its model": (
            "train_supervised"
        ),
        "fasttext.train_unsupervised, and ffjax.load(path) for its model": "train_unsupervised",
        "ffjax.from_vectors(words, matrix)": "Vectors",
    }
)


def attribute_error(owner: str, name: str, instead: str | None) -> str:
    """The message about an attribute that does not exist."""
    hint = "" if instead is None else f". Write {instead}."
    return f"{owner} has no attribute {name!r}{hint}"

# What to do about arguments of `most_similar` there.
_ARGUMENTS = {
    "clip_start": "Take `candidates=np.arange(start, end)`.",
    "clip_end": "Take `restrict_vocab=` for the first words.",
    "indexer": "Search is exact and needs no index; leave it out.",
}


def check_no_others(arguments: Mapping[str, Any]) -> None:
    """Raises an error for arguments of `most_similar` that only gensim has or that do not exist."""
    for name in arguments:
        hint = _ARGUMENTS.get(name, "`help(ffjax.Embeddings.most_similar)` lists them.")
        raise TypeError(f"`{name}`: expected an argument of `most_similar`. {hint}")
