"""The rules of the house: layers, a light import, pinned public names, documented and sized modules."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import langchain_gptoss

PACKAGE = Path(langchain_gptoss.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
LAYERS = {
    0: ["errors", "_optional", "_progress"],
    1: ["models"],
    2: ["engine", "chat_formats"],
    3: [
        "_models",
        "_tools",
        "_structured",
        "_retrieval",
        "chat_models",
        "llms",
        "embeddings",
        "retrievers",
        "vectorstores",
        "_faiss_community",
        "_faiss_core",
        "_faiss_disk",
        "_faiss_files",
        "_faiss_filters",
        "_faiss_index",
        "_faiss_lock",
        "_faiss_records",
        "_faiss_vectors",
        "ingest",
    ],
    4: ["chatbot", "audit", "domains", "evals"],
    5: ["cli", "serve"],
}
LAYER_OF = {room: layer for layer, rooms in LAYERS.items() for room in rooms}
STRANGERS = {("engine", "chat_formats"), ("chat_formats", "engine")}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> Iterator[str]:
    """Yields what a file imports from this package, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names = [node.module or ""]
            if node.module == "langchain_gptoss":
                names = [f"langchain_gptoss.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name for name in names if name.split(".")[0] == "langchain_gptoss")


@pytest.mark.parametrize("path", [p for p in MODULES if p.parent != PACKAGE or p.name != "__init__.py"], ids=str)
def test_imports_go_down_only(path):
    room = room_of(path)
    for module in imported_modules(path):
        assert module != "langchain_gptoss", f"{path} imports the root"
        other = module.split(".")[1]
        assert other in LAYER_OF, f"{path} imports {module}, which has no layer (or is a public name of the root)"
        assert LAYER_OF[other] <= LAYER_OF[room], f"{path} imports upwards: {module}"
        assert (room, other) not in STRANGERS, f"{path}: {room} must not know {other}"


def test_every_room_has_a_layer():
    assert {room_of(path) for path in MODULES} - {"__init__"} == set(LAYER_OF)


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


def test_the_public_names_are_pinned():
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
        "create_chatbot",
        "index_documents",
        "load_embeddings",
    ]
    for name in langchain_gptoss.__all__:
        assert getattr(langchain_gptoss, name).__name__ == name
    assert set(langchain_gptoss.__all__) <= set(dir(langchain_gptoss))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = langchain_gptoss.nothing


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_modules_are_documented_and_small(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"
    assert text.count("\n") <= 500


def test_only_one_module_imports_langserve():
    importers = [p for p in MODULES if "from langserve" in p.read_text(encoding="utf-8")]
    assert [path.relative_to(PACKAGE).as_posix() for path in importers] == ["serve/routes.py"]


def test_a_missing_extra_names_the_command():
    from langchain_gptoss._optional import require
    from langchain_gptoss.errors import MissingDependencyError

    with pytest.raises(MissingDependencyError, match=r'pip install "langchain-gptoss\[rag\]"'):
        require("a_package_that_is_not_there", extra="rag")
    assert require("json", extra="rag").dumps([]) == "[]"


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(path) != "cli"], ids=str)
def test_only_the_command_line_prints(path):
    calls = (node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    assert not any(isinstance(function, ast.Name) and function.id == "print" for function in calls)
