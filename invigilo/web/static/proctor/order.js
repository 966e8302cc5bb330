// What one is about to click must not move: while the pointer or the focus is on a list, its order stays as it is.

const RESTS_AFTER = 4_000; // ms without a move of the pointer until its place counts as left

export class Order {
  /** `area`: the list; `apply`: put everything in its place; `waits(isWaiting)`: a better order is there and waits. */
  constructor(area, apply, waits = () => {}) {
    this.area = area;
    this.apply = apply;
    this.waits = waits;
    this.movedAt = -Infinity;
    this.isWaiting = false;
    for (const type of ["pointermove", "pointerdown", "wheel", "touchmove"]) {
      area.addEventListener(type, () => (this.movedAt = performance.now()), { passive: true });
    }
    area.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && (this.movedAt = -Infinity));
    setInterval(() => this.isWaiting && !this.isHeld && this.now(), 500);
  }

  get isHeld() {
    const { activeElement } = document;
    const isInside = activeElement !== document.body && this.area.contains(activeElement);
    return isInside || document.querySelector("dialog[open]") !== null || performance.now() - this.movedAt < RESTS_AFTER;
  }

  /** Something changed that would move rows: do it, or note that it waits. Returns whether it was done. */
  wish() {
    if (this.isHeld) {
      this.become(true);
      return false;
    }
    this.now();
    return true;
  }

  /** Somebody asks for it. */
  now() {
    this.become(false);
    this.apply();
  }

  become(isWaiting) {
    if (this.isWaiting === isWaiting) return;
    this.isWaiting = isWaiting;
    this.waits(isWaiting);
  }
}

/** An order that moves nobody: those who were there keep their places, newcomers come last. */
export function kept(before, wanted, exists) {
  const known = new Set(before);
  return [...before.filter(exists), ...wanted.filter((id) => !known.has(id))];
}
