// Groups: by the roster's field or by room. Each with its counts, each a filter.

import { make, page, say, set, t } from "./page.js";
import { hasHand, isGone } from "./status.js";

const collator = new Intl.Collator(page.language, { numeric: true, sensitivity: "base" });
const SYSTEMS = ["windows", "macos", "ios", "unknown"];

/** The ways to group: what a row belongs to, and what that is called. */
const WAYS = {
  group: { of: (row) => row.group, name: (key) => key || t("groups.none") },
  room: { of: (row) => (row.room === null ? "" : String(row.room)), name: (key) => (key ? t("room.number", { number: key }) : t("groups.no_room")) },
  system: { of: (row) => row.family, name: (key) => (SYSTEMS.includes(key) ? t(`groups.system.${key}`) : key) },
};

export class Groups {
  /** `chosen` is called when another group is chosen. */
  constructor(feed, chosen) {
    this.feed = feed;
    this.chosen = chosen;
    this.way = "group";
    this.key = null;
    this.list = document.querySelector("[data-groups]");
    this.buttons = new Map();
    for (const button of document.querySelectorAll("[data-group-by]")) button.addEventListener("click", () => this.groupBy(button.dataset.groupBy));
  }

  groupBy(way) {
    this.way = way;
    this.key = null;
    for (const button of document.querySelectorAll("[data-group-by]")) set(button, "aria-pressed", String(button.dataset.groupBy === way));
    this.list.replaceChildren();
    this.buttons.clear();
    this.count();
    this.chosen();
  }

  matches(row) {
    return this.key === null || WAYS[this.way].of(row) === this.key;
  }

  clear() {
    this.#choose(null);
  }

  #choose(key) {
    this.key = key;
    for (const [one, { button }] of this.buttons) set(button, "aria-pressed", String(one === key));
    this.chosen();
  }

  count() {
    const found = new Map();
    for (const row of this.feed.rows.values()) {
      if (row.returned) continue;
      const key = WAYS[this.way].of(row);
      const counts = found.get(key) ?? { all: 0, here: 0, problems: 0, hands: 0 };
      counts.all++;
      if (!isGone(row)) counts.here++;
      if (row.severity === "problem") counts.problems++;
      if (hasHand(row)) counts.hands++;
      found.set(key, counts);
    }
    const order = [...found.keys()].sort((a, b) => (a === "") - (b === "") || collator.compare(a, b));
    for (const [key, { item }] of this.buttons) {
      if (found.has(key)) continue;
      item.remove();
      this.buttons.delete(key);
    }
    order.forEach((key, index) => {
      const one = this.buttons.get(key) ?? this.#button(key);
      const { here, all, problems, hands } = found.get(key);
      say(one.counts, t("groups.counts", { here, all }));
      say(one.trouble, [problems ? t("groups.problems", { n: problems }) : "", hands ? t("groups.hands", { n: hands }) : ""].filter(Boolean).join(" · "));
      if (this.list.children[index] !== one.item) this.list.insertBefore(one.item, this.list.children[index] ?? null);
    });
  }

  #button(key) {
    const counts = make("span", { className: "count" });
    const trouble = make("span", { className: "group-trouble" });
    const button = make("button", { type: "button", className: "group", "aria-pressed": "false" }, make("span", {}, WAYS[this.way].name(key)), counts, trouble);
    button.addEventListener("click", () => this.#choose(this.key === key ? null : key));
    const one = { item: make("li", {}, button), button, counts, trouble };
    this.buttons.set(key, one);
    return one;
  }
}
