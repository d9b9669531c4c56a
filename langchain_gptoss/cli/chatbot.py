"""The chatbot that the commands use, and their common options."""

import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from langchain_gptoss.cli.console import note

if TYPE_CHECKING:
    from langchain_gptoss.chatbot import Chatbot

Docs = Annotated[
    str | None, typer.Option("--docs", help="A folder, a file or a pattern: Markdown, text, HTML, PDF, Office, e-mail.")
]
Store = Annotated[str | None, typer.Option("--store", help="Instead of --docs: an index that `gptoss index` made.")]
Model = Annotated[str, typer.Option("--model", help="A name such as demo or gpt-oss-20b, a folder, or a hub id.")]
Adapter = Annotated[
    str | None, typer.Option("--adapter", help="A LoRA adapter that is merged into the model: a folder or a hub id.")
]
Domain = Annotated[str | None, typer.Option("--domain", help="A name from `gptoss domains`, or a TOML file.")]
Language = Annotated[str | None, typer.Option("--language", help="en or fr. Default: the language of the question.")]
Guard = Annotated[
    str | None,
    typer.Option("--guard-model", help="A model that checks questions and answers against the domain's policy."),
]
PromptCache = Annotated[
    float | None,
    typer.Option(
        "--prompt-cache",
        metavar="GB",
        help="Keep what was read of prompts on disk for the next start, up to this size.",
    ),
]
Audit = Annotated[str | None, typer.Option("--audit", help="A file that records every answer.")]


def make_chatbot(
    model: str,
    docs: str | None,
    store: str | None = None,
    *,
    adapter: str | None = None,
    guard_model: str | None = None,
    labels: Sequence[str] | None = None,
    prompt_cache_gb: float | None = None,
    warms_up: bool = True,
    **options: Any,
) -> "Chatbot":
    """Return a chatbot over documents or an index.

    Arguments are checked before anything large is loaded.

    Args:
        model: Name of the model.
        docs: The documents, or None.
        store: The index, or None.
        adapter: A LoRA adapter of the model, or None.
        guard_model: Name of the model that checks questions and answers, or None.
        labels: Access labels of documents that have none of their own, or None.
        prompt_cache_gb: Size limit of the prompts that are kept on disk, in GB; None keeps none.
        warms_up: True reads the beginnings of the prompts in a thread, while the first question is awaited.
        **options: Further arguments of `create_chatbot`.

    Raises:
        InvalidInputError: Both or neither of `docs` and `store` are given, labels are given for an index, or an
            argument is invalid.
    """
    from langchain_gptoss.errors import InvalidInputError
    from langchain_gptoss.models.catalog import resolve_model

    if (docs is None) == (store is None):
        raise InvalidInputError("Give either --docs FOLDER or --store INDEX.", hint="`gptoss index` makes an index.")
    if labels and docs is None:
        raise InvalidInputError("--label is for --docs.", hint="An index is labelled by `gptoss index --label`.")
    if prompt_cache_gb is not None and not 0 < prompt_cache_gb < math.inf:
        raise InvalidInputError(f"--prompt-cache is {prompt_cache_gb:g}.", hint="Give a size above 0 in GB, such as 2.")
    card = resolve_model(model)
    if card.note:
        note(f"{card.name}: {card.note}")

    from langchain_gptoss.ingest import index_documents, load_documents, open_store
    from langchain_gptoss.models.packing.locate import locate_model

    if options.get("domain"):
        from langchain_gptoss.chatbot.localization import load_texts

        load_texts(options["domain"], options.get("language"))
    documents = load_documents(docs, access=options.get("access"), labels=labels) if docs is not None else []
    locate_model(card, adapter=adapter)
    if guard_model is not None:
        locate_model(resolve_model(guard_model))
    index = open_store(str(store)) if docs is None else index_documents(documents, access=options.get("access"))
    if docs is not None:
        file_count = len({document.metadata["source"] for document in documents})
        note(f"Indexed {file_count} files as {len(index)} passages.")

    from langchain_gptoss.chat_models import ChatGptOss
    from langchain_gptoss.chatbot import create_chatbot

    llm = ChatGptOss(model=model, adapter=adapter, prompt_cache_gb=prompt_cache_gb)
    llm.load()
    if guard_model is not None:
        options["guard_model"] = ChatGptOss(model=guard_model)
        options["guard_model"].load()
    chatbot = create_chatbot(llm, index.as_retriever(), **options)
    if warms_up:
        threading.Thread(target=chatbot.warm_up, name="warm-up", daemon=True).start()
    return chatbot
