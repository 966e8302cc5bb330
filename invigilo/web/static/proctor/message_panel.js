// Messages: to one, to a room, to all; whether they came and were read; and what candidates write back while chat is on.

import { ask, make, page, say, set, t, timeOfDay } from "./page.js";
import { COLLECTING, isOver, placeOf, roomHere, titleOf } from "./places.js";

const LONGEST = 2_000;
const LOOK_EVERY = 4_000;
const KEPT = 200;
const messages = `${page.base}/messages`;

export class MessagePanel {
  #feed;
  #onCount;
  #passing = []; // what a meeting's own chat said, newest first
  #stored = [];
  #unread = 0;
  #mark = "";
  #returnTo = null;

  constructor(feed, { onCount }) {
    this.#feed = feed;
    this.#onCount = onCount;
    this.#build();
    feed.on("said", () => this.#news());
    feed.on("snapshot", () => this.#options());
    feed.on("change", ({ rooms }) => !this.root.hidden && rooms && this.#options());
    setInterval(() => !this.root.hidden && !document.hidden && this.#load(), LOOK_EVERY);
  }

  #build() {
    this.to = make("select", { name: "to" });
    this.text = make("textarea", { name: "text", rows: 3, maxLength: LONGEST, required: true });
    this.outcome = make("p", { className: "outcome", role: "status" });
    this.form = make(
      "form",
      { className: "stack" },
      make("label", {}, t("message.to"), this.to),
      make("label", {}, t("message.text"), this.text),
      make("div", { className: "row-of-buttons" }, make("button", { className: "main" }, t("message.send")), this.outcome),
    );
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.list = make("ol", { className: "message-list" });
    const close = make("button", { type: "button", className: "quiet" }, t("message.close"));
    close.addEventListener("click", () => this.close());
    this.root = make(
      "aside",
      { className: "message-panel", hidden: true, "aria-labelledby": "messages-title", id: "messages" },
      make("div", { className: "message-panel-head" }, make("h2", { id: "messages-title" }, t("message.title")), close),
      this.form,
      this.list,
    );
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.close();
    });
    document.body.append(this.root);
  }

  toggle(connection = null) {
    if (this.root.hidden) this.open(connection);
    else this.close();
  }

  /** `connection`: to whom, or by default to the room of this page. */
  open(connection = null) {
    if (this.root.hidden) this.#returnTo = document.activeElement;
    this.root.hidden = false;
    this.#options(connection);
    this.#unread = 0;
    this.#onCount(0);
    this.#load();
    this.text.focus();
  }

  close() {
    this.root.hidden = true;
    this.#returnTo?.focus?.();
  }

  #options(connection = null) {
    const { rows, rooms } = this.#feed;
    const here = roomHere(this.#feed);
    const before = connection ? `one ${connection}` : this.to.value;
    const open = [...rooms.values()].filter((room) => !isOver(room)).sort((a, b) => (a.kind === COLLECTING) - (b.kind === COLLECTING) || a.number - b.number);
    const people = [...rows.values()].filter((row) => row.state !== "closed" && row.state !== "disabled");
    const option = (value, text) => make("option", { value }, text);
    this.to.replaceChildren(
      ...(here ? [option(`room ${here.id}`, t("message.to_here", { room: titleOf(here, rows) }))] : []),
      option("all", t("message.to_all", { n: people.length })),
      ...open.filter((room) => room.id !== here?.id).map((room) => option(`room ${room.id}`, titleOf(room, rows))),
      ...people
        .filter((row) => !here || placeOf(row) === here.id || row.id === connection)
        .sort((a, b) => a.name.localeCompare(b.name, page.language))
        .map((row) => option(`one ${row.id}`, row.name)),
    );
    if ([...this.to.options].some((one) => one.value === before)) this.to.value = before;
  }

  async #send() {
    const text = this.text.value.trim();
    if (!text) return;
    const [scope, id] = this.to.value.split(" ");
    const to = scope === "all" ? { everybody: true } : scope === "room" ? { room: Number(id) } : { connections: [Number(id)] };
    this.#tell("", false);
    try {
      const { recipients, unreachable } = await ask("POST", messages, { ...to, text });
      this.text.value = "";
      const sent = t(recipients === 1 ? "message.sent_one" : "message.sent", { n: recipients });
      this.#tell(unreachable ? `${sent} ${t(recipients === 1 ? "message.unreachable_one" : "message.unreachable", { n: unreachable })}` : sent, false);
      await this.#load();
    } catch (error) {
      this.#tell(error.message, true);
    }
  }

  #tell(text, isProblem) {
    say(this.outcome, text);
    set(this.outcome, "data-tone", isProblem ? "problem" : null);
  }

  async #load() {
    try {
      this.#stored = await ask("GET", messages);
      this.#show();
    } catch {
      // the stream's banner already says that the server is away
    }
  }

  /** Somebody wrote in a meeting's own chat, which no server of ours keeps. */
  heard({ name, at, text }) {
    this.#passing.unshift({ at, by: name, text, scope: "proctors" });
    this.#passing.length = Math.min(this.#passing.length, KEPT);
    this.#news();
  }

  #news() {
    if (this.root.hidden) this.#onCount(++this.#unread);
    else this.#load();
  }

  #show() {
    const all = [...this.#passing, ...this.#stored].sort((a, b) => b.at - a.at).slice(0, KEPT);
    const mark = JSON.stringify(all);
    if (mark === this.#mark) return;
    this.#mark = mark;
    this.list.replaceChildren(...(all.length ? all.map((one) => this.#item(one)) : [make("li", { className: "muted" }, t("message.none"))]));
  }

  #item({ at, by, text, scope, room, recipients, delivered, read }) {
    const isSaid = scope === "proctors";
    const head = make("p", { className: "message-head" }, make("bdi", {}, by), " · ", make("time", {}, timeOfDay(at)));
    const item = make("li", { className: "message", "data-said": isSaid ? "yes" : null }, head, make("p", { className: "message-words", dir: "auto" }, text));
    if (isSaid) return item;
    const state = t(recipients === 1 ? "message.state_one" : "message.state", { scope: this.#to(scope, room, recipients), n: recipients, delivered, read });
    item.append(make("p", { className: "message-state", "data-read": read === recipients ? "all" : null }, state));
    return item;
  }

  #to(scope, id, recipients) {
    if (scope === "everybody") return t("message.scope.all");
    const room = scope === "room" ? this.#feed.rooms.get(id) : undefined;
    if (room) return t("message.scope.room", { name: titleOf(room, this.#feed.rows) });
    return t(recipients === 1 ? "message.scope.one" : "message.scope.some", { n: recipients });
  }
}
