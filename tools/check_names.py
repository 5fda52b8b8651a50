"""Finds variables with filler names and modules that are too long: `python tools/check_names.py`.

A name says what a thing is. `found` is a name only for the mask of words that have a vector, as
`embed` returns it: an argument, or one of several values that are assigned together.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("ffjax", "benchmarks")
FILLERS = frozenset(
    "asked back behind done each few given held here kept known left made more odd others own part "
    "parts piece pieces place places seen some there told used wanted whole".split()
)
# Where the mask is made, so that it is assigned alone.
MASK_MODULES = (
    "ffjax/embeddings/batch_lookup.py",
    "ffjax/functional/analogy.py",
    "ffjax/kernels/pool.py",
)
MAX_LINES = 350


def filler_names(path: Path) -> Iterator[tuple[int, str]]:
    """The lines on which a variable or an argument has a filler name."""
    tree = ast.parse(path.read_text(encoding="utf8"))
    makes_mask = path.relative_to(ROOT).as_posix() in MASK_MODULES
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            if node.id.lstrip("_") in FILLERS:
                yield node.lineno, node.id
        elif isinstance(node, ast.arg) and node.arg.lstrip("_") in FILLERS:
            yield node.lineno, node.arg
        elif isinstance(node, ast.Assign | ast.AnnAssign) and not makes_mask:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == "found" for target in targets):
                yield node.lineno, "found"


def main() -> int:
    """Prints what is wrong; returns the exit status."""
    errors = []
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for line, variable in filler_names(path):
            errors.append(f"{name}:{line}: `{variable}`: name the thing, this says nothing")
        lines = len(path.read_text(encoding="utf8").splitlines())
        if lines > MAX_LINES:
            errors.append(f"{name}: expected at most {MAX_LINES} lines, got {lines}")
    if errors:
        print("\n".join(errors))
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main())
