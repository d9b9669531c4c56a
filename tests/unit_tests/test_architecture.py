"""The structure of the package: allowed dependencies, no cycles, a light import, pinned public names."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import langchain_gptoss

PACKAGE = Path(langchain_gptoss.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Imports point down this list. A package may import every package on a lower line, and on its own line only where
# SAME_LINE allows it.
LINES = [
    {"cli", "serve"},
    {"agents", "evals"},
    {"chatbot"},
    {"audit", "domains"},
    {"chat_models", "llms", "decisions", "ingest", "retrievers", "vectorstores", "embeddings"},
    {"language_models"},
    {"engine", "chat_formats"},
    {"models"},
    {"text", "_flow", "_io", "_process", "_progress"},
    {"errors", "_optional"},
]
SAME_LINE = {
    "cli": {"serve"},
    "decisions": {"chat_models"},
    "retrievers": {"decisions", "vectorstores", "embeddings"},
    "ingest": {"vectorstores", "embeddings"},
    "_progress": {"text"},
    "_optional": {"errors"},
}
LINE_OF = {package: number for number, packages in enumerate(LINES) for package in packages}


def find_package(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name_module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_module(path): path for path in MODULES}


@cache
def find_imports(path: Path) -> tuple[str, ...]:
    """Returns the modules of this package that a file imports, inside functions too."""
    return tuple(_iterate_imports(path))


def _iterate_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            base = node.module or ""
            for alias in node.names if base.split(".")[0] == "langchain_gptoss" else []:
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in NAMES else base
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "langchain_gptoss")


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.parent != PACKAGE or path.name != "__init__.py"], ids=name_module
)
def test_imports_follow_the_dependency_table(path):
    package = find_package(path)
    for module in find_imports(path):
        assert module != "langchain_gptoss", f"{path} imports the root"
        other = module.split(".")[1]
        assert other in LINE_OF, f"{path} imports {module}, which is not in the table"
        if other != package and LINE_OF[other] <= LINE_OF[package]:
            assert other in SAME_LINE.get(package, set()), f"{path}: {package} must not import {module}"


def test_every_package_is_in_the_table():
    assert {find_package(path) for path in MODULES} - {"__init__"} <= set(LINE_OF)


def test_modules_have_no_import_cycle():
    """Checks lazy imports too. A package's `__init__` that only collects names does not count as a step."""
    imports = {
        name: [other for other in find_imports(path) if NAMES[other].name != "__init__.py"]
        for name, path in NAMES.items()
        if path.name != "__init__.py"
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for other in imports[name]:
                visit(other, (*trail, name))
            done.add(name)

    for name in imports:
        visit(name, ())


def test_importing_the_package_loads_nothing_heavy():
    heavy = ["torch", "transformers", "faiss", "langserve", "sentence_transformers", "numpy", "langchain_core"]
    code = f"import sys, langchain_gptoss; print([name for name in {heavy} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_the_command_line_starts_without_anything_heavy():
    code = (
        "import sys, langchain_gptoss.cli; print([m for m in ('torch', 'langchain_core', 'numpy') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_public_names_are_pinned():
    assert langchain_gptoss.__all__ == [
        "AuditLog",
        "BM25Retriever",
        "ChatGptOss",
        "DomainProfile",
        "FaissStore",
        "GptOssError",
        "GptOssLLM",
        "HistoryAwareRetriever",
        "HybridRetriever",
        "NeighbourRetriever",
        "RerankRetriever",
        "convert_checkpoint",
        "create_chatbot",
        "index_documents",
        "load_embeddings",
    ]
    for name in langchain_gptoss.__all__:
        assert getattr(langchain_gptoss, name).__name__ == name
    assert set(langchain_gptoss.__all__) <= set(dir(langchain_gptoss))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = langchain_gptoss.nothing


def test_every_module_has_a_docstring():
    assert [str(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []


def test_only_one_module_imports_langserve():
    importers = [
        path for path in MODULES if re.search(r"from (langserve|sse_starlette)\b", path.read_text(encoding="utf-8"))
    ]
    assert [path.relative_to(PACKAGE).as_posix() for path in importers] == ["serve/langserve_routes.py"]


def test_a_missing_extra_names_the_command():
    from langchain_gptoss._optional import require
    from langchain_gptoss.errors import MissingDependencyError

    with pytest.raises(MissingDependencyError, match=r'pip install "langchain-gptoss\[rag\]"'):
        require("a_package_that_is_not_there", extra="rag")
    assert require("json", extra="rag").dumps([]) == "[]"


def test_only_the_command_line_prints():
    def calls_print(path: Path) -> bool:
        calls = (
            node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
        )
        return any(isinstance(function, ast.Name) and function.id == "print" for function in calls)

    assert [str(path) for path in MODULES if find_package(path) != "cli" and calls_print(path)] == []
