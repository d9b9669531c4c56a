"""Install the built wheel into an empty environment and use it from another folder: `python scripts/check_wheel.py`.

This finds what a test run from the checkout cannot: data files that the wheel lacks, a dependency that only the
development tools install, an import that works only beside the sources.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORT_PUBLIC_NAMES = """
import langchain_gptoss
for name in langchain_gptoss.__all__:
    print(name, getattr(langchain_gptoss, name).__module__)
"""
# The ids are: <|channel|> final <|message|> Hi <|return|>
ANSWER_FROM_SCRIPT = """
from langchain_gptoss import ChatGptOss
from langchain_gptoss.engine import ScriptedEngine

llm = ChatGptOss(model="gpt-oss-20b", engine=ScriptedEngine([[200005, 17196, 200008, 12194, 200002]]))
message = llm.invoke("Hello")
assert message.text == "Hi", message
print(message.text)
"""


def main() -> None:
    """Build, install and run.

    Raises:
        CalledProcessError: A step failed; its output is above.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT]
        subprocess.run(run, check=True)
        (wheel,) = folder.glob("*.whl")
        environment = folder / "environment"
        venv.create(environment, with_pip=True)
        binaries = environment / "bin"
        install = [binaries / "python", "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
        subprocess.run([*install, f"{wheel}[rag]"], check=True)
        elsewhere = folder / "elsewhere"
        elsewhere.mkdir()
        for command in (
            [binaries / "python", "-c", IMPORT_PUBLIC_NAMES],
            [binaries / "gptoss", "doctor"],
            [binaries / "python", "-c", ANSWER_FROM_SCRIPT],
        ):
            subprocess.run(command, cwd=elsewhere, check=True)
        new_files = sorted(path.name for path in elsewhere.iterdir())
        assert not new_files, f"files were written into the current folder: {new_files}"
    print(f"{wheel.name} works from an empty environment.")


if __name__ == "__main__":
    main()
