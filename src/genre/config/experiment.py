"""What a config says, as one checked object: the sections of an experiment and who is asked in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from genre.errors import ConfigError
from genre.evaluation.metric_table import check_needs, labels
from genre.features.augmentation_prompts import Augmentation
from genre.features.base import Encoder
from genre.llm.settings import LLMOptions
from genre.options import DEFAULT_K, Ge, check_options
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.sources.base import Source
from genre.preprocessing.splits import Splitter, TimeSplit
from genre.recommenders.base import Recommender
from genre.recommenders.wording import Wording

NOBODY_TO_ASK = "needs somebody to ask; add llm: {provider: {kind: llamacpp}}"


@dataclass(frozen=True)
class FeatureOptions:
    """What turns text into vectors.

    items: encoder of the items' table. users: encoder of what each user's history says; None: no user vectors.
    """

    items: Encoder | None = None
    users: Encoder | None = None


@dataclass(frozen=True)
class EvaluationOptions:
    """How recommenders are judged.

    k: length of the judged lists. metrics: names of `genre list metrics`; the first one ranks the leaderboard.
    exclude_seen: leave out what the history holds; false where people take things again.
    category: the field of items whose mix `calibration` compares, such as genres.
    group: the field of users that `group_gap` tells apart, such as gender.
    """

    k: Annotated[int, Ge(1)] = DEFAULT_K
    metrics: tuple[str, ...] = ("ndcg", "recall", "precision", "f1", "mrr", "hit_rate", "coverage", "novelty")
    exclude_seen: bool = True
    category: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        check_options(self)
        labels(self.metrics, [self.k])
        check_needs(self.metrics, {"categories": self.category is not None, "groups": self.group is not None})


@dataclass(frozen=True)
class OutputOptions:
    """What is shown at the end of a run.

    users: outside ids to show recommendations for; empty: three users of the test part. k: items for each.
    explanations: who puts the reasons into words; None: a template.
    """

    users: tuple[str, ...] = ()
    k: Annotated[int, Ge(1)] = DEFAULT_K
    explanations: Wording | None = None

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Experiment:
    """Everything a run needs, checked.

    name: names the run's folder. seed: passed to everything that has a `seed` and states none of its own, but to no
        language model: its answers would be paid for again.
    llm: the language model that augmentation, reranking and explanations ask; None: none is asked where none is named.
    augmentation: what is asked for; None: nothing.
    """

    name: str
    data: Source
    recommenders: tuple[Recommender, ...]
    seed: int = 0
    cleaning: Cleaning = field(default_factory=Cleaning)
    split: Splitter = field(default_factory=TimeSplit)
    llm: LLMOptions | None = None
    augmentation: Augmentation | None = None
    features: FeatureOptions = field(default_factory=FeatureOptions)
    evaluation: EvaluationOptions = field(default_factory=EvaluationOptions)
    output: OutputOptions = field(default_factory=OutputOptions)
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.augmentation is not None and self.llm is None:
            raise ConfigError(f"augmentation: {NOBODY_TO_ASK}")
        check_needs(self.evaluation.metrics, {"vectors": self.features.items is not None})

    def named(self) -> dict[str, Recommender]:
        """The recommenders by the name they carry in folders and tables."""
        return dict(zip(self.labels, self.recommenders, strict=True))

    def on(self, data_key: str) -> Experiment:
        """The same, its budgets counted by these data: what a refresh asks is not what the run before has asked."""

        def counted(llm: LLMOptions | None) -> LLMOptions | None:
            return llm and dataclasses.replace(llm, job=f"{llm.job}@{data_key[:8]}")

        return dataclasses.replace(
            self,
            llm=counted(self.llm),
            recommenders=_asking(self.recommenders, counted),
            output=_asking(self.output, counted),
        )

    def asking(self) -> Experiment:
        """The same, with its language model wherever one is asked and none is named.

        Raises ConfigError where there is none.
        """
        llm = self.llm and dataclasses.replace(self.llm, job=self.llm.job or self.name)

        def of(what: str) -> Callable[[LLMOptions | None], LLMOptions | None]:
            def filled(own: LLMOptions | None) -> LLMOptions | None:
                if own is None and llm is None:
                    raise ConfigError(f"{what}: {NOBODY_TO_ASK}")
                return llm if own is None else dataclasses.replace(own, job=own.job or f"{self.name}/{what}")

            return filled

        made = {label: _asking(recommender, of(label)) for label, recommender in self.named().items()}
        output = _asking(self.output, of("explanations"))
        return dataclasses.replace(self, llm=llm, recommenders=tuple(made.values()), output=output)


def _asking(made: Any, change: Callable[[LLMOptions | None], LLMOptions | None]) -> Any:
    """The same object, whoever is asked in it changed: itself, or a copy where there is a change."""
    if isinstance(made, tuple):
        parts = tuple(_asking(part, change) for part in made)
        return made if all(new is old for new, old in zip(parts, made, strict=True)) else parts
    if not isinstance(made, (Recommender, Wording, OutputOptions)):
        return made
    old = {option.name: getattr(made, option.name) for option in dataclasses.fields(made) if option.init}  # type: ignore[arg-type]
    new = {name: change(value) if name == "llm" else _asking(value, change) for name, value in old.items()}
    changed = {name: value for name, value in new.items() if value is not old[name]}
    return dataclasses.replace(made, **changed) if changed else made  # type: ignore[type-var]
