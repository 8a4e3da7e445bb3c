"""Tasks as functions: signature, documentation, calls in casatasks' and in casashell's way."""

from __future__ import annotations

import inspect
import pydoc
import types

import pytest

from casa_recompute.tasks import Catalogue

from .conftest import Bench


def test_every_task_is_a_function_that_looks_like_casas_own(bench: Bench, catalogue: Catalogue) -> None:
    assert len(catalogue) == 128
    for name, task in catalogue.items():
        function = bench.shell.user_ns[name]
        assert isinstance(function, types.FunctionType)
        assert (function.__name__, function.__qualname__) == (name, name)
        assert function.__module__ == task.module
        assert inspect.signature(function) == task.signature
        assert function.__doc__ == task.docstring


def test_help_shows_signature_and_text(bench: Bench) -> None:
    text = pydoc.plain(pydoc.render_doc(bench.shell.user_ns["uvsub"]))
    assert "uvsub(vis='', reverse=False)" in text and "parameter descriptions" in text


def test_positional_and_keyword_arguments_reach_the_core(bench: Bench) -> None:
    assert bench.run("uvsub('a.ms', reverse=True)") == {"n": 1}
    assert bench.session.calls == [("uvsub", {"vis": "a.ms", "reverse": True})]


@pytest.mark.parametrize("code", ["uvsub(viss='a.ms')", "uvsub('a', False, 3)", "uvsub('a', vis='b')"])
def test_wrong_arguments_raise_type_error_and_call_nothing(bench: Bench, code: str) -> None:
    error = bench.run(code)
    assert isinstance(error, TypeError) and "uvsub" in str(error)
    assert bench.session.calls == []


def test_a_subparameter_takes_the_default_of_its_condition_as_in_casashell(bench: Bench) -> None:
    bench.run("setjy('a.ms', standard='manual')")
    bench.run("setjy('a.ms', standard='manual', fluxdensity=[2,0,0,0])")
    bench.run("from casatasks import setjy as plain; plain('a.ms', standard='manual')")
    assert [bound["fluxdensity"] for _, bound in bench.session.calls] == [[1, 0, 0, 0], [2, 0, 0, 0], -1]


def test_without_arguments_the_global_variables_count_as_in_casashell(bench: Bench) -> None:
    bench.run("vis = 'a.ms'; reverse = True; uvsub()")
    bench.run("from casatasks import uvsub as plain; plain()")
    assert bench.session.calls == [
        ("uvsub", {"vis": "a.ms", "reverse": True}),
        ("uvsub", {"vis": "", "reverse": False}),
    ]
