"""LangChain's standard integration tests with the large demo model, if it is in the cache."""

from typing import Any

import pytest

from langchain_gptoss.models.demo_large import get_demo_large_folder

from tests.integration_tests.demo_suite import FullSuite  # isort: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not get_demo_large_folder().is_dir(), reason="the large demo model is not in the cache: 1.1 GB to fetch"
    ),
]


class TestStandard(FullSuite):
    """LangChain's standard integration tests, every feature on."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "demo-large", "max_tokens": 200}
