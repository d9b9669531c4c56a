"""Every notebook of the cookbook runs from top to bottom, in this interpreter and with the real demo model."""

import json
import os
import subprocess
import sys

import nbformat
import pytest

from tests import ROOT

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((ROOT / "cookbook").glob("*.ipynb"))
# Parts of each notebook's last result.
EXPECTED_RESULTS = {
    "domain_chatbot": ["change detected"],
    "first_answer": ["12.90", "[1]"],
    "search_your_documents": ["0 differences in 8 files", "en/new.md: A gift card is valid for two years."],
    "tools_and_structured_output": ["Take an umbrella.", "final<|channel|>final"],
}

# One kernel runs all notebooks, so that PyTorch and the demo model are loaded once; names are deleted between them. It
# has a process of its own, because Jupyter's client leaves sockets to the garbage collector, and warnings are errors
# here. "python3" is the interpreter that runs it: installed kernel specifications are not read.
RUN_NOTEBOOKS = """
import asyncio, json, sys
from pathlib import Path
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

class ThisInterpreter(AsyncKernelManager):
    def _kernel_spec_manager_default(self):
        return KernelSpecManager(kernel_dirs=[])

async def run(paths, folder):
    manager = ThisInterpreter(kernel_name="python3")
    failures = {}
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        here = folder / path.stem
        here.mkdir()
        prepare = f"%reset -f\\nimport os\\nos.chdir({str(here)!r})\\ndel os"
        notebook.cells.insert(0, nbformat.v4.new_code_cell(prepare))
        client = NotebookClient(notebook, km=manager, timeout=300, startup_timeout=120)
        try:
            await client.async_execute(reset_kc=True, cleanup_kc=False)
        except Exception as error:
            failures[path.stem] = str(error)
        del notebook.cells[0]
        nbformat.write(notebook, folder / path.name)
    await manager.shutdown_kernel(now=True)
    (folder / "failures.json").write_text(json.dumps(failures))

asyncio.run(run([Path(name) for name in sys.argv[2:]], Path(sys.argv[1])))
"""


def select_code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def read_result(cell: nbformat.NotebookNode) -> str:
    results = [output for output in cell.outputs if output.output_type == "execute_result"]
    assert len(results) == 1
    return results[0].data["text/plain"]


@pytest.fixture(scope="module")
def executed_notebooks(tmp_path_factory):
    """The folder with the executed notebooks, and the failures in each."""
    folder = tmp_path_factory.mktemp("notebooks")
    environment = {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    command = [sys.executable, "-c", RUN_NOTEBOOKS, str(folder), *map(str, NOTEBOOKS)]
    process = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=1200, check=False, env=os.environ | environment
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return folder, json.loads((folder / "failures.json").read_text())


def test_every_expected_notebook_exists():
    assert set(EXPECTED_RESULTS) == {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_stored(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in select_code_cells(notebook))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_ends_with_the_expected_result(path, executed_notebooks):
    folder, failures = executed_notebooks
    assert failures.get(path.stem) is None, failures[path.stem][-2000:]
    last = read_result(select_code_cells(nbformat.read(folder / path.name, as_version=4))[-1])
    for part in EXPECTED_RESULTS[path.stem]:
        assert part in last
