// Who has which room, who looks at it right now, and how rooms change hands.

import { load, make, page, post, say, set, t } from "./page.js";
import { tell } from "./outcomes.js";

const find = (name) => document.querySelector(`[data-${name}]`);
const dialog = find("duty-dialog");

/** Tell the server what this page shows, so that the others know who is looking. Said again whenever the line is new. */
export function look(feed, view, room = () => null) {
  const tellNow = () => feed.send({ t: "look", view: typeof view === "function" ? view() : view, room: room()?.id ?? null });
  feed.on("snapshot", tellNow);
  return tellNow;
}

/** Names of those who have this room open now. */
export function watchersOf(feed, room) {
  return (feed.exam?.people ?? []).filter((one) => one.rooms.includes(room.id)).map((one) => one.name);
}

/** "Ada · watched by Ada, Grace" for a room's card. */
export function dutyWords(feed, room) {
  const watchers = watchersOf(feed, room);
  const has = room.duty ? t("duty.has", { name: room.duty.name }) : t("duty.nobody");
  const watched = watchers.length ? t("duty.watched_by", { names: watchers.join(", ") }) : t("duty.unwatched");
  return { has, watched };
}

export class Duties {
  constructor(feed) {
    this.feed = feed;
    for (const button of document.querySelectorAll("[data-duty-open]")) button.addEventListener("click", () => this.open());
    find("duty-close").addEventListener("click", () => dialog.close());
    find("duty-share").addEventListener("click", () => this.#share());
    find("duty-hand-over").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#handOver(event.target.elements);
    });
  }

  async open() {
    try {
      this.#show(await load(`${page.base}/duties`));
    } catch (error) {
      return tell(t("connection.failed", { message: error.message }), { tone: "problem" });
    }
    if (!dialog.open) dialog.showModal();
  }

  #show({ rooms, proctors }) {
    const options = (chosen) => [
      make("option", { value: "" }, t("duty.nobody")),
      ...proctors.map((one) => make("option", { value: one.user_id, selected: one.user_id === chosen }, this.#nameOf(one))),
    ];
    find("duty-rooms").replaceChildren(
      ...rooms.map((room) => {
        const select = make("select", { "aria-label": t("duty.of_room", { room: room.subject }) }, ...options(room.user_id));
        select.addEventListener("change", () => this.#give(room, select));
        const watched = room.watched_by.length ? t("duty.watched_by", { names: room.watched_by.join(", ") }) : t("duty.unwatched");
        return make("li", {}, make("strong", {}, room.subject), select, make("span", { className: "muted" }, watched));
      }),
    );
    find("duty-none").hidden = rooms.length > 0;
    for (const name of ["of", "to"]) {
      const select = find("duty-hand-over").elements[name];
      const before = select.value;
      const has = new Set(rooms.map((room) => room.user_id));
      const offered = name === "of" ? proctors.filter((one) => has.has(one.user_id)) : proctors;
      select.replaceChildren(...offered.map((one) => make("option", { value: one.user_id }, this.#nameOf(one))));
      if (offered.some((one) => String(one.user_id) === before)) select.value = before;
    }
    find("duty-hand-over").hidden = !rooms.some((room) => room.user_id !== null) || proctors.length < 2;
    find("duty-share").disabled = rooms.length === 0;
  }

  #nameOf(one) {
    return one.is_present ? t("duty.present", { name: one.name }) : one.name;
  }

  async #give(room, select) {
    select.disabled = true;
    await this.#do("", { room_ids: [room.room_id], to: select.value ? Number(select.value) : null }, t("duty.given", { room: room.subject }));
    select.disabled = false;
  }

  #share() {
    return this.#do("/share", {}, t("duty.shared"));
  }

  #handOver({ of, to }) {
    if (of.value === to.value) return say(find("duty-problem"), t("duty.same_person"));
    return this.#do("/hand-over", { of: Number(of.value), to: Number(to.value) }, t("duty.handed_over"));
  }

  async #do(path, body, done) {
    say(find("duty-problem"), "");
    try {
      this.#show(await post(`${page.base}/duties${path}`, body));
      say(find("duty-problem"), done);
      set(find("duty-problem"), "data-tone", "ok");
    } catch (error) {
      say(find("duty-problem"), error.message);
      set(find("duty-problem"), "data-tone", "problem");
    }
  }
}
