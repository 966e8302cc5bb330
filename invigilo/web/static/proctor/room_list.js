// Rooms with counts, those with problems first; as cards beside the table and as tabs above a wall.

import { arrange, icon, make, page, say, set, t } from "./page.js";
import { COLLECTING, addressOf, isOver, titleOf } from "./places.js";

export function fill(room) {
  return room.size === null ? String(room.members) : t("room.fill", { members: room.members, size: room.size });
}

/** Collecting rooms: problems first, then by number. A room without members whose life is over is not shown. */
export function ordered(rooms, { problemsFirst = true } = {}) {
  const weight = (room) => (problemsFirst && (room.problems || room.state === "failed") ? 0 : 1);
  return [...rooms]
    .filter((room) => room.kind === COLLECTING && (room.state !== "closed" || room.members))
    .sort((a, b) => weight(a) - weight(b) || a.number - b.number);
}

function mark(kind, shape, text) {
  return make("span", { className: `mark mark-${kind}` }, icon(shape), text);
}

function marks(room) {
  const found = [];
  if (room.state === "failed") found.push(mark("problem", "problem", t("room.failed")));
  if (room.state === "opening") found.push(mark("info", "info", t("room.opening")));
  if (room.state === "closing") found.push(mark("info", "info", t("room.closing")));
  if (room.problems) found.push(mark("problem", "problem", `${t("monitoring.filter.problem")} ${room.problems}`));
  if (room.hands) found.push(mark("hand", "hand", `${t("hand")} ${room.hands}`));
  return found;
}

const severityOf = (room) => (room.problems || room.state === "failed" ? "problem" : room.members ? "ok" : "info");

export class RoomCards {
  /** `words(room)`: who has it and who looks at it; `isHeld()`: the cards must stay in their places for now. */
  constructor(list, empty, { words = null, isHeld = () => false } = {}) {
    this.list = list;
    this.empty = empty;
    this.words = words;
    this.isHeld = isHeld;
    this.cards = new Map();
  }

  show(rooms) {
    let order = ordered(rooms.values());
    if (this.isHeld()) {
      const before = [...this.cards.keys()];
      const place = (room) => (before.includes(room.number) ? before.indexOf(room.number) : 1e9);
      order = order.toSorted ? order.toSorted((a, b) => place(a) - place(b)) : [...order].sort((a, b) => place(a) - place(b));
    }
    this.empty.hidden = order.length > 0;
    const numbers = new Set(order.map((room) => room.number));
    for (const [number, card] of this.cards) {
      if (numbers.has(number)) continue;
      card.item.remove();
      this.cards.delete(number);
    }
    order.forEach((room, index) => {
      const card = this.card(room.number);
      say(card.title, t("room.number", { number: room.number }));
      say(card.fill, `(${fill(room)})`);
      set(card.link, "data-severity", severityOf(room));
      const words = this.words?.(room) ?? null;
      const state = JSON.stringify([room.members, room.present, room.problems, room.hands, room.state, words]);
      if (card.state !== state) {
        card.state = state;
        card.said.replaceChildren(...marks(room));
        card.said.append(make("span", {}, t("room.present", { present: room.present, members: room.members })));
        if (words) card.said.append(make("span", { className: "duty-words" }, words.has), make("span", { className: "duty-words" }, words.watched));
      }
      if (this.list.children[index] !== card.item) this.list.insertBefore(card.item, this.list.children[index] ?? null);
    });
  }

  card(number) {
    let card = this.cards.get(number);
    if (card) return card;
    const title = make("strong");
    const count = make("span", { className: "fill" });
    const said = make("span", { className: "said" });
    const link = make("a", { className: "room-card", href: `${page.base}/rooms/${number}` }, title, " ", count, said);
    card = { item: make("li", {}, link), link, title, fill: count, said, state: null };
    this.cards.set(number, card);
    return card;
  }
}

/** Calls first, then rooms in the order of numbers: what one clicks must not move. */
export function showTabs(list, { rooms, rows }, current) {
  const calls = [...rooms.values()].filter((room) => room.kind !== COLLECTING && !isOver(room)).sort((a, b) => a.id - b.id);
  const wanted = [...calls, ...ordered(rooms.values(), { problemsFirst: false })];
  const state = JSON.stringify([wanted, wanted.map((room) => titleOf(room, rows)), current?.id]);
  if (list.dataset.state === state) return;
  list.dataset.state = state;
  const known = new Map([...list.children].map((item) => [item.firstElementChild?.dataset.room, item]));
  const items = wanted.map((room) => {
    const item = known.get(String(room.id)) ?? make("li", {}, make("a", { className: "room-tab", "data-room": room.id }));
    showTab(item.firstElementChild, room, rows, room.id === current?.id);
    return item;
  });
  const overview = known.get("all") ?? make("li", {}, make("a", { className: "room-tab", href: `${page.base}/overview`, "data-room": "all" }, icon("grid"), t("overview.title")));
  arrange(list, [...items, overview]);
}

function showTab(link, room, rows, isCurrent) {
  const count = room.kind === "break_out" ? "" : ` (${fill(room)})`;
  const found = marks(room);
  for (const one of found) one.title = one.textContent;
  set(link, "href", addressOf(room));
  set(link, "data-number", room.number);
  set(link, "aria-current", isCurrent ? "page" : null);
  link.replaceChildren(...(room.kind === COLLECTING ? [] : [icon("talk")]), `${titleOf(room, rows)}${count}`, ...found);
}
