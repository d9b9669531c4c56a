"""Names of tools as models write them."""

import pytest

from langchain_gptoss.chat_formats.tool_names import find_tool

TOOLS = ["bash", "get_weather", "Search", "search", "a.b", "functions", "getTime", "get_time", "lire_été"]


@pytest.mark.parametrize(
    ("recipient", "tool"),
    [
        ("bash", "bash"),
        ("functions.bash", "bash"),
        ("functions.functions.bash", "bash"),
        ("function.bash", "bash"),
        ("Functions.Bash", "bash"),
        ("functions/bash", "bash"),
        ("BASH", "bash"),
        ("functions.bash?", "bash"),
        ("functions.bash()", "bash"),
        ('functions."bash"', "bash"),
        ("functions.bash.", "bash"),
        ("bash:", "bash"),
        ('"functions.bash"', "bash"),
        ("`bash`,", "bash"),
        ("functions.bashjson", "bash"),
        ("functions.get-weather", "get_weather"),
        ("getWeather", "get_weather"),
        ("functions.GET_WEATHER", "get_weather"),
        ("functions.Search", "Search"),
        ("search", "search"),
        ("functions.a.b", "a.b"),
        ("functions", "functions"),
        ("LIRE_ÉTÉ", "lire_été"),
    ],
)
def test_a_name_that_means_one_tool_is_found(recipient, tool):
    assert find_tool(recipient, TOOLS) == tool


@pytest.mark.parametrize(
    ("recipient", "name"),
    [
        ("functions.gone", "gone"),
        ("browser.search", "browser.search"),
        ("python", "python"),
        ("container.exec", "container.exec"),
        ("functions.bash2", "bash2"),
        ("functions.bas", "bas"),
        ("bash(ls)", "bash(ls)"),
        ("bash/rm", "bash/rm"),
        ("bash.bash", "bash.bash"),
        ("SEARCH", "SEARCH"),  # Search or search
        ("gettime", "gettime"),  # getTime or get_time
        ("functions.", "functions"),
        ("???", "???"),
    ],
)
def test_another_name_is_no_tool(recipient, name):
    tools = [tool for tool in TOOLS if tool != "functions"]
    assert find_tool(recipient, tools) == name
    assert name not in tools
