// What opens over the page: a cited document, the earlier conversations, and the question for a key.

import { fileName, index, node } from "./prose.js";
import { headings } from "./turn.js";

const AROUND = 20_000; // characters shown on each side of a quote at first: a whole book is slow to lay out

const element = (id) => document.getElementById(id);

/** Opens a dialog; when it closes, focus goes back to where it was. */
function open(dialog, opener = document.activeElement) {
  if (dialog.open) return;
  dialog.addEventListener("close", () => opener?.isConnected && opener.focus(), { once: true });
  dialog.showModal();
}

/** Lets a dialog be closed by its button and by a click beside it; Esc is the browser's. */
function closable(dialog) {
  for (const button of dialog.querySelectorAll(".close")) button.addEventListener("click", () => dialog.close());
  dialog.addEventListener("mousedown", (event) => {
    const { left, right, top, bottom } = dialog.getBoundingClientRect();
    const inside = event.clientX >= left && event.clientX <= right && event.clientY >= top && event.clientY <= bottom;
    if (event.target === dialog && !inside) dialog.close();
  });
}

function notice(id, text) {
  element(id).textContent = text;
  element(id).hidden = !text;
}

/** Returns a text with one empty line where there are many: the server sends line ends for what it has not kept. */
const airy = (text) => text.replace(/\n{3,}/g, "\n\n");

export class DocumentPanel {
  constructor(api, page) {
    this.api = api;
    this.page = page;
    this.dialog = element("document");
    this.texts = new Map(); // by source: a document is fetched once
    closable(this.dialog);
  }

  /** Forgets what was read: another key may see other documents. */
  forget() {
    this.texts.clear();
  }

  /**
   * Shows a document at a span of it.
   * @param target A citation, or a passage with its text as `quote`.
   * @param passages Those that the answer was made from, where the document itself is not to be had.
   */
  async show(target, passages, opener) {
    const { texts } = this.page;
    const { source, heading, page } = target;
    const shown = (this.shown = {});
    element("document-title").textContent = fileName(source);
    const place = [source === fileName(source) ? "" : source, headings(heading), page ? texts.page(page) : ""];
    element("document-where").textContent = place.filter(Boolean).join(" · ");
    const quoted = target.verdict === "quoted" ? texts.quotedWhole : "";
    notice("document-claim", target.claim && !quoted ? texts.citedFor(target.claim) : quoted);
    notice("document-note", "");
    element("document-text").replaceChildren(node("p", { class: "progress" }, texts.loading));
    open(this.dialog, opener);
    const found = await this.find(target, passages);
    if (shown !== this.shown || !this.dialog.open) return; // another one was opened, or none is wanted any more
    notice("document-note", found.note);
    this.fill(found);
  }

  /** Returns a text, where the quote stands in it in UTF-16 units, and what has to be said of it. */
  async find(target, passages) {
    const { texts } = this.page;
    let note = "";
    try {
      const { text, start } = await this.document(target.source);
      const span = [index(text, target.start - start), index(text, target.end - start)];
      if (text.slice(...span) === target.quote) return { text, span, note };
      note = texts.changed;
    } catch (failure) {
      note = failure.kind === "missing" ? texts.onlyPassage : texts.loadingFailed(failure.said?.(texts) ?? String(failure));
    }
    const holds = ({ source, start, end }) => source === target.source && start <= target.start && target.end <= end;
    const passage = passages.find(holds);
    if (passage) {
      const { text, start } = passage;
      const span = [index(text, target.start - start), index(text, target.end - start)];
      if (text.slice(...span) === target.quote) return { text, span, note };
    }
    return { text: target.quote, span: [0, target.quote.length], note };
  }

  async document(source) {
    if (!this.texts.has(source)) {
      this.texts.set(source, await this.api.json(`documents?source=${encodeURIComponent(source)}`));
    }
    return this.texts.get(source);
  }

  fill({ text, span: [start, end] }) {
    const paper = element("document-text");
    const from = start > AROUND ? start - AROUND : 0;
    const to = end + AROUND < text.length ? end + AROUND : text.length;
    const mark = node("mark", { tabindex: "-1" }, text.slice(start, end));
    const whole = () => {
      paper.replaceChildren(airy(text.slice(0, start)), mark, airy(text.slice(end)));
      this.reveal(mark);
    };
    const more = node("button", { type: "button", class: "quiet", onclick: whole }, this.page.texts.wholeDocument);
    const cut = from > 0 || to < text.length;
    paper.replaceChildren(...(cut ? [node("p", {}, more)] : []), airy(text.slice(from, start)), mark, airy(text.slice(end, to)));
    this.reveal(mark);
  }

  reveal(mark) {
    mark.focus({ preventScroll: true });
    const paper = element("document-text");
    const room = Math.max(paper.clientHeight - mark.offsetHeight, 0);
    const above = mark.getBoundingClientRect().top - paper.getBoundingClientRect().top;
    paper.scrollTop += above - Math.min(room / 2, paper.clientHeight / 3);
  }
}

export class SessionsPanel {
  /** @param page `texts`, `sessionId`, `resume(id)`, `fresh()` and `announce(text)`. */
  constructor(api, page) {
    this.api = api;
    this.page = page;
    this.dialog = element("sessions");
    closable(this.dialog);
  }

  async show(opener) {
    element("sessions-list").replaceChildren();
    notice("sessions-note", this.page.texts.loading);
    open(this.dialog, opener);
    await this.refresh();
  }

  async refresh() {
    const { texts } = this.page;
    try {
      const sessions = await this.api.json("sessions");
      element("sessions-list").replaceChildren(...sessions.map((each) => this.item(each)));
      notice("sessions-note", sessions.length ? "" : texts.noSessions);
    } catch (failure) {
      notice("sessions-note", failure.said?.(texts) ?? String(failure));
    }
  }

  item({ session_id: id, title, updated, messages }) {
    const { texts } = this.page;
    // "fr-BE" rather than "fr", where the browser says so.
    const { language } = navigator.language.startsWith(this.page.language) ? navigator : this.page;
    const name = title || texts.untitled;
    const when = new Date(updated);
    const date = Number.isNaN(when.valueOf())
      ? ""
      : when.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
    const facts = [date, texts.messages(messages), id === this.page.sessionId ? texts.current : ""];
    const openIt = node(
      "button",
      { type: "button", class: "session" },
      node("b", { dir: "auto" }, name),
      node("span", {}, facts.filter(Boolean).join(" · ")),
    );
    openIt.addEventListener("click", () => this.run(async () => {
      await this.page.resume(id);
      this.dialog.close();
    }));
    const exportIt = this.button(texts.exportIt, name);
    exportIt.addEventListener("click", () => this.run(() => this.export(id)));
    const deleteIt = this.button(texts.deleteIt, name);
    deleteIt.addEventListener("click", () => this.delete(deleteIt, id, name));
    deleteIt.addEventListener("blur", () => this.label(deleteIt, texts.deleteIt, name));
    return node("li", {}, openIt, node("div", { class: "actions" }, exportIt, deleteIt));
  }

  button(text, name) {
    return this.label(node("button", { type: "button", class: "quiet" }), text, name);
  }

  label(button, text, name) {
    button.textContent = text;
    button.setAttribute("aria-label", this.page.texts.sessionNamed(text, name));
    return button;
  }

  async run(action) {
    notice("sessions-note", "");
    try {
      await action();
    } catch (failure) {
      notice("sessions-note", failure.said?.(this.page.texts) ?? String(failure));
    }
  }

  async export(id) {
    const session = await this.api.json(`sessions/${encodeURIComponent(id)}`);
    const address = URL.createObjectURL(new Blob([JSON.stringify(session, null, 2)], { type: "application/json" }));
    const link = node("a", { href: address, download: `conversation-${session.updated?.slice(0, 10) ?? ""}.json` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }

  /** Deletes on the second click: the first one asks. */
  async delete(button, id, name) {
    const { texts } = this.page;
    if (button.textContent !== texts.deleteReally) {
      this.label(button, texts.deleteReally, name);
      return;
    }
    await this.run(async () => {
      await this.api.call(`sessions/${encodeURIComponent(id)}`, { method: "DELETE" });
      if (id === this.page.sessionId) this.page.fresh();
      await this.refresh();
      this.dialog.querySelector(".close").focus();
      this.page.announce(texts.deleted);
    });
  }
}

export class KeyPanel {
  constructor(page) {
    this.page = page;
    this.dialog = element("key");
    closable(this.dialog);
  }

  /** Returns a promise of a key, or of null where it is not given. */
  ask(problem) {
    const value = element("key-value");
    const form = element("key-form");
    notice("key-problem", problem);
    value.value = "";
    open(this.dialog);
    value.focus();
    return new Promise((given) => {
      let key = null;
      const submitted = (event) => {
        event.preventDefault();
        const typed = value.value.trim();
        // A header holds nothing else; fetch would fail with an error about itself.
        if (!/^[\x21-\x7e]+$/.test(typed)) {
          notice("key-problem", this.page.texts.keyForm);
          return;
        }
        key = typed;
        this.dialog.close();
      };
      form.addEventListener("submit", submitted);
      this.dialog.addEventListener(
        "close",
        () => {
          form.removeEventListener("submit", submitted);
          given(key);
        },
        { once: true },
      );
    });
  }
}
