"""``GET /jupyterlab-casa/api/tasks`` and ``/tasks/{name}``."""

from __future__ import annotations

import tornado.web
from jupyter_server.auth.decorator import authorized

from jupyterlab_casa.rest.base import CasaHandler


class TasksHandler(CasaHandler):
    """All tasks."""

    auth_resource = "casa-tasks"

    @tornado.web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer names, summaries and categories."""
        await self.reply(self.managers["catalogue"].list())


class TaskHandler(CasaHandler):
    """One task."""

    auth_resource = "casa-tasks"

    @tornado.web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Answer its parameters, conditions, docs and effects, and how long it takes in a workspace."""
        await self.reply(self.managers["catalogue"].get(name, self.optional("path")))
