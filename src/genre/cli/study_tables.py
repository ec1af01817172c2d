"""Results of plan, tune, compare and uplift, printed as tables. Knows nothing about how they were computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from genre.cli import terminal
from genre.cli.terminal import escaped
from genre.display import counted

if TYPE_CHECKING:
    from genre.evaluation.list_files import EvaluatedLists
    from genre.evaluation.over_folds import FoldMean
    from genre.evaluation.rules_cost import RulesCost
    from genre.evaluation.tuning import TuningResult
    from genre.evaluation.uplift import Uplift
    from genre.plan import RunPlan
    from genre.studies import ComparedRuns


def print_comparisons(compared: ComparedRuns) -> None:
    """Print the first run minus the second, metric by metric, with interval and p; significant differences marked.

    Args:
        compared: the names of two runs, their paired differences by recommender, and what only one of them has.
    """
    from genre.evaluation.resampling import SIGNIFICANCE_LEVEL

    names, found, alone = compared
    first, second = map(escaped, names)
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("", "metric", first, second, "difference", "95 % interval", "p", "users"):
        table.add_column(column, justify="left" if column in ("", "metric") else "right")
    for name, rows in found.items():
        for row in rows:
            same = row.difference == row.low == row.high == 0
            interval = "no user differs" if same else f"{row.low:+.4f} to {row.high:+.4f}"
            difference = "0" if same else f"{row.difference:+.4f}"
            difference = f"[bold]{difference} *[/bold]" if row.p <= SIGNIFICANCE_LEVEL else f"{difference}  "
            numbers = f"{row.a:.4f}", f"{row.b:.4f}", difference, interval, f"{row.p:.3f}", f"{row.users:,}"
            table.add_row(name, row.label, *numbers)
    console = terminal.stdout()
    console.print(table)
    real = sum(row.p <= SIGNIFICANCE_LEVEL for rows in found.values() for row in rows)
    total = sum(len(rows) for rows in found.values())
    console.print(
        f"{first} minus {second}. {real} of {total} differences are real at 5 % (*): paired sign flips over users of "
        "the test part, corrected by Holm over the recommenders."
    )
    for name, only in zip((first, second), alone, strict=True):
        if only:
            console.print(f"Only in {name}: {', '.join(only)}.")


def print_fold_means(means: Sequence[FoldMean]) -> None:
    """Print means over folds with their 95 % intervals, and differences from the first recommender.

    Args:
        means: a row for each recommender and metric, the best recommender first.
    """
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("", "metric", "mean", "±", "least", "most", "minus the first", "±"):
        table.add_column(column, justify="left" if column in ("", "metric") else "right")
    for row in means:
        against = "", ""
        if row.difference is not None and row.difference_margin is not None:
            sure = abs(row.difference) > row.difference_margin
            against = f"{row.difference:+.4f}{' *' if sure else '  '}", f"{row.difference_margin:.4f}"
        numbers = f"{row.mean:.4f}", f"{row.margin:.4f}", f"{min(row.values):.4f}", f"{max(row.values):.4f}"
        table.add_row(escaped(row.name), row.label, *numbers, *against)
    console = terminal.stdout()
    console.print(table)
    console.print(
        f"Test parts of {len(means[0].values)} folds. ± half of a 95 % interval over folds: Student's t with the "
        "correction of Nadeau and Bengio for train parts that overlap. * the interval of the difference lacks zero."
    )


def print_evaluated_lists(found: EvaluatedLists) -> None:
    """Print what files of lists are worth, a column a file, the best one first.

    Args:
        found: their evaluations, and notes.
    """
    from genre.evaluation.leaderboard import leaderboard

    rows = leaderboard(found.evaluations)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("metric")
    for at, row in enumerate(rows):
        table.add_column(escaped(row["name"]) + (" =" if at and row["tied_with_best"] else ""), justify="right")
    for label in rows[0]["values"]:
        table.add_row(escaped(label), *(_with_margin(row, label) for row in rows))
    console = terminal.stdout()
    console.print(table)
    users = found.evaluations[0].counts["users"]
    tie = "  = not distinguishable from the first at 5 %, by paired sign flips over users." if len(rows) > 1 else ""
    console.print(f"{counted(users, 'user')}. ± half of a 95 % interval over users.{tie}")
    for line in found.notes:
        console.print(escaped(line), soft_wrap=True)


def _with_margin(row: dict[str, Any], label: str) -> str:
    value, (low, high) = row["values"][label], row["intervals"].get(label) or (None, None)
    if value is None:
        return "-"
    return f"{value:.4f}" if low is None or high is None else f"{value:.4f} ±{(high - low) / 2:.4f}"


def print_rules_cost(found: Sequence[RulesCost]) -> None:
    """Print what rules cost: without rules, with each alone, and with all.

    Args:
        found: a row for each; the first is without rules.
    """
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("rules", "ndcg", "of none", "coverage", "lists with a rule not kept"):
        table.add_column(column, justify="left" if column == "rules" else "right")
    none = found[0]
    for row in found:
        share = f"{row.ndcg / none.ndcg:.3f}" if none.ndcg else "-"
        table.add_row(escaped(row.rules), f"{row.ndcg:.4f}", share, f"{row.coverage:.3f}", f"{row.unkept:.1%}")
    console = terminal.stdout()
    console.print(table)
    console.print(f"The best recommender's lists for {counted(none.users, 'user')} of the test part.")


def print_costs(plan: RunPlan) -> None:
    """Print what each step of a run is expected to cost.

    Args:
        plan: the plan.
    """
    from genre.estimates import describe_estimate

    console = terminal.stdout()
    for line in describe_estimate(plan.steps, plan.dataset):
        console.print(escaped(line), soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("step", "recommender", "CPU s", "GB at the peak", "MB in a server"):
        table.add_column(column, justify="left" if column in ("step", "recommender") else "right")
    for step in plan.steps:
        if step.cpu_seconds is None:
            table.add_row(step.step, escaped(step.model), "not measured", "", "")
            continue
        peak, served = (
            "" if size is None else f"{size / unit:,.1f}" for size, unit in ((step.peak, 1e9), (step.served, 1e6))
        )
        table.add_row(step.step, escaped(step.model), f"{step.cpu_seconds:,.1f}", peak, served)
    console.print(table)


def print_tuned(results: Sequence[TuningResult]) -> None:
    """Print the metric before and after tuning, the best options, their importance, and warnings.

    Args:
        results: one for each recommender that was tuned.
    """
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("", "trials", "as given", "best", "best options", "what matters"):
        table.add_column(column, justify="right" if column in ("trials", "as given", "best") else "left")
    for found in results:
        first = "failed" if found.first is None else f"{found.first:.4f}"
        options = ", ".join(f"{name}: {_short(value)}" for name, value in found.chosen.items())
        important = sorted(found.importances.items(), key=lambda pair: -pair[1])[:2]
        matters = ", ".join(f"{name} {share:.0%}" for name, share in important) or "too few trials to tell"
        best = f"{found.value:.4f}"
        table.add_row(found.name, f"{len(found.trials)}", first, best, escaped(options or "as given"), matters)
    console = terminal.stdout()
    console.print(f"{results[0].metric} on the validation part; the test part was not opened")
    console.print(table)
    for found in results:
        for warning in found.warnings:
            console.print(escaped(warning))


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_uplift(found: Uplift) -> None:
    """Print every arm in every segment of users, and the conclusion; significant gains in bold.

    Args:
        found: gains of a language model's steps over their placebos.
    """
    console = terminal.stdout()
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
