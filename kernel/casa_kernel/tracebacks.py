"""An error of a task should show the user's own line and CASA's message, not what lies between them."""

from __future__ import annotations

from types import TracebackType

from IPython.core.interactiveshell import InteractiveShell

_OURS = ("casa_kernel", "casa_recompute")


def without_our_frames(traceback: TracebackType | None) -> TracebackType | None:
    """A copy of ``traceback`` that leaves out the frames of this package."""
    if traceback is None:
        return None
    rest = without_our_frames(traceback.tb_next)
    if traceback.tb_frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        return rest
    return TracebackType(rest, traceback.tb_frame, traceback.tb_lasti, traceback.tb_lineno)


def shorten_traceback(error: BaseException, shell: InteractiveShell) -> None:
    """Have ``shell`` show ``error`` without our frames; the error itself keeps its whole traceback."""

    def render() -> list[str]:
        shown: list[str] = shell.InteractiveTB.structured_traceback(
            type(error), error, without_our_frames(error.__traceback__)
        )
        return shown

    # What IPython asks an exception for before it formats the traceback itself.
    error._render_traceback_ = render  # type: ignore[attr-defined]
