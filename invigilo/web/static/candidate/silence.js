// Whether the microphone gives any sound at all. A quiet room still hums; a headset switched off at its cable gives exact nothing.
// Measured where the sound leaves for a proctor, so it needs no click and goes on while the page is hidden.

import { every } from "./timer.js";

const LOOK_EVERY = 1000;
const LOOKS = 3; // in a row without any sound

export class Silence {
  isSilent = false;
  #peers;
  #onChange;
  #before = null;
  #looks = 0;

  constructor(peers, onChange) {
    this.#peers = peers;
    this.#onChange = onChange;
    every(() => LOOK_EVERY, () => this.#look());
  }

  async #look() {
    const now = await this.#peers.soundSent();
    const before = this.#before;
    this.#before = now;
    const canTell = now !== null && before !== null && now.source === before.source && now.seconds > before.seconds;
    if (!canTell) return this.#become(0); // nobody watches, or another track: nothing is claimed
    return this.#become(now.energy > before.energy ? 0 : this.#looks + 1);
  }

  #become(looks) {
    this.#looks = looks;
    const isSilent = looks >= LOOKS;
    if (isSilent === this.isSilent) return;
    this.isSilent = isSilent;
    this.#onChange();
  }
}
