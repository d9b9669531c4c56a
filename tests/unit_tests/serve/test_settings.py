"""Settings of a server."""

import pytest

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.serve import ServerSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_body_bytes": 0}, "max_body_bytes is 0"),
        ({"upload_seconds": -1}, "upload_seconds is -1"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds is nan"),
        ({"max_concurrent": "8"}, "max_concurrent is '8'"),
        ({"max_batch": 0}, "max_batch is 0"),
        ({"grace_seconds": None}, "grace_seconds is None"),
        ({"requests_per_minute": 0}, "requests_per_minute is 0"),
        ({"cors_origins": ("intranet.example",)}, "cors_origins contains 'intranet.example'"),
        ({"cors_origins": ("https://intranet.example/",)}, "without a path"),
        ({"cors_origins": ("*",)}, "An origin looks like"),
    ],
)
def test_invalid_settings_are_refused(values, message):
    with pytest.raises(InvalidInputError, match=message):
        ServerSettings(**values)
    assert ServerSettings(requests_per_minute=None).requests_per_minute is None
