"""Removal of what a web page repeats around its content: menus, cookie banners, headers and footers of links."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from typing import Any

from langchain_gptoss.ingest.readers.html.visibility import remove_element

_NAVIGATION_ROLES = frozenset({"navigation", "menu", "menubar", "search", "toolbar"})
_CONTENT_TAGS = ("main", "article")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_CONTAINERS = ("div", "ul", "ol", "section", "aside", "p", "table", "center", "header", "footer", "menu", "span")
_FRAME_NAMES = {"header", "footer", "site-header", "site-footer", "page-header", "page-footer", "masthead", "colophon"}

_MENU_NAME = re.compile(
    r"(?:^|[\s_-])(?:nav|navs|navbar|navigation|menus?|submenu|sidemenu|mainmenu|menubar|breadcrumbs?|ariane|sitemap|pagination"
    r"|pager|skip|skiplinks?|social|share|sharing|partage|toolbar|topbar|languages?|langs?|langues?)(?:$|[\s_-])",
    re.IGNORECASE,
)
_PATH_NAME = re.compile(r"(?:^|[\s_-])(?:breadcrumbs?|ariane|pagination|pager)(?:$|[\s_-])", re.IGNORECASE)
_SKIP_LINK = re.compile(r"(?:skip|jump|go) to\b|(?:aller|passer|accéder) (?:directement )?(?:au|à la)\b", re.IGNORECASE)
_CONTACT_OR_FILE = re.compile(
    r"(?:mailto|tel|sms):|[^?#]*\.(?:pdf|docx?|xlsx?|pptx?|odt|ods|zip|csv|epub)(?:[?#]|$)", re.IGNORECASE
)
_WORD = re.compile(r"\w{2,}")
_COPYRIGHT = re.compile(
    r"(?:©|\(c\)|copyright)[^.|•·\n]{0,80}|all rights reserved|tous droits réservés|powered by \w+", re.IGNORECASE
)
# Pages that every site has; their names say nothing, whether they are links or not.
_STANDARD_PAGE = re.compile(
    r"\b(?:imprint|impressum|legal(?: notices?| information)?|privacy(?: (?:policy|notice|statement))?"
    r"|cookies?(?: policy)?|terms(?: (?:and|&) conditions| of (?:use|service))?|accessibility(?: statement)?|site ?map"
    r"|contact(?: us)?"
    r"|mentions légales|(?:informations|données) (?:légales|personnelles)|(?:politique de )?confidentialité"
    r"|plan du site|accessibilité(?: ?: (?:non|partiellement|totalement) conforme)?"
    r"|(?:conditions générales(?: d['’]utilisation| de vente)?|cg[uv])|crédits|gestion des cookies"
    r"|contactez-nous)(?!\w)",
    re.IGNORECASE,
)
_COOKIE_NOTICE = re.compile(
    r"(?:uses?|using|utilis\w+|dépos\w+|stor(?:e|ing|es)|accept\w*|refus\w+|plac(?:e|ing)|set|recours à|gestion des"
    r"|about|à propos des)\b[^.]{0,60}\b(?:cookies?|traceurs?)\b"
    r"|\b(?:cookies?|traceurs?)\b[^.]{0,60}\b(?:consent\w*|accept\w*|preferences|settings|policy|politique|préférences|expérience|experience|audience|partenaires|partners)\b",
    re.IGNORECASE,
)
_CONSENT = re.compile(
    r"(?:yes,? )?(?:i |we )?(?:accept|agree|allow|reject|decline|refuse|deny|consent|got it|understood|ok\b|okay"
    r"|manage (?:my )?(?:cookies|preferences|settings|choices|options)|customi[sz]e"
    r"|(?:cookie )?(?:settings|preferences)|(?:strictly |only )?(?:necessary|essential)|continue without|close$"
    r"|save (?:my )?(?:preferences|settings|choices))"
    r"|(?:tout |j['’])?(?:accept|refus|autoris|rejet)|d['’]accord|j['’]ai compris|compris$|gérer (?:mes|les)|paramétr"
    r"|personnalis|continuer sans|préférences|(?:cookies )?nécessaires|fermer$|enregistrer (?:mes|les)",
    re.IGNORECASE,
)
_MAX_BANNER_CHARS = 1500
_MAX_MENU_CHARS = 20_000
_MAX_CONTROL_CHARS = 45
_MAX_MENU_LINK_CHARS = 45
_MIN_MENU_LINKS = 3
_MAX_PATH_CHARS = 120  # beside the links of "You are here: Home > Fares > Winter"
_MIN_LINK_SHARE = 0.6
_MAX_NAME_WORDS = 4  # of the name of a site beside its links
_MIN_CONTENT_CHARS = 40


def remove_boilerplate(body: Any) -> None:
    """Remove menus, cookie banners, headers and footers that only navigate, and repetitions of headers and footers."""
    remove_navigation(body)
    _remove_consent_banners(body)
    for element in list(body.iter(*_CONTAINERS)):
        if _is_attached(element, body) and (_is_named_menu(element) or _is_empty_frame(element)):
            remove_element(element)
    for link in list(body.iter("a")):
        if (link.get("href") or "").startswith("#") and _SKIP_LINK.match(_get_text(link)):
            remove_element(link)
    _remove_link_bars(body)
    _remove_repetitions(body)


def remove_navigation(body: Any) -> None:
    """Remove the elements that are marked as navigation."""
    for element in list(body.iter()):
        if not isinstance(element.tag, str) or element is body:
            continue
        if element.tag == "nav" or (element.get("role") or "").lower() in _NAVIGATION_ROLES:
            remove_element(element)


def _is_attached(element: Any, body: Any) -> bool:
    return any(ancestor is body for ancestor in element.iterancestors())


def _get_text(element: Any) -> str:
    return " ".join(element.text_content().split())


def _get_short_text(element: Any, limit: int) -> str | None:
    """Return the text of an element, None if it is longer than a limit; a long text is not read to its end."""
    parts: list[str] = []
    length = 0
    for text in element.itertext():
        words = text[: 4 * limit].split()
        parts += words
        length += sum(map(len, words)) + len(words)
        if length > limit:
            return None
    return " ".join(parts)


def _is_menu_link(link: Any) -> bool:
    return not _CONTACT_OR_FILE.match(link.get("href") or "") and len(_get_text(link)) <= _MAX_MENU_LINK_CHARS


def _measure_links(element: Any) -> tuple[int, float, str]:
    """Return the number of menu links in an element, their share of its text, and the rest of its text."""
    links = {link for link in element.iter("a") if _is_menu_link(link)}
    rest = " ".join(" ".join(_iterate_texts(element, links)).split())
    length = sum(len(_get_text(link)) for link in links)
    return len(links), length / max(length + len(rest), 1), rest


def _iterate_texts(element: Any, left_out: Set[Any]) -> Iterator[str]:
    """Yield the texts of an element, without those of some elements in it."""
    if element not in left_out:
        yield element.text or ""
        for child in element:
            yield from _iterate_texts(child, left_out)
            yield child.tail or ""


def _is_named_menu(element: Any) -> bool:
    names = f"{element.get('class') or ''} {element.get('id') or ''} {element.get('aria-label') or ''}"
    if not _MENU_NAME.search(names) or _get_short_text(element, _MAX_MENU_CHARS) is None:
        return False
    if any(True for _ in element.iter("main", "article", "h1")):
        return False
    count, share, rest = _measure_links(element)
    is_path = bool(_PATH_NAME.search(names)) and len(rest) <= _MAX_PATH_CHARS
    return count > 0 and (share >= _MIN_LINK_SHARE or is_path)


def _is_empty_frame(element: Any) -> bool:
    """Return True for the header or footer of a page without anything but links, page names and a copyright notice."""
    if not _is_frame(element) or any(ancestor.tag in _CONTENT_TAGS for ancestor in element.iterancestors()):
        return False
    if _get_short_text(element, _MAX_MENU_CHARS) is None or any(True for _ in element.iter(*_CONTENT_TAGS, "h1")):
        return False
    _, share, rest = _measure_links(element)
    words = _WORD.findall(_COPYRIGHT.sub(" ", _STANDARD_PAGE.sub(" ", rest)))
    return not words or (share >= _MIN_LINK_SHARE and len(words) <= _MAX_NAME_WORDS and not re.search(r"\d", rest))


def _is_frame(element: Any) -> bool:
    if element.tag in ("header", "footer") or element.get("role") in ("banner", "contentinfo"):
        return True
    names = {*(element.get("class") or "").lower().split(), (element.get("id") or "").lower()}
    return not names.isdisjoint(_FRAME_NAMES)


def _remove_consent_banners(body: Any) -> None:
    """Remove the smallest block around each button of consent that speaks of cookies, if it is small enough."""
    for control in list(_iterate_controls(body)):
        label = control.get("value") or "" if control.tag == "input" else _get_text(control)
        if len(label) > _MAX_CONTROL_CHARS or not _CONSENT.match(label.strip()):
            continue
        if control.tag == "a" and any(ancestor.tag in _CONTENT_TAGS for ancestor in control.iterancestors()):
            continue  # a link of a text about cookies
        banner = None
        for ancestor in control.iterancestors():
            if ancestor is body or ancestor.tag in ("body", "html", *_CONTENT_TAGS):
                break
            text = _get_short_text(ancestor, _MAX_BANNER_CHARS)
            if text is None or any(True for _ in ancestor.iter("h1", *_CONTENT_TAGS)):
                break
            if _COOKIE_NOTICE.search(text):
                # A wrapper with the same text belongs to the banner.
                if banner is None or text == _get_short_text(banner, _MAX_BANNER_CHARS):
                    banner = ancestor
                else:
                    break
        if banner is not None:
            remove_element(banner)


def _iterate_controls(body: Any) -> Iterator[Any]:
    for element in body.iter("button", "a", "input", "div", "span"):
        is_control = element.tag == "button" or element.get("role") == "button" or element.get("onclick") is not None
        if is_control or element.tag == "a" or (element.tag == "input" and element.get("type") in ("button", "submit")):
            yield element


def _remove_link_bars(body: Any) -> None:
    """Remove blocks of nothing but links before the first and behind the last text of a page."""
    order = {element: number for number, element in enumerate(body.iter())}
    content = [order[element] for element in order if isinstance(element.tag, str) and _has_content(element)]
    if not content:
        return
    first = next(element for element, number in order.items() if number == content[0])
    around = set(first.iterancestors())
    for element in list(order):
        if element.tag not in _CONTAINERS or element in around or not _is_attached(element, body):
            continue
        if content[0] <= order[element] <= content[-1] or _is_introduced(element):
            continue
        if any(ancestor.tag in _CONTENT_TAGS for ancestor in element.iterancestors()):
            continue
        count, _, rest = _measure_links(element)
        if count >= _MIN_MENU_LINKS and not _WORD.search(rest):
            remove_element(element)


def _has_content(element: Any) -> bool:
    """Return True for a heading and for an element with a sentence of its own, outside of links."""
    if element.tag == "a" or any(ancestor.tag == "a" for ancestor in element.iterancestors()):
        return False
    own = " ".join([element.text or "", *(child.tail or "" for child in element)]).split()
    if element.tag in _HEADINGS:
        return bool(own)
    return len(" ".join(own)) >= _MIN_CONTENT_CHARS


def _is_introduced(element: Any) -> bool:
    """Return True if a heading or a line with a colon stands before an element: it is a list of the content."""
    previous = element.getprevious()
    if previous is None:
        parent = element.getparent()
        before = (parent.text or "").rstrip() if parent is not None else ""
        if before:
            return before.endswith(":")
        previous = parent.getprevious() if parent is not None else None
    if previous is None or not isinstance(previous.tag, str):
        return False
    return previous.tag in _HEADINGS or (_get_text(previous) + (previous.tail or "")).rstrip().endswith(":")


def _remove_repetitions(body: Any) -> None:
    """Keep the first of the headers and footers that differ at most in numbers, such as those of printed pages."""
    seen: set[str] = set()
    for element in list(body.iter("header", "footer", "div", "p")):
        if not _is_frame(element) or not _is_attached(element, body):
            continue
        key = re.sub(r"\d+", "", _get_short_text(element, _MAX_BANNER_CHARS) or "").lower()
        if key in seen:
            remove_element(element)
        elif key:
            seen.add(key)
