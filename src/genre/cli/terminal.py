"""How results look in a terminal. Knows nothing about how they were made."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

WIDE = 10_000  # characters, more than any line has

if TYPE_CHECKING:
    from genre.evaluation.tuning import TuningResult
    from genre.evaluation.uplift import Uplift
    from genre.llm.budget import Plan
    from genre.llm.exchanges import Exchange
    from genre.runs import Recommended, Run
    from genre.studies import ComparedRuns


def print_run(run: Run) -> None:
    """Leaderboards, example recommendations with reasons, and where the report is."""
    from genre.evaluation.leaderboard import tables

    console = _console()
    for facts in tables(run.report["leaderboard"]):
        console.print()
        console.print(_leaderboard(run, facts, console.width))
    console.print(
        f"[dim]± half of a 95 % interval over users.  = not distinguishable from the first by {run.report['primary']} "
        f"at 5 %.  ★ best on the validation part: {run.report['best']} answers below.[/dim]"
    )
    _print_answers(run.report["language_model"], console)
    for example in run.report["examples"]:
        liked = _plain(", ".join(example["liked"]) or "nothing yet")
        console.print(f"\n[bold]User {_plain(example['user_id'])}[/bold], who last liked {liked}")
        print_recommended(example["recommended"], console)
    console.print(f"\nReport: {run.folder / 'report.html'}")
    console.print(f"Next:   genre recommend {run.folder} --user {run.report['examples'][0]['user_id']} -k 10")


def _print_answers(said: Mapping[str, Any], console: Console) -> None:
    """What became of a language model's answers, where one was asked."""
    from genre.llm.typed_answers import Degeneracy
    from genre.recommenders.llm_reranker import told_account
    from genre.recommenders.wording import told_tally

    lines = [f"{step}: {Degeneracy(**report)}" for step, report in said["augmentation"].items()]
    lines += [f"{name}: {told_account(account)}" for name, account in said["reranking"].items()]
    if said["explanations"]:
        lines.append(f"explanations: {told_tally(said['explanations'])}")
    if lines:
        console.print("\n[bold]What the language model said[/bold]")
    for line in lines:
        console.print(f"  {_plain(line)}", soft_wrap=True)


def _console() -> Console:
    """Standard output; a pipe gets lines as wide as they need to be."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDE)


def _leaderboard(run: Run, facts: dict[str, Any], width: int) -> Table:
    """One row a recommender, one column a metric, as many as fit; the best of each in bold."""
    labels = facts["labels"]
    fitting = labels[: max(1, (width - 24) // 13)]
    left_out = f"  ({len(labels) - len(fitting)} more in the report)" if len(fitting) < len(labels) else ""
    title = f"{run.name}: {facts['title']}, test part{left_out}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for label in fitting:
        table.add_column(label, justify="right", no_wrap=True)
    ranking = run.report["primary"] in labels
    for at, row in enumerate(facts["rows"]):
        star = " ★" if row["name"] == run.report["best"] else ""
        tie = " =" if ranking and at and row["tied_with_best"] else ""
        table.add_row(row["name"] + star + tie, *(_cell(row, label, facts["best"][label]) for label in fitting))
    return table


def _cell(row: dict[str, Any], label: str, best: float | None) -> str:
    value = row["values"].get(label)
    if value is None:
        return "[dim]-[/dim]"
    low, high = row["intervals"].get(label) or (None, None)
    margin = f"[dim]±{(high - low) / 2:.3f}[/dim]".replace("0.", ".") if low is not None and high is not None else ""
    shown = f"{value:.4f}".removeprefix("0")
    return f"[bold]{shown}[/bold]{margin}" if value == best else f"{shown}{margin}"


def print_recommended(rows: Sequence[Recommended | dict[str, Any]], console: Console | None = None) -> None:
    """Rank, title, score and reason; the reason goes below the title where the lines would be too long."""
    console = console or _console()
    facts = [row if isinstance(row, dict) else vars(row) for row in rows]
    table = _recommended(facts, below=False)
    console.print(table if _fits(table, console) else _recommended(facts, below=True))


def _fits(table: Table, console: Console) -> bool:
    """Whether no cell of the table has to be wrapped or cut for the terminal's width."""
    return console.measure(table, options=console.options.update(max_width=WIDE)).maximum <= console.width


def _recommended(rows: Sequence[dict[str, Any]], *, below: bool) -> Table:
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(overflow="fold", no_wrap=not below)
    table.add_column(justify="right", no_wrap=True)
    for rank, row in enumerate(rows, start=1):
        title, reason = _plain(row["title"]), f"[dim]{_plain(row['reason'])}[/dim]"
        cells = [f"{title}\n{reason}" if below and row["reason"] else title, f"{row['score']:.3f}"]
        table.add_row(f"{rank}", *cells, *([] if below else [reason]))
    return table


def _plain(text: str) -> str:
    """Text of the data is data: no markup, no control characters."""
    from rich.markup import escape

    return escape("".join(char if char.isprintable() else " " for char in text))


def print_comparisons(compared: ComparedRuns) -> None:
    """First run minus second, metric by metric, with interval and p; real differences marked."""
    from genre.evaluation.leaderboard import LEVEL

    names, found, alone = compared
    first, second = map(_plain, names)
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("", "metric", first, second, "difference", "95 % interval", "p", "users"):
        table.add_column(column, justify="left" if column in ("", "metric") else "right")
    for name, rows in found.items():
        for row in rows:
            same = row.difference == row.low == row.high == 0
            interval = "no user differs" if same else f"{row.low:+.4f} to {row.high:+.4f}"
            difference = "0" if same else f"{row.difference:+.4f}"
            difference = f"[bold]{difference} *[/bold]" if row.p <= LEVEL else f"{difference}  "
            numbers = f"{row.a:.4f}", f"{row.b:.4f}", difference, interval, f"{row.p:.3f}", f"{row.users:,}"
            table.add_row(name, row.label, *numbers)
    console = _console()
    console.print(table)
    real = sum(row.p <= LEVEL for rows in found.values() for row in rows)
    total = sum(len(rows) for rows in found.values())
    console.print(
        f"{first} minus {second}. {real} of {total} differences are real at 5 % (*): paired sign flips over users of "
        "the test part, corrected by Holm over the recommenders."
    )
    for name, only in zip((first, second), alone, strict=True):
        if only:
            console.print(f"Only in {name}: {', '.join(only)}.")


def print_tuned(results: Sequence[TuningResult]) -> None:
    """Before and after on validation, by recommender, with the best options, what matters, and what to be wary of."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("", "trials", "as given", "best", "best options", "what matters"):
        table.add_column(column, justify="right" if column in ("trials", "as given", "best") else "left")
    for found in results:
        first = "failed" if found.first is None else f"{found.first:.4f}"
        options = ", ".join(f"{name}: {_short(value)}" for name, value in found.chosen.items())
        matters = sorted(found.importances.items(), key=lambda pair: -pair[1])[:2]
        told = ", ".join(f"{name} {share:.0%}" for name, share in matters) or "too few trials to tell"
        best = f"{found.value:.4f}"
        table.add_row(found.name, f"{len(found.trials)}", first, best, _plain(options or "as given"), told)
    console = _console()
    console.print(f"{results[0].metric} on the validation part; the test part was not opened")
    console.print(table)
    for found in results:
        for warning in found.warnings:
            console.print(_plain(warning))


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_exchanges(rows: Sequence[Exchange]) -> None:
    """What was asked, what became of the answer, and what it cost; newest first."""
    console = _console()
    table = Table(box=box.SIMPLE_HEAD, expand=console.width < WIDE, padding=(0, 1, 0, 0))
    for column, width in (("id", 5), ("when", 11), ("prompt", 12)):
        table.add_column(column, no_wrap=True, min_width=width)
    table.add_column("became", ratio=3, min_width=13, overflow="fold")
    for column in ("tokens", "s"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("answer", ratio=4, no_wrap=True, overflow="ellipsis")
    for row in rows:
        when = time.strftime("%m-%d %H:%M", time.localtime(row.at))
        counts = f"{row.tokens_in + row.tokens_out:,}", f"{row.seconds:.1f}"
        table.add_row(str(row.id), when, _plain(row.prompt), _plain(row.became), *counts, _plain(row.output))
    console.print(table)
    for model in dict.fromkeys(row.model for row in rows):
        console.print(f"[dim]Asked: {_plain(model)}[/dim]")
    if rows:
        console.print(f"[dim]One in full: genre llm log ... --id {rows[0].id}[/dim]")
    else:
        console.print("Nothing was asked.")


def print_exchange(row: Exchange) -> None:
    """One exchange in full."""
    console = _console()
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.at))
    facts = {
        "id": f"{row.id}, {when}",
        "job": row.job,
        "model": row.model,
        "prompt": f"{row.prompt} {row.prompt_hash}",
        "became": row.became,
        "cost": f"{row.tokens_in:,} tokens in, {row.tokens_out:,} out, {row.seconds:.1f} s, money {row.money:.4f}",
        "knows": "no times" if row.cutoff is None else time.strftime("up to %Y-%m-%d %H:%M", time.gmtime(row.cutoff)),
    }
    for name, text in facts.items():
        console.print(f"[bold]{name}[/bold] {_plain(text)}", soft_wrap=True)
    for name, text in (("asked", row.input), ("answered", row.output or "nothing")):
        console.print(f"\n[bold]{name}[/bold]")
        console.print("\n".join(map(_plain, text.splitlines())), soft_wrap=True)


def print_plan(steps: Mapping[str, Plan]) -> None:
    """What each step would cost, and all together."""
    from genre.llm.budget import Plan

    console = _console()
    for name, step in {**steps, "together": sum(steps.values(), Plan())}.items():
        console.print(f"{name}: {step}", markup=False, soft_wrap=True)
    if any(step.calls for step in steps.values()):
        console.print("Repairs, where they are on, add at most one call each.")


def print_uplift(found: Uplift) -> None:
    """Every arm in every segment of users, and what to make of it; real gains in bold."""
    console = _console()
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("arm", "users"):
        table.add_column(column, no_wrap=True)
    for column in ("n", "without", found.label, "difference", "95 % interval", "p", f"{found.unit} a point"):
        table.add_column(column, justify="right", no_wrap=True)
    for arm, segments in found.by_arm().items():
        for at, gain in enumerate(segments):
            cost = "-" if gain.cost_per_point is None else f"{gain.cost_per_point:,.3g}"
            difference = "no user differs" if gain.changed == 0 else f"{gain.difference:+.4f}"
            interval = "" if gain.changed == 0 else f"{gain.low:+.4f} to {gain.high:+.4f}"
            numbers = f"{gain.without:.4f}", f"{gain.value:.4f}", difference, interval, f"{gain.p:.3f}", cost
            style = "bold" if gain.wins else None
            table.add_row("" if at else arm, gain.segment, f"{gain.users:,}", *numbers, style=style)
    console.print(table)
    console.print(f"Significant: {', '.join(found.winners()) or 'nothing'}. A point is .01 of {found.label}.")
    for line in [*found.warnings(), *found.blind_spots()]:
        console.print(f"{line[0].upper()}{line[1:]}.")


def print_list(what: str) -> None:
    """The built-ins of a section, each with what it is; recommenders with what they can do."""
    from genre.config.reading import SECTIONS, kinds_of, resolve
    from genre.errors import ConfigError
    from genre.options import nearest

    by_section = {section: base for base, section in SECTIONS.items()}
    if what not in {*by_section, "metrics"}:
        known = ", ".join([*by_section, "metrics"])
        raise ConfigError(
            f"nothing called {what!r} to list{nearest(what, [*by_section, 'metrics'])}; there are: {known}"
        )
    console = _console()
    if what == "metrics":
        console.print(_metrics())
        return
    classes = {kind: resolve(by_section[what], kind) for kind in kinds_of(by_section[what])}
    table = _kinds(classes, below=False)
    console.print(table if _fits(table, console) else _kinds(classes, below=True))


def _kinds(classes: Mapping[str, type], *, below: bool) -> Table:
    """A row a kind: what it can do in columns, or in words below what it is."""
    table = Table(box=None, padding=(0, 1))
    can = {kind: cls.capabilities() for kind, cls in classes.items() if hasattr(cls, "capabilities")}
    columns = [] if below else list(next(iter(can.values()), {}))
    for column in ("kind", *columns, "what it is"):
        table.add_column(column.replace("_", " "), no_wrap=column == "kind")
    for kind, cls in classes.items():
        text = _plain((cls.__doc__ or "").strip().partition("\n")[0])
        if below and kind in can:
            text += f"\n[dim]{_told(can[kind])}[/dim]"
        table.add_row(kind, *(_mark(can[kind][column]) for column in columns), text)
    return table


def _told(can: Mapping[str, bool | str]) -> str:
    words = [name if value is True else f"{name}: {value}" for name, value in can.items() if value]
    return ", ".join(words).replace("_", " ")


def _mark(value: bool | str) -> str:  # noqa: FBT001
    return value if isinstance(value, str) else "yes" if value else "-"


def _metrics() -> Table:
    from genre.evaluation.metrics import METRICS

    table = Table(box=None, padding=(0, 1))
    for column in ("metric", "what it is"):
        table.add_column(column)
    for name, metric in METRICS.items():
        table.add_row(name, _plain(metric.line))
    return table
