"""Read a task's interface from the Python that CASA's build generated, without importing it.

Two things are only there. casaplotms, casaviewer and casatablebrowser ship no XML, and importing them
(protobuf, gRPC, casatools) takes seconds. And the docstring that CASA's objects show cannot be composed from
the XML: the generator drops characters, replaces quotation marks and skips sections (`fusedthreshold` of
deconvolve: "g Hogbom Clean").
"""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path
from typing import Any

_TYPES = {
    "cStr": "string", "cInt": "int", "cFloat": "double", "cBool": "bool", "cVariant": "variant", "cDict":
    "record", "cPath": "path", "cReqPath": "path", "cPathVec": "pathVec", "cReqPathVec": "pathVec",
    "cStrVec": "stringVec", "cIntVec": "intVec", "cFloatVec": "doubleVec", "cBoolVec": "boolVec",
}  # fmt: skip


def docstring(path: Path) -> str:
    """The docstring of the task that the module at `path` defines, exactly as CASA's object shows it."""
    return ast.get_docstring(_definition(path), clean=False) or ""


def read_task(path: Path, conditions: Path | None = None) -> dict[str, Any]:
    """The fields of `Task` for a task without XML: `path` defines it, `conditions` is its inp/go module, if
    any.
    """
    definition = _definition(path)
    text = ast.get_docstring(definition, clean=False) or ""
    if isinstance(definition, ast.ClassDef):
        call = next(n for n in definition.body if isinstance(n, ast.FunctionDef) and n.name == "__call__")
        name = definition.name.removeprefix("_")
    else:
        call, name = definition, definition.name
    constants = {
        target.id: node.value
        for node in ast.walk(definition)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    schema = _schema(constants.get("schema"))
    arguments = [a.arg for a in call.args.args if a.arg != "self"]
    defaults = [_value(d) for d in call.args.defaults]
    found = _conditions(conditions)
    group = _value(constants["_info_group_"]) if "_info_group_" in constants else "visualization"
    opening = text.strip().partition("\n")[0]
    summary = _value(constants["_info_desc_"]) if "_info_desc_" in constants else opening
    head = text.partition("--------- parameter descriptions")[0].partition(" ---- ")[2]
    return {
        "name": name,
        "categories": [c.strip() for c in group.split(",")],
        "summary": summary,
        "description": head.partition("\n")[2].strip() or text.strip(),
        "example": text.partition("--------- examples")[2].partition("\n")[2].strip(),
        "parameters": [
            {
                "name": argument,
                "type": schema.get(argument, {}).get("type", "variant"),
                "default": default,
                "description": _described(text, argument),
                "shortdescription": _described(text, argument),
                "allowed": schema.get(argument, {}).get("allowed", []),
                "subparameter": any(argument == d[0] for c in found for d in c["defaults"]),
                "hidden": False,
                "units": "",
                "kind": "",
                "must_exist": False,
                "keyword_only": False,
            }
            for argument, default in zip(arguments, defaults, strict=True)
        ],
        "conditions": found,
    }


def _definition(path: Path) -> ast.ClassDef | ast.FunctionDef:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the generated docstrings hold invalid escapes such as "\*"
        tree = ast.parse(path.read_bytes())
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name.lstrip("_") == path.stem.lstrip("_"):
            return node
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            return node
    raise ValueError(f"{path} defines no CASA task")


def _value(node: ast.expr) -> Any:
    """A default value: a literal, or a literal wrapped as CASA's generator does: `int(3)`, `[ float(0) ]`."""
    match node:
        case ast.Call(func=ast.Name(id="int" | "float" | "bool" as kind), args=[argument]):
            return {"int": int, "float": float, "bool": bool}[kind](_value(argument))
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case _:
            return ast.literal_eval(node)


def _schema(node: ast.expr | None) -> dict[str, dict[str, Any]]:
    """Types and allowed values out of the validation schema, the only place where plotms and the viewers have
    them.
    """
    found: dict[str, dict[str, Any]] = {}
    for key, rules in _items(node):
        entry: dict[str, Any] = {}
        for rule, value in _items(rules):
            if rule == "type":
                entry["type"] = _TYPES.get(_value(value), "variant")
            elif rule == "allowed":
                entry["allowed"] = _value(value)
            elif rule == "anyof" and isinstance(value, ast.List):
                kinds = [_value(v) for option in value.elts for r, v in _items(option) if r == "type"]
                entry["type"] = "|".join(dict.fromkeys(_TYPES.get(k, "variant") for k in kinds))
        found[key] = entry
    return found


def _items(node: ast.expr | None) -> list[tuple[str, ast.expr]]:
    if not isinstance(node, ast.Dict):
        return []
    return [(_value(k), v) for k, v in zip(node.keys, node.values, strict=True) if k is not None]


def _described(text: str, argument: str) -> str:
    found = re.search(rf"^    {re.escape(argument)} +(\S.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _conditions(path: Path | None) -> list[dict[str, Any]]:
    """Sub-parameters: functions `__<name>_dflt` made of `if self.__<parent>( glb ) == <value>: return
    <default>`.
    """
    if path is None or not path.is_file():
        return []
    cases: dict[str, dict[str, Any]] = {}
    for node in _definition(path).body:
        if not (isinstance(node, ast.FunctionDef) and node.name.endswith("_dflt")):
            continue
        for statement in node.body:
            match statement:
                case ast.If(
                    test=ast.Compare(
                        left=ast.Call(func=ast.Attribute(attr=parent)), ops=[operator], comparators=[wanted]
                    ),
                    body=[ast.Return(value=ast.expr() as default)],
                ):
                    case = {
                        "parameter": parent.removeprefix("__"),
                        "equals": isinstance(operator, ast.Eq),
                        "value": _value(wanted),
                    }
                    entry = cases.setdefault(repr(case), {**case, "defaults": []})
                    subparameter = node.name.removeprefix("__").removesuffix("_dflt")
                    entry["defaults"].append([subparameter, _value(default)])
    return list(cases.values())
