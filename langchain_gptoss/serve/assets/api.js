// The server's API: requests with key and user, the event stream of an answer, and failures with texts for users.

const KEY = "gptoss.key";
const USER = "gptoss.user";

// Values by name, for browsers that forbid storage; they last until the page is closed.
const fallback = new Map();

export function recall(storage, name) {
  try {
    return window[storage].getItem(name) ?? fallback.get(name) ?? null;
  } catch {
    return fallback.get(name) ?? null;
  }
}

export function remember(storage, name, value) {
  if (value === null) fallback.delete(name);
  else fallback.set(name, value);
  try {
    if (value === null) window[storage].removeItem(name);
    else window[storage].setItem(name, value);
  } catch {
    // `fallback` has the value
  }
}

// Browsers offer crypto.randomUUID only to secure addresses, not to a page over plain HTTP from another machine.
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function getUser() {
  const known = recall("localStorage", USER);
  if (known && /^[\w.@+-]{1,100}$/.test(known)) return known;
  const name = randomId();
  remember("localStorage", USER, name);
  return name;
}

/** A failed request: `kind` is a key of the texts' `failures`, `detail` the server's message. */
export class Failure extends Error {
  constructor(kind, { detail = "", seconds = 0 } = {}) {
    super(detail || kind);
    this.kind = kind;
    this.detail = detail;
    this.seconds = seconds;
  }

  describe(texts) {
    const text = texts.failures[this.kind];
    return typeof text === "function" ? text(this.seconds) : text;
  }
}

const KINDS = { 401: "key", 404: "missing", 408: "late", 409: "busySession", 413: "tooLong", 422: "input",
  429: "tooMany", 503: "busy", 504: "late" };

function getKind(status) {
  return KINDS[status] ?? (status >= 400 && status < 500 ? "refused" : "server");
}

/** Returns the failure in an error response. Messages of server errors are general, so they are not shown. */
async function readFailure(response) {
  const body = await response.json().catch(() => ({}));
  const kind = getKind(response.status);
  return new Failure(kind, {
    detail: kind === "server" || typeof body?.detail !== "string" ? "" : body.detail,
    seconds: Number.parseInt(response.headers.get("Retry-After") ?? "", 10) || 0,
  });
}

/** Returns the failure in an error event. */
function toFailure({ status_code: status, message }) {
  const kind = getKind(status);
  return new Failure(kind, { detail: kind === "server" || typeof message !== "string" ? "" : message });
}

export class Api {
  /** @param askKey Takes a problem to show, and returns a promise of a key, or of null if the user gives none. */
  constructor(askKey) {
    this.askKey = askKey;
    this.pendingKey = null;
  }

  get key() {
    return recall("sessionStorage", KEY);
  }

  /** Asks the user for a key. Requests that need one at the same time share one dialog. */
  async requestKey(problem = "") {
    this.pendingKey ??= this.askKey(problem).finally(() => {
      this.pendingKey = null;
    });
    const key = await this.pendingKey;
    if (key === null) throw new Failure("key");
    remember("sessionStorage", KEY, key);
  }

  async call(path, { method = "GET", body, signal } = {}) {
    for (;;) {
      const sent = this.key;
      const headers = { "X-GptOss-User": getUser() };
      if (sent) headers.Authorization = `Bearer ${sent}`;
      if (body !== undefined) headers["Content-Type"] = "application/json";
      let response;
      try {
        response = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store" });
      } catch (error) {
        throw signal?.aborted ? error : new Failure("network");
      }
      if (response.ok) return response;
      const failure = await readFailure(response);
      if (failure.kind !== "key") throw failure;
      // Another request may have asked for a key meanwhile.
      if (this.key === sent) await this.requestKey(sent ? failure.detail : "");
    }
  }

  async json(path, options) {
    return (await this.call(path, options)).json();
  }

  /** Yields the chunks of an answer. */
  async *streamAnswer(input, signal) {
    const response = await this.call("chatbot/ask", { method: "POST", body: input, signal });
    try {
      for await (const { event, data } of readEvents(response.body)) {
        if (event === "end") return;
        if (event === "error") throw toFailure(JSON.parse(data));
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
async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (buffer + value).split(/\r\n\r\n|\n\n|\r\r/);
      buffer = parts.pop();
      for (const part of parts) {
        const item = { event: "message", data: [] };
        for (const line of part.split(/\r\n|\n|\r/)) {
          const [, name, text] = /^(\w+): ?(.*)$/.exec(line) ?? [];
          if (name === "data") item.data.push(text);
          else if (name === "event") item.event = text;
        }
        yield { event: item.event, data: item.data.join("\n") };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
