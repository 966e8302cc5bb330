// Everybody as a cell: coloured by the worst indicator or by one, and always with a shape and the value in words.

import { icon, make, page, say, set, t } from "./page.js";
import { isGone } from "./status.js";

export const INDICATORS = ["ping", "errors", "warnings", "battery", "wlan"];
const RANK = { none: 0, ok: 1, warning: 2, problem: 3 };
const SHAPES = { none: "none", ok: "ok", warning: "warning", problem: "problem" };
const WIDTH = 150;
const HEIGHT = 58;
const MARGIN = 3; // lines kept above and below the window

/** The indicator that stands worst; the first of equals. */
export function worstOf(row) {
  return INDICATORS.reduce((worst, one) => (RANK[row.levels[one]] > RANK[row.levels[worst]] ? one : worst), INDICATORS[0]);
}

export function valueOf(row, indicator, now) {
  const percent = (value) => (value === null || value === undefined ? t("heat.unknown") : `${Math.round(value)} %`);
  switch (indicator) {
    case "ping":
      return row.last_ping === null ? t("age.never") : t("age.seconds", { n: Math.max(0, Math.round((now - row.last_ping) / 1000)) });
    case "errors":
      return String(row.errors);
    case "warnings":
      return String(row.warnings);
    case "battery":
      return percent(row.battery);
    default:
      return row.wlan_connected === false ? t("heat.cable") : percent(row.wlan);
  }
}

export class HeatMap {
  constructor(feed, { selected, toggle }) {
    this.feed = feed;
    this.selected = selected;
    this.toggle = toggle;
    this.by = "worst";
    this.order = [];
    this.shown = new Map();
    this.isOn = false;
    this.root = document.querySelector("[data-heat]");
    this.body = document.querySelector("[data-cells]");
    for (const button of document.querySelectorAll("[data-heat-by]")) button.addEventListener("click", () => this.choose(button.dataset.heatBy));
    addEventListener("scroll", () => this.schedule(), { passive: true });
    addEventListener("resize", () => this.schedule());
    setInterval(() => this.tick(), 1_000);
  }

  choose(by) {
    this.by = by;
    for (const button of document.querySelectorAll("[data-heat-by]")) set(button, "aria-pressed", String(button.dataset.heatBy === by));
    for (const [id, cell] of this.shown) cell.show(this.feed.rows.get(id), this);
  }

  setOrder(order) {
    this.order = order;
    if (this.isOn) this.draw();
  }

  turn(on) {
    this.isOn = on;
    this.root.hidden = !on;
    if (on) this.draw();
  }

  schedule() {
    if (!this.isOn || this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.draw();
    });
  }

  draw() {
    const columns = Math.max(1, Math.floor((this.body.clientWidth + 6) / WIDTH));
    this.body.style.height = `${Math.ceil(this.order.length / columns) * HEIGHT}px`;
    const { top } = this.body.getBoundingClientRect();
    const first = Math.max(0, (Math.floor(-top / HEIGHT) - MARGIN) * columns);
    const last = Math.min(this.order.length, (Math.ceil((innerHeight - top) / HEIGHT) + MARGIN) * columns);
    const wanted = new Set(this.order.slice(first, last));
    for (const [id, cell] of this.shown) {
      if (wanted.has(id) || cell.root.contains(document.activeElement)) continue;
      cell.root.remove();
      this.shown.delete(id);
    }
    const width = this.body.clientWidth / columns;
    let before = null;
    for (let index = first; index < last; index++) {
      const id = this.order[index];
      let cell = this.shown.get(id);
      if (!cell) {
        cell = new Cell(id, this.toggle);
        this.shown.set(id, cell);
      }
      cell.place(index, columns, width);
      const next = before ? before.nextSibling : this.body.firstChild;
      if (next !== cell.root && !cell.root.contains(document.activeElement)) this.body.insertBefore(cell.root, next);
      before = cell.root;
      cell.show(this.feed.rows.get(id), this);
    }
  }

  update(ids) {
    if (!this.isOn) return;
    for (const id of ids) {
      const row = this.feed.rows.get(id);
      if (row) this.shown.get(id)?.show(row, this);
    }
  }

  tick() {
    if (!this.isOn) return;
    for (const [id, cell] of this.shown) {
      const row = this.feed.rows.get(id);
      if (row) cell.show(row, this);
    }
  }

  mark() {
    for (const [id, cell] of this.shown) cell.mark(this.selected.has(id));
  }
}

class Cell {
  constructor(id, toggle) {
    this.id = id;
    this.name = make("a", { className: "heat-name", href: `${page.base}/connections/${id}` });
    this.value = make("span", { className: "heat-value" });
    this.shape = icon("none");
    this.use = this.shape.querySelector("use");
    this.box = make("input", { type: "checkbox", className: "heat-box" });
    this.box.addEventListener("change", () => toggle(id, this.box.checked));
    this.root = make("div", { className: "heat-cell", role: "listitem", "data-id": id }, this.shape, this.name, this.value, make("label", { className: "heat-select" }, this.box));
  }

  place(index, columns, width) {
    const key = `${index} ${columns} ${width}`;
    if (this.at === key) return;
    this.at = key;
    this.root.style.width = `${width - 6}px`;
    this.root.style.transform = `translate(${(index % columns) * width}px, ${Math.floor(index / columns) * HEIGHT}px)`;
  }

  show(row, map) {
    if (!row) return;
    const indicator = map.by === "worst" ? worstOf(row) : map.by;
    const level = isGone(row) ? "none" : row.levels[indicator];
    if (this.level !== level) {
      this.level = level;
      set(this.root, "data-level", level);
      this.use.setAttribute("href", `${document.body.dataset.icons}#${SHAPES[level]}`);
    }
    const value = valueOf(row, indicator, map.feed.now());
    const isWell = map.by === "worst" && level !== "warning" && level !== "problem";
    const text = isGone(row) ? t(`state.${row.state}`) : isWell ? t("heat.well") : t("heat.value", { indicator: t(`heat.${indicator}`), value });
    say(this.value, text);
    say(this.name, row.name);
    set(this.name, "title", row.name);
    set(this.name, "aria-label", t("heat.cell", { name: row.name, level: t(`heat.level.${level}`), value: text }));
    set(this.box, "aria-label", t("desk.select_one", { name: row.name }));
    this.mark(map.selected.has(this.id));
  }

  mark(isSelected) {
    if (this.box.checked !== isSelected) this.box.checked = isSelected;
    this.root.classList.toggle("is-selected", isSelected);
  }
}
