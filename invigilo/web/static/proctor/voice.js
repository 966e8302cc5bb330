// The proctor's own microphone and camera, and the broadcast this page holds with them.
//
// A hold is a lease: it is said again every few seconds while it lasts, so a page that dies goes quiet by itself. It begins with
// a click and never by itself: a page that was reloaded is silent.

import { t } from "./page.js";

const RENEW_EVERY = 3_000;
const CAMERA = { width: { ideal: 320 }, height: { ideal: 240 }, frameRate: { ideal: 12, max: 12 } };
const REFUSALS = new Set(["feature_off", "service_cannot", "room_not_open", "no_such_room"]);
const MICROPHONE = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** By how many are sent to; one camera is encoded once for each of them. */
const VIDEO_LIMITS = [
  { upTo: 4, maxBitrate: 200_000, maxFramerate: 12, scaleResolutionDownBy: 1 },
  { upTo: 12, maxBitrate: 100_000, maxFramerate: 10, scaleResolutionDownBy: 1.5 },
  { upTo: 30, maxBitrate: 60_000, maxFramerate: 8, scaleResolutionDownBy: 2 },
  { upTo: Infinity, maxBitrate: 40_000, maxFramerate: 5, scaleResolutionDownBy: 2 },
];

export function videoLimits(receivers) {
  const { upTo, ...limits } = VIDEO_LIMITS.find((one) => receivers <= one.upTo);
  return limits;
}

/** In built-in rooms: this page's own devices, sent to whoever is in the room now. */
export class OwnDevices {
  #watches;
  #tracks = { audio: null, video: null };
  #receivers;
  onEnded = () => {};

  /** `receivers()`: the ids of those in the room the broadcast goes to. */
  constructor(watches, receivers) {
    this.#watches = watches;
    this.#receivers = receivers;
  }

  get picture() {
    return this.#tracks.video;
  }

  /** Raises a DOMException when a device cannot be had; what was on stays on then. */
  async use({ audio, video }) {
    await this.#want("audio", audio);
    await this.#want("video", video);
    this.send();
  }

  async #want(kind, isOn) {
    if (!isOn) {
      this.#tracks[kind]?.stop();
      this.#tracks[kind] = null;
      return;
    }
    if (this.#tracks[kind]?.readyState === "live") return;
    const stream = await navigator.mediaDevices.getUserMedia({ [kind]: kind === "audio" ? MICROPHONE : CAMERA });
    const [track] = kind === "audio" ? stream.getAudioTracks() : stream.getVideoTracks();
    track.onended = () => this.onEnded(kind);
    this.#tracks[kind] = track;
  }

  /** Also after somebody came into the room or was called out of it. */
  send() {
    const ids = new Set(this.#receivers());
    const limits = videoLimits(ids.size);
    this.#watches.send((id) => (ids.has(id) ? { ...this.#tracks, limits } : { audio: null, video: null }));
  }

  stop() {
    for (const kind of ["audio", "video"]) {
      this.#tracks[kind]?.stop();
      this.#tracks[kind] = null;
    }
    this.send();
  }
}

export class Voice {
  wish = { audio: false, video: false, chat: false };
  isAsking = false;
  problem = "";
  #feed;
  #devices;
  #room;
  #turn = Promise.resolve();
  onChange = () => {};

  /** `room()`: the id of the room this page can broadcast to, or null. */
  constructor(feed, devices, room) {
    this.#feed = feed;
    this.#devices = devices;
    this.#room = room;
    devices.onEnded = (kind) => {
      this.problem = t("call.device_gone");
      this.set({ [kind]: false });
    };
    feed.on("error", (message) => this.#refused(message));
    feed.on("snapshot", () => this.isOn && this.#say());
    setInterval(() => this.isOn && this.#say(), RENEW_EVERY);
    addEventListener("pagehide", () => this.isOn && this.end());
  }

  /** Our own picture while it is sent from here. */
  get picture() {
    return this.#devices.picture ?? null;
  }

  get isOn() {
    return this.wish.audio || this.wish.video || this.wish.chat;
  }

  toggle(kind) {
    this.problem = "";
    return this.set({ [kind]: !this.wish[kind] });
  }

  /** One change after the other. Nothing is said to the server before the device is there: no room waits for a voice. */
  set(change) {
    this.#turn = this.#turn.then(() => this.#set(change)).catch(() => {});
    return this.#turn;
  }

  async #set(change) {
    const wish = { ...this.wish, ...change };
    if (change.video) wish.audio = true; // who is seen is heard
    this.isAsking = true;
    this.onChange();
    try {
      await this.#devices.use(wish);
      this.wish = wish;
    } catch (error) {
      this.problem = sentenceOf(error, change);
      await this.#devices.use(this.wish).catch(() => {});
    }
    this.isAsking = false;
    this.#say();
    this.onChange();
  }

  end() {
    this.wish = { audio: false, video: false, chat: false };
    this.#say();
    this.#devices.stop();
    this.onChange();
  }

  #say() {
    const room = this.#room();
    if (room !== null) this.#feed.send({ t: "hold", room, ...this.wish });
  }

  #refused({ code, message, room }) {
    if (room !== this.#room() || !this.isOn || !REFUSALS.has(code)) return;
    this.problem = message;
    if (code === "service_cannot" && this.wish.video) return this.#goOnWithoutPicture();
    this.wish = { audio: false, video: false, chat: false };
    this.#devices.stop();
    this.onChange();
  }

  /** Perhaps the picture alone is what the service lacks; if it is not, the next refusal ends everything. */
  #goOnWithoutPicture() {
    this.wish = { ...this.wish, video: false };
    this.#devices.use(this.wish).catch(() => {});
    this.#say();
    this.onChange();
  }
}

function sentenceOf(error, change) {
  const device = change.video ? "camera" : "microphone";
  const kind = { NotAllowedError: "refused", SecurityError: "refused", NotFoundError: "missing", OverconstrainedError: "missing", NotReadableError: "in_use", AbortError: "in_use", ByHandError: "by_hand" }[error?.name] ?? "failed";
  return t(`call.${device}.${kind}`);
}
