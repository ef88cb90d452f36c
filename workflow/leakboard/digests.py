"""Names for configurations: equal specs have equal digests, on every machine."""

from __future__ import annotations

import hashlib
import json
from typing import Any


class Told(dict[str, Any]):
    """A spec that nobody changes, so that its digest is worked out once."""

    digest: str = ""


def canonical(spec: Any) -> str:
    """The one JSON text of a spec: keys sorted, no spaces."""
    return json.dumps(spec, sort_keys=True, separators=(",", ":"))


def digest(spec: Any) -> str:
    """16 hexadecimal digits that name a spec."""
    if isinstance(spec, Told):
        spec.digest = spec.digest or _digest(spec)
        return spec.digest
    return _digest(spec)


def _digest(spec: Any) -> str:
    return hashlib.sha256(canonical(spec).encode()).hexdigest()[:16]
