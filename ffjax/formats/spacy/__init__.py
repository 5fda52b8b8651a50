"""spaCy's vectors: a `vocab` folder, by itself or in a pipeline.

    vectors       NumPy's .npy without the ending, float32 [rows, dims]
    key2row       msgpack: a map from the key of each word, 64 bits, to its row
    strings.json  JSON: an array of strings, among them the words
    vectors.cfg   JSON: {"mode": "default"}, or floret's settings with an empty `key2row`

The key of a word is a hash of it (`words`). Folders of spaCy 3.0 and 3.1 have no `vectors.cfg`, and
those of 2 may have `keys`, the keys as a .npy array in the order of the rows, for `key2row`.
"""
