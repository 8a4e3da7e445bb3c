"""Starts kernels ``casa``, for JupyterLab, nbclient, papermill and nbconvert alike; see ``kernel.json``."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import uuid
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Int, Unicode

from casa_recompute.live import KERNEL_ID
from casa_recompute.settings import PREFIX
from jupyterlab_casa import keeper


class CasaProvisioner(LocalProvisioner):
    """A local kernel with limits, of which nothing remains, however it ends; see keeper.py.

    The kernel works in the directory of its notebook, as any kernel; that is its workspace, and its log is there, too.
    """

    memory = Int(
        0,
        min=0,
        config=True,
        help="""MiB of memory that CASA and its graphical programs may use in one kernel. Beyond, the task is ended,
        with all products as before it. 0 (default): what the users' settings say, or no limit.""",
    )
    threads = Int(
        0,
        min=0,
        config=True,
        help="""OpenMP threads of a task. 0 (default): what the users' settings say, or as many as there are cores.
        The number changes results in their last bits, so all tasks run once more when it changes.""",
    )
    site_config = Unicode(
        "",
        config=True,
        help="""A file with CASA's configuration (CASASITECONFIG), which is used as it is. Empty (default): that of the
        environment, or else one is written for each workspace.""",
    )

    _launch = ""

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Complete the kernel's environment."""
        kwargs = await super().pre_launch(**kwargs)
        self._launch = uuid.uuid4().hex
        values = {
            KERNEL_ID: self.kernel_id or "",
            keeper.MARK: self._launch,
            PREFIX + "MEMORY": self.memory,
            PREFIX + "THREADS": self.threads,
            "CASASITECONFIG": self.site_config,
        }
        kwargs["env"] |= {name: str(value) for name, value in values.items() if value}
        return kwargs

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel, and its keeper."""
        info = await super().launch_kernel(cmd, **kwargs)
        server = 0 if kwargs.get("independent") else os.getpid()
        temporary = kwargs["env"].get("TMPDIR") or tempfile.gettempdir()
        words = [keeper.__file__, str(self.pid), str(server), self._launch, temporary]
        with contextlib.suppress(OSError):  # no more processes: what a kernel starts ends by itself, as a rule
            subprocess.Popen(
                [sys.executable, "-I", "-S", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                start_new_session=True,
            )
        return info
