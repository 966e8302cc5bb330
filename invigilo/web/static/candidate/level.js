// The microphone's level, so a candidate sees that it hears.

import { t } from "./texts.js";

const EVERY = 80; // ms
const QUIET = -60; // dB shown as nothing
const HEARD = 12; // of 100; more than a silent room

export class Level {
  #root;
  #fill;
  #bar;
  #context = null;
  #analyser = null;
  #source = null;
  #track = null;
  #samples = new Float32Array(1024);
  #shown = 0;
  #drawnAt = 0;
  #heard = false;

  constructor(root) {
    this.#root = root;
    this.#fill = root.querySelector("[data-level-fill]");
    this.#bar = root.querySelector("[data-level-bar]");
    // Some engines let sound be measured only after the first click or key.
    for (const act of ["pointerdown", "keydown"]) window.addEventListener(act, () => this.#resume());
    const draw = (now) => {
      if (now - this.#drawnAt >= EVERY) this.#draw(now);
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
  }

  use(track) {
    const live = track && track.readyState === "live" ? track : null;
    if (live === this.#track) return;
    this.#track = live;
    this.#heard = false;
    if (this.#source) this.#source.disconnect();
    this.#source = null;
    if (live) this.#listen(live);
    this.#say();
  }

  #listen(track) {
    const Context = window.AudioContext || window.webkitAudioContext;
    if (!Context) return;
    if (!this.#context) {
      this.#context = new Context();
      this.#context.onstatechange = () => this.#say();
      this.#analyser = this.#context.createAnalyser();
      this.#analyser.fftSize = this.#samples.length;
    }
    this.#source = this.#context.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(this.#analyser);
    this.#resume();
  }

  #resume() {
    if (this.#context && this.#context.state !== "running") this.#context.resume().catch(() => {});
  }

  #draw(now) {
    this.#drawnAt = now;
    const level = this.#isMeasuring ? this.#measure() : 0;
    this.#shown = Math.max(level, this.#shown * 0.8 - 1, 0);
    this.#fill.style.transform = `scaleX(${(this.#shown / 100).toFixed(3)})`;
    if (this.#shown > HEARD && !this.#heard) {
      this.#heard = true;
      this.#say();
    }
    const value = String(Math.round(this.#shown / 10) * 10);
    if (this.#bar.getAttribute("aria-valuenow") !== value) this.#bar.setAttribute("aria-valuenow", value);
  }

  get #isMeasuring() {
    return this.#source !== null && this.#context.state === "running";
  }

  /** 0 to 100, over the decibels a voice has. */
  #measure() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let sum = 0;
    for (const sample of this.#samples) sum += sample * sample;
    const decibels = 10 * Math.log10(sum / this.#samples.length + 1e-12);
    return Math.min(100, Math.max(0, ((decibels - QUIET) / -QUIET) * 130));
  }

  #say() {
    const shows = !this.#track ? "off" : !this.#isMeasuring ? "click" : this.#heard ? "heard" : "speak";
    if (this.#root.dataset.shows === shows) return;
    this.#root.dataset.shows = shows;
    this.#root.querySelector("[data-level-words]").textContent = t(`candidate.level.${shows}`);
  }
}
