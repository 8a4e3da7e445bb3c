"""Files of saved parameters as casashell has them: one ``name = value`` per line and a comment."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any


def literal(value: Any) -> Any:
    """``value`` as something a Python literal can say (arrays as lists); None when there is no such thing."""
    if hasattr(value, "tolist"):  # numpy, without importing it
        value = value.tolist()
    try:
        ast.literal_eval(repr(value))
    except (ValueError, SyntaxError):
        return None  # casashell writes None for objects too
    return value


def dumps(task: str, values: Mapping[str, Any]) -> str:
    """The text of a ``.last`` or ``.saved`` file."""
    plain = {name: literal(value) for name, value in values.items()}
    width = max(map(len, plain), default=0)
    lines = [f"{name:<{width}} = {value!r}\n" for name, value in plain.items()]
    return "".join(lines) + f"#{task}( {','.join(f'{name}={value!r}' for name, value in plain.items())} )\n"


def loads(text: str) -> tuple[dict[str, Any], list[str]]:
    """The values that ``text`` assigns, and the names whose value is no literal. Nothing is executed.

    Raises:
        SyntaxError: the text is no Python.
    """
    values: dict[str, Any] = {}
    refused = []
    for statement in ast.parse(text).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=node):
                try:
                    values[name] = ast.literal_eval(node)
                except ValueError:
                    refused.append(name)
    return values, refused
