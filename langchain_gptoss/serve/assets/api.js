// The server's API: requests with key and user, the answer's event stream, and failures that can be told to people.

const KEY = "gptoss.key";
const USER = "gptoss.user";

// A browser may forbid storage; then things are remembered until the page is left.
const remembered = new Map();

export function recall(storage, name) {
  try {
    return window[storage].getItem(name) ?? remembered.get(name) ?? null;
  } catch {
    return remembered.get(name) ?? null;
  }
}

export function remember(storage, name, value) {
  if (value === null) remembered.delete(name);
  else remembered.set(name, value);
  try {
    if (value === null) window[storage].removeItem(name);
    else window[storage].setItem(name, value);
  } catch {
    // kept above
  }
}

// crypto.randomUUID is missing where a page comes over plain HTTP from another machine.
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function user() {
  const known = recall("localStorage", USER);
  if (known && /^[\w.@+-]{1,100}$/.test(known)) return known;
  const fresh = randomId();
  remember("localStorage", USER, fresh);
  return fresh;
}

/** Something that went wrong: `kind` is one of the texts' `failures`, `detail` what the server says of it. */
export class Failure extends Error {
  constructor(kind, { detail = "", seconds = 0 } = {}) {
    super(detail || kind);
    this.kind = kind;
    this.detail = detail;
    this.seconds = seconds;
  }

  said(texts) {
    const text = texts.failures[this.kind];
    return typeof text === "function" ? text(this.seconds) : text;
  }
}

const KINDS = { 401: "key", 404: "missing", 408: "late", 409: "busySession", 413: "tooLong", 422: "input",
  429: "tooMany", 503: "busy", 504: "late" };

function kindOf(status) {
  return KINDS[status] ?? (status >= 400 && status < 500 ? "refused" : "server");
}

async function failed(response) {
  const said = await response.json().catch(() => ({}));
  return new Failure(kindOf(response.status), {
    detail: typeof said?.detail === "string" ? said.detail : "",
    seconds: Number.parseInt(response.headers.get("Retry-After") ?? "", 10) || 0,
  });
}

/** Returns why an answer broke off; of the server's own faults nothing more is known. */
function broken({ status_code: status, message }) {
  const kind = kindOf(status);
  return new Failure(kind, { detail: kind === "server" || typeof message !== "string" ? "" : message });
}

export class Api {
  /** @param askKey Returns a promise of a key, or of null where none is given; it is told what is wrong. */
  constructor(askKey) {
    this.askKey = askKey;
    this.asking = null;
  }

  get key() {
    return recall("sessionStorage", KEY);
  }

  /** Asks for a key, once at a time however many requests wait for it. */
  async newKey(problem = "") {
    this.asking ??= this.askKey(problem).finally(() => {
      this.asking = null;
    });
    const key = await this.asking;
    if (key === null) throw new Failure("key");
    remember("sessionStorage", KEY, key);
  }

  async call(path, { method = "GET", body, signal } = {}) {
    for (;;) {
      const sent = this.key;
      const headers = { "X-GptOss-User": user() };
      if (sent) headers.Authorization = `Bearer ${sent}`;
      if (body !== undefined) headers["Content-Type"] = "application/json";
      let response;
      try {
        response = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store" });
      } catch (error) {
        throw signal?.aborted ? error : new Failure("network");
      }
      if (response.ok) return response;
      const failure = await failed(response);
      if (failure.kind !== "key") throw failure;
      if (this.key === sent) await this.newKey(sent ? failure.detail : ""); // else it was asked for meanwhile
    }
  }

  async json(path, options) {
    return (await this.call(path, options)).json();
  }

  /** Yields the pieces of an answer. */
  async *answer(input, signal) {
    const response = await this.call("chatbot/stream", { method: "POST", body: { input }, signal });
    try {
      for await (const { event, data } of events(response.body)) {
        if (event === "end") return;
        if (event === "error") throw broken(JSON.parse(data));
        if (event === "data") yield JSON.parse(data);
      }
    } catch (error) {
      if (signal.aborted || error instanceof Failure) throw error;
      throw new Failure("lost");
    }
    throw new Failure("lost");
  }
}

/** Yields server-sent events. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (waiting + value).split(/\r\n\r\n|\n\n|\r\r/);
      waiting = parts.pop();
      for (const part of parts) {
        const found = { event: "message", data: [] };
        for (const line of part.split(/\r\n|\n|\r/)) {
          const [, name, text] = /^(\w+): ?(.*)$/.exec(line) ?? [];
          if (name === "data") found.data.push(text);
          else if (name === "event") found.event = text;
        }
        yield { event: found.event, data: found.data.join("\n") };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
