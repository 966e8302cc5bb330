// A meeting at Zoom: its SDK runs in a frame page of ours, which alone may load it; this is the frame's owner.
//
// The SDK wants more of a page than any other of ours may have (eval, styles, workers), so it gets a page of its own. The
// ticket goes there by message, never by address, and what happens there comes back the same way.

const READY_WITHIN = 15_000; // ms until the frame page says that it is there
const JOIN_WITHIN = 60_000; // the SDK loads some ten megabytes first
const PRESSED_WITHIN = 20_000; // for what only a press in Zoom's own bar does
const ALLOW = "camera; microphone; display-capture; autoplay; fullscreen; cross-origin-isolated";

/** From the SDK's own number of an error to ours (zoom.md §7.4). */
export function stateOfCode(code) {
  switch (code) {
    case 3008:
      return "no_host";
    case 4005:
      return "full";
    case 3009:
      return "kicked";
    case 4006:
      return "locked";
    case 10000:
      return "outdated";
    case 3001: case 3610: case 3000: case 3005: case 3711: case 4004: case 4009: case 3621: case 1: case 200:
      return "unreachable";
    default:
      return "refused";
  }
}

export class ZoomMeeting {
  state = "joining";
  participants = new Map();
  isModerator = false;
  code = 0;
  isIsolated = null;

  #ticket;
  #parent;
  #wishes;
  #heard;
  #frame = null;
  #timer = 0;
  #own = { audio: false, video: false };
  #waiting = new Set(); // `{look, end}` of each `send` whose device is not on yet
  #listen = (event) => this.#take(event);

  constructor(ticket, parent, wishes, heard) {
    this.#ticket = ticket;
    this.#parent = parent;
    this.#wishes = wishes;
    this.#heard = heard;
  }

  get isOver() {
    return this.state !== "joining" && this.state !== "joined";
  }

  start() {
    const frame = document.createElement("iframe");
    frame.src = this.#wishes.frame;
    frame.title = this.#wishes.title;
    frame.allow = ALLOW;
    this.#frame = frame;
    addEventListener("message", this.#listen);
    this.#timer = setTimeout(() => this.#end("script_failed", "frame"), READY_WITHIN);
    this.#parent.replaceChildren(frame);
  }

  #take({ source, origin, data }) {
    if (origin !== location.origin || source !== this.#frame?.contentWindow || this.isOver) return;
    switch (data?.t) {
      case "ready":
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.state === "joining" && this.#end("unreachable", "no answer"), JOIN_WITHIN);
        return this.#tell({ t: "enter", ticket: this.#ticket, wishes: this.#plainWishes() });
      case "joined":
        clearTimeout(this.#timer);
        this.isModerator = data.host === true;
        this.isIsolated = data.isolated === true;
        return this.#become("joined", "");
      case "own":
        this.#own[data.media] = data.on === true;
        for (const one of this.#waiting) one.look();
        return this.#heard.own?.(data.media, data.on === true);
      case "stage":
        return this.#heard.stage?.(data.shown === true);
      case "people":
        this.participants = new Map(data.people.map((one) => [one.id, one]));
        return this.#heard.change?.();
      case "failed":
        this.code = Number.isInteger(data.code) ? data.code : 0;
        return this.#end(data.state ?? stateOfCode(this.code), data.detail ?? String(this.code || ""));
    }
  }

  #plainWishes() {
    const { role, language, audio, video, alone } = this.#wishes;
    return { role, language, audio: Boolean(audio), video: Boolean(video), alone: Boolean(alone) };
  }

  #tell(message) {
    this.#frame?.contentWindow?.postMessage(message, location.origin);
  }

  #command(name, more = {}) {
    if (this.state !== "joined") return false;
    this.#tell({ t: name, ...more });
    return true;
  }

  /** What a candidate may receive has changed: a join takes Zoom ten seconds, so the meeting is kept. */
  receive({ audio, video, alone }) {
    this.#wishes = { ...this.#wishes, audio, video, alone };
    if (!this.isOver) this.#tell({ t: "receive", audio: Boolean(audio), video: Boolean(video), alone: Boolean(alone) });
  }

  /**
   * Our own microphone or camera. On is what Zoom says is on: the microphone once sound is joined, the camera by its own button
   * alone, so either may take a press in there. Raises an error named `ByHandError` when none comes.
   */
  async send(media, isOn) {
    if (!this.#command("send", { media, on: isOn }) || !isOn || this.#own[media]) return;
    let timer = 0;
    let mine = null;
    const pressed = new Promise((done, failed) => {
      const end = () => failed(Object.assign(new Error("nobody pressed"), { name: "ByHandError" }));
      mine = { look: () => this.#own[media] && done(), end };
      timer = setTimeout(end, PRESSED_WITHIN);
    });
    this.#waiting.add(mine);
    await pressed.finally(() => {
      clearTimeout(timer);
      this.#waiting.delete(mine);
    });
  }

  muteAll() {
    return this.isModerator && this.#command("muteAll");
  }

  mute(id) {
    return this.isModerator && this.#command("mute", { id });
  }

  remove(id) {
    return this.isModerator && this.#command("remove", { id });
  }

  /** Zoom's own window enlarges a tile by a click; there is no call for it. */
  pin() {
    return false;
  }

  tiles() {
    return this.#command("tiles");
  }

  say() {
    return false;
  }

  leave() {
    if (!this.isOver) this.state = "left";
    this.#dispose();
  }

  #end(state, detail) {
    if (this.isOver) return;
    const wasIn = this.state === "joined";
    this.#dispose();
    this.#become(wasIn && state === "unreachable" ? "lost" : state, detail);
  }

  #dispose() {
    clearTimeout(this.#timer);
    removeEventListener("message", this.#listen);
    for (const one of this.#waiting) one.end();
    this.participants.clear();
    this.isModerator = false;
    const frame = this.#frame;
    this.#frame = null;
    frame?.contentWindow?.postMessage({ t: "leave" }, location.origin);
    // The frame gets a moment to say goodbye to Zoom; unloading it would do so too, only later.
    if (frame) setTimeout(() => frame.remove(), 300);
  }

  #become(state, detail) {
    this.state = state;
    this.#heard.state?.(state, detail);
  }
}
