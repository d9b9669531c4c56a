"""Formulas of Word (OMML) as one line of text: 10^4, (a + b)/2, √(x)."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from langchain_gptoss.ingest.readers.notation import format_subscript, format_superscript


def format_formula(element: Element) -> str:
    """Return a formula as text."""
    tag = element.tag.removeprefix("m_")
    match tag:
        case "t":
            return element.text or ""
        case "sSup":
            base = _format_part(element, "e")
            return base + format_superscript(_format_part(element, "sup"), base)
        case "sSub":
            base = _format_part(element, "e")
            return base + format_subscript(_format_part(element, "sub"), base)
        case "sSubSup":
            base = _format_part(element, "e")
            lowered = format_subscript(_format_part(element, "sub"), base)
            return base + lowered + format_superscript(_format_part(element, "sup"), base)
        case "f":
            return f"{_add_brackets(_format_part(element, 'num'))}/{_add_brackets(_format_part(element, 'den'))}"
        case "rad":
            return f"{_format_part(element, 'deg')}√{_add_brackets(_format_part(element, 'e'))}"
        case "d":
            opening = _get_property(element, "begChr", "(")
            closing = _get_property(element, "endChr", ")")
            return opening + "; ".join(format_formula(part) for part in element.findall("m_e")) + closing
        case "nary":
            limits = f"({_format_part(element, 'sub')}; {_format_part(element, 'sup')})"
            sign = _get_property(element, "chr", "∫")
            return f"{sign}{limits if limits != '(; )' else ''} {_format_part(element, 'e')}"
        case "mr":
            return "; ".join(format_formula(part) for part in element) + " "
        case _ if tag.endswith("Pr") or element.tag == "rPr":
            return ""
    return "".join(format_formula(child) for child in element)


def _format_part(element: Element, name: str) -> str:
    part = element.find(f"m_{name}")
    return "" if part is None else format_formula(part)


def _get_property(element: Element, name: str, default: str) -> str:
    found = element.find(f"m_{element.tag.removeprefix('m_')}Pr/m_{name}")
    return default if found is None else found.get("m_val", default)


def _add_brackets(text: str) -> str:
    text = text.strip()
    return text if text.replace(".", "").replace(",", "").isalnum() else f"({text})"
