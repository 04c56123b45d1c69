"""What is costly and always comes out the same, kept for the whole test process: each house would have it made anew.

Nothing here changes what the product does: the same input gives the same output, only sooner. The one exception is the cost of hashing
a password, which is the smallest there is; REAL_COST is the product's own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from pathlib import Path
from types import CodeType
from typing import Any

from flask import Flask
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket
from werkzeug.routing import Rule

from app.identity import passwords
from app.policy import book as books
from app.policy import decide
from app.policy.book import Book
from app.settings import shipped
from app.vault.keys import local

REAL_COST = dict(passwords.Hasher.__init__.__kwdefaults__ or {})
_zxcvbn, _argon2 = passwords.zxcvbn, local.hash_secret_raw


def keep() -> None:
    """Let the product ask here first, as long as this process lives."""
    Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": Templates()}
    passwords.Hasher.__init__.__kwdefaults__ = {**REAL_COST, "memory_kib": 8, "passes": 1}
    passwords.zxcvbn = lambda password, user_inputs, max_length: {"score": _score(password, tuple(user_inputs), max_length)}
    local.hash_secret_raw = lru_cache(256)(_argon2)
    decide.read_book = _read_book
    # A name of Werkzeug's own; where it is gone, nothing is kept.
    if (compiled := getattr(Rule, "_compile_builder", None)) is not None:
        Rule._compile_builder = _kept_builders(compiled)


@lru_cache(4096)
def _score(password: str, known: tuple[str, ...], most: int) -> int:
    return int(_zxcvbn(password, user_inputs=list(known), max_length=most)["score"])


def _read_book(path: Path, now: datetime) -> Book:
    """The shipped policies, which no test changes, are read and checked once a day; any other folder each time."""
    return _shipped_book(now.date()) if path == shipped("policies") else books.read_book(path, now)


@cache
def _shipped_book(day: date) -> Book:
    return books.read_book(shipped("policies"), datetime(day.year, day.month, day.day, tzinfo=UTC))


def _kept_builders(compiled: Callable[[Rule, bool], Any]) -> Callable[[Rule, bool], Any]:
    """Werkzeug compiles a function for each rule of each application; equal rules have equal ones."""
    kept: dict[Hashable, Any] = {}

    def builder(rule: Rule, append_unknown: bool = True) -> Any:
        known = rule.rule, tuple(rule._trace), append_unknown, repr(rule.defaults)
        if known not in kept:
            kept[known] = compiled(rule, append_unknown)
        return kept[known]

    return builder


class Templates(BytecodeCache):
    """A cache in memory; a template counts as known when its source and all else the compiler looks at are the same."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill the bucket when its template is known."""
        bucket.code = self._kept.get(_known_by(bucket))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        if bucket.code is not None:
            self._kept[_known_by(bucket)] = bucket.code


def _known_by(bucket: Bucket) -> Hashable:
    """bucket.key: name and file; checksum: of the source. Names stand for filters and tests: ours are the same under one name."""
    env: Environment = bucket.environment
    names = frozenset([*env.extensions, *env.filters, *env.tests])
    return bucket.key, bucket.checksum, env.trim_blocks, env.lstrip_blocks, env.undefined, names
