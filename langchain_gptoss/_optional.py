"""Import of packages that only an extra of this package installs."""

import importlib
import shlex
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

from langchain_gptoss.errors import MissingDependencyError


def require(module: str, *, extra: str) -> ModuleType:
    """Return an optional module.

    Args:
        module: The module's import name, such as `"faiss"`.
        extra: The extra of this package that installs it, such as `"rag"`.

    Raises:
        MissingDependencyError: The module is not installed. The message contains the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # An installed module may lack one of its own imports; it must not be reported as missing itself.
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise
        raise create_missing_error(module, extra=extra) from error


def create_missing_error(module: str, *, extra: str) -> MissingDependencyError:
    """Return the error for a module that is not installed, with the command that installs it.

    Args:
        module: The module's import name.
        extra: The extra of this package that installs it.
    """
    return MissingDependencyError(
        f"This needs the package {module.split('.')[0]!r}, which is not installed.",
        hint=f"Install it with: {build_install_command(extra)}",
    )


def build_install_command(extra: str) -> str:
    """Return the command that installs an extra into the Python that runs now.

    The package need not be on an index: pip takes the names of an extra's packages from the installed package, be it
    from a wheel or from a checkout. A checkout that is not installed is named by its folder.

    Args:
        extra: The extra of this package, such as `"cpu"`.
    """
    target = f"langchain-gptoss[{extra}]"
    try:
        metadata.distribution("langchain-gptoss")
    except metadata.PackageNotFoundError:
        target = f"{Path(__file__).parent.parent}[{extra}]"
    python = sys.executable or "python"
    return f'{shlex.quote(python)} -m pip install "{target}"'
