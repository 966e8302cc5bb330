// All candidates of an exam at once, by stills.

import { look } from "./duty.js";
import { Feed } from "./feed.js";
import { icon, make, page, say, set, t } from "./page.js";
import { COLLECTING } from "./places.js";
import { fill } from "./room_list.js";
import { hasHand, isGone, sentenceOf } from "./status.js";
import { clearStill, showStill } from "./stills.js";

const FRESH = 5_000; // ms
const feed = new Feed();
look(feed, "overview");
const root = document.querySelector("[data-overview]");
const empty = document.querySelector("[data-empty]");
const tiles = new Map();
const sections = new Map();
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) entry.target.tile.isVisible = entry.isIntersecting;
}, { rootMargin: "150px" });

const collator = new Intl.Collator(page.language, { numeric: true, sensitivity: "base" });

class Still {
  constructor(id) {
    this.id = id;
    this.at = -Infinity;
    this.isVisible = true;
    this.image = make("img", { alt: "", decoding: "async" });
    this.name = make("span", { className: "still-name" });
    this.cause = make("span", { className: "still-cause" }, make("span"));
    this.hand = make("span", { className: "still-hand", title: t("hand") }, icon("hand"));
    this.root = make("a", { className: "still", href: `${page.base}/connections/${id}` }, this.image, this.cause, this.hand, this.name);
    this.root.tile = this;
    seen.observe(this.root);
  }

  show(row) {
    this.row = row;
    set(this.root, "data-severity", row.severity);
    say(this.name, row.name);
    this.hand.hidden = !hasHand(row);
    this.refresh();
  }

  take(jpeg) {
    this.at = performance.now();
    if (this.isVisible) showStill(this.image, jpeg);
    if (!this.hasPicture) this.refresh();
  }

  refresh() {
    this.hasPicture = performance.now() - this.at < FRESH;
    this.root.classList.toggle("has-picture", this.hasPicture);
    if (!this.hasPicture && this.image.address) clearStill(this.image);
    const isBad = this.row.severity === "problem" || this.row.severity === "warning";
    const text = isBad || !this.hasPicture ? sentenceOf(this.row) || t("tile.waiting") : "";
    this.cause.hidden = text === "";
    say(this.cause.firstChild, text);
  }

  remove() {
    seen.unobserve(this.root);
    clearStill(this.image);
    this.root.remove();
  }
}

function section(number) {
  let found = sections.get(number);
  if (found) return found;
  const title = make(number === null ? "span" : "a", number === null ? {} : { href: `${page.base}/rooms/${number}` });
  const count = make("span", { className: "muted" });
  const grid = make("div", { className: "overview-tiles" });
  found = { root: make("section", { className: "overview-room" }, make("h2", {}, title, count), grid), title, count, grid };
  say(title, number === null ? t("overview.no_room") : t("room.number", { number }));
  sections.set(number, found);
  const later = [...sections.entries()].filter(([other]) => (other ?? 1e9) > (number ?? 1e9));
  later.sort(([a], [b]) => (a ?? 1e9) - (b ?? 1e9));
  root.insertBefore(found.root, later[0]?.[1].root ?? null);
  return found;
}

function arrange() {
  const rows = [...feed.rows.values()].filter((row) => !isGone(row));
  const present = new Set(rows.map((row) => row.id));
  for (const [id, tile] of tiles) {
    if (present.has(id)) continue;
    tile.remove();
    tiles.delete(id);
  }
  rows.sort((a, b) => collator.compare(a.name, b.name) || a.id - b.id);
  for (const row of rows) {
    let tile = tiles.get(row.id);
    if (!tile) {
      tile = new Still(row.id);
      tiles.set(row.id, tile);
    }
    const { grid } = section(row.room);
    if (tile.root.parentNode !== grid) grid.append(tile.root);
    tile.show(row);
  }
  for (const [number, one] of sections) {
    one.root.hidden = one.grid.childElementCount === 0;
    const room = [...feed.rooms.values()].find((one) => one.number === number && one.kind === COLLECTING);
    say(one.count, room ? `(${fill(room)})` : "");
  }
  empty.hidden = rows.length > 0 || !feed.exam;
}

feed.on("snapshot", () => {
  feed.send({ t: "stills", connections: "all" });
  arrange();
});
let waiting = 0;
feed.on("change", () => {
  if (waiting) return;
  waiting = requestAnimationFrame(() => {
    waiting = 0;
    arrange();
  });
});
feed.on("still", ({ id, jpeg }) => tiles.get(id)?.take(jpeg));
setInterval(() => {
  for (const tile of tiles.values()) tile.refresh();
}, 1_000);

const size = document.querySelector("[data-size]");
size.addEventListener("input", () => root.style.setProperty("--tile", `${size.value}px`));

feed.start();
window.invigilo = { feed, tiles };
