"""Search kernels: the best rows for each query, exactly or approximately. Imports only other kernels."""
