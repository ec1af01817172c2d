"""Leaks through fields, texts and vectors of users and items, found by what they predict.

Does not know how predictions are measured (`predictiveness.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from genre.arrays import Float64
from genre.data.folds import Split
from genre.evaluation.leakage.findings import Finding, Severity
from genre.evaluation.leakage.predictiveness import (
    THERE,
    Changes,
    Prediction,
    choice_predictions,
    count_predictions,
    tastes_of,
    word_prediction,
)
from genre.evaluation.leakage.readings import (
    FieldReading,
    column_as_texts,
    read_texts,
    reading_of_vectors,
    readings_of,
    shared_words,
)

ENOUGH = 100  # rows from which on a share that is not nearly everything counts
NEARLY_ALL = 0.9
AREA_DEVIATION = 0.35  # standard deviation of one comparison of an area, about

Vectors = Mapping[str, npt.NDArray[np.floating]]


def check_table_fields(
    split: Split, *, user_texts: Mapping[str, Sequence[str]], item_vectors: Vectors, user_vectors: Vectors
) -> Iterator[Finding]:
    """Check what every field, text and vector predicts of the test part, and of the validation part.

    Args:
        split: The split.
        user_texts: Name -> one text for each user, besides the columns of the users' table.
        item_vectors: Name -> one vector for each item, besides the features of the train part.
        user_vectors: Name -> one vector for each user, besides the features of the train part.

    Yields:
        One finding for each field, text or set of vectors.
    """
    users = [*_readings(split, "user", user_vectors)]
    users += [reading for name, texts in user_texts.items() for reading in read_texts(name, texts)]
    for side, readings in (("item", _readings(split, "item", item_vectors)), ("user", users)):
        numbers = _numbers(split, "user" if side == "item" else "item")
        tastes = tastes_of(split.train, "user" if side == "item" else "item")
        changes = [Changes.of(fold, split.train, side, numbers, tastes) for fold in (split.validation, split.test)]
        found: dict[str, tuple[Severity, Prediction]] = {}
        for reading in readings:
            for evidence in count_predictions(reading, changes[0], changes[1]):
                _keep_worst(found, reading.name, evidence, severity_of_share(evidence, number=reading.number))
            for evidence in choice_predictions(reading, split, side) if reading.chosen_by else ():
                _keep_worst(found, reading.name, evidence, severity_of_area(evidence))
        yield from _findings(found, side)
    yield from _shared_words(split, user_texts)


def _readings(split: Split, side: str, vectors: Vectors) -> Iterator[FieldReading]:
    """Read the table and the vectors of one side."""
    yield from readings_of(getattr(split.train, f"{side}s"), without=(f"{side}_id",))
    features = getattr(split.train, f"{side}_features")
    own = {} if features is None else {f"{side} features": features.values}
    for name, values in {**own, **vectors}.items():
        yield reading_of_vectors(name, values)


def _numbers(split: Split, side: str) -> dict[str, Float64]:
    """Return the numbers of a table, whose means another field may be."""
    table = getattr(split.train, f"{side}s")
    found = (reading for reading in readings_of(table, without=(f"{side}_id",)) if reading.number)
    columns = {f"{reading.name} of the {side}s": np.asarray(reading.values)[:, 0] for reading in found}
    return {name: values for name, values in columns.items() if np.isfinite(values).mean() >= 0.5}


def severity_of_share(found: Prediction, *, number: bool) -> Severity | None:
    """Grade how much of a statistic of the test part is explained, beside the same in the validation part.

    Args:
        found: The evidence.
        number: Whether one column of numbers explains it, which takes fewer rows to be believed.

    Returns:
        The severity; None for nothing to report.
    """
    unexplained, usual = 1 - found.test, 1 - found.validation
    if found.n < ENOUGH:
        return "error" if number and found.test >= NEARLY_ALL else None
    if found.test >= NEARLY_ALL or (found.test >= 0.5 and unexplained <= usual / 2):
        return "error"
    return "warning" if found.test >= 0.3 and unexplained <= 0.75 * usual else None


def severity_of_area(found: Prediction) -> Severity | None:
    """Grade how well choices of the test part are predicted, beside the same in the validation part.

    Args:
        found: The evidence.

    Returns:
        The severity; None for nothing to report.
    """
    usual = max(found.validation, 0.5) if np.isfinite(found.validation) else 0.5
    more = found.test - usual
    if not more >= 6 * AREA_DEVIATION / np.sqrt(max(found.n, 1)) or not more >= 0.06:
        return None
    return "error" if more >= 0.15 else "warning"


def _keep_worst(
    found: dict[str, tuple[Severity, Prediction]],
    field: str,
    evidence: Prediction,
    severity: Severity | None,
) -> None:
    """Keep the gravest evidence on each field."""
    if severity is None:
        return
    name = field.partition(" (")[0]
    known = found.get(name)
    if known is None or (severity == "error", evidence.test) > (known[0] == "error", known[1].test):
        found[name] = severity, evidence


def _findings(found: Mapping[str, tuple[Severity, Prediction]], side: str) -> Iterator[Finding]:
    """Describe the evidence on each field."""
    for name, (severity, evidence) in found.items():
        counts = evidence.what.startswith(("number", "mean", "time", "direction", THERE))
        measure = "share explained beyond earlier interactions" if counts else "area under the curve"
        usual = f"{evidence.validation:.2f} in validation" if np.isfinite(evidence.validation) else "no validation part"
        yield Finding(
            f"{side}-field-counts-test" if counts else f"{side}-field-predicts-test",
            severity,
            f"{name!r} of {side}s predicts the test part: {evidence.what}, {measure} {evidence.test:.2f}, {usual}",
            f"{evidence.n:,} rows",
            "make it from the train part, or leave it out",
        )


def _shared_words(split: Split, user_texts: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Find texts of users that share words, or ids, with what they took in the test part, and the reverse."""
    texts = {side: _texts(split, side) for side in ("user", "item")}
    texts["user"] |= {name: list(written) for name, written in user_texts.items()}
    for side, other in (("user", "item"), ("item", "user")):
        ids = getattr(split.train, f"{other}_ids").values.to_pylist()
        everything = [" ".join(row) for row in zip(ids, *texts[other].values(), strict=True)]
        *matrices, of_other = shared_words([*texts[side].values(), everything])
        found: dict[str, tuple[Severity, Prediction]] = {}
        for name, matrix in zip(texts[side], matrices, strict=True):
            pair = (matrix, of_other) if side == "user" else (of_other, matrix)
            evidence = word_prediction(*pair, split)
            _keep_worst(found, name, evidence, severity_of_area(evidence))
        yield from _findings(found, side)


def _texts(split: Split, side: str) -> dict[str, list[str]]:
    """Return the columns of a table that hold texts."""
    table = getattr(split.train, f"{side}s")
    return {
        name: texts
        for name in table.column_names
        if name != f"{side}_id" and (texts := column_as_texts(table, name)) is not None
    }
