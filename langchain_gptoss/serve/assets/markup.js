// Turns texts into DOM nodes. Texts of documents and models are untrusted: they become text nodes, never HTML.

/** Returns a new element; texts among its children become text nodes. */
export function createNode(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "onclick") element.addEventListener("click", value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const LIST_ITEM = /^\s*(?:([-*•])|(\d{1,3})[.)])\s+(.*)$/;
const INLINE = /\*\*([^*\n]+)\*\*|`([^`\n]+)`|\[(\d{1,3})\]|\[\?\]/g;

/**
 * Returns the nodes of an answer, with the Markdown that models write: paragraphs, lists, bold and code.
 * @param createMarker Returns the node for a citation's number, or for null after an unsupported sentence.
 */
export function renderMarkup(text, createMarker) {
  const fragment = document.createDocumentFragment();
  let paragraph = null;
  let list = null;
  for (const line of text.split("\n")) {
    const [item, bullet, number, rest] = LIST_ITEM.exec(line) ?? [];
    if (item !== undefined) {
      const tag = bullet ? "ol" : "ul";
      if (list === null || list.localName === tag) {
        list = bullet ? createNode("ul") : createNode("ol", { start: number });
        fragment.append(list);
      }
      list.append(createNode("li", {}, ...renderInline(rest, createMarker)));
      paragraph = null;
    } else if (line.trim() === "") {
      paragraph = null;
      list = null;
    } else {
      list = null;
      if (paragraph === null) {
        paragraph = createNode("p");
        fragment.append(paragraph);
      } else paragraph.append(createNode("br"));
      const heading = /^#{1,6}\s+(.*)$/.exec(line);
      if (heading) paragraph.append(createNode("strong", {}, ...renderInline(heading[1], createMarker)));
      else paragraph.append(...renderInline(line, createMarker));
    }
  }
  return fragment;
}

function renderInline(text, createMarker) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, bold, code, number] = match;
    const isMarker = bold === undefined && code === undefined;
    // A line must not break between a word and the number after it.
    const before = text.slice(end, match.index);
    parts.push(isMarker ? before.replace(/\s+$/, "\u2060") : before);
    if (bold !== undefined) parts.push(createNode("strong", {}, ...renderInline(bold, createMarker)));
    else if (code !== undefined) parts.push(createNode("code", {}, code));
    else parts.push(createMarker(number === undefined ? null : Number(number), whole));
    end = match.index + whole.length;
  }
  parts.push(text.slice(end));
  return parts.filter((part) => part !== "");
}

/** Returns the index in a JavaScript string, in UTF-16 units, for an offset in characters. */
export function toUtf16Index(text, characters) {
  let position = 0;
  for (let left = characters; left > 0 && position < text.length; left -= 1) {
    position += text.codePointAt(position) > 0xffff ? 2 : 1;
  }
  return position;
}

/** Returns the last part of a source's path. */
export function getFileName(source) {
  return source.replace(/[\\/]+$/, "").split(/[\\/]/).pop() || source;
}
