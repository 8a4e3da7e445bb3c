"""What the oracle is asked for, and what it counted."""

from __future__ import annotations

import os

from tests.oracle.trial import Tally

WALKS = int(os.environ.get("ORACLE_WALKS", os.environ.get("ORACLE_EXAMPLES", "25")))
EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "100"))
SEED = int(os.environ.get("ORACLE_SEED", "4"))
TALLY = Tally()
WALKED = Tally()
