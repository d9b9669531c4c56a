"""Every notebook of the cookbook runs from top to bottom, in this interpreter and with the real demo model."""

from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

COOKBOOK = Path(__file__).parents[2] / "cookbook"
NOTEBOOKS = sorted(COOKBOOK.glob("*.ipynb"))
LAST_ANSWER = {"first_answer": ["12.90", "[1]"]}  # a figure of the handbook, and the citation's number


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    # Without folders of installed kernels, "python3" is the interpreter that runs this test.
    return AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def result(cell: nbformat.NotebookNode) -> str:
    results = [output for output in cell.outputs if output.output_type == "execute_result"]
    assert len(results) == 1
    return results[0].data["text/plain"]


def test_the_cookbook_is_found():
    assert set(LAST_ANSWER) <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_stored(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code_cells(notebook))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
async def test_notebook_runs_and_ends_with_a_cited_answer(path, kernel, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, km=kernel, timeout=300, startup_timeout=120, resources={"metadata": {"path": str(tmp_path)}}
    )
    await client.async_execute()
    last = result(code_cells(notebook)[-1])
    for part in LAST_ANSWER[path.stem]:
        assert part in last
