"""Every notebook of the cookbook runs from top to bottom, in this interpreter and with the real demo model."""

import subprocess
import sys

import nbformat
import pytest

from tests import ROOT

COOKBOOK = ROOT / "cookbook"
NOTEBOOKS = sorted(COOKBOOK.glob("*.ipynb"))
# A figure of the handbook and the number of a citation; an index in step and what is found in it; an answer and what
# was found in it; a log that was altered.
LAST_ANSWER = {
    "domain_chatbot": ["altered and found"],
    "first_answer": ["12.90", "[1]"],
    "search_your_documents": ["0 differences in 8 files", "en/new.md: A gift card is valid for two years."],
    "tools_and_structured_output": ["Take an umbrella.", "final<|channel|>final"],
}


# A process of its own, because Jupyter's client leaves sockets to the garbage collector, and warnings are errors here.
# "python3" is the interpreter that runs it: no folder of installed kernels is asked.
RUN = """
import sys
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

class ThisInterpreter(AsyncKernelManager):
    def _kernel_spec_manager_default(self):
        return KernelSpecManager(kernel_dirs=[])

notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(
    notebook, kernel_name="python3", kernel_manager_class=ThisInterpreter, timeout=300, startup_timeout=120
).execute()
nbformat.write(notebook, sys.argv[2])
"""


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
def test_a_notebook_runs_and_ends_as_it_should(path, tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    executed = tmp_path / path.name
    command = [sys.executable, "-c", RUN, str(path), str(executed)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    last = result(code_cells(nbformat.read(executed, as_version=4))[-1])
    for part in LAST_ANSWER[path.stem]:
        assert part in last
