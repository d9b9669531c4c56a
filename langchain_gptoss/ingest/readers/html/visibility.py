"""Removal of what a page does not show: hidden elements, and elements that are no text."""

from __future__ import annotations

import re
from typing import Any

from langchain_gptoss.ingest.readers.html.stylesheets import Stylesheet, parse_style_attribute

VERTICAL_ALIGN = "data-vertical-align"
"""Attribute for the renderer: `super` or `sub` if the page's styles say so."""
IS_BLOCK = "data-is-block"
"""Attribute for the renderer: present if the page's styles make an inline element a block."""

_TAGS_WITHOUT_TEXT = {
    *("applet", "audio", "canvas", "embed", "frameset", "head", "iframe", "map", "noframes", "noscript", "object"),
    *("script", "style", "svg", "template", "title", "video"),
    *("datalist", "meter", "optgroup", "option", "progress", "select", "textarea"),
    *("del", "s", "strike"),
}
_BLOCK_DISPLAYS = {
    "block",
    "flex",
    "grid",
    "list-item",
    "table",
    "table-row",
    "flow-root",
    "inline-flex",
    "inline-grid",
}
_FLEX_DISPLAYS = {"flex", "grid", "inline-flex", "inline-grid", "table-row"}
_RAISED = {"super": "super", "text-top": "super", "sub": "sub", "text-bottom": "sub"}
_FAR_AWAY = re.compile(r"-\d{4,}(?:\.\d+)?(?:px|em|rem|pt|%)?")
_ZERO = re.compile(r"0+(?:\.0+)?(?:px|em|rem|pt|%)?")
_EDIT_LINK = "mw-editsection"  # "[edit]" in the headings of wikis
_ROOTS = ("html", "body")


def remove_invisible_elements(root: Any) -> None:
    """Remove what a browser does not show, comments included, and mark what the renderer must know about styles.

    Text that a click on the page shows stays: closed `<details>`, and the panels of tabs and accordions.
    """
    stylesheet = Stylesheet(style.text or "" for style in root.iter("style"))
    panels = _find_panels(root)
    # The list is made first, because removing an element ends an iteration over its tree.
    for element in list(root.iter()):
        if element is not root and element.getparent() is None:
            continue
        if (
            not isinstance(element.tag, str)
            or element.tag in _TAGS_WITHOUT_TEXT
            or _EDIT_LINK in (element.get("class") or "").split()
        ):
            remove_element(element)
            continue
        styles = stylesheet.compute(element)
        if element.tag in _ROOTS:
            continue  # many pages hide themselves until their script has run
        decoration = styles.get("text-decoration", "") + styles.get("text-decoration-line", "")
        if "line-through" in decoration or (_is_hidden(element, styles) and not _is_panel(element, panels)):
            remove_element(element)
        elif styles:
            _mark_layout(element, styles)


def remove_element(element: Any) -> None:
    """Remove an element and what it contains; the text behind it stays."""
    parent = element.getparent()
    if parent is None:
        return
    if element.tail:
        previous = element.getprevious()
        if previous is None:
            parent.text = (parent.text or "") + element.tail
        else:
            previous.tail = (previous.tail or "") + element.tail
    element.tail = None
    parent.remove(element)


def _is_hidden(element: Any, styles: dict[str, str]) -> bool:
    hidden = element.get("hidden")
    if hidden is not None and hidden.lower() != "until-found":
        return True
    if (element.get("aria-hidden") or "").lower() == "true":
        return True
    if element.tag == "dialog" and element.get("open") is None:
        return True
    if styles.get("display") == "none" or styles.get("visibility") in ("hidden", "collapse"):
        return True
    style = element.get("style")
    return bool(style) and _is_hidden_by_trick(element, parse_style_attribute(style))


def _is_hidden_by_trick(element: Any, style: dict[str, str]) -> bool:
    """Return True for text that is transparent, too small, without room, or far outside of the page.

    Transparent elements that move are the beginning of an animation, and the size of letters can be set again inside.
    """
    if _ZERO.fullmatch(style.get("opacity", "")) and not style.keys() & {"transform", "transition", "animation"}:
        return True
    if _ZERO.fullmatch(style.get("font-size", "")) and len(element) == 0:
        return True
    if _ZERO.fullmatch(style.get("max-height", style.get("height", ""))) and style.get("overflow") == "hidden":
        return True
    if style.get("position") in ("absolute", "fixed") and any(
        _FAR_AWAY.fullmatch(style.get(side, "")) for side in ("left", "top", "right", "bottom")
    ):
        return True
    return bool(_FAR_AWAY.fullmatch(style.get("text-indent", "")))


def _find_panels(root: Any) -> set[str]:
    """Return the ids of the elements that a tab or the title of an accordion shows."""
    ids: set[str] = set()
    for element in root.iter("button", "a", "div", "summary", "h2", "h3", "h4", "li", "span"):
        is_control = element.get("role") == "tab" or (
            element.get("aria-expanded") is not None and not element.get("aria-haspopup")
        )
        if is_control and not any(ancestor.tag in ("nav", "header") for ancestor in element.iterancestors()):
            ids.update((element.get("aria-controls") or "").split())
    return ids


def _is_panel(element: Any, panels: set[str]) -> bool:
    return element.get("role") == "tabpanel" or (bool(panels) and element.get("id") in panels)


def _mark_layout(element: Any, styles: dict[str, str]) -> None:
    if position := _RAISED.get(styles.get("vertical-align", "")):
        element.set(VERTICAL_ALIGN, position)
    display = styles.get("display", "").split(" ")[0]
    if display in _BLOCK_DISPLAYS:
        element.set(IS_BLOCK, "")
    if display in _FLEX_DISPLAYS:
        for child in element:
            if isinstance(child.tag, str):
                child.set(IS_BLOCK, "")
