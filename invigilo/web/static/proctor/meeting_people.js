// Everybody of a room beside its meeting: who is missing and why, who is in there, and who else is.

import { callButtons } from "./call_buttons.js";
import { flagButton, showFlag } from "./flag.js";
import { arrange, icon, make, page, say, set, t } from "./page.js";
import { nextStepOf, sentenceOf, showNotifications } from "./status.js";
import { clearStill, showStill } from "./stills.js";

const STILL_FRESH = 5_000; // ms a still counts as a picture
const find = (name) => document.querySelector(`[data-${name}]`);

export class PeopleList {
  #acts;
  #cards = new Map();
  #sessions = new Map(); // connection → session in the meeting
  #others = "";

  /** `acts`: `may()` (whether this page may act at all), `moderates()` (whether the meeting obeys it by now), `pin(session)`, `mute(session)`, `remove(session, name)`, `flag(row)`, `calls`. */
  constructor(acts) {
    this.#acts = acts;
  }

  isPresent(id) {
    return this.#sessions.has(id);
  }

  /** `found` is null while this page is not in the meeting itself: then it cannot say who is. */
  show(rows, found, feed) {
    this.#match(rows, found, feed);
    const ids = new Set(rows.map((row) => row.id));
    for (const [id, card] of this.#cards) {
      if (ids.has(id)) continue;
      card.remove();
      this.#cards.delete(id);
    }
    const lists = { missing: [], present: [] };
    for (const row of rows) {
      const card = this.#cards.get(row.id) ?? new PersonCard(row.id, this.#acts);
      this.#cards.set(row.id, card);
      card.show(row, this.#sessions.get(row.id) ?? null);
      lists[this.isPresent(row.id) || (!found && row.joined === "ok") ? "present" : "missing"].push(card.item);
    }
    arrange(find("missing"), lists.missing);
    arrange(find("present"), lists.present);
    find("missing-section").hidden = lists.missing.length === 0;
    say(find("missing-count"), String(lists.missing.length));
    say(find("present-count"), `${lists.present.length}/${rows.length}`);
    find("empty").hidden = rows.length > 0 || !feed.exam;
  }

  /** By the identity in the token, never by name: names are the client's own (jitsi.md §6). */
  #match(rows, found, feed) {
    this.#sessions.clear();
    const byIdentity = new Map(rows.filter((row) => row.identity).map((row) => [row.identity, row.id]));
    const strangers = [];
    for (const one of found ?? []) {
      const id = byIdentity.get(one.identity);
      if (id !== undefined) this.#sessions.set(id, one);
      else strangers.push(one);
    }
    this.#showOthers(strangers, [...feed.rows.values()], feed.exam?.people ?? []);
  }

  #showOthers(strangers, rows, colleagues) {
    const known = new Map(rows.filter((row) => row.identity).map((row) => [row.identity, row.name]));
    const supervising = new Map(colleagues.flatMap(({ name, identities }) => identities.map((identity) => [identity, name])));
    const lines = strangers.map((one) => {
      if (supervising.has(one.identity)) return ["ok", t("meeting.other.proctor", { name: supervising.get(one.identity) })];
      if (one.moderator) return ["ok", t("meeting.other.proctor", { name: one.name })];
      if (known.has(one.identity)) return ["warning", t("meeting.other.elsewhere", { name: known.get(one.identity) })];
      return ["warning", t("meeting.other.unknown", { name: one.name })];
    });
    find("others-section").hidden = lines.length === 0;
    const mark = JSON.stringify(lines);
    if (mark === this.#others) return;
    this.#others = mark;
    find("others").replaceChildren(
      ...lines.map(([tone, text]) => make("li", { className: "member", "data-severity": tone }, icon(tone === "ok" ? "eye" : tone), make("span", {}, text))),
    );
  }

  still(id, jpeg) {
    this.#cards.get(id)?.still(jpeg);
  }

  refresh() {
    for (const card of this.#cards.values()) card.refresh();
  }
}

class PersonCard {
  #acts;
  #session = null;
  #row = null;
  #stillAt = -Infinity;
  #mark = "";

  constructor(id, acts) {
    this.#acts = acts;
    this.image = make("img", { alt: "", hidden: true });
    this.shape = make("span", { className: "member-shape" }, icon("info"));
    this.name = make("a", { className: "member-name", href: `${page.base}/connections/${id}` });
    this.calls = callButtons(id, acts.calls, "round");
    this.callTools = make("span", { className: "member-tools" }, ...this.calls);
    this.open = make("span", { className: "member-open" });
    this.words = make("p", { className: "member-words" });
    this.tools = make(
      "span",
      { className: "member-tools" },
      ...(page.meetingFrame ? [] : [this.#button("enlarge", () => acts.pin(this.#session.id))]), // Zoom enlarges by its own window
      this.#button("mute", () => acts.mute(this.#session.id)),
      this.#button("leave", () => acts.remove(this.#session.id, this.#row.name)),
    );
    this.acts = make("span", { className: "member-acts" }, this.tools, this.callTools);
    this.flag = flagButton(() => acts.flag(this.#row));
    this.item = make("li", { className: "member", "data-id": id }, this.shape, this.name, this.flag, this.acts, this.open, this.words, this.image);
  }

  #button(shape, act) {
    const button = make("button", { type: "button", className: "round", "data-act": shape }, icon(shape));
    button.addEventListener("click", act);
    return button;
  }

  show(row, session) {
    this.#row = row;
    this.#session = session;
    const severity = session && row.severity === "info" ? "ok" : row.severity;
    set(this.item, "data-severity", severity);
    const shape = session && severity === "ok" ? "ok" : severity === "ok" ? "info" : severity;
    this.shape.querySelector("use").setAttribute("href", `${document.body.dataset.icons}#${shape}`);
    say(this.name, row.name);
    this.tools.hidden = session === null || !this.#acts.may();
    for (const button of this.tools.children) {
      const text = t(`meeting.act.${button.dataset.act}`, { name: row.name });
      set(button, "aria-label", text);
      set(button, "title", text);
      button.disabled = button.dataset.act !== "enlarge" && !this.#acts.moderates();
    }
    for (const button of this.calls) button.show(row);
    showNotifications(this.open, row);
    showFlag(this.flag, row);
    this.#showWords(row, session);
    this.refresh();
  }

  #showWords(row, session) {
    const parts = [];
    if (row.cause && row.cause !== "exam_not_started" && (!session || row.severity !== "info")) {
      parts.push(["strong", sentenceOf(row)], ["span", nextStepOf(row)]);
    } else if (row.called && row.called.room !== page.roomId) {
      parts.push(["span", t(row.called.kind === "town_hall" ? "call.away_hall" : "call.away")]);
    } else if (!session && row.joined === "ok") {
      parts.push(["span", t("meeting.not_seen_here")]);
    } else if (session && !session.video) {
      parts.push(["span", t("meeting.camera_off")]);
    }
    const mark = JSON.stringify(parts);
    if (mark === this.#mark) return;
    this.#mark = mark;
    this.words.replaceChildren(...parts.map(([tag, text]) => make(tag, {}, text)));
    this.words.hidden = parts.length === 0;
  }

  still(jpeg) {
    this.#stillAt = performance.now();
    showStill(this.image, jpeg);
    this.refresh();
  }

  refresh() {
    const hasStill = !this.#session && performance.now() - this.#stillAt < STILL_FRESH;
    this.image.hidden = !hasStill;
    if (!hasStill && this.image.address) clearStill(this.image);
  }

  remove() {
    clearStill(this.image);
    this.item.remove();
  }
}
