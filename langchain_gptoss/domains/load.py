"""Finds a profile by its name or its path, and says what is wrong with a file."""

import tomllib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from langchain_gptoss.domains.profile import LANGUAGES, DomainProfile
from langchain_gptoss.domains.validation import closest
from langchain_gptoss.errors import InvalidInputError

_DEFAULT = "en"
_ENDING = ".toml"


def load_domain(name_or_path: str | Path | DomainProfile, *, language: str | None = None) -> DomainProfile:
    """Returns the profile of a field.

    Args:
        name_or_path: The name of a ready-made profile ("support"), the path of a TOML file, or a profile.
        language: "en" or "fr", also as a browser says it ("fr-CA"). A ready-made profile is English by default; a file
            or a profile has a language of its own.

    Returns:
        The profile. One that is given is returned as it is.

    Raises:
        InvalidInputError: There is no such profile, language or file; the file is not TOML; or a key in it is unknown,
            missing, empty or of the wrong type. The message names the file and the key.
    """
    wanted = None if language is None else _language(language)
    if isinstance(name_or_path, DomainProfile):
        return _in_language(name_or_path, wanted, f"The profile {name_or_path.name!r}")
    if str(name_or_path).lower().endswith(_ENDING):
        return _in_language(_read(Path(name_or_path)), wanted, str(name_or_path))
    return _read(_ready_made(str(name_or_path), wanted or _DEFAULT))


def domains() -> tuple[DomainProfile, ...]:
    """Returns the ready-made profiles, sorted by name and language."""
    return tuple(_read(file) for name in _names() for file in map(_folder().joinpath, _file_names(name)))


def available_languages(name: str) -> tuple[str, ...]:
    """Returns the languages of a ready-made profile.

    Args:
        name: Its name.

    Raises:
        InvalidInputError: There is no such profile.
    """
    _ready_made(name, _DEFAULT)
    return tuple(language for language in LANGUAGES if _folder().joinpath(f"{name}.{language}{_ENDING}").is_file())


def profile_path(name: str, *, language: str = _DEFAULT) -> Path:
    """Returns where the TOML file of a ready-made profile lies, to be copied and changed.

    Args:
        name: Its name.
        language: "en" or "fr".

    Raises:
        InvalidInputError: There is no such profile or language.
    """
    return Path(str(_ready_made(name, _language(language))))


def _folder() -> Traversable:
    return files("langchain_gptoss.domains").joinpath("profiles")


def _names() -> tuple[str, ...]:
    return tuple(sorted({file.name.split(".")[0] for file in _folder().iterdir() if file.name.endswith(_ENDING)}))


def _file_names(name: str) -> tuple[str, ...]:
    return tuple(f"{name}.{language}{_ENDING}" for language in available_languages(name))


def _ready_made(name: str, language: str) -> Traversable:
    names = _names()
    if name not in names:
        own = f" A profile of your own is given as the path of a file that ends in {_ENDING}."
        raise InvalidInputError(f"There is no domain {name!r}. {closest(name, names)}{own}")
    return _folder().joinpath(f"{name}.{language}{_ENDING}")


def _language(language: str) -> str:
    short = language.strip().lower().replace("_", "-").split("-")[0]
    if short not in LANGUAGES:
        raise InvalidInputError(f"There are no texts in the language {language!r}. Known: {', '.join(LANGUAGES)}.")
    return short


def _in_language(profile: DomainProfile, language: str | None, what: str) -> DomainProfile:
    if language not in (None, profile.language):
        raise InvalidInputError(
            f"{what} is written in {profile.language!r}, and language={language!r} was asked for. Leave language out, "
            "or give a profile in that language."
        )
    return profile


def _read(file: Traversable) -> DomainProfile:
    try:
        text = file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        return DomainProfile(**tomllib.loads(text))
    except FileNotFoundError:
        raise InvalidInputError(f"There is no file {file}. Give the path of a profile, or a name.") from None
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{file} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"{file} is not TOML: {error}.") from error
    except InvalidInputError as error:
        raise InvalidInputError(f"{file}: {error}") from error
