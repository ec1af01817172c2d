"""An experiment: all sections of a config as one checked object."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import MinLen

from genre.config.serving_options import ServingOptions
from genre.data.event_kinds import EventKinds
from genre.engines.base import Engine
from genre.engines.duckdb import DuckDB
from genre.errors import ConfigError
from genre.evaluation.metric_table import check_needs, labels
from genre.features.augmentation_prompts import Augmentation
from genre.features.base import Encoder
from genre.features.thumbnails import PictureOptions
from genre.llm.settings import LLMOptions
from genre.options import DEFAULT_K, Doc, Ge, check_options, options_of
from genre.preprocessing.cleaning import Cleaning
from genre.preprocessing.sources.base import Source
from genre.preprocessing.sources.columns import Columns
from genre.preprocessing.splits import Splitter, TimeSplit
from genre.recommenders.base import Recommender
from genre.recommenders.wording import Wording
from genre.rules.base import Rule

NEEDS_LLM = "needs a language model; add llm: {provider: {kind: llamacpp}}"
ChangeLLM = Callable[[LLMOptions | None], LLMOptions | None]


@dataclass(frozen=True)
class FeatureOptions:
    """The encoders that turn text into vectors."""

    items: Annotated[Encoder | None, Doc("Encoder of the table of items; None: no item vectors.")] = None
    users: Annotated[Encoder | None, Doc("Encoder of the texts of each user's history; None: no user vectors.")] = None
    placebo: Annotated[
        bool,
        Doc(
            "Give every item the fields of another one, drawn at random: a control for all that reads texts. What is "
            "still gained by texts then is no gain. Such a run is not for serving."
        ),
    ] = False

    def encoders(self) -> list[Encoder]:
        """Return the encoders that there are.

        Returns:
            That of items, then that of users.
        """
        return [one for one in (self.items, self.users) if one is not None]


@dataclass(frozen=True)
class EvaluationOptions:
    """How recommenders are evaluated."""

    kind: Annotated[
        Literal["catalogue", "impressions"],
        Doc(
            "What is ranked: the whole catalogue, or only the items that were shown together, as `data: {kind: "
            "impressions}` has them; then with `metrics: [auc, mrr, ndcg]` and `cleaning: {repeats: all}`."
        ),
    ] = "catalogue"
    k: Annotated[
        Annotated[int, Ge(1)] | Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)],
        Doc("Length of the evaluated lists, or several, `[10, 20]`; the first one orders the leaderboard."),
    ] = DEFAULT_K
    metrics: Annotated[
        tuple[str, ...],
        Doc("Names of `genre list metrics`, or `module:function` of your own; the first one orders the leaderboard."),
    ] = (
        "ndcg",
        "recall",
        "precision",
        "f1",
        "mrr",
        "hit_rate",
        "coverage",
        "novelty",
    )
    exclude_seen: Annotated[
        bool, Doc("Whether lists leave out the items of the history; false where users repeat items.")
    ] = True
    users: Annotated[
        int | None,
        Ge(1),
        Doc(
            "Most users that are evaluated; of more, so many are drawn at random, the same for all recommenders. The "
            "interval of each metric holds what that costs; coverage is that of their lists alone. None: all."
        ),
    ] = 50_000
    seed: Annotated[int, Doc("Seed of the draw.")] = 0
    category: Annotated[
        str | None, Doc("Field of items whose mix `calibration` compares, such as genres; None: no such metric.")
    ] = None
    group: Annotated[
        str | None, Doc("Field of users whose groups `group_gap` compares, such as gender; None: no such metric.")
    ] = None
    refit: Annotated[
        bool,
        Doc(
            "Learn the best recommender again from all interactions, the newest ones too, with what validation chose: "
            "that one answers. What is reported stays what was learnt from the train part."
        ),
    ] = False

    def __post_init__(self) -> None:
        check_options(self)
        labels(self.metrics, self.k)
        check_needs(self.metrics, {"categories": self.category is not None, "groups": self.group is not None})

    @property
    def leaves_out_seen(self) -> bool:
        """Whether items of the history are no targets; of what was shown, none is left out."""
        return self.exclude_seen and self.kind == "catalogue"

    @property
    def first_k(self) -> int:
        """The length of the lists that order the leaderboard."""
        return self.k if isinstance(self.k, int) else self.k[0]


@dataclass(frozen=True)
class OutputOptions:
    """The examples that a report shows, and how the finished run finds its lists."""

    users: Annotated[
        tuple[str, ...], Doc("Ids of the users whose recommendations are shown; empty: three users of the test part.")
    ] = ()
    k: Annotated[int, Ge(1), Doc("Number of items for each of them.")] = DEFAULT_K
    explanations: Annotated[
        Wording | None, Doc("The language model that words the reasons; None: a template words them.")
    ] = None
    search: Annotated[
        Literal["auto", "exact", "approximate"],
        Doc(
            "How recommenders with item factors find their lists: by comparing all items (exact), or through an index "
            "that misses some of the best (approximate; needs `genre-rec[index]`). auto: exact up to 200,000 items. "
            "What is evaluated is exact."
        ),
    ] = "auto"
    pictures: Annotated[
        PictureOptions | None,
        Doc("Pictures of items for the page of a service, fetched while the run is made; None: it shows covers."),
    ] = None

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class Experiment:
    """Everything that a run needs, checked."""

    name: Annotated[str, Doc("Names the folder of the run.")]
    data: Annotated[Source, Doc("Where interactions, items and users are read from.")]
    recommenders: Annotated[tuple[Recommender, ...], Doc("The recommenders to fit and compare.")]
    domain: Annotated[
        str | None,
        Doc(
            "What the data is about: shop, social, news, music, video, or the path of your own YAML file. It fills in "
            "what the config leaves out, and gives language models their words. None: general defaults."
        ),
    ] = None
    seed: Annotated[
        int,
        Doc(
            "Seed of everything that has a `seed` and states none of its own, except language models: their answers "
            "would have to be paid for again."
        ),
    ] = 0
    threads: Annotated[
        int | None,
        Ge(1),
        Doc("Threads that work at once; None: one a core, or `OMP_NUM_THREADS`. No result depends on their number."),
    ] = None
    train_users: Annotated[
        int | None,
        Ge(1),
        Doc(
            "Most users that recommenders learn from; of more, so many are drawn at random. All get lists and may be "
            "evaluated, and the report shows how quality grows with the users learnt from. None: all."
        ),
    ] = None
    engine: Annotated[Engine, Doc("Where tables are worked on.")] = field(default_factory=DuckDB)
    cleaning: Annotated[Cleaning, Doc("What is dropped or changed before learning.")] = field(default_factory=Cleaning)
    split: Annotated[Splitter, Doc("How interactions are parted into train, validation and test.")] = field(
        default_factory=TimeSplit
    )
    llm: Annotated[
        LLMOptions | None,
        Doc("The language model of augmentation, reranking and explanations that name none; None: there is none."),
    ] = None
    augmentation: Annotated[
        Augmentation | None, Doc("The texts that a language model adds to items and users; None: none.")
    ] = None
    features: Annotated[FeatureOptions, Doc("The encoders of items and users.")] = field(default_factory=FeatureOptions)
    evaluation: Annotated[EvaluationOptions, Doc("How recommenders are evaluated.")] = field(
        default_factory=EvaluationOptions
    )
    output: Annotated[OutputOptions, Doc("The examples that the report shows.")] = field(default_factory=OutputOptions)
    rules: Annotated[tuple[Rule, ...], Doc("What every list must keep, such as hidden items and limits.")] = ()
    events: Annotated[
        EventKinds, Doc("What kinds of events weigh, in files and in the service, and which are outcomes.")
    ] = field(default_factory=EventKinds)
    serving: Annotated[ServingOptions, Doc("How a service serves the run.")] = field(default_factory=ServingOptions)
    labels: Annotated[tuple[str, ...], Doc("The name of each recommender; computed from `name` and `kind`.")] = ()

    def __post_init__(self) -> None:
        if self.augmentation is not None and self.llm is None:
            raise ConfigError(f"augmentation: {NEEDS_LLM}")
        if self.features.placebo and self.evaluation.refit:
            raise ConfigError("features.placebo: a control is not for serving; leave evaluation.refit out")
        check_needs(self.evaluation.metrics, {"vectors": self.features.items is not None})

    def named(self) -> dict[str, Recommender]:
        """Return the recommenders by the name that they have in folders and tables.

        Returns:
            Label -> recommender, in the order of the config.
        """
        return dict(zip(self.labels, self.recommenders, strict=True))

    def with_budgets_of(self, data_key: str) -> Experiment:
        """Count the budgets of language models by the data, so that a run on new data does not use up the old budget.

        Args:
            data_key: The key of the dataset.

        Returns:
            A copy in which every language model counts its calls by this dataset.
        """

        def counted(llm: LLMOptions | None) -> LLMOptions | None:
            return llm and dataclasses.replace(llm, job=f"{llm.job}@{data_key[:8]}")

        return dataclasses.replace(
            self,
            llm=counted(self.llm),
            recommenders=_change_llm(self.recommenders, counted),
            output=_change_llm(self.output, counted),
        )

    def with_one_table_of_kinds(self) -> Experiment:
        """Let the data and the service weigh kinds of events by one table, wherever the config has it.

        Returns:
            A copy in which `events.weights` and `event_kinds` of the data's columns are equal, where the data has any.

        Raises:
            ConfigError: The two places differ.
        """
        columns = getattr(self.data, "columns", None)
        if not isinstance(columns, Columns):
            return self
        named, given = columns.event_kinds, self.events.weights
        if named is None:
            if columns.event is None:
                return self
            columns = dataclasses.replace(columns, event_kinds=self.events.table)
            return dataclasses.replace(self, data=dataclasses.replace(self.data, columns=columns))  # type: ignore[type-var]
        events = dataclasses.replace(self.events, weights=named)
        if given and events.table != self.events.table:
            raise ConfigError("events.weights and data.columns.event_kinds differ; leave event_kinds out")
        return dataclasses.replace(self, events=events)

    def with_llm_everywhere(self) -> Experiment:
        """Give the language model of the config to every part that needs one and names none.

        Returns:
            A copy in which every such part has its language model.

        Raises:
            ConfigError: A part needs a language model and the config has none.
        """
        llm = self.llm and dataclasses.replace(self.llm, job=self.llm.job or self.name)

        def of(part: str) -> ChangeLLM:
            def filled(own: LLMOptions | None) -> LLMOptions | None:
                if own is None and llm is None:
                    raise ConfigError(f"{part}: {NEEDS_LLM}")
                return llm if own is None else dataclasses.replace(own, job=own.job or f"{self.name}/{part}")

            return filled

        recommenders = tuple(_change_llm(recommender, of(label)) for label, recommender in self.named().items())
        output = _change_llm(self.output, of("explanations"))
        return dataclasses.replace(self, llm=llm, recommenders=recommenders, output=output)


def _change_llm(made: Any, change: ChangeLLM) -> Any:
    """Apply `change` to every option `llm` inside an object.

    Returns:
        The object itself where nothing changes, otherwise a copy.
    """
    if isinstance(made, tuple):
        parts = tuple(_change_llm(part, change) for part in made)
        return made if all(new is old for new, old in zip(parts, made, strict=True)) else parts
    if not isinstance(made, (Recommender, Wording, OutputOptions)):
        return made
    old = options_of(made)
    new = {name: change(value) if name == "llm" else _change_llm(value, change) for name, value in old.items()}
    changed = {name: value for name, value in new.items() if value is not old[name]}
    return dataclasses.replace(made, **changed) if changed else made  # type: ignore[type-var]
