"""Characters of the fonts Symbol and Wingdings, whose codes mean other signs than in Unicode."""

_SYMBOL = (
    " !∀#∃%&∋()*+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}~",
    "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪",
    "〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭",
)
_FONTS: dict[str, dict[int, str]] = {
    "symbol": {
        first + offset: sign
        for first, signs in zip((0x20, 0xA0, 0xF1), _SYMBOL, strict=True)
        for offset, sign in enumerate(signs)
    },
    "wingdings": {
        0x28: "☎", 0x29: "✆", 0x2A: "✉", 0x6C: "●", 0x6E: "■", 0x6F: "☐", 0x71: "☐", 0x72: "☐", 0x75: "◆", 0x76: "❖",
        0x9F: "•", 0xA7: "▪", 0xA8: "☐", 0xD8: "➢", 0xDF: "←", 0xE0: "→", 0xE1: "↑", 0xE2: "↓", 0xE8: "→", 0xEF: "⇦",
        0xF0: "⇨", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑",
        **{0x81 + number: chr(0x2460 + number) for number in range(10)},
        **{0x8C + number: chr(0x2776 + number) for number in range(10)},
    },
    "wingdings 2": {0x4F: "✗", 0x50: "✓", 0x51: "☒", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0xA2: "■", 0xA3: "☐"},
}  # fmt: skip
_PRIVATE_AREA = 0xF000  # Word adds it to the codes of these fonts


def find_symbol(font: str, code: int) -> str:
    """Return a character of a font by its code, "" if its meaning is not known here."""
    signs = _FONTS.get(font.lower())
    if signs is None:
        return "" if _PRIVATE_AREA <= code <= _PRIVATE_AREA + 0xFF or not 0x20 <= code <= 0xFFFF else chr(code)
    return signs.get(code & 0xFF, "")


def translate_symbols(text: str, font: str) -> str:
    """Return text with the characters that Word stores for a font of symbols replaced."""
    if not any(_PRIVATE_AREA <= ord(character) <= _PRIVATE_AREA + 0xFF for character in text):
        return text
    return "".join(
        find_symbol(font or "symbol", ord(character))
        if _PRIVATE_AREA <= ord(character) <= _PRIVATE_AREA + 0xFF
        else character
        for character in text
    )
