"""Models of gensim, which are pickles: read as data."""
