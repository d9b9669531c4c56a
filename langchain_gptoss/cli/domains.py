"""`gptoss domains`: list the built-in domain profiles, or print one to be copied and changed."""

from typing import TYPE_CHECKING, Annotated

import typer

from langchain_gptoss.cli.console import clean_exit, note, show, show_json

if TYPE_CHECKING:
    from langchain_gptoss.domains import DomainProfile

ProfileName = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="A profile to print: its name, or the path of a file.")
]
Language = Annotated[str | None, typer.Option("--language", help="en or fr.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def domains(name: ProfileName = None, *, language: Language = None, as_json: AsJson = False) -> None:
    """List the built-in domains, or print one: gptoss domains support --language fr."""
    with clean_exit():
        if name is None:
            _list_profiles(language, as_json)
        else:
            _print_profile(name, language, as_json)


def _list_profiles(language: str | None, as_json: bool) -> None:
    from langchain_gptoss.domains import list_languages, load_built_in_domains, load_domain

    names = sorted({profile.name for profile in load_built_in_domains()})
    profiles = [load_domain(name, language=language) for name in names]
    if not as_json:
        _print_table(profiles)
        return
    rows = [
        {
            "name": profile.name,
            "languages": list_languages(profile.name),
            "title": profile.title,
            "description": profile.description,
        }
        for profile in profiles
    ]
    show_json(rows)


def _print_table(profiles: "list[DomainProfile]") -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from langchain_gptoss.domains import list_languages
    from langchain_gptoss.text.terminal import clean_line

    table = Table("Name", "Languages", "Title", "Description", box=SIMPLE)
    for profile in profiles:
        languages = ", ".join(list_languages(profile.name))
        cells = profile.name, languages, profile.title, profile.description
        table.add_row(*map(clean_line, cells))
    Console().print(table, markup=False)


def _print_profile(name: str, language: str | None, as_json: bool) -> None:
    """Print a file unchanged on standard output, so that `gptoss domains law > my.toml` makes a copy."""
    from pathlib import Path

    from langchain_gptoss.domains import get_profile_path, load_domain

    profile = load_domain(name, language=language)
    path = Path(name) if name.lower().endswith(".toml") else get_profile_path(name, language=profile.language)
    if as_json:
        values = {"path": str(path), "fingerprint": profile.fingerprint, "profile": profile.model_dump(mode="json")}
        show_json(values)
        return
    note(str(path))
    show(path.read_text(encoding="utf-8-sig"), ends_line=False)
