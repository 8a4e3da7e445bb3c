"""What all handlers share: who may ask, how much, and how a refusal is told."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, TypeVar

import tornado.web
from fastjsonschema import JsonSchemaValueException
from jupyter_server.base.handlers import APIHandler
from tornado.web import HTTPError

from jupyterlab_casa.managers.base import BadRequest, Conflict, NotThere, Overloaded, Refusal

PREFIX = "/jupyterlab-casa/api"
"""Of all our addresses, after the server's base URL."""
T = TypeVar("T")
_STATUS: Mapping[type[Refusal], int] = {BadRequest: 400, NotThere: 404, Conflict: 409, Overloaded: 429}


@tornado.web.stream_request_body
class CasaHandler(APIHandler):
    """A handler of ours. Bodies are taken in piece by piece, so that one that is too large is refused early."""

    managers: Mapping[str, Any]
    body_limit: ClassVar[int] = 64 << 10
    """Bytes that a request may carry."""

    def initialize(self, managers: Mapping[str, Any]) -> None:
        """``managers``: by the name of their trait, without ``_class``."""
        self.managers = managers
        self._pieces: list[bytes] = []
        self._taken = 0

    async def prepare(self) -> None:  # type: ignore[override]  # as APIHandler does
        """Who asks, and for how much, is judged before the body is read."""
        await super().prepare()
        if self._finished:
            return
        length = self.request.headers.get("Content-Length", "0")
        if length.isdigit() and int(length) > self.limit:
            self._refuse_size()

    @property
    def limit(self) -> int:
        """Bytes that a request to this handler may carry."""
        return self.body_limit

    def data_received(self, chunk: bytes) -> None:
        """Part of the body; what is beyond the limit is dropped, and refused at the end."""
        self._taken += len(chunk)
        if self._taken <= self.limit:
            self._pieces.append(chunk)
        else:
            self._pieces.clear()

    def sent(self) -> bytes:
        """The whole body.

        Raises:
            HTTPError: 413, too large.
        """
        if self._taken > self.limit:
            self._refuse_size()
        return b"".join(self._pieces)

    def body(self, valid: Callable[[Any], Any]) -> dict[str, Any]:
        """The JSON object that was sent. ``valid``: a schema, compiled by fastjsonschema.

        Raises:
            HTTPError: 413, too large; 400, no JSON, or not as the schema says.
        """
        try:
            value: dict[str, Any] = valid(json.loads(self.sent() or b"{}"))
        except JsonSchemaValueException as error:
            raise HTTPError(400, error.message[:300].replace("data", "the body", 1)) from error
        except (ValueError, RecursionError) as error:
            raise HTTPError(400, "the body is no JSON") from error
        return value

    def argument(self, name: str) -> str:
        """An argument of the query, as it was given, white space included.

        Raises:
            HTTPError: 400, there is none.
        """
        found = self.optional(name)
        if found is None:
            raise HTTPError(400, f"the argument {name} is missing")
        return found

    def optional(self, name: str) -> str | None:
        """The same; None: it was not given."""
        found: str | None = self.get_query_argument(name, None, strip=False)
        return found

    async def reply(self, answer: Awaitable[Mapping[str, Any] | bytes], kind: str = "application/json") -> None:
        """Send what a manager answers: an object, or the bytes of one, JSON or of another ``kind``; a refusal becomes
        its status.

        Raises:
            HTTPError: 400, 404, 409 or 429, with the sentence for people.
        """
        found = await self.answered(answer)
        try:
            said = found if isinstance(found, bytes) else json.dumps(found, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise HTTPError(409, "the memory of the workspace is damaged: it cannot be told") from error
        await self.finish(said, set_content_type=kind)

    async def answered(self, answer: Awaitable[T]) -> T:
        """What a manager answers; a refusal becomes its status.

        Raises:
            HTTPError: 400, 404, 409 or 429, with the sentence for people.
        """
        try:
            return await answer
        except Refusal as error:
            if isinstance(error, Overloaded):
                self.set_header("Retry-After", "1")
            raise HTTPError(_STATUS[type(error)], str(error)) from error

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors are JSON, too: ``{"message": str, "reason": str | null}``."""
        error = (kwargs.get("exc_info") or (None, None))[1]
        if isinstance(error, HTTPError) and status_code < 500:
            message = str(error.log_message or error.reason or "").replace("%%", "%")  # tornado doubles them
            if status_code == 429:
                self.set_header("Retry-After", "1")
            self.finish(json.dumps({"message": message or self._reason, "reason": error.reason}))
            return
        super().write_error(status_code, **kwargs)

    def _refuse_size(self) -> None:
        self.set_header("Connection", "close")
        raise HTTPError(413, f"the body is larger than {self.limit} bytes")
