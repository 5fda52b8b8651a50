"""Arrays in, arrays out: hashes, n-grams, sums, search. Knows neither strings nor values nor files.

Imports `_internal` only.
"""
