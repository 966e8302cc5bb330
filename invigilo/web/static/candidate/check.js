// The self-check: three results, each with a name and, when something is missing, what to do about it.

import { showMark } from "./marks.js";
import { findPath } from "./path.js";
import { hasText, t } from "./texts.js";
import { after } from "./timer.js";

const PROMPT_AFTER = 4000; // ms; then somebody is probably being asked for permission

/** How much each failure matters here: without a camera nobody sees the candidate, the rest is a loss of comfort. */
const FAILURE_MARK = { camera: "problem", microphone: "warning", path: "warning", meeting: "warning" };

export class Check {
  #devices;
  #send;
  #root;
  #path = { result: "pending", detail: "" };
  #iceServers = [];
  #pathRun = 0;
  #sent = "";
  #isWaitingLong = false;
  #names;
  #meeting = "none";
  onChange = () => {};

  constructor(root, devices, send) {
    this.#root = root;
    // A room at a meeting service is the way to the proctors, and how far it goes is known once somebody enters.
    this.#names = ["camera", "microphone", root.querySelector('[data-check="meeting"]') ? "meeting" : "path"];
    this.#devices = devices;
    this.#send = send;
    root.querySelector("[data-retry]").addEventListener("click", () => this.again());
    after(PROMPT_AFTER, () => {
      this.#isWaitingLong = true;
      this.changed();
    });
  }

  get results() {
    return {
      camera: this.#devices.results.camera,
      microphone: this.#devices.results.microphone,
      path: this.#path.result,
    };
  }

  /** A question nobody answers must not keep anybody from the exam. */
  get isPending() {
    return !this.#isWaitingLong && Object.values(this.results).includes("pending");
  }

  get isGood() {
    return Object.values(this.results).every((result) => result === "ok");
  }

  /** How far the page got into the meeting; until there is a failure it is on the way. */
  meetingSeen(state) {
    this.#meeting = state;
    const isUnderWay = state === "none" || state === "joining";
    this.#path = { result: state === "joined" ? "ok" : isUnderWay ? "pending" : "no_path", detail: isUnderWay ? "" : `meeting ${state}` };
    this.changed();
  }

  /** The socket told which ways there are: look for one. */
  async lookForPath(iceServers) {
    if (this.#names.includes("meeting")) return;
    this.#iceServers = iceServers || [];
    const run = ++this.#pathRun;
    const found = await findPath(this.#iceServers);
    if (run !== this.#pathRun) return;
    this.#path = found;
    this.changed();
  }

  /** A real connection knows better than the search. */
  connectionSeen(state, hasConnected) {
    if (hasConnected) this.#path = { result: "ok", detail: "" };
    else if (state === "failed") this.#path = { result: "stills_only", detail: "a connection failed" };
    else return;
    this.#pathRun += 1;
    this.changed();
  }

  async again() {
    const button = this.#root.querySelector("[data-retry]");
    button.disabled = true;
    await Promise.race([
      Promise.all([this.#devices.start(), this.lookForPath(this.#iceServers)]),
      new Promise((done) => after(PROMPT_AFTER, done)),
    ]);
    button.disabled = false;
    button.focus();
  }

  /** Something may have changed: show it, and tell the server if it did. */
  changed() {
    for (const name of this.#names) this.#show(name);
    this.tell();
    this.onChange();
  }

  tell({ evenIfSame = false } = {}) {
    const detail = [this.#devices.details.camera, this.#devices.details.microphone, this.#path.detail];
    const message = { t: "self_check", ...this.results, detail: detail.filter(Boolean).join("; ").slice(0, 200) };
    const text = JSON.stringify(message);
    if ((evenIfSame || text !== this.#sent) && this.#send(message)) this.#sent = text;
  }

  #show(name) {
    const result = name === "meeting" ? this.#meetingResult : this.results[name];
    const item = this.#root.querySelector(`[data-check="${name}"]`);
    const key = this.#textKey(name, result);
    item.dataset.result = result;
    showMark(item, result === "ok" || result === "pending" ? result : FAILURE_MARK[name]);
    setText(item.querySelector("[data-words]"), t(key));
    const remedy = item.querySelector("[data-remedy]");
    setText(remedy, hasText(`${key}.remedy`) ? t(`${key}.remedy`) : "");
    remedy.hidden = !remedy.textContent;
  }

  get #meetingResult() {
    if (this.#meeting === "joined") return "ok";
    return this.#meeting === "none" || this.#meeting === "joining" ? "pending" : this.#meeting;
  }

  #textKey(name, result) {
    const isInsecure = result === "denied_by_settings" && !window.isSecureContext;
    if (isInsecure) return `candidate.check.${name}.insecure`;
    const isAsking = result === "pending" && name !== "path" && name !== "meeting" && this.#isWaitingLong;
    return `candidate.check.${name}.${isAsking ? "asking" : result}`;
  }
}

/** Unchanged text is left alone, or a screen reader would say it again. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
