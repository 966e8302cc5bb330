// What proctors let this candidate hear and see. Their tracks are there from the first connection on; they are played only
// while the server says that this candidate may receive them.

import { t } from "./texts.js";
import { every } from "./timer.js";

const FRESH = 3000; // ms a picture without a new frame still counts as one
const LOOK_EVERY = 1000;

export class Hearing {
  #voices = new Map(); // peer → Voice
  #allowed = { audio: false, video: false };
  #pictures;
  #blocked;
  /** Whether something of a proctor's is on the page now changed. */
  onChange = () => {};

  constructor(root) {
    this.#pictures = root.querySelector("[data-proctor-pictures]");
    this.#blocked = root.querySelector("[data-blocked]");
    this.#blocked.querySelector("button").addEventListener("click", () => this.#play());
    for (const act of ["pointerdown", "keydown"]) window.addEventListener(act, () => !this.#blocked.hidden && this.#play());
    every(() => LOOK_EVERY, () => this.#look());
  }

  allow({ audio, video }) {
    this.#allowed = { audio, video };
    for (const voice of this.#voices.values()) voice.allow(this.#allowed);
    this.#play();
    this.#look();
  }

  /** A proctor's page will send on this track, now or later. */
  take(peer, track) {
    let voice = this.#voices.get(peer);
    if (!voice) this.#voices.set(peer, (voice = new Voice(this.#pictures)));
    voice.take(track, this.#allowed);
    this.#play();
  }

  forget(peer) {
    this.#voices.get(peer)?.end();
    this.#voices.delete(peer);
    this.#look();
  }

  get hasPicture() {
    return [...this.#voices.values()].some((voice) => voice.hasPicture);
  }

  /** Some engines play sound only after a click or key: then there is something to click. */
  async #play() {
    const played = await Promise.all([...this.#voices.values()].map((voice) => voice.play()));
    const isBlocked = this.#allowed.audio && played.includes(false);
    if (this.#blocked.hidden === !isBlocked) return;
    this.#blocked.hidden = !isBlocked;
    this.onChange();
  }

  #look() {
    const before = this.#pictures.hidden;
    for (const voice of this.#voices.values()) voice.look();
    this.#pictures.hidden = !this.hasPicture;
    if (before !== this.#pictures.hidden) this.onChange();
  }
}

/** One proctor's page. */
class Voice {
  hasPicture = false;
  #audio = new Audio();
  #video;
  #tracks = {};
  #allowed = { audio: false, video: false };
  #frameAt = -Infinity;

  constructor(pictures) {
    this.#video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, disablePictureInPicture: true, hidden: true });
    this.#video.setAttribute("aria-label", t("candidate.proctor.picture"));
    pictures.append(this.#video);
  }

  take(track, allowed) {
    this.#tracks[track.kind] = track;
    this.#set(track.kind === "audio" ? this.#audio : this.#video, null);
    this.allow(allowed);
  }

  allow(allowed) {
    this.#allowed = allowed;
    this.#set(this.#audio, allowed.audio ? this.#tracks.audio : null);
    this.#set(this.#video, allowed.video ? this.#tracks.video : null);
    if (!allowed.video) this.#frameAt = -Infinity;
  }

  #set(element, track) {
    const before = element.srcObject?.getTracks()[0] ?? null;
    if (before === (track ?? null)) return;
    element.srcObject = track ? new MediaStream([track]) : null;
    if (track && element === this.#video) this.#waitForFrame();
  }

  #waitForFrame() {
    const stream = this.#video.srcObject;
    const shown = () => {
      if (this.#video.srcObject !== stream || !stream) return;
      this.#frameAt = performance.now();
      this.#video.requestVideoFrameCallback?.(shown);
    };
    if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(shown);
    else this.#video.addEventListener("timeupdate", () => (this.#frameAt = performance.now()));
  }

  /** False when the engine wants a click first. */
  async play() {
    if (this.#video.srcObject) this.#video.play().catch(() => {});
    if (!this.#audio.srcObject) return true;
    try {
      await this.#audio.play();
      return true;
    } catch (error) {
      return error.name !== "NotAllowedError" || !this.#audio.srcObject;
    }
  }

  /** A page that nobody sees gets no frames to show: then the last word counts. */
  look() {
    if (document.visibilityState === "visible" || !this.#video.srcObject) {
      this.hasPicture = this.#video.srcObject !== null && performance.now() - this.#frameAt < FRESH;
    }
    this.#video.hidden = !this.hasPicture;
  }

  end() {
    this.#set(this.#audio, null);
    this.#set(this.#video, null);
    this.#video.remove();
  }
}
