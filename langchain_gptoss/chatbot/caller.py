"""The caller of one run: user, access labels and session."""

from dataclasses import dataclass

from langchain_core.runnables import RunnableConfig

from langchain_gptoss.errors import InvalidInputError

ANONYMOUS = "anonymous"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The identity with which a question is asked. It is read once per run and passed on.

    Attributes:
        user_id: The user.
        access_labels: Labels of the documents that the user may see, besides public ones.
        session_id: The user's conversation, or None outside of sessions.
        priority: Priority of the user's requests in the engine; it is for servers, which pass it on.
    """

    user_id: str = ANONYMOUS
    access_labels: tuple[str, ...] = ()
    session_id: str | None = None
    priority: int = 0


def read_caller(config: RunnableConfig, session_id: str | None) -> Caller:
    """Return the caller that `config["configurable"]` names.

    Args:
        config: The configuration of the run; `user_id` and `access_labels` are optional.
        session_id: The session of the input, or None.

    Raises:
        InvalidInputError: `access_labels` is not a list of strings.
    """
    values = config.get("configurable") or {}
    labels = values.get("access_labels", ())
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise InvalidInputError(f"access_labels is {labels!r}.", hint="Pass a list of strings.")
    user_id = values.get("user_id", ANONYMOUS)
    return Caller(user_id=user_id, access_labels=tuple(labels), session_id=session_id)
