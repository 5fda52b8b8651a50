"""`python -m benchmarks`: runs rows, each in a new process, and prints one table."""

import argparse
import dataclasses
import importlib
import json
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import benchmarks
from benchmarks import report
from benchmarks.files import Missing
from benchmarks.harness import ROWS, Result, Row, measure

ROOT = Path(__file__).resolve().parent.parent


def discover() -> None:
    """Imports every `benchmarks.rows_*`, which registers its rows."""
    for module in sorted(info.name for info in pkgutil.iter_modules(benchmarks.__path__)):
        if module.startswith("rows_"):
            importlib.import_module(f"benchmarks.{module}")


def chosen(patterns: Sequence[str], issue: int | None) -> list[Row]:
    """The rows that match any pattern (all without one), and belong to the issue if there is one.

    Raises:
        ValueError: if a pattern matches nothing.
    """
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in ROWS):
            raise ValueError(
                f"`{pattern}`: expected a row or a pattern that matches one. `--list` names them."
            )
    return [
        row
        for name, row in ROWS.items()
        if (not patterns or any(fnmatch(name, pattern) for pattern in patterns))
        and issue in (None, row.issue)
    ]


def run(row: Row, repeat: int, timeout: float) -> Result:
    """One row in a new process; the peer of a `Memory` row in another."""
    result = _child(row, repeat, "ours", timeout)
    if result.more_sides:
        peer = _child(row, repeat, "peer", timeout)
        note = f"{result.note}; the peer's side {peer.kind}" if peer.ours is None else result.note
        result = dataclasses.replace(result, peer=peer.ours, note=note)
    return result


def _child(row: Row, repeat: int, side: str, timeout: float) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        command = [
            sys.executable,
            "-m",
            "benchmarks",
            row.name,
            "--repeat",
            str(repeat),
            "--child",
            side,
            str(out),
        ]
        try:
            status = subprocess.run(
                command, cwd=ROOT, stdout=sys.stderr, timeout=timeout
            ).returncode
        except subprocess.TimeoutExpired:
            return Result.of(row, "failed", f"took longer than {timeout:g} s")
        if status or not out.is_file():
            return Result.of(row, "failed", f"exit status {status}; its error is above")
        return Result(**json.loads(out.read_text(encoding="utf8")))


def measure_here(row: Row, repeat: int, side: str = "ours") -> Result:
    """One row, or one side of a `Memory` row, in this process."""
    try:
        return measure(row, repeat, side)
    except Missing as missing:
        return Result.of(row, "skipped", str(missing))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks", description="ffjax and other libraries, one table."
    )
    p.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="rows to run, with `*` as a wildcard; by default all",
    )
    p.add_argument("--issue", type=int, help="only rows that this issue asks for")
    p.add_argument("--list", action="store_true", help="name the rows and stop")
    p.add_argument(
        "--repeat",
        type=int,
        default=7,
        help="samples of each side (slow rows take fewer; default 7)",
    )
    p.add_argument(
        "--timeout", type=float, default=1800, help="seconds a row may take (default 1800)"
    )
    p.add_argument("--json", type=Path, metavar="PATH", help="write machine and results")
    p.add_argument(
        "--markdown",
        type=Path,
        metavar="PATH",
        help="update the table between the markers of this file",
    )
    p.add_argument(
        "--check", action="store_true", help="exit status 1 if a measured row misses its target"
    )
    p.add_argument("--child", nargs=2, metavar=("SIDE", "PATH"), help=argparse.SUPPRESS)
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status is 1 if a row failed, 2 if the arguments are wrong."""
    options = parser().parse_args(arguments)
    discover()
    try:
        rows = chosen(options.names, options.issue)
        if options.markdown:
            report.split_at_markers(options.markdown)  # fails before the rows take an hour
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if options.child:
        (row,) = rows
        side, out = options.child
        result = measure_here(row, options.repeat, side)
        Path(out).write_text(json.dumps(dataclasses.asdict(result)), encoding="utf8")
        return 0
    if options.list:
        for row in rows:
            print(f"{row.name}\tissue {row.issue}\t{row.work}\tbeside {row.beside}\t{row.target()}")
        return 0
    return _run_all(rows, options)


def _run_all(rows: Sequence[Row], options: argparse.Namespace) -> int:
    # In another process: JAX would hold the memory of a GPU, which the rows need.
    describe = [sys.executable, "-m", "benchmarks.machine"]
    machine = subprocess.run(
        describe, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    print(machine + "\n\n" + report.table([]), flush=True)
    results = []
    for row in rows:
        results.append(run(row, options.repeat, options.timeout))
        print(report.line(report.cells(results[-1])), flush=True)
    if options.json:
        records = [dataclasses.asdict(result) for result in results]
        options.json.write_text(
            json.dumps({"machine": machine, "results": records}, indent=1) + "\n", encoding="utf8"
        )
    if options.markdown:
        report.update(options.markdown, results, machine, list(ROWS))
    missed = [result.name for result in results if result.met is False]
    if missed:
        print(f"\nmissed: {', '.join(missed)}", file=sys.stderr)
    failed = any(result.kind == "failed" for result in results)
    return 1 if failed or (missed and options.check) else 0


if __name__ == "__main__":
    sys.exit(main())
