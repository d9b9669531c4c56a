// The page: starts it, takes questions, and keeps the conversation.

import { Api, randomId, recall, remember } from "./api.js";
import { DocumentPanel, KeyPanel, SessionsPanel } from "./panels.js";
import { node } from "./prose.js";
import { TEXTS } from "./texts.js";
import { Turn, withoutMarkers } from "./turn.js";

const LANGUAGE = "gptoss.language";
const SESSION = "gptoss.session";
const HISTORY_TURNS = 10;
const HISTORY_CHARACTERS = 30_000; // well below the longest request that a server takes

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
      this.documents.forget();
      return keys.ask(problem);
    });
    this.documents = new DocumentPanel(this.api, this);
    this.sessions = new SessionsPanel(this.api, this);
    this.wire();
    this.speak();
  }

  get texts() {
    return TEXTS[this.language] ?? TEXTS.en;
  }

  get provenance() {
    return this.about.provenance;
  }

  wire() {
    const question = element("question");
    element("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    question.addEventListener("keydown", (event) => {
      // While an input method composes a word, Enter belongs to it.
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.submit();
      }
    });
    question.addEventListener("input", () => this.fit());
    element("stop").addEventListener("click", () => this.stop());
    element("new").addEventListener("click", () => this.fresh());
    element("earlier").addEventListener("click", () => this.sessions.show(element("earlier")));
    element("language").addEventListener("click", () => {
      this.language = this.language === "fr" ? "en" : "fr";
      remember("localStorage", LANGUAGE, this.language);
      this.speak();
    });
  }

  async start() {
    try {
      this.about = await this.api.json("assets/page/about.json");
      this.speak();
      element("earlier").hidden = !this.about.sessions;
      if (this.about.needs_key && !this.api.key) await this.api.newKey();
      const open = recall("sessionStorage", SESSION);
      if (this.about.sessions && open) await this.resume(open);
    } catch (failure) {
      if (failure.kind === "missing") remember("sessionStorage", SESSION, null);
      else if (failure.kind !== "key") {
        element("description").textContent = failure.said?.(this.texts) ?? String(failure);
        this.announce(element("description").textContent);
      }
    }
    document.documentElement.dataset.ready = "true";
    if (!document.querySelector("dialog[open]")) element("question").focus({ preventScroll: true });
  }

  /** Puts everything that the page says into its language. */
  speak() {
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
    const spoken = languages[this.language] ? this.language : Object.keys(languages)[0];
    const domain = languages[spoken] ?? {};
    const own = { "welcome-title": domain.title, description: domain.description, "welcome-disclaimer": domain.disclaimer };
    const ours = { "welcome-title": texts.welcome, description: texts.welcomeText, "welcome-disclaimer": "" };
    for (const [id, text] of Object.entries(own)) {
      element(id).textContent = text || ours[id];
      element(id).lang = text ? spoken : this.language;
    }
    element("welcome-disclaimer").hidden = !domain.disclaimer;
    element("provenance").textContent = provenance;
    element("samples").lang = spoken ?? this.language;
    element("samples").replaceChildren(
      ...(domain.sample_questions ?? []).map((question) =>
        node("button", { type: "button", class: "sample", onclick: () => this.ask(question) }, question),
      ),
    );
    for (const turn of this.turns) turn.render();
  }

  announce(text) {
    element("status").textContent = text;
  }

  fit() {
    const question = element("question");
    question.style.height = "auto";
    question.style.height = `${question.scrollHeight}px`;
  }

  write(text) {
    element("question").value = text;
    this.fit();
  }

  submit() {
    const question = element("question").value.trim();
    if (!question || this.running) return;
    this.write("");
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
    const input = { question, ...this.context() };
    this.add(turn);
    this.run(controller);
    this.announce(this.texts.searching);
    try {
      for await (const piece of this.api.answer(input, controller.signal)) {
        turn.take(piece);
        if (piece.sources) this.announce(`${this.texts.found(piece.sources.length)}. ${this.texts.writing}`);
      }
      turn.end("complete");
      this.announce(this.spoken(turn));
    } catch (failure) {
      if (controller.signal.aborted) {
        turn.end("stopped");
        if (this.turns.includes(turn)) this.announce(this.texts.stopped);
      } else this.fail(turn, failure);
    } finally {
      if (this.running === controller) this.run(null);
    }
  }

  fail(turn, failure) {
    if (!failure.said) throw failure;
    turn.end("failed", failure);
    this.announce(`${failure.said(this.texts)} ${failure.detail}`);
    // The question is not lost: it stands where it can be corrected, unless the next one is being written there.
    if (!element("question").value.trim()) this.write(turn.question);
  }

  again(turn) {
    if (this.running) return;
    if (element("question").value.trim() === turn.question) this.write("");
    this.turns = this.turns.filter((each) => each !== turn);
    turn.element.remove();
    element("question").focus({ preventScroll: true });
    this.ask(turn.question);
  }

  run(controller) {
    this.running = controller;
    const stop = element("stop");
    const send = element("send");
    const focused = document.activeElement;
    stop.hidden = !controller;
    send.hidden = Boolean(controller);
    if (focused === send || focused === stop) element("question").focus();
  }

  /** Returns what has to be sent with a question: the session, or what was said before where the server keeps none. */
  context() {
    if (this.about.sessions) {
      this.sessionId ??= randomId();
      remember("sessionStorage", SESSION, this.sessionId);
      return { session_id: this.sessionId };
    }
    const history = [];
    let characters = 0;
    for (const turn of this.turns.filter((each) => each.complete).slice(-HISTORY_TURNS).reverse()) {
      const answer = withoutMarkers(turn.output.answer);
      characters += turn.question.length + answer.length;
      if (characters > HISTORY_CHARACTERS) break;
      history.unshift({ type: "human", content: turn.question }, { type: "ai", content: answer });
    }
    return history.length ? { chat_history: history } : {};
  }

  spoken(turn) {
    const { answer, abstained, citations } = turn.output;
    const text = withoutMarkers(answer);
    return abstained ? `${this.texts.declined}. ${text}` : `${text} ${this.texts.done(citations.length)}`;
  }

  add(turn) {
    this.turns.push(turn);
    element("log").append(turn.element);
    element("welcome").hidden = true;
    turn.element.scrollIntoView({ block: "start" });
  }

  open(target, turn, opener) {
    this.documents.show(target, turn.output.sources, opener);
  }

  /** Begins a new conversation. */
  fresh() {
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

  /** Goes on with a conversation that the server keeps. */
  async resume(id) {
    const { messages, summary } = await this.api.json(`sessions/${encodeURIComponent(id)}`);
    this.clear();
    this.sessionId = id;
    remember("sessionStorage", SESSION, id);
    if (summary) {
      const shown = node("details", { class: "summary" }, node("summary", { "data-text": "summary" }, this.texts.summary));
      shown.append(node("p", { dir: "auto" }, summary));
      element("log").append(shown);
      element("welcome").hidden = true;
    }
    for (const { type, data } of messages) {
      if (type === "human") this.add(new Turn(textOf(data.content), this));
      else if (type === "ai") this.turns.at(-1)?.take({ answer: textOf(data.content) });
    }
    for (const turn of this.turns) {
      turn.remembered = true;
      turn.end("complete");
    }
  }
}

/** Returns a message's text, which LangChain keeps as a text or as a list of parts. */
function textOf(content) {
  return typeof content === "string" ? content : content.map((part) => part.text ?? "").join("");
}

new Page().start();
