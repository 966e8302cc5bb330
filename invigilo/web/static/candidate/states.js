// The line of states: the connection, the place, who is looking.

import { showMark } from "./marks.js";
import { t } from "./texts.js";

const CONNECTION_MARK = {
  connecting: "pending",
  connected: "ok",
  reconnecting: "warning",
  replaced: "warning",
  ended: "info",
};

export class States {
  #root;

  constructor(root) {
    this.#root = root;
  }

  connection(state) {
    this.#show("connection", CONNECTION_MARK[state], t(`candidate.connection.${state}`));
    this.#root.dataset.connection = state;
  }

  place(room) {
    const kind = room?.kind ?? "collecting";
    const key = kind === "collecting" ? "room" : kind;
    if (room) this.#show("place", "ok", t(`candidate.place.${key}`, { number: room.number }));
    else this.#show("place", "pending", t("candidate.place.none"));
  }

  watchers(count) {
    const amount = count === 0 ? "none" : count === 1 ? "one" : "many";
    this.#show("watchers", "info", t(`candidate.watchers.${amount}`, { count }));
    this.#root.querySelector('[data-state-of="watchers"]').dataset.count = String(count);
  }

  #show(name, mark, words) {
    const element = this.#root.querySelector(`[data-state-of="${name}"]`);
    showMark(element, mark);
    const place = element.querySelector("[data-words]");
    if (place.textContent !== words) place.textContent = words;
  }
}
