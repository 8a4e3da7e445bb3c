"""The ledger: what was called, what it read and made, how long it took. SQLite; schema and queries, nothing else."""

from __future__ import annotations

from casa_recompute.ledger.ledger import (
    CallRecord,
    Ledger,
    LedgerError,
    LedgerUnreadable,
    NewerLedger,
    Pending,
    Presence,
    Touch,
    Value,
    Version,
)

__all__ = [
    "CallRecord",
    "Ledger",
    "LedgerError",
    "LedgerUnreadable",
    "NewerLedger",
    "Pending",
    "Presence",
    "Touch",
    "Value",
    "Version",
]
