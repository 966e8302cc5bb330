// Opens the exam in a second window; this page stays.

import { t } from "./texts.js";

const NAME = "invigilo-exam";
const REMEMBERED = `invigilo-exam-opened:${location.pathname}`;
const LOOK_AWAY_WITHIN = 3000; // ms in which a new window takes the focus from this page

export class ExamWindow {
  #root;
  #address = null;
  #handle = null;
  #check;
  isOpened = recall();
  onChange = () => {};

  constructor(root, check) {
    this.#root = root;
    this.#check = check;
    this.#find("button").addEventListener("click", () => this.#start());
    this.#find("link").addEventListener("click", () => this.#opened());
  }

  setAddress(address) {
    this.#address = isWebAddress(address) ? address : null;
    if (this.#address) this.#find("link").href = this.#address;
    this.show();
  }

  show() {
    const shows = this.#shows();
    this.#root.dataset.shows = shows;
    const button = this.#find("button");
    button.disabled = shows === "waiting" || shows === "checking";
    const label = t(this.isOpened ? "candidate.start.again" : "candidate.start.button");
    if (button.textContent !== label) button.textContent = label;
    const words = t(`candidate.start.${shows}`);
    if (this.#find("words").textContent !== words) this.#find("words").textContent = words;
  }

  #shows() {
    if (!this.#address) return "waiting";
    if (this.isOpened) return "opened";
    if (this.#check.isPending) return "checking";
    return this.#check.isGood ? "ready" : "ready_with_gaps";
  }

  #start() {
    if (!this.#address) return;
    if (this.#handle && !this.#handle.closed) {
      // Only to the front: opening it again would lead the exam back to its first page.
      this.#handle.focus();
      return;
    }
    this.#handle = window.open(this.#address, NAME);
    if (this.#handle) {
      cutOpener(this.#handle);
      this.#opened();
      return;
    }
    // No handle: blocked, or opened by SEB as a window of its own. Then this page loses the focus.
    this.#find("fallback").hidden = false;
    const opened = () => this.#opened();
    window.addEventListener("blur", opened, { once: true });
    setTimeout(() => window.removeEventListener("blur", opened), LOOK_AWAY_WITHIN);
  }

  #opened() {
    this.isOpened = true;
    remember();
    this.show();
    this.onChange();
  }

  #find(part) {
    const selector = { button: "[data-start]", link: "[data-start-link]", words: "[data-start-words]" }[part];
    return this.#root.querySelector(selector || "[data-start-fallback]");
  }
}

/** The exam's pages have no business with this one. */
function cutOpener(handle) {
  try {
    handle.opener = null;
  } catch {
    // Already on its way to another origin, which may only navigate us; nothing is lost.
  }
}

function isWebAddress(address) {
  try {
    return ["http:", "https:"].includes(new URL(address).protocol);
  } catch {
    return false;
  }
}

function recall() {
  try {
    return sessionStorage.getItem(REMEMBERED) === "yes";
  } catch {
    return false;
  }
}

function remember() {
  try {
    sessionStorage.setItem(REMEMBERED, "yes");
  } catch {
    // Without storage a reload forgets it, and the candidate opens the exam again.
  }
}
