"""Search kernels: the best rows for each query. Imports other kernels alone."""
