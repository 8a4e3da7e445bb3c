"""The published description holds: for every handler, and for requests that nobody thought of."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import jsonschema
import pytest

from jupyterlab_casa.app import CasaApp
from jupyterlab_casa.managers import plans, walks
from jupyterlab_casa.rest import products, store
from jupyterlab_casa.rest.base import PREFIX, CasaHandler
from jupyterlab_casa.rest.routes import ROUTES
from tests.server.contract import DOCUMENT, looked_up, operations


def methods(handler: type[CasaHandler]) -> list[str]:
    return [name.upper() for name in ("get", "post", "put", "patch", "delete", "head") if name in vars(handler)]


def test_every_handler_is_described_and_nothing_else() -> None:
    served = {(method, route): handler for route, handler in ROUTES for method in methods(handler)}
    assert served.keys() == operations().keys()
    for what, operation in operations().items():
        assert operation["tags"] == [served[what].auth_resource]
    assert DOCUMENT["servers"][0]["url"] == PREFIX
    names = [operation["operationId"] for operation in operations().values()]
    assert len(set(names)) == len(names)


def test_arguments_of_the_path_are_described() -> None:
    for (method, route), operation in operations().items():
        described = [p["name"] for p in map(looked_up, operation.get("parameters", ())) if p["in"] == "path"]
        handler = dict(ROUTES)[route]
        taken = list(inspect.signature(inspect.unwrap(getattr(handler, method.lower()))).parameters)[1:]
        assert described == taken == [part[1:-1] for part in route.split("/") if part.startswith("{")]


@pytest.mark.parametrize(
    ("schema", "method", "route"),
    [
        (plans.CELLS, "POST", "/plan"),
        (plans.CELLS, "POST", "/graph"),
        (plans.OUTPUTS, "POST", "/outputs"),
        (walks.WALK, "POST", "/walks"),
        (walks.STEP, "POST", "/walks/{walk}/step"),
        (products.RESTORE, "POST", "/versions/{version}/restore"),
        (store.COLLECT, "POST", "/store/collection"),
    ],
)
def test_bodies_are_checked_as_they_are_described(schema: object, method: str, route: str) -> None:
    body = looked_up(operations()[method, route]["requestBody"])

    def bare(node: object) -> object:
        if isinstance(node, dict):
            whole = looked_up(node)
            return {k: bare(v) for k, v in whole.items() if not (k == "description" and isinstance(v, str))}
        return [bare(item) for item in node] if isinstance(node, list) else node

    assert bare(body["content"]["application/json"]["schema"]) == schema


def test_all_schemas_are_valid() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert name[0].isupper()


def test_the_administrators_guide_tells_all_settings() -> None:
    """Each trait of the extension and of its managers, with the default that it has."""
    guide = (Path(__file__).parents[2] / "docs" / "admin-guide.md").read_text()
    rows = [line.split(" | ") for line in guide.splitlines() if line.startswith("| `")]
    defaults = {
        name: default
        for names, values, *_ in rows
        for name, default in zip(re.findall(r"`(\w+\.\w+)`", names), values.split(", ") * 9, strict=False)
    }
    managers = [trait.klass for name, trait in CasaApp.class_own_traits().items() if name.endswith("_class")]
    for kind in (CasaApp, *managers):
        for name, trait in kind.class_own_traits(config=True).items():
            if name.endswith("_class"):
                assert f"`{name}`" in guide or f"`CasaApp.{name}`" in guide, name
            else:
                assert defaults[f"{kind.__name__}.{name}"] == str(trait.default()), (kind, name)
    for resource in {operation["tags"][0] for operation in operations().values()}:
        assert f"`{resource}`" in guide, resource
