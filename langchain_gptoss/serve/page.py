"""The web page at `/`: ask the chatbot in a browser, and see each citation in its document."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from langchain_core.runnables import Runnable

from langchain_gptoss.audit import get_provenance
from langchain_gptoss.chatbot import Chatbot
from langchain_gptoss.chatbot.localization import LocalizedTexts
from langchain_gptoss.serve.html_headers import PAGE_HEADERS
from langchain_gptoss.serve.page_samples import SampleQuestions

_MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def build_page_routes(chatbot: Runnable[Any, Any], *, title: str, needs_key: bool) -> APIRouter:
    """Return the routes of the page, its assets, and its settings.

    Args:
        chatbot: Answers the questions.
        title: Title of the page.
        needs_key: True if the page must ask for a key.
    """
    router = APIRouter(include_in_schema=False)
    parts = chatbot.settings if isinstance(chatbot, Chatbot) else None
    # Everyone may read the settings of the page, and with keys not everyone may read the documents.
    samples = SampleQuestions(parts, quotes_documents=not needs_key) if parts is not None else None

    @router.get("/")
    async def get_page() -> Response:
        return _read_asset("index.html")

    @router.get("/assets/{name}")
    async def get_asset(name: str) -> Response:
        return _read_asset(name)

    @router.get("/assets/page/about.json")
    async def get_settings() -> dict[str, Any]:
        texts = list(parts.texts.values()) if parts is not None else []
        questions = {each.language: await samples.get(each.language) for each in texts} if samples is not None else {}
        return {
            "title": title,
            "needs_key": needs_key,
            "sessions": isinstance(chatbot, Chatbot) and chatbot.sessions is not None,
            "provenance": get_provenance(parts.llm)["line"] if parts else "",
            "languages": {each.language: _describe(each, questions[each.language]) for each in texts},
        }

    return router


def _describe(texts: LocalizedTexts, sample_questions: list[str]) -> dict[str, Any]:
    profile = texts.profile
    return {
        "title": profile.title if profile else "",
        "description": profile.description if profile else "",
        "sample_questions": sample_questions,
        "disclaimer": texts.disclaimer,
    }


def _read_asset(name: str) -> Response:
    folder = files("langchain_gptoss.serve").joinpath("assets")
    # Comparing names, not joining paths, keeps other files unreachable.
    asset = next((each for each in folder.iterdir() if each.name == name), None)
    media_type = _MEDIA_TYPES.get(f".{name.rpartition('.')[2]}")
    if asset is None or media_type is None:
        raise HTTPException(404, "There is no such file.")
    return Response(asset.read_bytes(), media_type=f"{media_type}; charset=utf-8", headers=PAGE_HEADERS)
