"""`gptoss domains`: lists the ready-made profiles, and shows one to be copied and changed."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from langchain_gptoss.cli.console import clean_exit, note

if TYPE_CHECKING:
    from langchain_gptoss.domains import DomainProfile

Which = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="A profile to show: its name, or the path of a file.")
]
Language = Annotated[str | None, typer.Option("--language", help="en or fr.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def domains(name: Which = None, *, language: Language = None, as_json: AsJson = False) -> None:
    """List the ready-made domains, or show one: gptoss domains support --language fr."""
    with clean_exit():
        if name is None:
            _list(language, as_json)
        else:
            _show(name, language, as_json)


def _list(language: str | None, as_json: bool) -> None:
    from langchain_gptoss.domains import available_languages, load_domain
    from langchain_gptoss.domains import domains as ready_made

    names = sorted({profile.name for profile in ready_made()})
    found = [load_domain(name, language=language) for name in names]
    if not as_json:
        _table(found)
        return
    listed = [
        {
            "name": profile.name,
            "languages": available_languages(profile.name),
            "title": profile.title,
            "description": profile.description,
        }
        for profile in found
    ]
    typer.echo(json.dumps(listed, ensure_ascii=False, indent=2))


def _table(profiles: "list[DomainProfile]") -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from langchain_gptoss.domains import available_languages

    table = Table("Name", "Languages", "Title", "Description", box=SIMPLE)
    for profile in profiles:
        languages = ", ".join(available_languages(profile.name))
        table.add_row(profile.name, languages, profile.title, profile.description)
    Console().print(table, markup=False)


def _show(name: str, language: str | None, as_json: bool) -> None:
    """Shows a file as it is on standard output, so that `gptoss domains law > my.toml` makes a copy."""
    from pathlib import Path

    from langchain_gptoss.domains import load_domain, profile_path

    profile = load_domain(name, language=language)
    path = Path(name) if name.lower().endswith(".toml") else profile_path(name, language=profile.language)
    if as_json:
        shown = {"path": str(path), "fingerprint": profile.fingerprint, "profile": profile.model_dump(mode="json")}
        typer.echo(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    note(str(path))
    typer.echo(path.read_text(encoding="utf-8-sig"), nl=False)
