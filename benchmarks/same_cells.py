"""Cells that are run here and in ipyflow (see beside_ipyflow.py); needs nothing but Python."""

from __future__ import annotations

NAMES, CHAIN = 200, 1000


def bind(go: int) -> str:
    """Binds 200 lists."""
    return "\n".join(f"n{i} = [{i}, {go}, 3]" for i in range(NAMES))


def change(go: int) -> str:
    """Changes them in place."""
    return "\n".join(f"n{i}.append({go})" for i in range(NAMES))


def chain() -> list[str]:
    """Each uses what the one above it made."""
    return ["v0 = 0\nw0 = [v0] * 3", *(f"v{i} = v{i - 1} + 1\nw{i} = [v{i}] * 3" for i in range(1, CHAIN))]


LARGE = "import numpy as np\nbig = np.ones(1 << 27)"

STALE = {
    "a name bound anew": ["a1 = [1]", "print(a1)", "a1 = [2]"],
    "a list changed through an alias": ["a2 = [1]\nb2 = a2", "print(a2)", "b2.append(2)"],
    "a function that changes its argument": ["def f3(q):\n    q.append(1)\na3 = [1]", "print(a3)", "f3(a3)"],
    "an array changed through a view": [
        "import numpy as np\na4 = np.zeros(4)\nb4 = a4[:2]",
        "print(a4.sum())",
        "b4[0] = 5",
    ],
    "a file changed in place": [
        "f = open('data.txt', 'w'); f.write('1'); f.close()",
        "print(open('data.txt').read())",
        "f = open('data.txt', 'r+'); f.write('2'); f.close()",
    ],
}
"""What the last of three cells changes, by ways that are hard to see: is the second one stale then?"""
