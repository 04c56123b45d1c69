"""Runs the benchmarks: ``python -m bench [--quick] [--only B3] [--rows 50000] [--entries 10000000]``.

Prints a table and writes ``latest.json`` (the lines) and ``machine.json`` (machine, versions, seed, sizes) into bench/results.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import b2_intake, b3_append, b4_verify, b5_proof, b6_search, b7_decide, b9_trail, b10_seen, b11_scale
from bench.kit import Bench, Line, Scale, bench, machine

RESULTS = Path(__file__).parent / "results"
PARTS: dict[str, Callable[[Bench], Iterator[Line]]] = {
    part.ID: part.run for part in (b2_intake, b3_append, b4_verify, b5_proof, b6_search, b7_decide, b9_trail, b10_seen, b11_scale)
}
# A look whether everything runs; its figures say little.
QUICK = Scale(rows=5_000, repeats=1, seconds=0.5, entries=4_000)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what was asked for, print it, and write it down."""
    asked = _parser().parse_args(arguments)
    chosen = [part for part in PARTS if part in (asked.only or PARTS)]
    base = QUICK if asked.quick else Scale()
    scale = Scale(asked.rows or base.rows, asked.repeats or base.repeats, base.seconds, asked.entries or base.entries)
    notes, out = Console(stderr=True, highlight=False), Console()
    lines: list[Line] = []
    start = time.monotonic()
    with bench(scale, notes.print) as run:
        about = machine(scale, run.postgres, chosen)
        for part in chosen:
            lines += PARTS[part](replace(run, only=asked.engine))
    about["took_seconds"] = round(time.monotonic() - start)
    asked.results.mkdir(parents=True, exist_ok=True)
    _write(asked.results / "machine.json", about)
    _write(asked.results / "latest.json", [asdict(line) for line in lines])
    out.print(_table(lines))
    out.print(
        f"{about['processor']}, {about['cores']} cores, Python {about['python']}; {about['took_seconds']} s; {asked.results}/latest.json"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Ratios to floors measured in the same run.")
    parser.add_argument("--quick", action="store_true", help=f"small sizes, once each ({QUICK.rows} rows)")
    parser.add_argument("--only", action="append", choices=sorted(PARTS), help="run this one; may be given again")
    parser.add_argument("--rows", type=int, help=f"rows of the largest intake (default {Scale.rows})")
    parser.add_argument("--repeats", type=int, help=f"times that what is cheap is measured (default {Scale.repeats})")
    parser.add_argument("--entries", type=int, help=f"entries of the longest log, and touches of the fullest (default {Scale.entries})")
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), help="one engine alone (default both)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results (default bench/results)")
    return parser


def _table(lines: Sequence[Line]) -> Table:
    table = Table(title="Gardu bench: ratio = value ÷ floor, all in this run")
    table.add_column("id")
    table.add_column("work", overflow="fold")
    for name in ("size", "value"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    for name in ("floor", "ratio", "goal", "met"):
        table.add_column(name, justify="right")
    for line in lines:
        floor, ratio = ("" if number is None else _short(number) for number in (line.floor, line.ratio))
        met = {None: "", True: "yes", False: "NO"}[line.met]
        table.add_row(line.id, line.work, f"{line.size:,}", _short(line.value), line.unit, floor, ratio, line.goal or "", met)
    return table


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
