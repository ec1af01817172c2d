"""The documents are true: their code runs, their links lead somewhere, their commands exist."""

from __future__ import annotations

import doctest
import pkgutil
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import genre
from genre.cli.main import command_parser
from genre.config.reading import parse_config
from genre.domains.packs import load_domain
from small_world import small_config, write_interactions

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])
WITH_EXAMPLE = {
    *(
        "ALS",
        "BPR",
        "Blend",
        "Content",
        "EASE",
        "Encoder",
        "Evaluation",
        "ItemKNN",
        "LanguageModel",
        "MLP",
        "Popularity",
    ),
    *("Recommender", "Run", "SASRec", "Transitions", "TwoTower", "evaluate", "load", "read_run", "run", "split"),
}
GUIDES = [ROOT / "docs" / "concepts.md", *(page for page in PAGES if page.parent.name == "how-to")]

BANNED = (
    "asked",
    "told",
    "unasked",
    "whoever",
    "nobody",
    "of late",
    "rung",
    "shelf",
    "desk",
    "wish",
)  # as in test_language
WRITTEN_PLAINLY = [page for page in PAGES if page.name != "CHANGELOG.md" and page.parent.name != "benchmarks"]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


SHELL = ("", "sh", "console")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", GUIDES, ids=named)
def test_the_code_of_a_guide_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_as_script("\n".join(blocks(page, "python")), tmp_path, monkeypatch)


def run_as_script(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run code as `python script.py` would, without a new interpreter, which takes longer than the code."""
    (folder / "script.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(folder)
    runpy.run_path("script.py", run_name="__main__")


@pytest.mark.parametrize("page", WRITTEN_PLAINLY, ids=named)
def test_no_private_dialect(page: Path) -> None:
    text = re.sub(r"[^a-z]+", " ", page.read_text("utf-8").lower())
    found = [word for word in BANNED if re.search(rf"\b{word}\b", text)]
    assert not found, f"{named(page)}: say it in the field's own words, not {found}"


@pytest.mark.parametrize("page", DECISIONS, ids=named)
def test_a_decision_has_date_and_status_and_is_in_the_index(page: Path) -> None:
    text, index = page.read_text("utf-8"), (page.parent / "README.md").read_text("utf-8")
    number, title = re.findall(r"\A# (\d+)\. (.+)$", text, re.M)[0]
    assert int(number) == int(page.name[:4])
    (head,) = re.findall(
        r"^\*\*Date\.\*\* (\d{4}-\d\d-\d\d)\. \*\*Status\.\*\* (Accepted|Superseded by \[\d+\])", text, re.M
    )
    status = "superseded" if head[1].startswith("Superseded") else "accepted"
    row = rf"^\| {number} \| \[{re.escape(title)}\]\({re.escape(page.name)}\) \| {status}[^|]* \| {head[0]} \| .+ \|$"
    assert re.search(row, index, re.M), f"docs/decisions/README.md lacks {number}, {title}, {status}, {head[0]}"
    for part in ("Context", "Decision", "Consequences"):
        assert f"**{part}.**" in text, f"{page.name} has no {part}"


def test_the_index_of_decisions_is_in_order() -> None:
    rows = re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "decisions" / "README.md").read_text("utf-8"), re.M)
    assert [int(row) for row in rows] == [int(page.name[:4]) for page in DECISIONS]


@pytest.fixture(scope="module")
def movies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the `movies.yaml` that the examples of docstrings name."""
    folder = tmp_path_factory.mktemp("examples")
    write_interactions(folder / "interactions.csv", 20)
    items = [f"i{item},Story {item},{'robots' if item % 2 else 'dragons'}" for item in range(16)]
    (folder / "items.csv").write_text("\n".join(["item_id,title,genre", *items]))
    config = small_config("{kind: ease, regularization: 5}")
    (folder / "movies.yaml").write_text(config.replace("interactions.csv", "interactions.csv, items: items.csv"))
    return folder


@pytest.mark.parametrize("name", sorted(genre._HOMES))
def test_the_example_of_a_public_name_runs(name: str, movies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(movies)
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(genre, name), name, globs={})
    said = list[str]()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert runner.run(example, out=said.append).failed == 0, "".join(said)
    assert example.examples or name not in WITH_EXAMPLE, f"{name} has no example"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{named(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_scripts_that_are_named_exist(page: Path) -> None:
    for script in re.findall(r"\b(?:benchmarks|examples)/[\w/]+\.(?:py|yaml)\b", page.read_text("utf-8")):
        assert (ROOT / script).exists(), f"{named(page)} names {script}"


def test_every_verb_is_in_the_readme_and_no_other() -> None:
    said = subprocess.run([sys.executable, "-m", "genre", "--help"], capture_output=True, text=True, check=True)
    verbs = set(re.findall(r"^    ([\w-]+)\b", said.stdout, re.M))
    readme = (ROOT / "README.md").read_text("utf-8")
    table = "\n".join(line for line in readme.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`([\w-]+)`", table)) == verbs


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_names_of_the_package_in_documents_exist(page: Path) -> None:
    names = {name for block in blocks(page, "python") for name in re.findall(r"\bgenre\.[A-Za-z_]\w*", block)}
    for name in {*names, *re.findall(r"\bgenre\.\w+(?:\.\w+)+", page.read_text("utf-8"))}:
        pkgutil.resolve_name(name)


def commands(text: str) -> tuple[list[str], list[str]]:
    """Commands of code blocks, also behind a pipe or a prompt; and those in a sentence, which may be incomplete."""
    code = [block for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S) if language in SHELL]
    lines = [line for block in code for line in re.sub(r"\\\n", " ", block).splitlines()]
    whole = [match[1] for line in lines if (match := re.match(r"(?:\$ |.* \| )?genre ([a-z].*)", line))]
    return whole, re.findall(r"`genre ([a-z-]+(?: [^`]*)?)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_in_documents_are_taken_by_the_command_line(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = command_parser()
    whole, in_sentences = commands(page.read_text("utf-8"))
    for command in [*whole, *in_sentences]:
        plain = re.sub(
            r"\b[NM]\b", "1", re.sub(r" (>>?|\|) .*", "", command).replace("[key=value ...]", "").replace("...", "X")
        )
        plain = re.sub(r"\|\S+", "", plain.replace(" [", " ").replace("]", ""))  # what may be left out; `start|stop`
        if " VERB" in plain:
            continue
        try:
            _, rest = parser.parse_known_args(shlex.split(plain, comments=True))
            assert all(re.match(r"[a-z][\w.\[\]]*=", word) for word in rest), f"genre {command}: {rest}"
        except SystemExit:
            problem = capsys.readouterr().err.splitlines()[-1]
            incomplete = command in in_sentences and re.search("required|expected (one|at least one) argument", problem)
            assert incomplete, f"genre {command}: {problem}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_flags_in_documents_exist(page: Path, known_flags: set[str]) -> None:
    found = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text("utf-8")))
    assert found <= known_flags, f"{named(page)}: {found - known_flags}"


@pytest.fixture(scope="module")
def known_flags() -> set[str]:
    """Flags of the command line, of the benchmarks, and of the tools that documents call."""
    places = [
        *ROOT.glob("src/**/*.py"),
        *ROOT.glob("benchmarks/*.py"),
        *ROOT.glob("examples/*/make.py"),
        ROOT / "tests" / "conftest.py",
        ROOT / "Makefile",
        ROOT / "Dockerfile",
        ROOT / ".ci" / "lock.sh",
    ]
    text = "\n".join(place.read_text("utf-8") for place in places)
    opposites = re.findall(r'"--([a-z-]+)", action=argparse.BooleanOptionalAction', text)
    return {*re.findall(r"--[a-z][a-z-]+", text), *(f"--no-{name}" for name in opposites)}


MINIMAL = {  # what every config needs
    "name": "snippet",
    "data": {"kind": "files", "interactions": "interactions.csv"},
    "recommenders": [{"kind": "popularity"}],
}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_yaml_in_documents_is_legal(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block is part of a config, the options of an LLM a line each, or a domain pack."""
    monkeypatch.chdir(tmp_path)
    for block in blocks(page, "yaml"):
        for part in block.splitlines() if block.startswith("provider:") else [block]:
            values = yaml.safe_load(part)
            if "words" in values:
                Path("pack.yaml").write_text(part)
                assert load_domain("pack.yaml").words
                continue
            for module, name in re.findall(r"kind: (\w+):(\w+)", part):
                (code,) = [code for code in blocks(page, "python") if f"class {name}" in code]
                Path(f"{module}.py").write_text(code)
            values = {"llm": values} if "provider" in values else values
            parse_config(yaml.safe_dump(MINIMAL | values), named(page), folder=tmp_path)
