"""The page in a real browser: Debian's Chromium, driven by Playwright, against a real uvicorn on a loopback port."""

import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest
from fastapi import FastAPI
from langchain_core.documents import Document
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_gptoss import ChatGptOss, FaissStore, create_chatbot
from langchain_gptoss.engine import GenerationRequest, ScriptedEngine, TokenStream
from langchain_gptoss.engine.scheduler import Generation
from langchain_gptoss.errors import GptOssError
from langchain_gptoss.serve import create_app
from langchain_gptoss.serve.keys import Caller, Keys
from langchain_gptoss.serve.settings import ServerSettings
from tests.integration_tests.serve.test_langserve_routes import (
    ANSWER,
    QUESTION,
    Words,
    chatbot_over,
    harmony,
    running,
    scripted,
)

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

expect = playwright.expect
SECONDS = 30
ASKED = QUESTION["question"]
ELSEWHERE = "What is the capital of France?"
HOSTILE = (
    """<img src="http://evil.example/x.png" onerror="document.title='owned'"><script>document.title='owned'</script>"""
)
Opened = Callable[..., "playwright.Page"]


class HeldEngine(ScriptedEngine):
    """Writes a few tokens and then waits to be let go; says when a completion is over, also before its end."""

    def __init__(self, *answers: str, tokens: int = 4) -> None:
        super().__init__([harmony(answer) for answer in answers])
        self.let_go, self.over = threading.Event(), threading.Event()
        self._tokens = tokens

    def _replay(self, completion: list[int], request: GenerationRequest, limit: int) -> Generation:
        replay = super()._replay(completion, request, limit)
        try:
            while True:
                if self.steps >= self._tokens:
                    self.let_go.wait(SECONDS)
                    self.over.wait(0.01)  # a model takes its time
                try:
                    yield next(replay)
                except StopIteration as end:
                    return end.value
        finally:
            self.over.set()


class FailingOnceEngine(ScriptedEngine):
    """Fails when it is asked for the first time."""

    failed = False

    def submit(self, request: GenerationRequest) -> TokenStream:
        if not self.failed:
            self.failed = True
            raise GptOssError("the secret reason")
        return super().submit(request)


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    expect.set_options(timeout=SECONDS * 1000)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser) -> Iterator[Opened]:
    """Opens an address as a new visitor would; afterwards nothing may have been asked of another host."""
    contexts, foreign, complaints = [], [], []

    def opened(address: str, *, wait: bool = True, **options: object) -> "playwright.Page":
        context = browser.new_context(**{"locale": "en-GB", **options})
        contexts.append(context)
        context.set_default_timeout(SECONDS * 1000)

        def route(route: "playwright.Route") -> None:
            if route.request.url.startswith((f"{address}/", f"blob:{address}/")):
                route.continue_()
            else:
                foreign.append(route.request.url)
                route.abort()

        context.route("**/*", route)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.goto(address)
        if wait:
            page.locator("html[data-ready]").wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert foreign == []
    # An answer with an error status is written to the console as well; everything else is a fault of the page.
    assert [said for said in complaints if "Failed to load resource" not in said] == []


@contextmanager
def served(chatbot: Runnable, **options: object) -> Iterator[str]:
    with running(create_app(chatbot, title="Help desk", **options)) as address:
        yield address


@pytest.fixture(scope="module")
def idle() -> Iterator[str]:
    """The address of a chatbot whose model is never asked."""
    with served(chatbot_over(scripted(), domain="support")) as address:
        yield address


def over(documents: list[Document], engine: ScriptedEngine, **options: object) -> Runnable:
    store = FaissStore(Words())
    store.add_documents(documents)
    return create_chatbot(ChatGptOss(model="gpt-oss-20b", engine=engine), store.as_retriever(), **options)


def ask(page: "playwright.Page", question: str = ASKED) -> "playwright.Locator":
    """Asks and returns the turn."""
    page.locator("#question").fill(question)
    page.keyboard.press("Enter")
    return page.locator(".turn").last


def answered(page: "playwright.Page", question: str = ASKED) -> "playwright.Locator":
    turn = ask(page, question)
    expect(turn).to_have_attribute("data-state", "complete")
    return turn


def test_passages_come_first_then_words_then_citations(open_page):
    engine = HeldEngine(ANSWER)
    with served(chatbot_over(engine, strict=False)) as address:
        page = open_page(address)
        turn = ask(page)
        expect(turn.locator(".passages li")).to_have_count(3)
        expect(turn.locator(".prose")).to_have_text("The")
        expect(turn).to_have_attribute("data-state", "writing")
        expect(turn.locator("button.cite")).to_have_count(0)
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        expect(page.locator("#status")).to_have_text("3 passages found. Writing…")
        engine.let_go.set()
        expect(turn).to_have_attribute("data-state", "complete")
        expect(turn.locator("button.cite")).to_have_count(1)
        expect(turn.locator(".quotes q")).to_have_text(ANSWER)
        expect(page.get_by_role("button", name="Ask")).to_be_visible()
        # The whole answer is read out once, not word by word.
        expect(page.locator("#status")).to_have_text(f"{ANSWER} 1 citation.")


def test_a_citation_opens_the_document_with_exactly_the_quote_marked(open_page):
    # An offset counts characters, of which JavaScript counts some twice; a gap between chunks is text that was not kept.
    opening = "🙂🚚 " + "A line of the guide.\n" * 300
    place = {"source": "manuals/guide.md", "page": 3}
    chunks = [
        Document(page_content=opening, metadata={**place, "heading": "Guide", "start": 7}),
        Document(
            page_content=f"🎁 Parcels are fun. {ANSWER} Nothing else is said.",
            metadata={**place, "heading": "Guide > Delivery", "start": 7 + len(opening) + 40},
        ),
    ]
    with served(over(chunks, scripted(ANSWER))) as address:
        page = open_page(address)
        turn = answered(page)
        cite = turn.locator("button.cite")
        cite.click()
        dialog = page.get_by_role("dialog", name="guide.md")
        mark = dialog.locator("mark")
        expect(mark).to_have_text(ANSWER)
        expect(mark).to_be_in_viewport()
        expect(dialog.locator("#document-where")).to_have_text("manuals/guide.md · Guide › Delivery · page 3")
        expect(dialog.locator("#document-note")).to_be_hidden()
        text = dialog.locator("#document-text").text_content()
        assert f"A line of the guide.\n\nDelivery\n\n🎁 Parcels are fun. {ANSWER} Nothing else is said." in text
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_be_hidden()
        expect(cite).to_be_focused()
        turn.locator(".passages summary").click()
        turn.locator(".passage").filter(has_text="Delivery").click()
        expect(mark).to_have_text(f"🎁 Parcels are fun. {ANSWER} Nothing else is said.")


def test_a_document_that_cannot_be_had_is_shown_as_far_as_it_was_read(open_page):
    text = f"Parcels are fun. {ANSWER} Nothing else is said."
    found = [Document(page_content=text, metadata={"source": "guide.md", "start": 90, "relevance_score": 0.9})]
    llm = ChatGptOss(model="gpt-oss-20b", engine=scripted(ANSWER))
    with served(create_chatbot(llm, RunnableLambda(lambda question: found))) as address:
        page = open_page(address)
        answered(page).locator("button.cite").click()
        expect(page.locator("mark")).to_have_text(ANSWER)
        expect(page.locator("#document-text")).to_have_text(text)
        expect(page.locator("#document-note")).to_contain_text("The document itself is not available here.")


def test_everything_can_be_done_by_keyboard(open_page):
    def tab_to(selector: str, key: str = "Tab") -> None:
        for _ in range(40):
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press(key)
        raise AssertionError(f"{selector} was not reached")

    with served(chatbot_over(scripted(ANSWER))) as address:
        page = open_page(address)
        page.evaluate("document.activeElement.blur()")
        tab_to("#question")
        page.keyboard.type("How much does the")
        page.keyboard.press("Shift+Enter")
        page.keyboard.type("express delivery cost?")
        page.keyboard.press("Enter")
        turn = page.locator(".turn")
        expect(turn).to_have_attribute("data-state", "complete")
        expect(turn.locator(".asked")).to_have_text("How much does the\nexpress delivery cost?", use_inner_text=True)
        expect(page.locator("#question")).to_be_focused()
        tab_to("button.cite", "Shift+Tab")
        page.keyboard.press("Enter")
        expect(page.locator("mark")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator("#document")).to_be_hidden()
        expect(page.locator("button.cite")).to_be_focused()


def test_the_page_speaks_the_browsers_language_and_can_change_it(open_page, idle):
    page = open_page(idle, locale="fr-BE")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(page.get_by_role("button", name="Nouvelle conversation")).to_be_visible()
    expect(page.get_by_role("heading", name="Service client")).to_be_visible()
    expect(page.locator(".sample").first).to_contain_text("retour")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Customer support")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="New conversation")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_an_answer_is_marked_with_its_own_language(open_page):
    with served(chatbot_over(scripted(ANSWER))) as address:
        page = open_page(address, locale="fr-FR")
        turn = answered(page)
        expect(turn.locator(".prose")).to_have_attribute("lang", "en")
        expect(turn.locator(".asked")).to_have_attribute("lang", "en")


def test_a_sample_question_is_asked_by_a_click(open_page):
    with served(chatbot_over(scripted(ANSWER), domain="support")) as address:
        page = open_page(address)
        sample = page.locator(".sample").first
        question = sample.text_content()
        sample.click()
        expect(page.locator(".asked")).to_have_text(question)
        expect(page.locator("#welcome")).to_be_hidden()
        page.get_by_role("button", name="New conversation").click()
        expect(page.locator(".turn")).to_have_count(0)
        expect(page.locator("#welcome")).to_be_visible()


def test_a_declined_question_looks_different_and_says_why(open_page, idle):
    turn = answered(open_page(idle), ELSEWHERE)
    expect(turn).to_have_class("turn declined")
    expect(turn.locator(".flag")).to_have_text("No answer in the documents")
    expect(turn.locator(".prose")).to_contain_text("I couldn't find this in our help pages.")
    turn.get_by_text("How this was answered").click()
    expect(turn.locator(".how")).to_contain_text("Declined: confidence")
    expect(turn.locator(".how")).to_contain_text("Built with gpt-oss-20b")


def test_an_unsupported_sentence_is_marked(open_page):
    with served(chatbot_over(scripted(f"{ANSWER} It comes by drone."), strict=False)) as address:
        page = open_page(address)
        turn = answered(page)
        expect(turn.locator(".doubt")).to_have_text("? (not found in the passages)")
        expect(turn.locator(".notice")).to_contain_text("not supported by the passages")


def test_a_fault_of_the_server_is_said_and_the_question_is_not_lost(open_page):
    with served(chatbot_over(FailingOnceEngine([harmony(ANSWER)]))) as address:
        page = open_page(address)
        turn = ask(page)
        expect(turn).to_have_attribute("data-state", "failed")
        # LangServe breaks the connection right behind its error event, which then does not always arrive.
        told = re.compile("Something went wrong on the server|The connection was lost")
        expect(turn.locator(".notice")).to_contain_text(told)
        expect(turn).not_to_contain_text("secret")
        expect(page.locator("#question")).to_have_value(ASKED)
        turn.get_by_role("button", name="Try again").click()
        expect(page.locator(".turn")).to_have_count(1)
        expect(page.locator(".turn")).to_have_attribute("data-state", "complete")
        expect(page.locator("#question")).to_have_value("")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"status": 422, "json": {"detail": "<b>too odd</b>"}}, "cannot work with this question.<b>too odd</b>"),
        ({"status": 503, "headers": {"Retry-After": "5"}}, "as many questions as it can. Try again in 5 s."),
        ({"status": 504}, "The server took too long."),
        ({"status": 500, "body": "Internal Server Error"}, "Something went wrong on the server"),
        ({"body": 'event: data\ndata: {"answer": "The ex"}\n\n'}, "The connection was lost before the answer was"),
        ({"body": 'event: data\r\ndata: {"answer": "T"}\r\n\r\nevent: error\r\ndata: {}\r\n\r\n'}, "Something went"),
        ({"body": 'event: error\ndata: {"status_code": 409, "message": "Busy."}\n\n'}, "last question. Wait a moment"),
        ({"status": 403, "json": {"detail": "No."}}, "The server refuses this request."),
        (None, "The server cannot be reached."),
    ],
)
def test_each_failure_is_said_in_words(open_page, idle, answer, message):
    def route(route: "playwright.Route") -> None:
        route.abort() if answer is None else route.fulfill(**answer)

    page = open_page(idle)
    page.route("**/chatbot/stream", route)
    turn = ask(page)
    expect(turn.locator(".notice.bad")).to_contain_text(message)
    expect(page.locator("#status")).to_contain_text(message.partition("<")[0])
    expect(page.locator("#question")).to_have_value(ASKED)


def test_too_long_a_question_is_said_in_words(open_page):
    with served(chatbot_over(scripted()), settings=ServerSettings(max_body_bytes=600)) as address:
        page = open_page(address)
        expect(ask(page, "Why? " * 200).locator(".notice")).to_contain_text("The question is too long")
        answered(page, ELSEWHERE)


def test_too_many_questions_are_told_when_to_come_back(open_page):
    with served(chatbot_over(scripted()), settings=ServerSettings(requests_per_minute=1)) as address:
        page = open_page(address)
        answered(page, ELSEWHERE)
        turn = ask(page)
        expect(turn.locator(".notice")).to_have_text(re.compile(r"Too many questions .* Try again in \d+ s\."))
        expect(page.locator("#question")).to_have_value(ASKED)


def test_hostile_texts_are_only_text(open_page):
    text = f"{ANSWER} {HOSTILE}"
    document = Document(page_content=text, metadata={"source": f"a/{HOSTILE}.md", "heading": HOSTILE})
    with served(over([document], scripted(f"{ANSWER} {HOSTILE}"), strict=False)) as address:
        page = open_page(address)
        turn = answered(page, f"{ASKED} {HOSTILE}")
        expect(turn.locator(".asked")).to_contain_text("<img src=")
        turn.locator("button.cite").first.click()
        expect(page.locator("mark")).to_have_text(text)
        assert page.locator("img, body script, iframe, [onerror]").count() == 0
        assert page.title() == "Help desk"


def test_answers_are_set_as_models_write_them(open_page, idle):
    text = f"Two ways:\n\n1. **Express** [1], `fast`\n2. Standard [7]\n\n- one\n\n# End [?]\nline {HOSTILE} **open"
    code = """async (text) => {
        const { index, prose } = await import("/assets/prose.js");
        const holder = document.createElement("div");
        holder.append(prose(text, (number, whole) => (number === 1 ? document.createElement("hr") : whole)));
        return [holder.innerHTML, [0, 1, 2, 3, 9].map((at) => index("a🙂b", at))];
    }"""
    html, indexes = open_page(idle).evaluate(code, text)
    assert html.replace("\u2060", "~") == (
        "<p>Two ways:</p>"
        '<ol start="1"><li><strong>Express</strong>~<hr>, <code>fast</code></li><li>Standard~[7]</li></ol>'
        "<ul><li>one</li></ul>"
        f"<p><strong>End~[?]</strong><br>line {HOSTILE.replace('<', '&lt;').replace('>', '&gt;')} **open</p>"
    )
    assert indexes == [0, 1, 3, 4, 4]


def test_stopping_stops_the_engine(open_page):
    engine = HeldEngine("word " * 3000)
    with served(chatbot_over(engine, strict=False)) as address:
        page = open_page(address)
        turn = ask(page)
        expect(turn.locator(".prose")).to_contain_text("word")
        page.get_by_role("button", name="Stop").click()
        expect(turn).to_have_attribute("data-state", "stopped")
        expect(turn.locator(".notice")).to_have_text("Stopped.")
        expect(page.get_by_role("button", name="Ask")).to_be_visible()
        expect(page.locator("#question")).to_be_focused()
        engine.let_go.set()
        assert engine.over.wait(SECONDS)
        assert engine.steps < 3000


def test_a_conversation_is_sent_along_where_the_server_keeps_none(open_page):
    with served(chatbot_over(scripted(ANSWER, ASKED, ANSWER))) as address:  # the second one completes the question
        page = open_page(address)
        answered(page)
        with page.expect_request("**/chatbot/stream") as sent:
            answered(page, "And how much is the express delivery, again?")
        assert sent.value.post_data_json["input"]["chat_history"] == [
            {"type": "human", "content": ASKED},
            {"type": "ai", "content": ANSWER},
        ]
        expect(page.get_by_role("button", name="Earlier conversations")).to_be_hidden()


def test_an_answer_is_copied_with_its_citations(open_page):
    with served(chatbot_over(scripted(ANSWER))) as address:
        page = open_page(address, permissions=["clipboard-read", "clipboard-write"])
        answered(page).get_by_role("button", name="Copy the answer").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == f"{ANSWER} [1]\n\n[1] “{ANSWER}” (0.md)"


def test_a_key_is_asked_for_and_asked_again_when_it_is_wrong(open_page):
    keys = Keys({hashlib.sha256(b"open-sesame").hexdigest(): Caller(name="ada")})
    with served(chatbot_over(scripted(ANSWER)), settings=ServerSettings(keys=keys)) as address:
        page = open_page(address, wait=False)
        dialog = page.get_by_role("dialog", name="A key is needed")
        field = dialog.get_by_label("Key", exact=True)
        expect(field).to_be_focused()
        field.fill("clé")
        field.press("Enter")
        expect(dialog.get_by_role("alert")).to_contain_text("A key holds letters")
        field.fill("open-barley")
        field.press("Enter")
        expect(dialog).to_be_hidden()
        turn = ask(page)
        expect(dialog.get_by_role("alert")).to_have_text("The key is not known here.")
        field.fill("open-sesame")
        field.press("Enter")
        expect(turn).to_have_attribute("data-state", "complete")
        page.reload()
        page.locator("html[data-ready]").wait_for()
        expect(dialog).to_be_hidden()
        assert "open-sesame" not in page.evaluate("JSON.stringify({...localStorage})")
        assert "open-sesame" not in page.url


def test_without_a_key_the_question_waits(open_page):
    keys = Keys({hashlib.sha256(b"open-sesame").hexdigest(): Caller(name="ada")})
    with served(chatbot_over(scripted(ANSWER)), settings=ServerSettings(keys=keys)) as address:
        page = open_page(address, wait=False)
        page.locator("#key[open]").wait_for()
        page.keyboard.press("Escape")
        turn = ask(page)
        page.locator("#key[open]").wait_for()
        page.get_by_role("button", name="Cancel").click()
        expect(turn.locator(".notice")).to_contain_text("A key is needed before")
        turn.get_by_role("button", name="Try again").click()
        page.locator("#key-value").fill("open-sesame")
        page.keyboard.press("Enter")
        expect(page.locator(".turn")).to_have_attribute("data-state", "complete")


def test_conversations_are_listed_opened_exported_and_deleted(open_page):
    chatbot = chatbot_over(scripted(ANSWER), sessions=":memory:")
    with served(chatbot) as address:
        page = open_page(address)
        answered(page)
        page.reload()
        expect(page.locator(".prose")).to_have_text(ANSWER)
        page.get_by_role("button", name="New conversation").click()
        answered(page, ELSEWHERE)
        page.get_by_role("button", name="Earlier conversations").click()
        sessions = page.locator(".session")
        expect(sessions.locator("b")).to_have_text([ELSEWHERE, ASKED])
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Export: {ASKED}").click()
        exported = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
        assert [message["data"]["content"] for message in exported["messages"]] == [ASKED, ANSWER]
        sessions.nth(1).click()
        expect(page.locator("#sessions")).to_be_hidden()
        expect(page.locator(".asked")).to_have_text(ASKED)

        page.get_by_role("button", name="Earlier conversations").click()
        delete = page.locator("#sessions-list .actions button", has_text="Delete").last
        delete.click()
        expect(delete).to_have_text("Delete for good?")
        delete.click()
        expect(sessions.locator("b")).to_have_text([ELSEWHERE])
        page.keyboard.press("Escape")
        expect(page.locator(".turn")).to_have_count(0)

        other = open_page(address)
        other.get_by_role("button", name="Earlier conversations").click()
        expect(other.locator("#sessions-note")).to_have_text("There are no earlier conversations.")


CONTROLS = {"button", "textbox", "link", "DisclosureTriangle", "dialog", "region", "form", "log", "navigation"}


def test_every_control_has_a_name_and_the_page_one_first_heading(open_page):
    with served(chatbot_over(scripted(ANSWER), domain="health", sessions=":memory:")) as address:
        page = open_page(address)
        answered(page).locator("button.cite").click()
        page.locator("mark").wait_for()
        tree = nodes(page)
        page.keyboard.press("Escape")
        tree += nodes(page)
        page.get_by_role("button", name="Earlier conversations").click()
        page.locator(".session").wait_for()
        tree += nodes(page)
        nameless = [node for node in tree if role(node) in CONTROLS and not node.get("name", {}).get("value")]
        assert nameless == []
        assert {"button", "textbox", "dialog", "log", "main", "navigation", "banner"} <= {role(node) for node in tree}
        assert page.locator("h1").count() == 1
        assert page.locator("html[lang]").count() == 1
        expect(page.locator(".foot .disclaimer")).to_have_attribute("lang", "en")
        levels = [
            int(tag[1])
            for tag in page.evaluate("[...document.querySelectorAll('h1, main :is(h2, h3)')].map(h => h.tagName)")
        ]
        assert all(after <= before + 1 for before, after in pairwise(levels))


def nodes(page: "playwright.Page") -> list[dict]:
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    return [node for node in tree if not node["ignored"]]


def role(node: dict) -> str:
    return node.get("role", {}).get("value", "")


def colours(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", css))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, bright = sorted((light(one), light(other)))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_told_apart(scheme):
    css = (files("langchain_gptoss.serve") / "assets" / "style.css").read_text(encoding="utf-8")
    day, night = css.split("@media (prefers-color-scheme: dark)")
    known = colours(day) if scheme == "light" else {**colours(day), **colours(night)}
    texts = [
        *((ink, ground) for ink in ("ink", "soft", "accent") for ground in ("paper", "raised", "accent-wash")),
        *(("ink", ground) for ground in ("sunken", "amber-wash")),
        ("soft", "amber-wash"), ("amber", "amber-wash"), ("red", "red-wash"), ("on-accent", "accent"), ("on-pen", "pen"),
    ]  # fmt: skip
    faint = {pair: round(contrast(*(known[name] for name in pair)), 2) for pair in texts}
    assert {pair: ratio for pair, ratio in faint.items() if ratio < 4.5} == {}
    assert contrast(known["edge"], known["raised"]) >= 3
    assert contrast(known["accent"], known["paper"]) >= 3


def test_a_narrow_screen_is_enough(open_page):
    with served(chatbot_over(scripted(ANSWER), domain="support", sessions=":memory:")) as address:
        page = open_page(address, viewport={"width": 320, "height": 560}, reduced_motion="reduce")
        wide = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        assert page.evaluate(wide) == [320, 320]
        turn = answered(page)
        assert page.evaluate(wide) == [320, 320]
        assert turn.locator(".prose").bounding_box()["y"] < turn.locator(".notes").bounding_box()["y"]
        turn.locator("button.cite").click()
        expect(page.locator("mark")).to_be_in_viewport()
        box = page.locator("#document").bounding_box()
        assert (box["x"], box["width"]) == (0, 320)


def test_the_page_itself_is_all_that_is_fetched(open_page, idle):
    asked = []
    page = open_page(idle)
    page.on("request", lambda request: asked.append(request.url.removeprefix(idle)))
    page.reload()
    page.locator("html[data-ready]").wait_for()
    assert {"/", "/assets/app.js", "/assets/style.css", "/assets/page/about.json"} <= set(asked)
    assert [url for url in asked if url != "/" and not url.startswith("/assets/")] == []


def test_a_chatbot_of_another_kind_is_served_too(open_page):
    app: FastAPI = create_app(RunnableLambda(lambda value: {"answer": f"You said {value['question']}"}))
    with running(app) as address:
        page = open_page(address)
        expect(answered(page, "hello").locator(".prose")).to_have_text("You said hello")


def test_the_demo_model_answers_on_the_page(open_page, demo_llm, handbook_store, tmp_path):
    """Its screenshots are kept where the environment variable GPTOSS_ARTEFACTS says."""
    kept = Path(os.environ.get("GPTOSS_ARTEFACTS", tmp_path))
    kept.mkdir(parents=True, exist_ok=True)
    chatbot = create_chatbot(demo_llm, handbook_store.as_retriever(), domain="support")
    with served(chatbot) as address:
        for name, options in (
            ("light", {"color_scheme": "light"}),
            ("dark", {"color_scheme": "dark", "locale": "fr-FR"}),
            ("narrow", {"color_scheme": "light", "viewport": {"width": 320, "height": 640}}),
        ):
            page = open_page(address, reduced_motion="reduce", **options)
            page.screenshot(path=kept / f"page-{name}-welcome.png")
            turn = answered(page, "How much does standard delivery cost?")
            expect(turn.locator(".prose")).to_contain_text("4.90")
            page.screenshot(path=kept / f"page-{name}-answer.png")
            turn.locator("button.cite").first.click()
            expect(page.locator("mark")).to_contain_text("4.90")
            page.screenshot(path=kept / f"page-{name}-document.png")
            assert (kept / f"page-{name}-document.png").stat().st_size > 5_000
