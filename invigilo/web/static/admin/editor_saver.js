// Saves edits as they are made: collected for a moment, sent one request at a time, sent again until they arrive.

const MOMENT = 350; // ms between the last key and the request
const AGAIN = [1000, 2000, 5000, 10000]; // ms until a request that got no answer is sent again

function csrfToken() {
  const found = document.cookie.split("; ").find((one) => one.startsWith("csrftoken="));
  return found ? found.slice("csrftoken=".length) : "";
}

export class Saver {
  /** `tell` has: state(answer), conflict(conflicts, sent), wrong(field, message), phase(word, count). */
  constructor(address, revision, tell) {
    this.address = address;
    this.revision = revision;
    this.tell = tell;
    this.changes = new Map();
    this.resets = new Set();
    this.unsaved = new Set(); // fields whose value the server did not take
    this.failures = 0;
    this.timer = 0;
    this.flying = null;
    this.sent = null;
  }

  get isQuiet() {
    return this.changes.size === 0 && this.resets.size === 0 && this.flying === null;
  }

  /** Whether an edit of this setting is on its way. */
  isSaving(id) {
    return this.changes.has(id) || this.resets.has(id) || this.sent?.has(id) === true;
  }

  edit(id, value, { soon = false } = {}) {
    this.resets.delete(id);
    this.changes.set(id, value);
    this.unsaved.delete(id);
    this.plan(soon ? 0 : MOMENT);
  }

  reset(id) {
    this.changes.delete(id);
    this.resets.add(id);
    this.unsaved.delete(id);
    this.plan(0);
  }

  plan(delay) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), delay);
    this.say();
  }

  say() {
    if (!this.isQuiet) this.tell.phase(this.failures ? "waiting" : "saving", 0);
    else if (this.unsaved.size) this.tell.phase("wrong", this.unsaved.size);
    else this.tell.phase("saved", 0);
  }

  /** Resolves when everything has been sent and answered, or the server cannot be reached now. */
  async settled() {
    while (!this.isQuiet && this.failures === 0) {
      clearTimeout(this.timer);
      await (this.flying ?? this.send());
    }
    return this.isQuiet;
  }

  send() {
    if (this.flying === null && (this.changes.size || this.resets.size)) {
      this.flying = this.exchange().finally(() => {
        this.flying = null;
        this.sent = null;
        if (this.failures) this.plan(AGAIN[Math.min(this.failures, AGAIN.length) - 1]);
        else if (this.changes.size || this.resets.size) this.plan(0);
        else this.say();
      });
    }
    return this.flying ?? Promise.resolve();
  }

  async exchange() {
    const sent = this.changes;
    this.sent = sent;
    const reset = this.resets;
    this.changes = new Map();
    this.resets = new Set();
    const body = { base: this.revision, changes: Object.fromEntries(sent), reset: [...reset] };
    let response;
    let answer;
    try {
      response = await fetch(this.address, {
        method: "POST",
        headers: { "x-csrftoken": csrfToken(), accept: "application/json", "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      answer = await response.json();
    } catch {
      response = undefined;
    }
    const keep = (left) => {
      for (const [id, value] of sent) if (left(id) && !this.changes.has(id) && !this.resets.has(id)) this.changes.set(id, value);
      for (const id of reset) if (left(id) && !this.changes.has(id)) this.resets.add(id);
    };
    if (response?.ok) {
      this.failures = 0;
      this.revision = answer.revision;
      this.tell.state(answer, sent);
    } else if (response?.status === 409 && answer.conflicts) {
      this.failures = 0;
      this.revision = answer.state.revision;
      const refused = new Set(answer.conflicts.map((one) => one.id));
      for (const id of refused) this.unsaved.add(id);
      keep((id) => !refused.has(id));
      this.tell.conflict(answer.conflicts, sent, answer.state);
    } else if (response?.status === 400 && answer.problem) {
      this.failures = 0;
      const id = [...sent.keys()].find((one) => answer.problem.field === one || answer.problem.field.startsWith(`${one}[`) || answer.problem.field.startsWith(`${one}.`));
      keep((one) => id !== undefined && one !== id);
      this.unsaved.add(id ?? answer.problem.field);
      this.tell.wrong(id ?? answer.problem.field, answer.problem.message);
    } else {
      this.failures += 1;
      keep(() => true);
      this.tell.phase(response?.status === 401 ? "signed_out" : response?.status === 403 ? "refused" : "waiting", 0);
    }
  }
}
