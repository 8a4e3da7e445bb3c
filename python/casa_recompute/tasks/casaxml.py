"""Read one task's interface from the XML that casatasks ships (`casatasks/__xml__/<task>.xml`)."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

_NS = "{http://casa.nrao.edu/schema/psetTypes.html}"
_TRUE = ("true", "True")
_SCALARS = ("bool", "int", "double", "float", "record", "string", "path")


def read_task(path: Path) -> dict[str, Any]:
    """The fields of `Task` that the XML file at `path` gives, as plain data.

    Raises ElementTree.ParseError or ValueError when the file is not a CASA task description.
    """
    task = ElementTree.parse(path).getroot().find(f"{_NS}task")
    if task is None:
        raise ValueError(f"{path} describes no CASA task")
    parameters = [_parameter(p) for p in task.findall(f"{_NS}input/{_NS}param")]
    description = _text(task, "description")
    types = {p["name"]: p["type"] for p in parameters}
    return {
        "name": task.get("name", path.stem),
        "categories": [c.strip() for c in task.get("category", "").split(",") if c.strip()],
        "summary": _text(task, "shortdescription") or description.partition("\n")[0],
        "description": description,
        "example": _text(task, "example"),
        "parameters": parameters,
        "conditions": [
            condition
            for when in task.findall(f"{_NS}input/{_NS}constraints/{_NS}when")
            for condition in _conditions(when, types)
        ],
    }


def _text(element: ElementTree.Element, child: str) -> str:
    found = element.find(_NS + child)
    return "" if found is None else "".join(found.itertext()).strip()


def _parameter(param: ElementTree.Element) -> dict[str, Any]:
    alternatives = param.findall(f"{_NS}type")
    kind = param.get("type", "string")
    if alternatives:  # a parameter of several types lists them
        kind = "|".join(dict.fromkeys((t.text or "").strip() for t in alternatives))
    if kind == "any":
        kind = "variant"
    allowed = param.find(f"{_NS}allowed")
    choices: list[Any] = []
    if allowed is not None and allowed.get("kind", "enum") == "enum":
        choices = [_scalar((v.text or "").strip(), kind.removesuffix("Vec")) for v in allowed.findall(f"{_NS}value")]
    default, units = _value(param.find(f"{_NS}value"), kind), param.get("units", "")
    return {
        "name": param.get("name"),
        "type": kind,
        "default": {"value": default, "unit": units} if units else default,
        "description": _text(param, "description"),
        "shortdescription": _text(param, "shortdescription"),
        "allowed": choices,
        "subparameter": param.get("subparam") in _TRUE,
        "hidden": param.get("visibility") == "hidden",
        "units": units,
        "kind": param.get("kind", ""),
        "must_exist": any(e.get("mustexist") in _TRUE for e in (param, *alternatives)),
        "keyword_only": param.find(f"{_NS}kwarg") is not None,
    }


def _value(value: ElementTree.Element | None, kind: str) -> Any:
    """A default as CASA's own generator writes it into the task's signature.

    The element's own `type` wins over the parameter's, except where the generator ignores it; an untyped
    default of a parameter of several types is the empty value of the first. A test compares every one with
    the real signature.
    """
    if value is None:
        return _scalar("", kind)
    union = kind == "variant" or "|" in kind
    own = value.get("type")
    items = value.findall(f"{_NS}value")
    if (kind.endswith("Vec") and not union) or items or own == "vector":
        element = "int" if union or not kind.endswith("Vec") else kind.removesuffix("Vec")
        return [_scalar((v.text or "").strip(), v.get("type", element)) for v in items]
    if union:
        return _scalar("" if own is None else (value.text or "").strip(), own or kind)
    return _scalar((value.text or "").strip(), own if own in _SCALARS and kind != "string" else kind)


def _conditional(value: ElementTree.Element | None, kind: str) -> Any:
    """A sub-parameter's default under a condition: here an untyped text is Python source, with or without
    quotes.
    """
    if value is None or len(value) or value.get("type") or kind in ("bool", "int", "double"):
        return _value(value, kind)
    text = (value.text or "").strip()
    if not text:
        return "" if kind == "variant" or "|" in kind else _scalar("", kind)
    try:
        literal = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return [] if kind in ("intVec", "doubleVec") and not isinstance(literal, list) else literal


def _scalar(text: str, kind: str) -> Any:
    """`text` as a value of type `kind`; of several types the first, of no certain type an empty list."""
    match kind.split("|")[0]:
        case "bool":
            return text in _TRUE
        case "int":
            return int(text or 0)
        case "double" | "float":
            return float(text or 0)
        case "record":
            return {}
        case "string" | "path":
            return text
        case _:
            return []


def _conditions(when: ElementTree.Element, types: dict[str, str]) -> list[dict[str, Any]]:
    parameter = when.get("param", "")
    found = []
    for case in when:
        tag = case.tag.removeprefix(_NS)
        if tag not in ("equals", "notequals"):
            continue
        defaults = [
            [name, _conditional(d.find(f"{_NS}value"), types[name])]
            for d in case.findall(f"{_NS}default")
            if (name := d.get("param", "")) in types  # a few name parameters that the task has lost
        ]
        kind = case.get("type") or types.get(parameter, "string")
        found.append(
            {
                "parameter": parameter,
                "equals": tag == "equals",
                "value": _scalar(case.get("value", ""), kind),
                "defaults": defaults,
            }
        )
    return found
