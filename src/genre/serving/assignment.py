"""Which run a user is assigned to: by a hash of the id, so that it stays the same while names and shares do."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence

from genre.config.serving_options import OnlineExperiment
from genre.errors import UnknownId
from genre.options import nearest


def assigned(user_id: str, shares: Mapping[str, float], *, salt: str = "") -> str:
    """Assign a user to a run.

    Args:
        user_id: The user.
        shares: Share of the users by name of the run; they are scaled to a sum of 1.
        salt: Name of an experiment, so that two experiments part users independently of each other.

    Returns:
        Name of the run.
    """
    digest = hashlib.blake2b(user_id.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    draw = int.from_bytes(digest, "big") / 2**64 * sum(shares.values())
    bounds = itertools.accumulate(shares.values())
    return next((name for name, bound in zip(shares, bounds, strict=True) if draw < bound), [*shares][-1])


def check_arms(experiment: OnlineExperiment, served: Sequence[str]) -> None:
    """Check that all arms of an experiment are served.

    Args:
        experiment: The experiment.
        served: Names of the runs that are served.

    Raises:
        UnknownId: If an arm is not.
    """
    for arm in experiment.arms:
        if arm not in served:
            raise UnknownId(
                f"experiment {experiment.name!r}: its arm {arm!r} is not served{nearest(arm, served)}; served: "
                f"{', '.join(served)}; give `genre serve` the folder of every arm"
            )
