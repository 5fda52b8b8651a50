"""Static models of model2vec and sentence-transformers: folders with a tokenizer and rows."""
