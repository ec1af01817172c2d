"""Runs, lists of items and what can be configured, printed. Knows nothing about how they were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from genre.cli.shell import command
from genre.log import printable

if TYPE_CHECKING:
    from genre.runs import Recommended, Run

WIDE = 10_000  # characters, more than any line has


def _learnt_again(run: Run) -> str:
    return ", learnt again from all interactions" if run.report["best"] in run.refitted else ""


def print_run(run: Run) -> None:
    """Print leaderboards, example recommendations with reasons, the path of the report, and three commands to go on.

    Args:
        run: a finished run.
    """
    from genre.evaluation.leaderboard import tables

    console = stdout()
    for facts in tables(run.report["leaderboard"], best=run.report["best"]):
        console.print()
        console.print(_leaderboard(run, facts, console.width))
        if facts["left_out"]:
            names = escaped(", ".join(facts["left_out"]))
            console.print(f"[dim]Predict ratings, so they are in the table of ratings alone: {names}.[/dim]")
    _print_repeats(run.report["leaderboard"], run.report["primary"], console)
    console.print(
        "[dim]± half of a 95 % interval over users.  = not distinguishable from the first by "
        f"{escaped(run.report['primary'])} at 5 %.  ★ best on the validation part: "
        f"{escaped(run.report['best'])} answers below{_learnt_again(run)}.[/dim]"
    )
    _print_language_model(run.report["language_model"], console)
    for example in run.report["examples"]:
        liked = escaped(", ".join(example["liked"]) or "nothing yet")
        console.print(f"\n[bold]User {escaped(example['user_id'])}[/bold], who last liked {liked}")
        print_recommended(example["recommended"], console)
    console.print(f"\nReport: {escaped(str(run.folder / 'report.html'))}", soft_wrap=True)
    user = run.report["examples"][0]["user_id"]
    option = [f"--user={user}"] if user.startswith("-") else ["--user", user]  # `-1` would be read as an option
    folder = str(run.folder)
    for head, words, what in (
        ("Next:  ", ("serve", folder), "a page at http://127.0.0.1:8000/"),
        ("       ", ("recommend", folder, *option, "-k", "10"), "a list for one user"),
        ("       ", ("audit", folder), "leaks between the parts"),
    ):
        console.print(f"{head} {command('genre', *words)}  # {what}", markup=False, soft_wrap=True)


def _print_repeats(rows: Sequence[dict[str, Any]], label: str, console: Console) -> None:
    """Say what the tables show of items that users had before; discovery and repurchase apart where both are there."""
    from genre.evaluation.leaderboard import describe_repeats

    console.print(f"[dim]{describe_repeats(rows)}[/dim]")
    rows = [row for row in rows if row["by_history"] and row["values"].get(label) is not None]
    if not rows:
        return
    table = Table(box=box.SIMPLE_HEAD)
    for column in (label, "together", "discovery", "repurchase"):
        table.add_column(column, justify="left" if column == label else "right", no_wrap=True)
    for row in rows:
        apart = (row["by_history"][part].get(label) for part in ("discovery", "repurchase"))
        table.add_row(escaped(row["name"]), *(_short(value) for value in (row["values"][label], *apart)))
    console.print(table)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}".removeprefix("0")


def _print_language_model(outcomes: Mapping[str, Any], console: Console) -> None:
    """Print a line for each step of the run that used a language model: how many answers were usable."""
    from genre.llm.typed_answers import AnswerReport
    from genre.recommenders.llm_reranker import describe_reranking
    from genre.recommenders.wording import describe_wording

    lines = [f"{step}: {AnswerReport.from_json(report)}" for step, report in outcomes["augmentation"].items()]
    lines += [f"{name}: {describe_reranking(account)}" for name, account in outcomes["reranking"].items()]
    if outcomes["explanations"]:
        lines.append(f"explanations: {describe_wording(outcomes['explanations'])}")
    if lines:
        console.print("\n[bold]Answers of the language model[/bold]")
    for line in lines:
        console.print(f"  {escaped(line)}", soft_wrap=True)


def stdout() -> Console:
    """Return the console of standard output.

    Returns:
        A console as wide as the terminal; as wide as its lines where it is a pipe.
    """
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDE)


def _leaderboard(run: Run, facts: dict[str, Any], width: int) -> Table:
    """Return a table with a row a recommender and as many metrics as fit into `width`; the best of each in bold."""
    labels = facts["labels"]
    fitting = labels[: max(1, (width - 24) // 13)]
    left_out = f"  ({len(labels) - len(fitting)} more in the report)" if len(fitting) < len(labels) else ""
    title = f"{escaped(run.name)}: {facts['title']}, test part{left_out}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for label in fitting:
        table.add_column(label, justify="right", no_wrap=True)
    ranking = run.report["primary"] in labels
    for at, row in enumerate(facts["rows"]):
        star = " ★" if row["name"] == run.report["best"] else ""
        tie = " =" if ranking and at and row["tied_with_best"] else ""
        table.add_row(
            escaped(row["name"]) + star + tie, *(_cell(row, label, facts["best"][label]) for label in fitting)
        )
    return table


def _cell(row: dict[str, Any], label: str, best: float | None) -> str:
    value = row["values"].get(label)
    if value is None:
        return "[dim]-[/dim]"
    low, high = row["intervals"].get(label) or (None, None)
    margin = f"[dim]±{(high - low) / 2:.3f}[/dim]".replace("0.", ".") if low is not None and high is not None else ""
    shown = _short(value)
    return f"[bold]{shown}[/bold]{margin}" if value == best else f"{shown}{margin}"


def print_recommended(rows: Sequence[Recommended | dict[str, Any]], console: Console | None = None) -> None:
    """Print rank, title, score and reason; the reason goes below the title where the lines would be too long.

    Args:
        rows: recommended items, best first.
        console: None for standard output.
    """
    console = console or stdout()
    facts = [row if isinstance(row, dict) else vars(row) for row in rows]
    table = _recommended(facts, below=False)
    console.print(table if _fits(table, console) else _recommended(facts, below=True))


def _fits(table: Table, console: Console) -> bool:
    """Return whether the table fits the terminal's width without a cell wrapped or cut."""
    return console.measure(table, options=console.options.update(max_width=WIDE)).maximum <= console.width


def _recommended(rows: Sequence[dict[str, Any]], *, below: bool) -> Table:
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(overflow="fold", no_wrap=not below)
    table.add_column(justify="right", no_wrap=True)
    for rank, row in enumerate(rows, start=1):
        title, reason = escaped(row["title"]), f"[dim]{escaped(row['reason'])}[/dim]"
        cells = [f"{title}\n{reason}" if below and row["reason"] else title, f"{row['score']:.3f}"]
        table.add_row(f"{rank}", *cells, *([] if below else [reason]))
    return table


def escaped(text: str) -> str:
    """Return text of the data as it is safe to print: no markup, no control characters.

    Args:
        text: any text.

    Returns:
        The text with markup escaped and unprintable characters as spaces.
    """
    from rich.markup import escape

    return escape(printable(text).replace("\n", " "))


def print_list(what: str) -> None:
    """Print the built-ins of a section, each with its first line of documentation; recommenders with capabilities.

    Args:
        what: a section of a config, such as recommenders, or metrics.

    Raises:
        ConfigError: for a name that is neither.
    """
    from genre.config.sections import SECTIONS, kinds_of, resolve
    from genre.errors import ConfigError
    from genre.options import nearest

    by_section = {section: base for base, section in SECTIONS.items()}
    if what not in {*by_section, "metrics"}:
        known = ", ".join([*by_section, "metrics"])
        raise ConfigError(
            f"nothing called {what!r} to list{nearest(what, [*by_section, 'metrics'])}; there are: {known}"
        )
    console = stdout()
    if what == "metrics":
        console.print(_metrics())
        return
    classes = {kind: resolve(by_section[what], kind) for kind in kinds_of(by_section[what])}
    table = _kinds(classes, below=False)
    console.print(table if _fits(table, console) else _kinds(classes, below=True))


def _kinds(classes: Mapping[str, type], *, below: bool) -> Table:
    """Return a table with a row a kind: capabilities in columns, or with `below` in words below its description."""
    table = Table(box=None, padding=(0, 1))
    can = {kind: cls.capabilities() for kind, cls in classes.items() if hasattr(cls, "capabilities")}
    columns = [] if below else list(next(iter(can.values()), {}))
    for column in ("kind", *columns, "what it is"):
        table.add_column(column.replace("_", " "), no_wrap=column == "kind")
    for kind, cls in classes.items():
        text = escaped((cls.__doc__ or "").strip().partition("\n")[0])
        if below and kind in can:
            text += f"\n[dim]{_in_words(can[kind])}[/dim]"
        table.add_row(kind, *(_mark(can[kind][column]) for column in columns), text)
    return table


def _in_words(can: Mapping[str, bool | str]) -> str:
    words = [name if value is True else f"{name}: {value}" for name, value in can.items() if value]
    return ", ".join(words).replace("_", " ")


def _mark(value: bool | str) -> str:  # noqa: FBT001
    return value if isinstance(value, str) else "yes" if value else "-"


def _metrics() -> Table:
    from genre.evaluation.metric_table import METRICS

    table = Table(box=None, padding=(0, 1))
    for column in ("metric", "what it is"):
        table.add_column(column)
    for name, metric in METRICS.items():
        table.add_row(name, escaped(metric.about))
    return table
