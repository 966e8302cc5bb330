// What a proctor can do to speak: the bar of a room's window and of the monitoring page, and its two deeds for other pages,
// `talkAlone` and `openHall`.
//
// Only what the exam's service and settings allow is offered; where a reason is known, the button stays and says it.

import { listenToKeys } from "./call_keys.js";
import { MessagePanel } from "./message_panel.js";
import { ask, icon, make, page, say, set, t, timeOfDay } from "./page.js";
import { COLLECTING, addressOf, isOver, placeOf, roomHere, titleOf } from "./places.js";

const calls = `${page.base}/calls`;
/** What a button needs of the exam. */
const NEEDS = { audio: "broadcast_audio", video: "broadcast_video", chat: "chat", town_hall: "town_hall", talk: "one_to_one", messages: "chat" };
const OF_ANY_PAGE = new Set(["town_hall", "talk", "messages"]);

export class Calls {
  #feed;
  #root = document.querySelector("[data-calls]");
  #voice;
  #outcome = { text: "", link: null };
  #heardBy;
  #whyNot;
  #othersMark = null;
  panel;

  /**
   * `voice`: what this page can broadcast with, or null. `heardBy()`: how many of its room get it, where that is known.
   * `whyNot(wish)`: what keeps this very page from it now, as a sentence.
   */
  constructor(feed, { voice = null, heardBy = null, whyNot = () => "" } = {}) {
    this.#feed = feed;
    this.#voice = voice;
    this.#heardBy = heardBy;
    this.#whyNot = whyNot;
    this.panel = new MessagePanel(feed, { onCount: (count) => this.#count(count) });
    this.#root.addEventListener("click", ({ target }) => {
      const button = target.closest("[data-call]");
      if (button) this.press(button.dataset.call);
    });
    if (voice) voice.onChange = () => this.show();
    for (const news of ["snapshot", "change", "exam", "held"]) feed.on(news, () => this.show());
    setInterval(() => this.#showState(), 1_000);
    listenToKeys(this.#root, (wish) => this.press(wish));
    this.show();
  }

  /** Whether the exam's service and settings have this. */
  can(need) {
    return this.#feed.exam?.can?.includes(need) ?? false;
  }

  /** Why no call can be opened now: each takes a host of its own where the service has hosts. */
  get whyNoCall() {
    const hosts = this.#feed.exam?.hosts;
    return hosts && hosts.free === 0 ? t("call.no_host", hosts) : "";
  }

  /** How many more calls the service bears, where that is limited. */
  get hostWords() {
    const hosts = this.#feed.exam?.hosts;
    return hosts ? t("call.hosts_free", hosts) : "";
  }

  // --- what is pressed ---

  press(wish) {
    const button = this.#button(wish);
    if (!button || button.hidden) return;
    if (button.getAttribute("aria-disabled") === "true") return this.#tell(button.dataset.reason || button.title);
    if (wish === "messages") return this.panel.toggle(page.connectionId ?? null);
    if (wish === "town_hall") return this.hall();
    if (wish === "talk") return this.talkAlone(page.connectionId);
    if (wish === "close") return this.close();
    this.#tell("");
    this.#voice?.toggle(wish);
  }

  /** One candidate called aside, into a window of its own. */
  async talkAlone(id) {
    const row = this.#feed.rows.get(id);
    if (!row) return;
    if (row.called?.kind === "break_out") return this.#open(this.#feed.rooms.get(row.called.room) ?? { id: row.called.room, kind: "break_out" });
    if (this.whyNoCall) return this.#tell(this.whyNoCall);
    await this.#do(async () => this.#open(await ask("POST", calls, { kind: "break_out", connections: [id] })));
  }

  /** How many can hear is said before it is opened, not found out in it. */
  async hall() {
    const open = this.#hallRoom;
    if (open) return this.#open(open);
    const size = this.#feed.exam.hall?.size ?? null;
    const n = [...this.#feed.rows.values()].filter((row) => (row.room_id ?? null) !== null && row.seb !== "closed").length;
    const words = t(size === null ? "call.hall_ask_unbounded" : n > size ? "call.hall_too_many" : "call.hall_ask", { size, n });
    if (!(await this.#confirm(`${words} ${this.hostWords}`.trim(), t("call.hall_open")))) return;
    await this.#do(async () => this.#open(await ask("POST", calls, { kind: "town_hall" })));
  }

  async close() {
    const room = roomHere(this.#feed);
    if (!room) return;
    const words = t(room.kind === "town_hall" ? "call.close_hall_ask" : "call.close_break_out_ask", { name: titleOf(room, this.#feed.rows) });
    if (room.kind === "town_hall" && !(await this.#confirm(words, t("call.close_hall")))) return;
    this.#voice?.end();
    await this.#do(() => ask("DELETE", `${calls}/${room.id}`));
  }

  /** A call somebody left open, ended from outside its window. */
  async closeFromHere(room) {
    if (!(await this.#confirm(t("call.end_ask", { name: titleOf(room, this.#feed.rows) }), t("call.end")))) return;
    await this.#do(() => ask("DELETE", `${calls}/${room.id}`));
  }

  get #hallRoom() {
    return [...this.#feed.rooms.values()].find((room) => room.kind === "town_hall" && !isOver(room) && room.state !== "failed");
  }

  /** A window of its own for each call, found again by its name; where windows are blocked there is a link. */
  #open(room) {
    const address = `${calls}/${room.id}`;
    const opened = window.open(address, `invigilo-call-${room.id}`);
    if (opened) return this.#tell("");
    this.#tell(t("call.window_blocked"), { href: address, text: t("call.open_window") });
  }

  async #do(deed) {
    this.#tell(t("call.moment"));
    try {
      await deed();
      if (this.#outcome.text === t("call.moment")) this.#tell("");
    } catch (error) {
      this.#tell(error.message);
    }
  }

  #confirm(words, yes) {
    const dialog = make(
      "dialog",
      { className: "ask", "aria-label": words },
      make("p", {}, words),
      make(
        "form",
        { method: "dialog", className: "row-of-buttons" },
        make("button", { value: "yes", className: "main" }, yes),
        make("button", { value: "no", className: "quiet" }, t("call.cancel")),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
    return new Promise((done) => {
      dialog.addEventListener("close", () => {
        dialog.remove();
        done(dialog.returnValue === "yes");
      });
    });
  }

  // --- what is shown ---

  show() {
    const { exam } = this.#feed;
    const here = roomHere(this.#feed);
    for (const [wish, need] of Object.entries(NEEDS)) this.#offer(wish, need, exam, here);
    const close = this.#button("close");
    if (close) {
      close.hidden = !here || here.kind === COLLECTING || isOver(here);
      if (here) say(close.querySelector("span"), t(here.kind === "town_hall" ? "call.close_hall" : "call.close_break_out"));
    }
    const hall = this.#button("town_hall");
    if (hall) {
      say(hall.querySelector("span"), t(this.#hallRoom ? "call.enter_hall" : "call.town_hall"));
      if (here?.kind === "town_hall") hall.hidden = true;
    }
    for (const kind of ["audio", "video", "chat"]) {
      const button = this.#button(kind);
      if (!button) continue;
      const isOn = this.#voice?.wish[kind] ?? false;
      set(button, "aria-pressed", String(isOn));
      set(button, "aria-busy", this.#voice?.isAsking ? "true" : null);
      say(button.querySelector("span"), t(`call.${kind}.${isOn ? "off" : here?.kind === "break_out" ? "on_alone" : here?.kind === "town_hall" ? "on_all" : "on"}`));
    }
    this.#showOwn();
    this.#showState();
    this.#showOthers(here);
  }

  /** What is on can always be switched off. */
  #offer(wish, need, exam, here) {
    const button = this.#button(wish);
    if (!button) return;
    const can = exam?.can?.includes(need) ?? false;
    const reason = exam?.cannot?.[need]?.[document.documentElement.lang] ?? "";
    const isOn = this.#voice?.wish[wish] ?? false;
    button.hidden = !isOn && (!exam || (!can && !reason));
    const isShut = !OF_ANY_PAGE.has(wish) && (!here || here.state !== "open");
    const why = isOn ? "" : !can ? reason : isShut ? t("call.room_not_open") : this.#opensCall(wish) ? this.whyNoCall : this.#whyNot(wish);
    set(button, "aria-disabled", why ? "true" : null);
    button.dataset.reason = why;
    set(button, "title", why || (this.#opensCall(wish) && this.hostWords) || null);
  }

  /** Whether pressing this opens a call, rather than entering one that is there. */
  #opensCall(wish) {
    if (wish === "town_hall") return !this.#hallRoom;
    return wish === "talk" && this.#feed.rows.get(page.connectionId)?.called?.kind !== "break_out";
  }

  #button(wish) {
    return this.#root.querySelector(`[data-call="${wish}"]`);
  }

  #count(count) {
    const place = this.#root.querySelector("[data-message-count]");
    if (!place) return;
    say(place, count ? String(count) : "");
    place.hidden = count === 0;
  }

  #tell(text, link = null) {
    this.#outcome = { text, link };
    this.#showState();
  }

  #showOwn() {
    const own = this.#root.querySelector("[data-call-own]");
    if (!own) return;
    const track = this.#voice?.picture ?? null;
    const shown = own.srcObject?.getTracks()[0] ?? null;
    own.hidden = track === null;
    if (shown === track) return;
    own.srcObject = track ? new MediaStream([track]) : null;
    if (track) own.play().catch(() => {});
  }

  #showState() {
    const place = this.#root.querySelector("[data-call-state]");
    const voice = this.#voice;
    const problem = this.#outcome.text || voice?.problem || "";
    const isLive = Boolean(voice?.isOn);
    place.dataset.tone = problem ? "warning" : isLive ? "live" : "none";
    const text = problem || (voice?.isAsking ? t(page.meetingFrame ? "call.asking_meeting" : "call.asking") : isLive ? this.#liveWords(voice) : "");
    const link = problem ? this.#outcome.link : null;
    const mark = `${text} ${link?.href ?? ""}`;
    if (place.dataset.mark === mark) return;
    place.dataset.mark = mark;
    place.replaceChildren(text, ...(link ? [" ", make("a", { href: link.href, target: "_blank", rel: "noopener" }, link.text)] : []));
  }

  #liveWords({ wish }) {
    const here = roomHere(this.#feed);
    const name = here ? titleOf(here, this.#feed.rows) : "";
    if (!wish.audio && !wish.video) return t("call.live.chat", { room: name });
    const heard = this.#heardBy?.();
    const count = heard ? ` ${t("call.heard_by", heard)}` : "";
    return `${t(wish.video ? "call.live.video" : "call.live.audio", { room: name })}${count}`;
  }

  /** What other proctors broadcast, anywhere in this exam, and the calls that are open. */
  #showOthers(here) {
    const list = this.#root.querySelector("[data-call-others]");
    const lines = [];
    for (const room of this.#feed.rooms.values()) {
      if (isOver(room)) continue;
      const isCall = room.kind !== COLLECTING;
      const others = (room.holds ?? []).filter((one) => one.peer !== this.#feed.me?.peer);
      for (const one of others) lines.push({ room, text: this.#holdWords(one, room), isLive: true });
      if (isCall && room.id !== here?.id && others.length === 0) {
        lines.push({ room, text: t(room.state === "failed" ? "call.failed" : "call.open_call", { room: titleOf(room, this.#feed.rows), name: room.opened_by ?? "" }), isLive: false });
      }
    }
    const mark = JSON.stringify(lines.map(({ room, text }) => [room.id, text, room.state]));
    if (mark === this.#othersMark) return;
    this.#othersMark = mark;
    list.replaceChildren(...(lines.length ? lines.map((line) => this.#line(line, here)) : [make("li", {}, t("call.nobody"))]));
  }

  #holdWords({ by, audio, video, since }, room) {
    const key = video ? "video" : audio ? "audio" : "chat";
    return t(`call.other.${key}`, { name: by, room: titleOf(room, this.#feed.rows), time: timeOfDay(since).slice(0, 5) });
  }

  #line({ room, text, isLive }, here) {
    const item = make("li", { className: "call-other", "data-live": isLive ? "yes" : null }, icon(isLive ? "mic" : "talk"), make("span", {}, text));
    if (room.id !== here?.id) item.append(make("a", { href: addressOf(room), target: `invigilo-call-${room.id}` }, t("call.enter")));
    if (room.kind !== COLLECTING && room.id !== here?.id) {
      const end = make("button", { type: "button", className: "quiet" }, t("call.end"));
      end.addEventListener("click", () => this.closeFromHere(room));
      item.append(end);
    }
    return item;
  }
}

/** How many of a room get this page's voice: connected to it, and allowed by the server to hear. */
export function heardIn(feed, watches) {
  return () => {
    const here = roomHere(feed);
    const members = [...feed.rows.values()].filter((row) => here && placeOf(row) === here.id && row.seb !== "closed");
    return { n: members.filter((row) => row.hears?.audio && watches.isConnected(row.id)).length, all: members.length };
  };
}
