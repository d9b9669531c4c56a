"""Formulas in MathML as one line of text: 10^4, (a + b)/2, √(x)."""

from __future__ import annotations

from typing import Any

from langchain_gptoss.ingest.readers.notation import format_subscript, format_superscript


def format_formula(element: Any) -> str:
    """Return a MathML element as text."""
    tag = element.tag.rpartition(":")[2]
    parts = [format_formula(child) for child in element if isinstance(child.tag, str)]
    match tag:
        case "annotation" | "annotation-xml":
            return ""
        case "msup" | "mover" if len(parts) == 2:
            return parts[0] + format_superscript(parts[1], parts[0])
        case "msub" | "munder" if len(parts) == 2:
            return parts[0] + format_subscript(parts[1], parts[0])
        case "msubsup" | "munderover" if len(parts) == 3:
            base = parts[0] + format_subscript(parts[1], parts[0])
            return base + format_superscript(parts[2], parts[0])
        case "mfrac" if len(parts) == 2:
            return f"{_add_brackets(parts[0])}/{_add_brackets(parts[1])}"
        case "msqrt":
            return f"√{_add_brackets(''.join(parts))}"
        case "mroot" if len(parts) == 2:
            return f"{parts[1]}√{_add_brackets(parts[0])}"
        case "mo":
            return _format_operator(" ".join((element.text or "").split()))
        case "mn" | "mi" | "mtext" | "ms":
            return " ".join(element.text_content().split())
        case "mtr" | "mtd" | "mspace":
            return f"{''.join(parts)} "
    return " ".join((element.text or "").split()) + "".join(parts)


def _add_brackets(text: str) -> str:
    text = text.strip()
    return text if text.replace(".", "").replace(",", "").isalnum() else f"({text})"


def _format_operator(sign: str) -> str:
    if sign in ("\u2061", "\u2062", "\u2063", "\u2064"):  # invisible operators
        return ""
    return sign if sign in ("(", ")", "[", "]", "{", "}", "|", "!", "′", ".") else f" {sign} "
