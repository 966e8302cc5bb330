// A room's window: the wall of live tiles, one of them enlarged if wished, the sound of one.

import { Feed } from "./feed.js";
import { page, say, t } from "./page.js";
import { belongsIn, showTabs } from "./room_list.js";
import { isGone, sentenceOf } from "./status.js";
import { Tile } from "./tile.js";
import { Watches } from "./watch.js";

const feed = new Feed();
const watches = new Watches(feed);
const wall = document.querySelector("[data-wall]");
const tabs = document.querySelector("[data-room-tabs]");
const empty = document.querySelector("[data-empty]");
const announce = document.querySelector("[data-announce]");
const tiles = new Map();
let heard = null;
let large = null;

const collator = new Intl.Collator(page.language, { numeric: true, sensitivity: "base" });
const belongs = (row) => belongsIn(row, page.roomId) && !isGone(row);

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
      tile = new Tile(row.id, { watches, sound: hear, enlarge });
      tile.onLive = wantStills;
      tiles.set(row.id, tile);
      wall.append(tile.root);
    }
    tile.show(row);
  }
  empty.hidden = members.length > 0 || !feed.exam;
  fit();
  wantStills();
}

/** Stills only of those without live video; they are also the first picture while video is on its way. */
let wanted = "";
function wantStills() {
  const ids = [...tiles.values()].filter((tile) => !tile.isLive).map((tile) => tile.id);
  const mark = ids.join();
  if (mark === wanted) return;
  if (feed.send({ t: "stills", connections: ids })) wanted = mark;
}

function hear(tile) {
  const before = heard;
  heard = before === tile ? null : tile;
  before?.hear(false);
  heard?.hear(true);
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
  if (rooms) showTabs(tabs, feed.rooms, page.roomId);
});
feed.on("snapshot", () => {
  wanted = "";
  arrange();
  showTabs(tabs, feed.rooms, page.roomId);
});
feed.on("still", ({ id, jpeg }) => tiles.get(id)?.still(jpeg));
setInterval(() => {
  for (const tile of tiles.values()) tile.refresh();
}, 1_000);
addEventListener("resize", fit);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && large) enlarge(large);
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step || !document.activeElement?.classList.contains("stage-button")) return;
  const all = [...wall.querySelectorAll(".stage-button")];
  all[(all.indexOf(document.activeElement) + step + all.length) % all.length]?.focus();
});

feed.start();
window.invigilo = { feed, watches, tiles };
