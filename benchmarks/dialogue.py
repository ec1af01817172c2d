"""Play dialogues of the form of τ-Rec with the dialogue of a service: who passes, after how many questions, what was misread.

    python benchmarks/dialogue.py FOLDER [--seeds 5] [--tastes] [--show task_036]

FOLDER holds `catalog.json` (films) and `tasks/*.json`: constraints on fields, each with when the user reveals it
(`volunteer`: at once; `on_ask` and `hidden`: in the answer to a question about that very field), the user's services
and the films that the user has watched. The simulated user speaks in sentences, drawn by a seed from several wordings
of each kind of constraint; the tool gets these sentences and nothing else. The services are said in the answer to the
question about them, watched films at once. `--tastes` adds to the first sentences what the task calls soft
preferences ("I like witty dialogue."), which are no constraints.

A task is passed when the first film of the last turn fulfils every constraint of the task, was not watched, and is on
one of the user's services (where the task names some); or, for a task without a valid film, when the tool says that
nothing fits. A constraint counts as misread when after the turn that says it the number of candidates is not that of
the films that fulfil what was said so far. User and rules are not those of the paper: no number of it compares.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from genre.data.dataset import Dataset
from genre.data.ids import Ids
from genre.recommenders.popularity import Popularity
from genre.runs import Run
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.service import Service

Film = dict[str, Any]
Constraint = dict[str, Any]

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda held, value: held == value,
    "!=": lambda held, value: held != value,
    "<=": lambda held, value: held is not None and held <= value,
    ">=": lambda held, value: held is not None and held >= value,
    "<": lambda held, value: held is not None and held < value,
    ">": lambda held, value: held is not None and held > value,
    "in": lambda held, value: held in value,
    "not_in": lambda held, value: held not in value,
    "contains": lambda held, value: value in held,
    "not_contains": lambda held, value: value not in held,
    "contains_any": lambda held, value: bool(set(held) & set(value)),
    "contains_all": lambda held, value: set(value) <= set(held),
}
COMPARISONS = {
    "<=": ("at most {}", "no more than {}", "up to {}", "{} or less", "{} at most", "{} tops"),
    ">=": ("at least {}", "no less than {}", "{} or more", "a minimum of {}", "{} at least"),
    "<": ("less than {}", "under {}", "below {}"),
    ">": ("more than {}", "over {}", "above {}"),
}
DAYS = {
    "<=": ("no later than {}", "released on or before {}", "{} or earlier"),
    ">=": ("released on or after {}", "no earlier than {}", "{} or later"),
    "<": ("released before {}", "earlier than {}"),
    ">": ("released after {}", "later than {}"),
}
NO_PREFERENCE = (
    "I don't mind.", "No preference.", "Anything is fine.", "That doesn't matter to me.", "No.", "I have no preference there.",
    "Whatever you like.", "Not really.",
)  # fmt: skip
OPENINGS = (
    "",
    "Hi! ",
    "I'm looking for a film tonight. ",
    "Hello, can you help me? ",
    "Good evening. ",
    "We want to watch something. ",
)
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


class SimulatedUser:
    """Says the constraints of a task in sentences."""

    def __init__(self, task: dict[str, Any], titles: dict[str, str], seed: int, *, tastes: bool = False) -> None:
        self.draw = random.Random(f"{seed} {task['id']}")
        self.task, self.titles = task, titles
        self.unsaid = list(task["constraints"])
        self.said: list[Constraint] = []
        self.services_said = False
        self.tastes = [_in_first_person(one) for one in task.get("soft_preferences", [])] if tastes else []

    @property
    def watched(self) -> list[str]:
        return list(self.task.get("user_history", {}).get(self.task["user_id"], {}).get("watched", []))

    def open(self) -> str:
        """The first sentences: what the user volunteers, and what was watched."""
        sentences = self._say([one for one in self.unsaid if one["reveal"] == "volunteer"])
        if self.watched:
            names = " and ".join(self.titles[film] for film in self.watched)
            sentences.append(
                self.draw.choice(("I have already seen {}.", "I've watched {} before.", "I saw {} recently.")).format(
                    names
                )
            )
        sentences += self.tastes
        if not sentences:
            sentences = ["What do you recommend?"]
        return self.draw.choice(OPENINGS) + " ".join(sentences)

    def answer(self, field: str) -> str:
        """The answer to a question about a field: all that is left about it."""
        sentences = self._say([one for one in self.unsaid if one["constraint"]["field"] == field])
        services = self.task.get("user_services", [])
        if field == "streaming_services" and services:
            self.services_said = True
            form = self.draw.choice(
                ("I have {}.", "I only have {}.", "We subscribe to {}.", "I've got {}.", "I can use {}.")
            )
            sentences.append(form.format(_listed(services, self.draw.choice(("and", "or")))))
        return " ".join(sentences) or self.draw.choice(NO_PREFERENCE)

    def _say(self, chosen: Sequence[Constraint]) -> list[str]:
        self.unsaid = [one for one in self.unsaid if one not in chosen]
        self.said += chosen
        return [self._sentence(**one["constraint"]) for one in chosen]

    def _sentence(self, field: str, op: str, value: Any) -> str:
        pick = self.draw.choice
        if field == "genres":
            return self._genre(op, value)
        if field == "runtime":
            bound = pick(COMPARISONS[op]).format(pick(_durations(value)))
            return pick(
                ("It should be {}.", "The running time must be {}.", "I have time for {}.", "{}, please.")
            ).format(bound)
        if field == "rating":
            bound = pick(COMPARISONS[op]).format(pick((f"{value:g}", f"{value:.1f}", f"{value:g} out of 10")))
            return pick(("It must be rated {}.", "I want a rating of {}.", "The score should be {}.")).format(bound)
        if field == "content_rating":
            return self._age(op, value)
        if field == "streaming_services":
            names = value if isinstance(value, list) else [value]
            if op in ("not_contains", "not_in"):
                return f"Not on {_listed(names, 'or')}."
            return pick(("It has to be on {}.", "It must be available on {}.", "Only on {}, please.")).format(
                _listed(names, "or")
            )
        if field == "release_date":
            return pick(("It should be {}.", "I want something {}.")).format(pick(DAYS[op]).format(value))
        if field in ("director", "cast"):
            names = _listed(value if isinstance(value, list) else [value], "or")
            by = "directed by" if field == "director" else pick(("with", "starring"))
            return f"Nothing {by} {names}." if op.startswith(("not", "!")) else f"I want something {by} {names}."
        return f"{field.replace('_', ' ')}: {pick(COMPARISONS[op]).format(value)} {field.partition('_')[0]}s."

    def _genre(self, op: str, value: Any) -> str:
        pick = self.draw.choice
        if op in ("not_contains", "not_in", "!="):
            names = _listed(value if isinstance(value, list) else [value], "or").lower()
            return pick(
                ("No {}.", "Not {}, please.", "It must not be {}.", "Anything but {}.", "I can't stand {}.")
            ).format(names)
        names = _listed(value if isinstance(value, list) else [value], "and" if op == "contains_all" else "or").lower()
        return pick(
            ("I want {}.", "I'm in the mood for {}.", "It should be {}.", "Something from the {} genre.", "{} for me.")
        ).format(names)

    def _age(self, op: str, value: Any) -> str:
        pick = self.draw.choice
        if op in ("not_in", "!="):
            return f"Not rated {_listed(value if isinstance(value, list) else [value], 'or')}."
        names = _listed(value if isinstance(value, list) else [value], "or")
        return pick(("It should be rated {}.", "It must be {}.", "{} is fine, nothing else.", "Age rating {}.")).format(
            names
        )


def _in_first_person(taste: str) -> str:
    verb, _, rest = taste.partition(" ")
    return f"I {verb.removesuffix('s') if verb.endswith('s') else 'am ' + verb} {rest}."


def _durations(minutes: float) -> list[str]:
    hours, rest = divmod(int(minutes), 60)
    said = [f"{int(minutes)} minutes", f"{int(minutes)} min"]
    if hours and rest:
        said += [f"{hours} hours and {rest} minutes", f"{hours}h{rest:02}"]
        said += [f"{WORDS[hours]} and a half hours"] if rest == 30 and hours > 1 else []
    elif hours:
        said += [f"{WORDS[hours]} hour{'s' * (hours > 1)}", f"{hours}h"]
    return said


def _listed(names: Sequence[str], joined: str) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {joined} {names[-1]}"


@dataclass
class Played:
    passed: bool
    questions: int
    said: int
    misread: int
    fields: list[str]
    why: str


def fulfils(film: Film, constraints: Sequence[Constraint]) -> bool:
    plain = (one["constraint"] for one in constraints)
    return all(OPERATORS[one["op"]](film.get(one["field"]), one["value"]) for one in plain)


def play(
    service: Service, task: dict[str, Any], films: dict[str, Film], seed: int, *, tastes: bool, show: bool
) -> Played:
    user = SimulatedUser(task, {item_id: film["title"] for item_id, film in films.items()}, seed, tastes=tastes)
    text, turn, misread, fields = user.open(), None, 0, []
    while True:
        turn = service.converse(text, dialogue_id=None if turn is None else turn.dialogue_id, k=1)
        if show:
            print(f"  user: {text}\n  tool: {turn.candidates} left; {'; '.join(turn.understood)}")
            print(
                f"        {turn.question.text if turn.question else [item['title'] for item in turn.items] or 'nothing fits'}"
            )
        right = sum(
            fulfils(film, user.said) and _available(film, task, user) and item_id not in user.watched
            for item_id, film in films.items()
        )
        misread += turn.candidates != right
        if turn.question is None:
            break
        fields.append(turn.question.field)
        text = user.answer(turn.question.field)
    passed, why = _judge(turn, task, films, user)
    return Played(passed, len(fields), len(user.said), misread, fields, why)


def _available(film: Film, task: dict[str, Any], user: SimulatedUser) -> bool:
    return not user.services_said or bool(set(film["streaming_services"]) & set(task["user_services"]))


def _judge(turn: Any, task: dict[str, Any], films: dict[str, Film], user: SimulatedUser) -> tuple[bool, str]:
    if task["no_valid_recommendation"] or turn.nothing_fits:
        right = task["no_valid_recommendation"] and turn.nothing_fits
        return (
            right,
            ""
            if right
            else "nothing fits, but something does"
            if turn.nothing_fits
            else "recommends though nothing fits",
        )
    film = films[turn.items[0]["item_id"]]
    broken = [str(one["constraint"]) for one in task["constraints"] if not fulfils(film, [one])]
    services = task.get("user_services", [])
    if services and not set(services) & set(film["streaming_services"]):
        broken.append("not on the user's services")
    if turn.items[0]["item_id"] in user.watched:
        broken.append("watched before")
    return not broken, "; ".join(broken)


def service_of(films: dict[str, Film], folder: Path) -> Service:
    """A service whose run knows the films and how popular they are, by their votes."""
    rows = [{"item_id": item_id, **{k: v for k, v in film.items() if k != "id"}} for item_id, film in films.items()]
    counts = [1 + int(np.log2(1 + film.get("vote_count", 0))) for film in films.values()]
    data = Dataset.from_arrays(
        user=[user for count in counts for user in range(count)],
        item=[item for item, count in enumerate(counts) for _ in range(count)],
        timestamp=np.arange(sum(counts)) + 1_700_000_000,
        user_ids=Ids(f"u{user}" for user in range(max(counts))),
        item_ids=Ids(films),
        items=pa.Table.from_pylist(rows),
    )
    run = Run(folder, "films", data, {"popularity": Popularity().fit(data)}, None)
    return Service([run], SQLiteStore(folder / "events.sqlite"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5, help="wordings of the user (default: 5)")
    parser.add_argument("--tastes", action="store_true", help="the user also says what is no constraint")
    parser.add_argument("--show", help="print the dialogues of one task")
    args = parser.parse_args()
    films = {film["id"]: film for film in json.loads((args.folder / "catalog.json").read_text())}
    tasks = [json.loads(path.read_text()) for path in sorted((args.folder / "tasks").glob("*.json"))]
    tasks = [task for task in tasks if args.show in (None, task["id"])]
    with tempfile.TemporaryDirectory() as folder, closing(service_of(films, Path(folder))) as service:
        played = {
            (seed, task["id"]): play(service, task, films, seed, tastes=args.tastes, show=args.show is not None)
            for seed in range(args.seeds)
            for task in tasks
        }
    for (seed, name), one in played.items():
        if not one.passed or one.misread:
            print(
                f"seed {seed} {name}: {'passed' if one.passed else 'failed'}; {one.misread} turns misread; questions about {', '.join(one.fields)}; {one.why}"
            )
    n = len(played)
    by_seed = [sum(one.passed for (at, _), one in played.items() if at == seed) for seed in range(args.seeds)]
    print(
        f"passed {sum(one.passed for one in played.values())} of {n} ({sum(one.passed for one in played.values()) / n:.2f}); by wording {by_seed} of {len(tasks)}"
    )
    print(
        f"questions per dialogue {sum(one.questions for one in played.values()) / n:.1f}: {dict(Counter(f for one in played.values() for f in one.fields))}"
    )
    print(
        f"turns misread {sum(one.misread for one in played.values())} of {n + sum(one.questions for one in played.values())} ({sum(one.said for one in played.values())} constraints said)"
    )


if __name__ == "__main__":
    main()
