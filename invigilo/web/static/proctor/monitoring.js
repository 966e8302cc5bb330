// The monitoring page: rooms, filters, search, sorting, and the table.

import { Calls } from "./calls.js";
import { Desk } from "./desk.js";
import { Duties, dutyWords, look } from "./duty.js";
import { Feed } from "./feed.js";
import { Flags } from "./flag.js";
import { Groups } from "./groups.js";
import { HeatMap } from "./heat_map.js";
import { bind } from "./keys.js";
import { Order, kept } from "./order.js";
import { make, page, say, set, t } from "./page.js";
import { RoomCards } from "./room_list.js";
import { hasHand, isGone, isSeen } from "./status.js";
import { Table } from "./table.js";
import "./thresholds.js";

const feed = new Feed();
const calls = new Calls(feed);
const desk = new Desk(feed);
const flags = new Flags(feed);
const selected = new Set();
const table = new Table(feed, { selected, toggle, flag: (row) => flags.flag(row), calls });
const heat = new HeatMap(feed, { selected, toggle });
const groups = new Groups(feed, () => order.now());
const roomList = document.querySelector("[data-room-list]");
const roomOrder = new Order(roomList, () => cards.show(feed.rooms));
const cards = new RoomCards(roomList, document.querySelector("[data-no-rooms]"), {
  words: (room) => dutyWords(feed, room),
  isHeld: () => roomOrder.isHeld,
});
const orderNow = document.querySelector("[data-order-now]");
const order = new Order(document.querySelector("[data-list]"), () => arrange(true), (isWaiting) => (orderNow.hidden = !isWaiting));
new Duties(feed);
const search = document.querySelector("[data-search]");
const empty = document.querySelector("[data-empty]");
const announce = document.querySelector("[data-announce]");

const FILTERS = {
  all: (row) => !row.returned,
  problem: (row) => row.severity === "problem",
  hand: (row) => row.notifications.length > 0,
  unseen: (row) => !isGone(row) && !isSeen(row),
  gone: isGone,
};
const collator = new Intl.Collator(page.language, { numeric: true, sensitivity: "base" });
const SEVERITIES = { problem: 0, warning: 1, info: 2, ok: 3 };
/** Problems first, hands and locks next, then warnings; what is merely noteworthy stays in its place. */
const weight = (row) => (row.severity === "problem" ? 0 : row.notifications.length ? 1 : row.severity === "warning" ? 2 : 3);
const SORTS = {
  cause: (a, b) => weight(a) - weight(b),
  name: (a, b) => collator.compare(a.name, b.name),
  room: (a, b) => (a.room ?? 1e9) - (b.room ?? 1e9),
  seb: (a, b) => collator.compare(a.seb, b.seb) * -1,
  joined: (a, b) => collator.compare(a.joined, b.joined),
  frames: (a, b) => SEVERITIES[a.severity] - SEVERITIES[b.severity],
  ping: (a, b) => (a.last_ping ?? 0) - (b.last_ping ?? 0),
};
const view = { filter: "all", sort: "cause", descending: false, words: [] };

function matches(row) {
  if (!FILTERS[view.filter](row) || !groups.matches(row)) return false;
  if (!view.words.length) return true;
  const text = `${row.name} ${row.user ?? ""} ${row.group} ${row.machine ?? ""} ${row.os ?? ""} ${row.seb_version ?? ""} ${
    row.room === null ? "" : t("room.number", { number: row.room })
  }`.toLocaleLowerCase(page.language);
  return view.words.every((word) => text.includes(word));
}

/** Who is shown, in which order. Sorting by ping would make rows run, so it is done when asked, not on every ping. */
function arrange(isFree) {
  const rows = [...feed.rows.values()].filter(matches);
  const sort = SORTS[view.sort];
  const sign = view.descending ? -1 : 1;
  rows.sort((a, b) => isGone(a) - isGone(b) || sign * sort(a, b) || collator.compare(a.name, b.name) || a.id - b.id);
  const wanted = rows.map((row) => row.id);
  const ids = isFree ? wanted : kept(table.order, wanted, (id) => feed.rows.has(id));
  table.setOrder(ids);
  heat.setOrder(ids);
  showEmpty(ids.length);
  showSelected();
}

function showEmpty(count) {
  empty.hidden = count > 0 || !feed.exam;
  if (empty.hidden) return;
  if (feed.rows.size === 0) {
    empty.replaceChildren(make("p", {}, make("strong", {}, t("monitoring.none"))), make("p", {}, t("monitoring.none_next")));
    return;
  }
  const all = make("button", { type: "button" }, t("monitoring.show_all"));
  all.addEventListener("click", () => {
    search.value = "";
    view.words = [];
    groups.clear();
    choose("all");
  });
  empty.replaceChildren(make("p", {}, t("monitoring.no_match")), all);
}

let announcing = 0;

function count() {
  const rows = [...feed.rows.values()];
  for (const node of document.querySelectorAll("[data-count]")) {
    const n = rows.filter(FILTERS[node.dataset.count]).length;
    say(node, String(n));
    node.classList.toggle("is-some", n > 0);
  }
  clearTimeout(announcing);
  announcing = setTimeout(() => {
    const connected = rows.filter((row) => row.seb === "ok").length;
    const problems = rows.filter(FILTERS.problem).length;
    say(announce, t("monitoring.announce", { connected, problems, hands: rows.filter(hasHand).length }));
  }, 2_000);
}

function choose(filter) {
  view.filter = filter;
  for (const button of document.querySelectorAll("[data-filter]")) {
    set(button, "aria-pressed", String(button.dataset.filter === filter));
  }
  order.now();
}

for (const button of document.querySelectorAll("[data-filter]")) {
  button.addEventListener("click", () => choose(button.dataset.filter));
}

search.addEventListener("input", () => {
  view.words = search.value.toLocaleLowerCase(page.language).split(/\s+/).filter(Boolean);
  order.now();
});

function showSort() {
  for (const column of document.querySelectorAll("[data-column]")) {
    const isSorted = column.dataset.column === view.sort;
    set(column, "aria-sort", isSorted ? (view.descending ? "descending" : "ascending") : null);
  }
}

for (const button of document.querySelectorAll("[data-sort]")) {
  button.addEventListener("click", () => {
    view.descending = view.sort === button.dataset.sort && !view.descending;
    view.sort = button.dataset.sort;
    showSort();
    order.now();
  });
}
orderNow.addEventListener("click", () => order.now());

// --- who is selected, and what is done to them ---

const selectAll = document.querySelector("[data-select-all]");

function toggle(id, isOn) {
  if (isOn) selected.add(id);
  else selected.delete(id);
  showSelected();
}

function showSelected() {
  for (const id of selected) if (!feed.rows.has(id)) selected.delete(id);
  const count = selected.size;
  say(document.querySelector("[data-selected]"), count ? t("desk.selected", { count }) : "");
  for (const button of document.querySelectorAll("[data-do]")) button.disabled = count === 0;
  const shown = table.order.filter((id) => selected.has(id)).length;
  selectAll.checked = shown > 0 && shown === table.order.length;
  selectAll.indeterminate = shown > 0 && shown < table.order.length;
  table.mark();
  heat.mark();
}

selectAll.addEventListener("change", () => {
  if (selectAll.checked) for (const id of table.order) selected.add(id);
  else selected.clear();
  showSelected();
});

/** Those who are selected; else the one whose row has the focus. */
function targets() {
  if (selected.size) return [...selected];
  const id = here();
  return id === null ? [] : [id];
}

function here() {
  const id = document.activeElement?.closest("[data-id]")?.dataset.id;
  return id === undefined ? null : Number(id);
}

async function act(deed, ids, wishes) {
  if ((await desk.act(deed, ids, wishes)) && selected.size) {
    selected.clear();
    showSelected();
  }
}

for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", () => act(button.dataset.do, targets()));
for (const button of document.querySelectorAll("[data-do-all]")) button.addEventListener("click", () => act(button.dataset.doAll, [], { all: true }));

// --- table or heat map ---

function viewNow() {
  return heat.isOn ? "heat" : "table";
}
const tellView = look(feed, viewNow);

function show(name) {
  document.querySelector("[data-table]").hidden = name !== "table";
  heat.turn(name === "heat");
  if (name === "table") table.layOut();
  for (const button of document.querySelectorAll("[data-view]")) set(button, "aria-pressed", String(button.dataset.view === name));
  history.replaceState(null, "", name === "table" ? location.pathname : "#heat");
  tellView();
}

for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => show(button.dataset.view));

// --- keys ---

function step(by) {
  const ids = table.order;
  if (!ids.length || heat.isOn) return;
  const at = ids.indexOf(here());
  table.focus(ids[at < 0 ? 0 : Math.min(ids.length - 1, Math.max(0, at + by))]);
}

/** On the candidate whose row has the focus. */
function onHere(run) {
  return () => {
    const row = feed.rows.get(here());
    if (row) run(row);
    else say(announce, t("keys.choose_first"));
  };
}

bind({
  j: [t("keys.next"), () => step(1)],
  k: [t("keys.previous"), () => step(-1)],
  x: [t("keys.select"), onHere((row) => toggle(row.id, !selected.has(row.id)))],
  f: [t("keys.flag"), onHere((row) => flags.flag(row))],
  n: [t("keys.note"), onHere((row) => flags.edit(row))],
  s: [t("keys.settle"), () => act("settle", targets())],
  l: [t("keys.lock"), () => act("lock", targets())],
  u: [t("keys.unlock"), () => act("unlock", targets())],
  q: [t("keys.quit"), () => act("quit", targets())],
  o: [t("keys.order"), () => order.now()],
  m: [t("keys.view"), () => show(heat.isOn ? "table" : "heat")],
  p: [t("keys.problems"), () => choose("problem")],
  h: [t("keys.hands"), () => choose("hand")],
  a: [t("keys.all"), () => choose("all")],
  "/": [t("keys.search"), () => search.focus()],
});

/** A change that can move or hide a row needs a new order; most do not. */
const keyOf = (row) => `${row.name} ${row.room} ${row.severity} ${row.seb} ${row.joined} ${isGone(row)} ${row.notifications.length} ${isSeen(row)} ${row.returned} ${row.user} ${row.group}`;
const keys = new Map();

feed.on("change", ({ rows, rooms }) => {
  let moved = false;
  for (const id of rows) {
    const row = feed.rows.get(id);
    const key = row ? keyOf(row) : undefined;
    if (keys.get(id) !== key) moved = true;
    if (row) keys.set(id, key);
    else keys.delete(id);
  }
  if (moved) {
    if (!order.wish()) arrange(false);
    count();
    groups.count();
  }
  table.update(rows);
  heat.update(rows);
  if (rooms) cards.show(feed.rooms);
});
feed.on("exam", () => cards.show(feed.rooms));
feed.on("snapshot", () => {
  keys.clear();
  cards.show(feed.rooms);
  if (!order.wish()) arrange(false);
  count();
  groups.count();
});

showSort();
if (location.hash === "#heat") show("heat");
feed.start();
window.invigilo = { feed };
