"""Checks in strict builds: every public name has a docstring and is in the reference once."""

import inspect
import re
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

_DIRECTIVE = re.compile(r"^::: ffjax\.([\w.]+)\s*$", re.MULTILINE)


def on_pre_build(config: Any) -> None:
    """Called by mkdocs; stops the build and lists all problems."""
    from mkdocs.exceptions import PluginError

    import ffjax

    problems = undocumented(ffjax) + misplaced(ffjax, Path(config.docs_dir) / "reference")
    if problems:
        raise PluginError("\n".join(["the reference is not complete:", *problems]))


def undocumented(package: ModuleType) -> list[str]:
    """Public names, and public members of public classes, that have no docstring."""
    problems = []
    for name in package.__all__:
        value = getattr(package, name)
        if not inspect.getdoc(value) or _is_generated(value):
            problems.append(f"`{package.__name__}.{name}` has no docstring")
        if inspect.isclass(value):
            members = _bare_members(value)
            problems += [f"`{package.__name__}.{name}.{m}` has no docstring" for m in members]
    return problems


def _is_generated(value: Any) -> bool:
    """Whether the docstring is the signature that `dataclass` writes if there is none."""
    return inspect.isclass(value) and (value.__doc__ or "").startswith(f"{value.__name__}(")


def _bare_members(cls: type) -> list[str]:
    members = []
    for base in cls.__mro__:
        if base.__module__.split(".")[0] == cls.__module__.split(".")[0]:
            public = {name: value for name, value in vars(base).items() if name[0] != "_"}
            members += [name for name, value in public.items() if _is_code(value)]
    return sorted({name for name in members if not inspect.getdoc(getattr(cls, name))})


def _is_code(value: Any) -> bool:
    return inspect.isroutine(value) or isinstance(value, property) or hasattr(value, "func")


def misplaced(package: ModuleType, reference: Path) -> list[str]:
    """Public names that the reference omits or shows twice, and its names that are not public."""
    shown: Counter[str] = Counter()
    for page in sorted(reference.glob("*.md")):
        shown.update(_DIRECTIVE.findall(page.read_text(encoding="utf8")))
    public = set(package.__all__)
    prefix = package.__name__
    problems = [
        f"`{prefix}.{name}` is missing: add `::: {prefix}.{name}` to a page of docs/reference"
        for name in sorted(public - {name.split(".")[0] for name in shown})
    ]
    problems += [f"`{prefix}.{name}` is shown twice" for name, n in shown.items() if n > 1]
    problems += [
        f"`{prefix}.{name}` is in the reference but not in `__all__`"
        for name in sorted(shown)
        if name.split(".")[0] not in public
    ]
    return problems
