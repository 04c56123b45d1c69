"""Compiled page templates, kept for the whole test process: each house has an application of its own, which would compile them all again."""

from __future__ import annotations

from collections.abc import Hashable
from types import CodeType

from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket


class Kept(BytecodeCache):
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
