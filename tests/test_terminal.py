"""How results look in a terminal of any width, and in a pipe."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from genre.cli.main import command_parser, main
from genre.cli.shell import command, commands_inside
from genre.cli.study_tables import print_comparisons
from genre.cli.terminal import print_list, print_recommended, print_run
from genre.errors import GenreError
from genre.evaluation.comparison import Comparison
from genre.kinds import KINDS
from genre.log import ConsoleLog
from genre.runs import Run
from genre.studies import ComparedRuns
from genre.testing import toy_dataset

TITLES = [
    "Jumbo bag",
    "红色复古茶壶套装，适合家庭聚会使用的大号陶瓷茶具",
    "إبريق شاي أحمر قديم",
    "[bold]a[/bold] \x1b[31m",
]
NO_LLM: dict[str, dict[str, str]] = {"augmentation": {}, "reranking": {}, "explanations": {}}
REASON = "because of Edwardian parasol red and Red toadstool LED night light"
ROWS = [{"title": title, "score": 1.25 + at, "reason": REASON} for at, title in enumerate(TITLES)]


IDS = ["a b", "$(touch x)", "`id`; rm -rf", "it's", "-k", "a\nb", "\u202eevil", "[bold]x[/bold]", "\\'\x1b", "ü"]
IDS += ["\x1b[31mred\x1b]0;t\x07"]


@pytest.mark.parametrize("user", IDS)
def test_ids_are_quoted_for_the_shell_and_escaped_for_the_terminal(
    user: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = {"leaderboard": [], "primary": "ndcg@10", "best": user, "language_model": NO_LLM}
    example = {"user_id": user, "liked": [user], "recommended": ROWS[:1]}
    run = Run(tmp_path / "a [b] c", user, toy_dataset(), {}, report={**report, "examples": [example]})
    print_run(run)
    printed = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in printed)
    serve, line, audit = (line.removeprefix("Next:").strip() for line in printed.splitlines()[-3:])
    assert (serve.split()[:2], audit.split()[:2]) == (["genre", "serve"], ["genre", "audit"])
    line = line.removesuffix("  # a list for one user")
    shell = f"printf '%s\\0' {line}"
    words = subprocess.run(["bash", "-c", shell], capture_output=True, check=True).stdout.decode().split("\0")
    option = [f"--user={user}"] if user.startswith("-") else ["--user", user]
    assert words == ["genre", "recommend", str(run.folder), *option, "-k", "10", ""]
    assert command_parser().parse_args(words[1:-1]).user == user


@pytest.mark.parametrize("others", ["none", "same", "other"])
def test_commands_name_the_program_that_was_called(
    others: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("mine", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "genre").touch(0o755)
    called = tmp_path / "mine" / "genre"
    monkeypatch.setattr("sys.argv", [str(called), "run"])
    monkeypatch.setenv("PATH", str({"none": tmp_path, "same": called.parent, "other": tmp_path / "other"}[others]))
    monkeypatch.setattr("sys.executable", str(called.parent / "python"))
    monkeypatch.chdir(tmp_path)
    if others == "none":
        monkeypatch.setattr("sys.argv", ["mine/genre", "run"])
    typed = {"none": "mine/genre", "same": "genre", "other": str(called)}[others]
    assert command("genre", "serve") == f"{typed} serve"
    inside = commands_inside("a b", ("python", "-m", "pytest"), ("genre", "run"))
    assert inside == f"cd 'a b' && {called.parent}/python -m pytest && {'genre' if others == 'same' else called} run"


@pytest.mark.parametrize("error", [GenreError("no \x1b[31muser\u202e"), OSError(5, "no", "\x1b[31m")])
def test_errors_are_escaped_for_the_terminal(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("genre.run_folder.read_run", failing)
    assert main(["recommend", "run", "--user", "a"]) == 2
    ConsoleLog().line(str(error))
    assert all(char.isprintable() or char == "\n" for char in capsys.readouterr().err)


def test_a_folder_that_may_not_be_read_is_one_line_without_wrong_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    for method in ("is_file", "is_dir", "exists"):
        with monkeypatch.context() as patched:
            patched.setattr(Path, method, refused)
            assert main(["recommend", str(tmp_path), "--user", "a"]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "Permission denied; check who may read" in said or "no such run folder" in said or "not a run" in said
        assert "run the same command again" not in said


def shown(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_recommended(ROWS, console)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 50, 80, 132, 200])
def test_rank_and_score_stand_beside_each_title_at_any_width(width: int) -> None:
    lines = shown(width)
    starts = [line.split() for line in lines if line.lstrip()[:1].isdigit()]
    assert [words[0] for words in starts] == ["1", "2", "3", "4"]
    assert all(f"{row['score']:.3f}" in words for row, words in zip(ROWS, starts, strict=True))
    assert " ".join(" ".join(lines).split()).count("night light") == len(ROWS)
    assert "[bold]a[/bold]" in " ".join(lines)


def test_a_row_is_one_line_where_it_fits_and_has_its_reason_below_where_not() -> None:
    assert len(shown(132)) == len(ROWS)
    narrow = shown(80)
    assert narrow[1].strip() == REASON
    assert len(narrow) == 2 * len(ROWS)


def test_a_pipe_gets_a_line_a_row_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    print_recommended([{**row, "reason": REASON * 9} for row in ROWS])
    assert len(capsys.readouterr().out.splitlines()) == len(ROWS)
    print_recommended([{**row, "title": "An evening in the long grass " * 9 + "ends"} for row in ROWS])
    assert capsys.readouterr().out.count("grass ends") == len(ROWS), "a title is not cut where its reason is not"
    print_list("recommenders")
    listed = capsys.readouterr().out.splitlines()
    assert all(line.split()[2] in ("yes", "-") for line in listed[1:])


def test_a_narrow_terminal_says_in_words_what_a_recommender_can_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("genre.cli.terminal.stdout", lambda: Console(width=80, highlight=False))
    print_list("recommenders")
    out = capsys.readouterr().out
    assert "factors, explains: exact" in out
    assert len(out.splitlines()) <= 4 * len(KINDS["recommenders"]), "a few lines each"


def test_two_runs_are_compared_by_name_real_differences_have_a_sign_and_nothing_vanishes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        Comparison("ndcg@10", 0.3, 0.2, 0.1, 0.05, 0.15, 0.001, 50),
        Comparison("mrr@10", 0.3, 0.2, 0.1, -0.1, 0.3, 0.4, 50),
    ]
    print_comparisons(ComparedRuns(("films-1", "films-2"), {"ease": rows}, (["bpr", "als"], [])))
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert lines[1][:3] == ["metric", "films-1", "films-2"]
    assert [line[4:6] for line in lines if "ease" in line] == [["+0.1000", "*"], ["+0.1000", "-0.1000"]]
    assert "films-1 minus films-2. 1 of 2 differences are real at 5 % (*)" in out
    assert "Only in films-1: bpr, als." in out
    assert "Only in films-2" not in out
