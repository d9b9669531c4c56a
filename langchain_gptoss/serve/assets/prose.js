// Text into nodes. What comes from documents and models is hostile: it becomes text nodes, never markup.

/** Returns a new element; texts among its children become text nodes. */
export function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "onclick") made.addEventListener("click", value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const LIST_ITEM = /^\s*(?:([-*•])|(\d{1,3})[.)])\s+(.*)$/;
const INLINE = /\*\*([^*\n]+)\*\*|`([^`\n]+)`|\[(\d{1,3})\]|\[\?\]/g;

/**
 * Returns the nodes of an answer: paragraphs, lists, bold and code, as models write them.
 * @param marker Makes the node for a citation's number, or for null where a sentence has no support.
 */
export function prose(text, marker) {
  const made = document.createDocumentFragment();
  let paragraph = null;
  let list = null;
  for (const line of text.split("\n")) {
    const [item, bullet, number, rest] = LIST_ITEM.exec(line) ?? [];
    if (item !== undefined) {
      const tag = bullet ? "ol" : "ul";
      if (list === null || list.localName === tag) {
        list = bullet ? node("ul") : node("ol", { start: number });
        made.append(list);
      }
      list.append(node("li", {}, ...inline(rest, marker)));
      paragraph = null;
    } else if (line.trim() === "") {
      paragraph = null;
      list = null;
    } else {
      list = null;
      if (paragraph === null) {
        paragraph = node("p");
        made.append(paragraph);
      } else paragraph.append(node("br"));
      const heading = /^#{1,6}\s+(.*)$/.exec(line);
      if (heading) paragraph.append(node("strong", {}, ...inline(heading[1], marker)));
      else paragraph.append(...inline(line, marker));
    }
  }
  return made;
}

function inline(text, marker) {
  const made = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    const [whole, bold, code, number] = found;
    const isMarker = bold === undefined && code === undefined;
    // A number belongs to the word before it: no line may begin with one.
    const before = text.slice(end, found.index);
    made.push(isMarker ? before.replace(/\s+$/, "\u2060") : before);
    if (bold !== undefined) made.push(node("strong", {}, ...inline(bold, marker)));
    else if (code !== undefined) made.push(node("code", {}, code));
    else made.push(marker(number === undefined ? null : Number(number), whole));
    end = found.index + whole.length;
  }
  made.push(text.slice(end));
  return made.filter((part) => part !== "");
}

/** Returns the index in a text, which JavaScript counts in UTF-16 units, of an offset in characters. */
export function index(text, characters) {
  let at = 0;
  for (let left = characters; left > 0 && at < text.length; left -= 1) {
    at += text.codePointAt(at) > 0xffff ? 2 : 1;
  }
  return at;
}

/** Returns how people call a source: the last part of its path. */
export function fileName(source) {
  return source.replace(/[\\/]+$/, "").split(/[\\/]/).pop() || source;
}
