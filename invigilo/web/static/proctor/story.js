// What happened with one candidate, newest first: notes, deeds and what became of them, hands and locks, comings and goings.

import { icon, load, make, page, t, timeOfDay } from "./page.js";

const SHAPES = { note: "note", deed: "people", connection: "play" };
const TONES = { done: "ok", no_answer: "problem", not_delivered: "problem" };

export class StoryList {
  /** `edit(note)` opens a note. */
  constructor(list, empty, edit) {
    this.list = list;
    this.empty = empty;
    this.edit = edit;
    this.mark = "";
  }

  async refresh() {
    let moments;
    try {
      ({ moments } = await load(`${page.base}/connections/${page.connectionId}/story`));
    } catch {
      return; // the stream's banner already says that the server is away
    }
    const mark = JSON.stringify(moments);
    this.empty.hidden = moments.length > 0;
    if (mark === this.mark || this.list.contains(document.activeElement?.closest("button"))) return;
    this.mark = mark;
    this.list.replaceChildren(...moments.map((one) => this.#item(one)));
  }

  #item(one) {
    const at = Date.parse(one.at);
    const isIncident = one.note?.is_incident ?? false;
    const shape = isIncident ? "flag" : one.kind === "notification" ? (one.what === "raisehand" ? "hand" : "lock") : SHAPES[one.kind];
    const words = make("span", { className: "story-words" }, one.words);
    if (one.who && one.kind !== "notification") words.append(make("span", { className: "muted" }, ` · ${one.who}`));
    const more = make("span", { className: "story-more" });
    if (one.text) more.append(make("span", { className: "story-text" }, one.text));
    if (one.kind === "notification" && one.answered_at) {
      const time = timeOfDay(Date.parse(one.answered_at));
      more.append(make("span", { className: "muted" }, one.who ? t("story.settled_by", { name: one.who, time }) : t("story.settled", { time })));
    }
    if (one.answer) {
      const time = one.answered_at ? ` (${timeOfDay(Date.parse(one.answered_at))})` : "";
      more.append(make("span", { className: "deed-state", "data-tone": TONES[one.answer] ?? "info", title: t(`desk.answer_help.${one.answer}`) }, t(`desk.answer.${one.answer}`) + time));
    }
    const item = make("li", { "data-kind": isIncident ? "incident" : one.kind }, make("time", { dateTime: one.at }, timeOfDay(at)), icon(shape), words, more);
    if (one.note) this.#noteParts(one.note, item, more);
    return item;
  }

  #noteParts(note, item, more) {
    if (note.is_incident) item.querySelector(".story-words").prepend(make("strong", {}, t("story.incident"), " · "));
    if (note.taken_back_at) {
      item.classList.add("is-taken-back");
      more.append(make("span", { className: "muted" }, t("story.taken_back", { name: note.taken_back_by })));
      return;
    }
    if (note.changed_by) more.append(make("span", { className: "muted" }, t("story.changed", { name: note.changed_by })));
    const button = make("button", { type: "button", className: "quiet" }, t(note.text ? "note.change" : "flag.add_words"));
    button.addEventListener("click", () => this.edit(note));
    more.append(button);
  }
}
