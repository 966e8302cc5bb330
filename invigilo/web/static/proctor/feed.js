// The exam's live stream: one WebSocket, the whole state first, then changes. Keeps itself alive and says when it is not.

import { make, page, say, t, timeOfDay } from "./page.js";

const STALE_AFTER = 4_000; // ms without any message; the server sends at least one every 2 s
const RETRY = [300, 700, 1_500, 3_000, 5_000];
const PING_EVERY = 20_000;
const CLOCK_HOLDS = 30_000; // ms in which only a message that came quicker sets the clock

export class Feed extends EventTarget {
  constructor() {
    super();
    this.rows = new Map();
    this.rooms = new Map();
    this.exam = null;
    this.me = null;
    this.iceServers = [];
    this.offset = 0; // the server's clock minus ours
    this.offsetAt = -Infinity;
    this.heardAt = 0;
    this.heardTime = null;
    this.state = "connecting";
    this.tries = 0;
    this.isOver = false;
    this.storageTroubleSince = null;
    this.everLive = false;
    this.view = new FeedView(this);
    setInterval(() => this.watchOver(), 500);
    setInterval(() => this.send({ t: "ping", n: Date.now() }), PING_EVERY);
    addEventListener("online", () => this.connectNow());
    addEventListener("pageshow", (event) => event.persisted && this.connectNow());
    document.addEventListener("visibilitychange", () => !document.hidden && this.state !== "live" && this.connectNow());
  }

  now() {
    return Date.now() + this.offset;
  }

  start() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${page.socket}`);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.openedAt = performance.now();
    socket.onmessage = (event) => socket === this.socket && this.take(event.data);
    socket.onclose = (event) => socket === this.socket && this.closed(event.code);
  }

  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  take(data) {
    this.heardAt = performance.now();
    if (typeof data !== "string") {
      const id = new DataView(data).getUint32(0);
      this.emit("still", { id, jpeg: new Uint8Array(data, 4) });
      return;
    }
    const message = JSON.parse(data);
    if (message.now) {
      this.setClock(message.now - Date.now());
      this.heardTime = Date.now();
    }
    switch (message.t) {
      case "snapshot":
        this.rows = new Map(message.rows.map((row) => [row.id, row]));
        this.rooms = new Map(message.rooms.map((room) => [room.id, room]));
        this.exam = message.exam;
        this.iceServers = message.ice_servers ?? [];
        this.me = message.me;
        this.tries = 0;
        this.storageTroubleSince = message.storage_trouble_since;
        this.become("live");
        this.emit("snapshot");
        this.emit("change", { rows: [...this.rows.keys()], rooms: true });
        break;
      case "changes":
        this.apply(message);
        break;
      default:
        this.emit(message.t, message);
    }
    if (this.state !== "live" && this.exam) this.become("live");
  }

  /** A message that came late would set the clock back, and with it the moment of an incident. */
  setClock(offset) {
    const now = performance.now();
    if (offset < this.offset && now - this.offsetAt < CLOCK_HOLDS) return;
    this.offset = offset;
    this.offsetAt = now;
  }

  apply(message) {
    for (const row of message.rows) this.rows.set(row.id, row);
    for (const id of message.gone) this.rows.delete(id);
    for (const room of message.rooms) this.rooms.set(room.id, room);
    for (const id of message.gone_rooms) this.rooms.delete(id);
    if (message.exam) {
      this.exam = message.exam;
      this.emit("exam");
    }
    for (const [id, at] of message.pings) {
      const row = this.rows.get(id);
      if (row) row.last_ping = at;
    }
    if (message.storage_trouble_since !== this.storageTroubleSince) {
      this.storageTroubleSince = message.storage_trouble_since;
      this.view.show();
    }
    const ids = [...message.rows.map((row) => row.id), ...message.gone];
    const rooms = message.rooms.length + message.gone_rooms.length > 0;
    if (message.exam) this.emit("exam");
    if (ids.length || rooms) this.emit("change", { rows: ids, rooms });
  }

  closed(code) {
    this.socket = null;
    this.emit("closed");
    if (code === 4401 || code === 4403 || code === 4003) {
      this.isOver = true;
      this.become(code === 4401 || code === 4003 ? "signed_out" : "not_yours");
      return;
    }
    this.become("broken");
    const wait = RETRY[Math.min(this.tries++, RETRY.length - 1)];
    this.retry = setTimeout(() => this.start(), wait + Math.random() * 200);
  }

  connectNow() {
    if (this.isOver || this.socket) return;
    clearTimeout(this.retry);
    this.start();
  }

  /** A socket can be dead without knowing it: silence is what counts. */
  watchOver() {
    this.view.tick();
    if (this.isOver || !this.socket) return;
    const quiet = performance.now() - Math.max(this.heardAt, this.openedAt);
    if (quiet < STALE_AFTER) return;
    this.become("broken");
    if (quiet > STALE_AFTER + 2_000) {
      const dead = this.socket;
      this.socket = null;
      dead.onclose = null;
      dead.close();
      this.closed(1006);
    }
  }

  become(state) {
    if (state === this.state && state !== "live") return;
    const before = this.state;
    this.state = state;
    if (state === "live") this.everLive = true;
    if (before !== state) {
      this.view.show();
      this.emit("state", { state });
    }
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  on(type, handler) {
    this.addEventListener(type, (event) => handler(event.detail));
    return this;
  }
}

/** The badge in the top bar and the banner under it. */
class FeedView {
  constructor(feed) {
    this.feed = feed;
    this.badge = document.querySelector("[data-feed-state]");
    this.word = document.querySelector("[data-feed-word]");
    this.clock = document.querySelector("[data-clock]");
    this.banner = document.querySelector("[data-banner]");
  }

  tick() {
    say(this.clock, timeOfDay(this.feed.now()));
  }

  show() {
    const { state } = this.feed;
    const isBroken = state !== "live" && !(state === "connecting" || (state === "broken" && !this.feed.everLive && this.feed.tries < 2));
    this.badge.dataset.feedState = isBroken ? "broken" : state === "live" ? "live" : "connecting";
    say(this.word, t(isBroken ? "feed.broken" : state === "live" ? "feed.live" : "feed.connecting"));
    document.body.classList.toggle("is-stale", isBroken);
    const said = this.sentence(state, isBroken);
    this.banner.hidden = said === null;
    if (said) this.banner.replaceChildren(...said);
  }

  sentence(state, isBroken) {
    if (state === "signed_out") {
      const back = `/login?next=${encodeURIComponent(location.pathname)}`;
      return [t("feed.sign_in"), make("a", { className: "button", href: back }, t("feed.sign_in_action"))];
    }
    if (state === "not_yours") return [t("feed.not_yours")];
    if (isBroken) {
      const time = this.feed.heardTime ? timeOfDay(this.feed.heardTime + this.feed.offset) : "–";
      return [t("feed.stale", { time }), make("span", {}, t("feed.retry"))];
    }
    if (this.feed.storageTroubleSince) {
      const time = timeOfDay(this.feed.storageTroubleSince);
      return [t("feed.storage", { time }), make("span", {}, t("feed.storage_next"))];
    }
    return null;
  }
}
