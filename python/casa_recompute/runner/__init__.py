"""Where a call runs: a worker process that holds CASA, spoken to in plain data."""

from __future__ import annotations

from casa_recompute.runner.process import CasaNotLoaded, Reply, TaskFailed, Worker, WorkerDied

__all__ = ["CasaNotLoaded", "Reply", "TaskFailed", "Worker", "WorkerDied"]
