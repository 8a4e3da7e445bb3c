"""The X displays of kernels: their windows, and pictures of them."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from traitlets import Instance, default

from casa_recompute.display.windows import NoWindow, Screen
from jupyterlab_casa.managers.base import Conflict, Manager, NotThere
from jupyterlab_casa.managers.kernels import Kernels

T = TypeVar("T")


class Displays(Manager):
    """Looks at the private display of a kernel, through the cookie that only its user can read. Kernels start it with
    their first graphical task, and again when it does not answer."""

    kernels = Instance(Kernels, help="Who knows the kernels. Default: that of the extension.")

    @default("kernels")
    def _default_kernels(self) -> Any:
        extension: Any = self.parent
        return extension.managers["kernels"]

    async def windows(self, kernel_id: str) -> dict[str, Any]:
        """What graphical programs of a kernel show now, the lowest first.

        ``{"windows": [{"id": number, "title", "x", "y", "width", "height" (pixels)}]}``; none without a display.

        Raises:
            NotThere: no such kernel.
            Conflict: its display does not answer.
            Overloaded: too much is waiting already.
        """
        try:
            found = await self._look(kernel_id, "windows", lambda screen: [asdict(one) for one in screen.windows()])
        except NotThere:
            await self.kernels.get(kernel_id)
            found = []
        return {"windows": found}

    async def picture(self, kernel_id: str, window: int | None = None) -> bytes:
        """A window as a PNG file; None: the whole screen.

        Raises:
            NotThere: no such kernel or window, or no display.
            Conflict: the display does not answer.
            Overloaded: too much is waiting already.
        """
        return await self._look(kernel_id, window, lambda screen: screen.picture(window))

    async def _look(self, kernel_id: str, what: object, look: Callable[[Screen], T]) -> T:
        state = await self.kernels.state(kernel_id)
        if state is None or state.display is None:
            raise NotThere("this kernel has no display yet: it gets one with its first graphical task")
        display, authority = state.display["display"], state.display["authority"]

        def job() -> T:
            try:
                info = os.lstat(authority)
                if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid():
                    raise PermissionError("its cookie is not this user's")
                with Screen(display, authority) as screen:
                    return look(screen)
            except NoWindow as error:
                raise NotThere(str(error)) from error
            except OSError as error:
                raise Conflict(f"the kernel's display does not answer ({error.strerror or error})") from error
            except (struct.error, ValueError, IndexError) as error:
                raise Conflict("what answers for the kernel's display is no X server") from error

        return await self.once((display, authority, what), job)
