// One question and its answer in the conversation.

import { fileName, node, prose } from "./prose.js";

/** Returns an answer's text without the numbers of its citations, as the server remembers it. */
export const withoutMarkers = (text) => text.replace(/\s*\[(?:\d{1,3}|\?)\]/g, "");

export class Turn {
  /**
   * @param question What was asked.
   * @param page What a turn asks of the page: `texts`, `open(target, turn, opener)`, `again(turn)`, `provenance`.
   */
  constructor(question, page) {
    this.question = question;
    this.page = page;
    this.output = { sources: [], answer: "", reasoning: "", citations: [], language: "" };
    this.state = "searching"; // then writing; and complete, stopped or failed
    this.remembered = false; // whether it comes from an earlier visit, of which the server keeps the texts only
    this.asked = node("h2", { class: "asked", dir: "auto" }, question);
    this.notes = node("div", { class: "notes" });
    this.progress = node("p", { class: "progress" });
    this.prose = node("div", { class: "prose", dir: "auto" });
    this.foot = node("div", { class: "foot" });
    this.main = node("div", { class: "main" }, this.progress, this.prose, this.foot);
    this.body = node("div", { class: "body" }, this.notes, this.main);
    this.element = node("article", { class: "turn" }, this.asked, this.body);
    this.render();
  }

  get texts() {
    return this.page.texts;
  }

  get complete() {
    return this.state === "complete";
  }

  /** Takes a piece of the answer. */
  take(piece) {
    const { answer = "", reasoning = "", ...rest } = piece;
    Object.assign(this.output, rest);
    this.output.answer += answer;
    this.output.reasoning += reasoning;
    if (piece.sources) {
      this.state = "writing";
      this.element.dataset.state = this.state;
      this.renderLanguage();
      this.renderNotes();
    }
    this.renderProgress();
    if (answer) this.paintSoon();
  }

  /** Ends it: `complete`, `stopped`, or `failed` with a Failure. */
  end(state, failure = null) {
    this.state = state;
    this.failure = failure;
    // While one waits, there are only the passages to look at; then the answer comes first.
    if (!this.notes.contains(document.activeElement)) this.body.append(this.notes);
    this.render();
  }

  render() {
    this.element.dataset.state = this.state;
    this.element.classList.toggle("declined", this.complete && this.output.abstained === true);
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

  paintSoon() {
    this.painting ??= requestAnimationFrame(() => {
      this.painting = null;
      this.renderProse();
    });
  }

  renderProse() {
    this.prose.replaceChildren(prose(this.output.answer, (number, whole) => this.marker(number, whole)));
    this.prose.hidden = !this.output.answer;
  }

  /** Returns the node of a number in brackets: a button where it belongs to a citation. */
  marker(number, whole) {
    if (number === null) {
      const said = node("span", { class: "unseen" }, ` (${this.texts.unsupported})`);
      return node("span", { class: "doubt", title: this.texts.unsupported }, "?", said);
    }
    const citation = this.output.citations.find((each) => each.number === number);
    if (!citation) return this.complete ? whole : node("span", { class: "cite" }, String(number));
    const button = node(
      "button",
      { type: "button", class: "cite", "aria-label": this.texts.citation(number, citation.source), "aria-haspopup": "dialog" },
      String(number),
    );
    button.addEventListener("click", () => this.page.open(citation, this, button));
    for (const [event, lit] of [["mouseenter", true], ["focus", true], ["mouseleave", false], ["blur", false]]) {
      button.addEventListener(event, () => this.noteOf(number)?.classList.toggle("lit", lit));
    }
    return button;
  }

  noteOf(number) {
    return this.notes.querySelector(`.note[data-number="${number}"]`);
  }

  renderNotes() {
    const { citations, sources } = this.output;
    const made = [];
    if (this.complete && citations.length) {
      made.push(node("h3", {}, this.texts.quotes));
      made.push(node("ol", { class: "quotes" }, ...citations.map((each) => node("li", {}, this.note(each)))));
    }
    if (sources.length) made.push(this.passages());
    this.notes.replaceChildren(...made);
    this.notes.hidden = made.length === 0;
  }

  note(citation) {
    const button = node(
      "button",
      { type: "button", class: "note", "data-number": citation.number, "aria-haspopup": "dialog" },
      node("span", { class: "number" }, String(citation.number)),
      node("q", { lang: "", dir: "auto" }, citation.quote),
      this.place(citation),
    );
    button.addEventListener("click", () => this.page.open(citation, this, button));
    return button;
  }

  place({ source, heading, page }) {
    const rest = [headings(heading), page === null || page === undefined ? "" : this.texts.page(page)].filter(Boolean).join(" · ");
    return node(
      "span",
      { class: "place", title: source },
      node("b", {}, fileName(source)),
      rest ? node("span", {}, rest) : null,
    );
  }

  passages() {
    const { sources } = this.output;
    const items = sources.map((source) => {
      const button = node("button", { type: "button", class: "passage", "aria-haspopup": "dialog" }, this.place(source));
      button.addEventListener("click", () => this.page.open({ ...source, quote: source.text }, this, button));
      return node("li", {}, button);
    });
    const pending = this.state === "writing";
    // Whoever is reading the list keeps it.
    const open = pending || (this.notes.querySelector("details")?.contains(document.activeElement) ?? false);
    const summary = node("summary", {}, pending ? this.texts.found(sources.length) : this.texts.read(sources.length));
    return node("details", { class: "passages", open }, summary, node("ul", {}, ...items));
  }

  renderFoot() {
    const { texts, output, state } = this;
    const made = [];
    if (state === "failed") {
      made.push(node("p", { class: "notice bad" }, node("span", {}, this.failure.said(texts)), this.detail()));
    }
    if (state === "stopped") made.push(node("p", { class: "notice" }, texts.stopped));
    if (state === "complete" && output.abstained) this.prose.before(this.flag());
    else this.main.querySelector(".flag")?.remove();
    if (state === "complete" && output.unsupported?.length) {
      made.push(node("p", { class: "notice" }, texts.unsupportedNote));
    }
    if (state === "complete" && output.disclaimer) {
      made.push(node("p", { class: "disclaimer", lang: output.language || null }, output.disclaimer));
    }
    const buttons = node("div", { class: "actions" });
    if (state === "failed" || state === "stopped") {
      buttons.append(node("button", { type: "button", class: "quiet", onclick: () => this.page.again(this) }, texts.again));
    }
    if (state === "complete" && output.answer && !output.abstained) buttons.append(this.copyButton());
    if (buttons.children.length) made.push(buttons);
    if (state === "complete" && !this.remembered) made.push(this.details());
    this.foot.replaceChildren(...made);
  }

  detail() {
    return this.failure.detail ? node("span", { class: "detail", lang: "en" }, this.failure.detail) : null;
  }

  flag() {
    this.main.querySelector(".flag")?.remove();
    return node("p", { class: "flag" }, this.texts.declined);
  }

  copyButton() {
    const { texts } = this;
    const button = node("button", { type: "button", class: "quiet" }, texts.copy);
    button.addEventListener("click", async () => {
      const copied = await copy(this.asText());
      button.textContent = copied ? texts.copied : texts.copyFailed;
      this.page.announce(button.textContent);
      setTimeout(() => {
        button.textContent = this.texts.copy;
      }, 2500);
    });
    return button;
  }

  /** Returns the answer with its citations below, to be copied. */
  asText() {
    const notes = this.output.citations.map(({ number, quote, source, heading, page }) => {
      const place = [source, headings(heading), page ? this.texts.page(page) : ""].filter(Boolean).join(", ");
      return `[${number}] “${quote}” (${place})`;
    });
    return [this.output.answer, notes.join("\n"), this.output.disclaimer].filter(Boolean).join("\n\n");
  }

  details() {
    const { texts, output } = this;
    const { timings = {}, usage, metadata = {}, reason, standalone_question: searched } = output;
    const rows = [];
    const row = (name, value, language) => {
      if (value) rows.push(node("div", {}, node("dt", {}, name), node("dd", { lang: language }, value)));
    };
    row(texts.reason, reason, "en");
    row(texts.searched, searched === this.question ? "" : searched, output.language || null);
    row(texts.time, times(timings, texts));
    row(texts.tokens, usage ? texts.tokensText(usage.input_tokens, usage.output_tokens) : "");
    row(texts.model, metadata.model?.line ?? this.page.provenance, "en");
    row(texts.prompt, metadata.prompt_version);
    row(texts.audit, metadata.audit?.id);
    const thoughts = output.reasoning
      ? [node("h3", {}, texts.reasoning), node("p", { class: "reasoning", lang: "", dir: "auto" }, output.reasoning)]
      : [];
    return node("details", { class: "how" }, node("summary", {}, texts.details), node("dl", {}, ...rows), ...thoughts);
  }
}

/** Returns a path of headings as it is shown. */
export const headings = (path) => (path ?? "").replaceAll(" > ", " › ");

function times(timings, texts) {
  const steps = Object.entries(timings);
  const whole = steps.reduce((sum, [, seconds]) => sum + seconds, 0);
  // Steps that took no time worth telling are left out.
  const told = steps.filter(([, seconds]) => seconds >= 0.001);
  const each = told.map(([name, seconds]) => `${texts.steps[name] ?? name} ${texts.seconds(seconds)}`).join(", ");
  return steps.length ? `${texts.seconds(whole)}${each ? ` (${each})` : ""}` : "";
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // The clipboard's own interface is there for secure addresses only: an intranet over HTTP has the old way.
    const area = node("textarea", { class: "unseen", "aria-hidden": "true", tabindex: "-1" });
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
