"""What gensim, fastText and spaCy call things, and what to use here instead."""

from collections.abc import Mapping
from typing import Any


def _by_name(table: str) -> dict[str, str]:
    """What to use for each name of a table of lines `names: what to use`."""
    entries = {}
    for line in table.strip().splitlines():
        names, _, instead = line.partition(": ")
        entries |= dict.fromkeys(names.split(), instead)
    return entries


# What to use for embeddings called `emb`, and the attributes of their models and vectors.
ATTRIBUTES = _by_name("""
add add_vector set_vector: ffjax.add_words(emb, [word], [vector])
add_vectors: ffjax.add_words(emb, words, vectors)
cosine_similarities: emb.distances(vector, words), which is one less the cosine
attr: emb.metadata, for vectors of a spaCy pipeline
data syn0 values: emb.vectors
distance: 1 - emb.similarity(a, b)
evaluate_word_analogies: ffjax.evaluate.analogies(emb, path)
evaluate_word_pairs log_evaluate_word_pairs: ffjax.evaluate.similarity(emb, path)
fill_norms: emb.norms, which are filled already
find get_index: emb.key_to_index[word]
from_bytes: ffjax.from_bytes(data)
from_disk load load_word2vec_format: ffjax.load(path)
get_analogies: emb.analogy(b, a, c), for a - b + c
get_batch: emb.embedding_batch(words)
dim get_dimension vectors_length: emb.dims
get_input_matrix: np.asarray(emb.storage)
get_input_vector: emb.storage[row]
get_label_id: emb.training.labels.index(label), of a classifier
get_labels labels: emb.training.labels, of a classifier
get_line: text.split()
get_mean_vector: ffjax.embed_text(emb, [text])
get_normed_vectors vectors_norm: emb.vectors, which have unit length after `load` and `from_vectors`
get_output_matrix: emb.training.output, of a fastText model
get_subword_id: emb.vocab.subword_indices(word, with_ngrams=True), of embeddings with n-grams
get_subwords: emb.vocab.subwords(word), of embeddings with n-grams, and emb.vocab.subword_rows(word)
get_vecattr set_vecattr: emb.training.counts, of a fastText model
get_vector get_word_vector vector word_vec: emb[word]
get_word_id: emb.key_to_index.get(word, -1)
get_words index2entity index2word keys strings: emb.words
has_index_for: word in emb
has_vector: emb.get(word) is not None
init_sims: emb.vectors, which have unit length after `load` and `from_vectors`
is_full: emb.n_words, since every word has a row
intersect_word2vec_format: ffjax.select_words(ffjax.load(path), words)
is_quantized: emb.storage, whose type says so
items: zip(emb.words, emb.vectors)
key2row: emb.vocab.word_index
max_n maxn: emb.vocab.max_n, of embeddings with n-grams
min_n minn: emb.vocab.min_n, of embeddings with n-grams
mode: emb.vocab, whose type says so
most_similar_cosmul: emb.analogy(a, b, c, method='3cosmul')
most_similar_to_given: max(words, key=lambda other: emb.similarity(word, other))
n_keys: emb.n_words
name: emb.metadata
predict: ffjax.load_classifier(path).predict(texts, k)
prune_vectors: ffjax.prune(emb, n)
quantize: ffjax.quantize(emb)
rank_by_centrality: emb.doesnt_match(words) for the last of them
relative_cosine_similarity: emb.similarity(a, b) and emb.most_similar(a)
resize resize_vectors vectors_for_all: ffjax.select_words(emb, words)
save save_model to_disk: ffjax.save(emb, path)
save_word2vec_format: ffjax.write_word2vec(path, emb), or ffjax.write_text_dims for text
set_matrices: emb.replace(storage=storage)
shape: (emb.n_words, emb.dims)
similar_by_key similar_by_word: emb.most_similar(word)
similar_by_vector: emb.most_similar(vector)
size: emb.vectors.size
sort_by_descending_frequency: ffjax.select_words(emb, words), in the order of the words
test test_label: ffjax.load_classifier(path).test(labelled_file)
to_bytes: ffjax.to_bytes(emb)
to_ops: jax.device_put(emb, device)
unit_normalize_all: ffjax.from_vectors(words, matrix), which does so
vector_norm: emb.norms[row]
vectors_ngrams: np.asarray(emb.storage)[emb.vocab.n_word_rows:], of embeddings with n-grams
vectors_vocab: emb.vectors, to which the n-grams are already added
wmdistance: emb.n_similarity(words_a, words_b), which compares the means
words_closer_than: emb.closer_than(a, b)
wv: the embeddings themselves: `emb.most_similar(word)`
""")

# The same for names of their modules.
MODULE_NAMES = _by_name("""
FastText FastTextKeyedVectors Word2Vec: ffjax.load(path)
KeyedVectors: ffjax.load(path), or ffjax.from_vectors(words, matrix)
load_facebook_model load_facebook_vectors: ffjax.load_fasttext(path)
tokenize: text.split()
train_supervised: fasttext.train_supervised, and ffjax.load_classifier(path) for its model
train_unsupervised: fasttext.train_unsupervised, and ffjax.load(path) for its model
Vectors: ffjax.from_vectors(words, matrix)
Word2VecKeyedVectors load_model load_word2vec_format: ffjax.load(path)
""")

# What to do about arguments of `most_similar` there.
_ARGUMENTS = {
    "clip_start": "Take `candidates=np.arange(start, end)`.",
    "clip_end": "Take `restrict_vocab=` for the first words.",
    "indexer": "Search is exact and needs no index; leave it out.",
}


def missing_attribute(value: Any, name: str, instead: str | None) -> Any:
    """Raises the error about an attribute that does not exist, or that of a property."""
    if hasattr(type(value), name):
        return object.__getattribute__(value, name)
    message = attribute_error(f"{type(value).__name__!r} object", name, instead)
    raise AttributeError(message, name=name, obj=value)


def attribute_error(owner: str, name: str, instead: str | None) -> str:
    """The message about an attribute that does not exist."""
    hint = "" if instead is None else f". Use {instead}."
    return f"{owner} has no attribute {name!r}{hint}"


def check_no_others(arguments: Mapping[str, Any]) -> None:
    """Raises an error for arguments of `most_similar` that only gensim has or that do not exist."""
    for name in arguments:
        hint = _ARGUMENTS.get(name, "`help(ffjax.Embeddings.most_similar)` lists them.")
        raise TypeError(f"`{name}`: expected an argument of `most_similar`. {hint}")
