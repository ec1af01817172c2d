"""Verbs around the work: completion, the list of runs, and progress where output is kept."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genre import log as log_module
from genre.cli.completion import SHELLS
from genre.cli.main import command_parser, main
from genre.kernels.inverse import expected_seconds, invert
from genre.log import ConsoleLog
from small_world import story_run


@pytest.mark.parametrize("shell", SHELLS)
def test_every_verb_is_completed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    (verbs,) = (one for one in command_parser()._actions if isinstance(one, argparse._SubParsersAction))
    assert all(verb in script for verb in verbs.choices)


def test_bash_completes_verbs_options_and_run_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "bash"])
    (tmp_path / "genre.bash").write_text(capsys.readouterr().out)
    (tmp_path / "myruns").mkdir()
    (tmp_path / "movies.yaml").touch()

    def complete(*words: str) -> list[str]:
        """What bash offers behind these words, as its readline library calls the function."""
        line = " ".join(f"'{word}'" for word in ("genre", *words))
        lines = [
            "source ./genre.bash",
            f'COMP_WORDS=({line}); COMP_CWORD={len(words)}; COMP_LINE="genre {" ".join(words)}"',
            "$(complete -p genre | sed 's/.*-F \\([^ ]*\\).*/\\1/') genre",
            'printf "%s\\n" "${COMPREPLY[@]}"',
        ]
        command = ["bash", "-c", "\n".join(lines)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()

    assert complete("reco") == ["recommend"]
    assert complete("recommend", "--hist") == ["--history"]
    assert "movies.yaml" in complete("run", "mov")
    assert "myruns" in " ".join(complete("serve", "myr"))


def test_runs_are_listed_newest_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = story_run(tmp_path)
    (tmp_path / "runs" / "half-done").mkdir()
    (tmp_path / "runs" / "half-done" / "config.full.yaml").touch()
    assert main(["runs", str(tmp_path / "runs"), "--json"]) == 0
    finished, half = json.loads(capsys.readouterr().out)
    report = json.loads((run / "report.json").read_text())
    row = next(row for row in report["leaderboard"] if row["name"] == report["best"])
    assert (finished["folder"], finished["best"], finished["metric"]) == (str(run), report["best"], "ndcg@3")
    assert finished["value"] == row["values"]["ndcg@3"]
    assert half["finished"] is None
    assert main(["runs", str(tmp_path / "runs")]) == 0
    shown = capsys.readouterr().out
    assert f"{finished['value']:.4f}" in shown
    assert "not finished" in shown
    assert main(["runs", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["recommend", "runs/x", "--user", "A", "B"], "usage: genre recommend run (--user ID"),
        (["run"], "usage: genre run"),
        (["log", "backup"], "usage: genre log backup"),
    ],
)
def test_a_mistake_in_a_command_shows_the_usage_of_that_command(
    words: list[str], usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert capsys.readouterr().err.startswith(usage)


class Clock:
    """Seconds that pass only when a test says so."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


def test_output_that_is_kept_gets_a_line_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr(log_module, "time", clock)
    with ConsoleLog().bar("als", 10) as bar:
        for _ in range(10):
            clock.now += 2
            bar.advance(1, note="loss 0.3")
    lines = capsys.readouterr().err.splitlines()
    far = ("30 % after 6 s, about 14", "60 % after 12 s, about 8", "90 % after 18 s, about 2")
    assert lines == [f"  als: {how} s left; loss 0.3" for how in far]
    with ConsoleLog(quiet=True).bar("als", 10) as bar:
        clock.now += 60
        bar.advance(5)
    assert capsys.readouterr().err == ""


def test_a_call_without_progress_of_its_own_is_shown_by_the_clock(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log_module, "EVERY", 0.01)
    monkeypatch.setattr(log_module, "SECOND", 0.01)
    with ConsoleLog().waiting("ease", 0.05):
        invert(np.eye(1500, dtype=np.float32))
    shown = capsys.readouterr().err
    assert "  ease: 20 % after" in shown, "the lock is free while LAPACK works"
    assert "100 %" not in shown


def test_the_inverse_is_that_of_numpy() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(80, 60)).astype(np.float32)
    matrix = rows.T @ rows + np.eye(60, dtype=np.float32)
    expected = np.linalg.inv(matrix.astype(np.float64))
    assert invert(matrix)
    np.testing.assert_allclose(np.triu(matrix), np.triu(expected), atol=1e-4)
    assert not invert(np.full((3, 3), -1, np.float32))
    assert expected_seconds(2048) > 0


def test_a_pipe_shows_the_progress_of_a_run(tmp_path: Path) -> None:
    """The whole way: standard error of a process that is no terminal."""
    code = (
        "import time; from genre import log; from genre.log import ConsoleLog; log.EVERY = 0\n"
        "with ConsoleLog().bar('x', 2) as bar: bar.advance(1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.startswith("  x: 50 % after 0 s")
