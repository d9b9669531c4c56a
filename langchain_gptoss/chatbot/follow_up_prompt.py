"""The prompt that completes a follow-up question: a task with examples, in the language of the question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.prompts import ChatPromptTemplate

from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.text.language import detect_language

FOLLOW_UP_PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", "{task}"),
        ("human", "{turns}\n{question_label}: {question}\n{answer_label}:"),
    ]
)
"""Prompt that completes a follow-up question. Its task is the same for all users, so the engine reads it once."""

_MAX_TURNS = 4  # messages before the question
_MAX_MESSAGE_CHARS = 240
_MAX_QUESTION_TOKENS = 48


@dataclass(frozen=True)
class _Example:
    question: str
    answer: str
    follow_up: str
    complete: str


@dataclass(frozen=True)
class _Wording:
    task: str
    turns: str
    question: str
    answer: str
    examples: tuple[_Example, ...]


# A small model repeats questions with pronouns unless the examples have such pronouns in such places, and it writes in
# the language of the conversation unless an example has another one.
_WORDINGS = {
    "en": _Wording(
        "Rewrite the last question so that it can be understood without the conversation. Replace words such as it, "
        "they, that, there by what they stand for, and add what is left out. Do not answer it. Keep its language. "
        "Write one question and nothing else.",
        "Conversation",
        "Last question",
        "Complete question",
        (
            _Example(
                "How high is Mount Arden?",
                "Mount Arden is 2,310 metres high.",
                "And who climbed it first?",
                "Who climbed Mount Arden first?",
            ),
            _Example(
                "How long may members keep a sewing machine?",
                "Members may keep it for two weeks.",
                "And schools?",
                "How long may schools keep a sewing machine?",
            ),
            _Example(
                "When does the cinema on Orsay Street open?",
                "The cinema opens at 2 p.m.",
                "Are there seats for wheelchair users?",
                "Are there seats for wheelchair users in the cinema on Orsay Street?",
            ),
            _Example(
                "Combien coûte le parking du théâtre ?",
                "Il coûte 4 euros par soirée.",
                "What about season ticket holders?",
                "How much does the theatre car park cost for season ticket holders?",
            ),
            _Example(
                "When does the ice rink close on Fridays?",
                "The ice rink closes at 10 p.m. on Fridays.",
                "What about Mondays?",
                "When does the ice rink close on Mondays?",
            ),
            _Example(
                "Who owns the villa on Poplar Street?",
                "The Morel family owns the villa.",
                "Is it open on Mondays?",
                "Is the villa on Poplar Street open on Mondays?",
            ),
        ),
    ),
    "fr": _Wording(
        "Réécris la dernière question pour qu'on la comprenne sans la conversation. Remplace les mots comme il, elle, "
        "le, cela, y par ce qu'ils désignent, et ajoute ce qui est sous-entendu. N'y réponds pas. Garde sa langue. "
        "Écris une seule question et rien d'autre.",
        "Conversation",
        "Dernière question",
        "Question complète",
        (
            _Example(
                "Quelle est la hauteur du mont Arden ?",
                "Le mont Arden mesure 2 310 mètres.",
                "Quand a-t-il été gravi ?",
                "Quand le mont Arden a-t-il été gravi ?",
            ),
            _Example(
                "Combien de temps les adhérents peuvent-ils garder une machine à coudre ?",
                "Les adhérents peuvent la garder deux semaines.",
                "Et les écoles ?",
                "Combien de temps les écoles peuvent-elles garder une machine à coudre ?",
            ),
            _Example(
                "À quelle heure ouvre le cinéma de la rue Orsel ?",
                "Le cinéma ouvre à 14 heures.",
                "Y a-t-il des places pour les fauteuils roulants ?",
                "Y a-t-il des places pour les fauteuils roulants au cinéma de la rue Orsel ?",
            ),
            _Example(
                "Who owns the villa on Poplar Street?",
                "The Morel family owns the villa.",
                "Est-elle ouverte le lundi ?",
                "La villa de la rue Poplar est-elle ouverte le lundi ?",
            ),
            _Example(
                "Quand la chanteuse Irma Lanoy a-t-elle quitté Lyon ?",
                "Irma Lanoy a quitté Lyon en 1962.",
                "Pourquoi y est-elle revenue ?",
                "Pourquoi la chanteuse Irma Lanoy est-elle revenue à Lyon ?",
            ),
            _Example(
                "How much is the theatre car park?",
                "It costs 4 euros per evening.",
                "Et pour les abonnés ?",
                "Combien coûte le parking du théâtre pour les abonnés ?",
            ),
            _Example(
                "Qui répare l'ascenseur ?",
                "La société Otterbeck répare l'ascenseur.",
                "Peut-on la joindre le soir ?",
                "Peut-on joindre la société Otterbeck le soir ?",
            ),
        ),
    ),
}


def fill_follow_up_prompt(
    prompt: ChatPromptTemplate, question: str, texts: Sequence[str], language: str
) -> ChatPromptTemplate:
    """Return a prompt with its task, its labels and the last messages, in the language of the question.

    Args:
        prompt: The prompt, which may be the user's own.
        question: The follow-up question.
        texts: Texts of the messages before it.
        language: Language of the chatbot's own texts, for a question whose language is not known.
    """
    language = detect_language(question) or language
    wording = _get_wording(language)
    return prompt.partial(
        task=build_task(language),
        turns=_format_turns(wording, texts[-_MAX_TURNS:]),
        question_label=wording.question,
        answer_label=wording.answer,
    )


def build_task(language: str) -> str:
    """Return the task in a language, with its examples; in English for languages without one."""
    wording = _get_wording(language)
    examples = [
        "\n".join(
            [
                _format_turns(wording, [example.question, example.answer]),
                f"{wording.question}: {example.follow_up}",
                f"{wording.answer}: {example.complete}",
            ]
        )
        for example in wording.examples
    ]
    return "\n\n".join([wording.task, *examples])


def limit_to_question(llm: BaseChatModel) -> BaseChatModel:
    """Return a model that writes one line, the most likely one; a model that reasons is returned as it is."""
    if not isinstance(llm, ChatGptOss) or llm.format.has_reasoning:
        return llm
    return llm.model_copy(update={"temperature": 0.0, "max_tokens": _MAX_QUESTION_TOKENS, "stop": ["\n"]})


def _get_wording(language: str) -> _Wording:
    return _WORDINGS.get(language, _WORDINGS["en"])


def _format_turns(wording: _Wording, texts: Sequence[str]) -> str:
    return "\n".join([f"{wording.turns}:", *(f"- {_shorten(text)}" for text in texts)])


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_MESSAGE_CHARS else f"{line[:_MAX_MESSAGE_CHARS].rsplit(' ', 1)[0]} …"
