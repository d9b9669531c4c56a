"""Loading of profiles: built-in ones by name, other ones from a file."""

import tomllib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from langchain_gptoss.domains.profile import LANGUAGES, DomainProfile
from langchain_gptoss.domains.validation import suggest_name
from langchain_gptoss.errors import InvalidInputError

_DEFAULT_LANGUAGE = "en"
_SUFFIX = ".toml"


def load_domain(name_or_path: str | Path | DomainProfile, *, language: str | None = None) -> DomainProfile:
    """Return the profile of a domain.

    Args:
        name_or_path: The name of a built-in profile ("support"), the path of a TOML file, or a profile.
        language: "en" or "fr", also as browsers send it ("fr-CA"). None means English for a built-in profile, and the
            profile's own language for a file or a profile.

    Returns:
        The profile. A given profile is returned unchanged.

    Raises:
        InvalidInputError: The profile, the language or the file does not exist; the file is not TOML; or a key is
            unknown, missing, empty or of the wrong type. The message names the file and the key.
    """
    short = None if language is None else _normalize_language(language)
    if isinstance(name_or_path, DomainProfile):
        return _check_language(name_or_path, short, f"The profile {name_or_path.name!r}")
    if str(name_or_path).lower().endswith(_SUFFIX):
        return _check_language(_read_profile(Path(name_or_path)), short, str(name_or_path))
    return _read_profile(_find_built_in(str(name_or_path), short or _DEFAULT_LANGUAGE))


def load_built_in_domains() -> tuple[DomainProfile, ...]:
    """Return the built-in profiles, sorted by name and language."""
    return tuple(
        _read_profile(_find_built_in(name, language)) for name in _list_names() for language in list_languages(name)
    )


def list_languages(name: str) -> tuple[str, ...]:
    """Return the languages of a built-in profile.

    Args:
        name: The name of the profile.

    Raises:
        InvalidInputError: The profile does not exist.
    """
    return tuple(language for language in LANGUAGES if _find_built_in(name, language).is_file())


def get_profile_path(name: str, *, language: str = _DEFAULT_LANGUAGE) -> Path:
    """Return the path of a built-in profile's TOML file, to be copied and changed.

    Args:
        name: The name of the profile.
        language: "en" or "fr".

    Raises:
        InvalidInputError: The profile or the language does not exist.
    """
    return Path(str(_find_built_in(name, _normalize_language(language))))


def _get_folder() -> Traversable:
    return files("langchain_gptoss.domains").joinpath("profiles")


def _list_names() -> tuple[str, ...]:
    return tuple(sorted({file.name.split(".")[0] for file in _get_folder().iterdir() if file.name.endswith(_SUFFIX)}))


def _find_built_in(name: str, language: str) -> Traversable:
    names = _list_names()
    if name not in names:
        raise InvalidInputError(
            f"There is no domain {name!r}.",
            hint=f"{suggest_name(name, names)} For your own profile, give the path of a file that ends in {_SUFFIX}.",
        )
    return _get_folder().joinpath(f"{name}.{language}{_SUFFIX}")


def _normalize_language(language: str) -> str:
    short = language.strip().lower().replace("_", "-").split("-")[0]
    if short not in LANGUAGES:
        raise InvalidInputError(
            f"There are no texts in the language {language!r}.", hint=f"Use {' or '.join(LANGUAGES)}."
        )
    return short


def _check_language(profile: DomainProfile, language: str | None, origin: str) -> DomainProfile:
    if language not in (None, profile.language):
        raise InvalidInputError(
            f"{origin} is written in {profile.language!r}, and language={language!r} was requested.",
            hint="Leave out language, or give a profile in that language.",
        )
    return profile


def _read_profile(file: Traversable) -> DomainProfile:
    try:
        text = file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        return DomainProfile(**tomllib.loads(text))
    except FileNotFoundError:
        raise InvalidInputError(f"There is no file {file}.", hint="Give the path of a profile, or a name.") from None
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{file} is not UTF-8 text (byte {error.start}).", hint="Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"{file} is not TOML: {error}.") from error
    except InvalidInputError as error:
        raise InvalidInputError(f"{file}: {error.message}", hint=error.hint) from error
