// The table of all connections: keyed rows, and only those near the window are in the document.

import { callButtons } from "./call_buttons.js";
import { showDeed } from "./desk.js";
import { flagButton, showFlag } from "./flag.js";
import { age, make, page, say, set, t } from "./page.js";
import { FACTS, clientLine, factElement, nextStepOf, sentenceOf, showFact, showNotifications } from "./status.js";

const MARGIN = 8; // rows kept above and below the window
const narrow = matchMedia("(max-width: 860px)");

export class Table {
  /** `selected`: a Set of ids; `toggle(id, isOn)`; `flag(row)`; `calls`. */
  constructor(feed, { selected = new Set(), toggle = () => {}, flag = () => {}, calls = null } = {}) {
    this.feed = feed;
    this.selected = selected;
    this.acts = { toggle, flag: (id) => flag(this.feed.rows.get(id)), calls };
    this.body = document.querySelector("[data-rows]");
    this.root = document.querySelector("[data-table]");
    this.order = [];
    this.shown = new Map();
    this.first = 0;
    addEventListener("scroll", () => this.schedule(), { passive: true });
    addEventListener("resize", () => this.schedule());
    narrow.addEventListener("change", () => this.layOut());
    setInterval(() => this.tick(), 1_000);
  }

  get height() {
    return narrow.matches ? 186 : 66;
  }

  /** Show these ids in this order. */
  setOrder(order) {
    this.order = order;
    this.layOut();
  }

  layOut() {
    this.body.style.height = `${this.order.length * this.height}px`;
    set(this.root, "aria-rowcount", this.order.length + 1);
    this.draw();
  }

  schedule() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.draw();
    });
  }

  draw() {
    const top = this.body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / this.height) - MARGIN);
    const last = Math.min(this.order.length, Math.ceil((innerHeight - top) / this.height) + MARGIN);
    const wanted = new Set(this.order.slice(first, last));
    for (const [id, row] of this.shown) {
      if (wanted.has(id) || (this.feed.rows.has(id) && row.root.contains(document.activeElement))) continue;
      row.root.remove();
      this.shown.delete(id);
    }
    let before = null;
    for (let index = first; index < last; index++) {
      const id = this.order[index];
      let row = this.shown.get(id);
      if (!row) {
        row = new Row(id, this.acts);
        this.shown.set(id, row);
      }
      row.place(index, this.height);
      const next = before ? before.nextSibling : this.body.firstChild;
      if (next !== row.root && !row.root.contains(document.activeElement)) this.body.insertBefore(row.root, next);
      before = row.root;
      row.show(this.feed.rows.get(id), this.feed.now());
      row.mark(this.selected.has(id));
    }
  }

  mark() {
    for (const [id, row] of this.shown) row.mark(this.selected.has(id));
  }

  /** Bring one to the window and give it the focus. */
  focus(id) {
    const index = this.order.indexOf(id);
    if (index < 0) return;
    const top = this.body.getBoundingClientRect().top + scrollY + index * this.height;
    const room = innerHeight - this.height - 20;
    if (top < scrollY + 150) scrollTo(0, Math.max(0, top - 150));
    else if (top > scrollY + room) scrollTo(0, top - room);
    this.draw();
    this.shown.get(id)?.link.focus({ preventScroll: true });
  }

  /** Rows whose content changed. */
  update(ids) {
    for (const id of ids) {
      const data = this.feed.rows.get(id);
      if (data) this.shown.get(id)?.show(data, this.feed.now());
    }
  }

  tick() {
    const now = this.feed.now();
    for (const [id, row] of this.shown) {
      const data = this.feed.rows.get(id);
      if (data) row.showPing(data, now);
    }
  }
}

class Row {
  constructor(id, acts) {
    this.calls = acts.calls ? callButtons(id, acts.calls, "round") : [];
    const cell = (name, ...children) => make("div", { role: "cell", className: `cell-${name}` }, ...children);
    this.link = make("a", { href: `${page.base}/connections/${id}` });
    this.sub = make("span", { className: "sub" });
    this.room = make("a");
    this.facts = Object.fromEntries(FACTS.map((fact) => [fact, factElement()]));
    this.what = make("span", { className: "what" });
    this.next = make("span", { className: "sub" });
    this.open = make("span", { className: "open" });
    this.words = make("span", { className: "hand-words" });
    this.deed = make("span", { className: "deed-state", hidden: true });
    this.box = make("input", { type: "checkbox" });
    this.box.addEventListener("change", () => acts.toggle(id, this.box.checked));
    this.flag = flagButton(() => acts.flag(id));
    this.ping = cell("ping");
    this.root = make(
      "div",
      { role: "row", className: "table-row", "data-id": id },
      cell("select", make("label", { className: "box" }, this.box)),
      cell("name", this.link, this.sub, make("span", { className: "row-tools" }, ...this.calls)),
      cell("room", this.room),
      ...FACTS.map((fact) => cell(fact, this.facts[fact])),
      cell("cause", this.what, this.next),
      cell("notifications", this.open, this.words, this.deed),
      this.ping,
      cell("flag", this.flag),
    );
    this.index = -1;
  }

  place(index, height) {
    if (this.index === index && this.height === height) return;
    this.index = index;
    this.height = height;
    this.root.style.transform = `translateY(${index * height}px)`;
    set(this.root, "aria-rowindex", index + 2);
  }

  show(row, now) {
    if (this.data === row) return this.showPing(row, now);
    this.data = row;
    set(this.root, "data-severity", row.severity);
    set(this.root, "data-state", row.state);
    say(this.link, row.name);
    set(this.link, "title", row.name);
    for (const button of this.calls) button.show(row);
    const where = row.called ? `${t(row.called.kind === "town_hall" ? "call.away_hall" : "call.away")} · ` : "";
    say(this.sub, where + (row.group ? `${row.group} · ${clientLine(row)}` : clientLine(row)));
    say(this.room, row.room === null ? t("room.none") : String(row.room));
    set(this.room, "href", row.room === null ? null : `${page.base}/rooms/${row.room}`);
    set(this.room, "aria-label", row.room === null ? null : t("room.number", { number: row.room }));
    for (const fact of FACTS) showFact(this.facts[fact], row, fact);
    const sentence = sentenceOf(row);
    say(this.what, sentence);
    say(this.next, nextStepOf(row));
    set(this.what, "title", sentence || null);
    set(this.next, "title", nextStepOf(row) || null);
    showNotifications(this.open, row);
    const words = row.notifications.find((one) => one.text)?.text ?? "";
    say(this.words, words);
    set(this.words, "title", words || null);
    showDeed(this.deed, row);
    showFlag(this.flag, row);
    set(this.box, "aria-label", t("desk.select_one", { name: row.name }));
    this.showPing(row, now);
  }

  mark(isSelected) {
    if (this.box.checked !== isSelected) this.box.checked = isSelected;
    this.root.classList.toggle("is-selected", isSelected);
  }

  showPing(row, now) {
    say(this.ping, row.last_ping === null && row.state === "requested" ? t("age.never") : age(row.last_ping, now));
  }
}
