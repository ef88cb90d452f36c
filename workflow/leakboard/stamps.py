"""`leakboard check`: are the boards valid? From the verdicts beside them."""

from __future__ import annotations

from pathlib import Path

from leakboard.artefacts import read_json
from leakboard.errors import UserError
from leakboard.measures.shown import stamp

CODES = {"VALID": 0, "INVALID": 1, "INCOMPLETE": 3}  # 2 is a wrong command line


def check(results: Path) -> int:
    """Print the stamp of every board below `results` and why; return the exit code, see CODES.

    INVALID wins over INCOMPLETE. Raises UserError where there is no board.
    """
    files = sorted(results.glob("*/verdict.json"))
    if not files:
        raise UserError(f"{results}: no board here; run `make leaderboard` first")
    codes = set()
    for file in files:
        verdict = read_json(file)
        found = stamp(verdict)
        print(f"{verdict['track']}: {found}")
        for said in (*verdict["reasons"], *verdict["missing"], *verdict["warnings"]):
            print(f"  {said}")
        codes.add(CODES[found])
    return 1 if 1 in codes else max(codes)
