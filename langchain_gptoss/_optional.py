"""The one way to use a package that only an extra installs."""

import importlib
from types import ModuleType

from langchain_gptoss.errors import MissingDependencyError


def require(module: str, *, extra: str) -> ModuleType:
    """Returns an optional module.

    Args:
        module: The module's import name, such as `"faiss"`.
        extra: The extra of this package that installs it, such as `"rag"`.

    Raises:
        MissingDependencyError: The module is not installed. The message holds the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A module that is there and fails over one of *its* imports must not be reported as missing itself.
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise
        raise MissingDependencyError(
            f"This needs the package {module.split('.')[0]!r}, which is not installed. "
            f'Install it with: pip install "langchain-gptoss[{extra}]"'
        ) from error
