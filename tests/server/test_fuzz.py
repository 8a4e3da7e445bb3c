"""Requests that nobody thought of are answered as described, never with a fault of ours.

FUZZ_EXAMPLES and FUZZ_SEED set another number of requests for each operation, and others than the usual ones.
"""

from __future__ import annotations

import asyncio
import json
import os
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from casa_recompute.workspace import HOME
from jupyterlab_casa.rest.displays import SCREEN
from tests.cli.conftest import Done
from tests.server.contract import DOCUMENT, operations
from tests.server.test_kernels import DRAW
from tests.server.test_measurements import TABLES, make

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
PATHS = ["work", "work/nb.ipynb", "", "work/a.ms", f"work/{HOME}", "work/../work", "/", "work/nb.ipynb\0", "a" * 5000]
BUSY = """
import itertools
for number in itertools.count():
    try:
        importuvfits(fitsfile='raw.fits', vis=f'slow{number}.ms')
    except BaseException:
        pass
"""
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "30"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))


async def test_any_request_is_answered_as_described(
    ask, casa: Callable[..., Done], workspace: Path, start, jp_serverapp, jp_base_url: str, jp_http_port: int
) -> None:
    casa("run", "nb.ipynb")
    busy = workspace.parent / "busy"
    busy.mkdir()
    (busy / "raw.fits").write_bytes(b"raw data" * 1000)
    kernel = await start("busy/nb.ipynb")  # in a workspace of its own: it has it all the time
    await kernel.run(DRAW)
    make(workspace / "raw.ms", TABLES)
    known = [row["id"] for row in (await ask("versions", path="work"))["versions"]]
    begun: dict[str, list[str]] = {}
    for name in ("", *["step"] * 8, "stop"):  # a step may be the last one, or with cells for which the walk gives up
        place = workspace.parent / f"walk-{name}{len(begun.get(name, ()))}"
        place.mkdir()
        walk = (await ask("walks", path=f"{place.name}/nb.ipynb", body={"cells": []}))["id"]
        begun.setdefault(name, []).append(walk)
    sessions = [row["session"] for row in (await ask("logs", path="work"))["logs"]]
    address = f"http://127.0.0.1:{jp_http_port}{jp_base_url}jupyterlab-casa/api"
    headers = {"Authorization": f"token {jp_serverapp.identity_provider.token}"}
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    seen: Counter[tuple[str, str, int]] = Counter()
    parts = {"version": known, "cell": ["flag"], "number": ["1", "2"], "name": ["tclean"], "session": sessions}
    parts |= {"kernel": [kernel.id], "window": [SCREEN]}

    def ask_for(method: str, route: str) -> None:
        operation = schema[route][method]
        parts["walk"] = begun.get(route.rpartition("/")[2], begun[""])
        fit = {"before": known[0], "after": known[1], "path": "work/nb.ipynb", "ms": "raw.ms"}
        queries = [{"path": path, "ms": "raw.ms"} for path in PATHS] + [fit] * len(PATHS)
        fitting = {key: values for key, values in parts.items() if f"{{{key}}}" in route}
        deep = st.sampled_from(queries).flatmap(
            lambda query: st.fixed_dictionaries({k: st.sampled_from(v) for k, v in fitting.items()}).flatmap(
                lambda place: operation.as_strategy(query=query, path_parameters=place or None)
            )
        )
        either = [operation.as_strategy(GenerationMode.POSITIVE), deep]
        if method == "POST" or "{" in route or "parameters" in operations()[method, route]:
            either.append(operation.as_strategy(GenerationMode.NEGATIVE))

        @seed(SEED)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.one_of(either))
        def asked(case: Any) -> None:
            case.headers = {**(case.headers or {}), **headers}
            response = case.call(base_url=address, timeout=60)
            seen[method, route, response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

        asked()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for method, route in sorted(operations()):
            if "{kernel}" in route:
                kernel.client.execute(BUSY)  # an interrupt may have ended it
            await asyncio.to_thread(ask_for, method, route)
    idle = ("POST", "/kernels/{kernel}/kill-call", 409)  # between two calls there is nothing to kill
    answered = {one[:2] for one in seen if one[2] == 200 or one == idle}
    assert answered == set(operations()), "each was also asked for something that it has"
    assert json.loads((workspace / "nb.ipynb").read_text())["cells"], "and nobody's notebook was written over"
