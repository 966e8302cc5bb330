// The enlarged tile goes round by itself, if one wishes: it rests while the pointer or the focus is on the wall.

import { set } from "./page.js";

export class Rotation {
  /** `next()` enlarges the next tile; `isHeld()` says that somebody is busy with the wall. */
  constructor({ button, every, next, isHeld }) {
    this.button = button;
    this.every = every;
    this.next = next;
    this.isHeld = isHeld;
    this.isOn = false;
    this.turnedAt = 0;
    button.addEventListener("click", () => this.toggle());
    setInterval(() => this.tick(), 500);
  }

  toggle() {
    this.isOn = !this.isOn;
    set(this.button, "aria-pressed", String(this.isOn));
    if (this.isOn) this.turn();
  }

  turn() {
    this.turnedAt = performance.now();
    this.next();
  }

  tick() {
    if (!this.isOn || document.hidden || this.isHeld()) return;
    if (performance.now() - this.turnedAt >= Number(this.every.value) * 1_000) this.turn();
  }
}
