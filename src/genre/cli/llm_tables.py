"""Exchanges with language models and their cost, printed. Knows nothing about how they came about."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from genre.cli import terminal
from genre.cli.terminal import escaped

if TYPE_CHECKING:
    from genre.llm.budget import Plan
    from genre.llm.ledger_table import Exchange


def print_exchanges(rows: Sequence[Exchange]) -> None:
    """Print a table of prompts, outcomes and costs.

    Args:
        rows: exchanges, newest first.
    """
    console = terminal.stdout()
    table = Table(box=box.SIMPLE_HEAD, expand=console.width < terminal.WIDE, padding=(0, 1, 0, 0))
    for column, width in (("id", 5), ("when", 11), ("prompt", 12)):
        table.add_column(column, no_wrap=True, min_width=width)
    table.add_column("became", ratio=3, min_width=13, overflow="fold")
    for column in ("tokens", "s"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("answer", ratio=4, no_wrap=True, overflow="ellipsis")
    for row in rows:
        when = time.strftime("%m-%d %H:%M", time.localtime(row.at))
        counts = f"{row.tokens_in + row.tokens_out:,}", f"{row.seconds:.1f}"
        table.add_row(str(row.id), when, escaped(row.prompt), escaped(row.result), *counts, escaped(row.output))
    console.print(table)
    for model in dict.fromkeys(row.model for row in rows):
        console.print(f"[dim]Model: {escaped(model)}[/dim]")
    if rows:
        console.print(f"[dim]One in full: genre llm log ... --id {rows[0].id}[/dim]")
    else:
        console.print("No exchanges.")


def print_exchange(row: Exchange) -> None:
    """Print one exchange in full.

    Args:
        row: the exchange.
    """
    console = terminal.stdout()
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.at))
    facts = {
        "id": f"{row.id}, {when}",
        "job": row.job,
        "model": row.model,
        "prompt": f"{row.prompt} {row.prompt_hash}",
        "became": row.result,
        "cost": f"{row.tokens_in:,} tokens in, {row.tokens_out:,} out, {row.seconds:.1f} s, money {row.money:.4f}",
        "knows": "no times" if row.cutoff is None else time.strftime("up to %Y-%m-%d %H:%M", time.gmtime(row.cutoff)),
    }
    for name, text in facts.items():
        console.print(f"[bold]{name}[/bold] {escaped(text)}", soft_wrap=True)
    for name, text in (("sent", row.input), ("answered", row.output or "nothing")):
        console.print(f"\n[bold]{name}[/bold]")
        console.print("\n".join(map(escaped, text.splitlines())), soft_wrap=True)


def print_plan(steps: Mapping[str, Plan]) -> None:
    """Print what each step would cost, and their sum.

    Args:
        steps: step name -> calls, tokens, seconds and money.
    """
    from genre.llm.budget import Plan

    console = terminal.stdout()
    for name, step in {**steps, "together": sum(steps.values(), Plan())}.items():
        console.print(f"{name}: {step}", markup=False, soft_wrap=True)
    if any(step.calls for step in steps.values()):
        console.print("Repairs, where they are on, add at most one call each, which is part of what is at most spent.")
