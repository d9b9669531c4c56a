"""LangChain's standard integration tests with the demo models, on this machine or on a server."""

from typing import Any

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_gptoss import ChatGptOss

REPEATS = "With 135 million parameters the model repeats itself inside a string until the token limit"


class FullSuite(ChatModelIntegrationTests):
    """The standard tests, with every feature that the chat model has. All of them pass in test_standard_scripted."""

    @property
    def chat_model_class(self) -> type[ChatGptOss]:
        """The class that is tested."""
        return ChatGptOss

    @property
    def standard_chat_model_params(self) -> dict[str, Any]:
        """Options of the constructor."""
        return {"temperature": 0, "stop": []}

    @property
    def supports_json_mode(self) -> bool:
        """True, because the model has a JSON mode."""
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        """True, because blocks of Anthropic are read."""
        return True


class DemoSuite(FullSuite):
    """The standard tests; those for which the demo model is too small are expected to fail."""

    @pytest.mark.xfail(reason=REPEATS)
    @pytest.mark.parametrize("schema_type", ["pydantic", "typeddict", "json_schema"])
    def test_structured_output(self, model: Any, schema_type: str) -> None:
        super().test_structured_output(model, schema_type)

    @pytest.mark.xfail(reason=REPEATS)
    @pytest.mark.parametrize("schema_type", ["pydantic", "typeddict", "json_schema"])
    async def test_structured_output_async(self, model: Any, schema_type: str) -> None:
        await super().test_structured_output_async(model, schema_type)

    @pytest.mark.xfail(reason=REPEATS)
    def test_structured_output_pydantic_2_v1(self, model: Any) -> None:
        super().test_structured_output_pydantic_2_v1(model)

    @pytest.mark.xfail(reason=REPEATS)
    def test_structured_output_optional_param(self, model: Any) -> None:
        super().test_structured_output_optional_param(model)

    @pytest.mark.xfail(reason="With 135 million parameters the model does not find the keys that the prompt names")
    def test_json_mode(self, model: Any) -> None:
        super().test_json_mode(model)

    @pytest.mark.xfail(reason="With 135 million parameters the model answers without calling the tool")
    def test_agent_loop(self, model: Any) -> None:
        super().test_agent_loop(model)

    @pytest.mark.xfail(reason="The model was not trained on Chinese and Japanese")
    def test_unicode_tool_call_integration(self, model: Any) -> None:
        super().test_unicode_tool_call_integration(model)
