// The dialogs: a cited document, the earlier conversations, and the request for a key.

import { createNode, getFileName, toUtf16Index } from "./markup.js";
import { formatHeadings } from "./turn.js";

const CONTEXT_CHARACTERS = 20_000; // shown on each side of a quote at first: the layout of a whole book is slow

const element = (id) => document.getElementById(id);

/** Opens a dialog; when it closes, the focus returns to the opener. */
function openDialog(dialog, opener = document.activeElement) {
  if (dialog.open) return;
  dialog.addEventListener("close", () => opener?.isConnected && opener.focus(), { once: true });
  dialog.showModal();
}

/** Closes a dialog on its button and on a click outside; the browser itself handles Esc. */
function makeClosable(dialog) {
  for (const button of dialog.querySelectorAll(".close")) button.addEventListener("click", () => dialog.close());
  dialog.addEventListener("mousedown", (event) => {
    const { left, right, top, bottom } = dialog.getBoundingClientRect();
    const inside = event.clientX >= left && event.clientX <= right && event.clientY >= top && event.clientY <= bottom;
    if (event.target === dialog && !inside) dialog.close();
  });
}

function showNotice(id, text) {
  element(id).textContent = text;
  element(id).hidden = !text;
}

/** Returns a text with single empty lines: the server sends line ends for parts that are not stored. */
const collapseEmptyLines = (text) => text.replace(/\n{3,}/g, "\n\n");

export class DocumentPanel {
  constructor(api, page) {
    this.api = api;
    this.page = page;
    this.dialog = element("document");
    this.cache = new Map(); // documents by source
    makeClosable(this.dialog);
  }

  /** Empties the cache: another key may see other documents. */
  clear() {
    this.cache.clear();
  }

  /**
   * Shows a document at a span.
   * @param target A citation, or a passage with its text as `quote`.
   * @param passages The passages of the answer, for documents that the server cannot deliver.
   */
  async show(target, passages, opener) {
    const { texts } = this.page;
    const { source, heading, page } = target;
    const request = (this.request = {});
    element("document-title").textContent = getFileName(source);
    const place = [source === getFileName(source) ? "" : source, formatHeadings(heading), page ? texts.page(page) : ""];
    element("document-where").textContent = place.filter(Boolean).join(" · ");
    const quoted = target.verdict === "quoted" ? texts.quotedWhole : "";
    showNotice("document-claim", target.claim && !quoted ? texts.citedFor(target.claim) : quoted);
    showNotice("document-note", "");
    element("document-text").replaceChildren(createNode("p", { class: "progress" }, texts.loading));
    openDialog(this.dialog, opener);
    const excerpt = await this.findText(target, passages);
    if (request !== this.request || !this.dialog.open) return; // another document was opened, or the dialog closed
    showNotice("document-note", excerpt.note);
    this.fill(excerpt);
  }

  /** Returns a text, the span of the quote in it in UTF-16 units, and a note for the user. */
  async findText(target, passages) {
    const { texts } = this.page;
    let note = "";
    try {
      const { text, start } = await this.fetchDocument(target.source);
      const span = [toUtf16Index(text, target.start - start), toUtf16Index(text, target.end - start)];
      if (text.slice(...span) === target.quote) return { text, span, note };
      note = texts.changed;
    } catch (failure) {
      const reason = failure.describe?.(texts) ?? String(failure);
      note = failure.kind === "missing" ? texts.onlyPassage : texts.loadingFailed(reason);
    }
    const contains = ({ source, start, end }) => source === target.source && start <= target.start && target.end <= end;
    const passage = passages.find(contains);
    if (passage) {
      const { text, start } = passage;
      const span = [toUtf16Index(text, target.start - start), toUtf16Index(text, target.end - start)];
      if (text.slice(...span) === target.quote) return { text, span, note };
    }
    return { text: target.quote, span: [0, target.quote.length], note };
  }

  async fetchDocument(source) {
    if (!this.cache.has(source)) {
      this.cache.set(source, await this.api.json(`documents?source=${encodeURIComponent(source)}`));
    }
    return this.cache.get(source);
  }

  fill({ text, span: [start, end] }) {
    const paper = element("document-text");
    const from = start > CONTEXT_CHARACTERS ? start - CONTEXT_CHARACTERS : 0;
    const to = end + CONTEXT_CHARACTERS < text.length ? end + CONTEXT_CHARACTERS : text.length;
    const mark = createNode("mark", { tabindex: "-1" }, text.slice(start, end));
    const showWhole = () => {
      paper.replaceChildren(collapseEmptyLines(text.slice(0, start)), mark, collapseEmptyLines(text.slice(end)));
      this.scrollTo(mark);
    };
    const label = this.page.texts.wholeDocument;
    const button = createNode("button", { type: "button", class: "quiet", onclick: showWhole }, label);
    const isCut = from > 0 || to < text.length;
    paper.replaceChildren(
      ...(isCut ? [createNode("p", {}, button)] : []),
      collapseEmptyLines(text.slice(from, start)),
      mark,
      collapseEmptyLines(text.slice(end, to)),
    );
    this.scrollTo(mark);
  }

  scrollTo(mark) {
    mark.focus({ preventScroll: true });
    const paper = element("document-text");
    const room = Math.max(paper.clientHeight - mark.offsetHeight, 0);
    const above = mark.getBoundingClientRect().top - paper.getBoundingClientRect().top;
    paper.scrollTop += above - Math.min(room / 2, paper.clientHeight / 3);
  }
}

export class SessionsPanel {
  /** @param page Has `texts`, `sessionId`, `resume(id)`, `startConversation()` and `announce(text)`. */
  constructor(api, page) {
    this.api = api;
    this.page = page;
    this.dialog = element("sessions");
    makeClosable(this.dialog);
  }

  async show(opener) {
    element("sessions-list").replaceChildren();
    showNotice("sessions-note", this.page.texts.loading);
    openDialog(this.dialog, opener);
    await this.refresh();
  }

  async refresh() {
    const { texts } = this.page;
    try {
      const sessions = await this.api.json("sessions");
      element("sessions-list").replaceChildren(...sessions.map((each) => this.createItem(each)));
      showNotice("sessions-note", sessions.length ? "" : texts.noSessions);
    } catch (failure) {
      showNotice("sessions-note", failure.describe?.(texts) ?? String(failure));
    }
  }

  createItem({ session_id: id, title, updated, messages }) {
    const { texts } = this.page;
    // The browser's own variant of the language, such as "fr-BE".
    const { language } = navigator.language.startsWith(this.page.language) ? navigator : this.page;
    const name = title || texts.untitled;
    const when = new Date(updated);
    const date = Number.isNaN(when.valueOf())
      ? ""
      : when.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
    const facts = [date, texts.messages(messages), id === this.page.sessionId ? texts.current : ""];
    const openButton = createNode(
      "button",
      { type: "button", class: "session" },
      createNode("b", { dir: "auto" }, name),
      createNode("span", {}, facts.filter(Boolean).join(" · ")),
    );
    openButton.addEventListener("click", () => this.attempt(async () => {
      await this.page.resume(id);
      this.dialog.close();
    }));
    const exportButton = this.createButton(texts.exportSession, name);
    exportButton.addEventListener("click", () => this.attempt(() => this.export(id)));
    const deleteButton = this.createButton(texts.deleteSession, name);
    deleteButton.addEventListener("click", () => this.delete(deleteButton, id, name));
    deleteButton.addEventListener("blur", () => this.label(deleteButton, texts.deleteSession, name));
    return createNode("li", {}, openButton, createNode("div", { class: "actions" }, exportButton, deleteButton));
  }

  createButton(text, name) {
    return this.label(createNode("button", { type: "button", class: "quiet" }), text, name);
  }

  label(button, text, name) {
    button.textContent = text;
    button.setAttribute("aria-label", this.page.texts.sessionNamed(text, name));
    return button;
  }

  async attempt(action) {
    showNotice("sessions-note", "");
    try {
      await action();
    } catch (failure) {
      showNotice("sessions-note", failure.describe?.(this.page.texts) ?? String(failure));
    }
  }

  async export(id) {
    const session = await this.api.json(`sessions/${encodeURIComponent(id)}`);
    const address = URL.createObjectURL(new Blob([JSON.stringify(session, null, 2)], { type: "application/json" }));
    const link = createNode("a", { href: address, download: `conversation-${session.updated?.slice(0, 10) ?? ""}.json` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }

  /** Deletes a conversation on the second click; the first one asks for confirmation. */
  async delete(button, id, name) {
    const { texts } = this.page;
    if (button.textContent !== texts.confirmDelete) {
      this.label(button, texts.confirmDelete, name);
      return;
    }
    await this.attempt(async () => {
      await this.api.call(`sessions/${encodeURIComponent(id)}`, { method: "DELETE" });
      if (id === this.page.sessionId) this.page.startConversation();
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
    makeClosable(this.dialog);
  }

  /** Returns a promise of a key, or of null if the user gives none. */
  ask(problem) {
    const value = element("key-value");
    const form = element("key-form");
    showNotice("key-problem", problem);
    value.value = "";
    openDialog(this.dialog);
    value.focus();
    return new Promise((resolve) => {
      let key = null;
      const submit = (event) => {
        event.preventDefault();
        const typed = value.value.trim();
        // HTTP headers allow only these characters; with others, fetch fails with an unclear error.
        if (!/^[\x21-\x7e]+$/.test(typed)) {
          showNotice("key-problem", this.page.texts.keyForm);
          return;
        }
        key = typed;
        this.dialog.close();
      };
      form.addEventListener("submit", submit);
      this.dialog.addEventListener(
        "close",
        () => {
          form.removeEventListener("submit", submit);
          resolve(key);
        },
        { once: true },
      );
    });
  }
}
