"""Names for configurations: equal specs have equal digests, on every machine."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(spec: Any) -> str:
    """The one JSON text of a spec: keys sorted, no spaces."""
    return json.dumps(spec, sort_keys=True, separators=(",", ":"))


def digest(spec: Any) -> str:
    """16 hexadecimal digits that name a spec."""
    return hashlib.sha256(canonical(spec).encode()).hexdigest()[:16]
