"""Token counters of embedding models."""

from types import SimpleNamespace

import pytest

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.ingest import create_token_counter


def test_token_counter_ignores_truncation():
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"[UNK]": 0, "a": 1, "b": 2}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.enable_truncation(2)
    embeddings = SimpleNamespace(_client=SimpleNamespace(tokenizer=SimpleNamespace(backend_tokenizer=backend)))
    assert create_token_counter(embeddings)("a b c d e") == 5
    assert backend.truncation is not None
    assert create_token_counter(SimpleNamespace(get_num_tokens=len))("abc") == 3
    with pytest.raises(InvalidInputError, match="Give count_tokens=, a function"):
        create_token_counter(SimpleNamespace())
