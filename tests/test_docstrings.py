"""The examples in docstrings say what Python prints."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import fastnn

MODULES = ["fastnn", *(module.name for module in pkgutil.walk_packages(fastnn.__path__, "fastnn."))]
EXAMPLES = [
    pytest.param(test, id=test.name)
    for name in MODULES
    if not name.endswith("__main__")
    for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name), name)
    if test.examples
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_prints_what_it_says(example: doctest.DocTest) -> None:
    report: list[str] = []
    failed, tried = doctest.DocTestRunner(verbose=False).run(example, out=report.append)
    assert tried
    assert not failed, "".join(report)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 15
