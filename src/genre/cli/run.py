"""Verbs that make and compare runs: run, plan, tune, cross-validate, audit, compare, evaluate, uplift."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from genre.cli.arguments import add_config, add_overrides, add_runs_folder, add_trust, add_verb
from genre.cli.shell import command
from genre.display import counted
from genre.log import ConsoleLog, printable

if TYPE_CHECKING:
    from genre.cli.arguments import Verbs


def add_run_verbs(verbs: Verbs) -> None:
    """Add the verbs of this file.

    Args:
        verbs: the verbs of `genre`.
    """
    parser = add_verb(
        verbs, "run", _run, "Do every step of a config that is not done yet; print leaderboard and examples."
    )
    add_config(parser)
    add_runs_folder(parser)
    parser.add_argument("--quiet", action="store_true", help="print the results only")
    text = "log the finished run to this experiment of MLflow, at MLFLOW_TRACKING_URI (needs `genre-rec[mlflow]`)"
    parser.add_argument("--mlflow", metavar="EXPERIMENT", help=text)
    parser.add_argument("--anyway", action="store_true", help="run even where the memory is expected not to suffice")

    text = "Estimate CPU seconds and memory of a config's run, and what a language model would cost; nothing is learnt."
    parser = add_verb(verbs, "plan", _plan, text)
    add_config(parser)
    add_runs_folder(parser)

    parser = add_verb(
        verbs, "tune", _tune, "Search the options of every recommender of a config on the validation part."
    )
    add_config(parser)
    add_runs_folder(parser)
    parser.add_argument("--trials", type=int, default=30, help="trials for each recommender (default: 30)")
    parser.add_argument("--minutes", type=float, help="time limit for each recommender")

    text = "Run a config on several folds (k-fold, or a rolling origin over time); means and intervals over folds."
    parser = add_verb(verbs, "cross-validate", _cross_validate, text)
    add_config(parser)
    add_runs_folder(parser)
    parser.add_argument("--folds", type=int, default=5, help="how many folds (default: 5)")
    text = "dates at which the test parts begin, in place of equal parts (split by time)"
    parser.add_argument("--cuts", nargs="+", metavar="DATE", default=[], help=text)

    parser = add_verb(
        verbs, "audit", _audit, "Look for leaks between the parts of a run; exit status 1 when there are any."
    )
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--rules", action="store_true", help="measure instead what each rule of the run costs")
    parser.add_argument("--strict", action="store_true", help="exit status 1 for warnings, too")
    add_trust(parser)

    parser = add_verb(
        verbs, "compare", _compare, "Compare two runs, recommender by recommender, with paired tests over users."
    )
    parser.add_argument("run", help="a run folder")
    parser.add_argument("other", help="another run folder, evaluated on the same test part")

    text = "Evaluate a recommender of a run on another catalogue: as it is, trained further, and from nothing."
    parser = add_verb(verbs, "transfer", _transfer, text)
    parser.add_argument("run", help="a run folder whose items have the vectors of a pretrained encoder")
    parser.add_argument("--to", dest="config", required=True, metavar="YAML", help="the config of the other catalogue")
    add_overrides(parser)
    parser.add_argument("--using", help="the recommender (default: the best of the run that can place new items)")
    add_runs_folder(parser)
    add_trust(parser)

    text = "Evaluate lists that another program made, best first, against a file of what the users did next."
    parser = add_verb(verbs, "evaluate", _evaluate, text)
    text = "a file with a row for each place: user, item, and rank or score unless rows are in order; several: compared"
    parser.add_argument("lists", type=Path, nargs="+", help=text)
    parser.add_argument("--against", type=Path, required=True, metavar="FILE", help="interactions of the test part")
    text = "interactions that the lists were learnt from: seen items are no targets, and novelty can be computed"
    parser.add_argument("--train", type=Path, metavar="FILE", help=text)
    parser.add_argument(
        "--items", type=Path, metavar="FILE", help="the catalogue, where it has items without interactions"
    )
    parser.add_argument("-k", type=int, nargs="+", default=[10], help="lengths of lists (default: 10)")
    parser.add_argument("--metrics", nargs="+", help="names of `genre list metrics`, or module:function of your own")
    parser.add_argument("--repeats", action="store_true", help="items of the user's history are targets, too")

    parser = add_verb(
        verbs, "uplift", _uplift, "Did the language model help? Every arm beside its placebo, with cost per point."
    )
    add_config(parser)
    add_runs_folder(parser)
    parser.add_argument("--using", help="the recommender that every arm fits (default: the first of the config)")


def _run(args: argparse.Namespace) -> None:
    from genre.cli.terminal import print_run
    from genre.pipeline import run

    log = ConsoleLog(quiet=args.quiet)
    made = run(args.config, overrides=args.overrides, runs=args.runs, anyway=args.anyway, log=log)
    if args.mlflow:
        from genre.tracking import track_in_mlflow

        track_in_mlflow(made, args.mlflow, log=log)
    print_run(made)


def _transfer(args: argparse.Namespace) -> None:
    from genre.catalogue_transfer import transfer
    from genre.cli.terminal import print_run

    given = {"using": args.using, "overrides": args.overrides, "runs": args.runs, "trust": args.trust}
    print_run(transfer(args.run, args.config, **given, log=ConsoleLog()))


def _plan(args: argparse.Namespace) -> None:
    from genre.cli.llm_tables import print_plan
    from genre.cli.study_tables import print_costs
    from genre.plan import plan_run

    plan = plan_run(args.config, overrides=args.overrides, runs=args.runs, log=ConsoleLog())
    print_costs(plan)
    if plan.llm:
        print_plan(plan.llm)


def _tune(args: argparse.Namespace) -> None:
    from genre.cli.study_tables import print_tuned
    from genre.studies import tune_config

    results, tuned = tune_config(
        args.config,
        overrides=args.overrides,
        runs=args.runs,
        log=ConsoleLog(),
        trials=args.trials,
        minutes=args.minutes,
    )
    print_tuned(results)
    print("Next:", command("genre", "run", str(tuned)))


def _cross_validate(args: argparse.Namespace) -> None:
    from genre.cli.study_tables import print_fold_means
    from genre.cross_validation import cross_validate

    dates = [word for word in args.cuts if "=" not in word]  # what follows the dates may be overrides
    overrides = [*args.overrides, *(word for word in args.cuts if "=" in word)]
    found = cross_validate(
        args.config, overrides=overrides, runs=args.runs, folds=args.folds, cuts=dates, log=ConsoleLog()
    )
    print_fold_means(found.means)


def _audit(args: argparse.Namespace) -> int:
    from genre.studies import audit_rules, audit_run

    if args.rules:
        from genre.cli.study_tables import print_rules_cost

        print_rules_cost(audit_rules(args.run, trust=args.trust))
        return 0
    findings, solvable = audit_run(args.run, trust=args.trust)
    for finding in findings:
        print(printable(str(finding)))
    print("What the test can be solved by, without a model:")
    for line in solvable.lines():
        print(printable(f"  {line}"))
    errors, warnings = (sum(one.severity == severity for one in findings) for severity in ("error", "warning"))
    found = f"{counted(errors, 'leak')} found" if errors else "no leak found"
    print(f"{found}, {counted(warnings, 'warning')} to look at" if warnings else found)
    return 1 if errors or (args.strict and warnings) else 0


def _compare(args: argparse.Namespace) -> None:
    from genre.cli.study_tables import print_comparisons
    from genre.studies import compare_runs

    print_comparisons(compare_runs(args.run, args.other))


def _evaluate(args: argparse.Namespace) -> None:
    from genre.cli.study_tables import print_evaluated_lists
    from genre.evaluation.list_files import evaluate_files

    found = evaluate_files(
        args.lists,
        args.against,
        train=args.train,
        items=args.items,
        k=args.k,
        metrics=args.metrics,
        exclude_seen=not args.repeats,
    )
    print_evaluated_lists(found)


def _uplift(args: argparse.Namespace) -> None:
    from genre.cli.study_tables import print_uplift
    from genre.studies import measure_uplift

    print_uplift(
        measure_uplift(args.config, overrides=args.overrides, runs=args.runs, using=args.using, log=ConsoleLog())
    )
