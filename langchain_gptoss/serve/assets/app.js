// The page: takes questions and shows the conversation.

import { Api, randomId, recall, remember } from "./api.js";
import { DocumentPanel, KeyPanel, SessionsPanel } from "./panels.js";
import { createNode } from "./markup.js";
import { TEXTS } from "./translations.js";
import { Turn, removeMarkers } from "./turn.js";

const LANGUAGE = "gptoss.language";
const SESSION = "gptoss.session";
const HISTORY_TURNS = 10;
const HISTORY_CHARACTERS = 30_000; // well below the server's limit on a request

const element = (id) => document.getElementById(id);

class Page {
  constructor() {
    this.language = recall("localStorage", LANGUAGE) ?? (navigator.language.toLowerCase().startsWith("fr") ? "fr" : "en");
    this.about = { title: document.title, sessions: false, needs_key: false, provenance: "", languages: {} };
    this.turns = [];
    this.running = null;
    this.sessionId = null;
    const keys = new KeyPanel(this);
    this.api = new Api((problem) => {
      this.documents.clear();
      return keys.ask(problem);
    });
    this.documents = new DocumentPanel(this.api, this);
    this.sessions = new SessionsPanel(this.api, this);
    this.addListeners();
    this.applyLanguage();
  }

  get texts() {
    return TEXTS[this.language] ?? TEXTS.en;
  }

  get provenance() {
    return this.about.provenance;
  }

  addListeners() {
    const question = element("question");
    element("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    question.addEventListener("keydown", (event) => {
      // While an input method composes a word, Enter confirms the word.
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.submit();
      }
    });
    question.addEventListener("input", () => this.resizeQuestion());
    element("stop").addEventListener("click", () => this.stop());
    element("new").addEventListener("click", () => this.startConversation());
    element("earlier").addEventListener("click", () => this.sessions.show(element("earlier")));
    element("language").addEventListener("click", () => {
      this.language = this.language === "fr" ? "en" : "fr";
      remember("localStorage", LANGUAGE, this.language);
      this.applyLanguage();
    });
  }

  async start() {
    try {
      this.about = await this.api.json("assets/page/about.json");
      this.applyLanguage();
      element("earlier").hidden = !this.about.sessions;
      if (this.about.needs_key && !this.api.key) await this.api.requestKey();
      const open = recall("sessionStorage", SESSION);
      if (this.about.sessions && open) await this.resume(open);
    } catch (failure) {
      if (failure.kind === "missing") remember("sessionStorage", SESSION, null);
      else if (failure.kind !== "key") {
        element("description").textContent = failure.describe?.(this.texts) ?? String(failure);
        this.announce(element("description").textContent);
      }
    }
    document.documentElement.dataset.ready = "true";
    if (!document.querySelector("dialog[open]")) element("question").focus({ preventScroll: true });
  }

  /** Shows all texts of the page in its language. */
  applyLanguage() {
    const { texts } = this;
    document.documentElement.lang = this.language;
    for (const each of document.querySelectorAll("[data-text]")) each.textContent = texts[each.dataset.text];
    for (const each of document.querySelectorAll("[data-label]")) {
      each.setAttribute("aria-label", texts[each.dataset.label]);
    }
    element("language").textContent = texts.otherLanguage;
    element("language").lang = this.language === "fr" ? "en" : "fr";
    element("question").placeholder = texts.placeholder;
    const { title, languages, provenance } = this.about;
    document.title = title;
    element("title").textContent = title;
    const language = languages[this.language] ? this.language : Object.keys(languages)[0];
    const domain = languages[language] ?? {};
    const domainTexts = {
      "welcome-title": domain.title,
      description: domain.description,
      "welcome-disclaimer": domain.disclaimer,
    };
    const defaults = { "welcome-title": texts.welcome, description: texts.welcomeText, "welcome-disclaimer": "" };
    for (const [id, text] of Object.entries(domainTexts)) {
      element(id).textContent = text || defaults[id];
      element(id).lang = text ? language : this.language;
    }
    element("welcome-disclaimer").hidden = !domain.disclaimer;
    element("provenance").textContent = provenance;
    element("samples").lang = language ?? this.language;
    element("samples").replaceChildren(
      ...(domain.sample_questions ?? []).map((question) =>
        createNode("button", { type: "button", class: "sample", onclick: () => this.ask(question) }, question),
      ),
    );
    for (const turn of this.turns) turn.render();
  }

  announce(text) {
    element("status").textContent = text;
  }

  resizeQuestion() {
    const question = element("question");
    question.style.height = "auto";
    question.style.height = `${question.scrollHeight}px`;
  }

  setQuestion(text) {
    element("question").value = text;
    this.resizeQuestion();
  }

  submit() {
    const question = element("question").value.trim();
    if (!question || this.running) return;
    this.setQuestion("");
    this.ask(question);
  }

  stop() {
    this.running?.abort();
    element("question").focus();
  }

  async ask(question) {
    if (this.running) return;
    const controller = new AbortController();
    const turn = new Turn(question, this);
    const input = { question, ...this.buildContext() };
    this.addTurn(turn);
    this.setRunning(controller);
    this.announce(this.texts.searching);
    try {
      for await (const chunk of this.api.streamAnswer(input, controller.signal)) {
        turn.addChunk(chunk);
        if (chunk.sources) this.announce(`${this.texts.found(chunk.sources.length)}. ${this.texts.writing}`);
      }
      turn.finish("complete");
      this.announce(this.describeAnswer(turn));
    } catch (failure) {
      if (controller.signal.aborted) {
        turn.finish("stopped");
        if (this.turns.includes(turn)) this.announce(this.texts.stopped);
      } else this.fail(turn, failure);
    } finally {
      if (this.running === controller) this.setRunning(null);
    }
  }

  fail(turn, failure) {
    if (!failure.describe) throw failure;
    turn.finish("failed", failure);
    this.announce(`${failure.describe(this.texts)} ${failure.detail}`);
    // The question goes back into the input field, unless the user is already writing the next one.
    if (!element("question").value.trim()) this.setQuestion(turn.question);
  }

  retry(turn) {
    if (this.running) return;
    if (element("question").value.trim() === turn.question) this.setQuestion("");
    this.turns = this.turns.filter((each) => each !== turn);
    turn.element.remove();
    element("question").focus({ preventScroll: true });
    this.ask(turn.question);
  }

  setRunning(controller) {
    this.running = controller;
    const stop = element("stop");
    const send = element("send");
    const focused = document.activeElement;
    stop.hidden = !controller;
    send.hidden = Boolean(controller);
    if (focused === send || focused === stop) element("question").focus();
  }

  /** Returns the session to send with a question, or the conversation so far if the server saves no sessions. */
  buildContext() {
    if (this.about.sessions) {
      this.sessionId ??= randomId();
      remember("sessionStorage", SESSION, this.sessionId);
      return { session_id: this.sessionId };
    }
    const history = [];
    let characters = 0;
    for (const turn of this.turns.filter((each) => each.isComplete).slice(-HISTORY_TURNS).reverse()) {
      const answer = removeMarkers(turn.output.answer);
      characters += turn.question.length + answer.length;
      if (characters > HISTORY_CHARACTERS) break;
      history.unshift({ type: "human", content: turn.question }, { type: "ai", content: answer });
    }
    return history.length ? { chat_history: history } : {};
  }

  describeAnswer(turn) {
    const { answer, abstained, citations } = turn.output;
    const text = removeMarkers(answer);
    return abstained ? `${this.texts.declined}. ${text}` : `${text} ${this.texts.done(citations.length)}`;
  }

  addTurn(turn) {
    this.turns.push(turn);
    element("log").append(turn.element);
    element("welcome").hidden = true;
    turn.element.scrollIntoView({ block: "start" });
  }

  open(target, turn, opener) {
    this.documents.show(target, turn.output.sources, opener);
  }

  /** Starts a new conversation. */
  startConversation() {
    this.clear();
    this.sessionId = null;
    remember("sessionStorage", SESSION, null);
    element("question").focus();
  }

  clear() {
    this.turns = [];
    this.running?.abort();
    element("log").replaceChildren();
    element("welcome").hidden = false;
    this.announce("");
  }

  /** Continues a conversation that the server has saved. */
  async resume(id) {
    const { messages, summary } = await this.api.json(`sessions/${encodeURIComponent(id)}`);
    this.clear();
    this.sessionId = id;
    remember("sessionStorage", SESSION, id);
    if (summary) {
      const heading = createNode("summary", { "data-text": "summary" }, this.texts.summary);
      const details = createNode("details", { class: "summary" }, heading, createNode("p", { dir: "auto" }, summary));
      element("log").append(details);
      element("welcome").hidden = true;
    }
    for (const { type, data } of messages) {
      if (type === "human") this.addTurn(new Turn(getText(data.content), this));
      else if (type === "ai") this.turns.at(-1)?.addChunk({ answer: getText(data.content) });
    }
    for (const turn of this.turns) {
      turn.isSaved = true;
      turn.finish("complete");
    }
  }
}

/** Returns the text of a LangChain message, whose content is a string or a list of parts. */
function getText(content) {
  return typeof content === "string" ? content : content.map((part) => part.text ?? "").join("");
}

new Page().start();
