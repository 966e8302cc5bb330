// Incidents and notes. One press flags: the moment is the press, words may follow. A press is not lost with the line.

import { icon, make, page, post, say, set, t, timeOfDay } from "./page.js";
import { tell } from "./outcomes.js";

const RETRY_EVERY = 3_000;
const GIVE_UP_AFTER = 600_000;
const find = (name) => document.querySelector(`[data-${name}]`);
const dialog = find("note-dialog");
const form = find("note-form");

function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(15)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Flags {
  /** `changed(connection)` is called when a note was written or changed. */
  constructor(feed, changed = () => {}) {
    this.feed = feed;
    this.changed = changed;
    this.open = null;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    find("note-cancel").addEventListener("click", () => dialog.close());
    find("note-take-back").addEventListener("click", () => this.#takeBack());
  }

  /** Flag an incident now. */
  async flag(row) {
    const pressed = this.feed.now();
    const body = {
      connection_id: row.id,
      is_incident: true,
      happened_at: new Date(pressed).toISOString(),
      key: randomKey(),
    };
    const time = timeOfDay(pressed);
    const note = await this.#keepTrying(body, row, time);
    if (!note) return;
    tell(t("flag.done", { name: row.name, time }), { tone: "ok", action: { text: t("flag.add_words"), run: () => this.edit(row, note) } });
    this.changed(row.id);
  }

  /** The server may be away for a moment: the press keeps its moment and its key, and is sent until it is taken. */
  async #keepTrying(body, row, time) {
    const until = performance.now() + GIVE_UP_AFTER;
    let warned = null;
    for (;;) {
      try {
        const note = await post(`${page.base}/notes`, body);
        warned?.();
        return note;
      } catch (error) {
        const isOurs = error.status !== undefined && error.status < 500;
        if (isOurs || performance.now() > until) {
          warned?.();
          tell(t("connection.failed", { message: error.message }), { tone: "problem" });
          return null;
        }
        warned ??= tell(t("flag.kept", { name: row.name, time }), { tone: "warning" });
        await new Promise((done) => setTimeout(done, RETRY_EVERY));
      }
    }
  }

  /** A new note, or another look at one there is. */
  edit(row, note = null) {
    const happened = note ? Date.parse(note.happened_at) : this.feed.now();
    this.open = { row, note, happened, key: randomKey() };
    form.reset();
    form.elements.category.value = note?.category ?? "other";
    form.elements.is_incident.checked = note?.is_incident ?? false;
    form.elements.text.value = note?.text ?? "";
    say(find("note-title"), t(note ? "note.edit" : "note.new", { name: row.name }));
    say(find("note-when"), t("note.when", { time: timeOfDay(happened) }));
    find("note-problem").hidden = true;
    find("note-take-back").hidden = note === null;
    dialog.showModal();
    form.elements.text.focus();
  }

  async #save() {
    const { row, note, happened, key } = this.open;
    const said = {
      category: form.elements.category.value,
      is_incident: form.elements.is_incident.checked,
      text: form.elements.text.value,
    };
    try {
      if (note) await post(`${page.base}/notes/${note.id}`, { ...said, revision: note.revision });
      else await post(`${page.base}/notes`, { ...said, connection_id: row.id, happened_at: new Date(happened).toISOString(), key });
    } catch (error) {
      return this.#refuse(error);
    }
    dialog.close();
    tell(t("note.saved", { name: row.name }));
    this.changed(row.id);
  }

  async #takeBack() {
    const { row, note } = this.open;
    try {
      await post(`${page.base}/notes/${note.id}/take-back`);
    } catch (error) {
      return this.#refuse(error);
    }
    dialog.close();
    tell(t("note.taken_back", { name: row.name }));
    this.changed(row.id);
  }

  #refuse(error) {
    const place = find("note-problem");
    place.hidden = false;
    say(place, error.message);
  }
}

/** The button that flags, the same on tiles, rows and people. */
export function flagButton(flag) {
  const button = make("button", { type: "button", className: "round flag" }, icon("flag"));
  button.addEventListener("click", (event) => {
    event.preventDefault();
    event.stopPropagation();
    flag();
  });
  return button;
}

/** What the button says, and how many incidents stand there already. */
export function showFlag(button, row) {
  const label = row.incidents ? t("flag.button_again", { name: row.name, count: row.incidents }) : t("flag.button", { name: row.name });
  set(button, "aria-label", label);
  set(button, "title", label);
  set(button, "data-incidents", row.incidents || null);
}
