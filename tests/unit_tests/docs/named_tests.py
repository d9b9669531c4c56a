"""Tests that pages of the documentation name."""

import ast

from tests import ROOT


def assert_test_exists(path: str, name: str) -> None:
    """Check that a file of tests has a test, or a class with one (`Class::test_name`)."""
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    for part in name.split("::"):
        found = [
            node
            for node in body
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == part
        ]
        assert found, f"{path} has no {part}"
        body = found[0].body
