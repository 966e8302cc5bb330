// The monitoring page: rooms, filters, search, sorting, and the table.

import { Calls } from "./calls.js";
import { Feed } from "./feed.js";
import { make, page, say, set, t } from "./page.js";
import { RoomCards } from "./room_list.js";
import { hasHand, isGone, isSeen } from "./status.js";
import { Table } from "./table.js";

const feed = new Feed();
const calls = new Calls(feed);
const table = new Table(feed, calls);
const cards = new RoomCards(document.querySelector("[data-room-list]"), document.querySelector("[data-no-rooms]"));
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
/** Problems and warnings come first; what is merely noteworthy stays in its place, so rows do not jump for nothing. */
const weight = (row) => Math.min(SEVERITIES[row.severity], 2);
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
  if (!FILTERS[view.filter](row)) return false;
  if (!view.words.length) return true;
  const text = `${row.name} ${row.user ?? ""} ${row.group} ${row.machine ?? ""} ${row.os ?? ""} ${row.seb_version ?? ""} ${
    row.room === null ? "" : t("room.number", { number: row.room })
  }`.toLocaleLowerCase(page.language);
  return view.words.every((word) => text.includes(word));
}

/** Who is shown, in which order. Sorting by ping would make rows run, so it is done when asked, not on every ping. */
function arrange() {
  const rows = [...feed.rows.values()].filter(matches);
  const sort = SORTS[view.sort];
  const sign = view.descending ? -1 : 1;
  rows.sort((a, b) => isGone(a) - isGone(b) || sign * sort(a, b) || collator.compare(a.name, b.name) || a.id - b.id);
  table.setOrder(rows.map((row) => row.id));
  showEmpty(rows.length);
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
  arrange();
}

for (const button of document.querySelectorAll("[data-filter]")) {
  button.addEventListener("click", () => choose(button.dataset.filter));
}

search.addEventListener("input", () => {
  view.words = search.value.toLocaleLowerCase(page.language).split(/\s+/).filter(Boolean);
  arrange();
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
    arrange();
  });
}

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
    arrange();
    count();
  }
  table.update(rows);
  if (rooms) cards.show(feed.rooms);
});
feed.on("snapshot", () => {
  keys.clear();
  cards.show(feed.rooms);
  arrange();
  count();
});

showSort();
feed.start();
window.invigilo = { feed };
