// One question and its answer in the conversation.

import { createNode, getFileName, renderMarkup } from "./markup.js";

/** Returns an answer's text without the numbers of its citations, as the server saves it. */
export const removeMarkers = (text) => text.replace(/\s*\[(?:\d{1,3}|\?)\]/g, "");

export class Turn {
  /**
   * @param question The user's question.
   * @param page Has `texts`, `provenance`, `open(target, turn, opener)`, `retry(turn)` and `announce(text)`.
   */
  constructor(question, page) {
    this.question = question;
    this.page = page;
    this.output = { sources: [], answer: "", reasoning: "", citations: [], language: "" };
    this.state = "searching"; // then "writing", and at the end "complete", "stopped" or "failed"
    this.isSaved = false; // true if it was loaded from the server, which saves only the texts
    this.asked = createNode("h2", { class: "asked", dir: "auto" }, question);
    this.notes = createNode("div", { class: "notes" });
    this.progress = createNode("p", { class: "progress" });
    this.prose = createNode("div", { class: "prose", dir: "auto" });
    this.foot = createNode("div", { class: "foot" });
    this.main = createNode("div", { class: "main" }, this.progress, this.prose, this.foot);
    this.body = createNode("div", { class: "body" }, this.notes, this.main);
    this.element = createNode("article", { class: "turn" }, this.asked, this.body);
    this.render();
  }

  get texts() {
    return this.page.texts;
  }

  get isComplete() {
    return this.state === "complete";
  }

  /** Adds a chunk of the answer. */
  addChunk(chunk) {
    const { answer = "", reasoning = "", ...rest } = chunk;
    Object.assign(this.output, rest);
    this.output.answer += answer;
    this.output.reasoning += reasoning;
    if (chunk.sources) {
      this.state = "writing";
      this.element.dataset.state = this.state;
      this.renderLanguage();
      this.renderNotes();
    }
    this.renderProgress();
    if (answer) this.scheduleProse();
  }

  /** Ends the turn: "complete", "stopped", or "failed" with a Failure. */
  finish(state, failure = null) {
    this.state = state;
    this.failure = failure;
    // The passages are above the answer until it is complete, and below it afterwards.
    if (!this.notes.contains(document.activeElement)) this.body.append(this.notes);
    this.render();
  }

  render() {
    this.element.dataset.state = this.state;
    this.element.classList.toggle("declined", this.isComplete && this.output.abstained === true);
    this.renderLanguage();
    this.renderProgress();
    this.renderNotes();
    this.renderProse();
    this.renderFoot();
  }

  renderLanguage() {
    const { language } = this.output;
    for (const element of [this.asked, this.prose]) {
      if (language) element.lang = language;
    }
  }

  renderProgress() {
    const { searching, writing } = this.texts;
    const text = { searching, writing }[this.state] ?? "";
    this.progress.textContent = this.output.answer ? "" : text;
    this.progress.hidden = !this.progress.textContent;
  }

  scheduleProse() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.renderProse();
    });
  }

  renderProse() {
    this.prose.replaceChildren(renderMarkup(this.output.answer, (number, whole) => this.createMarker(number, whole)));
    this.prose.hidden = !this.output.answer;
  }

  /** Returns the node for a number in brackets: a button if it belongs to a citation. */
  createMarker(number, whole) {
    if (number === null) {
      const explanation = createNode("span", { class: "visually-hidden" }, ` (${this.texts.unsupported})`);
      return createNode("span", { class: "doubt", title: this.texts.unsupported }, "?", explanation);
    }
    const citation = this.output.citations.find((each) => each.number === number);
    if (!citation) return this.isComplete ? whole : createNode("span", { class: "cite" }, String(number));
    const button = createNode(
      "button",
      { type: "button", class: "cite", "aria-label": this.texts.citation(number, citation.source), "aria-haspopup": "dialog" },
      String(number),
    );
    button.addEventListener("click", () => this.page.open(citation, this, button));
    for (const [event, lit] of [["mouseenter", true], ["focus", true], ["mouseleave", false], ["blur", false]]) {
      button.addEventListener(event, () => this.findNote(number)?.classList.toggle("lit", lit));
    }
    return button;
  }

  findNote(number) {
    return this.notes.querySelector(`.note[data-number="${number}"]`);
  }

  renderNotes() {
    const { citations, sources } = this.output;
    const nodes = [];
    if (this.isComplete && citations.length) {
      nodes.push(createNode("h3", {}, this.texts.quotes));
      const items = citations.map((each) => createNode("li", {}, this.createNote(each)));
      nodes.push(createNode("ol", { class: "quotes" }, ...items));
    }
    if (sources.length) nodes.push(this.createPassages());
    this.notes.replaceChildren(...nodes);
    this.notes.hidden = nodes.length === 0;
  }

  createNote(citation) {
    const button = createNode(
      "button",
      { type: "button", class: "note", "data-number": citation.number, "aria-haspopup": "dialog" },
      createNode("span", { class: "number" }, String(citation.number)),
      createNode("q", { lang: "", dir: "auto" }, citation.quote),
      this.createPlace(citation),
    );
    button.addEventListener("click", () => this.page.open(citation, this, button));
    return button;
  }

  createPlace({ source, heading, page }) {
    const pageText = page === null || page === undefined ? "" : this.texts.page(page);
    const rest = [formatHeadings(heading), pageText].filter(Boolean).join(" · ");
    return createNode(
      "span",
      { class: "place", title: source },
      createNode("b", {}, getFileName(source)),
      rest ? createNode("span", {}, rest) : null,
    );
  }

  createPassages() {
    const { sources } = this.output;
    const items = sources.map((source) => {
      const attributes = { type: "button", class: "passage", "aria-haspopup": "dialog" };
      const button = createNode("button", attributes, this.createPlace(source));
      button.addEventListener("click", () => this.page.open({ ...source, quote: source.text }, this, button));
      return createNode("li", {}, button);
    });
    const pending = this.state === "writing";
    // The list stays open while the user is reading it.
    const open = pending || (this.notes.querySelector("details")?.contains(document.activeElement) ?? false);
    const summary = createNode("summary", {}, pending ? this.texts.found(sources.length) : this.texts.read(sources.length));
    return createNode("details", { class: "passages", open }, summary, createNode("ul", {}, ...items));
  }

  renderFoot() {
    const { texts, output, state } = this;
    const nodes = [];
    if (state === "failed") {
      const description = createNode("span", {}, this.failure.describe(texts));
      nodes.push(createNode("p", { class: "notice bad" }, description, this.createDetail()));
    }
    if (state === "stopped") nodes.push(createNode("p", { class: "notice" }, texts.stopped));
    if (state === "complete" && output.abstained) this.prose.before(this.createFlag());
    else this.main.querySelector(".flag")?.remove();
    if (state === "complete" && output.unsupported?.length) {
      nodes.push(createNode("p", { class: "notice" }, texts.unsupportedNote));
    }
    if (state === "complete" && output.notice) {
      nodes.push(createNode("p", { class: "notice", lang: output.language || null }, output.notice));
    }
    if (state === "complete" && output.disclaimer) {
      nodes.push(createNode("p", { class: "disclaimer", lang: output.language || null }, output.disclaimer));
    }
    const buttons = createNode("div", { class: "actions" });
    if (state === "failed" || state === "stopped") {
      const retry = () => this.page.retry(this);
      buttons.append(createNode("button", { type: "button", class: "quiet", onclick: retry }, texts.retry));
    }
    if (state === "complete" && output.answer && !output.abstained) buttons.append(this.createCopyButton());
    if (buttons.children.length) nodes.push(buttons);
    if (state === "complete" && !this.isSaved) nodes.push(this.createDetails());
    this.foot.replaceChildren(...nodes);
  }

  createDetail() {
    return this.failure.detail ? createNode("span", { class: "detail", lang: "en" }, this.failure.detail) : null;
  }

  createFlag() {
    this.main.querySelector(".flag")?.remove();
    return createNode("p", { class: "flag" }, this.texts.declined);
  }

  createCopyButton() {
    const { texts } = this;
    const button = createNode("button", { type: "button", class: "quiet" }, texts.copy);
    button.addEventListener("click", async () => {
      const copied = await copyText(this.toText());
      button.textContent = copied ? texts.copied : texts.copyFailed;
      this.page.announce(button.textContent);
      setTimeout(() => {
        button.textContent = this.texts.copy;
      }, 2500);
    });
    return button;
  }

  /** Returns the answer with its citations below it, for the clipboard. */
  toText() {
    const notes = this.output.citations.map(({ number, quote, source, heading, page }) => {
      const place = [source, formatHeadings(heading), page ? this.texts.page(page) : ""].filter(Boolean).join(", ");
      return `[${number}] “${quote}” (${place})`;
    });
    return [this.output.answer, notes.join("\n"), this.output.disclaimer].filter(Boolean).join("\n\n");
  }

  createDetails() {
    const { texts, output } = this;
    const { timings = {}, usage, metadata = {}, reason, standalone_question: searched } = output;
    const rows = [];
    const addRow = (name, value, language) => {
      if (!value) return;
      rows.push(createNode("div", {}, createNode("dt", {}, name), createNode("dd", { lang: language }, value)));
    };
    addRow(texts.reason, reason, "en");
    addRow(texts.searched, searched === this.question ? "" : searched, output.language || null);
    addRow(texts.time, formatTimes(timings, texts));
    addRow(texts.tokens, usage ? texts.tokensText(usage.input_tokens, usage.output_tokens) : "");
    addRow(texts.model, metadata.model?.line ?? this.page.provenance, "en");
    addRow(texts.prompt, metadata.prompt_version);
    addRow(texts.audit, metadata.audit?.id);
    const reasoning = output.reasoning
      ? [
          createNode("h3", {}, texts.reasoning),
          createNode("p", { class: "reasoning", lang: "", dir: "auto" }, output.reasoning),
        ]
      : [];
    const heading = createNode("summary", {}, texts.details);
    return createNode("details", { class: "how" }, heading, createNode("dl", {}, ...rows), ...reasoning);
  }
}

/** Returns a path of headings for display. */
export const formatHeadings = (path) => (path ?? "").replaceAll(" > ", " › ");

function formatTimes(timings, texts) {
  const steps = Object.entries(timings);
  const total = steps.reduce((sum, [, seconds]) => sum + seconds, 0);
  // Steps shorter than a millisecond are left out.
  const visible = steps.filter(([, seconds]) => seconds >= 0.001);
  const parts = visible.map(([name, seconds]) => `${texts.steps[name] ?? name} ${texts.seconds(seconds)}`).join(", ");
  return steps.length ? `${texts.seconds(total)}${parts ? ` (${parts})` : ""}` : "";
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers offer navigator.clipboard only to secure addresses; an intranet over HTTP needs the old way.
    const area = createNode("textarea", { class: "visually-hidden", "aria-hidden": "true", tabindex: "-1" });
    const focused = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return copied;
  }
}
