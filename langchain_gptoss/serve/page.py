"""The page at `/`: talk with the chatbot in a browser, and see each citation where it stands in its document."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from langchain_core.runnables import Runnable

from langchain_gptoss.audit import provenance
from langchain_gptoss.chatbot import Chatbot
from langchain_gptoss.chatbot.localization import LocalizedTexts
from langchain_gptoss.serve.gate import PAGE_HEADERS

_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def page_routes(chatbot: Runnable[Any, Any], *, title: str, needs_key: bool) -> APIRouter:
    """Returns the page, what belongs to it, and what it has to know.

    Args:
        chatbot: Whom it talks with.
        title: Its name.
        needs_key: Whether the page has to ask for a key.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page() -> Response:
        return _asset("index.html")

    @router.get("/assets/{name}")
    async def asset(name: str) -> Response:
        return _asset(name)

    @router.get("/assets/page/about.json")
    async def about() -> dict[str, Any]:
        settings = chatbot.settings if isinstance(chatbot, Chatbot) else None
        return {
            "title": title,
            "needs_key": needs_key,
            "sessions": isinstance(chatbot, Chatbot) and chatbot.sessions is not None,
            "provenance": provenance(settings.llm)["line"] if settings else "",
            "languages": {texts.language: _about(texts) for texts in (settings.texts.values() if settings else ())},
        }

    return router


def _about(texts: LocalizedTexts) -> dict[str, Any]:
    profile = texts.profile
    return {
        "title": profile.title if profile else "",
        "description": profile.description if profile else "",
        "sample_questions": list(profile.sample_questions) if profile else [],
        "disclaimer": texts.disclaimer,
    }


def _asset(name: str) -> Response:
    folder = files("langchain_gptoss.serve").joinpath("assets")
    found = next((each for each in folder.iterdir() if each.name == name), None)  # a name, never a path
    kind = _TYPES.get(f".{name.rpartition('.')[2]}")
    if found is None or kind is None:
        raise HTTPException(404, "There is no such file.")
    return Response(found.read_bytes(), media_type=f"{kind}; charset=utf-8", headers=PAGE_HEADERS)
