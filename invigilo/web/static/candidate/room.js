// The room where it is a service's meeting: entered as soon as there is a place, left when there is none, and entered again.

import { enter, originOf } from "../meeting/meeting.js";
import { pageData, t } from "./texts.js";
import { after } from "./timer.js";

const ANSWER_WITHIN = 30_000; // ms until the question for a ticket is asked again; a full room lets in two a second
const FIRST_PAUSE = 2000;
const LONGEST_PAUSE = 30_000;
const RELOADED = "invigilo-reloaded-for";

export class Room {
  #send;
  #root;
  #frame;
  #again;
  #place = null;
  #isAlone = false;
  #meeting = null;
  #pause = FIRST_PAUSE;
  #cancel = null;
  #code = 0;
  state = "none";
  onChange = () => {};

  constructor(root, send) {
    this.#send = send;
    this.#root = root;
    if (!root) return;
    this.#frame = root.querySelector("[data-meeting-frame]");
    this.#again = root.querySelector("[data-meeting-again]");
    this.#again.addEventListener("click", () => this.#ask());
    this.#show();
  }

  /** Where this candidate should be, and what they may receive there. */
  place(message) {
    if (!message.meeting) return this.leave();
    if (!this.#root) return reloadOnce("meeting"); // the page was opened before the exam was chosen
    const isOpen = message.room !== null && message.room.state === "open";
    const place = isOpen && {
      room: message.room.id,
      audio: message.receive_audio,
      video: message.receive_video,
    };
    this.#isAlone = message.alone; // no part of the place: a meeting that takes no news is not left for it
    const isSame = JSON.stringify(place) === JSON.stringify(this.#place);
    if (place && this.#place?.room === place.room && (isSame || this.#meeting?.receive)) {
      this.#place = place;
      this.#meeting?.receive?.({ ...place, alone: this.#isAlone });
      return this.tell();
    }
    this.leave();
    this.#place = place || null;
    if (this.#place) this.#ask();
  }

  leave() {
    this.#wait(null);
    this.#meeting?.leave();
    this.#meeting = null;
    this.#place = null;
    this.#pause = FIRST_PAUSE;
    this.#become("none");
  }

  /** After a new line to the server: it may have forgotten. */
  tell() {
    this.#send({ t: "meeting", state: this.state, code: this.#code });
  }

  /** What failed last stays said until the next try ends well or otherwise: a page that blinks helps nobody. */
  #ask() {
    this.#meeting?.leave();
    this.#meeting = null;
    if (this.state === "none" || this.state === "joined" || this.state === "kicked") this.#become("joining");
    this.#send({ t: "enter" });
    this.#wait(ANSWER_WITHIN);
  }

  ticket(message) {
    if (!this.#place || this.#meeting) return;
    if (originOf(message) !== pageData.meeting_origin) return reloadOnce(originOf(message)); // it moved
    this.#wait(null);
    const wishes = {
      role: "candidate",
      language: pageData.language,
      title: t("candidate.meeting.frame"),
      frame: pageData.frame_path,
      audio: this.#place.audio,
      video: this.#place.video,
      alone: this.#isAlone,
    };
    const mine = enter(message, this.#frame, wishes, {
      state: (state) => mine === this.#meeting && this.#heard(state, mine.code ?? 0),
      stage: (isOn) => this.#stage(isOn),
    });
    this.#meeting = mine;
  }

  noTicket() {
    if (this.#place) this.#retry();
  }

  #heard(state, code) {
    this.#code = code;
    this.#become(state);
    if (state === "joined") this.#pause = FIRST_PAUSE;
    if (state === "joining" || state === "joined") return;
    this.#meeting = null;
    if (state !== "kicked") this.#retry(); // who was sent out comes back when they press the button
  }

  #retry() {
    this.#wait(this.#pause * (0.75 + Math.random() / 2));
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }

  #wait(pause) {
    this.#cancel?.();
    this.#cancel = pause === null ? null : after(pause, () => this.#place && this.#ask());
  }

  #become(state) {
    if (state === "none" || state === "joining" || state === "joined") this.#code = 0;
    const isNews = state !== this.state;
    this.state = state;
    if (!isNews) return;
    this.tell();
    this.#show();
    this.onChange();
  }

  #show() {
    if (!this.#root) return;
    this.#root.dataset.shows = this.state;
    this.#again.hidden = this.state !== "kicked";
    if (this.state !== "joined") this.#stage(false);
  }

  /** The meeting's frame is only seen while a proctor, and nobody else, is on its stage, or while it wants something pressed. */
  #stage(isOn) {
    this.#root.dataset.receives = isOn ? "something" : "nothing";
  }
}

/** A page may use only the meeting server it was opened for; once per server, so that a wrong setting makes no loop. */
function reloadOnce(what) {
  try {
    if (sessionStorage.getItem(RELOADED) === what) return;
    sessionStorage.setItem(RELOADED, what);
  } catch {
    return;
  }
  location.reload();
}
