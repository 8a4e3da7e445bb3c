"""The published description of our addresses."""

from __future__ import annotations

import copy
import importlib.resources
import json
from typing import Any
from urllib.parse import quote, urlencode

import jsonschema
import yaml


def document() -> dict[str, Any]:
    """openapi.yaml, with the schemas of the command in place."""
    package = importlib.resources.files("jupyterlab_casa")

    def within(node: Any) -> Any:
        if isinstance(node, list):
            return [within(item) for item in node]
        if not isinstance(node, dict):
            return node
        if str(node.get("$ref", "")).startswith("../"):
            return json.loads(package.joinpath(node["$ref"][3:]).read_text())
        return {key: within(item) for key, item in node.items()}

    found: dict[str, Any] = within(yaml.safe_load(package.joinpath("rest/openapi.yaml").read_text()))
    return found


DOCUMENT = document()


def looked_up(node: dict[str, Any]) -> dict[str, Any]:
    """A node, or the one to which it refers."""
    if "$ref" not in node:
        return node
    found: Any = DOCUMENT
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def operations() -> dict[tuple[str, str], dict[str, Any]]:
    """Method and address -> operation."""
    return {
        (method.upper(), route): operation
        for route, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
    }


def example(method: str, route: str) -> tuple[str, Any]:
    """Address and body of a request, as the description exemplifies it; the body is None where there is none.

    Raises:
        KeyError: the description has no example of something that is required.
    """
    operation = operations()[method, route]
    parameters = [looked_up(parameter) for parameter in operation.get("parameters", ())]
    values = {}
    for parameter in parameters:
        if "example" in parameter:
            values[parameter["name"]] = str(parameter["example"])
        elif parameter.get("required"):
            raise KeyError(f"{method} {route}: openapi.yaml has no example of {parameter['name']}")
    places = {p["name"]: quote(values.pop(p["name"]), safe="") for p in parameters if p["in"] == "path"}
    body = None
    if "requestBody" in operation:
        content = looked_up(operation["requestBody"])["content"]["application/json"]
        if "example" not in content:
            raise KeyError(f"{method} {route}: openapi.yaml has no example of the body")
        body = content["example"]
    return f"{route.format(**places)}?{urlencode(values, quote_via=quote, safe='')}", body


def permission(method: str, route: str) -> str:
    """What an authorizer is asked for, of the resource that is the operation's tag."""
    found: str = operations()[method, route].get("x-permission", "read" if method == "GET" else "write")
    return found


def conforms(method: str, route: str, status: int, value: Any) -> None:
    """The answer is as described: all members that are named, of their types, and no other."""
    response = looked_up(operations()[method, route]["responses"][str(status)])
    schema = copy.deepcopy(response["content"]["application/json"]["schema"])
    whole = {"components": _closed(DOCUMENT["components"]), **_closed(schema)}
    jsonschema.Draft202012Validator(whole).validate(value)


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(item) for key, item in node.items()}
    if "properties" in node and isinstance(node.get("type"), str | list):
        closed.setdefault("additionalProperties", False)
    return closed
