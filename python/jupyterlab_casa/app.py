"""The server extension."""

from __future__ import annotations

import gc
import sys
from typing import Any

from jupyter_server.extension.application import ExtensionApp
from traitlets import Float, Type

from jupyterlab_casa import __version__
from jupyterlab_casa.managers.base import Manager, Root
from jupyterlab_casa.managers.catalogue import Tasks
from jupyterlab_casa.managers.comparisons import Comparisons
from jupyterlab_casa.managers.displays import Displays
from jupyterlab_casa.managers.events import Events
from jupyterlab_casa.managers.kernels import Kernels
from jupyterlab_casa.managers.logs import Logs
from jupyterlab_casa.managers.measurements import MeasurementSets
from jupyterlab_casa.managers.plans import Plans
from jupyterlab_casa.managers.products import Products
from jupyterlab_casa.managers.store import Store
from jupyterlab_casa.managers.tutorials import Tutorials
from jupyterlab_casa.managers.walks import Walks
from jupyterlab_casa.rest.routes import ROUTES, pattern


class CasaApp(ExtensionApp):
    """Answers for JupyterLab-CASA in a Jupyter server, also while kernels are busy."""

    name = "jupyterlab_casa"
    app_name = "JupyterLab-CASA"
    description = __doc__ or ""
    version = __version__
    extension_url = "/jupyterlab-casa/api"
    load_other_extensions = True

    kernels_class = Type(Kernels, klass=Kernels, help="Who tells what kernels do, and stops it.").tag(config=True)
    displays_class = Type(Displays, klass=Displays, help="Who looks at kernels' X displays.").tag(config=True)
    catalogue_class = Type(Tasks, klass=Tasks, help="Who lists and describes tasks.").tag(config=True)
    measurements_class = Type(MeasurementSets, klass=MeasurementSets, help="Who describes MeasurementSets.").tag(
        config=True
    )
    products_class = Type(Products, klass=Products, help="Who tells, compares and restores versions.").tag(config=True)
    comparisons_class = Type(Comparisons, klass=Comparisons, help="Who compares the data of versions.").tag(config=True)
    tutorials_class = Type(Tutorials, klass=Tutorials, help="Who writes the tutorial.").tag(config=True)
    store_class = Type(Store, klass=Store, help="Who looks after the stores of workspaces.").tag(config=True)
    walks_class = Type(Walks, klass=Walks, help="Who tells what to re-run next, and from which state.").tag(config=True)
    turns = Float(
        0.0005,
        min=0.0,
        help="Seconds for which a thread that computes may keep the server's other threads waiting (Python's switch "
        "interval). Each time that the one which answers requests reads or writes it waits so long if a plan is made "
        "meanwhile. Default: 0.0005; 0: as Python has it, 0.005.",
    ).tag(config=True)
    events_class = Type(Events, klass=Events, help="Who tells what happens, as it happens.").tag(config=True)
    plans_class = Type(Plans, klass=Plans, help="Who plans notebooks, and tells what cells did.").tag(config=True)
    logs_class = Type(Logs, klass=Logs, help="Who reads and searches CASA logs.").tag(config=True)

    def initialize_settings(self) -> None:
        """Make the managers."""
        assert self.serverapp is not None
        root = Root(self.serverapp.root_dir)
        self.managers: dict[str, Manager] = {
            trait.removesuffix("_class"): getattr(self, trait)(root, parent=self)
            for trait in sorted(self.class_own_traits(config=True))
            if trait.endswith("_class")
        }
        events = self.managers["events"]
        assert isinstance(events, Events)
        events.register()
        self.serverapp.io_loop.add_callback(events.start)

    def initialize_handlers(self) -> None:
        """Add our addresses to the server's."""
        arguments: dict[str, Any] = {"managers": self.managers}
        self.handlers.extend((pattern(route), handler, arguments) for route, handler in ROUTES)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """The server has started. What was made for that stays: to go through it in search of garbage again and again
        would hold every request for a tenth of a second.
        """
        if self.turns:
            sys.setswitchinterval(self.turns)
        gc.collect()
        gc.freeze()

    async def stop_extension(self) -> None:
        """The server ends; its process may go on."""
        gc.unfreeze()
        for manager in self.managers.values():
            await manager.stop()
