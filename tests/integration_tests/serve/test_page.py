"""The page in Chromium, driven by Playwright, against a real server."""

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
from langchain_core.documents import Document
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_gptoss import ChatGptOss, create_chatbot
from langchain_gptoss.engine import GenerationRequest, ScriptedEngine, TokenStream
from langchain_gptoss.engine.runners.generator_loop import Generation
from langchain_gptoss.errors import GptOssError
from langchain_gptoss.serve.keys import ApiKey, Keys
from langchain_gptoss.serve.settings import ServerSettings
from tests.integration_tests.serve.helpers import (
    ANSWER,
    CITED_ANSWER,
    MODEL,
    QUESTION,
    UNANSWERABLE,
    encode_answer,
    make_app,
    make_chatbot,
    make_engine,
    run_server,
)

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

expect = playwright.expect
TIMEOUT_S = 30
HOSTILE = (
    """<img src="http://evil.example/x.png" onerror="document.title='owned'"><script>document.title='owned'</script>"""
)
PageOpener = Callable[..., "playwright.Page"]


class PausingEngine(ScriptedEngine):
    """Writes a few tokens, then waits for `may_continue`. `ended` is set when a completion ends, in whatever way."""

    def __init__(self, *answers: str, tokens: int = 4) -> None:
        super().__init__([encode_answer(answer) for answer in answers])
        self.may_continue, self.ended = threading.Event(), threading.Event()
        self._tokens = tokens

    def _replay(self, completion: list[int], request: GenerationRequest, limit: int) -> Generation:
        replay = super()._replay(completion, request, limit)
        try:
            while True:
                if self.steps >= self._tokens:
                    self.may_continue.wait(TIMEOUT_S)
                    self.ended.wait(0.01)  # a model needs time
                try:
                    yield next(replay)
                except StopIteration as end:
                    return end.value
        finally:
            self.ended.set()


class FailingOnceEngine(ScriptedEngine):
    """Fails at the first request."""

    has_failed = False

    def submit(self, request: GenerationRequest) -> TokenStream:
        if not self.has_failed:
            self.has_failed = True
            raise GptOssError("the secret reason")
        return super().submit(request)


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    expect.set_options(timeout=TIMEOUT_S * 1000)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser) -> Iterator[PageOpener]:
    """Open an address as a new visitor. At the end, no other host may have been used, and no script may have failed."""
    contexts, foreign_urls, problems = [], [], []

    def open_address(address: str, *, wait: bool = True, **options: object) -> "playwright.Page":
        context = browser.new_context(**{"locale": "en-GB", **options})
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_S * 1000)

        def route(route: "playwright.Route") -> None:
            if route.request.url.startswith((f"{address}/", f"blob:{address}/")):
                route.continue_()
            else:
                foreign_urls.append(route.request.url)
                route.abort()

        context.route("**/*", route)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.goto(address)
        if wait:
            page.locator("html[data-ready]").wait_for()
        return page

    yield open_address
    for context in contexts:
        context.close()
    assert foreign_urls == []
    # The browser also reports error responses, which are expected.
    assert [problem for problem in problems if "Failed to load resource" not in problem] == []


@contextmanager
def serve_page(chatbot: Runnable, **options: object) -> Iterator[str]:
    with run_server(make_app(chatbot, title="Help desk", **options)) as address:
        yield address


@pytest.fixture(scope="module")
def idle_address() -> Iterator[str]:
    """The address of a chatbot whose model is not used."""
    with serve_page(make_chatbot(make_engine(), domain="support")) as address:
        yield address


def ask(page: "playwright.Page", question: str = QUESTION) -> "playwright.Locator":
    """Ask a question and return its turn."""
    page.locator("#question").fill(question)
    page.keyboard.press("Enter")
    return page.locator(".turn").last


def wait_for_answer(page: "playwright.Page", question: str = QUESTION) -> "playwright.Locator":
    turn = ask(page, question)
    expect(turn).to_have_attribute("data-state", "complete")
    return turn


def test_passages_come_before_the_answer_and_citations_after_it(open_page):
    engine = PausingEngine(ANSWER)
    with serve_page(make_chatbot(engine, strict=False)) as address:
        page = open_page(address)
        turn = ask(page)
        expect(turn.locator(".passages li")).to_have_count(3)
        expect(turn.locator(".prose")).to_have_text("The")
        expect(turn).to_have_attribute("data-state", "writing")
        expect(turn.locator("button.cite")).to_have_count(0)
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        expect(page.locator("#status")).to_have_text("3 passages found. Writing…")
        engine.may_continue.set()
        expect(turn).to_have_attribute("data-state", "complete")
        expect(turn.locator("button.cite")).to_have_count(1)
        expect(turn.locator(".quotes q")).to_have_text(ANSWER)
        expect(page.get_by_role("button", name="Ask")).to_be_visible()
        # Screen readers read the answer once, when it is complete.
        expect(page.locator("#status")).to_have_text(f"{ANSWER} 1 citation.")


def test_a_citation_marks_the_quote_in_its_document(open_page):
    # Offsets count characters; JavaScript counts some of them twice. The text between the chunks is not stored.
    opening = "🙂🚚 " + "A line of the guide.\n" * 300
    place = {"source": "manuals/guide.md", "page": 3}
    chunks = [
        Document(page_content=opening, metadata={**place, "heading": "Guide", "start": 7}),
        Document(
            page_content=f"🎁 Parcels are fun. {ANSWER} Nothing else is said.",
            metadata={**place, "heading": "Guide > Delivery", "start": 7 + len(opening) + 40},
        ),
    ]
    with serve_page(make_chatbot(make_engine(ANSWER), chunks)) as address:
        page = open_page(address)
        turn = wait_for_answer(page)
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


def test_a_missing_document_is_replaced_by_its_passage(open_page):
    text = f"Parcels are fun. {ANSWER} Nothing else is said."
    found = [Document(page_content=text, metadata={"source": "guide.md", "start": 90, "relevance_score": 0.9})]
    llm = ChatGptOss(model=MODEL, engine=make_engine(ANSWER))
    with serve_page(create_chatbot(llm, RunnableLambda(lambda question: found))) as address:
        page = open_page(address)
        wait_for_answer(page).locator("button.cite").click()
        expect(page.locator("mark")).to_have_text(ANSWER)
        expect(page.locator("#document-text")).to_have_text(text)
        expect(page.locator("#document-note")).to_contain_text("The document is not available here.")


def test_everything_works_by_keyboard(open_page):
    def tab_to(selector: str, key: str = "Tab") -> None:
        for _ in range(40):
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            page.keyboard.press(key)
        raise AssertionError(f"{selector} was not reached")

    with serve_page(make_chatbot(make_engine(ANSWER))) as address:
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


def test_the_page_uses_the_browsers_language_and_can_change_it(open_page, idle_address):
    page = open_page(idle_address, locale="fr-BE")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(page.get_by_role("button", name="Nouvelle conversation")).to_be_visible()
    expect(page.get_by_role("heading", name="Service client")).to_be_visible()
    expect(page.get_by_role("textbox", name="Votre question")).to_be_visible()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", name="Customer support")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="New conversation")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_an_answer_has_its_own_language(open_page):
    with serve_page(make_chatbot(make_engine(ANSWER))) as address:
        page = open_page(address, locale="fr-FR")
        turn = wait_for_answer(page)
        expect(turn.locator(".prose")).to_have_attribute("lang", "en")
        expect(turn.locator(".asked")).to_have_attribute("lang", "en")


def test_a_click_asks_a_sample_question(open_page):
    with serve_page(make_chatbot(make_engine(ANSWER), domain="support")) as address:
        page = open_page(address)
        sample = page.locator(".sample").first
        question = sample.text_content()
        sample.click()
        expect(page.locator(".asked")).to_have_text(question)
        expect(page.locator("#welcome")).to_be_hidden()
        page.get_by_role("button", name="New conversation").click()
        expect(page.locator(".turn")).to_have_count(0)
        expect(page.locator("#welcome")).to_be_visible()


def test_a_declined_question_has_a_reason(open_page, idle_address):
    turn = wait_for_answer(open_page(idle_address), UNANSWERABLE)
    expect(turn).to_have_class("turn declined")
    expect(turn.locator(".flag")).to_have_text("No answer in the documents")
    expect(turn.locator(".prose")).to_contain_text("I couldn't find this in our help pages.")
    turn.get_by_text("How this was answered").click()
    expect(turn.locator(".how")).to_contain_text("Declined: confidence")
    expect(turn.locator(".how")).to_contain_text("Built with gpt-oss-20b")


def test_an_unsupported_sentence_is_marked(open_page):
    with serve_page(make_chatbot(make_engine(f"{ANSWER} It comes by drone."), strict=False)) as address:
        page = open_page(address)
        turn = wait_for_answer(page)
        expect(turn.locator(".doubt")).to_have_text("? (not found in the passages)")
        expect(turn.locator(".notice")).to_contain_text("not supported by the passages")


def test_a_server_error_is_shown_and_the_question_is_kept(open_page):
    with serve_page(make_chatbot(FailingOnceEngine([encode_answer(ANSWER)]))) as address:
        page = open_page(address)
        turn = ask(page)
        expect(turn).to_have_attribute("data-state", "failed")
        expect(turn.locator(".notice")).to_contain_text("An error occurred on the server.")
        expect(turn).not_to_contain_text("secret")
        expect(page.locator("#question")).to_have_value(QUESTION)
        turn.get_by_role("button", name="Try again").click()
        expect(page.locator(".turn")).to_have_count(1)
        expect(page.locator(".turn")).to_have_attribute("data-state", "complete")
        expect(page.locator("#question")).to_have_value("")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"status": 422, "json": {"detail": "<b>too odd</b>"}}, "cannot process this question.<b>too odd</b>"),
        ({"status": 503, "headers": {"Retry-After": "5"}}, "as many questions as it can. Try again in 5 s."),
        ({"status": 504}, "The server took too long."),
        ({"status": 500, "body": "Internal Server Error"}, "An error occurred on the server"),
        ({"body": 'event: data\ndata: {"answer": "The ex"}\n\n'}, "The connection was lost before the answer was"),
        ({"body": 'event: data\r\ndata: {"answer": "T"}\r\n\r\nevent: error\r\ndata: {}\r\n\r\n'}, "An error occurred"),
        (
            {"body": 'event: error\ndata: {"status_code": 409, "message": "Busy."}\n\n'},
            "still being answered. Wait a moment",
        ),
        ({"status": 403, "json": {"detail": "No."}}, "The server refuses this request."),
        (None, "The server cannot be reached."),
    ],
)
def test_each_failure_has_its_text(open_page, idle_address, answer, message):
    def route(route: "playwright.Route") -> None:
        route.abort() if answer is None else route.fulfill(**answer)

    page = open_page(idle_address)
    page.route("**/chatbot/ask", route)
    turn = ask(page)
    expect(turn.locator(".notice.bad")).to_contain_text(message)
    expect(page.locator("#status")).to_contain_text(message.partition("<")[0])
    expect(page.locator("#question")).to_have_value(QUESTION)


def test_a_long_question_has_its_text(open_page):
    with serve_page(make_chatbot(make_engine()), settings=ServerSettings(max_body_bytes=600)) as address:
        page = open_page(address)
        expect(ask(page, "Why? " * 200).locator(".notice")).to_contain_text("The question is too long")
        wait_for_answer(page, UNANSWERABLE)


def test_too_many_questions_show_a_waiting_time(open_page):
    with serve_page(make_chatbot(make_engine()), settings=ServerSettings(requests_per_minute=1)) as address:
        page = open_page(address)
        wait_for_answer(page, UNANSWERABLE)
        turn = ask(page)
        expect(turn.locator(".notice")).to_have_text(re.compile(r"Too many questions .* Try again in \d+ s\."))
        expect(page.locator("#question")).to_have_value(QUESTION)


def test_hostile_texts_are_shown_as_text(open_page):
    text = f"{ANSWER.rstrip('.')} {HOSTILE}"  # one sentence
    document = Document(page_content=text, metadata={"source": f"a/{HOSTILE}.md", "heading": HOSTILE})
    with serve_page(make_chatbot(make_engine(text), [document], strict=False)) as address:
        page = open_page(address)
        turn = wait_for_answer(page, f"{QUESTION} {HOSTILE}")
        expect(turn.locator(".asked")).to_contain_text("<img src=")
        turn.locator("button.cite").first.click()
        expect(page.locator("mark")).to_have_text(text)
        assert page.locator("img, body script, iframe, [onerror]").count() == 0
        assert page.title() == "Help desk"


def test_markdown_of_answers(open_page, idle_address):
    text = f"Two ways:\n\n1. **Express** [1], `fast`\n2. Standard [7]\n\n- one\n\n# End [?]\nline {HOSTILE} **open"
    code = """async (text) => {
        const { renderMarkup, toUtf16Index } = await import("/assets/markup.js");
        const holder = document.createElement("div");
        holder.append(renderMarkup(text, (number, whole) => (number === 1 ? document.createElement("hr") : whole)));
        return [holder.innerHTML, [0, 1, 2, 3, 9].map((offset) => toUtf16Index("a🙂b", offset))];
    }"""
    html, indexes = open_page(idle_address).evaluate(code, text)
    assert html.replace("\u2060", "~") == (
        "<p>Two ways:</p>"
        '<ol start="1"><li><strong>Express</strong>~<hr>, <code>fast</code></li><li>Standard~[7]</li></ol>'
        "<ul><li>one</li></ul>"
        f"<p><strong>End~[?]</strong><br>line {HOSTILE.replace('<', '&lt;').replace('>', '&gt;')} **open</p>"
    )
    assert indexes == [0, 1, 3, 4, 4]


def test_the_stop_button_stops_the_engine(open_page):
    engine = PausingEngine("word " * 3000)
    with serve_page(make_chatbot(engine, strict=False)) as address:
        page = open_page(address)
        turn = ask(page)
        expect(turn.locator(".prose")).to_contain_text("word")
        page.get_by_role("button", name="Stop").click()
        expect(turn).to_have_attribute("data-state", "stopped")
        expect(turn.locator(".notice")).to_have_text("Stopped.")
        expect(page.get_by_role("button", name="Ask")).to_be_visible()
        expect(page.locator("#question")).to_be_focused()
        engine.may_continue.set()
        assert engine.ended.wait(TIMEOUT_S)
        assert engine.steps < 3000


def test_the_conversation_is_sent_if_the_server_saves_none(open_page):
    with serve_page(
        make_chatbot(make_engine(ANSWER, QUESTION, ANSWER))
    ) as address:  # the second answer is the completed question
        page = open_page(address)
        wait_for_answer(page)
        with page.expect_request("**/chatbot/ask") as sent:
            wait_for_answer(page, "And how much is the express delivery, again?")
        assert sent.value.post_data_json["chat_history"] == [
            {"type": "human", "content": QUESTION},
            {"type": "ai", "content": ANSWER},
        ]
        expect(page.get_by_role("button", name="Earlier conversations")).to_be_hidden()


def test_the_copy_has_the_citations(open_page):
    with serve_page(make_chatbot(make_engine(ANSWER))) as address:
        page = open_page(address, permissions=["clipboard-read", "clipboard-write"])
        wait_for_answer(page).get_by_role("button", name="Copy the answer").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == f"{CITED_ANSWER}\n\n[1] “{ANSWER}” (0.md)"


def test_the_page_asks_for_a_key_until_it_is_right(open_page):
    keys = Keys({hashlib.sha256(b"open-sesame").hexdigest(): ApiKey(name="ada")})
    with serve_page(make_chatbot(make_engine(ANSWER)), settings=ServerSettings(keys=keys)) as address:
        page = open_page(address, wait=False)
        dialog = page.get_by_role("dialog", name="A key is needed")
        field = dialog.get_by_label("Key", exact=True)
        expect(field).to_be_focused()
        field.fill("clé")
        field.press("Enter")
        expect(dialog.get_by_role("alert")).to_contain_text("A key contains letters")
        field.fill("open-barley")
        field.press("Enter")
        expect(dialog).to_be_hidden()
        turn = ask(page)
        expect(dialog.get_by_role("alert")).to_have_text("The key is unknown.")
        field.fill("open-sesame")
        field.press("Enter")
        expect(turn).to_have_attribute("data-state", "complete")
        page.reload()
        page.locator("html[data-ready]").wait_for()
        expect(dialog).to_be_hidden()
        assert "open-sesame" not in page.evaluate("JSON.stringify({...localStorage})")
        assert "open-sesame" not in page.url


def test_a_question_waits_for_a_key(open_page):
    keys = Keys({hashlib.sha256(b"open-sesame").hexdigest(): ApiKey(name="ada")})
    with serve_page(make_chatbot(make_engine(ANSWER)), settings=ServerSettings(keys=keys)) as address:
        page = open_page(address, wait=False)
        page.locator("#key[open]").wait_for()
        page.keyboard.press("Escape")
        turn = ask(page)
        page.locator("#key[open]").wait_for()
        page.get_by_role("button", name="Cancel").click()
        expect(turn.locator(".notice")).to_contain_text("A key is needed to answer")
        turn.get_by_role("button", name="Try again").click()
        page.locator("#key-value").fill("open-sesame")
        page.keyboard.press("Enter")
        expect(page.locator(".turn")).to_have_attribute("data-state", "complete")


def test_conversations_can_be_opened_exported_and_deleted(open_page):
    chatbot = make_chatbot(make_engine(ANSWER), sessions=":memory:")
    with serve_page(chatbot) as address:
        page = open_page(address)
        wait_for_answer(page)
        page.reload()
        expect(page.locator(".prose")).to_have_text(ANSWER)
        page.get_by_role("button", name="New conversation").click()
        wait_for_answer(page, UNANSWERABLE)
        page.get_by_role("button", name="Earlier conversations").click()
        sessions = page.locator(".session")
        expect(sessions.locator("b")).to_have_text([UNANSWERABLE, QUESTION])
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Export: {QUESTION}").click()
        exported = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
        assert [message["data"]["content"] for message in exported["messages"]] == [QUESTION, ANSWER]
        sessions.nth(1).click()
        expect(page.locator("#sessions")).to_be_hidden()
        expect(page.locator(".asked")).to_have_text(QUESTION)

        page.get_by_role("button", name="Earlier conversations").click()
        delete = page.locator("#sessions-list .actions button", has_text="Delete").last
        delete.click()
        expect(delete).to_have_text("Really delete?")
        delete.click()
        expect(sessions.locator("b")).to_have_text([UNANSWERABLE])
        page.keyboard.press("Escape")
        expect(page.locator(".turn")).to_have_count(0)

        other = open_page(address)
        other.get_by_role("button", name="Earlier conversations").click()
        expect(other.locator("#sessions-note")).to_have_text("There are no earlier conversations.")


CONTROLS = {"button", "textbox", "link", "DisclosureTriangle", "dialog", "region", "form", "log", "navigation"}


def test_controls_have_names_and_headings_have_an_order(open_page):
    with serve_page(make_chatbot(make_engine(ANSWER), domain="health", sessions=":memory:")) as address:
        page = open_page(address)
        wait_for_answer(page).locator("button.cite").click()
        page.locator("mark").wait_for()
        tree = read_accessibility_tree(page)
        page.keyboard.press("Escape")
        tree += read_accessibility_tree(page)
        page.get_by_role("button", name="Earlier conversations").click()
        page.locator(".session").wait_for()
        tree += read_accessibility_tree(page)
        nameless = [node for node in tree if get_role(node) in CONTROLS and not node.get("name", {}).get("value")]
        assert nameless == []
        assert {"button", "textbox", "dialog", "log", "main", "navigation", "banner"} <= {
            get_role(node) for node in tree
        }
        assert page.locator("h1").count() == 1
        assert page.locator("html[lang]").count() == 1
        expect(page.locator(".foot .disclaimer")).to_have_attribute("lang", "en")
        levels = [
            int(tag[1])
            for tag in page.evaluate("[...document.querySelectorAll('h1, main :is(h2, h3)')].map(h => h.tagName)")
        ]
        assert all(after <= before + 1 for before, after in pairwise(levels))


def read_accessibility_tree(page: "playwright.Page") -> list[dict]:
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    return [node for node in tree if not node["ignored"]]


def get_role(node: dict) -> str:
    return node.get("role", {}).get("value", "")


def parse_colours(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", css))


def compute_contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2.2."""

    def compute_luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, bright = sorted((compute_luminance(one), compute_luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_enough_contrast(scheme):
    css = (files("langchain_gptoss.serve") / "assets" / "style.css").read_text(encoding="utf-8")
    day, night = css.split("@media (prefers-color-scheme: dark)")
    known = parse_colours(day) if scheme == "light" else {**parse_colours(day), **parse_colours(night)}
    texts = [
        *((ink, ground) for ink in ("ink", "soft", "accent") for ground in ("paper", "raised", "accent-wash")),
        *(("ink", ground) for ground in ("sunken", "amber-wash")),
        ("soft", "amber-wash"), ("amber", "amber-wash"), ("red", "red-wash"), ("on-accent", "accent"), ("on-pen", "pen"),
    ]  # fmt: skip
    faint = {pair: round(compute_contrast(*(known[name] for name in pair)), 2) for pair in texts}
    assert {pair: ratio for pair, ratio in faint.items() if ratio < 4.5} == {}
    assert compute_contrast(known["edge"], known["raised"]) >= 3
    assert compute_contrast(known["accent"], known["paper"]) >= 3


def test_the_page_fits_a_narrow_screen(open_page):
    with serve_page(make_chatbot(make_engine(ANSWER), domain="support", sessions=":memory:")) as address:
        page = open_page(address, viewport={"width": 320, "height": 560}, reduced_motion="reduce")
        wide = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        assert page.evaluate(wide) == [320, 320]
        turn = wait_for_answer(page)
        assert page.evaluate(wide) == [320, 320]
        assert turn.locator(".prose").bounding_box()["y"] < turn.locator(".notes").bounding_box()["y"]
        turn.locator("button.cite").click()
        expect(page.locator("mark")).to_be_in_viewport()
        box = page.locator("#document").bounding_box()
        assert (box["x"], box["width"]) == (0, 320)


def test_the_page_loads_only_its_own_files(open_page, idle_address):
    urls = []
    page = open_page(idle_address)
    page.on("request", lambda request: urls.append(request.url.removeprefix(idle_address)))
    page.reload()
    page.locator("html[data-ready]").wait_for()
    assert {"/", "/assets/app.js", "/assets/style.css", "/assets/page/about.json"} <= set(urls)
    assert [url for url in urls if url != "/" and not url.startswith("/assets/")] == []


def test_another_runnable_is_served(open_page):
    with serve_page(RunnableLambda(lambda value: {"answer": f"You said {value['question']}"})) as address:
        page = open_page(address)
        expect(wait_for_answer(page, "hello").locator(".prose")).to_have_text("You said hello")


def test_the_demo_model_answers_on_the_page(open_page, demo_llm, handbook_store, tmp_path):
    """Write screenshots into the folder GPTOSS_ARTEFACTS, if it is set."""
    folder = Path(os.environ.get("GPTOSS_ARTEFACTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    chatbot = create_chatbot(demo_llm, handbook_store.as_retriever(), domain="support")
    with serve_page(chatbot) as address:
        for name, options in (
            ("light", {"color_scheme": "light"}),
            ("dark", {"color_scheme": "dark", "locale": "fr-FR"}),
            ("narrow", {"color_scheme": "light", "viewport": {"width": 320, "height": 640}}),
        ):
            page = open_page(address, reduced_motion="reduce", **options)
            page.screenshot(path=folder / f"page-{name}-welcome.png")
            turn = wait_for_answer(page, "How much does standard delivery cost?")
            expect(turn.locator(".prose")).to_contain_text("4.90")
            page.screenshot(path=folder / f"page-{name}-answer.png")
            turn.locator("button.cite").first.click()
            expect(page.locator("mark")).to_contain_text("4.90")
            page.screenshot(path=folder / f"page-{name}-document.png")
            assert (folder / f"page-{name}-document.png").stat().st_size > 5_000
