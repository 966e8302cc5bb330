// How loud it is at each candidate: a small meter with words, from the sound that arrives. Nothing is played for it.

import { icon, make, set, t } from "./page.js";

const STEPS = 5;
const SPOKEN = 0.02; // of 1; a voice at a desk is above, a quiet room below

/** 0 to 5, as the ear has it: by decibels. */
export function stepsOf(level) {
  if (!(level > 0)) return 0;
  const decibels = 20 * Math.log10(level);
  return Math.max(1, Math.min(STEPS, Math.ceil((decibels + 60) / 12)));
}

export class Meter {
  constructor() {
    this.bars = Array.from({ length: STEPS }, () => make("span", { className: "meter-bar" }));
    this.shape = icon("mute");
    this.root = make("span", { className: "meter", role: "img" }, this.shape, ...this.bars);
    this.wasHeard = false;
    this.show({ level: null, told: "none" });
  }

  /** `level` 0 to 1, or null where none can be had; `told` is what the candidate's page says of its microphone. */
  show({ level, told }) {
    // Not every client sends its level: until one was heard, nothing is claimed. Then silence is the page's to tell.
    this.wasHeard = level !== null && (this.wasHeard || level > 0);
    const isOff = told === "off" || told === "ended" || told === "muted" || told === "silent";
    const word = isOff ? "none" : !this.wasHeard ? "unknown" : level >= SPOKEN ? "speaks" : "quiet";
    const steps = word === "speaks" || word === "quiet" ? stepsOf(level) : 0;
    if (this.word === word && this.steps === steps) return;
    this.steps = steps;
    this.bars.forEach((bar, index) => bar.classList.toggle("is-on", index < steps));
    if (this.word === word) return;
    this.word = word;
    this.root.dataset.sound = word;
    this.shape.querySelector("use").setAttribute("href", `${document.body.dataset.icons}#${word === "none" ? "mute" : "sound"}`);
    set(this.root, "aria-label", t(`sound.${word}`));
    set(this.root, "title", t(`sound.${word}`));
  }
}
