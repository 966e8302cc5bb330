// Stills: one small JPEG a second, taken from the camera's track, so it works behind the exam's window too.

import { after, every } from "./timer.js";

const WIDTH = 320;
const HEIGHT = 240;
const LARGEST = 47 * 1024;
const QUALITIES = [0.6, 0.45, 0.3, 0.15];
const GRAB_WITHIN = 900; // ms; some engines never answer when a camera gives no frames

export class Stills {
  #devices;
  #video;
  #socket;
  #interval = 1000;
  #canvas = document.createElement("canvas");
  #isBusy = false;
  #capture = null; // {track, grabber}
  #grabFailures = 0;

  constructor(devices, video, socket) {
    this.#devices = devices;
    this.#video = video;
    this.#socket = socket;
    every(() => this.#interval, () => this.#take());
  }

  setInterval(milliseconds) {
    this.#interval = Math.max(500, milliseconds || 1000);
  }

  async #take() {
    if (this.#isBusy || !this.#socket.hasRoomForStill || this.#devices.sending("camera") !== "live") return;
    this.#isBusy = true;
    try {
      if (await this.#draw(this.#devices.tracks.camera)) {
        const jpeg = await this.#encode();
        if (jpeg) this.#socket.sendStill(jpeg);
      }
    } finally {
      this.#isBusy = false;
    }
  }

  /** The frame onto the canvas, as large as fits; false when there is none. */
  async #draw(track) {
    const frame = await this.#grab(track);
    const source = frame || this.#video;
    const width = frame ? frame.width : this.#video.videoWidth;
    const height = frame ? frame.height : this.#video.videoHeight;
    if (!width || !height) return false;
    const scale = Math.min(1, WIDTH / width, HEIGHT / height);
    this.#canvas.width = Math.max(1, Math.round(width * scale));
    this.#canvas.height = Math.max(1, Math.round(height * scale));
    this.#canvas.getContext("2d").drawImage(source, 0, 0, this.#canvas.width, this.#canvas.height);
    if (frame) frame.close();
    return true;
  }

  /** From the track itself where the engine can; a hidden video element may stand still. */
  async #grab(track) {
    if (!("ImageCapture" in window) || !ImageCapture.prototype.grabFrame || this.#grabFailures >= 3) return null;
    if (!this.#capture || this.#capture.track !== track) {
      this.#capture = { track, grabber: new ImageCapture(track) };
    }
    try {
      const frame = await within(GRAB_WITHIN, this.#capture.grabber.grabFrame());
      this.#grabFailures = 0;
      return frame;
    } catch {
      this.#grabFailures += 1;
      this.#capture = null;
      return null;
    }
  }

  async #encode() {
    for (const quality of QUALITIES) {
      const blob = await new Promise((done) => this.#canvas.toBlob(done, "image/jpeg", quality));
      if (blob && blob.size <= LARGEST) return blob;
    }
    return null;
  }
}

function within(milliseconds, promise) {
  return new Promise((done, fail) => {
    const cancel = after(milliseconds, () => fail(new Error("took too long")));
    promise.then(done, fail).finally(cancel);
  });
}
