// A room's window: the wall of live tiles, one of them enlarged if wished, the sound of one, and our own voice to all of them.
// The same for a collecting room, a town hall and a talk with one candidate.

import { Calls, heardIn } from "./calls.js";
import { Desk } from "./desk.js";
import { Duties, dutyWords, look } from "./duty.js";
import { Feed } from "./feed.js";
import { Flags } from "./flag.js";
import { bind } from "./keys.js";
import { Order } from "./order.js";
import { icon, make, page, say, set, t } from "./page.js";
import { belongsHere, isCallWindow, placeOf, roomHere, titleOf } from "./places.js";
import { showTabs } from "./room_list.js";
import { Rotation } from "./rotation.js";
import { isGone, sentenceOf } from "./status.js";
import { Tile } from "./tile.js";
import { OwnDevices, Voice } from "./voice.js";
import { Watches } from "./watch.js";

const feed = new Feed();
const watches = new Watches(feed);
const wall = document.querySelector("[data-wall]");
const tabs = document.querySelector("[data-room-tabs]");
const empty = document.querySelector("[data-empty]");
const announce = document.querySelector("[data-announce]");
const tiles = new Map();
const LIVE_TILES = 25; // beyond these, in a town hall, a tile shows stills; it is spoken to all the same
let heard = null;
let large = null;

const desk = new Desk(feed);
const flags = new Flags(feed);
new Duties(feed);
/** Only to know whether somebody is busy with the wall: tiles are put in another order when asked, never by themselves. */
const order = new Order(wall, () => {});
look(feed, "room", () => roomHere(feed));
/** Who gets what this page sends: those who are in its room now, not those called out of it. */
function receivers() {
  const here = roomHere(feed);
  return here ? [...feed.rows.values()].filter((row) => placeOf(row) === here.id).map((row) => row.id) : [];
}
const devices = new OwnDevices(watches, receivers);
const voice = new Voice(feed, devices, () => roomHere(feed)?.id ?? null);
const calls = new Calls(feed, { voice, heardBy: heardIn(feed, watches) });

const collator = new Intl.Collator(page.language, { numeric: true, sensitivity: "base" });
const belongs = (row) => belongsHere(row) && !isGone(row);

/** Tiles keep their place: newcomers come last, so nothing jumps under the pointer. */
function arrange() {
  const members = [...feed.rows.values()].filter(belongs);
  const ids = new Set(members.map((row) => row.id));
  for (const [id, tile] of tiles) {
    if (ids.has(id)) continue;
    if (heard === tile) heard = null;
    if (large === tile) enlarge(tile);
    tile.remove();
    tiles.delete(id);
  }
  members.sort((a, b) => collator.compare(a.name, b.name) || a.id - b.id);
  for (const row of members) {
    let tile = tiles.get(row.id);
    if (!tile) {
      tile = new Tile(row.id, { watches, sound: hear, enlarge, calls, flag: (one) => flags.flag(one), wantsVideo: tiles.size < LIVE_TILES });
      tile.onLive = wantStills;
      tiles.set(row.id, tile);
      wall.append(tile.root);
    }
    tile.show(row);
  }
  empty.hidden = members.length > 0 || !feed.exam;
  showAttention(members);
  fit();
  wantStills();
  devices.send();
  showHere();
}

let isTalk = false;
/** A talk is heard without asking; a call that is over says so. */
function showHere() {
  const here = roomHere(feed);
  if (here?.kind === "break_out" && !isTalk && tiles.size) {
    isTalk = true;
    hear([...tiles.values()][0]);
  }
  if (!isCallWindow || !feed.exam) return;
  if (here) say(document.querySelector("[data-here]"), titleOf(here, feed.rows));
  const isGoneNow = !here || here.state === "closed" || here.state === "closing";
  document.querySelector("[data-call-gone]").hidden = !isGoneNow;
  if (!isGoneNow) return;
  empty.hidden = true;
  if (voice.isOn) voice.end();
}

const WEIGHTS = { problem: 0, warning: 2, info: 3, ok: 3 };
/** Problems first, hands and locks next, then warnings. */
const weight = (row) => Math.min(WEIGHTS[row.severity], row.notifications.length ? 1 : 3);

function inOrder(rows) {
  return [...rows].sort((a, b) => weight(a) - weight(b) || collator.compare(a.name, b.name) || a.id - b.id);
}

/** Asked for: the tiles in that order, now. */
function problemsFirst() {
  const focused = document.activeElement;
  for (const row of inOrder([...tiles.values()].map((tile) => tile.row))) wall.append(tiles.get(row.id).root);
  if (wall.contains(focused)) focused.focus();
}

// --- who needs somebody, in one line above the wall ---

const attention = document.querySelector("[data-attention]");
const wanting = new Map();

function showAttention(members) {
  const rows = inOrder(members.filter((row) => weight(row) < 3));
  const ids = new Set(rows.map((row) => row.id));
  for (const [id, one] of wanting) {
    if (ids.has(id)) continue;
    one.item.remove();
    wanting.delete(id);
  }
  const isHeld = attentionOrder.isHeld;
  rows.forEach((row, index) => {
    let one = wanting.get(row.id);
    if (!one) {
      const button = make("button", { type: "button", className: "attention-one" }, icon("problem"), make("span", {}));
      button.addEventListener("click", () => tiles.get(row.id)?.root.querySelector(".stage-button").focus());
      one = { item: make("li", {}, button), button };
      wanting.set(row.id, one);
      attention.append(one.item);
    }
    const kind = row.severity === "problem" ? "problem" : row.notifications.length ? (row.notifications[0].kind === "raisehand" ? "hand" : "lock") : "warning";
    set(one.button, "data-kind", kind);
    one.button.querySelector("use").setAttribute("href", `${document.body.dataset.icons}#${kind}`);
    say(one.button.lastChild, row.name);
    const why = kind === "hand" ? row.notifications[0].text || t("hand") : kind === "lock" ? t("lockscreen") : sentenceOf(row);
    set(one.button, "title", why);
    set(one.button, "aria-label", `${row.name}: ${why}`);
    if (!isHeld && attention.children[index] !== one.item) attention.insertBefore(one.item, attention.children[index] ?? null);
  });
  set(attention, "data-some", rows.length > 0 ? "yes" : null);
}
const attentionOrder = new Order(attention, () => {});

/** Stills only of those without live video; they are also the first picture while video is on its way. */
let wanted = "";
function wantStills() {
  const ids = [...tiles.values()].filter((tile) => !tile.isLive).map((tile) => tile.id);
  const mark = ids.join();
  if (mark === wanted) return;
  if (feed.send({ t: "stills", connections: ids })) wanted = mark;
}

async function hear(tile) {
  const before = heard;
  heard = before === tile ? null : tile;
  before?.hear(false);
  if (heard && !(await heard.hear(true))) {
    if (heard === tile) heard = null;
    say(announce, t("call.click_to_hear"));
  }
}

// --- one tile after the other, enlarged ---

/** Problems and hands oftener would hide the others: everybody has a turn, in the order of the wall. */
function enlargeNext() {
  const all = [...wall.querySelectorAll(".tile")].map((root) => tiles.get(Number(root.dataset.id)));
  if (!all.length) return;
  const next = all[(all.indexOf(large) + 1) % all.length];
  if (next !== large) enlarge(next);
}
const rotation = new Rotation({
  button: document.querySelector("[data-rotate]"),
  every: document.querySelector("[data-rotate-every]"),
  next: enlargeNext,
  isHeld: () => order.isHeld,
});
document.querySelector("[data-order-now]").addEventListener("click", problemsFirst);

function showDuty() {
  const room = roomHere(feed);
  if (!room) return;
  const { has, watched } = dutyWords(feed, room);
  say(document.querySelector("[data-duty-here]"), `${has} · ${watched}`);
}

function enlarge(tile) {
  const before = large;
  large = before === tile ? null : tile;
  before?.enlarge(false);
  large?.enlarge(true);
  wall.classList.toggle("has-large", large !== null);
  fit();
}

/** As many columns as make the tiles largest without scrolling, where that leaves them a useful size. */
function fit() {
  const count = tiles.size;
  if (!count) return;
  const width = document.documentElement.clientWidth - 32;
  const height = innerHeight - wall.getBoundingClientRect().top - scrollY - 18;
  let best = { columns: 1, width: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const byWidth = (width - (columns - 1) * 10) / columns;
    const byHeight = ((height - (rows - 1) * 10) / rows - 48) * (4 / 3);
    const fits = Math.min(byWidth, byHeight);
    if (fits > best.width) best = { columns, width: fits };
  }
  if (best.width < 200) best = { columns: Math.max(1, Math.floor(width / 230)), width: 0 };
  wall.style.setProperty("--columns", best.columns);
  const whole = best.width ? best.columns * best.width + (best.columns - 1) * 10 + 32 : 0;
  if (whole) wall.style.setProperty("--wall-width", `${Math.floor(whole)}px`);
  else wall.style.removeProperty("--wall-width");
}

const told = new Map();
/** Said aloud once: a tile that newly has a problem. */
function speak(ids) {
  for (const id of ids) {
    const row = feed.rows.get(id);
    if (!row || !belongs(row)) continue;
    const cause = row.severity === "problem" ? row.cause : null;
    if (cause && told.get(id) !== cause) say(announce, `${row.name}: ${sentenceOf(row)}`);
    told.set(id, cause);
  }
}

feed.on("change", ({ rows, rooms }) => {
  arrange();
  speak(rows);
  if (rooms) showTabs(tabs, feed, roomHere(feed));
  if (rooms) showDuty();
});
feed.on("exam", showDuty);
feed.on("snapshot", () => {
  wanted = "";
  arrange();
  showDuty();
  showTabs(tabs, feed, roomHere(feed));
});
feed.on("still", ({ id, jpeg }) => tiles.get(id)?.still(jpeg));
setInterval(() => {
  for (const tile of tiles.values()) tile.refresh();
}, 1_000);
setInterval(() => {
  if (!document.hidden) for (const tile of tiles.values()) tile.measure();
}, 500);
addEventListener("resize", fit);

// --- keys: on the tile that has the focus, else on the enlarged one ---

function here() {
  const id = document.activeElement?.closest(".tile")?.dataset.id;
  return id === undefined ? large : tiles.get(Number(id));
}

function onHere(run) {
  return () => {
    const tile = here();
    if (tile) run(tile);
    else say(announce, t("keys.choose_first"));
  };
}

function step(by) {
  const all = [...wall.querySelectorAll(".stage-button")];
  const at = all.findIndex((one) => one.closest(".tile") === here()?.root);
  all[at < 0 ? 0 : (at + by + all.length) % all.length]?.focus();
}

bind({
  j: [t("keys.next"), () => step(1)],
  k: [t("keys.previous"), () => step(-1)],
  e: [t("keys.enlarge"), onHere((tile) => enlarge(tile))],
  i: [t("keys.sound"), onHere((tile) => hear(tile))],
  f: [t("keys.flag"), onHere((tile) => flags.flag(tile.row))],
  n: [t("keys.note"), onHere((tile) => flags.edit(tile.row))],
  s: [t("keys.settle"), onHere((tile) => desk.act("settle", [tile.id]))],
  l: [t("keys.lock"), onHere((tile) => desk.act("lock", [tile.id]))],
  u: [t("keys.unlock"), onHere((tile) => desk.act("unlock", [tile.id]))],
  q: [t("keys.quit"), onHere((tile) => desk.act("quit", [tile.id]))],
  o: [t("keys.order"), problemsFirst],
  r: [t("keys.rotate"), () => rotation.toggle()],
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && large) enlarge(large);
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step || !document.activeElement?.classList.contains("stage-button")) return;
  const all = [...wall.querySelectorAll(".stage-button")];
  all[(all.indexOf(document.activeElement) + step + all.length) % all.length]?.focus();
});

feed.start();
for (const button of document.querySelectorAll("[data-close-window]")) button.addEventListener("click", () => window.close());
window.invigilo = { feed, watches, tiles, voice };
