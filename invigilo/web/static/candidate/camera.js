// Camera and microphone: gets them, names why not, and gets them again when they come back.

import { after, every } from "./timer.js";

const KINDS = ["camera", "microphone"];
const TRACK_KIND = { camera: "video", microphone: "audio" };
const TRY_AGAIN_EVERY = 10_000;
const SETTLE = 600; // ms a device list needs to settle after plugging
const MUTED_TOO_LONG = 3000; // ms after waking

const WISH = {
  camera: { width: { ideal: 320 }, height: { ideal: 240 }, frameRate: { ideal: 12, max: 15 }, facingMode: "user" },
  microphone: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
};

/** Failures that may pass by themselves; asking again after a refusal would only annoy. */
const MAY_PASS = new Set(["no_device", "in_use", "failed"]);

export class Devices {
  tracks = { camera: null, microphone: null };
  results = { camera: "pending", microphone: "pending" };
  details = { camera: "", microphone: "" };
  /** One stream for all connections, so picture and sound stay together. Its tracks change. */
  stream = new MediaStream();
  onChange = () => {};

  #wanted = false;
  #running = null;

  constructor() {
    const media = navigator.mediaDevices;
    if (media && media.addEventListener) {
      media.addEventListener("devicechange", () => after(SETTLE, () => this.#tryMissing()));
    }
    every(() => TRY_AGAIN_EVERY, () => this.#tryMissing());
  }

  /** Gets what is missing. Also what was refused: call it on load and when the candidate asks. */
  start() {
    this.#wanted = true;
    return this.#get(KINDS.filter((kind) => !this.#isLive(kind)));
  }

  stop() {
    this.#wanted = false;
    for (const kind of KINDS) {
      this.#drop(kind);
      this.results[kind] = "pending";
    }
    this.onChange();
  }

  /** What is being sent of one device: `live`, `muted`, `ended` or `off`. */
  sending(kind) {
    const track = this.tracks[kind];
    if (!track) return "off";
    if (track.readyState === "ended") return "ended";
    return track.muted ? "muted" : "live";
  }

  /** After sleep some systems leave a track mute for ever: get a new one. */
  wake() {
    this.#tryMissing();
    after(MUTED_TOO_LONG, () => {
      if (!this.#wanted || document.visibilityState !== "visible") return;
      const mute = KINDS.filter((kind) => this.sending(kind) === "muted");
      mute.forEach((kind) => this.#drop(kind));
      if (mute.length) this.#get(mute);
    });
  }

  #isLive(kind) {
    return this.tracks[kind] !== null && this.tracks[kind].readyState === "live";
  }

  #tryMissing() {
    if (!this.#wanted) return;
    const missing = KINDS.filter(
      (kind) => !this.#isLive(kind) && (MAY_PASS.has(this.results[kind]) || this.tracks[kind] !== null),
    );
    if (missing.length) this.#get(missing);
  }

  /** One request after the other: two at once confuse some engines. */
  #get(kinds) {
    if (!kinds.length) return Promise.resolve();
    const turn = (this.#running || Promise.resolve()).then(() => this.#request(kinds));
    this.#running = turn;
    return turn;
  }

  async #request(asked) {
    const kinds = asked.filter((kind) => !this.#isLive(kind));
    if (!this.#wanted || !kinds.length) return;
    if (!window.isSecureContext || !navigator.mediaDevices || !navigator.mediaDevices.getUserMedia) {
      const detail = window.isSecureContext ? "no media devices" : "insecure address";
      kinds.forEach((kind) => this.#fail(kind, "denied_by_settings", detail));
      return;
    }
    // Together first: one question to the candidate, and iOS wants both from one request. Then each for itself, because
    // one missing device makes the whole request fail.
    if (kinds.length > 1 && (await this.#ask(kinds)) === null) return;
    for (const kind of kinds) {
      if (this.#isLive(kind)) continue;
      const error = await this.#ask([kind]);
      if (error) this.#fail(kind, nameOf(error), `${error.name}: ${error.message}`);
    }
  }

  /** Null when all came, else the error. */
  async #ask(kinds) {
    const wish = {};
    for (const kind of kinds) wish[TRACK_KIND[kind]] = WISH[kind];
    try {
      const got = await navigator.mediaDevices.getUserMedia(wish);
      if (this.#wanted) got.getTracks().forEach((track) => this.#adopt(track));
      else got.getTracks().forEach((track) => track.stop());
      return null;
    } catch (error) {
      return error;
    }
  }

  #adopt(track) {
    const kind = track.kind === "video" ? "camera" : "microphone";
    this.#drop(kind);
    this.tracks[kind] = track;
    this.stream.addTrack(track);
    this.results[kind] = "ok";
    this.details[kind] = "";
    track.onended = () => {
      this.onChange();
      after(SETTLE, () => this.#tryMissing());
    };
    track.onmute = track.onunmute = () => this.onChange();
    this.onChange();
  }

  #fail(kind, result, detail) {
    this.results[kind] = result;
    this.details[kind] = detail;
    this.onChange();
  }

  #drop(kind) {
    const track = this.tracks[kind];
    if (!track) return;
    track.onended = track.onmute = track.onunmute = null;
    track.stop();
    this.stream.removeTrack(track);
    this.tracks[kind] = null;
  }
}

/** From the browser's error to the protocol's failure code. */
export function nameOf(error) {
  switch (error.name) {
    case "NotAllowedError":
    case "PermissionDeniedError":
      return whoRefused(error.message || "");
    case "SecurityError":
      return "denied_by_settings";
    case "NotFoundError":
    case "DevicesNotFoundError":
    case "OverconstrainedError":
      return "no_device";
    case "NotReadableError":
    case "TrackStartError":
    case "AbortError":
      return "in_use";
    default:
      return "failed";
  }
}

/** Engines tell the refusals apart only in words. SEB asks nobody: what it refuses without naming the system, its settings do. */
function whoRefused(words) {
  if (/system/i.test(words)) return "denied_by_system";
  return isSeb() || /policy|disallowed|not allowed in this document/i.test(words)
    ? "denied_by_settings"
    : "denied_by_system";
}

export function isSeb() {
  return "SafeExamBrowser" in window || /\bSEB\/|SafeExamBrowser/.test(navigator.userAgent);
}
