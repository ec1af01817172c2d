"""Deleted users, as the event log knows them: by keyed digests of their ids, never by the ids."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Deletion:
    """The deletion of a user.

    Attributes:
        digest: What `user_digest` returned; the id itself is not kept.
        timestamp: When, in seconds since 1970; 0 in logs of version 2.
    """

    digest: str
    timestamp: int = 0


def user_digest(user_id: str, key: bytes = b"") -> str:
    """Return the hash by which a deleted user is recognised.

    Without a key, a reader of the log can try out ids: a hundred thousand in a second.

    Args:
        user_id: The user.
        key: The key of the log; empty: the hash of logs of version 1.

    Returns:
        HMAC-SHA-256 of the id behind `key_name(key)`; without a key, SHA-256. In hexadecimal digits.
    """
    if not key:
        return hashlib.sha256(user_id.encode()).hexdigest()
    return f"{key_name(key)}:{hmac.digest(key, user_id.encode(), 'sha256').hex()}"


@lru_cache(4)
def key_name(key: bytes) -> str:
    """Return a short hash of a key, by which the digests that were made with it are recognised.

    Args:
        key: The key of a log.

    Returns:
        8 hexadecimal digits.
    """
    return hashlib.sha256(b"key of an event log" + key).hexdigest()[:8]


class DeletedUsers:
    """The users that were deleted, known by their digests alone, and when.

    Attributes:
        n_deletions: How many deletions are known, without those that were added before.
    """

    def __init__(self, key: bytes) -> None:
        """Begin without any.

        Args:
            key: The key of the log.
        """
        self._key = key
        self._keys = dict[bytes, None]()  # that were used for digests: a digest that is not needed costs
        self._deleted_at: dict[str, int] = {}
        self.n_deletions = 0

    def add(self, deletion: Deletion) -> None:
        """Add a user.

        Args:
            deletion: The deletion.
        """
        self._keys[self._key if ":" in deletion.digest else b""] = None
        if self._deleted_at.get(deletion.digest, -1) < deletion.timestamp:
            self.n_deletions += 1
            self._deleted_at[deletion.digest] = deletion.timestamp

    def deleted_at(self, user_id: str) -> int | None:
        """Return when a user was deleted.

        Args:
            user_id: The user.

        Returns:
            Seconds since 1970 of the last time, 0 where the log does not know; None for other users.
        """
        digests = (user_digest(user_id, key) for key in self._keys)
        return max((self._deleted_at[digest] for digest in digests if digest in self._deleted_at), default=None)

    def __contains__(self, user_id: str) -> bool:
        return self.deleted_at(user_id) is not None
