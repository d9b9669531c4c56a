"""The options of the chat model and the completion model, and the lazy loading of the model that they name."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.utils import secret_from_env
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_serializer, model_validator

from langchain_gptoss.chat_formats import AnswerGrammar, ChatFormat, load_chat_format
from langchain_gptoss.chat_formats.base import DEFAULT_OPTIONS, Parser, PromptOptions
from langchain_gptoss.chat_formats.stop_filter import StopFilter
from langchain_gptoss.engine import Engine, GenerationRequest, Grammar, SamplingParams, TokenStream
from langchain_gptoss.engine.registry import get_local_engine, get_remote_engine
from langchain_gptoss.engine.request import MAX_LOGPROBS
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.language_models.generation import Generation
from langchain_gptoss.language_models.loop_detection import LoopDetector
from langchain_gptoss.models.catalog import ChatFormatName, ModelCard, ToolFormatName, resolve_model
from langchain_gptoss.models.packing.locate import get_planned_experts, locate_model

# The configuration of LangChain's base classes comes later and wins, so both model classes repeat this one.
MODEL_CONFIG = ConfigDict(extra="forbid", populate_by_name=True, arbitrary_types_allowed=True)

SAMPLING_OPTIONS = frozenset(
    {"temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "logit_bias"}
    | {"seed", "max_tokens", "logprobs", "top_logprobs"}
)

SCHEDULING_OPTIONS = frozenset({"priority", "deadline_s", "cache_salt", "shares_system_prompt", "is_speculative"})
"""Options of a call that change when and how its answer is computed, and not the answer."""

_MIN_ANSWER_TOKENS, _ANSWER_SHARE = 1024, 8  # the default limit of models that do not reason

_LOADED_PROPERTIES = ("card", "checkpoint", "format", "running_engine")
# A new value of one of these fields makes the loaded properties invalid.
_LOADING_FIELDS = frozenset(
    {
        "model",
        "adapter",
        "device",
        "dtype",
        "experts",
        "max_context",
        "cache_gb",
        "prompt_cache_gb",
        "precise",
        "chat_format",
        "tool_format",
    }
    | {"base_url", "api_key", "timeout", "max_retries", "engine"}
)


class GptOssModel(BaseModel):
    """The fields of both model classes and the loading of the model; a base class only."""

    model_config = MODEL_CONFIG

    model: str | Path = "gpt-oss-20b"
    """A name in the catalog (`"demo"`, `"gpt-oss-20b"`), a folder with a checkpoint, or a hub id."""
    adapter: str | Path | None = None
    """A LoRA adapter that is merged into the model, once: a folder or a hub id."""
    temperature: float | None = Field(default=None, ge=0)
    """0 chooses the most likely token. None: the publisher's recommendation, from the catalog or the folder's
    `generation_config.json` (1.0; 0 for the demo models and where it says `"do_sample": false`)."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Samples from the most likely tokens only, whose probabilities add up to this share."""
    top_k: int = Field(default=0, ge=0)
    """Samples from this many of the most likely tokens only; 0 means all."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    """Samples from tokens only that are at least this share as likely as the most likely one; 0 means all."""
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    """Makes a token less likely for each time that the answer has it already, as in OpenAI's API."""
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    """Makes the tokens that the answer has already less likely, as in OpenAI's API."""
    logit_bias: dict[int, float] | None = None
    """Numbers between -100 and 100 that are added to the logits of tokens, by token id (`get_token_ids`)."""
    seed: int | None = None
    """Makes sampling repeatable on the same machine."""
    max_tokens: Annotated[int, Field(gt=0)] | Literal["auto"] | None = "auto"
    """Maximum length of the answer in tokens, reasoning included; None: until the context is full. `"auto"`: None for
    models that reason, and an eighth of the context, at least 1,024 tokens, for others."""
    stops_loops: bool = True
    """Ends an answer that repeats the same text again and again, with the finish reason `"repetition"`."""
    logprobs: bool = False
    """Reports the log-probability of each token of the answer."""
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    """Also reports the log-probabilities of this many of the most likely tokens at each position."""
    stop: list[str] | None = Field(default=None, alias="stop_sequences")
    """Strings that end the answer and are not part of it."""
    priority: int = 0
    """Requests with a higher number start first; equal ones start in the order of their arrival."""
    deadline_s: float | None = Field(default=None, gt=0)
    """Ends an answer with a `DeadlineError` if it is not complete after this many seconds; None means never."""
    cache_salt: str | None = None
    """Separates the prefix cache: prompts share cached beginnings only with prompts of the same salt."""
    shares_system_prompt: bool = True
    """With a salt: prompts of every salt share the first system message and what stands before it."""
    is_speculative: bool = True
    """Proposes tokens by lookup in the prompt and verifies several in one step; the answer is the same."""
    device: Literal["cuda", "cpu", "mps"] | None = None
    """Device of the model; None: the fastest one with enough memory (`gptoss doctor` shows the plan)."""
    dtype: Literal["float32", "bfloat16", "float16", "int8"] | None = None
    """Number type of the weights in memory, except packed experts; None: the best one for the device."""
    experts: Literal["packed", "int4", "int8", "unpacked"] | None = None
    """`"packed"` packs experts into MXFP4 once, `"int4"` and `"int8"` into these; None: large ones into MXFP4."""
    max_context: int | None = Field(default=None, gt=0)
    """Maximum length of prompt and answer in tokens; None: as much as the model supports and memory allows."""
    cache_gb: float | None = Field(default=None, gt=0)
    """Memory for the KV cache that all requests share, in GB; None: several contexts if there is enough memory."""
    prompt_cache_gb: float | None = Field(default=None, gt=0)
    """Keeps what was read of prompts on disk, up to this size in GB, for later processes; None: nothing."""
    precise: bool | None = None
    """True rounds activations less on a CPU: to 16 bits before packed experts, too; decode gets slower."""
    chat_format: ChatFormatName | None = None
    """Notation of conversations; None: chosen by the checkpoint's tokenizer."""
    tool_format: ToolFormatName | None = None
    """`"template"`: tools by the checkpoint's chat template; `"prompt"`: by our own prompt; None: by the model."""
    base_url: str | None = None
    """URL of a vLLM or llama.cpp server that runs the model (`"http://host:8000/v1"`); None: this machine."""
    api_key: SecretStr | None = Field(default_factory=secret_from_env("GPTOSS_API_KEY", default=None))
    """API key of the server, if it needs one; the default is the environment variable `GPTOSS_API_KEY`."""
    timeout: float = Field(default=600.0, gt=0)
    """Seconds to wait for data from the server."""
    max_retries: int = Field(default=2, ge=0)
    """Number of retries before the first token if the server is busy or cannot be reached."""
    engine: Engine | None = Field(default=None, exclude=True, repr=False)
    """An engine to use instead of the one that would be loaded; `ScriptedEngine` in tests."""

    @model_validator(mode="before")
    @classmethod
    def _reject_unknown_arguments(cls, values: Any) -> Any:
        if isinstance(values, dict):
            fields = cls.model_fields
            known = set(fields) | {field.alias for field in fields.values() if field.alias}
            check_option_names(values, known, kind="argument")
        return values

    @field_serializer("model", "adapter")
    def _serialize_path(self, path: str | Path | None) -> str | None:
        return None if path is None else str(path)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: a model is serialized as its options, without weights or engine."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The environment variables that replace secrets in a serialized model."""
        return {"api_key": "GPTOSS_API_KEY"}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """The serialized form of `model` and `adapter`: a folder becomes an absolute path."""
        places = {"model": self.model, "adapter": self.adapter}
        return {
            name: str(place.absolute()) if isinstance(place, Path) else place
            for name, place in places.items()
            if place is not None
        }

    @cached_property
    def card(self) -> ModelCard:
        """The catalog's entry of the model."""
        return resolve_model(self.model)

    @cached_property
    def checkpoint(self) -> Path:
        """The checkpoint's folder; downloaded and packed on first use."""
        return locate_model(self.card, adapter=self.adapter, experts=self.experts)

    @cached_property
    def format(self) -> ChatFormat:
        """The chat format; loaded on first use."""
        name = self.chat_format or self.card.chat_format
        if name is None and self.base_url is not None and not Path(self.card.source).is_dir():
            raise InvalidInputError(
                f"The chat format of {self.card.name!r} is not known.",
                hint="Name it, as in chat_format='harmony', or pass a folder that holds its tokenizer as model=.",
            )
        tool_format = self.tool_format or self.card.tool_format
        return load_chat_format(None if name == "harmony" else self.checkpoint, name, tool_format=tool_format)

    @cached_property
    def running_engine(self) -> Engine:
        """The engine, shared by all models of this checkpoint in the process; loaded on first use."""
        if self.engine is None and self.base_url is not None:
            if self.adapter is not None:
                raise InvalidInputError(
                    f"adapter is {str(self.adapter)!r}, and the model is on a server.",
                    hint="Load the adapter on the server, and leave adapter out.",
                )
            key = self.api_key.get_secret_value() if self.api_key else None
            return get_remote_engine(
                self.base_url, self.card.name, api_key=key, timeout=self.timeout, max_retries=self.max_retries
            )
        return self.engine or get_local_engine(
            self.checkpoint,
            device=self.device,
            dtype=self.dtype,
            experts=get_planned_experts(self.experts),
            max_context=self.max_context,
            cache_gb=self.cache_gb,
            prompt_cache_gb=self.prompt_cache_gb,
            precise=self.precise,
        )

    @property
    def loaded_engine(self) -> Engine | None:
        """The engine if it is loaded, else None."""
        loaded: Engine | None = self.__dict__.get("running_engine")
        return self.engine or loaded

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field; a new value that changes the loaded model unloads it."""
        super().__setattr__(name, value)
        if name in _LOADING_FIELDS:
            self._unload()

    def __getstate__(self) -> dict[Any, Any]:
        """Return the options only; an unpickled model loads what it needs again."""
        state = super().__getstate__()
        fields = {key: value for key, value in state["__dict__"].items() if key not in _LOADED_PROPERTIES}
        return state | {"__dict__": fields}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return a copy of the options that shares the loaded model."""
        return self.model_copy()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy of the options that shares the loaded model, unless the update names another model."""
        copied = super().model_copy(update=update, deep=False)
        if _LOADING_FIELDS & (update or {}).keys():
            copied._unload()
        return copied

    def _unload(self) -> None:
        for name in _LOADED_PROPERTIES:
            self.__dict__.pop(name, None)

    def load(self) -> None:
        """Download and load the model now, so that the first answer does not wait for it."""
        _ = self.format, self.running_engine

    def start_generation(
        self,
        prompt_ids: list[int],
        stop: list[str] | None,
        overrides: Mapping[str, Any],
        options: PromptOptions = DEFAULT_OPTIONS,
        *,
        messages: Sequence[BaseMessage] = (),
        parser: Parser | None = None,
    ) -> Generation:
        """Start to generate an answer.

        Args:
            prompt_ids: Token ids of the rendered prompt.
            stop: Stop strings of this call; None means those of the constructor.
            overrides: Options for sampling and scheduling of this call; the others are those of the constructor.
            options: The options with which the prompt was rendered.
            messages: The messages of the prompt, of which the first system message may be shared; empty for a prompt
                without messages.
            parser: Reads the output; None means the chat format's parser of an answer.

        Raises:
            InvalidInputError: A value is invalid, or the schema cannot be enforced.
            ContextLengthError: The prompt does not fit into the context.
        """
        stop_filter = StopFilter(stop if stop is not None else self.stop or [])
        grammar = self.format.build_grammar(options)
        request = GenerationRequest(
            prompt_ids=tuple(prompt_ids),
            sampling=self._build_sampling_params(overrides),
            stop_ids=self.format.stop_ids,
            grammar=None if grammar is None else _check_grammar(grammar),
            **self._build_scheduling(prompt_ids, overrides, options, messages),
        )
        return Generation(
            self.running_engine.submit(request),
            self.format,
            stop_filter,
            options,
            prompt_tokens=len(prompt_ids),
            model_name=self.card.name,
            parser=parser,
            loop_detector=LoopDetector(self._decode_tokens, prompt_ids) if self.stops_loops else None,
        )

    def _decode_tokens(self, token_ids: Sequence[int]) -> str:
        return b"".join(map(self.format.decode_token, token_ids)).decode("utf-8", "replace")

    def choose_max_tokens(self) -> int | None:
        """Return the maximum length of an answer if the call does not name it, in tokens; None means no limit.

        A model that reasons may need most of its context. The answers of other models are much shorter, unless they
        do not find their end.
        """
        if self.max_tokens != "auto":
            return self.max_tokens
        if self.format.has_reasoning:
            return None
        return max(_MIN_ANSWER_TOKENS, self.running_engine.context_length // _ANSWER_SHARE)

    def start_scoring(
        self,
        prompt_ids: Sequence[int],
        token_ids: Sequence[int],
        overrides: Mapping[str, Any],
        options: PromptOptions = DEFAULT_OPTIONS,
        *,
        messages: Sequence[BaseMessage] = (),
        is_constrained: bool = False,
    ) -> TokenStream:
        """Start to compute how likely tokens follow a prompt; the stream's only token has the log-probabilities.

        Args:
            prompt_ids: Token ids of the prompt.
            token_ids: The tokens. An engine on this machine reports all of them, a server those among the most likely.
            overrides: Options for scheduling of this call; the others are those of the constructor.
            options: The options with which the prompt was rendered.
            messages: The messages of the prompt; see `start_generation`.
            is_constrained: True lets the model choose from these tokens only, for servers: the chosen one is reported.

        Raises:
            ContextLengthError: The prompt does not fit into the context.
        """
        alternatives = " | ".join(f"<[{token_id}]>" for token_id in token_ids)
        request = GenerationRequest(
            prompt_ids=tuple(prompt_ids),
            sampling=SamplingParams(temperature=0.0, max_tokens=1, logprobs=MAX_LOGPROBS, logprob_ids=tuple(token_ids)),
            stop_ids=self.format.stop_ids,
            grammar=Grammar(lark=f"start: {alternatives}\n") if is_constrained else None,
            **self._build_scheduling(prompt_ids, overrides, options, messages),
        )
        return self.running_engine.submit(request)

    def _build_scheduling(
        self,
        prompt_ids: Sequence[int],
        overrides: Mapping[str, Any],
        options: PromptOptions,
        messages: Sequence[BaseMessage],
    ) -> dict[str, Any]:
        """Return the fields of a request that say when and how it is computed."""
        scheduling = {name: overrides.get(name, getattr(self, name)) for name in SCHEDULING_OPTIONS}
        shares_system_prompt = scheduling.pop("shares_system_prompt")
        has_shared_beginning = scheduling["cache_salt"] is not None and shares_system_prompt and bool(messages)
        count = self.format.count_shared_tokens(prompt_ids, messages, options) if has_shared_beginning else 0
        return {**scheduling, "shared_tokens": count}

    def _build_sampling_params(self, overrides: Mapping[str, Any]) -> SamplingParams:
        values: dict[str, Any] = {name: overrides.get(name, getattr(self, name)) for name in SAMPLING_OPTIONS}
        if "temperature" not in overrides and self.temperature is None:
            values["temperature"] = self.card.temperature
        if values["max_tokens"] == "auto":
            values["max_tokens"] = self.choose_max_tokens()
        has_logprobs, top_logprobs = values.pop("logprobs"), values.pop("top_logprobs")
        if has_logprobs or top_logprobs is not None:
            values["logprobs"] = top_logprobs or 0
        return SamplingParams(**values)


def _check_grammar(grammar: AnswerGrammar) -> Grammar:
    from langchain_gptoss.engine.grammar import check_grammar  # imports torch

    check_grammar(grammar.lark)
    return Grammar(lark=grammar.lark, json_schema=grammar.json_schema)


def read_configured_options(config: RunnableConfig | None) -> dict[str, Any]:
    """Return the scheduling options in the "configurable" part of a run's configuration.

    So a server or an agent sets them once for all calls of a run.
    """
    values = ensure_config(config).get("configurable") or {}
    return {name: values[name] for name in SCHEDULING_OPTIONS if name in values}


def check_option_names(names: Iterable[str], known_names: Iterable[str], *, kind: str) -> None:
    """Check that all options are known, so that a misspelt one is not ignored.

    Args:
        names: Names of the given options.
        known_names: Names of all options.
        kind: The word for an option in the error message, such as `"argument"`.

    Raises:
        InvalidInputError: A name is unknown; the hint suggests the nearest known name.
    """
    known_names = sorted(known_names)
    for name in names:
        if name not in known_names:
            matches = difflib.get_close_matches(str(name), known_names, n=1)
            hint = f"Did you mean {matches[0]!r}?" if matches else f"Valid names are {', '.join(known_names)}."
            raise InvalidInputError(f"Unknown {kind} {name!r}.", hint=hint)
