"""Characters of symbol fonts."""

import pytest

from langchain_gptoss.ingest.readers.word.symbols import find_symbol, translate_symbols


@pytest.mark.parametrize(
    ("font", "code", "sign"),
    [
        ("Symbol", 0xF0A3, "≤"), ("Symbol", 0xB3, "≥"), ("symbol", 0xF061, "α"), ("Symbol", 0xF0B4, "×"), ("Symbol", 0xF0FE, "⎭"),
        ("Wingdings", 0xF0FB, "✗"), ("Wingdings", 0xF0FE, "☑"), ("Wingdings 2", 0xF052, "☑"), ("Wingdings", 0xF021, ""),
        ("Arial", 0x2713, "✓"), ("Arial", 0xF041, ""),
    ],
)  # fmt: skip
def test_codes_of_fonts(font, code, sign):
    assert find_symbol(font, code) == sign


def test_text_in_the_private_area_is_translated():
    assert translate_symbols("a \uf0b3 b", "Symbol") == "a ≥ b"
    assert translate_symbols("a \uf0b3 b", "") == "a ≥ b"
    assert translate_symbols("α ≥ \ue000", "Symbol") == "α ≥ \ue000"
